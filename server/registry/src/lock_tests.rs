use super::*;

const WINE: &str = "mlflow://ml:5000/wine@champion";

fn listing(files: &[(&str, &str)]) -> Listing {
    let file = |(path, text): &(&str, &str)| {
        let fact = Fact { digest: Digest::of(text.as_bytes()), size: text.len() as u64 };
        (RelativePath::new(path).expect("a name"), fact)
    };
    Listing::new(files.iter().map(file).collect()).expect("names that fit")
}

fn pinned(files: &[(&str, &str)]) -> (Uri, Lock) {
    let uri: Uri = WINE.parse().expect("an address");
    let mut lock = Lock::default();
    lock.pin(&uri, Pinned { identity: "wine 3".to_owned(), listing: listing(files) });
    (uri, lock)
}

#[test]
fn what_is_written_is_read() {
    let (uri, lock) = pinned(&[("model.onnx", "a"), ("sub/\"b", "b")]);
    let text = lock.text().expect("text");
    assert_eq!(Lock::parse(&text).expect("a lock"), lock);
    let pin = lock.get(&uri).expect("pinned");
    assert_eq!(pin.listing.bytes(), 2);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("models.lock");
    assert!(Lock::read(&path).is_err(), "it is not there");
    assert_eq!(Lock::read_or_new(&path).expect("nothing yet"), Lock::default());
    lock.write(&path).expect("written");
    assert_eq!(Lock::read(&path).expect("a lock"), lock);
}

#[track_caller]
fn refused(text: &str, says: &str) {
    let error = Lock::parse(text).expect_err("no lock").to_string();
    assert!(error.contains(says), "{says:?} is not in {error:?}");
}

#[test]
fn a_lock_that_contradicts_itself_is_refused() {
    let text = pinned(&[("model.onnx", "a")]).1.text().expect("text");
    refused(&text.replace("size = 1", "size = 2"), "but its tree is");
    refused(&text.replace("model.onnx", "../model.onnx"), "no name for a file");
    refused(&text.replace("sha256:", "md5:"), "is no digest");
    refused(&text.replace("version = 1", "version = 2"), "version 2, expected 1");
    refused(&text.replace("identity", "identify"), "unknown field");
    refused(&text.replace("mlflow://", "ftp://"), "unknown scheme");
}

#[track_caller]
fn check(found: &[(&str, &str)], says: Option<&str>) {
    let (uri, lock) = pinned(&[("a", "1"), ("b", "2")]);
    let checked = lock.get(&uri).expect("pinned").check(&uri, &listing(found));
    match (checked, says) {
        (Ok(()), None) => {}
        (Err(error), Some(says)) => assert!(error.to_string().contains(says), "{error}"),
        (other, _) => panic!("{other:?}"),
    }
}

#[test]
fn another_model_is_told_by_its_first_difference() {
    check(&[("a", "1"), ("b", "2")], None);
    check(&[("a", "1"), ("b", "3")], Some("b is pinned to sha256:d4735"));
    check(&[("a", "1")], Some("and is nothing"));
    check(&[("a", "1"), ("b", "2"), ("c", "")], Some("c is pinned to nothing"));
}

#[test]
fn operators_at_once_lose_no_pins() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("models.lock");
    let (_, one) = pinned(&[("model.onnx", "a")]);
    let (_, pinned) = one.0.iter().next().expect("a pin");
    // Each pins several, one after the other, as fast as it can.
    std::thread::scope(|scope| {
        for operator in 0..4 {
            let (path, pinned) = (&path, pinned.clone());
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
                let runtime = runtime.expect("a runtime");
                for n in 0..5 {
                    let uri = format!("s3://models/{operator}/{n}").parse().expect("an address");
                    let added = runtime.block_on(Lock::add(path, [(uri, pinned.clone())]));
                    added.expect("pinned");
                }
            });
        }
    });
    assert_eq!(Lock::read(&path).expect("a lock").iter().count(), 20);
    let names = std::fs::read_dir(folder.path()).expect("a list").count();
    assert_eq!(names, 1, "nothing else is left");
}
