//! What is wrong with a file, or with a request, is said in words.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use backend_api::{Backend as _, BackendError, Device, Options, Output, Tensor};
use backend_candle::{ARTIFACT, Candle};

use super::fixtures;

/// Folders made so far: tests of one process run side by side.
static FOLDERS: AtomicUsize = AtomicUsize::new(0);

/// What is said of the network `from` with another configuration.
fn loaded(from: &str, config: &str) -> BackendError {
    let (process, number) = (std::process::id(), FOLDERS.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(format!("salver-candle-{process}-{number}"));
    fs::create_dir_all(&folder).expect("a scratch folder");
    fs::copy(fixtures().join(from).join(ARTIFACT), folder.join(ARTIFACT)).expect("copied");
    fs::write(folder.join("config.json"), config).expect("written");
    let loaded = Candle.load(&folder.join(ARTIFACT), &Options::default());
    fs::remove_dir_all(&folder).expect("clean up");
    loaded.err().expect("refused")
}

#[track_caller]
fn check(from: &str, config: &str, expect: &str) {
    let error = loaded(from, config).to_string();
    assert!(error.contains(expect), "{error}");
}

/// The configuration of a fixture, with one text in it replaced.
fn changed(name: &str, from: &str, to: &str) -> String {
    let config = fs::read_to_string(fixtures().join(name).join("config.json")).expect("there");
    assert!(config.contains(from), "{config}");
    config.replacen(from, to, 1)
}

#[test]
fn an_unknown_network_is_told_which_are_known() {
    let error = loaded("digits", r#"{"model_type": "llama"}"#);
    assert!(matches!(error, BackendError::Unsupported { .. }), "{error:?}");
    check("digits", r#"{"model_type": "llama"}"#, "\"llama\" is none of bert, resnet, sequential");
    check("digits", "{}", "model_type is missing, expected one of bert, resnet, sequential");
    check("digits", "{", "config.json: EOF");
}

#[test]
fn weights_and_configuration_must_agree() {
    let of = |from: &str, to: &str| changed("digits", from, to);
    check("digits", &of("conv_2", "conv_9"), "the file has no weight \"conv_9.weight\"");
    check("digits", &of("\"padding\"", "\"pad\""), "config.json: unknown field `pad`");
    check("digits", &of("\"relu\"", "\"swoosh\""), "unknown variant `swoosh`");
    check("digits", &of("\"image\"", "\"image\", \"embedding\": \"ink\""), "expected 2 axes");
    let wide = changed("digits", "\"size\": 2", "\"size\": 4");
    check("digits", &wide, "Linear { name: \"dense\" } does not go with a row of shape [64]");
    let heads = changed("bert_mean", "\"num_attention_heads\": 4", "\"num_attention_heads\": 5");
    check("bert_mean", &heads, "5 heads, 2 layers of width 32");
    let layers = changed("bert_mean", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3");
    check("bert_mean", &layers, "no weight \"encoder.layer.2.attention.self.query.weight\"");
    let act = changed("bert_mean", "\"gelu\"", "\"gelu_9\"");
    check("bert_mean", &act, "hidden_act \"gelu_9\" is none of gelu, gelu_new, relu, silu, tanh");
    let relative = changed("bert_mean", "\"absolute\"", "\"relative_key\"");
    check("bert_mean", &relative, "only encoders with absolute positions are known");
    let depths = changed("resnet_basic", "\"basic\"", "\"bottleneck\"");
    check("resnet_basic", &depths, "layer.2.convolution.weight");
}

#[test]
fn a_file_without_configuration_says_so() {
    let folder = std::env::temp_dir().join(format!("salver-candle-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a scratch folder");
    fs::copy(fixtures().join("digits").join(ARTIFACT), folder.join(ARTIFACT)).expect("copied");
    let loaded = Candle.load(&folder.join(ARTIFACT), &Options::default());
    fs::remove_dir_all(&folder).expect("clean up");
    let error = loaded.err().expect("refused").to_string();
    assert!(error.contains("no config.json beside the weights, nor one in the file"), "{error}");
}

/// What a request to the encoder comes to; `Input` is the caller's fault.
#[track_caller]
fn asked(ids: &[i64], mask: &[i64], expect: &str) {
    let model = Candle.load(&fixtures().join("bert_tokens").join(ARTIFACT), &Options::default());
    let mut instance = model.expect("loads").instance(&Device::Cpu).expect("an instance");
    let of = |it: &[i64]| Tensor::from_elements(&[1, it.len()], it).expect("fits");
    let result = instance.run(&[of(ids), of(mask)], &mut [Output::Open(None)]);
    match result {
        Err(BackendError::Input { reason }) => assert!(reason.contains(expect), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn tokens_that_are_none_are_the_callers_fault() {
    asked(&[1, 60], &[1, 1], "input 'input_ids' holds 60, expected 0 to 59");
    asked(&[-1, 0], &[1, 1], "holds -1");
    asked(&[1, 2], &[1, 7], "input 'attention_mask' holds 7, expected 0 to 1");
    asked(&[1; 25], &[1; 25], "input 'input_ids' has 25 tokens, at most 24 fit");
    asked(&[], &[], "has no elements");
}

/// In every build: what is asked for is had, or the load is refused.
#[test]
fn a_device_that_it_does_not_know_is_refused_with_those_who_do() {
    let refused = |device: &str| {
        let options = Options { device: device.parse().expect("a wish"), ..Options::default() };
        let error = Candle.load(&fixtures().join("double.safetensors"), &options).err();
        let error = error.expect("refused");
        assert!(matches!(error, BackendError::Unsupported { .. }), "{error:?}");
        error.to_string()
    };
    assert!(refused("tpu:0").contains("device is tpu:0: engine pjrt knows tpu:N"));
    if cfg!(feature = "cuda") {
        return; // `tests/gpu.rs`
    }
    let error = refused("cuda:0");
    for words in
        ["device cuda:0: in this build", "`make candle-cuda`", "device = \"cpu\"", "onnxruntime"]
    {
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(Candle::describe(), "device cuda: not in this build, `make candle-cuda` makes one");
    assert_eq!(Candle.devices(), [Device::Cpu]);
}
