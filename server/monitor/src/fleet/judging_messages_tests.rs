use std::fs;

use server_base::FindingKind;
use server_feedback::LabelRow;

use super::super::judging::scene::{
    DELAY_S, HORIZON_S, LATENESS_S, ROLL_S, SECOND, Scene, WINDOW_S, accuracy, is_wrong, label,
    of_window,
};
use super::super::topic::Sent;
use super::*;
use crate::fixture::Series;

/// Six windows, and time for the labels of all.
const END_S: i64 = 6 * WINDOW_S + HORIZON_S + LATENESS_S + ROLL_S;

fn expected() -> Vec<(i64, f64, bool)> {
    (0..6).map(|it| (it * WINDOW_S, accuracy(it), it >= 3)).collect()
}

/// Messages of predictions and of labels that were handed on.
fn read(scene: &Scene) -> (usize, usize) {
    let (rows, labels) = scene.topics.as_ref().expect("there are topics");
    (rows.state().read, labels.state().read)
}

#[test]
fn labels_at_one_replica_judge_what_both_have_answered() {
    let mut scene = Scene::of_topics(3);
    let (rows, labels) = scene.topics.clone().expect("there are topics");
    scene.start();
    // Nobody has sent a label, and then there is one more partition of each.
    labels.state().is_missing = true;
    for at in (0..END_S).step_by(500) {
        scene.come(at, at + ROLL_S);
        labels.state().is_missing = at <= 500;
        scene.round(at + ROLL_S);
        if at == 2_000 {
            rows.grow();
            labels.grow();
        }
    }
    scene.round(END_S);
    assert_eq!(scene.told(), expected());
    // What is there is read once.
    let all = usize::try_from(END_S).expect("few").next_multiple_of(500);
    assert_eq!(read(&scene), (all, all - 200));
    let shown = lock(scene.judging().judge()).shown("m", None).expect("it is judged");
    assert_eq!(shown["versions"][0]["windows"].as_array().map(Vec::len), Some(6), "{shown:#}");
    // What was there and is gone is not taken for nothing.
    labels.state().is_missing = true;
    scene.judging().round().expect_err("it is gone");
    scene.start();
    scene.judging().round().expect_err("it is gone, as was written down");
}

/// In a round, in front of a broker that goes away, or after it; and with a broker that is no clock.
#[test]
fn a_process_that_is_killed_loses_and_doubles_nothing() {
    for (knows_time, messages) in [(true, None), (false, None), (true, Some(7)), (false, Some(700))]
    {
        let mut scene = Scene::of_topics(2);
        let (rows, labels) = scene.topics.clone().expect("there are topics");
        (rows.state().knows_time, labels.state().knows_time) = (knows_time, knows_time);
        scene.start();
        for (n, at) in (0..END_S).step_by(500).enumerate() {
            scene.come(at, at + ROLL_S);
            if let Some(messages) = messages {
                let topic = if n % 2 == 0 { &rows } else { &labels };
                let away = topic.state().read + messages;
                topic.state().away_after = Some(away);
                scene.now.store((at + ROLL_S) * SECOND, Ordering::Relaxed);
                // So many may not have come yet.
                let round = scene.judging().round();
                assert!(round.is_err() || topic.state().read <= away);
                topic.state().away_after = None;
                scene.start();
            }
            scene.round(at + ROLL_S);
            scene.start();
        }
        scene.round(END_S);
        let heard = scene.heard.take();
        let told: Vec<_> =
            heard.iter().filter(|it| it.kind == FindingKind::Performance).map(of_window).collect();
        assert_eq!(told, expected(), "killed after {messages:?} messages");
        let risen = heard.iter().filter(|it| it.kind == FindingKind::ConceptDrift);
        let risen: Vec<bool> = risen.map(|it| it.is_alarm).collect();
        assert_eq!((risen.len(), risen.first()), (4, Some(&false)), "{heard:?}");
        // Nor is everything read again each time: predictions of the last 1,500 s and labels of 600 s more.
        let before = read(&scene);
        scene.start();
        scene.round(END_S);
        let again = (read(&scene).0 - before.0, read(&scene).1 - before.1);
        assert!((1..2_500).contains(&again.0) && (1..3_100).contains(&again.1), "{again:?}");
    }
}

/// Windows three days apart, in one chunk; what comes late counts within its horizon.
#[test]
fn a_backlog_says_what_would_have_been_said() {
    const LATER_S: i64 = 260 * WINDOW_S;
    let mut scene = Scene::of_topics(2);
    let mut expect = Vec::new();
    for begin in [0, LATER_S].into_iter().flat_map(|it| (0..3).map(move |n| it + n * WINDOW_S)) {
        let seconds: Vec<i64> = (begin..begin + WINDOW_S).collect();
        // Labels are there before their predictions, come twice, are corrected, or come too late.
        let end = begin + WINDOW_S;
        let labels = |right: bool, at_s: i64| -> Vec<LabelRow> {
            seconds.iter().map(|it| label(*it, at_s, right)).collect()
        };
        scene.put_labels("two", &labels(true, end));
        scene.put_labels("one", &labels(false, end - 1));
        scene.put_labels("two", &labels(true, end));
        scene.put("one", &seconds);
        scene.put("two", &seconds);
        scene.put_labels("one", &labels(false, end + HORIZON_S + 1));
        expect.push((begin, 1.0, false));
    }
    // Somebody's clock shows that it is over.
    scene.put("one", &[LATER_S + 6 * WINDOW_S]);
    scene.start();
    scene.round(LATER_S + 6 * WINDOW_S);
    assert_eq!(scene.told(), expect);
}

/// Few labels lie beside many predictions; of each window one is corrected when that counts no more.
#[test]
fn a_label_that_is_late_is_known_for_late_however_much_has_piled_up() {
    let mut scene = Scene::of_topics(1);
    scene.put("one", &(0..30 * WINDOW_S).collect::<Vec<_>>());
    let mut labels: Vec<LabelRow> = (0..30)
        .map(|it| it * WINDOW_S + 500)
        .flat_map(|at| {
            let late = at + 500 + HORIZON_S + 1;
            [label(at, at + DELAY_S, true), label(at, late, false)]
        })
        .collect();
    labels.sort_by_key(|it| it.recorded_time);
    scene.put_labels("two", &labels);
    scene.start();
    scene.round(40 * WINDOW_S);
    let expect: Vec<(i64, f64, bool)> = (0..29).map(|it| (it * WINDOW_S, 1.0, false)).collect();
    assert_eq!(scene.told(), expect);
}

/// The replica that has answered sends later than the one that was told the truth.
#[test]
fn labels_that_come_before_any_prediction_wait_for_them() {
    let mut scene = Scene::of_topics(2);
    scene.start();
    scene.labels_come_first(END_S);
}

/// For a while this machine's clock shows a time that is a year ahead.
#[test]
fn a_clock_that_is_ahead_has_nothing_over_that_is_not() {
    for starts in [false, true] {
        let mut scene = Scene::of_topics(2);
        scene.start();
        for at in (0..END_S).step_by(500) {
            scene.come(at, at + ROLL_S);
            let is_wrong = (1_500..3_000).contains(&at);
            scene.round(at + ROLL_S + if is_wrong { 365 * 86_400 } else { 0 });
            if starts {
                scene.start();
            }
        }
        scene.round(END_S);
        assert_eq!(scene.told(), expected(), "{starts}");
    }
}

#[test]
fn a_model_that_is_configured_anew_is_read_anew() {
    let mut scene = Scene::of_topics(2);
    scene.start();
    scene.come(0, 1_000);
    scene.round(1_000);
    let path = scene.path("models/m/model.toml");
    let text = fs::read_to_string(&path).expect("text");
    fs::write(&path, text.replace("0.8", "0.95")).expect("written");
    scene.come(1_000, 2_000);
    scene.round(WINDOW_S + HORIZON_S + LATENESS_S + DELAY_S);
    assert_eq!(scene.told(), [(0, 0.9, true)]);
}

/// Both streams are read once more for its sake, and there is no room for all that waits.
#[test]
fn a_model_that_comes_has_nothing_of_another_counted_twice() {
    let windows = |comes: bool| {
        let mut scene = Scene::of_topics(2);
        scene.truth_bytes_max = 350_000;
        scene.start();
        for at in (0..END_S).step_by(500) {
            if comes && at == 1_500 {
                fs::create_dir_all(scene.path("models/k/1")).expect("made");
                let of = |it| scene.path(&format!("models/{it}/model.toml"));
                fs::copy(of("m"), of("k")).expect("written");
            }
            scene.come(at, at + ROLL_S);
            scene.round(at + ROLL_S);
        }
        let shown = lock(scene.judging().judge()).shown("m", None).expect("it is judged");
        (read(&scene), shown["versions"][0]["windows"].clone())
    };
    let (alone, with) = (windows(false), windows(true));
    assert!(with.0.0 > alone.0.0 && with.0.1 > alone.0.1, "{:?} {:?}", alone.0, with.0);
    assert_eq!(with.1, alone.1);
    let all = with.1.as_array().expect("windows");
    assert!(all.len() == 6 && all.iter().all(|it| it["predicted"] == WINDOW_S), "{all:#?}");
}

/// As much of it is read before a round ends as says nothing alone.
#[test]
fn what_time_it_is_is_known_by_what_rounds_before_have_read() {
    let mut scene = Scene::of_topics(1);
    let (rows, _) = scene.topics.clone().expect("there are topics");
    scene.put("one", &(0..30_000).collect::<Vec<_>>());
    let known = 0..3 * WINDOW_S;
    scene.put_labels(
        "two",
        &known.map(|it| label(it, it + DELAY_S, !is_wrong(it))).collect::<Vec<_>>(),
    );
    scene.start();
    for _ in 0..2 {
        let away = rows.state().read + 8_192;
        rows.state().away_after = Some(away);
        scene.now.store(30_000 * SECOND, Ordering::Relaxed);
        scene.judging().round().expect_err("it goes away");
    }
    assert_eq!(read(&scene).0, 2 * 8_192, "each is read once");
    assert_eq!(scene.told().get(..3), Some(&expected()[..3]));
}

/// There is room for what waits for labels, and not for all of a window.
#[test]
fn a_restart_joins_what_was_joined_before() {
    const LONG_S: i64 = 60_000;
    let mut scene = Scene::of_topics(1);
    let path = scene.path("models/m/model.toml");
    let text = fs::read_to_string(&path).expect("text");
    let text = text.replace("window_s = 1000", &format!("window_s = {LONG_S}"));
    fs::write(&path, text).expect("written");
    scene.truth_bytes_max = 12_000_000;
    scene.start();
    scene.put("one", &(0..LONG_S).collect::<Vec<_>>());
    let labels = |it: std::ops::Range<i64>| -> Vec<LabelRow> {
        it.map(|it| label(it, it + DELAY_S, true)).collect()
    };
    scene.put_labels("two", &labels(0..LONG_S - DELAY_S));
    scene.round(LONG_S);
    scene.start();
    scene.put("one", &[2 * LONG_S]);
    scene.put_labels("two", &labels(LONG_S - DELAY_S..LONG_S));
    scene.round(2 * LONG_S);
    let shown = lock(scene.judging().judge()).shown("m", None).expect("it is judged");
    assert_eq!(shown["versions"][0]["windows"][0]["labelled"], LONG_S, "{shown:#}");
}

/// In front of a broker that goes away, and after it.
#[test]
fn what_is_left_out_is_counted_once() {
    let series = Series::default();
    ::metrics::with_local_recorder(&series, || {
        let mut scene = Scene::of_topics(1);
        let (_, labels) = scene.topics.clone().expect("there are topics");
        scene.put("one", &[0, 1, 2]);
        scene.put_labels("one", &[label(0, 9, true)]);
        labels.send(0, Sent { headers: vec![], ..labels.first() });
        scene.put_labels("one", &[label(1, 9, true)]);
        scene.start();
        labels.state().away_after = Some(2);
        scene.judging().round().expect_err("it goes away");
        labels.state().away_after = None;
        scene.round(10);
        assert_eq!(read(&scene).1, 5);
    });
    let counted = series.read();
    assert_eq!(counted["salver_fleet_truth_messages_total labels foreign"], 1.0, "{counted:?}");
    assert_eq!(counted["salver_fleet_truth_messages_total labels read"], 2.0, "{counted:?}");
}

/// Nobody knows which window it is of, and it must not be needed for ever.
#[test]
fn a_message_without_a_time_holds_no_restart_back() {
    let mut scene = Scene::of_topics(1);
    let (rows, labels) = scene.topics.clone().expect("there are topics");
    scene.start();
    for at in (0..END_S).step_by(500) {
        scene.come(at, at + ROLL_S);
        if at == 500 {
            rows.send(0, Sent { time_ms: -1, ..rows.first() });
            labels.send(0, Sent { time_ms: -1, ..labels.first() });
        }
        scene.round(at + ROLL_S);
    }
    scene.round(END_S);
    assert_eq!(scene.told(), expected());
    let before = read(&scene);
    scene.start();
    scene.round(END_S);
    let again = (read(&scene).0 - before.0, read(&scene).1 - before.1);
    assert!((1..2_500).contains(&again.0) && (1..3_100).contains(&again.1), "{again:?}");
}

/// A broker that has just started may not know a topic that there is.
#[test]
fn a_topic_that_is_not_there_once_may_be_there() {
    let mut scene = Scene::of_topics(2);
    let (_, labels) = scene.topics.clone().expect("there are topics");
    scene.come(0, END_S);
    scene.start();
    labels.state().is_missing = true;
    scene.round(END_S);
    labels.state().is_missing = false;
    scene.round(END_S);
    assert_eq!(scene.told(), expected());
}

#[test]
fn what_cannot_be_read_is_left_out() {
    let mut scene = Scene::of_topics(1);
    let (rows, labels) = scene.topics.clone().expect("there are topics");
    let seconds: Vec<i64> = (0..2 * WINDOW_S).collect();
    scene.put("one", &seconds);
    scene.put_labels("one", &seconds.iter().map(|it| label(*it, 900, true)).collect::<Vec<_>>());
    for topic in [&rows, &labels] {
        let plain = topic.first();
        let changed = |change: &dyn Fn(&mut Sent)| {
            let mut message = plain.clone();
            change(&mut message);
            topic.send(0, message);
        };
        changed(&|it| it.value.truncate(20));
        changed(&|it| it.value = b"{}".to_vec());
        changed(&|it| it.value = vec![b' '; MESSAGE_BYTES_MAX + 1]);
        changed(&|it| it.headers.clear());
        changed(&|it| it.headers.retain(|it| it.0 != "ce_source"));
        changed(&|it| it.time_ms = 365 * 86_400_000);
        topic.mark(0);
    }
    // Of another model, which has no labels here.
    let other = |it: &Sent| Sent {
        headers: it.headers.iter().map(|it| (it.0, it.1.replace("/m", "/x"))).collect(),
        ..it.clone()
    };
    rows.send(0, other(&rows.first()));
    labels.send(0, other(&labels.first()));
    scene.start();
    scene.round(WINDOW_S + HORIZON_S + LATENESS_S);
    assert_eq!(scene.told(), [(0, 1.0, false)]);
    let standing = lock(scene.judging().judge()).shown("m", None).expect("it is judged");
    assert_eq!(standing["versions"][0]["windows"][0]["labelled"], WINDOW_S, "{standing:#}");
}
