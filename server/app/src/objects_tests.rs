use super::*;

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(3_600);

/// One whose calls end as the test says.
fn remote() -> (Remote, Receiver<Call>) {
    let (calls, waiting) = sync_channel(CALLS_MAX);
    (Remote { name: "s3://bucket/p".to_owned(), calls, away: Mutex::default() }, waiting)
}

fn slow() -> RegistryError {
    RegistryError::Slow("s3://bucket/p: no answer within 5s".to_owned())
}

/// Answers all calls, each with what it asks for.
fn answering(waiting: Receiver<Call>) {
    let objects = Arc::new(client("s3://bucket/p").expect("an address"));
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    thread::spawn(move || work(&waiting, &runtime, &objects));
}

#[test]
fn a_store_that_gives_no_answer_is_left_alone_for_a_while() {
    let (remote, waiting) = remote();
    answering(waiting);
    let fails = |error: fn() -> RegistryError| {
        let called = remote.call(move |_| async move { Err::<(), _>(error()) });
        called.expect_err("it fails").to_string()
    };
    // What is refused is asked again at once.
    let refused = || RegistryError::Refused("no".to_owned());
    assert_eq!(fails(refused), "no");
    assert_eq!(fails(slow), "s3://bucket/p: no answer within 5s");
    // Now nothing is asked for a while, here a long one.
    for (until, _) in remote.away.lock().expect("nobody panicked").iter_mut() {
        *until += LONG;
    }
    assert_eq!(fails(refused), "s3://bucket/p: no answer within 5s");
    *remote.away.lock().expect("nobody panicked") = Some((Instant::now(), "before".to_owned()));
    assert_eq!(remote.call(|_| async { Ok(7) }).expect("it is asked again"), 7);
    drop(remote);
}

/// A put that got no answer, and what is there then.
#[track_caller]
fn check_made(found: fn() -> Result<Option<Bytes>, RegistryError>, expect: Result<bool, &str>) {
    let (remote, waiting) = remote();
    answering(waiting);
    let made = remote.make(b"mine", |_| async { Err(slow()) }, move |_| async move { found() });
    assert_eq!(made.map_err(|it| it.to_string()), expect.map_err(str::to_owned));
}

#[test]
fn what_may_have_been_made_is_looked_at() {
    let says = "s3://bucket/p: no answer within 5s";
    check_made(|| Ok(Some(Bytes::from_static(b"mine"))), Ok(true));
    check_made(|| Ok(Some(Bytes::from_static(b"another's"))), Ok(false));
    check_made(|| Ok(None), Err(says));
    check_made(|| Err(slow()), Err(says));
    // Nothing is asked of a store that is left alone.
    let (remote, waiting) = remote();
    *remote.away.lock().expect("nobody panicked") = Some((Instant::now() + LONG, says.to_owned()));
    let made = remote.make(b"mine", |_| async { Ok(true) }, |_| async { Ok(None) });
    assert_eq!(made.expect_err("it is away").to_string(), says);
    assert!(waiting.try_recv().is_err(), "nothing was asked");
}

#[test]
fn a_call_that_has_not_ended_keeps_nobody_waiting() {
    let (remote, waiting) = remote();
    remote.calls.try_send(Box::new(|_, _| {})).expect("there is room");
    let error = remote.call(|_| async { Ok(()) }).expect_err("it is full");
    assert_eq!(error.to_string(), "s3://bucket/p: the call before has not ended");
    drop(waiting);
    *remote.away.lock().expect("nobody panicked") = None;
    let error = remote.call(|_| async { Ok(()) }).expect_err("nobody is there");
    assert_eq!(error.to_string(), "s3://bucket/p: its thread has ended");
}

#[test]
fn what_nobody_would_read_is_not_written() {
    let (remote, waiting) = remote();
    let large = vec![b' '; ENTRY_BYTES_MAX + 1];
    let errors = [remote.create("x/1", &large).map(drop), remote.replace("x/1", &large)];
    for it in errors {
        let error = it.expect_err("too large").to_string();
        assert_eq!(error, "s3://bucket/p: x/1 has 4194305 bytes, at most 4194304");
    }
    assert!(waiting.try_recv().is_err(), "nothing was asked");
}
