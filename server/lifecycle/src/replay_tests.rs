use std::sync::atomic::{AtomicUsize, Ordering};

use backend_api::Tensor;

use super::*;
use crate::house::{House, constant, house_with};

/// What version 1 has answered: as many requests as are taken, all with that.
#[derive(Debug)]
struct Log {
    answers: f32,
    taken: AtomicUsize,
    fails: Option<io::ErrorKind>,
    skips: bool,
}

impl Log {
    fn of(answers: f32) -> Log {
        Log { answers, taken: AtomicUsize::new(0), fails: None, skips: false }
    }
}

fn logged(number: usize, answer: f32) -> Logged {
    let named = |name: &str, it: f32| {
        vec![(name.to_owned(), Tensor::from_elements(&[1, 1], &[it]).expect("one"))]
    };
    Logged { id: format!("r{number}"), inputs: named("x", 0.5), outputs: named("y", answer) }
}

impl Requests for Log {
    fn newest(
        &self,
        (model, version): (&ModelName, Version),
        most: usize,
        take: &mut dyn FnMut(Result<Logged, String>) -> ControlFlow<()>,
    ) -> io::Result<()> {
        assert_eq!((model.as_str(), version, most), ("m", Version(1), 3));
        if let Some(kind) = self.fails {
            return Err(kind.into());
        }
        loop {
            let number = self.taken.fetch_add(1, Ordering::Relaxed);
            let it = logged(number, self.answers);
            let it = if self.skips { Err("an input is hashed".to_owned()) } else { Ok(it) };
            if take(it).is_break() {
                return Ok(());
            }
        }
    }
}

/// A house in which version 1 answers 1, with that log.
async fn house(log: Option<Log>, toml: &str) -> House {
    let files =
        [("m/1/model.fake", constant(1)), ("m/model.toml", format!("[proof]\nreplay = 3\n{toml}"))];
    let files: Vec<(&str, &str)> = files.iter().map(|it| (it.0, it.1.as_str())).collect();
    let requests = log.map(|it| Arc::new(it) as Arc<dyn Requests>);
    let house = house_with(&files, |it| it.requests = requests);
    house.shows("m/1:AVAILABLE").await;
    house
}

/// What the version that answers now has shown.
fn fact(house: &House) -> String {
    let table = house.serving.table();
    let servable = table.model("m").and_then(|it| it.ready().last()).expect("answers");
    servable.plan().facts.get("proof.replay").cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_version_that_answers_as_it_was_logged_takes_over() {
    let house = house(Some(Log::of(2.0)), "replay_difference_max = 0").await;
    assert_eq!(fact(&house), "nothing was asked: no version was in service");
    house.put("m/2/model.fake", &constant(2));
    house.shows("m/1:END m/2:AVAILABLE").await;
    let words = "3 requests, 3 rows, 0 of another class, 0 off, largest difference 0.000e0; as version 1 \
                 has answered";
    assert_eq!(fact(&house), words);
}

#[tokio::test]
async fn one_that_answers_otherwise_leaves_the_old_one_serving() {
    let house = house(Some(Log::of(1.0)), "replay_difference_max = 0.5").await;
    house.put("m/2/model.fake", &constant(2));
    house.shows("m/1:AVAILABLE m/2:END").await;
    let reason = house.reason(2);
    let words = "logged requests are answered otherwise: a number differs by 1.000e0, and 5.000e-1 is \
                 allowed: request r0 row 0, 'y' was 1, is 2";
    assert_eq!(reason, words);
    assert_eq!(house.ask("").await, Ok(1.0));
}

#[tokio::test]
async fn without_limits_it_only_has_to_answer() {
    let house = house(Some(Log::of(1.0)), "same_signature = false").await;
    house.put("m/2/model.fake", "input z FP32 rows,1\noutput y FP32 rows,1 = constant 1\n");
    house.shows("m/1:AVAILABLE m/2:END").await;
    assert!(house.reason(2).contains("3 of 3 requests fail, r0 so: input 'z' is missing"));
    house.put("m/3/model.fake", &constant(7));
    house.shows("m/1:END m/2:END m/3:AVAILABLE").await;
    assert!(fact(&house).contains("3 off, largest difference 6.000e0"), "{}", fact(&house));
}

#[tokio::test]
async fn who_goes_back_is_asked_nothing() {
    let house = house_with(
        &[
            ("m/2/model.fake", &constant(2)),
            ("m/model.toml", "version_policy = \"all\"\n[proof]\nreplay = 3\n"),
        ],
        |it| it.requests = Some(Arc::new(Log::of(9.0))),
    );
    house.shows("m/2:AVAILABLE").await;
    house.put("m/1/model.fake", &constant(1));
    house.shows("m/1:AVAILABLE m/2:AVAILABLE").await;
    let table = house.serving.table();
    let servable = table.model("m").and_then(|it| it.ready().first()).expect("answers");
    let words = "nothing was asked: version 2, which was in service, is newer";
    assert_eq!(servable.plan().facts["proof.replay"], words);
}

#[tokio::test]
async fn what_cannot_be_asked_refuses_nobody() {
    for (log, expect) in [
        (None, "nothing was asked: this server keeps no Parquet files of its log"),
        (
            Some(Log { skips: true, ..Log::of(1.0) }),
            "nothing was asked: version 1 has no logged request that can be (30: an input is hashed)",
        ),
    ] {
        let house = house(log, "replay_flips_max = 0").await;
        house.put("m/2/model.fake", &constant(2));
        house.shows("m/1:END m/2:AVAILABLE").await;
        assert_eq!(fact(&house), expect);
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_read_again() {
    let log = Log { fails: Some(io::ErrorKind::TimedOut), ..Log::of(1.0) };
    let house = house(Some(log), "").await;
    house.put("m/2/model.fake", &constant(2));
    house.says(2, |it| it.starts_with("the prediction log cannot be read: ")).await;
    assert_eq!(house.ask("").await, Ok(1.0));
}
