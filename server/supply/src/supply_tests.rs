use super::*;

use std::sync::Mutex;

use server_registry::{AddressPolicy, Environment, Limits};

/// Threads that have given way.
static GAVE_WAY: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn give_way() {
    let name = thread::current().name().unwrap_or_default().to_owned();
    GAVE_WAY.lock().expect("not poisoned").push(name);
}

struct Quiet;

impl World for Quiet {
    fn fate(&self, _: &ModelName, _: Version) -> Fate {
        Fate::Idle
    }

    fn wanted(&self) -> Vec<(ModelName, Version)> {
        Vec::new()
    }

    fn failed(&self) -> Vec<(ModelName, Version)> {
        Vec::new()
    }

    fn faults(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

#[test]
fn the_thread_that_starts_the_others_gives_way() {
    let root = tempfile::tempdir().expect("scratch");
    let cache = Cache::open(&root.path().join("cache"), 1 << 30).expect("a cache");
    let policy = AddressPolicy::default();
    let registries = Registries::new(Environment::default(), None, policy, Limits::default());
    let (lock, signatures) = (Lock::default(), SignaturePolicy::Ignored);
    let stock = Stock { registries, cache, lock, signatures, artifacts: Vec::new() };
    let prepared = Prepared::new(stock, Vec::new()).expect("a folder");
    prepared.start(Box::new(Quiet), give_way).expect("a thread").stop();
    assert_eq!(*GAVE_WAY.lock().expect("not poisoned"), ["supply"]);
}
