use super::*;

use std::fs::File;

/// A repository whose every time is of long ago, so that looks may be relied on.
struct Aged(tempfile::TempDir);

impl Aged {
    fn new(models: usize) -> Aged {
        let it = Aged(tempfile::tempdir().expect("scratch"));
        for n in 0..models {
            it.put(&format!("m{n}/1/model.onnx"), "a");
        }
        it
    }

    fn put(&self, path: &str, content: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, content).expect("write");
    }

    fn scanner(&self) -> Scanner {
        Scanner::new(&[self.0.path().to_path_buf()], vec!["model.onnx"])
    }
}

/// Makes of what was seen something that a look at the disk would not give, and nothing of it
/// doubtful: whoever gets it back has not looked.
fn mark(scanner: &mut Scanner) {
    for known in scanner.repositories[0].known.values_mut() {
        known.seen = Arc::new(Err("as remembered".to_owned()));
        known.trace.is_doubtful = false;
    }
}

fn remembered(found: &Found) -> usize {
    found.models.values().filter(|it| it.is_err()).count()
}

/// A change, and whether a scan that relies on what it remembers sees it.
#[track_caller]
fn check(change: impl FnOnce(&Aged), seen: bool) {
    // One more than are looked at in full, so that half of them are not.
    let house = Aged::new(FULL_LOOKS + 1);
    house.put("m0/model.toml", "");
    let mut scanner = house.scanner();
    scanner.scan();
    mark(&mut scanner);
    let due = |it: &Known| !it.trace.still_holds();
    assert_eq!(
        scanner.repositories[0].known.values().filter(|it| due(it)).count(),
        0,
        "all looks the same"
    );
    change(&house);
    let first = &scanner.repositories[0].known["m0"];
    assert_eq!(due(first), seen);
}

#[test]
fn every_kind_of_change_is_seen() {
    check(|_| {}, false);
    check(|it| it.put("m0/1/model.onnx", "longer"), true);
    check(|it| it.put("m0/1/weights/part", ""), true);
    check(|it| it.put("m0/2/model.onnx", "a"), true);
    check(|it| it.put("m0/model.toml", "a = 1"), true);
    check(|it| fs::remove_file(it.0.path().join("m0/model.toml")).expect("remove"), true);
    check(|it| fs::remove_dir_all(it.0.path().join("m0")).expect("remove"), true);
    check(|it| fs::remove_dir_all(it.0.path().join("m0/1")).expect("remove"), true);
    let touch = |it: &Aged| {
        let file = File::options().append(true).open(it.0.path().join("m0/1/model.onnx"));
        file.expect("there").set_modified(UNIX_EPOCH).expect("sets");
    };
    check(touch, true);
}

#[test]
fn what_is_new_is_looked_at_again() {
    let house = Aged::new(FULL_LOOKS + 1);
    let mut scanner = house.scanner();
    scanner.scan();
    assert!(
        scanner.repositories[0].known.values().all(|it| !it.trace.still_holds()),
        "all are seconds old"
    );
}

#[test]
fn every_model_is_looked_at_in_full_now_and_then() {
    // Models, and how many scans it takes until each has been looked at.
    for (models, rounds) in [(3, 1), (FULL_LOOKS, 1), (FULL_LOOKS + 1, 2), (FULL_LOOKS * 3, 3)] {
        let house = Aged::new(models);
        let mut scanner = house.scanner();
        scanner.scan();
        mark(&mut scanner);
        let mut left = Vec::new();
        for _ in 0..rounds {
            left.push(remembered(&scanner.scan()));
        }
        assert_eq!(left.last(), Some(&0), "{models} models: {left:?}");
        assert!(left.iter().rev().skip(1).all(|it| *it > 0), "{models} models: {left:?}");
    }
}

#[test]
fn what_is_the_same_is_the_same_thing() {
    let house = Aged::new(2);
    let mut scanner = house.scanner();
    let first = scanner.scan();
    house.put("m1/1/more", "x");
    let second = scanner.scan();
    let same = |name: &str| Arc::ptr_eq(&first.models[name], &second.models[name]);
    assert_eq!((same("m0"), same("m1")), (true, false));
}

#[test]
fn of_two_models_of_one_name_the_first_counts() {
    let (own, other) = (Aged::new(1), Aged::new(2));
    own.put("m0/model.toml", "own = 1");
    let folders = [own.0.path().to_path_buf(), other.0.path().to_path_buf()];
    let found = Scanner::new(&folders, vec!["model.onnx"]).scan();
    let text = |name: &str| found.models[name].as_ref().as_ref().expect("read").config.text.clone();
    assert_eq!((text("m0"), text("m1")), (Some(Ok("own = 1".to_owned())), None));
    let stranger = format!("{}/m0: there is another", other.0.path().display());
    assert!(found.strangers.iter().any(|it| it.starts_with(&stranger)), "{:?}", found.strangers);
}

#[test]
fn a_repository_that_cannot_be_read_takes_no_other_with_it() {
    let (away, here) = (Aged::new(1), Aged::new(2));
    let folders = [away.0.path().to_path_buf(), here.0.path().to_path_buf()];
    let mut scanner = Scanner::new(&folders, vec!["model.onnx"]);
    let before = scanner.scan();
    fs::remove_dir_all(away.0.path()).expect("removed");
    here.put("m1/2/model.onnx", "new");
    let after = scanner.scan();
    assert_eq!((after.unread.len(), after.unread[0].0.as_path()), (1, away.0.path()));
    assert!(Arc::ptr_eq(&before.models["m0"], &after.models["m0"]), "what was known stands");
    let versions = after.models["m1"].as_ref().as_ref().expect("read").versions.len();
    assert_eq!(versions, 2, "and the other is looked at");
}
