use super::*;

use std::fs;

use server_base::Origins;

use crate::fixture::{Place, Wants, model, target};
use crate::supply::World;

const FILE: &str = "model.onnx";

fn wants(versions: &[u64]) -> Wants {
    Wants { versions: versions.to_vec(), ..Wants::default() }
}

fn wine(version: u64) -> Wanted {
    (model("wine"), Version(version))
}

impl Place {
    /// A process that is started with its folder still empty.
    fn process<'a>(&'a self, world: &'a dyn World, origins: &'a Origins) -> Desk<'a> {
        self.desk(world, (origins, vec![target("wine", self.source())]))
    }

    /// The cache has lost what it had unpacked.
    fn forget(&self) {
        let trees = self.root.path().join("cache/trees");
        fs::remove_dir_all(&trees).expect("removed");
        fs::create_dir(trees).expect("made anew");
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
    let (origins, nothing) = (Origins::default(), Wants::default());
    let desk = it.process(&nothing, &origins);
    for (version, content) in [(1, "old"), (2, "new")] {
        it.publish(version, (FILE, content));
        look(&desk, &it.source()).await;
    }
    assert_eq!(it.shown(), "1=old 2=new else 1");
}

#[tokio::test]
async fn a_rollout_finds_both_versions_after_a_restart() {
    let it = Place::new();
    two_were_here(&it).await;
    let (origins, wants) = (Origins::default(), wants(&[1, 2]));
    let desk = it.process(&wants, &origins);
    fs::remove_file(it.file(1, FILE)).expect("the registry need not have it any more");
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
    let it = Place::new();
    two_were_here(&it).await;
    let (origins, wants) = (Origins::default(), wants(&[1, 2]));
    let desk = it.process(&wants, &origins);
    it.forget();
    desk.recall_cached().await;
    look(&desk, &it.source()).await;
    assert_eq!(it.shown(), "2=new");
    let (_, is_there) = desk.recall(wine(1)).await;
    assert!(is_there);
    assert_eq!(it.shown(), "1=old 2=new");
}

#[tokio::test]
async fn another_content_is_not_the_version_that_was_tried() {
    let it = Place::new();
    two_were_here(&it).await;
    let (origins, wants) = (Origins::default(), wants(&[1, 2, 9]));
    let desk = it.process(&wants, &origins);
    it.forget();
    it.publish(1, (FILE, "something else"));
    look(&desk, &it.source()).await;
    for (version, says) in [(1, "version 1 was sha256:"), (9, "there is no version 9")] {
        assert!(!desk.recall(wine(version)).await.1);
        let trouble = origins.get("wine").and_then(|it| it.trouble.clone()).unwrap_or_default();
        assert!(trouble.contains(says), "{trouble}");
    }
    assert_eq!(it.shown(), "2=new");
}

#[tokio::test]
async fn what_cannot_be_used_leaves_what_was_named_before() {
    let it = Place::new();
    two_were_here(&it).await;
    fs::remove_file(it.file(2, FILE)).expect("removed");
    it.publish(3, ("model.pkl", "a pyfunc"));
    let (origins, nothing) = (Origins::default(), Wants::default());
    let desk = it.process(&nothing, &origins);
    look(&desk, &it.source()).await;
    assert_eq!(it.shown(), "2=new");
    let trouble = origins.get("wine").and_then(|it| it.trouble.clone()).unwrap_or_default();
    assert!(trouble.contains("no file that an engine reads"), "{trouble}");
}

#[tokio::test]
async fn a_version_that_cannot_be_loaded_has_one_before_it() {
    let it = Place::new();
    two_were_here(&it).await;
    let (origins, broken) = (Origins::default(), Wants { failed: vec![2], ..Wants::default() });
    let desk = it.process(&broken, &origins);
    look(&desk, &it.source()).await;
    assert_eq!(it.shown(), "2=new");
    desk.fall_back().await;
    assert_eq!(it.shown(), "1=old 2=new else 1");
}
