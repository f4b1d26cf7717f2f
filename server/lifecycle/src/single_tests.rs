use std::time::Duration;

use backend_fake::Fake;
use server_base::{InferRequest, Protocol, VersionChoice};
use server_serving::{Admission, AdmissionLimits, Serving};

use super::*;
use crate::house::{constant, engines, options, put};

fn name(text: &str) -> ModelName {
    ModelName::new(text).expect("a name")
}

#[tokio::test]
async fn a_version_is_loaded_and_answers_without_a_manager() {
    let root = tempfile::tempdir().expect("scratch");
    put(root.path(), "m/1/model.fake", &constant(1));
    put(root.path(), "m/2/model.fake", &constant(2));
    put(root.path(), "m/3/other.txt", "no artifact");
    put(root.path(), "m/model.toml", "timeout_ms = 5000");
    let engines = engines(&Fake::new());
    let single = Single::find(root.path(), &name("m"), &engines).expect("found");
    assert_eq!(single.text(), "timeout_ms = 5000");
    assert_eq!(single.versions().collect::<Vec<_>>(), [Version(1), Version(2)]);
    let defaults = options(root.path(), &engines).defaults;
    let config = ModelConfig::parse(single.text(), &defaults).expect("no faults");
    assert_eq!(single.newest(&config.versions), Some(Version(2)));
    assert_eq!(single.newest(&VersionPolicy::Specific([Version(1)].into())), Some(Version(1)));

    let alone = single.load((&engines, &Cores::new(1)), Version(2), &config).expect("loads");
    let serving = Serving::new(Admission::new(AdmissionLimits::default()));
    serving.publish(alone.table());
    let inputs = made_up_inputs(alone.servable().signature(), &[1, 2, 3], &BTreeMap::new());
    let request = InferRequest {
        model: "m".into(),
        version: VersionChoice::Any,
        inputs: inputs.expect("inputs"),
        outputs: Default::default(),
        timeout: None,
    };
    let mut trip = serving.trip(Protocol::Grpc);
    let answered = serving.infer(request, &mut trip).await;
    let (submitted, answer) = answered.expect("answers");
    let response = submitted.response(answer, &mut trip);
    assert_eq!(response.outputs[0].tensor.view::<f32>(), Some(&[2.0_f32; 3][..]));
    drop(response);
    drop((submitted, serving));
    assert!(alone.stop(Instant::now() + Duration::from_secs(20)));
}

#[test]
fn what_is_not_there_is_named() {
    let root = tempfile::tempdir().expect("scratch");
    put(root.path(), "wine/1/model.fake", &constant(1));
    let engines = engines(&Fake::new());
    let missing = Single::find(root.path(), &name("beer"), &engines).err().expect("an error");
    assert!(missing.starts_with("no model \"beer\" in "), "{missing}");
    assert!(missing.ends_with("; it holds wine"), "{missing}");
    let single = Single::find(root.path(), &name("wine"), &engines).expect("found");
    let defaults = options(root.path(), &engines).defaults;
    let config = ModelConfig::defaults(&defaults);
    let missing =
        single.load((&engines, &Cores::new(1)), Version(7), &config).err().expect("an error");
    assert_eq!(missing, "wine has no version 7");
}
