use std::sync::atomic::Ordering;

use server_base::{Finding, ModelName};

use super::super::FolderSource;
use super::super::scene::{LATENESS_S, PLAN, SECOND, Scene, ahead, halves, rows};
use super::*;
use crate::fixture::{self, Heard, Weather};

#[test]
fn rows_of_replicas_are_counted_in_one_window() {
    let mut scene = Scene::new(PLAN);
    let all = rows(1, 3_000);
    for it in halves(&all) {
        scene.put(&it);
    }
    scene.counts_replicas_as_one();
}

#[test]
fn a_file_that_comes_late_counts_within_the_lateness() {
    let mut scene = Scene::new(PLAN);
    let [a, b] = halves(&rows(2, 1_000));
    scene.put(&a);
    scene.start();
    scene.round(700);
    scene.check((0, 201));
    // Of the rows of the other replica those up to 400 have missed their turn: 1, 3, .. 399.
    scene.put(&b);
    scene.round(5_000);
    scene.check((1, 300));
}

#[test]
fn a_file_that_is_delivered_twice_counts_once() {
    let mut scene = Scene::new(PLAN);
    let all = rows(3, 1_200);
    scene.put(&all.slice(0, 700));
    // Delivered again under another name, with more in it.
    scene.put(&all);
    scene.start();
    scene.round(500);
    scene.check((0, 201));
    scene.put(&all.slice(100, 900));
    scene.round(5_000);
    scene.check((2, 200));
}

#[test]
fn a_killed_process_neither_loses_nor_doubles_rows() {
    let mut scene = Scene::new(PLAN);
    let all = rows(4, 9_000);
    scene.start();
    let mut counted = 0;
    for (n, begin) in (0..9_000).step_by(500).enumerate() {
        let [a, b] = halves(&all.slice(begin, 500));
        scene.put(&a);
        scene.put(&b);
        let now = i64::try_from(begin).expect("few") + 500;
        match n % 4 {
            0 => scene.killed_in_a_round(now),
            1 => scene.start(),
            2 => scene.round(now),
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
    let cursor = fs::metadata(scene.path("state/cursors/m@1.json")).expect("it is there").len();
    assert!(cursor < 4_096, "files of hours that are over are forgotten: {cursor} bytes");
}

#[test]
fn a_shift_is_told_once() {
    let mut scene = Scene::new(PLAN);
    let mut drawn = fixture::Rows::new(5);
    let calm = drawn.draw(1_000, Weather::default());
    let shifted = drawn.draw(500, Weather { shift: 1.0, ..Weather::default() });
    for batch in [calm, shifted] {
        halves(&batch).iter().for_each(|it| scene.put(it));
    }
    scene.start();
    scene.killed_in_a_round(9_000);
    assert_eq!(scene.alarms(), 0, "nothing is told that is not written down");
    scene.round(9_000);
    scene.check((3, 0));
    assert_eq!(scene.alarms(), 1);
    scene.start();
    scene.round(10_000);
    assert_eq!(scene.alarms(), 0);
}

#[test]
fn learning_begins_anew_with_the_rows_it_began_with() {
    let mut scene = Scene::new(&format!("{PLAN}learn_rows = 600\n"));
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
    let mut scene = Scene::new(PLAN);
    scene.leaves_and_comes_back();
}

#[test]
fn another_plan_begins_a_count_and_loses_no_row_that_waits() {
    let mut scene = Scene::new(PLAN);
    scene.put(&rows(8, 1_000));
    scene.start();
    scene.round(800);
    scene.check((1, 1));
    scene.plan("window_rows = 100\n");
    scene.put(&rows(8, 1_001).slice(1_000, 1));
    scene.round(9_000);
    scene.check((5, 0));
}

#[test]
fn too_many_rows_are_counted_before_their_time() {
    let mut scene = Scene::new(PLAN);
    scene.waiting_bytes_max = 30_000;
    let all = rows(9, 1_000);
    scene.put(&all.slice(0, 500));
    scene.start();
    scene.round(300);
    let view = scene.view();
    let rows = view["open"]["rows"].as_u64().expect("rows");
    assert!((200..=400).contains(&rows), "{view}");
    scene.put(&all.slice(500, 500));
    scene.round(9_000);
    scene.check((2, 0));
}

#[test]
fn a_clock_that_is_ahead_makes_no_other_row_late() {
    // A day, by which no clock is wrong; and less, which may be.
    for by_s in [86_400, 1_800] {
        let mut scene = Scene::new(PLAN);
        scene.waiting_bytes_max = 30_000;
        let all = rows(13, 3_000);
        scene.start();
        for (n, begin) in (0..3_000).step_by(200).enumerate() {
            let [a, b] = halves(&all.slice(begin, 200));
            scene.put(&a);
            scene.put(&ahead(&b, by_s));
            if n % 4 == 3 {
                scene.start();
            }
            scene.round(i64::try_from(begin).expect("few") + 200);
        }
        scene.round(9_000);
        let view = scene.view();
        let rows = |it: &serde_json::Value| it.as_u64().unwrap_or(0);
        let rows = 500 * rows(&view["last"]["number"]) + rows(&view["open"]["rows"]);
        // All of the replica whose clock is right; and of the other what could be, if there was room for it.
        assert!(if by_s == 1_800 { rows >= 1_500 } else { rows == 1_500 }, "{view}");
    }
}

#[test]
fn a_clock_that_goes_back_is_said() {
    let mut scene = Scene::new(PLAN);
    let [a, b] = halves(&rows(14, 2_000));
    scene.put(&a);
    scene.start();
    scene.round(90_000);
    scene.start();
    scene.put(&b);
    scene.now.store(2_000 * SECOND, Ordering::Relaxed);
    let follower = scene.follower.as_mut().expect("it was started");
    assert_eq!(follower.round().expect("others are followed"), Round::Failed);
    let error = follower.check_clock(0, 2_000 * SECOND).expect_err("a clock").to_string();
    assert!(
        error.contains("m/1")
            && error.contains("89700 s")
            && error.contains("2000 s")
            && error.contains("cursors/m@1.json"),
        "{error}"
    );
    // It was wrong for a while.
    scene.round(90_000);
    scene.check((2, 0));
}

/// Hears, and has the disk refuse whatever is written of the first model after that.
#[derive(Debug)]
struct Blocks(Arc<Heard>, PathBuf);

impl Findings for Blocks {
    fn found(&self, findings: &[Finding]) -> bool {
        if findings.iter().any(|it| it.model.as_str() == "m") {
            let _ = fs::create_dir(&self.1);
        }
        self.0.found(findings)
    }
}

#[test]
fn one_that_cannot_be_told_of_keeps_no_others_waiting() {
    let mut scene = Scene::new(PLAN);
    for (name, path) in
        [("model.toml", "models/n/model.toml"), ("1/profile.json", "models/n/1/profile.json")]
    {
        let to = scene.path(path);
        fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        fs::copy(scene.path("models/m").join(name), to).expect("copied");
    }
    scene.put(&rows(18, 600));
    scene.put_of("n", &rows(19, 600));
    let blocked = scene.path("state/monitors/m@1.json.next");
    let findings = Arc::new(Blocks(Arc::clone(&scene.heard), blocked.clone()));
    let follower = Follower::open(Options { findings, ..scene.options() }, Arc::default());
    let follower = scene.follower.insert(follower.expect("it begins"));
    // Both are written down together.
    follower.written = Some(Instant::now() + Duration::from_secs(3_600));
    scene.now.store(9_000 * SECOND, Ordering::Relaxed);
    follower.round().expect_err("what was told cannot be written down");
    let of = |told: &[Finding]| told.iter().map(|it| it.model.clone()).collect::<BTreeSet<_>>();
    let names = ["m", "n"].map(|it| ModelName::new(it).expect("a name"));
    assert_eq!(of(&scene.heard.take()), BTreeSet::from(names));
    fs::remove_dir(blocked).expect("gone");
    scene.round(9_001);
    assert!(scene.heard.take().is_empty(), "each is told once");
}

/// Whoever has seen it would see less after a restart.
#[test]
fn what_is_not_written_down_is_not_shown() {
    let mut scene = Scene::new(PLAN);
    scene.put(&rows(21, 600));
    scene.start();
    scene.round(500);
    scene.check((0, 201));
    // A folder is in the record's way.
    let record = scene.path("state/commit.json");
    fs::create_dir(&record).expect("made");
    scene.now.store(900 * SECOND, Ordering::Relaxed);
    let follower = scene.follower.as_mut().expect("it was started");
    follower.round().expect_err("what was counted cannot be written down");
    scene.check((0, 201));
    fs::remove_dir(record).expect("gone");
    scene.start();
    scene.check((0, 201));
    scene.round(900);
    scene.check((1, 100));
}

#[test]
fn cursors_of_an_earlier_release_go_on() {
    let mut scene = Scene::new(PLAN);
    let all = rows(20, 2_000);
    scene.put(&all.slice(0, 1_000));
    scene.start();
    scene.round(1_000);
    scene.check((1, 201));
    scene.follower = None;
    // As it wrote them: one file for all.
    let path = scene.path("state/cursors/m@1.json");
    let text = fs::read(&path).expect("there");
    let one: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let all_in_one = serde_json::json!({ "format": 1, "versions": [["m", 1, one["cursor"]]] });
    fs::write(scene.path("state/cursor.json"), all_in_one.to_string()).expect("written");
    fs::remove_dir_all(scene.path("state/cursors")).expect("removed");
    scene.put(&all.slice(1_000, 1_000));
    for _ in 0..2 {
        scene.start();
        scene.check((1, 201));
    }
    scene.killed_in_a_round(1_500);
    scene.check((1, 201));
    scene.round(1_500);
    scene.check((2, 201));
    scene.start();
    assert!(path.is_file());
    scene.round(9_000);
    scene.check((4, 0));
}

#[test]
fn a_version_without_a_reference_waits_for_one() {
    let mut scene = Scene::new(PLAN);
    let profile = scene.path("models/m/1/profile.json");
    let text = fs::read(&profile).expect("a profile");
    fs::remove_file(&profile).expect("gone");
    scene.put(&rows(11, 700));
    scene.start();
    scene.round(9_000);
    assert_eq!(scene.view(), serde_json::Value::Null);
    // It waits without a list.
    let log = fs::rename(scene.path("log"), scene.path("away"));
    log.expect("renamed");
    scene.round(9_000);
    fs::rename(scene.path("away"), scene.path("log")).expect("renamed");
    fs::write(&profile, text).expect("written");
    scene.round(9_000);
    scene.check((1, 200));
}

#[test]
fn a_state_is_kept_by_one_process() {
    let mut scene = Scene::new(PLAN);
    scene.start();
    let held = scene.follower.take();
    let options = Options {
        log: Log::Files(Box::new(FolderSource::new(vec![scene.path("log")]))),
        repository: Repository::default(),
        folder: scene.path("state"),
        findings: Arc::<Heard>::clone(&scene.heard),
        bounds: Bounds {
            lateness: Duration::ZERO,
            waiting_bytes_max: 1,
            object_bytes_max: 1,
            from: None,
        },
        now: Box::new(|| 0),
    };
    let second = Follower::open(options, Arc::default());
    assert!(second.is_err_and(|it| it.to_string().contains("another process")));
    drop(held);
}
