use std::sync::Mutex;

use server_base::{LogConfig, LowConfidence, Share};
use smallvec::smallvec;

use super::*;
use crate::traffic::Parameter;

#[derive(Default)]
struct Kept {
    config: LogConfig,
    offered: Mutex<Vec<Record>>,
}

impl VersionLog for Kept {
    fn config(&self) -> &LogConfig {
        &self.config
    }

    fn offer(&self, record: &Record) {
        self.offered.lock().expect("no panics").push(record.clone());
    }

    fn commit(&self, record: &Record, _: Told) {
        self.offer(record);
    }
}

struct Nobody;

impl Caller for Nobody {
    fn header(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn parameter(&self, _name: &str) -> Parameter<'_> {
        Parameter::None
    }
}

/// Two versions may take the same inputs in another order: what was gathered for one is nothing to
/// the other.
#[test]
fn a_request_that_is_routed_again_brings_nothing_of_the_first_version() {
    let logs = [Arc::new(Kept::default()), Arc::new(Kept::default())];
    let [first, second] = logs.each_ref().map(|it| Arc::clone(it) as Arc<dyn VersionLog>);
    let begin = |place: &mut Option<Draft>, log| {
        Draft::begin(place, log, Instant::now(), (Protocol::Http, &Nobody));
    };
    let mut place = None;
    begin(&mut place, &first);
    let ours: Inputs = smallvec![Tensor::from_elements(&[3], &[1_i32, 2, 3]).expect("fits")];
    place.as_mut().expect("begun").takes(&ours, (3, 100), Route::Shared);
    begin(&mut place, &second);
    place.take().expect("begun").finish(Some((Kind::Invalid, "x".into())), Duration::ZERO);
    assert_eq!(logs[0].offered.lock().expect("no panics").len(), 0);
    let offered = logs[1].offered.lock().expect("no panics");
    let shown: Vec<_> =
        offered.iter().map(|it| (it.inputs.len(), it.rows, it.held, it.route)).collect();
    assert_eq!(shown, [(0, 1, 0, Route::Direct)]);
}

struct Replaying;

impl Caller for Replaying {
    fn header(&self, name: &str) -> Option<&[u8]> {
        (name == REPLAY_HEADER).then_some(b"1")
    }

    fn parameter(&self, _name: &str) -> Parameter<'_> {
        Parameter::None
    }
}

/// What becomes of a request that is asked by `caller` and answered with these probabilities.
fn ended(
    config: LogConfig,
    caller: &dyn Caller,
    (answer, took_ms): (&[f32], u64),
) -> Option<Record> {
    let kept = Arc::new(Kept { config, ..Kept::default() });
    let log = Arc::clone(&kept) as Arc<dyn VersionLog>;
    let mut place = None;
    Draft::begin(&mut place, &log, Instant::now(), (Protocol::Http, caller));
    let mut draft = place.expect("begun");
    let tensor = Tensor::from_elements(&[1, answer.len()], answer).expect("fits");
    draft.takes(&smallvec![tensor.clone()], (1, 0), Route::Shared);
    draft.answered(&[tensor], &Timing::default());
    draft.finish(None, Duration::from_millis(took_ms));
    kept.offered.lock().expect("no panics").pop()
}

fn rules(sample: f64) -> LogConfig {
    let share = |it| Share::new(it).expect("a share");
    LogConfig {
        sample: share(sample),
        slow_over: Some(Duration::from_millis(5)),
        low_confidence: Some(LowConfidence { output: "p".into(), place: 0, below: share(0.6) }),
        ..LogConfig::default()
    }
}

#[test]
fn rules_keep_what_the_sample_does_not_and_are_sure_to() {
    let (sure, unsure): (&[f32], &[f32]) = (&[0.9, 0.1], &[0.5, 0.5]);
    for (sample, answer, took_ms, expect) in [
        (0.0, sure, 0, None),
        (0.0, unsure, 0, Some((Reason::LowConfidence, 1.0))),
        (0.0, sure, 9, Some((Reason::Slow, 1.0))),
        (0.0, unsure, 9, Some((Reason::Slow, 1.0))),
        (1.0, sure, 0, Some((Reason::Uniform, 1.0))),
        // A fair part of the traffic, as those who count the sample alone need it.
        (1.0, unsure, 9, Some((Reason::Uniform, 1.0))),
    ] {
        let record = ended(rules(sample), &Nobody, (answer, took_ms));
        let got = record.as_ref().map(|it| (it.reason, it.probability));
        assert_eq!(got, expect, "{sample} {answer:?} {took_ms}");
        assert!(record.is_none_or(|it| it.inputs.len() == 1 && it.outputs.len() == 1));
    }
    // Sampled at a half, and kept by a rule: it was sure to be here.
    let halves: Vec<_> = (0..64).filter_map(|_| ended(rules(0.5), &Nobody, (unsure, 0))).collect();
    assert_eq!(halves.len(), 64);
    assert!(halves.iter().all(|it| it.probability == 1.0));
    let by_rule = halves.iter().filter(|it| it.reason == Reason::LowConfidence).count();
    assert!((8..=56).contains(&by_rule), "{by_rule} of 64");
    assert_eq!(
        halves.len() - by_rule,
        halves.iter().filter(|it| it.reason == Reason::Uniform).count()
    );
}

#[test]
fn a_replay_is_logged_as_one() {
    let all = LogConfig::default;
    let route = |caller: &dyn Caller| ended(all(), caller, (&[1.0], 0)).map(|it| it.route);
    assert_eq!(route(&Nobody), Some(Route::Shared));
    assert_eq!(route(&Replaying), Some(Route::Replay));
    let log = Arc::new(Kept::default()) as Arc<dyn VersionLog>;
    for (caller, expect) in [(&Nobody as &dyn Caller, Route::Shadow), (&Replaying, Route::Replay)] {
        let mut place = None;
        Draft::begin(&mut place, &log, Instant::now(), (Protocol::Http, caller));
        let copy = place.expect("begun").shadow(Some(&log), &smallvec![]).expect("sampled");
        assert_eq!((copy.record.route, copy.record.pair.is_some()), (expect, true));
    }
}

/// What of a disputed pair is logged, where its parties come in that order: the (s)erved answer, one that
/// (f)ailed or whose caller went away, the (c)opy's, and the (d)isagreement.
fn disputed(order: &str) -> Vec<(bool, Reason, f32)> {
    let config = LogConfig {
        sample: Share::new(0.0).expect("none"),
        errors: false,
        disagreement: true,
        ..LogConfig::default()
    };
    let kept = Arc::new(Kept { config, ..Kept::default() });
    let log = Arc::clone(&kept) as Arc<dyn VersionLog>;
    let mut place = None;
    Draft::begin(&mut place, &log, Instant::now(), (Protocol::Http, &Nobody));
    let dispute = place.as_mut().expect("begun").copied((&smallvec![], 3, 0), 0.25, None);
    let dispute = dispute.expect("it is wanted");
    let mut copy = place.as_ref().expect("begun").shadow(Some(&log), &smallvec![]);
    for party in order.chars() {
        let failure = (party == 'f').then(|| (Kind::Cancelled, "gone".to_owned()));
        match party {
            'c' => copy.take().expect("once").finish(None, Duration::ZERO),
            'd' => dispute.disagree(),
            _ => place.take().expect("once").finish(failure, Duration::ZERO),
        }
    }
    let offered = kept.offered.lock().expect("no panics");
    assert!(offered.iter().all(|it| it.rows == 3), "{order}");
    offered.iter().map(|it| (it.pair.is_some(), it.reason, it.probability)).collect()
}

#[test]
fn both_rows_of_a_disagreement_are_logged_or_none() {
    let both = [false, true].map(|is_copy| (is_copy, Reason::Disagreement, 0.25));
    for order in ["scd", "sdc", "csd", "cds", "dsc", "dcs"] {
        assert_eq!(disputed(order), both, "{order}");
    }
    for order in ["sc", "sd", "cd", "fcd", "cdf", "dcf"] {
        assert_eq!(disputed(order), [], "{order}");
    }
}

#[test]
fn a_record_has_the_wall_clocks_time_of_its_arrival() {
    let (began, at) = (SystemTime::now(), Instant::now());
    let ago = |it: u64| wall(at.checked_sub(Duration::from_micros(it)).unwrap_or(at)).0;
    let now = ago(0);
    // Both clocks are read one after the other, and other threads may come between.
    assert!(now.duration_since(began).is_ok_and(|it| it < Duration::from_secs(10)), "{now:?}");
    // From one reading of the clock, whatever it has done since.
    assert_eq!(now.duration_since(ago(700)).ok(), Some(Duration::from_micros(700)));
    assert_eq!(wall(at + Duration::from_millis(3)).0, now + Duration::from_millis(3));
}
