//! What finding a request's version costs: `cargo run --release -p server-serving --example route_cost`.
//!
//! One model of two versions among a thousand others, asked for in every way that there is. The
//! nanoseconds include the snapshot of the table and the request's books, which every way needs.

#![expect(clippy::print_stdout, reason = "it says what it measured")]

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backend_api::{Backend as _, Model, Options};
use backend_fake::Fake;
use server_base::{ModelName, Protocol, Version, VersionChoice};
use server_serving::metrics::RequestMetrics;
use server_serving::{
    Admission, AdmissionLimits, Caller, Cores, ModelEntry, Parameter, Plan, Servable, Serving,
    Sticky, Table, Traffic, WarmUp, Workers,
};

const OTHERS: usize = 1_000;
const REQUESTS: u32 = 1_000_000;
const ROUNDS: usize = 9;
const SCRIPT: &str = "input x FP32 rows,2\noutput y FP32 rows,2 = double x\n";

/// Somebody with the headers of an ordinary request.
struct User(&'static [(&'static str, &'static str)]);

impl Caller for User {
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(it, _)| *it == name).map(|(_, value)| value.as_bytes())
    }

    fn parameter(&self, _name: &str) -> Parameter<'_> {
        Parameter::None
    }
}

const USER: User = User(&[
    ("content-type", "application/grpc"),
    ("user-agent", "grpc-python/1.70.0 grpc-c/45.0.0"),
    ("te", "trailers"),
    ("x-user", "4f3c2b1a-0001-7000-8000-00000000002a"),
]);

fn plan() -> Plan {
    Plan::plain("fake_script", Duration::from_secs(60))
}

fn start(name: &ModelName, version: u64) -> Result<Workers, Box<dyn Error>> {
    let file = format!("salver-route-cost-{}.fake", std::process::id());
    let artifact = std::env::temp_dir().join(file);
    std::fs::write(&artifact, SCRIPT)?;
    let model: Arc<dyn Model> = Fake::new().load(&artifact, &Options::default())?.into();
    std::fs::remove_file(&artifact)?;
    let signature = model.signature().clone();
    let warm_up: WarmUp = Arc::new(|_| Ok(()));
    let given = (name.clone(), Version(version));
    Ok(Servable::start(given, (model, signature), plan(), &Cores::new(2), &warm_up)?)
}

fn entry(name: &ModelName, ready: &[Workers]) -> ModelEntry {
    let ready: Vec<_> = ready.iter().map(|it| Arc::clone(it.servable())).collect();
    let known = ready.iter().map(|it| it.version()).collect();
    let labels = vec![("stable".into(), Version(1)), ("canary".into(), Version(2))];
    ModelEntry::new(ready, known, labels, Arc::new(RequestMetrics::of_model(name)))
}

/// Nanoseconds a request, the least of some rounds: what disturbs only ever adds.
fn measure(serving: &Serving, choice: &VersionChoice) -> Result<f64, Box<dyn Error>> {
    let mut least = f64::INFINITY;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for _ in 0..REQUESTS {
            let mut trip = serving.trip(Protocol::Grpc);
            let found = serving.address(black_box("m"), choice, (&USER, &mut trip))?;
            black_box((found.version(), &trip));
        }
        least = least.min(began.elapsed().as_secs_f64() * 1e9 / f64::from(REQUESTS));
    }
    Ok(least)
}

fn main() -> Result<(), Box<dyn Error>> {
    let name = ModelName::new("m")?;
    let workers = [start(&name, 1)?, start(&name, 2)?];
    let serving = Serving::new(Admission::new(AdmissionLimits::default()));
    let shares = BTreeMap::from([(Version(1), 90), (Version(2), 10)]);
    let sticky = Sticky::Header("x-user".into());
    let traffic = |sticky| Traffic::new(&name, &shares, sticky);
    let ways = [
        ("the newest", None, VersionChoice::Any),
        ("by number", None, VersionChoice::Exact(Version(1))),
        ("by label", None, VersionChoice::Label("canary".into())),
        ("by weight", traffic(None), VersionChoice::Any),
        ("by weight, sticky", traffic(Some(&sticky)), VersionChoice::Any),
    ];
    let mut base = None;
    println!("| way | ns a request | more than the newest |\n|---|---|---|");
    for (way, traffic, choice) in ways {
        let mut models = HashMap::new();
        for other in 0..OTHERS {
            let other = ModelName::new(&format!("other-{other}"))?;
            models.insert(other.clone(), entry(&other, &workers[..1]));
        }
        models.insert(name.clone(), entry(&name, &workers).with_traffic(traffic));
        serving.publish(Table::new(models));
        let took = measure(&serving, &choice)?;
        println!("| {way} | {took:.0} | {:.0} |", took - *base.get_or_insert(took));
    }
    Ok(())
}
