use super::*;
use crate::scanner::{Found, Scanner};

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    fs::write(path, content).expect("write");
}

fn look(root: &Path) -> Found {
    let found = Scanner::new(&[root.to_path_buf()], vec!["model.onnx"]).scan();
    assert!(found.unread.is_empty(), "readable: {:?}", found.unread);
    found
}

fn model<'a>(found: &'a Found, name: &str) -> &'a FoundModel {
    found.models[name].as_ref().as_ref().expect("readable")
}

/// Version 1 of model `m`.
fn version(found: &Found) -> Result<FoundVersion, String> {
    model(found, "m").versions[&Version(1)].clone()
}

/// There, and unreadable for anybody: a link that leads to itself.
fn loop_link(root: &Path, path: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    std::os::unix::fs::symlink(&path, &path).expect("link");
}

#[test]
fn models_and_versions_are_folders() {
    let root = tempfile::tempdir().expect("scratch");
    write(root.path(), "wine/1/model.onnx", "a");
    write(root.path(), "wine/2/other.bin", "b");
    write(root.path(), "wine/model.toml", "engine = \"tract\"");
    for ignored in ["wine/01/x", "wine/v3/x", "wine/.tmp/x", ".git/1/model.onnx", "README.md"] {
        write(root.path(), ignored, "");
    }
    fs::create_dir(root.path().join("lost+found")).expect("folder");
    let found = look(root.path());
    assert_eq!(found.models.len(), 1, "{found:?}");
    assert_eq!(found.faults(), 0, "{found:?}");
    let wine = model(&found, "wine");
    assert_eq!(wine.config.text, Some(Ok("engine = \"tract\"".to_owned())));
    let has_artifact =
        |version| wine.versions[&Version(version)].as_ref().map(|it| it.lacks.is_none());
    assert_eq!((has_artifact(1), has_artifact(2), wine.versions.len()), (Ok(true), Ok(false), 2));
}

#[test]
fn any_change_changes_the_print() {
    let root = tempfile::tempdir().expect("scratch");
    write(root.path(), "m/1/model.onnx", "aaaa");
    let print = || version(&look(root.path())).expect("readable").look;
    let first = print();
    assert_eq!(print(), first, "looking changes nothing");
    write(root.path(), "m/1/weights/part", "x");
    let second = print();
    assert_ne!(first, second);
    write(root.path(), "m/1/model.onnx", "bbbbb");
    assert_ne!(print(), second);
}

#[test]
fn links_are_followed() {
    let root = tempfile::tempdir().expect("scratch");
    write(root.path(), "..data/m/1/model.onnx", "a");
    std::os::unix::fs::symlink("..data/m", root.path().join("m")).expect("link");
    assert!(version(&look(root.path())).expect("readable").lacks.is_none());
}

#[test]
fn a_missing_repository_is_an_error() {
    let found = Scanner::new(&["/nowhere/at/all".into()], vec![]).scan();
    assert_eq!(found.unread.len(), 1, "not there");
}

#[test]
fn what_cannot_be_read_is_a_fault_and_not_gone() {
    for path in ["m/1", "m/1/model.onnx", "m/1/weights"] {
        let root = tempfile::tempdir().expect("scratch");
        loop_link(root.path(), path);
        let found = look(root.path());
        let error = version(&found).expect_err(path);
        assert!(error.starts_with("cannot be read: "), "{path}: {error}");
        assert_eq!(found.faults(), 1, "{path}");
    }
    let root = tempfile::tempdir().expect("scratch");
    loop_link(root.path(), "m");
    let found = look(root.path());
    assert!(found.models["m"].is_err() && found.faults() == 1, "{found:?}");
}

#[test]
fn too_many_files_are_a_fault() {
    let root = tempfile::tempdir().expect("scratch");
    write(root.path(), "m/1/model.onnx", "a");
    let file = root.path().join("m/1/model.onnx");
    (0..FILES_MAX).for_each(|it| {
        fs::hard_link(&file, root.path().join(format!("m/1/part{it}"))).expect("link");
    });
    let error = version(&look(root.path())).expect_err("too many");
    assert_eq!(error, "cannot be read: more than 10000 files");
}

#[test]
fn links_that_lead_nowhere_are_not_there() {
    let root = tempfile::tempdir().expect("scratch");
    write(root.path(), "m/1/model.onnx", "a");
    for path in ["n", "m/2", "m/1/weights"] {
        std::os::unix::fs::symlink("nowhere", root.path().join(path)).expect("link");
    }
    let found = look(root.path());
    assert_eq!((found.faults(), found.models.len()), (0, 1), "{found:?}");
    assert!(version(&found).expect("readable").lacks.is_none());
}

#[test]
fn a_configuration_has_a_look_of_its_own() {
    let root = tempfile::tempdir().expect("scratch");
    write(root.path(), "m/1/model.onnx", "a");
    let config = || model(&look(root.path()), "m").config.clone();
    let missing = config();
    let folder = fs::metadata(root.path().join("m")).expect("there").modified().expect("a time");
    assert!(missing.text.is_none() && missing.look.changed >= folder, "{missing:?}");
    write(root.path(), "m/model.toml", "a = 1");
    let first = config();
    assert_ne!(first.look.print, missing.look.print);
    write(root.path(), "m/model.toml", "a = 1\n");
    assert_ne!(config().look.print, first.look.print);
    write(root.path(), "m/model.toml", &"#".repeat(1 << 21));
    let fault = "model.toml: more than 1048576 bytes".to_owned();
    assert_eq!(config().text, Some(Err(fault)));
}
