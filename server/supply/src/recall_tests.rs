use super::*;

use std::fs;
use std::path::PathBuf;

use server_base::Origins;
use server_registry::{
    AddressPolicy, Cache, Environment, Limits, Lock, Registries, SignaturePolicy,
};
use tempfile::TempDir;

use crate::folder::ModelFolder;
use crate::supply::{Fate, Stock, World};

/// A registry of numbered folders, and processes over one cache, one after the other.
struct Place {
    root: TempDir,
    stock: Stock,
}

/// What rollouts want.
struct Wants(Vec<u64>);

impl World for Wants {
    fn fate(&self, _: &ModelName, version: Version) -> Fate {
        if self.0.contains(&version.0) { Fate::Needed } else { Fate::Idle }
    }

    fn wanted(&self) -> Vec<Wanted> {
        self.0.iter().map(|it| (model(), Version(*it))).collect()
    }

    fn failed(&self) -> Vec<Wanted> {
        Vec::new()
    }

    fn faults(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

/// The same, and the newest version cannot be loaded.
struct Broken;

impl World for Broken {
    fn fate(&self, _: &ModelName, _: Version) -> Fate {
        Fate::Failed
    }

    fn wanted(&self) -> Vec<Wanted> {
        Vec::new()
    }

    fn failed(&self) -> Vec<Wanted> {
        vec![(model(), Version(2))]
    }

    fn faults(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

fn model() -> ModelName {
    ModelName::new("wine").expect("a name")
}

fn place() -> Place {
    let root = tempfile::tempdir().expect("scratch");
    let cache = Cache::open(&root.path().join("cache"), 1 << 30).expect("a cache");
    let policy = AddressPolicy::default();
    let registries = Registries::new(Environment::default(), None, policy, Limits::default());
    let (lock, signatures) = (Lock::default(), SignaturePolicy::Ignored);
    let stock = Stock { registries, cache, lock, signatures, artifacts: vec!["model.onnx"] };
    Place { root, stock }
}

impl Place {
    fn file(&self, version: u64) -> PathBuf {
        self.root.path().join("registry").join(version.to_string()).join("model.onnx")
    }

    /// The registry has that version from now on.
    fn publish(&self, version: u64, content: &str) {
        let file = self.file(version);
        fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        fs::write(file, content).expect("written");
    }

    fn source(&self) -> Uri {
        let folder = self.root.path().join("registry");
        format!("file:{}", folder.display()).parse().expect("an address")
    }

    /// A process that is started with its folder still empty.
    fn process<'a>(&'a self, world: &'a dyn World, origins: &'a Origins) -> Desk<'a> {
        let target = Target {
            model: model(),
            source: self.source(),
            labels: BTreeMap::new(),
            promoted_alias: None,
            verdicts: None,
            poll: Duration::ZERO,
            settings: toml::Table::new(),
        };
        let house = self.house();
        let _ = fs::remove_dir_all(&house); // of the process before
        fs::create_dir_all(&house).expect("made");
        let folder = ModelFolder::new(&house, target).expect("a folder");
        Desk::new((&self.stock, world), origins, vec![folder])
    }

    fn house(&self) -> PathBuf {
        self.root.path().join("house")
    }

    /// What the lifecycle would see.
    fn shown(&self) -> String {
        let folder = self.house().join("wine");
        let mut words: Vec<String> = (1..=3)
            .filter_map(|it| {
                let text = fs::read_to_string(folder.join(format!("{it}/model.onnx"))).ok()?;
                Some(format!("{it}={text}"))
            })
            .collect();
        let settings = fs::read_to_string(folder.join("model.toml")).unwrap_or_default();
        words.extend(settings.contains("fallback_version = 1").then(|| "else 1".to_owned()));
        words.join(" ")
    }
}

/// What the address names now is linked, as at the start.
async fn look(desk: &Desk<'_>, uri: &Uri) {
    let pulled = desk.puller().pull(uri).await.expect("pulled");
    desk.place(uri, pulled).expect("placed");
    desk.recall_named(uri).await;
}

/// One process has seen versions 1 and 2.
async fn two_were_here(it: &Place) {
    let (origins, nothing) = (Origins::default(), Wants(Vec::new()));
    let desk = it.process(&nothing, &origins);
    for (version, content) in [(1, "old"), (2, "new")] {
        it.publish(version, content);
        look(&desk, &it.source()).await;
    }
    assert_eq!(it.shown(), "1=old 2=new else 1");
}

#[tokio::test]
async fn a_rollout_finds_both_versions_after_a_restart() {
    let it = place();
    two_were_here(&it).await;
    let (origins, wants) = (Origins::default(), Wants(vec![1, 2]));
    let desk = it.process(&wants, &origins);
    fs::remove_file(it.file(1)).expect("the registry need not have it any more");
    desk.recall_cached().await;
    assert_eq!(it.shown(), "", "nothing answers in the place of the source");
    look(&desk, &it.source()).await;
    assert_eq!(it.shown(), "1=old 2=new");
    assert_eq!(desk.missing(), []);
    let contents = origins.get("wine").map(|it| it.versions.len());
    assert_eq!(contents, Some(2), "operators see both");
}

#[tokio::test]
async fn what_the_cache_has_lost_is_fetched_by_its_number() {
    let it = place();
    two_were_here(&it).await;
    let (origins, wants) = (Origins::default(), Wants(vec![1, 2]));
    let desk = it.process(&wants, &origins);
    fs::remove_dir_all(it.root.path().join("cache/trees")).expect("removed");
    fs::create_dir(it.root.path().join("cache/trees")).expect("made anew");
    desk.recall_cached().await;
    look(&desk, &it.source()).await;
    assert_eq!(it.shown(), "2=new");
    let (_, is_there) = desk.recall((model(), Version(1))).await;
    assert!(is_there);
    assert_eq!(it.shown(), "1=old 2=new");
}

#[tokio::test]
async fn another_content_is_not_the_version_that_was_tried() {
    let it = place();
    two_were_here(&it).await;
    let (origins, wants) = (Origins::default(), Wants(vec![1, 2, 9]));
    let desk = it.process(&wants, &origins);
    fs::remove_dir_all(it.root.path().join("cache/trees")).expect("removed");
    fs::create_dir(it.root.path().join("cache/trees")).expect("made anew");
    it.publish(1, "something else");
    look(&desk, &it.source()).await;
    for (version, says) in [(1, "version 1 was sha256:"), (9, "there is no version 9")] {
        assert!(!desk.recall((model(), Version(version))).await.1);
        let trouble = origins.get("wine").and_then(|it| it.trouble.clone()).unwrap_or_default();
        assert!(trouble.contains(says), "{trouble}");
    }
    assert_eq!(it.shown(), "2=new");
}

#[tokio::test]
async fn what_cannot_be_used_leaves_what_was_named_before() {
    let it = place();
    two_were_here(&it).await;
    fs::remove_file(it.file(2)).expect("removed");
    fs::create_dir_all(it.root.path().join("registry/3")).expect("made");
    fs::write(it.root.path().join("registry/3/model.pkl"), "a pyfunc").expect("written");
    let (origins, nothing) = (Origins::default(), Wants(Vec::new()));
    let desk = it.process(&nothing, &origins);
    look(&desk, &it.source()).await;
    assert_eq!(it.shown(), "2=new");
    let trouble = origins.get("wine").and_then(|it| it.trouble.clone()).unwrap_or_default();
    assert!(trouble.contains("no file that an engine reads"), "{trouble}");
}

#[tokio::test]
async fn a_version_that_cannot_be_loaded_has_one_before_it() {
    let it = place();
    two_were_here(&it).await;
    let origins = Origins::default();
    let desk = it.process(&Broken, &origins);
    look(&desk, &it.source()).await;
    assert_eq!(it.shown(), "2=new");
    desk.fall_back().await;
    assert_eq!(it.shown(), "1=old 2=new else 1");
}
