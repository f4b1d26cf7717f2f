use backend_api::{
    ArenaGrowth, ConvSearch, Device, DeviceWish, GpuOptions, SessionOptions, TensorRt,
};

use server_serving::Sticky;

use super::*;

use crate::padding::PadValue;
use crate::traffic::ShadowConfig;

fn defaults() -> Defaults {
    Defaults {
        instances: 2,
        transition: Transition::Availability,
        load: crate::config::LoadPolicy::Eager,
        engines: vec!["onnxruntime", "tract", "openvino"],
    }
}

#[test]
fn an_empty_file_changes_nothing() {
    assert_eq!(ModelConfig::parse("", &defaults()), Ok(ModelConfig::defaults(&defaults())));
}

const EVERY_KEY: &str = r#"
        engine = "onnxruntime"
        device = "cuda:1"
        precision = "bf16"
        version_policy = { latest = 2 }
        fallback_version = 7
        transition = "resources"
        load = "lazy"
        idle_unload_s = 600
        rollback_window_s = 0
        max_batch_size = 8
        timeout_ms = 250
        [labels]
        stable = 1
        [traffic]
        weights = { stable = 9, 2 = 1 }
        sticky = "X-User"
        shadow = { version = "stable", percent = 12.5 }
        [dynamic_batching]
        max_queue_delay_us = 500
        max_queue_size = 64
        probe_rows = false
        [instances]
        count = 3
        intra_op_threads = 4
        inter_op_threads = 1
        spinning = true
        inline = false
        [proof]
        mismatches_max = 2
        [scheduling]
        weight = 5
        [warmup]
        batch_sizes = [1, 4]
        axes = { S = 128 }
        [onnxruntime]
        optimization = "basic"
        arena = false
        memory_pattern = true
        prepacking = false
        quantized_precision = true
        io_binding = true
        [onnxruntime.cuda]
        memory_bytes_max = 1073741824
        arena_growth = "as_needed"
        conv_search = "exhaustive"
        conv_workspace_small = true
        tf32 = true
        concurrent_runs = true
        cuda_graph = false
        [onnxruntime.tensorrt]
        fp16 = true
        workspace_bytes_max = 2147483648
        cache = "/var/cache/salver"
    "#;

#[test]
fn every_key_is_read() {
    let expect = ModelConfig {
        engine: Some("onnxruntime".to_owned()),
        versions: VersionPolicy::Latest(2),
        fallback: Some(Version(7)),
        transition: Transition::Resources,
        load: LoadPolicy::Lazy,
        idle_unload: Some(Duration::from_secs(600)),
        labels: BTreeMap::from([("stable".to_owned(), Version(1))]),
        traffic: TrafficConfig {
            weights: BTreeMap::from([("stable".to_owned(), 9), ("2".to_owned(), 1)]),
            sticky: Some(Sticky::Header("x-user".into())),
            shadow: Some(ShadowConfig { version: "stable".to_owned(), share: 1_250 }),
        },
        rollback_window: Duration::ZERO,
        rollout: None,
        batching: Batching {
            rows_max: 8,
            delay_max: Duration::from_micros(500),
            queue_max: 64,
            ..Batching::default()
        },
        padding: PaddingConfig::default(),
        proof: ProofConfig { mismatches_max: 2, ..ProofConfig::default() },
        probe_rows: false,
        truth: None,
        log: None,
        drift: None,
        timeout: Duration::from_millis(250),
        instances: 3,
        weight: 5,
        inline: false,
        options: Options {
            device: DeviceWish::On(Device::Cuda(1)),
            gpus: None,
            instances: 3,
            precision: Precision::Bf16,
            intra_op_threads: 4,
            inter_op_threads: 1,
            spinning: true,
            delegate: None,
            session: SessionOptions {
                optimization: Optimization::Basic,
                arena: false,
                memory_pattern: true,
                prepacking: false,
                quantized_precision: true,
                io_binding: Some(true),
                gpu: GpuOptions {
                    memory_bytes_max: Some(1 << 30),
                    arena_growth: ArenaGrowth::AsNeeded,
                    conv_search: ConvSearch::Exhaustive,
                    conv_workspace_small: true,
                    tf32: true,
                    concurrent_runs: true,
                    cuda_graphs: None,
                    tensorrt: Some(TensorRt {
                        fp16: true,
                        workspace_bytes_max: Some(2 << 30),
                        cache: Some("/var/cache/salver".into()),
                    }),
                },
            },
        },
        warmup_rows: vec![1, 4],
        warmup_axes: BTreeMap::from([("S".to_owned(), 128)]),
    };
    assert_eq!(ModelConfig::parse(EVERY_KEY, &defaults()), Ok(expect));
}

#[test]
fn every_key_of_sizes_is_read() {
    let text = r#"
        max_batch_size = 8
        [dynamic_batching]
        max_batch_elements = 4096
        allowed_batch_sizes = [1, 4, 8]
        [padding]
        axes = { S = [16, 64] }
        values = { mask = true, x = -1.5 }
        check = false
    "#;
    let sizes = |it: &[usize]| Sizes::new(it).expect("ascending");
    let mask = ("mask".to_owned(), PadValue::Integer(1));
    let x = ("x".to_owned(), PadValue::Float((-1.5_f64).to_bits()));
    let expect = ModelConfig {
        batching: Batching {
            rows_max: 8,
            elements_max: 4096,
            sizes: Some(sizes(&[1, 4, 8])),
            ..Batching::default()
        },
        padding: PaddingConfig {
            axes: [("S".to_owned(), sizes(&[16, 64]))].into(),
            values: [mask, x].into(),
            check: false,
        },
        warmup_rows: vec![1, 4, 8],
        ..ModelConfig::defaults(&defaults())
    };
    assert_eq!(ModelConfig::parse(text, &defaults()), Ok(expect));
}

#[test]
fn every_fault_is_reported() {
    let text = r#"
        engine = "tensorflow"
        version_policy = "latest"
        max_batch_size = -1
        max_batchsize = 4
        [labels]
        2 = 1
        [dynamic_batching]
        max_queue_delay_us = 2000000
        [instances]
        count = 0
        [warmup]
        batch_sizes = [0]
    "#;
    let faults = ModelConfig::parse(text, &defaults()).expect_err("faults");
    let keys: Vec<&str> = faults.iter().filter_map(|it| it.split(": ").next()).collect();
    assert_eq!(
        keys,
        [
            "engine",
            "version_policy",
            "labels",
            "max_batch_size",
            "dynamic_batching.max_queue_delay_us",
            "instances.count",
            "warmup.batch_sizes",
            "max_batchsize",
        ]
    );
    assert_eq!(faults[0], "engine: \"tensorflow\" is none of onnxruntime, tract, openvino, auto");
}

#[test]
fn a_file_that_is_no_toml_says_where() {
    let faults = ModelConfig::parse("engine = ", &defaults()).expect_err("a fault");
    assert!(faults[0].contains("line 1"), "{faults:?}");
}

#[test]
fn versions_are_all_latest_or_specific() {
    let parse = |it: &str| {
        ModelConfig::parse(&format!("version_policy = {it}"), &defaults()).map(|it| it.versions)
    };
    assert_eq!(parse("\"all\""), Ok(VersionPolicy::All));
    let specific = VersionPolicy::Specific([Version(1), Version(3)].into());
    assert_eq!(parse("{ specific = [3, 1] }"), Ok(specific));
    for text in ["{ latest = 0 }", "{ specific = [] }", "{ specific = [0] }", "{}", "3"] {
        parse(text).expect_err(text);
    }
}

#[test]
fn sizes_are_few_and_ascending_and_end_with_the_largest_batch() {
    let check = |text: &str, expect: &[&str]| {
        let faults = ModelConfig::parse(text, &defaults()).err().unwrap_or_default();
        assert_eq!(faults, expect, "{text}");
    };
    check("max_batch_size = 4\n[dynamic_batching]\nallowed_batch_sizes = [1, 4]", &[]);
    check(
        "max_batch_size = 4\n[dynamic_batching]\nallowed_batch_sizes = [1, 3]",
        &[
            "dynamic_batching.allowed_batch_sizes: [1, 3]: the last must be max_batch_size, which is 4",
        ],
    );
    let expected = "is not a list of 1 to 64 ascending lengths from 1 to";
    check(
        "max_batch_size = 4\n[dynamic_batching]\nallowed_batch_sizes = [1, 8]",
        &[&format!("dynamic_batching.allowed_batch_sizes: [1, 8] {expected} 4")],
    );
    check("[padding]\naxes = { S = [1, 4], H = [2] }", &[]);
    for wrong in ["[]", "[0, 4]", "[4, 2]", "[2, 2]", "[1048577]", "[-1]", "4", "[1.5]"] {
        let expect = format!("padding.axes: S = {wrong} {expected} 1048576");
        check(&format!("[padding]\naxes = {{ S = {wrong} }}"), &[&expect]);
    }
    let many = (1..=65).map(|it| it.to_string()).collect::<Vec<_>>().join(", ");
    let expect = format!("padding.axes: S = [{many}] {expected} 1048576");
    check(&format!("[padding]\naxes = {{ S = [{many}] }}"), &[&expect]);
    check(
        "[padding]\nvalues = { x = 1 }",
        &["padding.values: nothing is padded: padding.axes is missing"],
    );
    check(
        "[padding]\naxes = { S = [4] }\nvalues = { x = \"a\" }",
        &["padding.values: x = \"a\" is not a number"],
    );
}
