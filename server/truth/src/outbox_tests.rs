use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::*;
use crate::dataset::Dataset;
use crate::fixture::model;
use crate::label::Given;

const DAY_US: i64 = 86_400_000_000;

/// What was put there, by the name of the piece.
type Put = Arc<Mutex<Vec<(String, Vec<Sent>)>>>;

struct Sink {
    put: Put,
    /// So many attempts fail, after they were taken.
    fails: usize,
}

impl LabelSink for Sink {
    fn name(&self) -> &'static str {
        "sink"
    }

    fn put(&mut self, _: &ModelName, name: &str, labels: &[Sent]) -> io::Result<usize> {
        self.put
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((name.to_owned(), labels.to_vec()));
        self.fails = self.fails.checked_sub(1).map_or(0, |it| it);
        if self.fails > 0 {
            return Err(io::Error::other("away"));
        }
        Ok(labels.iter().filter(|it| &*it.label.id != "large").count())
    }

    fn idle(&mut self) {}
}

/// Hangs in its first attempt until it is let go, and says when it has nothing more to do.
struct Slow {
    name: &'static str,
    put: Put,
    held: Option<Receiver<()>>,
    idle: Vec<Sender<()>>,
}

impl LabelSink for Slow {
    fn name(&self) -> &'static str {
        self.name
    }

    fn put(&mut self, _: &ModelName, name: &str, labels: &[Sent]) -> io::Result<usize> {
        if let Some(held) = self.held.take() {
            held.recv().map_err(io::Error::other)?;
        }
        self.put.lock().expect("nobody else").push((name.to_owned(), labels.to_vec()));
        Ok(labels.len())
    }

    fn idle(&mut self) {
        if let Some(told) = self.idle.pop() {
            told.send(()).expect("somebody waits");
        }
    }
}

struct Scene {
    root: tempfile::TempDir,
    dataset: Dataset,
    put: Put,
}

impl Scene {
    fn new() -> Scene {
        let root = tempfile::tempdir().expect("scratch");
        let dataset = Dataset::new(root.path().join("labels"));
        Scene { root, dataset, put: Put::default() }
    }

    fn record(&mut self, id: &str, us: i64) {
        let label = Label::new(id, 0, Given::Number(1.0), Some(5)).expect("a label");
        self.dataset.append(&model(), &[&[label]], us).expect("written");
    }

    /// A process begins, and fails so many attempts less one.
    fn courier(&self, fails: usize) -> Courier {
        let sink = Sink { put: Arc::clone(&self.put), fails };
        Courier::open(self.delivered(Duration::ZERO), Box::new(sink)).expect("opens")
    }

    fn delivered(&self, roll: Duration) -> Delivered {
        let (folder, log) = (self.root.path().to_path_buf(), "log".to_owned());
        Delivered { folder, log, roll, give_way: || {} }
    }

    /// Ids of requests, piece by piece, that were put there since the last look.
    fn taken(&self) -> Vec<Vec<String>> {
        let put = std::mem::take(&mut *self.put.lock().unwrap_or_else(PoisonError::into_inner));
        put.iter().map(|it| it.1.iter().map(|it| it.label.id.to_string()).collect()).collect()
    }
}

#[test]
fn each_label_goes_once_and_a_restart_goes_on() {
    let mut scene = Scene::new();
    scene.record("a", 7);
    scene.record("b", DAY_US - 1);
    scene.record("c", DAY_US);
    let mut courier = scene.courier(0);
    courier.turn().expect("delivered");
    assert_eq!(scene.taken(), [vec!["a", "b"], vec!["c"]], "a piece is of one day");
    courier.turn().expect("nothing to do");
    scene.record("d", DAY_US + 1);
    let mut next = scene.courier(0);
    assert!(next.lag("wine") > 0);
    next.turn().expect("delivered");
    assert_eq!((scene.taken(), next.lag("wine")), (vec![vec!["d".to_owned()]], 0));
}

#[test]
fn what_a_sink_may_not_have_taken_comes_again_under_the_same_name() {
    let mut scene = Scene::new();
    scene.record("a", 7);
    let mut courier = scene.courier(2);
    courier.turn().expect_err("it is away");
    let first = scene.put.lock().expect("nobody else")[0].clone();
    assert_eq!(scene.taken(), [["a"]]);
    scene.record("b", 8);
    // A process that was killed in between remembers nothing of it.
    let mut courier = scene.courier(0);
    courier.turn().expect("delivered");
    let second = scene.put.lock().expect("nobody else")[0].clone();
    assert_eq!((&second.0, &second.1[0]), (&first.0, &first.1[0]), "the same id and name");
    assert_eq!(scene.taken(), [["a", "b"]]);
}

#[test]
fn what_a_sink_leaves_out_is_not_counted_as_taken_and_does_not_come_again() {
    let mut scene = Scene::new();
    scene.record("a", 7);
    scene.record("large", 8);
    scene.record("b", 9);
    let taken = Arc::new(AtomicU64::new(0));
    let mut courier = scene.courier(0);
    courier.metrics.rows = metrics::Counter::from_arc(Arc::clone(&taken));
    courier.turn().expect("delivered");
    courier.turn().expect("nothing to do");
    assert_eq!(taken.load(Ordering::Relaxed), 2);
    assert_eq!(scene.taken(), [["a", "large", "b"]]);
}

#[test]
fn half_a_line_waits_for_its_end() {
    let mut scene = Scene::new();
    scene.record("a", 7);
    let path = scene.root.path().join("labels/model=wine/date=1970-01-01").join(FILE);
    let text = fs::read_to_string(&path).expect("a line");
    let mut file = File::options().append(true).open(path).expect("there");
    let (half, rest) = text.split_at(20);
    file.write_all(half.as_bytes()).expect("written");
    let mut courier = scene.courier(0);
    courier.turn().expect("delivered");
    assert_eq!(scene.taken(), [["a"]]);
    file.write_all(rest.as_bytes()).expect("written");
    courier.turn().expect("delivered");
    assert_eq!(scene.taken(), [["a"]], "the same words, and another line");
}

#[test]
fn a_day_that_was_deleted_is_passed_over() {
    let mut scene = Scene::new();
    scene.record("a", 7);
    let mut courier = scene.courier(0);
    courier.turn().expect("delivered");
    scene.record("b", 8);
    scene.record("c", 3 * DAY_US);
    fs::remove_dir_all(scene.root.path().join("labels/model=wine/date=1970-01-01")).expect("gone");
    courier.turn().expect("delivered");
    assert_eq!(scene.taken(), [["a"], ["c"]]);
}

#[test]
fn a_clock_that_is_set_back_over_midnight_loses_nothing() {
    let mut scene = Scene::new();
    scene.record("a", DAY_US - 2);
    scene.record("b", DAY_US);
    let mut courier = scene.courier(0);
    courier.turn().expect("delivered");
    assert_eq!(scene.taken(), [["a"], ["b"]]);
    // Further back than what is taken for an unsteady hand, so that it is another day's again.
    scene.record("c", DAY_US / 2);
    assert!(courier.lag("wine") > 0, "it waits");
    courier.turn().expect("delivered");
    assert_eq!((scene.taken(), courier.lag("wine")), (vec![vec!["c".to_owned()]], 0));
    scene.record("d", DAY_US / 2 + 1);
    scene.record("e", DAY_US + 2_000_000);
    scene.courier(0).turn().expect("delivered after a restart");
    assert_eq!(scene.taken(), [["d"], ["e"]]);
}

#[test]
fn what_a_crash_took_back_makes_room_for_others() {
    let mut scene = Scene::new();
    scene.record("a", 7);
    scene.record("b", 8);
    let mut courier = scene.courier(0);
    courier.turn().expect("delivered");
    assert_eq!(scene.taken(), [["a", "b"]]);
    let path = scene.root.path().join("labels/model=wine/date=1970-01-01").join(FILE);
    let text = fs::read_to_string(&path).expect("lines");
    fs::write(&path, text.lines().next().expect("a line").to_owned() + "\n").expect("shorter");
    let mut courier = scene.courier(0);
    assert!(courier.lag("wine") > 0);
    courier.turn().expect("delivered");
    assert_eq!(scene.taken(), [["a"]], "again, which harms nobody");
    scene.record("c", 9);
    courier.turn().expect("delivered");
    assert_eq!(scene.taken(), [["c"]]);
}

/// The first one to be stopped hangs until the second has done its last turn.
#[test]
fn a_sink_that_hangs_takes_no_time_of_another() {
    let mut scene = Scene::new();
    scene.record("a", 7);
    let day = Duration::from_secs(86_400);
    let (first, was_idle) = bounded(1);
    let (last, held) = bounded(1);
    let slow = |name, put: &Put, held, idle| {
        let sink = Slow { name, put: Arc::clone(put), held, idle };
        Outbox::start(scene.delivered(day), Box::new(sink)).expect("starts")
    };
    let hangs = slow("hangs", &Put::default(), Some(held), Vec::new());
    let sound = slow("sound", &scene.put, None, vec![last, first]);
    was_idle.recv_timeout(Duration::from_secs(60)).expect("its first turn");
    scene.record("b", 8);
    assert!(Outbox::stop_all(vec![hangs, sound], Instant::now() + Duration::from_secs(60)));
    assert_eq!(scene.taken(), [["a"], ["b"]]);
}
