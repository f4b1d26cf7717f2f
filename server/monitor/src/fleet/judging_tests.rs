use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use server_base::FindingKind;
use server_feedback::LabelRow;

use super::super::{FolderSource, Listed, Missing, Object, Wanted};
use super::scene::{
    DELAY_S, HORIZON_S, LATENESS_S, ROLL_S, SECOND, Scene, WINDOW_S, accuracy, label, of_window,
};
use super::*;

/// Six windows, and time for the labels of all.
const END_S: i64 = 6 * WINDOW_S + HORIZON_S + LATENESS_S + ROLL_S;

fn expected() -> Vec<(i64, f64, bool)> {
    (0..6).map(|it| (it * WINDOW_S, accuracy(it), it >= 3)).collect()
}

#[test]
fn labels_at_one_replica_judge_what_both_have_answered() {
    let mut scene = Scene::new();
    scene.start();
    for at in (0..END_S).step_by(500) {
        scene.come(at, at + ROLL_S);
        scene.round(at + ROLL_S);
    }
    scene.round(END_S);
    assert_eq!(scene.told(), expected());
    let shown = lock(scene.judging().judge()).shown("m", None).expect("it is judged");
    let windows = shown["versions"][0]["windows"].as_array().map_or(0, Vec::len);
    assert_eq!(windows, 6, "{shown:#}");
    assert_eq!(shown["versions"][0]["windows"][0]["concept_drift"]["before"], 0.1);
}

#[test]
fn a_process_that_is_killed_loses_and_doubles_nothing() {
    for files in [None, Some(1), Some(7)] {
        let mut scene = Scene::new();
        scene.start();
        for at in (0..END_S).step_by(500) {
            scene.come(at, at + ROLL_S);
            scene.round(at + ROLL_S);
            match files {
                None => scene.start(),
                Some(files) => scene.killed_after(at + ROLL_S + 1, files),
            }
        }
        scene.round(END_S);
        let heard = scene.heard.take();
        let told: Vec<_> =
            heard.iter().filter(|it| it.kind == FindingKind::Performance).map(of_window).collect();
        assert_eq!(told, expected(), "killed after {files:?} files");
        // A reference is learned over restarts.
        let risen = heard.iter().filter(|it| it.kind == FindingKind::ConceptDrift);
        let risen: Vec<bool> = risen.map(|it| it.is_alarm).collect();
        assert_eq!((risen.len(), risen.first()), (4, Some(&false)), "{heard:?}");
        assert!(risen.contains(&true), "{heard:?}");
    }
}

#[test]
fn a_backlog_says_what_would_have_been_said() {
    let mut scene = Scene::new();
    for at in (0..END_S).step_by(500) {
        scene.come(at, at + ROLL_S);
    }
    scene.start();
    scene.round(END_S);
    assert_eq!(scene.told(), expected());
    // The seventh window was begun, and is over by then.
    scene.round(END_S + 3_600);
    assert_eq!(scene.told().len(), 2);
}

/// The replica that has answered writes its files later than the one that was told the truth.
#[test]
fn labels_that_come_before_any_prediction_wait_for_them() {
    let mut scene = Scene::new();
    scene.start();
    scene.labels_come_first(END_S);
}

/// For a while this machine's clock shows a time that is a year ahead.
#[test]
fn a_clock_that_is_ahead_has_nothing_over_that_is_not() {
    for starts in [false, true] {
        let mut scene = Scene::new();
        scene.start();
        for at in (0..END_S).step_by(500) {
            scene.come(at, at + ROLL_S);
            scene.written(at + ROLL_S);
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
fn a_clock_that_goes_back_is_said() {
    let mut scene = Scene::new();
    scene.start();
    scene.come(0, 1_000);
    scene.round(90_000);
    scene.start();
    scene.now.store(2_000 * SECOND, Ordering::Relaxed);
    let error = scene.judging().round().expect_err("a clock").to_string();
    let words = ["89700 s", "2000 s", "performance.json"];
    assert!(words.iter().all(|it| error.contains(it)), "{error}");
    // It was wrong for a while, and nothing was read of what is left out then.
    scene.come(90_000, 91_000);
    scene
        .put_labels("one", &(90_000..91_000).map(|it| label(it, 91_000, true)).collect::<Vec<_>>());
    scene.told();
    scene.round(93_000);
    assert_eq!(scene.told(), [(90_000, 1.0, false)]);
}

/// A store that lists two names at a time.
struct Short(FolderSource);

impl Source for Short {
    fn list(&mut self, wanted: &Wanted<'_>) -> io::Result<Listed> {
        self.0.list(&Wanted { most: 2, ..*wanted })
    }

    fn fetch(&mut self, folder: &str, object: &Object) -> Result<fs::File, Missing> {
        self.0.fetch(folder, object)
    }
}

/// Days of labels come part by part; predictions are listed at once, and are not far ahead of what is judged.
#[test]
fn logs_that_are_listed_in_parts_are_read_together() {
    // Whole windows, and days apart.
    const LATER_S: i64 = 260 * WINDOW_S;
    let mut scene = Scene::new();
    let mut expect = Vec::new();
    for window in 0..3 {
        for begin in [window * WINDOW_S, LATER_S + window * WINDOW_S] {
            let seconds: Vec<i64> = (begin..begin + WINDOW_S).collect();
            scene.put("one", &seconds);
            let labels: Vec<LabelRow> =
                seconds.iter().map(|it| label(*it, it + 10, true)).collect();
            labels.chunks(250).for_each(|it| scene.put_labels("one", it));
            expect.push((begin - begin % WINDOW_S, 1.0, false));
        }
    }
    expect.sort_by_key(|it| it.0);
    scene.start();
    let labels = vec![(scene.path("one"), scene.path("one-labels"))];
    let Sources::Files { labels: source, .. } = &mut scene.judging().sources else {
        panic!("it reads files");
    };
    *source = Box::new(Short(FolderSource::labels(labels)));
    scene.now.store((LATER_S + 10 * WINDOW_S) * SECOND, Ordering::Relaxed);
    let mut rounds = 0;
    while scene.judging().round().expect("folders") == Round::Cut {
        rounds += 1;
        assert!(rounds < 100, "it comes to an end");
    }
    assert!(rounds > 5, "{rounds}");
    let mut told = scene.told();
    told.sort_by_key(|it| it.0);
    assert_eq!(told, expect);
}

#[test]
fn labels_count_once_and_the_last_one_counts() {
    let mut scene = Scene::new();
    scene.put("one", &(0..WINDOW_S).collect::<Vec<i64>>());
    let all = |recorded: i64, is_right: bool| -> Vec<LabelRow> {
        (0..WINDOW_S).map(|it| label(it, recorded, is_right)).collect()
    };
    // Wrong, as one replica was told first; right, as all were told later, in whichever order it is read.
    scene.put_labels("two", &all(1_200, true));
    scene.put_labels("one", &all(1_100, false));
    scene.put_labels("one", &all(1_200, true));
    scene.put_labels("two", &all(1_100, false)[..10]);
    // This comes when the window is over.
    scene.put_labels("one", &all(WINDOW_S + HORIZON_S, false));
    scene.start();
    scene.round(WINDOW_S + HORIZON_S + LATENESS_S - 1);
    assert_eq!(scene.told(), []);
    scene.round(WINDOW_S + HORIZON_S + LATENESS_S);
    assert_eq!(scene.told(), [(0, 1.0, false)]);
}

/// Whatever was read of them, and while the window is open or when it is over.
#[test]
fn files_that_are_written_anew_are_read_once_more() {
    const OVER_S: i64 = WINDOW_S + HORIZON_S + LATENESS_S;
    let seconds: Vec<i64> = (0..WINDOW_S).collect();
    let labels: Vec<LabelRow> = seconds.iter().map(|it| label(*it, 900, true)).collect();
    let counted = |scene: &mut Scene| {
        let shown = lock(scene.judging().judge()).shown("m", None).expect("it is judged");
        let window = &shown["versions"][0]["windows"][0];
        ["predicted", "labelled"].map(|it| window[it].as_u64())
    };
    for rows in [1, 600] {
        let mut scene = Scene::new();
        scene.start();
        scene.put("one", &seconds[..rows]);
        scene.put_labels("two", &labels[..rows / 2 + 1]);
        scene.round(1_000);
        scene.forget(2);
        scene.put("one", &seconds);
        scene.put_labels("two", &labels);
        scene.round(OVER_S);
        assert_eq!(scene.told(), [(0, 1.0, false)]);
        assert_eq!(counted(&mut scene), [Some(1_000); 2], "{rows}");
        // With what belongs in the next window, and wrong labels of the first.
        scene.forget(2);
        scene.put("one", &(0..WINDOW_S + 10).collect::<Vec<_>>());
        let late = seconds.iter().map(|it| label(*it, OVER_S, false));
        scene.put_labels("two", &labels.iter().cloned().chain(late).collect::<Vec<_>>());
        scene.round(OVER_S + 1);
        assert!(scene.told().is_empty());
        assert_eq!(counted(&mut scene), [Some(1_000); 2], "{rows}");
        scene.round(OVER_S + WINDOW_S);
        let shown = lock(scene.judging().judge()).shown("m", None).expect("it is judged");
        let next = &shown["versions"][0]["windows"][0];
        assert_eq!((&next["predicted"], &next["labelled"]), (&10.into(), &0.into()), "{shown:#}");
    }
}

#[test]
fn a_model_that_is_configured_anew_is_read_anew() {
    let mut scene = Scene::new();
    scene.start();
    scene.come(0, 400);
    scene.come(400, 1_000);
    scene.round(1_000);
    let path = scene.path("models/m/model.toml");
    let text = fs::read_to_string(&path).expect("text");
    fs::write(&path, text.replace("0.8", "0.95")).expect("written");
    scene.come(1_000, 1_000 + DELAY_S);
    scene.round(WINDOW_S + HORIZON_S + LATENESS_S);
    assert_eq!(scene.told(), [(0, 0.9, true)]);
}

#[test]
fn what_cannot_be_read_or_judged_is_left_out() {
    let mut scene = Scene::new();
    scene.put("one", &(0..WINDOW_S).collect::<Vec<i64>>());
    scene.put_labels("one", &(0..WINDOW_S).map(|it| label(it, 900, true)).collect::<Vec<_>>());
    for (folder, name) in [("one/model=m/version=1", "bad"), ("one-labels/model=m", "bad")] {
        let hour = scene.path(folder).join(server_feedback::hour_folder(0));
        fs::create_dir_all(&hour).expect("made");
        fs::write(hour.join(format!("{name}.parquet")), "PAR1").expect("written");
    }
    scene.start();
    scene.round(WINDOW_S + HORIZON_S + LATENESS_S);
    assert_eq!(scene.told(), [(0, 1.0, false)]);
    // A folder that is away holds up everything; nothing is taken for over meanwhile.
    scene.come(WINDOW_S, 2 * WINDOW_S);
    let (here, away) = (scene.path("two"), scene.path("elsewhere"));
    fs::rename(&here, &away).expect("moved");
    scene.now.store(10 * WINDOW_S * SECOND, Ordering::Relaxed);
    scene.judging().round().expect_err("a folder is away");
    assert_eq!(scene.told(), []);
    fs::rename(&away, &here).expect("moved");
    scene.round(10 * WINDOW_S);
    assert_eq!(scene.told().len(), 1);
    assert!(Path::new(&here).is_dir());
}
