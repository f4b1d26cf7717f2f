//! Where a model is to run, and what ONNX Runtime is told about a GPU: `device`, `[onnxruntime.cuda]`
//! and `[onnxruntime.tensorrt]` of a `model.toml`.

use std::path::PathBuf;

use backend_api::{ArenaGrowth, ConvSearch, DeviceWish, GpuOptions, TensorRt};
use server_base::settings::Section;
use toml::Value;

use crate::config::ModelConfig;
use crate::placement::of_gpu;

/// Less holds no batch; more than a petabyte is a slip of the pen.
const MEMORY_BYTES: std::ops::RangeInclusive<usize> = 1 << 20..=1 << 50;

/// Recordings of one model: each keeps memory on the GPU for its batch, for every instance.
const GRAPHS_MAX: usize = 16;

/// The key `device`.
pub(crate) fn device(root: &mut Section<'_>) -> Option<DeviceWish> {
    root.with("device", |it| {
        it.as_str().ok_or_else(|| format!("{it} is no device in quotes"))?.parse::<DeviceWish>()
    })
}

/// Both sections, as far as they are there.
pub(crate) fn options(section: &mut Section<'_>) -> GpuOptions {
    let cuda = section.section("cuda", cuda).unwrap_or_default();
    let tensorrt = section.section("tensorrt", tensorrt);
    GpuOptions { tensorrt, ..cuda }
}

fn cuda(section: &mut Section<'_>) -> GpuOptions {
    let searches = [
        ("exhaustive", ConvSearch::Exhaustive),
        ("heuristic", ConvSearch::Heuristic),
        ("default", ConvSearch::Fixed),
    ];
    let growths = [("doubling", ArenaGrowth::Doubling), ("as_needed", ArenaGrowth::AsNeeded)];
    GpuOptions {
        memory_bytes_max: section.integer("memory_bytes_max", MEMORY_BYTES),
        arena_growth: section.choice("arena_growth", &growths).unwrap_or_default(),
        conv_search: section.choice("conv_search", &searches).unwrap_or_default(),
        conv_workspace_small: section.boolean("conv_workspace_small").unwrap_or_default(),
        tf32: section.boolean("tf32").unwrap_or_default(),
        concurrent_runs: section.boolean("concurrent_runs").unwrap_or_default(),
        // Which batches they are is known when all else has been read.
        cuda_graphs: section.boolean("cuda_graph").filter(|it| *it).map(|_| Vec::new()),
        tensorrt: None,
    }
}

fn tensorrt(section: &mut Section<'_>) -> TensorRt {
    let cache = section.with("cache", folder);
    TensorRt {
        fp16: section.boolean("fp16").unwrap_or_default(),
        workspace_bytes_max: section.integer("workspace_bytes_max", MEMORY_BYTES),
        cache,
    }
}

/// What lies there is run: it has to be said where, and not by where a process happens to stand.
fn folder(value: &Value) -> Result<PathBuf, String> {
    let path = value.as_str().map(PathBuf::from).filter(|it| it.is_absolute());
    path.ok_or_else(|| format!("{value} is no absolute path in quotes"))
}

/// Reports settings for a GPU of a model that is not to run on one.
pub(crate) fn check(wish: &DeviceWish, options: &GpuOptions, root: &mut Section<'_>) {
    if let DeviceWish::On(device) = wish
        && !of_gpu(wish)
        && *options != GpuOptions::default()
    {
        let text = format!("sections cuda and tensorrt are for a GPU, and device is \"{device}\"");
        root.fault("onnxruntime", &text);
    }
}

/// Settles which batches CUDA graphs are recorded for, once all else has been read.
pub(crate) fn settle_graphs(config: &mut ModelConfig, root: &mut Section<'_>) {
    let (rows_max, sizes) = (config.batching.rows_max, config.batching.sizes.as_ref());
    let session = &mut config.options.session;
    let Some(graphs) = &mut session.gpu.cuda_graphs else { return };
    let key = "onnxruntime.cuda.cuda_graph";
    *graphs = match sizes {
        Some(sizes) => sizes.all().to_vec(),
        None if rows_max <= 1 => vec![1],
        None => {
            let text = format!(
                "true records a batch of each size once, and max_batch_size is {rows_max}: expected \
                 dynamic_batching.allowed_batch_sizes, at most {GRAPHS_MAX}"
            );
            return root.fault(key, &text);
        }
    };
    if graphs.len() > GRAPHS_MAX {
        let (sizes, most) = (graphs.len(), GRAPHS_MAX);
        let text =
            format!("dynamic_batching.allowed_batch_sizes has {sizes}, expected at most {most}");
        root.fault(key, &text);
    }
    if session.io_binding == Some(false) {
        root.fault(key, "true needs bound memory, and onnxruntime.io_binding is false");
    }
    if session.gpu.concurrent_runs {
        root.fault(key, "true has all runs on one stream, and concurrent_runs is true");
    }
    if session.gpu.tensorrt.is_some() {
        root.fault(key, "true is for CUDA's provider, and there is a section onnxruntime.tensorrt");
    }
    // ONNX Runtime keeps what it recorded for the thread that did.
    config.inline = false;
}
