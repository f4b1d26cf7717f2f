use super::*;

use std::fs;
use std::time::Duration;

use server_base::Journal;
use server_registry::{
    AddressPolicy, Cache, Environment, Limits, Lock, Registries, SignaturePolicy,
};
use tempfile::TempDir;

use crate::supply::Fate;

/// Finds fault with plans that name a key that there is not.
struct Reader;

impl World for Reader {
    fn fate(&self, _: &ModelName, _: Version) -> Fate {
        Fate::Idle
    }

    fn wanted(&self) -> Vec<(ModelName, Version)> {
        Vec::new()
    }

    fn failed(&self) -> Vec<(ModelName, Version)> {
        Vec::new()
    }

    fn faults(&self, settings: &str) -> Vec<String> {
        let is_known = !settings.contains("stepz");
        if is_known { Vec::new() } else { vec!["rollout: unknown field `stepz`".to_owned()] }
    }
}

/// A registry of numbered folders.
struct Place {
    root: TempDir,
    stock: Stock,
}

const SOURCE: &str = "source";

impl Place {
    fn new() -> Place {
        let root = tempfile::tempdir().expect("scratch");
        let cache = Cache::open(&root.path().join("cache"), 1 << 30).expect("a cache");
        let policy = AddressPolicy::default();
        let registries = Registries::new(Environment::default(), None, policy, Limits::default());
        let (lock, signatures) = (Lock::default(), SignaturePolicy::Ignored);
        let stock = Stock { registries, cache, lock, signatures, artifacts: vec!["model.onnx"] };
        Place { root, stock }
    }

    fn uri(&self) -> Uri {
        let folder = self.root.path().join(SOURCE);
        format!("file:{}", folder.display()).parse().expect("an address")
    }

    fn desk<'a>(&'a self, origins: &'a Origins) -> Desk<'a> {
        let target = Target {
            model: ModelName::new("wine").expect("a name"),
            source: self.uri(),
            labels: BTreeMap::new(),
            promoted_alias: None,
            verdicts: None,
            poll: Duration::ZERO,
            settings: toml::Table::new(),
        };
        let folder = ModelFolder::new(self.root.path(), target).expect("a folder");
        let journal = Journal::new(self.root.path(), "audit", 1 << 20);
        let trail = Trail::new(Some(Arc::new(journal)));
        Desk::new((&self.stock, &Reader), origins, vec![folder]).with_trail(trail)
    }

    /// The address names a version that bears these tags.
    async fn names(
        &self,
        desk: &Desk<'_>,
        (version, file, tags): (u64, &str, &[(&str, &str)]),
    ) -> Result<(), RegistryError> {
        let folder = self.root.path().join(SOURCE).join(version.to_string());
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join(file), version.to_string()).expect("written");
        let uri = self.uri();
        let mut pulled = desk.puller().pull(&uri).await.expect("pulled");
        let tag = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pulled.record.tags = tags.iter().map(tag).collect();
        let placed = desk.place(&uri, pulled);
        placed.as_ref().err().into_iter().for_each(|it| desk.is_ill(&uri, it));
        placed
    }

    fn settings(&self) -> Table {
        let text = fs::read_to_string(self.root.path().join("wine/model.toml")).expect("there");
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
    let desk = place.desk(&origins);
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
    let desk = place.desk(&origins);
    place.names(&desk, (1, "model.onnx", &[])).await.expect("taken");
    for (tag, value, says) in [
        ("salver.rollout", "maybe", "tag salver.rollout is \"maybe\": expected"),
        ("salver.rollout.stepz", "5,100", "rollout: unknown field `stepz`"),
    ] {
        let error = place.names(&desk, (2, "model.onnx", &[(tag, value)])).await;
        let words = error.expect_err("not taken").to_string();
        assert!(words.contains(says) && words.contains("version 2 is not taken"), "{words}");
        assert_eq!(wanted(&place.settings()), Some(1), "what serves goes on");
        assert!(!place.root.path().join("wine/2").exists());
        let trouble = origins.get("wine").and_then(|it| it.trouble.clone()).unwrap_or_default();
        assert!(trouble.contains(says), "{trouble}");
    }
    let tags = [("salver.rollout.steps", "5,100")];
    place.names(&desk, (2, "model.onnx", &tags)).await.expect("mended");
    desk.is_well(&place.uri(), true);
    assert!(no_trouble(&origins) && wanted(&place.settings()) == Some(2));
    let expect = [r#""pulled" 1"#, r#""refused" null"#, r#""refused" null"#, r#""pulled" 2"#];
    assert_eq!(place.audit(), expect);
}

#[tokio::test]
async fn what_is_refused_anew_is_written_down_anew() {
    let (place, origins) = (Place::new(), Origins::default());
    let desk = place.desk(&origins);
    let again = [("salver.rollout", "maybe")];
    for _ in 0..2 {
        place.names(&desk, (1, "model.onnx", &[])).await.expect("taken");
        for _ in 0..2 {
            place.names(&desk, (2, "model.onnx", &again)).await.expect_err("not taken");
        }
        fs::remove_dir_all(place.root.path().join(SOURCE).join("2")).expect("removed");
    }
    assert_eq!(place.audit(), [r#""pulled" 1"#, r#""refused" null"#, r#""refused" null"#]);
}

#[tokio::test]
async fn what_no_engine_reads_is_refused_once() {
    let (place, origins) = (Place::new(), Origins::default());
    let desk = place.desk(&origins);
    for _ in 0..3 {
        place.names(&desk, (1, "model.pkl", &[])).await.expect("only other content cures it");
    }
    assert_eq!(place.audit(), [r#""refused" null"#]);
    assert!(!no_trouble(&origins));
}
