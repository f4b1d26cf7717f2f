//! How a model is to be loaded.

use std::path::PathBuf;

use crate::gpu::{DeviceWish, GpuOptions};

/// In how many bits an engine computes what the model declares as FP32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// As declared.
    #[default]
    F32,
    /// Factors rounded to BF16, where the engine can: faster, with other answers.
    Bf16,
}

/// How far a graph is rewritten before it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Optimization {
    /// Not at all: every operator as it stands in the file.
    Off,
    /// What holds on any processor: constants folded, what is not needed left out.
    Basic,
    /// Operators joined to larger ones as well.
    Extended,
    /// Data laid out as the processor likes it as well.
    #[default]
    All,
}

/// What an engine that works in sessions can be told: ONNX Runtime. No other is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionOptions {
    /// How far the graph is rewritten.
    pub optimization: Optimization,
    /// Is memory of intermediate results kept for the next run?
    pub arena: bool,
    /// Is it planned as one block for each shape of input?
    pub memory_pattern: bool,
    /// Are weights copied into the order in which they are multiplied?
    pub prepacking: bool,
    /// Are sums of 8-bit products kept from saturating, where the processor's instructions do that?
    pub quantized_precision: bool,
    /// Do runs use memory that was bound to the session before? `None`: on a GPU, where they have to copy anyway.
    pub io_binding: Option<bool>,
    /// For a model that runs on a GPU.
    pub gpu: GpuOptions,
}

impl Default for SessionOptions {
    fn default() -> SessionOptions {
        SessionOptions {
            optimization: Optimization::All,
            arena: true,
            // Batches vary in size, and each size would keep a plan.
            memory_pattern: false,
            prepacking: true,
            quantized_precision: false,
            io_binding: None,
            gpu: GpuOptions::default(),
        }
    }
}

/// How a model is to be loaded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// Where it is to run.
    pub device: DeviceWish,
    /// Numbers of the GPUs that `auto` may try, in this order; `None`: nobody knows, so the first.
    pub gpus: Option<Vec<u32>>,
    /// How many instances will run at a time; more may be made, but will wait for one another.
    pub instances: usize,
    /// In how many bits it computes.
    pub precision: Precision,
    /// Threads that one run may use inside an operator, the calling one included.
    /// Instances of one model share the others.
    pub intra_op_threads: usize,
    /// Threads that run operators side by side; 1 runs them one after the other.
    pub inter_op_threads: usize,
    /// Do idle threads burn their core to wake faster?
    pub spinning: bool,
    /// For engines that work in sessions.
    pub session: SessionOptions,
    /// A library that computes some of its operators elsewhere; LiteRT alone is asked.
    pub delegate: Option<DelegateOptions>,
}

/// A library that the user brings, and what it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DelegateOptions {
    /// Where it lies; empty: where the device's own is looked for.
    pub library: PathBuf,
    /// Names and values.
    pub options: Vec<(String, String)>,
}

impl Default for Options {
    /// One thread per instance, no spinning: several instances then share the cores in peace.
    fn default() -> Options {
        Options {
            device: DeviceWish::Auto,
            gpus: None,
            instances: 1,
            precision: Precision::F32,
            intra_op_threads: 1,
            inter_op_threads: 1,
            spinning: false,
            session: SessionOptions::default(),
            delegate: None,
        }
    }
}
