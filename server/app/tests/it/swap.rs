//! Versions change while requests come in: none fails, and each is answered by one version alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;

use crate::house::{House, message, put, values};

fn constant(value: u64) -> String {
    format!("input x FP32 rows,2\noutput y FP32 rows,2 = constant {value}\nrun_us 50\n")
}

/// Callers over both protocols while versions 2 to 20 take over one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_versions_change() {
    let house = Arc::new(House::new(&[("m/1/model.fake", &constant(1))]).await);
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut callers = Vec::new();
    for number in 0..4 {
        let (house, stop, answered) =
            (Arc::clone(&house), Arc::clone(&stop), Arc::clone(&answered));
        callers.push(tokio::spawn(async move {
            if number % 2 == 0 {
                grpc(&house, &stop, &answered).await
            } else {
                http(&house, &stop, &answered).await
            }
        }));
    }
    for version in 2..=20 {
        put(house.root.path(), &format!("m/{version}/model.fake"), &constant(version));
        let before = answered.load(Ordering::Relaxed);
        let line = |it: u64| format!("m/{it}:{}", if it == version { "AVAILABLE" } else { "END" });
        house.shows(&(1..=version).map(line).collect::<Vec<_>>().join(" ")).await;
        // Every version answers for a while before the next one comes.
        while answered.load(Ordering::Relaxed) < before + 20 {
            tokio::task::yield_now().await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("no caller saw a failure");
    }
}

async fn grpc(house: &House, stop: &AtomicBool, answered: &AtomicUsize) {
    let mut client = house.grpc().await;
    while !stop.load(Ordering::Relaxed) {
        let rows = [[0.0, 0.0], [1.0, 1.0]];
        let response =
            client.model_infer(message("m", &rows)).await.expect("answered").into_inner();
        let version: f32 = response.model_version.parse().expect("a number");
        assert_eq!(values(&response), [version; 4], "the answer is wholly of one version");
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

async fn http(house: &House, stop: &AtomicBool, answered: &AtomicUsize) {
    let mut client = house.http().await;
    while !stop.load(Ordering::Relaxed) {
        let (status, body) = client.infer("m", &[[0.0, 0.0]]).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let version = body.split("\"model_version\":\"").nth(1).and_then(|it| it.split('"').next());
        let version = version.expect("a version");
        assert!(body.contains(&format!("\"data\":[{version}.0,{version}.0]")), "{body}");
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Two revisions of one version share its series: the end of the old one is not the version's.
#[tokio::test]
async fn the_state_of_a_version_is_that_of_the_revision_that_answers() {
    let house = House::new(&[("changing/1/model.fake", &constant(1))]).await;
    house.shows("changing/1:AVAILABLE").await;
    let state = async |name: &str| {
        let (_, text) = house.metrics().await.get("/metrics").await;
        let series =
            format!("salver_model_state{{model=\"changing\",version=\"1\",state=\"{name}\"}} ");
        let line = text.lines().find_map(|it| it.strip_prefix(&series).map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {series}"))
    };
    put(house.root.path(), "changing/1/model.fake", &format!("{}load_waits\n", constant(7)));
    house.shows("changing/1:AVAILABLE changing/1:LOADING").await;
    assert_eq!((&*state("AVAILABLE").await, &*state("LOADING").await), ("1", "0"));
    house.fake.loads().open();
    house.shows("changing/1:AVAILABLE").await;
    assert_eq!((&*state("AVAILABLE").await, &*state("END").await), ("1", "0"));
    std::fs::remove_dir_all(house.root.path().join("changing")).expect("remove");
    house.shows("").await;
    // It leaves the index before it has been unloaded.
    let ended = async { while (&*state("AVAILABLE").await, &*state("END").await) != ("0", "1") {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it ends");
}
