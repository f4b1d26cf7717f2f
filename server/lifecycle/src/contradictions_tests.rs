use crate::config::{Defaults, ModelConfig};
use crate::policy::Transition;

fn parse(text: &str) -> Result<ModelConfig, Vec<String>> {
    let defaults = Defaults {
        instances: 1,
        transition: Transition::Availability,
        engines: vec!["onnxruntime", "tract", "openvino"],
        load: crate::config::LoadPolicy::Eager,
    };
    ModelConfig::parse(text, &defaults)
}

/// The faults' keys.
#[track_caller]
fn check(text: &str, expect: &[&str]) {
    let faults = parse(text).err().unwrap_or_default();
    let keys: Vec<&str> = faults.iter().filter_map(|it| it.split(": ").next()).collect();
    assert_eq!(keys, expect, "{text}: {faults:?}");
}

/// The doubts on two cores.
#[track_caller]
fn doubted(text: &str, expect: &[&str]) {
    assert_eq!(parse(text).expect("no faults").doubts(2), expect, "{text}");
}

#[test]
fn what_the_named_engine_cannot_do_is_a_fault() {
    check("precision = \"f32\"", &[]);
    check("precision = \"bf16\"", &["precision"]);
    check("precision = \"bf16\"\nengine = \"tract\"", &["precision"]);
    check("precision = \"bf16\"\nengine = \"openvino\"", &[]);
    let threads = "[instances]\ninter_op_threads = 2\nspinning = true";
    check(threads, &[]);
    let keys = ["instances.inter_op_threads", "instances.spinning"];
    check(&format!("engine = \"openvino\"\n{threads}"), &keys);
    check(&format!("engine = \"tract\"\n{threads}"), &keys);
    let inside = "[instances]\nintra_op_threads = 2";
    check(&format!("engine = \"tract\"\n{inside}"), &["instances.intra_op_threads"]);
    check(&format!("engine = \"openvino\"\n{inside}"), &[]);
    check("engine = \"tract\"\n[onnxruntime]\narena = false", &["onnxruntime"]);
    check("[onnxruntime]\narena = false", &[]);
    let planned = format!("{threads}\n[onnxruntime]\nmemory_pattern = true");
    check(&planned, &["onnxruntime.memory_pattern"]);
    check("[onnxruntime]\narenas = true", &["onnxruntime.arenas"]);
    let cuda = "[onnxruntime.cuda]\ntf32 = true";
    check(cuda, &[]);
    check(&format!("device = \"cpu\"\n{cuda}"), &["onnxruntime"]);
    check("device = \"gpu\"", &["device"]);
    check("device = \"edgetpu\"", &[]);
    check("device = \"edgetpu\"\nengine = \"tract\"", &["device"]);
    check("[litert]\ndelegate = \"/lib/libx.so\"", &[]);
    check("[litert]\ndelegate = \"libx.so\"", &["litert.delegate"]);
    check("engine = \"tract\"\n[litert]\ndelegate = \"/lib/libx.so\"", &["litert"]);
    check("[litert.delegate_options]\nspeed = 3", &["litert.delegate"]);
    check("device = \"edgetpu\"\n[litert.delegate_options]\nspeed = 3", &[]);
    check(
        "device = \"edgetpu\"\n[litert.delegate_options]\nspeed = []",
        &["litert.delegate_options"],
    );
    check("device = \"cpu\"", &[]);
    check("[onnxruntime.tensorrt]\ncache = \"here\"", &["onnxruntime.tensorrt.cache"]);
}

#[test]
fn graphs_need_sizes_that_are_known() {
    let key = "onnxruntime.cuda.cuda_graph";
    let graph = |before: &str, after: &str| {
        format!("{before}\n[onnxruntime.cuda]\ncuda_graph = true\n{after}")
    };
    let sizes = "max_batch_size = 8\n[dynamic_batching]\nallowed_batch_sizes = [1, 8]";
    check(&graph(sizes, ""), &[]);
    check(&graph("max_batch_size = 0", ""), &[]);
    check(&graph("max_batch_size = 8", ""), &[key]);
    let all: Vec<String> = (1..=17).map(|it| it.to_string()).collect();
    let all = format!(
        "max_batch_size = 17\n[dynamic_batching]\nallowed_batch_sizes = [{}]",
        all.join(",")
    );
    check(&graph(&all, ""), &[key]);
    check(&graph(&format!("{sizes}\n[onnxruntime]\nio_binding = false"), ""), &[key]);
    check(&graph(sizes, "concurrent_runs = true"), &[key]);
    check(&graph(sizes, "[onnxruntime.tensorrt]\nfp16 = true"), &[key]);
    check(&graph(&format!("device = \"cpu\"\n{sizes}"), ""), &["onnxruntime"]);
    let config = parse(&graph(sizes, "")).expect("no faults");
    assert_eq!(config.options.session.gpu.cuda_graphs, Some(vec![1, 8]));
    assert!(!config.inline, "a recording belongs to a thread");
    let faults = parse(&graph("max_batch_size = 8", "")).expect_err("a fault");
    let expect = "onnxruntime.cuda.cuda_graph: true records a batch of each size once, and max_batch_size \
                  is 8: expected dynamic_batching.allowed_batch_sizes, at most 16";
    assert_eq!(faults, [expect]);
}

#[test]
fn waiting_in_vain_is_a_fault() {
    let delay = ["dynamic_batching.max_queue_delay_us"];
    let after = "[dynamic_batching]\nmax_queue_delay_us = 500";
    check(&format!("max_batch_size = 0\n{after}"), &delay);
    check(&format!("max_batch_size = 1\n{after}"), &delay);
    check(&format!("max_batch_size = 2\n{after}"), &[]);
    check("max_batch_size = 1\n[dynamic_batching]\nmax_queue_delay_us = 0", &[]);
    check("timeout_ms = 1\n[dynamic_batching]\nmax_queue_delay_us = 1000", &delay);
    check("timeout_ms = 1\n[dynamic_batching]\nmax_queue_delay_us = 999", &[]);
    check("max_batch_size = 4\n[warmup]\nbatch_sizes = [1, 5]", &["warmup.batch_sizes"]);
    let faults = parse(&format!("max_batch_size = 1\n{after}")).expect_err("a fault");
    let expect = "dynamic_batching.max_queue_delay_us: 500 holds requests back for others to join \
                  them, and max_batch_size = 1 joins none";
    assert_eq!(faults, [expect]);
}

#[test]
fn a_version_is_kept_for_a_roll_back_by_one_means_only() {
    let key = ["rollback_window_s"];
    let kept = parse("rollback_window_s = 60").map(|it| it.rollback_window);
    assert_eq!(kept, Ok(std::time::Duration::from_secs(60)));
    check("rollback_window_s = 2678401", &key);
    check("transition = \"resources\"\nrollback_window_s = 0", &[]);
    let faults = parse("transition = \"resources\"\nrollback_window_s = 60").expect_err("a fault");
    let expect = "rollback_window_s: 60 keeps the old version loaded beside the new one, and \
                  transition = \"resources\" unloads it before";
    assert_eq!(faults, [expect]);
    let faults =
        parse("rollback_window_s = 60\n[rollout]\nsteps = \"5,100\"").expect_err("a fault");
    let expect = "rollback_window_s: 60 is for versions that take over at once, and here a rollout \
                  moves from one to the next: rollout.rollback_window_s says how long that keeps the \
                  old one";
    assert_eq!(faults, [expect]);
}

#[test]
fn what_may_be_meant_is_served_and_doubted() {
    doubted("", &[]);
    doubted("[instances]\ncount = 2", &[]);
    let wanted = "instances: count = 2 of intra_op_threads = 2 want 4 cores, and there are 2";
    doubted("[instances]\ncount = 2\nintra_op_threads = 2", &[wanted]);
    doubted("[instances]\ncount = 1\nintra_op_threads = 2", &[]);
    let queue = "dynamic_batching.max_queue_size: 16 requests of one row never fill a batch of \
                 max_batch_size = 32";
    doubted("[dynamic_batching]\nmax_queue_size = 16", &[queue]);
    doubted("max_batch_size = 16\n[dynamic_batching]\nmax_queue_size = 16", &[]);
    let spinning = "instances.spinning: there is no thread to spin, intra_op_threads and \
                    inter_op_threads are 1";
    doubted("[instances]\nspinning = true", &[spinning]);
    doubted("[instances]\nspinning = true\nintra_op_threads = 2", &[]);
    let axes = "warmup.axes: there is no run that they are for: batch_sizes is empty, and rows are \
                not probed";
    let warmup = "[warmup]\nbatch_sizes = []\naxes = { S = 4 }";
    doubted(&format!("max_batch_size = 1\n{warmup}"), &[axes]);
    doubted(warmup, &[]);
}
