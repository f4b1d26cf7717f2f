use super::*;

use server_registry::{Puller, Silent};

use crate::fixture::{Place as Stocked, target, uri};
use crate::supply::Stock;

/// A model of two addresses, over a cache with contents that are made as they are asked for.
struct Place {
    within: Stocked,
    folder: ModelFolder,
}

const CHAMPION: &str = "mlflow://h/wine@champion";
const CHALLENGER: &str = "mlflow://h/wine@challenger";

fn place() -> Place {
    let within = Stocked::new();
    let labels = [("canary".to_owned(), uri(CHALLENGER))].into();
    let target = Target { labels, ..target("wine", uri(CHAMPION)) };
    let folder = ModelFolder::new(within.root.path(), target).expect("a folder");
    Place { within, folder }
}

impl Place {
    /// What is called that, in the cache.
    fn lease(&self, content: &str) -> Arc<Lease> {
        let from = self.within.root.path().join("files").join(content);
        fs::create_dir_all(&from).expect("a folder");
        fs::write(from.join("model.onnx"), content).expect("written");
        let uri = uri(&format!("file:{}", from.display()));
        let Stock { registries, cache, lock, signatures, .. } = &self.within.stock;
        let puller = Puller { registries, cache, lock, signatures, progress: &Silent };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let pulled = runtime.expect("a runtime").block_on(puller.pull(&uri));
        Arc::new(pulled.expect("pulled").lease)
    }

    fn name(&mut self, uri: &str, version: u64, content: &str) -> Result<bool, Misplaced> {
        self.tell(uri, (version, content), &Facts::default())
    }

    fn tell(
        &mut self,
        uri: &str,
        (version, content): (u64, &str),
        facts: &Facts,
    ) -> Result<bool, Misplaced> {
        let lease = self.lease(content);
        let named = (Version(version), &lease, facts, None);
        self.folder.place(&self::uri(uri), named, |_| Fate::Idle, |_| {})
    }

    /// What the lifecycle would see: versions with their content, and the versions that are wanted.
    #[track_caller]
    fn shows(&self, expect: &str) {
        let path = self.within.root.path().join("wine");
        let version = |it: &Version| {
            let file = path.join(it.to_string()).join("model.onnx");
            fs::read_to_string(file).ok().map(|content| format!("{it}={content}"))
        };
        let mut words: Vec<String> = self.folder.linked.keys().filter_map(version).collect();
        let text = fs::read_to_string(path.join("model.toml")).unwrap_or_default();
        let table: toml::Table = text.parse().expect("TOML");
        let wanted = table.get("version_policy").and_then(|it| it.get("specific"));
        words.push(wanted.map_or("nothing".to_owned(), ToString::to_string));
        assert_eq!(words.join(" "), expect);
    }
}

#[test]
fn what_is_named_is_linked_and_then_wanted() {
    let mut it = place();
    it.shows("nothing");
    assert!(it.name(CHAMPION, 1, "a").expect("placed"));
    it.shows("1=a [1]");
    assert!(!it.name(CHAMPION, 1, "a").expect("nothing new"));
    it.name(CHAMPION, 2, "b").expect("placed");
    it.shows("1=a 2=b [2]");
    it.name(CHAMPION, 2, "c").expect("the same number may get other content");
    it.shows("1=a 2=c [2]");
}

#[test]
fn what_is_said_of_a_version_may_change() {
    let mut it = place();
    for word in ["pending", "approved"] {
        let facts = Facts::from([("registry.tag.validation".to_owned(), word.to_owned())]);
        it.tell(CHAMPION, (1, "a"), &facts).expect("placed");
        assert_eq!(it.folder.contents()[&Version(1)].facts, facts);
    }
}

/// What is known of versions is told once, and before they are there.
#[track_caller]
fn told_first(
    it: &mut Place,
    version: u64,
    place: impl FnOnce(&mut ModelFolder, &dyn Fn(&ModelFolder)),
) {
    let path = it.within.root.path().join("wine").join(version.to_string());
    let told = std::cell::RefCell::new(Vec::new());
    place(&mut it.folder, &|folder| {
        let is_known = folder.contents().contains_key(&Version(version));
        told.borrow_mut().push((is_known, folder.before(), path.exists()));
    });
    let before = it.folder.before();
    assert_eq!((told.into_inner(), path.exists()), (vec![(true, before, false)], true));
}

#[test]
fn what_is_linked_is_known_before() {
    let mut it = place();
    for (version, content) in [(1, "a"), (2, "b")] {
        let lease = it.lease(content);
        told_first(&mut it, version, |folder, tell| {
            let named = (Version(version), &lease, &Facts::default(), None);
            assert!(folder.place(&uri(CHAMPION), named, |_| Fate::Idle, tell).expect("placed"));
        });
    }
    let lease = Arc::into_inner(it.lease("old")).expect("ours alone");
    told_first(&mut it, 3, |folder, tell| {
        let known = (lease, "mlflow://h/wine/3", Facts::default());
        folder.keep(Version(3), known, tell).expect("kept");
    });
}

#[test]
fn what_cannot_be_linked_is_not_known() {
    let mut it = place();
    it.name(CHAMPION, 1, "a").expect("placed");
    let (known, house) = (it.folder.contents(), it.within.root.path().join("wine"));
    // What is in the way of links.
    let in_the_way = |on: bool| {
        for version in 1..=3 {
            let aside = house.join(format!(".{version}"));
            let done = if on { fs::create_dir(aside) } else { fs::remove_dir(aside) };
            done.expect("done");
        }
    };
    in_the_way(true);
    for (version, content) in [(2, "b"), (1, "c")] {
        it.name(CHAMPION, version, content).expect_err("in the way");
        assert_eq!((it.folder.contents(), it.folder.before()), (known.clone(), None));
    }
    let keep = |it: &mut Place| {
        let lease = Arc::into_inner(it.lease("old")).expect("ours alone");
        it.folder.keep(Version(3), (lease, "mlflow://h/wine/3", Facts::default()), |_| {})
    };
    keep(&mut it).expect_err("in the way");
    assert!(!it.folder.has(Version(3)), "it is missing, and brought again");
    it.shows("1=a [1]");
    in_the_way(false);
    assert!(it.name(CHAMPION, 2, "b").expect("placed"));
    keep(&mut it).expect("kept");
    it.shows("1=a 2=b 3=old [2]");
}

#[test]
fn nothing_answers_in_the_place_of_the_source() {
    let mut it = place();
    it.name(CHALLENGER, 7, "new").expect("kept");
    it.shows("nothing");
    it.name(CHAMPION, 3, "old").expect("placed");
    it.shows("3=old 7=new [3, 7]");
}

#[test]
fn one_number_is_one_content() {
    let mut it = place();
    it.name(CHAMPION, 3, "a").expect("placed");
    it.name(CHALLENGER, 3, "a").expect("the same");
    let error = it.name(CHALLENGER, 3, "b").expect_err("another");
    assert!(matches!(error, Misplaced::Unusable(words) if words.contains(CHAMPION)));
    it.shows("3=a [3]");
}

#[test]
fn what_is_in_memory_and_what_was_last_stay() {
    let mut it = place();
    for (version, content) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
        it.name(CHAMPION, version, content).expect("placed");
    }
    let in_memory = |it: Version| if it == Version(1) { Fate::Needed } else { Fate::Idle };
    it.folder.prune(in_memory).expect("pruned");
    it.shows("1=a 3=c 4=d [4]");
    it.folder.prune(|_| Fate::Idle).expect("pruned");
    it.shows("3=c 4=d [4]");
}

#[test]
fn what_a_rollout_wants_is_linked_without_an_address() {
    let mut it = place();
    let lease = Arc::into_inner(it.lease("old")).expect("ours alone");
    let known = (lease, "mlflow://h/wine/2", Facts::default());
    it.folder.keep(Version(2), known, |_| {}).expect("kept");
    it.shows("nothing");
    it.name(CHAMPION, 3, "new").expect("placed");
    it.shows("2=old 3=new [3]");
    it.folder.prune(|_| Fate::Needed).expect("pruned");
    it.shows("2=old 3=new [3]");
    assert!(it.folder.is_crowded());
    it.folder.prune(|_| Fate::Idle).expect("pruned");
    it.shows("3=new [3]");
}

#[test]
fn what_could_not_be_loaded_is_nothing_to_fall_back_to() {
    let mut it = place();
    let failed = |it: Version| if it == Version(2) { Fate::Failed } else { Fate::Needed };
    let uri = uri(CHAMPION);
    for (version, content) in [(1, "good"), (2, "broken"), (3, "broken too")] {
        let lease = it.lease(content);
        it.folder
            .place(&uri, (Version(version), &lease, &Facts::default(), None), failed, |_| {})
            .expect("placed");
    }
    assert_eq!(it.folder.before(), Some(Version(1)));
    let text = fs::read_to_string(it.within.root.path().join("wine/model.toml")).expect("written");
    assert!(text.contains("fallback_version = 1"), "{text}");
}
