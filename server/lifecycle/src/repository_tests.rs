use super::*;

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
    fs::write(path, content).expect("write");
}

fn look(root: &Path) -> Found {
    scan(root, &["model.onnx"]).expect("readable")
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
    let wine = &found.models["wine"];
    assert_eq!(wine.config, Some(Ok("engine = \"tract\"".to_owned())));
    let versions: Vec<_> = wine.versions.iter().map(|(it, at)| (it.0, at.has_artifact)).collect();
    assert_eq!(versions, [(1, true), (2, false)]);
}

#[test]
fn any_change_changes_the_print() {
    let root = tempfile::tempdir().expect("scratch");
    write(root.path(), "m/1/model.onnx", "aaaa");
    let print = || look(root.path()).models["m"].versions[&Version(1)].print;
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
    assert!(look(root.path()).models["m"].versions[&Version(1)].has_artifact);
}

#[test]
fn a_missing_repository_is_an_error() {
    scan(Path::new("/nowhere/at/all"), &[]).expect_err("not there");
}
