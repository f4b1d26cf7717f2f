//! Where a model is to run, and what ONNX Runtime is told about a GPU: `device`, `[onnxruntime.cuda]`
//! and `[onnxruntime.tensorrt]` of a `model.toml`.

use std::path::PathBuf;

use backend_api::{ArenaGrowth, ConvSearch, Device, DeviceWish, GpuOptions, TensorRt};
use server_base::settings::Section;
use toml::Value;

/// Less holds no batch; more than a petabyte is a slip of the pen.
const MEMORY_BYTES: std::ops::RangeInclusive<usize> = 1 << 20..=1 << 50;

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
        tf32: section.boolean("tf32").unwrap_or_default(),
        tensorrt: None,
    }
}

fn tensorrt(section: &mut Section<'_>) -> TensorRt {
    let cache = section.with("cache", folder);
    TensorRt { fp16: section.boolean("fp16").unwrap_or_default(), cache }
}

/// What lies there is run: it has to be said where, and not by where a process happens to stand.
fn folder(value: &Value) -> Result<PathBuf, String> {
    let path = value.as_str().map(PathBuf::from).filter(|it| it.is_absolute());
    path.ok_or_else(|| format!("{value} is no absolute path in quotes"))
}

/// Reports settings for a GPU of a model that is not to run on one.
pub(crate) fn check(wish: &DeviceWish, options: &GpuOptions, root: &mut Section<'_>) {
    if *wish == DeviceWish::On(Device::Cpu) && *options != GpuOptions::default() {
        let text = "sections cuda and tensorrt are for a GPU, and device is \"cpu\"";
        root.fault("onnxruntime", text);
    }
}
