use backend_fake::Fake;

use super::*;

/// Which engine loads a model that asks for `wanted`, or the reason why none does.
#[track_caller]
fn check(engines: &Engines, wanted: Option<&str>, expect: Result<&str, &str>) {
    let folder = tempfile::tempdir().expect("scratch");
    let model = "input x FP32 rows,2\noutput y FP32 rows,2 = double x\n";
    std::fs::write(folder.path().join("model.fake"), model).expect("write");
    let loaded = engines.load(wanted, folder.path(), &Options::default());
    let shown = folder.path().display().to_string();
    let got = loaded.map(|(it, _)| it.name()).map_err(|it| it.reason.replace(&shown, "FOLDER"));
    assert_eq!(got, expect.map_err(str::to_owned));
}

fn fake() -> Arc<dyn Backend> {
    Arc::new(Fake::new())
}

#[test]
fn an_engine_on_request_serves_who_asks() {
    let engines = Engines::default().with_on_request("fake", Ok(fake()));
    check(&engines, Some("fake"), Ok("fake"));
    check(&engines, None, Err("no model.fake in FOLDER"));
    assert_eq!(engines.names(), ["fake"]);
}

#[test]
fn a_missing_one_says_why_to_who_asks() {
    let absent = Err("its library is nowhere".to_owned());
    let engines = Engines::new(vec![fake()], Vec::new()).with_on_request("openvino", absent);
    check(&engines, None, Ok("fake"));
    let reason = "engine openvino is not available; the server's log says why";
    check(&engines, Some("openvino"), Err(reason));
    assert_eq!(engines.names(), ["fake", "openvino"]);
}

#[test]
fn a_disk_that_fails_is_told_from_a_bad_file() {
    let engines = Engines::new(vec![fake()], Vec::new());
    let folder = tempfile::tempdir().expect("scratch");
    std::fs::write(folder.path().join("model.fake"), "nonsense").expect("write");
    let error = engines.load(None, folder.path(), &Options::default()).err().expect("nonsense");
    assert_eq!(error.fault, crate::fault::Fault::Lasting);
    let starved = doubt(&folder.path().join("model.fake"), "failed: std::bad_alloc".to_owned());
    assert_eq!(starved.fault, crate::fault::Fault::Doubtful);
    // A path through which nothing can be read, whoever asks.
    let gone = doubt(&folder.path().join("model.fake/x"), "no".to_owned());
    assert_eq!(gone.fault, crate::fault::Fault::Passing);
    assert!(gone.reason.starts_with("no; reading the file fails: "), "{}", gone.reason);
}

#[test]
fn an_engine_with_a_format_serves_its_files() {
    let own = ("fake", "model.fake");
    let engines = Engines::default().with_format(own, Ok(fake()));
    check(&engines, None, Ok("fake"));
    assert_eq!(engines.artifacts(), ["model.fake"]);
    assert_eq!(engines.reading(std::path::Path::new("/nowhere")).names().len(), 0);
    let engines = Engines::default().with_format(own, Err("its library is nowhere".to_owned()));
    let reason = "engine fake is not available; the server's log says why";
    check(&engines, None, Err(reason));
    assert_eq!(engines.artifacts(), ["model.fake"], "so that its models are found");
}
