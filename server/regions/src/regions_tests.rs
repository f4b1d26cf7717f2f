use super::*;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An object that goes with the test.
struct Shared {
    key: String,
    file: File,
}

impl Shared {
    fn new(content: &[u8]) -> Shared {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let key = format!("/test_regions_{}_{number}", std::process::id());
        let mut file = File::options()
            .create_new(true)
            .read(true)
            .write(true)
            .open(path(&key))
            .expect("an object");
        file.write_all(content).expect("written");
        Shared { key, file }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = fs::remove_file(path(&self.key)); // a test may have done it
    }
}

fn path(key: &str) -> String {
    format!("/dev/shm{key}")
}

fn regions() -> Regions {
    Regions::new(Limits { regions_max: 4, bytes_max: 1_000 })
}

#[track_caller]
fn says<T: std::fmt::Debug>(got: Result<T, RegionError>, says: &str) -> RegionError {
    let error = got.expect_err(says);
    assert!(error.to_string().contains(says), "{error}");
    error
}

#[test]
fn what_is_registered_is_read_and_written() {
    let (regions, shared) = (regions(), Shared::new(b"0123456789"));
    regions.register_system("r", &shared.key, (2, 6)).expect("registered");
    let read = |offset, bytes| regions.span("r", offset, bytes).and_then(|it| it.read());
    assert_eq!(read(0, 6).expect("read"), "234567");
    assert_eq!(read(5, 1).expect("read"), "7");
    assert_eq!(read(6, 0).expect("nothing"), "");
    let span = regions.span("r", 1, 4).expect("within");
    span.write("y", b"abc").expect("written");
    assert_eq!(fs::read(path(&shared.key)).expect("read"), b"012abc6789");
    let error = says(span.write("y", b"abcde"), "output 'y' (4 bytes) should be at least 5 bytes");
    assert_eq!(error.kind(), server_base::Kind::Internal);
}

#[test]
fn nothing_outside_of_the_region_is_touched() {
    let (regions, shared) = (regions(), Shared::new(&[7; 64]));
    regions.register_system("r", &shared.key, (16, 32)).expect("registered");
    for (offset, bytes) in [
        (0, 33),
        (1, 32),
        (33, 0),
        (32, 1),
        (u64::MAX, 1),
        (32, u64::MAX - 31),
        (u64::MAX, u64::MAX),
    ] {
        says(regions.span("r", offset, bytes), "Invalid offset + byte size");
    }
    assert_eq!(regions.span("r", 32, 0).expect("the end").read().expect("nothing"), "");
}

#[test]
fn an_object_is_as_large_as_what_is_registered_of_it() {
    let (regions, shared) = (regions(), Shared::new(&[0; 64]));
    for at in [(0, 65), (64, 1), (1, 64), (32, u64::MAX - 31), (u64::MAX, 1), (0, u64::MAX)] {
        says(regions.register_system("r", &shared.key, at), "the object's 64");
    }
    says(regions.register_system("r", &shared.key, (0, 0)), "at least one byte");
    regions.register_system("r", &shared.key, (0, 64)).expect("all of it");
    says(regions.register_system("r", &shared.key, (0, 8)), "'r' already in manager");
}

#[test]
fn an_object_that_was_cut_short_is_an_error_and_not_the_end() {
    let (regions, shared) = (regions(), Shared::new(&[1; 64]));
    regions.register_system("r", &shared.key, (0, 64)).expect("registered");
    let span = regions.span("r", 0, 64).expect("within");
    shared.file.set_len(63).expect("cut short");
    says(span.read(), "no longer all there");
    says(span.write("y", &[2; 64]), "no longer all there");
    assert_eq!(shared.file.metadata().expect("there").len(), 63, "a write does not make it longer");
    shared.file.set_len(0).expect("cut short");
    says(span.read(), "no longer all there");
    shared.file.set_len(64).expect("as before");
    assert_eq!(span.read().expect("zeros"), vec![0; 64]);
}

#[test]
fn requests_keep_what_they_use() {
    let (regions, shared) = (regions(), Shared::new(b"abcd"));
    regions.register_system("r", &shared.key, (0, 4)).expect("registered");
    let span = regions.span("r", 0, 4).expect("within");
    fs::remove_file(path(&shared.key)).expect("unlinked");
    assert_eq!(regions.span("r", 0, 2).expect("registered").read().expect("read"), "ab");
    regions.unregister(RegionKind::System, Some("r"));
    says(regions.span("r", 0, 2), "Unable to find shared memory region: 'r'");
    shared.file.write_at(b"x", 0).expect("written");
    assert_eq!(span.read().expect("read"), "xbcd");
    says(regions.register_system("r", &shared.key, (0, 4)), "Unable to open");
}

#[test]
fn an_object_may_have_two_names_and_a_name_goes_alone() {
    let (regions, shared) = (regions(), Shared::new(b"abcd"));
    regions.register_system("one", &shared.key, (0, 2)).expect("registered");
    regions.register_system("two", &shared.key, (1, 3)).expect("registered");
    let names = || {
        let all = regions.status(RegionKind::System, None).expect("all");
        all.iter().map(|it| it.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(), ["one", "two"]);
    let two = regions.status(RegionKind::System, Some("two")).expect("there");
    let expect = Place::System { key: shared.key.clone(), offset: 1 };
    assert_eq!((two[0].place(), two[0].bytes()), (&expect, 3));
    regions.unregister(RegionKind::System, Some("three"));
    regions.unregister(RegionKind::System, Some("one"));
    assert_eq!(names(), ["two"]);
    says(
        regions.status(RegionKind::System, Some("one")),
        "Unable to find system shared memory region: 'one'",
    );
    regions.unregister(RegionKind::System, None);
    assert!(names().is_empty());
}

#[test]
fn there_are_only_so_many() {
    let (regions, shared) = (regions(), Shared::new(&[0; 240]));
    for name in ["a", "b", "c", "d"] {
        regions.register_system(name, &shared.key, (0, 1)).expect("room");
    }
    says(regions.register_system("e", &shared.key, (0, 1)), "(4 regions)");
    regions.unregister(RegionKind::System, Some("a"));
    // The whole object counts, for all of it is kept.
    let large = Shared::new(&[0; 281]);
    says(regions.register_system("e", &large.key, (0, 1)), "(1000 bytes)");
    large.file.set_len(280).expect("smaller");
    regions.register_system("e", &large.key, (0, 1)).expect("1000 of 1000");
}

#[test]
fn what_is_no_object_is_not_opened() {
    let regions = regions();
    let link = format!("/test_regions_link_{}", std::process::id());
    symlink("/etc/hostname", path(&link)).expect("a link");
    let refused = regions.register_system("r", &link, (0, 1));
    fs::remove_file(path(&link)).expect("removed");
    says(refused, "Unable to open shared memory region 'r'");
    let folder = format!("/test_regions_folder_{}", std::process::id());
    fs::create_dir(path(&folder)).expect("a folder");
    let refused = regions.register_system("r", &folder, (0, 1));
    fs::remove_dir(path(&folder)).expect("removed");
    says(refused, "Unable to open shared memory region 'r'");
    says(regions.register_system("r", "/test_regions_nobody", (0, 1)), "not found");
}

#[test]
fn names_and_keys_are_checked_and_keys_stay_out_of_errors() {
    let (regions, shared) = (regions(), Shared::new(b"abcd"));
    for name in ["", "a\nb", &"x".repeat(256)] {
        says(regions.register_system(name, &shared.key, (0, 1)), "name of a shared memory region");
    }
    regions.register_system("mine", &shared.key, (0, 4)).expect("registered");
    let errors = [
        regions.register_system("mine", "/other", (0, 4)).expect_err("there"),
        regions.register_system("other", &format!("/{}", shared.key), (0, 4)).expect_err("a path"),
        regions.span("mine", 3, 3).expect_err("outside"),
        regions.span("mine", 0, 4).expect("all").write("y", &[0; 5]).expect_err("too small"),
        regions.status(RegionKind::System, Some("other")).expect_err("unknown"),
    ];
    for error in errors {
        assert!(!error.to_string().contains(&shared.key), "{error}");
    }
}
