use super::*;

use std::fs;

use server_base::Journal;

use crate::fixture::{Place, Wants, target};

/// Finds fault with plans that name a key that there is not.
static READER: Wants = Wants { versions: Vec::new(), failed: Vec::new(), unknown: Some("stepz") };

impl Place {
    fn reader<'a>(&'a self, origins: &'a Origins) -> Desk<'a> {
        let desk = self.desk(&READER, (origins, vec![target("wine", self.source())]));
        let journal = Journal::new(self.root.path(), "audit", 1 << 20);
        desk.with_trail(Trail::new(Some(Arc::new(journal))))
    }

    /// The address names a version that bears these tags.
    async fn names(
        &self,
        desk: &Desk<'_>,
        (version, file, tags): (u64, &str, &[(&str, &str)]),
    ) -> Result<(), RegistryError> {
        self.publish(version, (file, &version.to_string()));
        let uri = self.source();
        let mut pulled = desk.puller().pull(&uri).await.expect("pulled");
        let tag = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pulled.record.tags = tags.iter().map(tag).collect();
        let placed = desk.place(&uri, pulled);
        placed.as_ref().err().into_iter().for_each(|it| desk.is_ill(&uri, it));
        placed
    }

    fn settings(&self) -> Table {
        let text = fs::read_to_string(self.house().join("wine/model.toml")).expect("there");
        text.parse().expect("TOML")
    }

    fn audit(&self) -> Vec<String> {
        let text = fs::read_to_string(self.root.path().join("audit.jsonl")).unwrap_or_default();
        let line = |it: &str| serde_json::from_str::<serde_json::Value>(it).expect("JSON");
        let told = |it: serde_json::Value| format!("{} {}", it["result"], it["version"]);
        text.lines().map(line).map(told).collect()
    }
}

fn wanted(settings: &Table) -> Option<i64> {
    settings.get("version_policy")?.get("specific")?.get(0)?.as_integer()
}

fn no_trouble(origins: &Origins) -> bool {
    origins.get("wine").is_some_and(|it| it.trouble.is_none())
}

#[tokio::test]
async fn tags_of_a_version_ask_for_its_rollout() {
    let (place, origins) = (Place::new(), Origins::default());
    let desk = place.reader(&origins);
    place.names(&desk, (1, "model.onnx", &[])).await.expect("taken");
    assert_eq!(place.settings().get("rollout"), None);
    let tags = [("salver.rollout", "true"), ("salver.rollout.steps", "5,100")];
    place.names(&desk, (2, "model.onnx", &tags)).await.expect("taken");
    let expect: Table = "rollout = { steps = '5,100' }".parse().expect("TOML");
    assert_eq!(place.settings().get("rollout"), expect.get("rollout"));
    assert_eq!(wanted(&place.settings()), Some(2));
    // Said otherwise of the same version: written down as well.
    place.names(&desk, (2, "model.onnx", &tags[..1])).await.expect("taken");
    assert_eq!(place.settings().get("rollout"), Some(&toml::Value::Table(Table::new())));
    place.names(&desk, (3, "model.onnx", &[])).await.expect("taken");
    assert_eq!(place.settings().get("rollout"), None);
}

#[tokio::test]
async fn a_version_with_a_plan_that_cannot_be_followed_is_not_taken() {
    let (place, origins) = (Place::new(), Origins::default());
    let desk = place.reader(&origins);
    place.names(&desk, (1, "model.onnx", &[])).await.expect("taken");
    for (tag, value, says) in [
        ("salver.rollout", "maybe", "tag salver.rollout is \"maybe\": expected"),
        ("salver.rollout.stepz", "5,100", "rollout: unknown field `stepz`"),
    ] {
        let error = place.names(&desk, (2, "model.onnx", &[(tag, value)])).await;
        let words = error.expect_err("not taken").to_string();
        assert!(words.contains(says) && words.contains("version 2 is not taken"), "{words}");
        assert_eq!(wanted(&place.settings()), Some(1), "what serves goes on");
        assert!(!place.house().join("wine/2").exists());
        let trouble = origins.get("wine").and_then(|it| it.trouble.clone()).unwrap_or_default();
        assert!(trouble.contains(says), "{trouble}");
    }
    let tags = [("salver.rollout.steps", "5,100")];
    place.names(&desk, (2, "model.onnx", &tags)).await.expect("mended");
    desk.is_well(&place.source(), true);
    assert!(no_trouble(&origins) && wanted(&place.settings()) == Some(2));
    let expect = [r#""pulled" 1"#, r#""refused" null"#, r#""refused" null"#, r#""pulled" 2"#];
    assert_eq!(place.audit(), expect);
}

#[tokio::test]
async fn what_is_refused_anew_is_written_down_anew() {
    let (place, origins) = (Place::new(), Origins::default());
    let desk = place.reader(&origins);
    let again = [("salver.rollout", "maybe")];
    for _ in 0..2 {
        place.names(&desk, (1, "model.onnx", &[])).await.expect("taken");
        for _ in 0..2 {
            place.names(&desk, (2, "model.onnx", &again)).await.expect_err("not taken");
        }
        fs::remove_dir_all(place.root.path().join("registry/2")).expect("removed");
    }
    assert_eq!(place.audit(), [r#""pulled" 1"#, r#""refused" null"#, r#""refused" null"#]);
}

#[tokio::test]
async fn what_no_engine_reads_is_refused_once() {
    let (place, origins) = (Place::new(), Origins::default());
    let desk = place.reader(&origins);
    for _ in 0..3 {
        place.names(&desk, (1, "model.pkl", &[])).await.expect("only other content cures it");
    }
    assert_eq!(place.audit(), [r#""refused" null"#]);
    assert!(!no_trouble(&origins));
}

/// The book is another's while version 2 is placed: what must not be waited for is there by then.
#[tokio::test]
async fn a_version_is_known_as_soon_as_it_is_there() {
    let (place, origins) = (Place::new(), Origins::default());
    let desk = place.reader(&origins);
    place.names(&desk, (1, "model.onnx", &[])).await.expect("taken");
    drop(desk);
    let books = fs::read_dir(place.root.path().join("cache/versions")).expect("a folder");
    let books: Vec<_> = books.map(|it| it.expect("an entry").path()).collect();
    let lock = books.iter().find(|it| it.extension().is_some_and(|it| it == "lock"));
    let lock = fs::File::open(lock.expect("one was written")).expect("opened");
    lock.lock().expect("nobody has it");
    let house = place.house().join("wine");
    let origins = Origins::default();
    std::thread::scope(|scope| {
        let placing = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let desk = place.reader(&origins);
                desk.is_ill(&place.source(), &RegistryError::Policy("not that one".to_owned()));
                place.names(&desk, (2, "model.onnx", &[])).await.expect("taken");
            });
        });
        while !house.join("2").exists() {
            assert!(!placing.is_finished(), "it waits for the book");
            std::thread::yield_now();
        }
        let origin = origins.get("wine").expect("a model");
        assert!(!placing.is_finished(), "it waits for the book");
        lock.unlock().expect("ours");
        let versions: Vec<u64> = origin.versions.keys().map(|it| it.0).collect();
        assert_eq!((versions, &origin.trouble), (vec![2], &None));
    });
}

#[tokio::test]
async fn what_cannot_be_linked_is_not_shown() {
    let (place, origins) = (Place::new(), Origins::default());
    let desk = place.reader(&origins);
    place.names(&desk, (1, "model.onnx", &[])).await.expect("taken");
    let known = origins.get("wine").expect("a model");
    let in_the_way = place.house().join("wine/.2");
    fs::create_dir(&in_the_way).expect("made");
    place.names(&desk, (2, "model.onnx", &[])).await.expect_err("in the way");
    let origin = origins.get("wine").expect("a model");
    assert_eq!((&origin.versions, origin.before), (&known.versions, None));
    let trouble = origin.trouble.clone().unwrap_or_default();
    assert!(trouble.contains("cannot fill the folder of wine"), "{trouble}");
    fs::remove_dir(in_the_way).expect("removed");
    place.names(&desk, (2, "model.onnx", &[])).await.expect("tried again");
    let origin = origins.get("wine").expect("a model");
    assert_eq!((origin.versions.len(), origin.before), (2, Some(Version(1))));
    assert!(no_trouble(&origins));
}
