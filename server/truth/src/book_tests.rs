use super::*;
use crate::fixture::{model, of_classes};
use crate::label::Given;

use std::time::Duration;

use server_base::{FindingKind, Metric, TruthConfig};

const SECOND: i64 = 1_000_000;

/// Windows of ten seconds, labels for a minute.
fn config() -> TruthConfig {
    TruthConfig {
        window: Duration::from_secs(10),
        horizon: Duration::from_secs(60),
        rows_min: 2,
        limits: vec![(Metric::Accuracy, 0.6)],
        ..TruthConfig::default()
    }
}

struct House {
    book: Book,
    now_us: i64,
}

impl House {
    fn new(versions: &[u64]) -> House {
        let mut book = Book::new(1 << 20);
        versions.iter().for_each(|it| drop(book.open(&model(), of_classes(*it, 2, &config()))));
        House { book, now_us: 1_000 * SECOND }
    }

    /// Version `version` says of `id` that it is of that class, now.
    fn says(&mut self, version: u64, id: &str, class: usize) -> bool {
        let scores = if class == 1 { [0.25, 0.75] } else { [0.75, 0.25] };
        let guess = Guess::Scores(scores.into_iter().collect());
        let row = Row { id, row: 0, version: Version(version), time_us: self.now_us, guess };
        self.book.predicted(&model(), row, self.now_us)
    }

    fn truth(&mut self, id: &str, class: u32) -> Joined {
        let label = Label::new(id, 0, Given::Number(f64::from(class)), None).expect("a label");
        self.book.labelled(&model(), &label, self.now_us)
    }

    fn later(&mut self, seconds: i64) -> Vec<Finding> {
        self.now_us += seconds * SECOND;
        self.book.tick(self.now_us)
    }

    /// Predicted, labelled and accuracy of what is open.
    fn so_far(&self, version: u64) -> (u64, u64, Option<f64>) {
        let shown = self.book.shown("wine", Some(Version(version))).expect("it is judged");
        let so_far = &shown["versions"][0]["so_far"];
        let number = |key: &str| so_far[key].as_u64().expect(key);
        (number("predicted"), number("labelled"), so_far["metrics"]["accuracy"].as_f64())
    }
}

#[test]
fn a_label_meets_its_prediction_whichever_comes_first() {
    let mut house = House::new(&[1]);
    house.says(1, "a", 1);
    house.says(1, "b", 1);
    assert_eq!(house.truth("a", 1), Joined::Now);
    assert_eq!(house.so_far(1), (2, 1, Some(1.0)));
    assert_eq!(house.truth("c", 1), Joined::Waits);
    house.says(1, "c", 0);
    assert_eq!(house.so_far(1), (3, 2, Some(0.5)));
    assert_eq!(house.truth("c", 0), Joined::Again);
    assert_eq!(house.so_far(1), (3, 2, Some(1.0)), "the last one counts");
    // The same request once more: its last answer counts.
    house.says(1, "a", 0);
    assert_eq!(house.so_far(1), (3, 2, Some(0.5)));
}

#[test]
fn a_label_that_is_early_waits_for_ten_minutes() {
    let mut house = House::new(&[1]);
    house.truth("a", 1);
    house.truth("b", 1);
    house.later(599);
    house.says(1, "a", 1);
    house.later(1);
    house.says(1, "b", 1);
    assert_eq!(house.so_far(1), (2, 1, Some(1.0)));
}

#[test]
fn a_window_is_told_when_labels_have_had_their_time() {
    let mut house = House::new(&[1]);
    for (id, class) in [("a", 1), ("b", 1), ("c", 0), ("d", 0)] {
        house.says(1, id, class);
    }
    house.truth("a", 1);
    assert_eq!(house.later(69), []);
    house.truth("b", 0);
    house.truth("c", 1);
    let found = house.later(1);
    let [found] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((found.kind, found.version, found.rows), (FindingKind::Performance, Version(1), 3));
    assert!(found.is_alarm && found.subjects == ["accuracy"], "{found:?}");
    assert_eq!(found.text, "accuracy is 0.3333, less than 0.6: of 3 labelled rows of 4");
    assert_eq!(found.to.duration_since(found.from).expect("later"), Duration::from_secs(10));
    assert!(found.evidence.contains("\"join_rate\":0.75"), "{}", found.evidence);
    assert_eq!(house.truth("d", 0), Joined::Waits, "it is too late for that");
    assert_eq!(house.later(1), [], "once");
    assert_eq!(house.so_far(1), (0, 0, None));
}

#[test]
fn few_rows_and_good_ones_are_no_alarm() {
    let mut house = House::new(&[1]);
    house.says(1, "a", 1);
    house.truth("a", 0);
    assert!(house.later(70).iter().all(|it| !it.is_alarm && it.rows == 1));
    for id in ["a", "b", "c"] {
        house.says(1, id, 1);
        house.truth(id, 1);
    }
    let found = house.later(80);
    assert!(found.len() == 1 && !found[0].is_alarm, "{found:?}");
    assert!(found[0].text.starts_with("accuracy 1.0000, log_loss 0.2877"), "{}", found[0].text);
    house.says(1, "a", 1);
    let found = house.later(80);
    assert_eq!(found[0].text, "nothing to tell: of 0 labelled rows of 1");
}

#[test]
fn a_prediction_that_comes_too_late_is_none() {
    let mut house = House::new(&[1]);
    let now = house.now_us;
    house.now_us -= 71 * SECOND;
    assert!(house.says(1, "a", 1));
    let at = house.now_us;
    house.now_us = now;
    house.later(0);
    let guess = Guess::Scores([0.5, 0.5].into_iter().collect());
    let row = Row { id: "a", row: 0, version: Version(1), time_us: at, guess };
    assert!(!house.book.predicted(&model(), row, now));
    assert!(!house.says(2, "a", 1), "no such version");
}

#[test]
fn memory_is_bounded_and_the_oldest_go_first() {
    let mut house = House::new(&[1]);
    house.book = Book::new(4_096);
    house.book.open(&model(), of_classes(1, 2, &config()));
    for n in 0..1_000 {
        house.says(1, &n.to_string(), 1);
        assert!(house.book.bytes() <= 4_096);
    }
    assert_eq!(house.truth("0", 1), Joined::Waits, "forgotten");
    assert_eq!(house.truth("999", 1), Joined::Now);
    assert_eq!(house.so_far(1), (1_000, 1, Some(1.0)), "what was counted stays so");
}

#[test]
fn a_fifth_version_takes_the_place_of_the_first() {
    let mut house = House::new(&[1, 2, 3, 4, 5]);
    house.truth("a", 1);
    (1..=5).for_each(|it| assert!(house.says(it, "a", 1)));
    let all = [1, 2, 3, 4, 5].map(|it| house.so_far(it));
    let counts = (1, 1, Some(1.0));
    assert_eq!(all, [(0, 0, None), counts, counts, counts, counts]);
}

/// Windows are looked at now and then.
#[test]
fn what_comes_between_the_end_and_the_verdict_takes_nothing_away() {
    let mut house = House::new(&[1]);
    house.says(1, "a", 1);
    house.says(1, "b", 1);
    house.truth("a", 1);
    house.truth("b", 0);
    house.now_us += 70 * SECOND;
    house.truth("a", 0);
    house.truth("b", 1);
    assert_eq!(house.so_far(1), (2, 2, Some(0.5)));
    let found = house.later(0);
    assert_eq!(found.iter().map(|it| it.rows).collect::<Vec<_>>(), [2], "{found:?}");
}

#[test]
fn a_label_that_was_late_is_no_first_one() {
    let mut house = House::new(&[1]);
    house.says(1, "a", 1);
    let label = Label::new("a", 0, Given::Number(1.0), None).expect("a label");
    let until = house.now_us + 70 * SECOND;
    assert_eq!(house.book.recorded(&model(), &label, until), Place::Late);
    assert_eq!(house.truth("a", 1), Joined::Now, "it is the first that counts");
    assert_eq!(house.truth("a", 0), Joined::Again);
    assert_eq!(house.so_far(1), (1, 1, Some(0.0)));
}

#[test]
fn another_configuration_begins_anew() {
    let mut house = House::new(&[1]);
    house.says(1, "a", 1);
    house.truth("a", 1);
    house.book.open(&model(), of_classes(1, 2, &config()));
    assert_eq!(house.so_far(1), (1, 1, Some(1.0)), "the same goes on");
    let other = TruthConfig { window: Duration::from_secs(5), ..config() };
    house.book.open(&model(), of_classes(1, 2, &other));
    assert_eq!(house.so_far(1), (0, 0, None));
    // What is known of before is not mixed in.
    assert_eq!(house.truth("a", 0), Joined::Again);
    assert_eq!(house.so_far(1), (0, 0, None));
}

#[test]
fn versions_are_compared_since_the_stage_began() {
    let mut house = House::new(&[1, 2]);
    house.says(1, "before", 1);
    house.later(1);
    let watch = Watch::new(house.now_us, Version(1), Version(2));
    house.book.watch("wine", Some(watch));
    house.says(1, "s", 1);
    house.says(2, "c", 0);
    house.says(1, "both", 1);
    house.says(2, "both", 0);
    for id in ["before", "s", "c", "both"] {
        house.truth(id, 1);
    }
    let of = |it: server_rollout::Moments| (it.n, it.mean);
    let labels = house.book.losses("wine");
    assert_eq!(
        (of(labels.stable), of(labels.canary), of(labels.paired)),
        ((1, 0.0), (1, 1.0), (1, 1.0))
    );
    // A label that is corrected takes its loss along.
    house.truth("both", 0);
    house.truth("c", 0);
    let labels = house.book.losses("wine");
    assert_eq!((of(labels.canary), of(labels.paired)), ((1, 0.0), (1, -1.0)));
    house.book.watch("wine", None);
    assert_eq!(house.book.losses("wine"), server_rollout::Labels::default());
}

/// Rows of one window, of which so many are wrong; and what is found when its labels have had their time.
fn window_of(house: &mut House, (rows, wrong): (u64, u64)) -> Vec<Finding> {
    for row in 0..rows {
        let id = format!("{} {row}", house.now_us);
        house.says(1, &id, 1);
        house.truth(&id, u32::from(row >= wrong));
    }
    house.later(80)
}

#[test]
fn a_version_is_held_against_its_own_first_rows() {
    let config = TruthConfig {
        reference_rows: Some(300),
        changes: vec![(Metric::Accuracy, 0.05)],
        false_alarm_windows: 100.0,
        limits: Vec::new(),
        ..config()
    };
    let mut house = House::new(&[]);
    drop(house.book.open(&model(), of_classes(1, 2, &config)));
    for _ in 0..3 {
        let found = window_of(&mut house, (100, 10));
        assert_eq!(found.len(), 1, "there is no reference yet: {found:?}");
    }
    let kept = house.book.changed().pop().expect("to be written down").2;
    assert!(house.book.changed().is_empty(), "once");
    let [performance, concept] = &window_of(&mut house, (100, 12))[..] else { panic!("two") };
    assert!(!performance.is_alarm && !concept.is_alarm, "{performance:?} {concept:?}");
    assert_eq!((concept.kind, concept.rows), (FindingKind::ConceptDrift, 100));
    // After a restart it is held against the same.
    let mut house = House { now_us: house.now_us, ..House::new(&[]) };
    drop(house.book.open(&model(), of_classes(1, 2, &config)));
    house.book.resume(&model(), Version(1), kept);
    let [performance, concept] = &window_of(&mut house, (100, 40))[..] else { panic!("two") };
    assert_eq!(
        performance.text,
        "accuracy is 0.6000, less than 0.8500: it was 0.9000 in the reference: of 100 labelled rows of 100"
    );
    assert!(performance.is_alarm && concept.is_alarm && concept.subjects == ["error"]);
    let start = "the error is 0.4000 of 100 rows since 1320, +0.3000 against 0.1000 of 300 rows of the \
                 reference: evidence ";
    assert!(concept.text.starts_with(start), "{}", concept.text);
    let shown = house.book.shown("wine", None).expect("it is judged");
    assert_eq!(shown["versions"][0]["reference"]["of"]["rows"], 300);
}
