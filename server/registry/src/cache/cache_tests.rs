use super::*;
use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use crate::path::RelativePath;
use crate::uri::Uri;

/// Publishes a model of files as `path=text`, the way a pull does.
fn publish(cache: &Cache, files: &str) -> Digest {
    let staging = Staging::new(cache).expect("a staging");
    let mut listed = BTreeMap::new();
    for (path, text) in files.split_whitespace().filter_map(|it| it.split_once('=')) {
        let path = RelativePath::new(path).expect("a name");
        let aside = staging.aside("aside");
        fs::write(&aside, text).expect("written");
        let digest = Digest::of(text.as_bytes());
        settle(cache, &aside, digest, &staging.place(&path).expect("a place")).expect("settled");
        listed.insert(path, Fact { digest, size: text.len() as u64 });
    }
    let listing = Listing::new(listed).expect("names that fit");
    staging.publish(cache, &listing).expect("published").digest()
}

fn empty(bytes_max: u64) -> (tempfile::TempDir, Cache) {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = Cache::open(&folder.path().join("cache"), bytes_max).expect("a cache");
    (folder, cache)
}

fn entries(cache: &Cache, folder: &str) -> usize {
    fs::read_dir(cache.root().join(folder)).expect("a folder").count()
}

/// Changes a file in place, as a bad disk does.
fn damage(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("writable");
    let mut bytes = fs::read(path).expect("bytes");
    bytes[0] ^= 1;
    fs::write(path, bytes).expect("written");
}

#[test]
fn a_model_is_what_was_put_in() {
    let (_folder, cache) = empty(1000);
    let tree = publish(&cache, "model.onnx=abc sub/w.bin=de");
    let lease = cache.lease(tree).expect("whole").expect("there");
    let path = lease.folder().join("sub/w.bin");
    assert_eq!(fs::read(&path).expect("bytes"), b"de");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o444);
    assert_eq!((lease.listing().bytes(), lease.digest()), (5, tree));
    assert_eq!(cache.trees().expect("a list"), [tree]);
    assert_eq!(entries(&cache, "staging"), 0);
    assert!(cache.lease(Digest::of(b"other")).expect("no fault").is_none());
}

#[test]
fn a_copy_is_one_of_its_own() {
    let (folder, cache) = empty(1000);
    let tree = publish(&cache, "model.onnx=abc sub/w.bin=de");
    let lease = cache.lease(tree).expect("whole").expect("there");
    let to = folder.path().join("models");
    let left = folder.path().join(format!(".models.{}", std::process::id()));
    fs::create_dir(&left).expect("made");
    fs::write(left.join("left"), "by one that died").expect("written");
    lease.copy_to(&to).expect("copied");
    assert!(!to.join("left").exists());
    fs::write(to.join("model.onnx"), "xyz").expect("writable");
    assert!(lease.copy_to(&to).is_err(), "the folder is not empty");
    assert_eq!(fs::read(to.join("sub/w.bin")).expect("bytes"), b"de");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing is left");
    assert!(cache.lease(tree).expect("whole").is_some());
}

#[test]
fn the_same_file_is_kept_once() {
    let (_folder, cache) = empty(1000);
    publish(&cache, "a=same b=other");
    publish(&cache, "c=same");
    assert_eq!(publish(&cache, "c=same"), publish(&cache, "c=same"));
    assert_eq!((entries(&cache, "blobs"), entries(&cache, "trees")), (2, 2));
}

#[test]
fn a_damaged_file_is_found_and_thrown_away() {
    let (_folder, cache) = empty(1000);
    let tree = publish(&cache, "a=first b=second");
    damage(&cache.root().join("trees").join(tree.hex()).join("files/b"));
    let error = cache.lease(tree).expect_err("damaged");
    assert!(matches!(error, RegistryError::Corrupt(_)), "{error}");
    assert!(error.to_string().contains("b is not sha256:"), "{error}");
    assert!(cache.lease(tree).expect("no fault").is_none());
    // Its bytes are not offered to the next model either.
    let staging = Staging::new(&cache).expect("a staging");
    let reused = |text: &str| {
        cache.reuse(Digest::of(text.as_bytes()), &staging.aside("x")).expect("no fault")
    };
    assert_eq!((reused("second"), reused("first")), (None, Some(5)));
}

#[test]
fn a_file_too_many_is_damage() {
    let (_folder, cache) = empty(1000);
    let tree = publish(&cache, "a=text sub/b=text");
    let folder = cache.root().join("trees").join(tree.hex()).join("files");
    fs::write(folder.join("sub/model.toml"), "x").expect("written");
    let error = cache.lease(tree).expect_err("damaged");
    assert!(error.to_string().contains("sub/model.toml does not belong to it"), "{error}");
    assert_eq!(publish(&cache, "a=text sub/b=text"), tree);
    std::os::unix::fs::symlink("a", folder.join("c")).expect("linked");
    assert!(matches!(cache.lease(tree), Err(RegistryError::Corrupt(_))));
}

#[test]
fn what_cannot_be_read_now_is_not_thrown_away() {
    let damage = |error| is_damage(&RegistryError::Local(String::new(), error));
    for kind in [io::ErrorKind::NotFound, io::ErrorKind::InvalidData, io::ErrorKind::IsADirectory] {
        assert!(damage(kind.into()), "{kind}");
    }
    assert!(damage(io::Error::from_raw_os_error(EIO)));
    const EMFILE: i32 = 24;
    assert!(!damage(io::Error::from_raw_os_error(EMFILE)));
    assert!(!damage(io::ErrorKind::PermissionDenied.into()));
    // A link that leads to itself cannot be followed, and is not nothing either.
    let (_folder, cache) = empty(1000);
    let tree = publish(&cache, "a=text");
    let path = cache.root().join("trees").join(tree.hex()).join("files/a");
    fs::remove_file(&path).expect("removed");
    std::os::unix::fs::symlink(&path, &path).expect("linked");
    assert!(matches!(cache.lease(tree), Err(RegistryError::Local(..))));
    fs::remove_file(&path).expect("removed");
    fs::hard_link(cache.blob(Digest::of(b"text")), &path).expect("linked");
    assert!(cache.lease(tree).expect("whole").is_some());
}

#[test]
fn only_what_was_judged_is_thrown_away() {
    let (folder, cache) = empty(1000);
    let tree = publish(&cache, "a=text");
    let old = cache.lease(tree).expect("whole").expect("there");
    let place = cache.root().join("trees").join(tree.hex());
    fs::rename(&place, folder.path().join("elsewhere")).expect("moved");
    assert_eq!(publish(&cache, "a=text"), tree);
    cache.discard(tree, &old.lock).expect("nothing to do");
    assert!(cache.lease(tree).expect("whole").is_some());
}

#[test]
fn a_model_without_its_lock_is_not_in_the_way_for_ever() {
    let (_folder, cache) = empty(1000);
    let tree = publish(&cache, "a=text");
    fs::remove_file(cache.root().join("trees").join(tree.hex()).join("used")).expect("removed");
    assert!(cache.lease(tree).expect("no fault").is_none());
    assert_eq!(publish(&cache, "a=text"), tree);
    assert!(cache.lease(tree).expect("whole").is_some());
}

/// A pull that is given up takes its staging along; the next one writes to the same partial file.
#[test]
fn bytes_that_find_no_place_can_still_be_written_to() {
    let (_folder, cache) = empty(1000);
    let from = cache.partial("x");
    fs::write(&from, "text").expect("written");
    let nowhere = cache.root().join("staging/gone/place");
    assert!(settle(&cache, &from, Digest::of(b"text"), &nowhere).is_err());
    assert_eq!(fs::metadata(&from).expect("there").permissions().mode() & 0o200, 0o200);
}

#[test]
fn a_damaged_model_is_replaced_by_a_new_one() {
    let (_folder, cache) = empty(1000);
    let tree = publish(&cache, "a=text");
    let path = cache.root().join("trees").join(tree.hex()).join("files/a");
    fs::remove_file(&path).expect("removed");
    fs::write(&path, "tixt").expect("written");
    assert_eq!(publish(&cache, "a=text"), tree);
    assert!(cache.lease(tree).expect("whole").is_some());
}

#[test]
fn a_damaged_blob_is_not_reused() {
    let (_folder, cache) = empty(1000);
    publish(&cache, "a=text");
    damage(&cache.blob(Digest::of(b"text")));
    let staging = Staging::new(&cache).expect("a staging");
    let to = staging.aside("x");
    assert_eq!(cache.reuse(Digest::of(b"text"), &to).expect("no fault"), None);
    assert!(!to.exists() && !cache.blob(Digest::of(b"text")).exists());
}

#[test]
fn a_listing_of_another_name_is_damage() {
    let (_folder, cache) = empty(1000);
    let tree = publish(&cache, "a=text");
    damage(&cache.root().join("trees").join(tree.hex()).join("listing"));
    assert!(matches!(cache.lease(tree), Err(RegistryError::Corrupt(_))));
    let (whole, faults) = cache.verify().expect("verified");
    assert!(whole.is_empty() && faults.is_empty(), "it is gone: {faults:?}");
}

#[test]
fn verify_tells_the_whole_from_the_damaged() {
    let (_folder, cache) = empty(1000);
    let (good, bad) = (publish(&cache, "a=good"), publish(&cache, "a=bad"));
    fs::remove_file(cache.root().join("trees").join(bad.hex()).join("files/a")).expect("gone");
    let (whole, faults) = cache.verify().expect("verified");
    assert_eq!(whole, [good]);
    assert_eq!(faults.iter().map(|it| it.tree).collect::<Vec<_>>(), [bad]);
}

#[test]
fn sweeping_makes_room_but_leaves_what_is_used() {
    let (_folder, cache) = empty(10);
    let old = publish(&cache, "a=12345");
    let leased = publish(&cache, "a=67890");
    let pinned = publish(&cache, "a=abcde");
    for (tree, seconds) in [(old, 1), (leased, 2), (pinned, 3)] {
        let used = cache.root().join("trees").join(tree.hex()).join("used");
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let file = File::options().write(true).open(used).expect("open");
        file.set_times(FileTimes::new().set_modified(time)).expect("touched");
    }
    let swept = cache.sweep(0, &BTreeSet::new()).expect("swept");
    assert_eq!((swept.bytes, swept.trees), (10, vec![old]));
    let lease = cache.lease(leased).expect("whole").expect("there");
    let swept = cache.sweep(10, &BTreeSet::from([pinned])).expect("swept");
    assert_eq!((swept.bytes, swept.trees), (10, Vec::new()));
    drop(lease);
    let swept = cache.sweep(5, &BTreeSet::from([pinned])).expect("swept");
    assert_eq!((swept.bytes, swept.trees), (5, vec![leased]));
    assert_eq!((entries(&cache, "blobs"), entries(&cache, "trees")), (1, 1));
}

#[test]
fn a_blob_on_its_way_into_a_tree_is_not_swept() {
    let (_folder, cache) = empty(0);
    let staging = Staging::new(&cache).expect("a staging");
    let aside = staging.aside("aside");
    fs::write(&aside, "text").expect("written");
    let digest = Digest::of(b"text");
    settle(&cache, &aside, digest, &staging.aside("place")).expect("settled");
    cache.sweep(0, &BTreeSet::new()).expect("swept");
    assert!(cache.blob(digest).exists() && staging.folder().exists());
    drop(staging);
    cache.sweep(0, &BTreeSet::new()).expect("swept");
    assert!(!cache.blob(digest).exists());
}

#[test]
fn what_a_dead_process_left_is_removed() {
    let (_folder, cache) = empty(1000);
    let left = cache.root().join("staging/1-1");
    fs::create_dir_all(left.join("tree")).expect("made");
    fs::write(left.join("lock"), "").expect("made");
    cache.sweep(0, &BTreeSet::new()).expect("swept");
    assert!(!left.exists());
}

#[test]
fn many_at_once_see_whole_models_or_none() {
    let (_folder, cache) = empty(12);
    let models = ["a=11111 b=22222", "a=11111 b=33333", "c=22222 d=33333"];
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for n in 0..4 {
            let (cache, start) = (&cache, &start);
            scope.spawn(move || {
                start.wait();
                for round in 0..40 {
                    let tree = publish(cache, models[(n + round) % models.len()]);
                    if n == 0 {
                        cache.sweep(0, &BTreeSet::new()).expect("swept");
                    }
                    // Swept meanwhile, or whole.
                    if let Some(lease) = cache.lease(tree).expect("never damaged") {
                        assert_eq!(lease.listing().bytes(), 10);
                        for (path, fact) in lease.listing().iter() {
                            let found = Digest::of_file(&path.under(lease.folder()));
                            assert_eq!(found.expect("there"), (fact.digest, fact.size));
                        }
                    }
                }
            });
        }
    });
    assert_eq!(cache.verify().expect("verified").1, []);
}

#[test]
fn a_record_is_kept_by_address() {
    let (_folder, cache) = empty(1000);
    let uri: Uri = "s3://b/wine".parse().expect("an address");
    assert_eq!(cache.record(&uri).expect("none"), None);
    let record = Record { uri: uri.to_string(), identity: "x".to_owned(), ..Record::default() };
    cache.remember(&uri, &record).expect("kept");
    assert_eq!(cache.record(&uri).expect("one"), Some(record));
    assert_eq!(cache.seen(&uri, "x").expect("one").expect("one").identity, "x");
    assert_eq!(cache.seen(&uri, "y").expect("none"), None);
    assert_eq!(cache.seen(&uri, "").expect("none"), None);
    assert_eq!(entries(&cache, "records"), 2, "the last, and this one");
    for entry in fs::read_dir(cache.root().join("records")).expect("a folder") {
        fs::write(entry.expect("an entry").path(), "{").expect("written");
    }
    assert_eq!(cache.record(&uri).expect("none"), None);
}

#[test]
fn addresses_that_hold_keys_are_not_written_down() {
    let (_folder, cache) = empty(1000);
    let uri: Uri = "https://h/m.onnx?sig=hush".parse().expect("an address");
    let record = Record { uri: uri.to_string(), ..Record::default() };
    cache.remember(&uri, &record).expect("kept");
    assert_eq!(cache.record(&uri).expect("one").expect("one").uri, "https://h/m.onnx?..");
    let other: Uri = "https://h/m.onnx?sig=other".parse().expect("an address");
    assert_eq!(cache.record(&other).expect("none"), None);
}

fn age(path: &Path) {
    let file = File::open(path).expect("open");
    file.set_modified(SystemTime::UNIX_EPOCH).expect("touched");
}

#[test]
fn records_of_what_is_gone_go_as_well() {
    let (_folder, cache) = empty(1000);
    let tree = publish(&cache, "a=text");
    let (here, gone): (Uri, Uri) =
        ("s3://b/here".parse().expect("an address"), "s3://b/gone".parse().expect("an address"));
    for (uri, tree) in [(&here, tree), (&gone, Digest::of(b"gone"))] {
        let record = Record { tree: tree.to_string(), ..Record::default() };
        cache.remember(uri, &record).expect("kept");
    }
    let records = cache.root().join("records");
    fs::write(records.join(".x.json.1"), "{}").expect("written");
    cache.sweep(0, &BTreeSet::new()).expect("swept");
    assert_eq!(entries(&cache, "records"), 3, "all of them may be at work");
    for entry in fs::read_dir(&records).expect("a folder") {
        age(&entry.expect("an entry").path());
    }
    cache.sweep(0, &BTreeSet::new()).expect("swept");
    assert_eq!(entries(&cache, "records"), 1);
    assert!(cache.record(&here).expect("one").is_some());
}

#[test]
fn digests_are_those_of_everyone_else() {
    let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(Digest::of(b"abc").to_string(), abc);
    assert_eq!(abc.parse::<Digest>().expect("a digest"), Digest::of(b"abc"));
    for text in ["", "sha256:", &abc[..70], &abc.to_uppercase(), &abc.replace('b', "g")] {
        assert!(text.parse::<Digest>().is_err(), "{text}");
    }
}
