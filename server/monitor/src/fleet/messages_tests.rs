use super::super::scene::{LATENESS_S, PLAN, SECOND, Scene, ahead, halves, rows};
use super::super::topic::{Topic, sent};
use super::*;
use crate::fixture::{self, Series, Weather};

fn scene(plan: &str, partitions: usize) -> (Scene, Topic) {
    let mut scene = Scene::new(plan);
    let topic = Topic::new(partitions);
    scene.topic = Some(topic.clone());
    (scene, topic)
}

#[test]
fn rows_of_replicas_are_counted_in_one_window() {
    let (mut scene, _) = scene(PLAN, 3);
    for it in halves(&rows(1, 3_000)) {
        scene.put(&it);
    }
    scene.counts_replicas_as_one();
}

#[test]
fn a_row_that_comes_late_counts_within_the_lateness_and_one_that_comes_twice_once() {
    let (mut scene, _) = scene(PLAN, 3);
    let [a, b] = halves(&rows(2, 1_000));
    scene.put(&a);
    scene.put(&a);
    scene.start();
    scene.round(700);
    scene.check((0, 201));
    scene.put(&b);
    scene.put(&a);
    scene.round(5_000);
    scene.check((1, 300));
}

/// Kills it in rounds, after rounds, while nothing comes, and in front of a broker that goes away.
#[test]
fn a_killed_process_neither_loses_nor_doubles_rows() {
    let (mut scene, topic) = scene(PLAN, 4);
    let all = rows(4, 9_000);
    scene.start();
    let mut counted = 0;
    for (n, begin) in (0..9_000).step_by(500).enumerate() {
        let [a, b] = halves(&all.slice(begin, 500));
        scene.put(&a);
        scene.put(&b);
        let now = i64::try_from(begin).expect("few") + 500;
        match n % 5 {
            0 => scene.killed_in_a_round(now),
            1 => scene.start(),
            2 => scene.round(now),
            3 => {
                let away = { topic.state().read } + 200;
                topic.state().away_after = Some(away);
                scene.now.store(now * SECOND, Ordering::Relaxed);
                scene.follower.as_mut().expect("it was started").round().expect_err("away");
                topic.state().away_after = None;
                scene.start();
            }
            _ => {
                scene.round(now);
                scene.start();
                counted = now - i64::try_from(LATENESS_S).expect("few") + 1;
                // What was counted is there before anything is read.
                let rows = u64::try_from(counted).expect("many");
                scene.check((rows / 500, rows % 500));
            }
        }
    }
    assert!(counted > 7_000, "{counted}");
    scene.round(20_000);
    scene.check((18, 0));
    // Nor is everything read again each time: what waits is, 300 rows or what came since the last record.
    let read = topic.state().read;
    assert!(read < 9_000 * 3, "{read} messages");
    scene.start();
    scene.round(20_000);
    assert_eq!(topic.state().read, read);
}

/// Three times as many as have room: counted as they come, by their own time and not by today's.
#[test]
fn what_has_piled_up_is_counted_in_order_and_in_little_memory() {
    let (mut scene, _) = scene(PLAN, 2);
    scene.put(&rows(9, 60_000));
    scene.waiting_bytes_max = 8 << 20;
    scene.start();
    scene.round(900_000);
    scene.check((120, 0));
    let log = &scene.follower.as_ref().expect("it was started").logs[0];
    assert_eq!((log.waiting.rows(), log.waiting.bytes()), (0, 0));
}

/// By less than an hour, and by more; each flush of a replica lies in one piece.
#[test]
fn a_clock_that_is_ahead_makes_no_row_late_that_has_piled_up() {
    for by_s in [3_000, 86_400] {
        let (mut scene, _) = scene(PLAN, 2);
        let all = rows(10, 30_000);
        for begin in (0..30_000).step_by(1_000) {
            let [a, b] = halves(&all.slice(begin, 1_000));
            scene.put(&a);
            scene.put(&ahead(&b, by_s));
        }
        scene.start();
        scene.round(900_000);
        scene.check((60, 0));
    }
}

/// What is read is counted as reading goes on, and not in the end.
#[test]
fn what_has_piled_up_does_not_wait_for_its_end() {
    let (mut scene, topic) = scene(PLAN, 2);
    scene.put(&rows(21, 40_000));
    scene.start();
    scene.now.store(900_000 * SECOND, Ordering::Relaxed);
    topic.state().away_after = Some(30_000);
    scene.follower.as_mut().expect("it was started").round().expect_err("away");
    let follower = scene.follower.as_ref().expect("it was started");
    let counted = follower.logs[0].cursor.watermark() / SECOND;
    assert!((10_000..24_576).contains(&counted), "{counted}");
}

#[test]
fn the_last_offset_may_be_no_message() {
    let (mut scene, topic) = scene(PLAN, 2);
    let all = rows(3, 2_000);
    scene.start();
    for (n, begin) in (0..2_000).step_by(500).enumerate() {
        scene.put(&all.slice(begin, 500));
        topic.mark(0);
        if n % 2 == 0 {
            topic.mark(1);
        }
        scene.round(i64::try_from(begin).expect("few") + 500);
    }
    scene.round(9_000);
    scene.check((4, 0));
    scene.start();
    scene.round(9_000);
    scene.check((4, 0));
}

#[test]
fn a_shift_is_told_once() {
    let (mut scene, _) = scene(PLAN, 3);
    let mut drawn = fixture::Rows::new(5);
    let calm = drawn.draw(1_000, Weather::default());
    let shifted = drawn.draw(500, Weather { shift: 1.0, ..Weather::default() });
    for batch in [calm, shifted] {
        halves(&batch).iter().for_each(|it| scene.put(it));
    }
    scene.start();
    scene.killed_in_a_round(9_000);
    scene.round(9_000);
    scene.check((3, 0));
    assert_eq!(scene.alarms(), 1);
    scene.start();
    scene.round(10_000);
    assert_eq!(scene.alarms(), 0);
}

#[test]
fn learning_begins_anew_with_the_rows_it_began_with() {
    let (mut scene, _) = scene(&format!("{PLAN}learn_rows = 600\n"), 2);
    let all = rows(6, 2_000);
    scene.put(&all.slice(0, 500));
    scene.start();
    scene.round(800);
    assert_eq!(scene.view()["state"], "learning");
    scene.start();
    scene.put(&all.slice(500, 1_500));
    scene.round(9_000);
    // 600 rows are the reference.
    scene.check((2, 400));
    scene.start();
    scene.check((2, 400));
}

/// What was learned by then goes: its rows come once more.
#[test]
fn a_version_that_comes_back_is_learned_once() {
    let (mut scene, _) = scene(PLAN, 2);
    scene.leaves_and_comes_back();
}

#[test]
fn another_plan_begins_a_count_and_loses_no_row_that_waits() {
    let (mut scene, topic) = scene(PLAN, 3);
    scene.put(&rows(8, 1_000));
    scene.start();
    scene.round(800);
    scene.check((1, 1));
    scene.plan("window_rows = 100\n");
    scene.put(&rows(8, 1_001).slice(1_000, 1));
    // It is away when what waited is to come again, and killed.
    let read = topic.state().read;
    topic.state().away_after = Some(read);
    scene.now.store(9_000 * SECOND, Ordering::Relaxed);
    scene.follower.as_mut().expect("it was started").round().expect_err("away");
    topic.state().away_after = None;
    scene.start();
    scene.round(9_000);
    scene.check((5, 0));
}

#[test]
fn a_version_without_a_reference_waits_for_one() {
    for is_killed in [false, true] {
        let (mut scene, _) = scene(PLAN, 2);
        let profile = scene.path("models/m/1/profile.json");
        let text = std::fs::read(&profile).expect("a profile");
        std::fs::remove_file(&profile).expect("gone");
        scene.put(&rows(11, 700));
        scene.start();
        scene.round(9_000);
        assert_eq!(scene.view(), serde_json::Value::Null);
        if is_killed {
            scene.start();
        }
        std::fs::write(&profile, text).expect("written");
        scene.round(9_000);
        scene.check((1, 200));
    }
}

/// One that is followed later has its rows from that time on that it is to be read from, whether the brokers
/// know where that is or not; others count none of theirs twice.
#[test]
fn a_version_that_comes_later_loses_nothing() {
    for knows_time in [false, true] {
        let (mut scene, topic) = scene(PLAN, 2);
        topic.state().knows_time = knows_time;
        scene.put(&rows(12, 700));
        topic.put_of("n", &rows(13, 800));
        scene.start();
        scene.round(600);
        scene.check((0, 301));
        let (from, to) = (scene.path("models/m"), scene.path("models/n"));
        std::fs::create_dir_all(to.join("1")).expect("made");
        for name in ["model.toml", "1/profile.json"] {
            std::fs::copy(from.join(name), to.join(name)).expect("copied");
        }
        scene.round(600);
        scene.check((0, 301));
        scene.start();
        scene.round(9_000);
        scene.check((1, 200));
        let follower = scene.follower.as_ref().expect("it was started");
        let view = follower.monitors().views("n", None).remove(0);
        assert_eq!((&view["last"]["number"], &view["open"]["rows"]), (&1.into(), &300.into()));
    }
}

#[test]
fn partitions_become_more_and_lose_what_is_old() {
    let (mut scene, topic) = scene(PLAN, 2);
    let all = rows(14, 2_000);
    scene.put(&all.slice(0, 400));
    scene.start();
    scene.round(400);
    topic.grow();
    scene.put(&all.slice(400, 599));
    // The first 100 messages of a partition are taken away: 58 of them were still to be counted by another
    // process, but not by this one, which has them.
    topic.state().first[0] = 100;
    scene.round(1_299);
    scene.check((1, 499));
    // Some that nobody has read.
    scene.put(&all.slice(999, 300));
    let end = topic.state().first[0] + 300 + 40;
    topic.state().first[0] = end;
    scene.round(9_000);
    scene.check((2, 299 - 40));
}

/// It had read all of them, and 399 rows waited.
#[test]
fn what_waited_in_a_process_that_was_killed_and_is_gone_is_lost() {
    let series = Series::default();
    ::metrics::with_local_recorder(&series, || {
        let (mut scene, topic) = scene(PLAN, 1);
        scene.put(&rows(16, 600));
        scene.start();
        scene.round(500);
        scene.check((0, 201));
        topic.state().first[0] = 300;
        scene.start();
        scene.round(9_000);
        scene.check((1, 600 - 99 - 500));
        scene.start();
        scene.round(9_001);
    });
    // Those that were counted lay among them.
    assert_eq!(series.read()["salver_fleet_messages_total lost"], 300.0);
}

#[test]
fn what_is_no_row_of_the_log_is_left_out() {
    let (mut scene, topic) = scene(PLAN, 1);
    let all = rows(15, 600);
    let good = sent("m", &all);
    let with = |change: &dyn Fn(&mut server_feedback::Message)| {
        let mut message = good[7].clone();
        change(&mut message);
        message
    };
    let header = |name: &'static str, to: &'static str| {
        with(&|it| {
            it.headers.retain(|it| it.0 != name);
            it.headers.push((name, to.to_owned()));
        })
    };
    let strange = [
        with(&|it| it.headers.clear()),
        with(&|it| it.value.clear()),
        with(&|it| it.value = b"{\"event_id\":\"x\"}".to_vec()),
        with(&|it| it.value.truncate(40)),
        with(&|it| it.value.resize(MESSAGE_BYTES_MAX + 1, b' ')),
        header("ce_type", "other"),
        header("ce_source", "/models/other/versions/1"),
        header("salver_columns", "{}"),
    ];
    for (n, message) in good.into_iter().enumerate() {
        topic.send(0, message);
        if n % 50 == 0 {
            strange.iter().for_each(|it| topic.send(0, it.clone()));
        }
    }
    scene.start();
    scene.round(9_000);
    scene.check((1, 100));
}
