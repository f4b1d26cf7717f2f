//! Several devices: the plugin for processors makes as many as it is told.

use backend_api::{Backend as _, BackendError, Device, Model, Options, Output, Tensor};
use backend_pjrt::{Pjrt, find};

use super::fixtures;

/// The engine, told this.
fn told(option: &str) -> Option<Pjrt> {
    let binary = std::env::current_exe().expect("this test's own path");
    let Ok(plugin) = find(&binary) else {
        eprintln!("skipped: `make pjrt`");
        return None;
    };
    Some(Pjrt::at(&plugin, None).with_options(vec![option.parse().expect("an option")]))
}

fn load(pjrt: &Pjrt, name: &str, device: &str) -> Result<Box<dyn Model>, BackendError> {
    let options = Options { device: device.parse().expect("a wish"), ..Options::default() };
    pjrt.load(&fixtures().join(name).with_extension("stablehlo"), &options)
}

fn names(model: &dyn Model) -> Vec<String> {
    model.devices().iter().map(ToString::to_string).collect()
}

#[test]
fn answers_are_alike_on_every_device() {
    let Some(pjrt) = told("cpu_device_count=4") else { return };
    let model = load(&pjrt, "digits", "auto").expect("loads");
    assert_eq!(names(&*model), ["cpu:0", "cpu:1", "cpu:2", "cpu:3"]);
    let pixels: Vec<f32> = (0..5 * 64_u16).map(|it| f32::from(it % 17)).collect();
    let image = Tensor::from_elements(&[5, 1, 8, 8], &pixels).expect("fits");
    let answer = |device| {
        // The plugin refuses a run elsewhere than where its inputs are.
        let mut instance = model.instance(&device).expect("an instance");
        let mut outputs = vec![Output::prepare(&model.signature().outputs[0], 5)];
        instance.run(std::slice::from_ref(&image), &mut outputs).expect("runs");
        outputs.remove(0).into_tensor().expect("an output").data().clone()
    };
    let answers: Vec<_> = model.devices().into_iter().map(answer).collect();
    assert!(answers.iter().all(|it| *it == answers[0] && it.len() == 5 * 10 * 4));
}

#[test]
fn a_model_is_where_it_asks_to_be_or_nowhere() {
    let Some(pjrt) = told("cpu_device_count=2") else { return };
    assert_eq!(names(&*load(&pjrt, "double", "cpu:1").expect("loads")), ["cpu:1"]);
    assert_eq!(names(&*load(&pjrt, "double", "cpu").expect("loads")), ["cpu:0", "cpu:1"]);
    for wish in ["cpu:2", "tpu:0", "cuda:0"] {
        let error = load(&pjrt, "double", wish).err().expect("refused").to_string();
        let expect = format!("device {wish}: its plugin has cpu:0, cpu:1");
        assert!(error.ends_with(&expect), "{error}");
    }
    let model = load(&pjrt, "double", "cpu:1").expect("loads");
    let error = model.instance(&Device::CpuPart(0));
    assert!(error.err().expect("not there").to_string().contains("the model is not on cpu:0"));
}

#[test]
fn models_of_one_instance_do_not_all_go_to_the_first_device() {
    let Some(pjrt) = told("cpu_device_count=3") else { return };
    let firsts = (0..4).map(|_| names(&*load(&pjrt, "double", "auto").expect("loads"))[0].clone());
    assert_eq!(firsts.collect::<Vec<_>>(), ["cpu:0", "cpu:1", "cpu:2", "cpu:0"]);
}

#[test]
fn a_single_device_is_the_processor() {
    let Some(pjrt) = told("cpu_device_count=1") else { return };
    for wish in ["auto", "cpu", "cpu:0"] {
        assert_eq!(names(&*load(&pjrt, "double", wish).expect("loads")), ["cpu"], "{wish}");
    }
}

#[test]
fn every_device_is_described() {
    let Some(pjrt) = told("cpu_device_count=3") else { return };
    let lines = pjrt.describe().expect("it opens");
    assert_eq!(lines.len(), 4, "{lines:?}");
    for (n, line) in lines.iter().skip(1).enumerate() {
        assert!(line.starts_with(&format!("device cpu:{n}: ")), "{line}");
        assert!(line.contains(&format!(", id {n}, process 0, local hardware id {n}")), "{line}");
    }
}

/// The program may reuse its input's memory for its output; ours is the request's.
#[test]
fn a_donated_input_stays_as_it_was() {
    let Some(pjrt) = told("cpu_device_count=2") else { return };
    let model = load(&pjrt, "donated", "auto").expect("loads");
    let numbers: Vec<f32> = (0..8 * 1024_u16).map(f32::from).collect();
    let input = Tensor::from_elements(&[8, 1024], &numbers).expect("fits");
    let expect: Vec<f32> = numbers.iter().map(|it| it * 2.0 + 1.0).collect();
    for device in model.devices() {
        let mut instance = model.instance(&device).expect("an instance");
        for _ in 0..3 {
            let mut outputs = vec![Output::prepare(&model.signature().outputs[0], 8)];
            instance.run(std::slice::from_ref(&input), &mut outputs).expect("runs");
            let got = outputs.remove(0).into_tensor().expect("an output");
            assert_eq!(got.view::<f32>().expect("floats"), expect);
            assert_eq!(input.view::<f32>().expect("floats"), numbers, "nobody wrote into it");
        }
    }
}
