use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::super::scene::{PLAN, SECOND, Scene, halves, rows, timed};
use super::super::{FolderSource, Listed, Source, Wanted};
use super::*;
use crate::fixture::Series;

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

/// Two groups of rows in one file, of which the second is damaged: what is in front of it waits, and is read once
/// more by the next process.
#[test]
fn a_file_that_is_torn_is_read_again_as_far_as_it_goes() {
    let mut scene = Scene::new(PLAN);
    scene.waiting_bytes_max = 1 << 30;
    scene.put(&timed(&rows(17, 140_000), |it| it / 100));
    let folder = scene.path("log/model=m/version=1/date=1970-01-01/hour=00");
    let file = fs::read_dir(&folder).expect("a folder").next().expect("a file").expect("its name");
    let mut bytes = fs::read(file.path()).expect("read");
    // The last four bytes are a word, and those before them say how long what describes the file is.
    let end = bytes.len() - 8;
    let about = bytes[end..end + 4].try_into().expect("four bytes");
    let end = end - usize::try_from(u32::from_le_bytes(about)).expect("short");
    let begin = end - end / 50;
    bytes[begin..end].fill(0);
    fs::write(file.path(), bytes).expect("written");
    scene.start();
    scene.round(1_000);
    scene.check((140, 1));
    scene.start();
    scene.round(9_000);
    // 131,072 rows are a group.
    scene.check((262, 72));
}

/// None, some or all of its rows were counted by then; this process goes on, or the next.
#[test]
fn a_file_that_is_written_anew_is_read_once_more() {
    for at_s in [200, 600, 799] {
        for is_other in [false, true] {
            let series = Series::default();
            ::metrics::with_local_recorder(&series, || {
                let mut scene = Scene::new(PLAN);
                let all = rows(22, 900);
                scene.put(&all.slice(0, 500));
                scene.start();
                scene.round(at_s);
                scene.put_anew(&all);
                if is_other {
                    scene.start();
                }
                scene.round(1_300);
                scene.check((1, 400));
                scene.start();
                scene.round(9_000);
                scene.check((1, 400));
            });
            assert_eq!(series.read()["salver_fleet_objects_total read"], 2.0, "{at_s} {is_other}");
        }
    }
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
