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
    let named = "model.fake is there, which engine fake reads if the model names it";
    check(&engines, None, Err(named));
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

/// An engine of another name, which reads another file, or refuses the same one.
struct Other(&'static str, &'static str);

impl Backend for Other {
    fn name(&self) -> &'static str {
        self.0
    }
    fn version(&self) -> String {
        String::new()
    }
    fn platform(&self) -> &'static str {
        "other"
    }
    fn artifact(&self) -> &'static str {
        self.1
    }
    fn devices(&self) -> Vec<Device> {
        vec![Device::Cpu]
    }
    fn load(&self, _: &Path, _: &Options) -> Result<Box<dyn Model>, BackendError> {
        Err(BackendError::Unsupported { engine: self.0, reason: "no operator Frob".to_owned() })
    }
}

fn other(name: &'static str, artifact: &'static str) -> Arc<dyn Backend> {
    Arc::new(Other(name, artifact))
}

#[test]
fn a_file_of_another_engines_is_named_with_it() {
    let gone = Err("its library is nowhere".to_owned());
    let engines = Engines::new(vec![fake()], Vec::new())
        .with_format(("weights", "model.weights"), Ok(other("weights", "model.weights")))
        .with_on_request("again", Ok(other("again", "model.fake")))
        .with_format(("lite", "model.lite"), gone);
    let there = "engine weights reads model.weights, which is not in FOLDER; model.fake is there, which engine \
                 fake or again reads";
    check(&engines, Some("weights"), Err(there));
    let folder = tempfile::tempdir().expect("scratch");
    std::fs::write(folder.path().join("model.lite"), "").expect("write");
    let error =
        engines.load(Some("fake"), folder.path(), &Options::default()).err().expect("absent");
    let says = "; model.lite is there, which engine lite (not available here) reads";
    assert!(error.reason.ends_with(says), "{}", error.reason);
    std::fs::remove_file(folder.path().join("model.lite")).expect("removed");
    let error =
        engines.load(None, folder.path(), &Options::default()).err().expect("nothing there");
    let says = "no model.fake or model.lite or model.weights in ";
    assert!(error.reason.starts_with(says), "{}", error.reason);
}

#[test]
fn what_one_refuses_is_said_with_those_that_may_not() {
    let engines = Engines::new(vec![other("first", "model.fake")], Vec::new())
        .with_on_request("fake", Ok(fake()))
        .with_format(("weights", "model.weights"), Ok(other("weights", "model.weights")));
    let refused = "first cannot serve the model: no operator Frob";
    let also = format!("{refused}; model.fake is also read by engine fake");
    check(&engines, None, Err(&also));
    check(&engines, Some("first"), Err(&also));
    let engines = Engines::new(vec![other("first", "model.fake")], Vec::new());
    check(&engines, None, Err(refused));
    let engines = Engines::new(vec![other("first", "model.fake"), fake()], Vec::new());
    check(&engines, None, Ok("fake"));
}
