//! Pulls a model into a folder: the puller alone, for `loadtest/bench/pull.py --pullers`.
//!
//! `cargo run --release -p server-registry --no-default-features --example pull -- URL FOLDER`

use std::path::Path;

use server_registry::{
    AddressPolicy, Cache, Environment, Limits, Lock, Puller, Registries, SignaturePolicy, Silent,
    Uri,
};
use tokio::runtime::Builder;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let uri: Uri = arguments.next().expect("an address").parse().expect("an address");
    let folder = arguments.next().expect("a folder");
    let cache = Cache::open(Path::new(&folder), u64::MAX).expect("a cache");
    let environment = Environment::default();
    let limits = Limits::default();
    let registries = Registries::new(environment, None, AddressPolicy::default(), limits);
    let puller = Puller {
        registries: &registries,
        cache: &cache,
        lock: &Lock::default(),
        signatures: &SignaturePolicy::Ignored,
        progress: &Silent,
    };
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(puller.pull(&uri)).expect("a model");
}
