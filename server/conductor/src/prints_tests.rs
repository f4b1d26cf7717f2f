use super::*;

use std::fs;
use std::path::PathBuf;

use server_rollout::RawPlan;

fn declared(folder: &Path, look: u64, settings: &str) -> Declared {
    Declared {
        model: ModelName::new("m").expect("a name"),
        version: Version(2),
        look,
        folder: folder.to_path_buf(),
        settings: settings.to_owned(),
        plan: Some(Arc::new(RawPlan::default().validate().expect("the defaults"))),
    }
}

/// Waits for the thread that reads, if there is one.
fn print_of(prints: &mut Prints, declared: &Declared) -> Option<String> {
    if let Some(known) = prints.of(declared) {
        return Some(known);
    }
    let (model, look, reading) = prints.reading.take()?;
    let (done, again) = sync_channel(1);
    done.send(reading.recv().expect("read")).expect("heard");
    prints.reading = Some((model, look, again));
    prints.of(declared)
}

fn folder(content: &str) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().expect("scratch");
    let folder = root.path().join("2");
    fs::create_dir(&folder).expect("made");
    fs::write(folder.join("model.onnx"), content).expect("written");
    (root, folder)
}

#[test]
fn the_same_content_has_one_print_in_every_copy() {
    let ((_a, one), (_b, copy), (_c, other)) = (folder("x"), folder("x"), folder("y"));
    let of = |declared: &Declared| {
        print_of(&mut Prints::new(Contents::default()), declared).expect("read")
    };
    let first = of(&declared(&one, 1, "s"));
    assert_eq!(of(&declared(&copy, 7, "s")), first);
    assert_ne!(of(&declared(&other, 1, "s")), first);
    assert_ne!(of(&declared(&one, 1, "t")), first, "another way to load it");
    // sha256sum of the digest of the listing, a line feed, `s`, a line feed: what is written down must not change.
    assert_eq!(first, "v1:1164b4e33c3e8eaef645507bdf3fc2c7ac3e5ddad80ac494738e90890e78a8dd");
}

#[test]
fn it_is_read_once_for_each_change() {
    let (_root, folder) = folder("x");
    let mut prints = Prints::new(Contents::default());
    let first = print_of(&mut prints, &declared(&folder, 1, "s")).expect("read");
    fs::write(folder.join("model.onnx"), "y").expect("written");
    assert_eq!(prints.of(&declared(&folder, 1, "s")), Some(first.clone()), "it looks the same");
    let next = print_of(&mut prints, &declared(&folder, 2, "s"));
    assert!(next.is_some_and(|it| it != first));
}

#[test]
fn who_knows_it_saves_the_reading() {
    let known = Contents::new(|_, version, _| Some(format!("sha256:{version}")));
    let mut prints = Prints::new(known);
    let gone = declared(Path::new("/gone"), 1, "s");
    assert!(prints.of(&gone).is_some() && prints.reading.is_none());
}

#[test]
fn what_cannot_be_read_is_not_read_all_the_time() {
    let mut prints = Prints::new(Contents::default());
    let gone = declared(Path::new("/gone"), 1, "s");
    assert_eq!(print_of(&mut prints, &gone), None);
    assert_eq!(prints.of(&gone), None);
    assert!(prints.reading.is_none(), "later");
}
