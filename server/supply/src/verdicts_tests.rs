use super::*;

use std::cell::RefCell;
use std::future::pending;

use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::fixture::{model, target, uri};

fn decided() -> Decided {
    Decided {
        model: model("wine"),
        version: Version(3),
        verdict: "rolled_back",
        words: "é".repeat(WORDS_MAX + 1),
        at: 1_795_300_000_000,
        serves: Some(Version(2)),
        only_from: Some(Version(3)),
        evidence: vec!["{}".to_owned()],
    }
}

/// Of a version of a model.
fn of(name: &str, version: u64) -> Decided {
    Decided { model: model(name), version: Version(version), ..decided() }
}

/// Wine and beer of one registry, bread of another; verdicts on wine are kept as files, too.
fn verdicts() -> (Verdicts, Taken) {
    let wine = Target {
        verdicts: Some(uri("s3://kept/verdicts")),
        ..target("wine", uri("mlflow://silent/wine@champion"))
    };
    let beer = target("beer", uri("mlflow://silent/beer@champion"));
    Verdicts::new(&[wine, beer, target("bread", uri("mlflow://well/bread@champion"))])
}

fn is_silent(errand: &Errand) -> bool {
    errand.way.uri().as_str().contains("silent")
}

/// What an errand is, in short.
fn name(errand: &Errand) -> String {
    format!("{} {}", errand.way.uri(), errand.decided.version)
}

#[test]
fn a_registry_that_does_not_answer_holds_up_no_files() {
    let (verdicts, taken) = verdicts();
    (1..=2).for_each(|it| verdicts.offer(of("wine", it)));
    let kept = RefCell::new(Vec::new());
    let run = async |it: &Errand| match &it.way {
        Way::Tell { .. } => pending().await,
        Way::Keep(_) => kept.borrow_mut().push(it.decided.version),
    };
    assert!(in_turn(taken, &run).now_or_never().is_none());
    assert_eq!(*kept.borrow(), [Version(1), Version(2)], "nor the files of the next verdict");
}

/// What hears of a verdict while all that is `silent` never answers, if each model's verdicts go there, too.
fn heard(models: &[(&str, &str, &str)]) -> Vec<String> {
    let target =
        |it: &(&str, &str, &str)| Target { verdicts: Some(uri(it.2)), ..target(it.0, uri(it.1)) };
    let (verdicts, taken) = Verdicts::new(&models.iter().map(target).collect::<Vec<_>>());
    (1..=2).for_each(|n| models.iter().for_each(|it| verdicts.offer(of(it.0, n))));
    let heard = RefCell::new(Vec::new());
    let run = async |it: &Errand| match is_silent(it) {
        true => pending().await,
        false => heard.borrow_mut().push(name(it)),
    };
    assert!(in_turn(taken, &run).now_or_never().is_none());
    heard.take()
}

#[test]
fn a_place_that_is_silent_holds_up_no_other() {
    let wine = ("wine", "file:/models/wine", "file:/silent");
    let beer = ("beer", "file:/models/beer", "file:/kept");
    assert_eq!(heard(&[wine, beer]), ["file:/kept 1", "file:/kept 2"], "nor is the source told");
    let wine = ("wine", "s3://models/wine", "s3://silent/x");
    let beer = ("beer", "s3://models/beer", "s3://kept/x");
    assert_eq!(heard(&[wine, beer]), ["s3://kept/x 1", "s3://kept/x 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_silent_holds_up_none_but_itself() {
    let (verdicts, taken) = verdicts();
    for it in [of("beer", 1), of("wine", 2), of("beer", 3), of("bread", 4), of("bread", 5)] {
        verdicts.offer(it);
    }
    drop(verdicts);
    let (start, done) = (Instant::now(), RefCell::new(Vec::new()));
    let run = async |it: &Errand| {
        let ask = async || {
            if !is_silent(it) {
                return Ok(Told::Whole);
            }
            sleep(Duration::from_secs(30)).await;
            Err(RegistryError::Slow("not within 30 s".to_owned()))
        };
        insist(&it.decided, ask).await;
        done.borrow_mut().push((start.elapsed().as_secs(), name(it)));
    };
    in_turn(taken, &run).await;
    let mut done: Vec<String> = done.take().iter().map(|(at, it)| format!("{at} {it}")).collect();
    done[..3].sort();
    // Eight tries of half a minute, and pauses of 1 + 2 + 4 + .. + 32 + 60 seconds between them.
    let expect = [
        "0 mlflow://well/bread@champion 4",
        "0 mlflow://well/bread@champion 5",
        "0 s3://kept/verdicts 2",
        "363 mlflow://silent/beer@champion 1",
        "726 mlflow://silent/wine@champion 2",
        "1089 mlflow://silent/beer@champion 3",
    ];
    assert_eq!(done, expect);
}

#[test]
fn a_queue_that_is_full_takes_nobody_elses_room() {
    let (verdicts, mut taken) = verdicts();
    (0..100).for_each(|it| verdicts.offer(of("beer", it)));
    verdicts.offer(of("wine", 2));
    verdicts.offer(of("bread", 4));
    verdicts.offer(of("nobody", 5));
    let mut waiting = Vec::new();
    for queue in &mut taken.0 {
        waiting.push(std::iter::from_fn(|| queue.try_recv().ok()).count());
    }
    assert_eq!(waiting, [WAITING_MAX, 1, 1], "of the silent one, of files, of the other");
}

#[test]
fn a_verdict_says_what_why_and_when() {
    let decided = decided();
    let told = verdict(Some(&"champion".to_owned()), &decided);
    assert_eq!(told.evidence, ["{}"]);
    let alias = Alias { name: "champion".to_owned(), to: 2, only_from: Some(3) };
    assert_eq!((told.version, told.alias), (3, Some(alias)));
    let value = |key: &str| told.tags.iter().find(|it| it.0 == key).map(|it| it.1.clone());
    assert_eq!(value("salver.verdict").as_deref(), Some("rolled_back"));
    assert_eq!(value("salver.verdict.at").as_deref(), Some("1795300000000"));
    let words = value("salver.verdict.reason").unwrap_or_default();
    assert_eq!(words.chars().count(), WORDS_MAX);
    assert_eq!(verdict(None, &decided).alias, None);
}
