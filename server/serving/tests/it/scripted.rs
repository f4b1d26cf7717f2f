//! Versions of a scripted model `m`: started, shown in a table, and asked.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backend_api::{Backend, Model, Options, Tensor};
use backend_fake::Fake;
use server_base::{InferRequest, ModelName, NamedTensor, Version, VersionChoice};
use server_serving::metrics::RequestMetrics;
use server_serving::{
    Admission, AdmissionLimits, Cores, ModelEntry, Plan, Servable, Serving, Table, WarmUp, Workers,
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn model() -> ModelName {
    ModelName::new("m").expect("a name")
}

/// What the script says. Its file has gone when it is there.
pub(crate) fn load(fake: &Fake, script: &str) -> Arc<dyn Model> {
    let folder = tempfile::tempdir().expect("scratch");
    let artifact = folder.path().join("model.fake");
    std::fs::write(&artifact, script).expect("write");
    fake.load(&artifact, &Options::default()).expect("loads").into()
}

pub(crate) fn plan() -> Plan {
    Plan::plain("fake_script", PATIENCE)
}

/// A version of it, which needs no warming up.
pub(crate) fn start(loaded: Arc<dyn Model>, version: u64, plan: Plan) -> Workers {
    let signature = loaded.signature().clone();
    let warm_up: WarmUp = Arc::new(|_| Ok(()));
    let (identity, cores) = ((model(), Version(version)), Cores::new(2));
    Servable::start(identity, (loaded, signature), plan, &cores, &warm_up).expect("starts")
}

pub(crate) fn serving() -> Serving {
    Serving::new(Admission::new(AdmissionLimits::default()))
}

/// These versions are ready, of those that are known.
pub(crate) fn entry(ready: &[&Workers], known: &[u64]) -> ModelEntry {
    labelled(ready, known, &[])
}

/// The same, with labels.
pub(crate) fn labelled(ready: &[&Workers], known: &[u64], labels: &[(&str, u64)]) -> ModelEntry {
    let ready = ready.iter().map(|it| Arc::clone(it.servable())).collect();
    let known = known.iter().map(|it| Version(*it)).collect();
    let labels = labels.iter().map(|(label, it)| ((*label).into(), Version(*it))).collect();
    ModelEntry::new(ready, known, labels, Arc::new(RequestMetrics::of_model(&model())))
}

/// It is the only model from now on.
pub(crate) fn publish(serving: &Serving, entry: ModelEntry) {
    serving.publish(Table::new(HashMap::from([(model(), entry)])));
}

/// A request with these rows, for any version.
pub(crate) fn request(rows: &[&[f32]]) -> InferRequest<'static> {
    let elements: Vec<f32> = rows.iter().flat_map(|it| it.iter().copied()).collect();
    let width = rows.first().map_or(0, |it| it.len());
    let tensor = Tensor::from_elements(&[rows.len(), width], &elements).expect("even rows");
    InferRequest {
        model: "m".into(),
        version: VersionChoice::Any,
        inputs: [NamedTensor { name: "x".into(), tensor }].into_iter().collect(),
        outputs: Default::default(),
        timeout: None,
    }
}

/// The numbers of the only output.
pub(crate) fn values(outputs: &[NamedTensor<'_>]) -> Vec<f32> {
    outputs[0].tensor.view::<f32>().expect("floats").to_vec()
}
