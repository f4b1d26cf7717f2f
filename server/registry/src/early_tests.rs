use super::*;

/// The kernel refuses to sync it, so whether that was tried can be told.
fn unsyncable() -> File {
    File::create("/dev/null").expect("opened")
}

#[test]
fn the_disk_is_asked_once_enough_has_come() {
    let (file, mut early) = (unsyncable(), EarlySync::default());
    early.wrote(STEP_BYTES - 1, &file).expect("nothing tried");
    early.finish().expect("nothing tried");
    early.wrote(1, &file).expect("not waited for");
    assert!(!early.has_failed(), "nobody knows yet");
    assert_eq!(early.finish().expect_err("tried").kind(), io::ErrorKind::InvalidInput);
    early.wrote(STEP_BYTES - 1, &file).expect("counted anew");
    early.finish().expect("nothing tried, and nothing told twice");
    assert!(early.has_failed(), "for good");
}

#[test]
fn what_the_disk_refused_is_told_before_it_is_asked_again() {
    let (file, mut early) = (unsyncable(), EarlySync::default());
    early.wrote(STEP_BYTES, &file).expect("not waited for");
    while early.running.as_ref().is_some_and(|it| !it.is_finished()) {
        std::thread::yield_now();
    }
    let told = early.wrote(STEP_BYTES, &file).expect_err("refused");
    assert_eq!(told.kind(), io::ErrorKind::InvalidInput);
}
