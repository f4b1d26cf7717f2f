use std::sync::Mutex;
use std::sync::atomic::Ordering;

use arrow_array::cast::AsArray as _;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{DataType, TimeUnit};

use super::super::scene::{LATENESS_S, PLAN, SECOND, Scene, halves, rows};
use super::super::source::{FolderSource, Listed, Missing, Object, Wanted};
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
    let cursor = fs::metadata(scene.path("state/cursor.json")).expect("it is there").len();
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

/// Rows that are so many seconds later.
fn ahead(rows: &RecordBatch, by_s: i64) -> RecordBatch {
    let (place, field) = rows.schema_ref().column_with_name("event_time").expect("a time");
    let times = rows.column(place).as_primitive::<TimestampMicrosecondType>();
    let times: TimestampMicrosecondArray = times.unary(|it| it + by_s * SECOND);
    let mut columns = rows.columns().to_vec();
    assert_eq!(
        field.data_type(),
        &DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
    );
    columns[place] = Arc::new(times.with_timezone("+00:00"));
    RecordBatch::try_new(rows.schema(), columns).expect("the same columns")
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
        error.contains("m/1") && error.contains("89700 s") && error.contains("2000 s"),
        "{error}"
    );
    // It was wrong for a while.
    scene.round(90_000);
    scene.check((2, 0));
}

#[test]
fn what_cannot_be_read_is_left_out() {
    let mut scene = Scene::new(PLAN);
    let all = rows(10, 1_000);
    scene.put(&all.slice(0, 400));
    let folder = scene.path("log/model=m/version=1/date=1970-01-01/hour=00");
    fs::write(folder.join("broken.parquet"), "no Parquet at all").expect("written");
    scene.put(&all.slice(400, 600));
    scene.start();
    scene.round(600);
    scene.check((0, 301));
    // What waited is gone from the store when the next process looks for it.
    let first = |it: &Path| it.to_string_lossy().contains("0000000000000001-");
    let files = fs::read_dir(&folder).expect("a folder").filter_map(Result::ok);
    let files: Vec<PathBuf> = files.map(|it| it.path()).filter(|it| first(it)).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    fs::remove_file(&files[0]).expect("gone");
    scene.start();
    scene.round(9_000);
    scene.check((1, 401));
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

/// A store that answers now and then, or not at all for the file with that in its name.
struct Flaky(FolderSource, Arc<Mutex<u32>>, Option<&'static str>);

impl Source for Flaky {
    fn list(&mut self, wanted: &Wanted<'_>) -> io::Result<Listed> {
        self.0.list(wanted)
    }

    fn fetch(&mut self, folder: &str, object: &Object) -> Result<File, Missing> {
        if let Some(refused) = self.2 {
            let is_refused = object.path.contains(refused);
            let other = || Missing::Refused(io::Error::other("of a foreign owner"));
            return if is_refused { Err(other()) } else { self.0.fetch(folder, object) };
        }
        let mut fetches = self.1.lock().expect("nobody panics");
        *fetches += 1;
        if fetches.is_multiple_of(2) {
            Err(Missing::Away(io::Error::other("away")))
        } else {
            self.0.fetch(folder, object)
        }
    }
}

#[test]
fn a_store_that_is_away_is_asked_again() {
    let mut scene = Scene::new(PLAN);
    for it in halves(&rows(12, 900)) {
        scene.put(&it);
    }
    scene.start();
    scene.now.store(9_000 * SECOND, Ordering::Relaxed);
    let source = Flaky(FolderSource::new(vec![scene.path("log")]), Arc::default(), None);
    let follower = scene.follower.as_mut().expect("it was started");
    follower.log = Log::Files(Box::new(source));
    follower.round().expect_err("the second file cannot be had");
    follower.round().expect("it can now");
    scene.check((1, 400));
}

#[test]
fn a_file_that_is_refused_is_left_out_after_a_while() {
    let mut scene = Scene::new(PLAN);
    let all = rows(15, 900);
    scene.put(&all.slice(0, 300));
    scene.put(&all.slice(300, 600));
    scene.start();
    scene.now.store(9_000 * SECOND, Ordering::Relaxed);
    let folder = FolderSource::new(vec![scene.path("log")]);
    let source = Flaky(folder, Arc::default(), Some("0000000000000001-"));
    let follower = scene.follower.as_mut().expect("it was started");
    follower.log = Log::Files(Box::new(source));
    for _ in 1..5 {
        assert_eq!(follower.round().expect("the store is there"), Round::Failed);
    }
    scene.check((0, 0));
    scene.round(9_000);
    scene.check((1, 100));
}

/// A store that lists two names at a time.
struct Short(FolderSource);

impl Source for Short {
    fn list(&mut self, wanted: &Wanted<'_>) -> io::Result<Listed> {
        self.0.list(&Wanted { most: 2, ..*wanted })
    }

    fn fetch(&mut self, folder: &str, object: &Object) -> Result<File, Missing> {
        self.0.fetch(folder, object)
    }
}

#[test]
fn an_hour_with_more_files_than_a_list_is_read_in_parts() {
    let mut scene = Scene::new(PLAN);
    let all = rows(16, 1_400);
    (0..7).for_each(|it| scene.put(&all.slice(200 * it, 200)));
    scene.start();
    scene.now.store(1_500 * SECOND, Ordering::Relaxed);
    let short = Short(FolderSource::new(vec![scene.path("log")]));
    let follower = scene.follower.as_mut().expect("it was started");
    follower.log = Log::Files(Box::new(short));
    let ended: Vec<Round> = (0..4).map(|_| follower.round().expect("a log")).collect();
    assert_eq!(ended, [Round::Cut, Round::Cut, Round::Cut, Round::Whole]);
    // Up to 1,200.
    scene.check((2, 201));
}
