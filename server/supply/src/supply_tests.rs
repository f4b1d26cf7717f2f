use super::*;

use std::sync::Mutex;

use crate::fixture::{Wants, stock};

/// Threads that have given way.
static GAVE_WAY: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn give_way() {
    let name = thread::current().name().unwrap_or_default().to_owned();
    GAVE_WAY.lock().expect("not poisoned").push(name);
}

#[test]
fn the_thread_that_starts_the_others_gives_way() {
    let root = tempfile::tempdir().expect("scratch");
    let stock = stock(root.path());
    let prepared = Prepared::new(stock, Vec::new()).expect("a folder");
    prepared.start(Box::new(Wants::default()), give_way).expect("a thread").stop();
    assert_eq!(*GAVE_WAY.lock().expect("not poisoned"), ["supply"]);
}
