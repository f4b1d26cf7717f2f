//! What no single key of a `model.toml` can tell: keys that contradict each other, the engine or the
//! machine.
//!
//! A combination that cannot be meant is a fault, with its reason. One that may be meant, elsewhere
//! or for requests that are not the usual ones, is a doubt: it is served, and said once. Pure.

use backend_api::Precision;
use server_base::settings::Section;

use crate::config::ModelConfig;
use crate::policy::Transition;

/// Reports what cannot be meant. `session` says whether there are settings for ONNX Runtime alone.
pub(crate) fn check(config: &ModelConfig, root: &mut Section<'_>, session: bool) {
    engine(config, root, session);
    batching(config, root);
    rollback(config, root);
}

/// Engines that cannot be told how operators share threads, nor how threads wait.
const OWN_THREADS: [&str; 5] = ["candle", "litert", "openvino", "pjrt", "tract"];

/// An engine that is named and cannot do what is asked of it.
fn engine(config: &ModelConfig, root: &mut Section<'_>, session: bool) {
    let (engine, options) = (config.engine.as_deref().unwrap_or("auto"), &config.options);
    if session && !["onnxruntime", "auto"].contains(&engine) {
        root.fault("onnxruntime", &format!("the engine is {engine}"));
    }
    if options.session.memory_pattern && options.inter_op_threads > 1 {
        let text = "memory is planned for operators one after the other, not side by side: \
                    instances.inter_op_threads is more than 1";
        root.fault("onnxruntime.memory_pattern", text);
    }
    if options.precision == Precision::Bf16 && !["onnxruntime", "openvino"].contains(&engine) {
        let text = "\"bf16\" needs engine = \"openvino\" (or \"onnxruntime\", on aarch64)";
        root.fault("precision", text);
    }
    if engine == "tract" && options.intra_op_threads > 1 {
        let text = "engine tract computes on the instance's own thread alone";
        root.fault("instances.intra_op_threads", text);
    }
    if OWN_THREADS.contains(&engine) && options.inter_op_threads > 1 {
        let text = format!("engine {engine} runs operators one after the other");
        root.fault("instances.inter_op_threads", &text);
    }
    if OWN_THREADS.contains(&engine) && options.spinning {
        root.fault("instances.spinning", &format!("engine {engine} does not know it"));
    }
}

/// Waiting for company that cannot come, or for longer than requests live.
fn batching(config: &ModelConfig, root: &mut Section<'_>) {
    let (rows_max, delay) = (config.batching.rows_max, config.batching.delay_max);
    let key = "dynamic_batching.max_queue_delay_us";
    if delay.is_zero() {
        return;
    }
    if rows_max <= 1 {
        let text = format!(
            "{} holds requests back for others to join them, and max_batch_size = {rows_max} joins \
             none",
            delay.as_micros()
        );
        root.fault(key, &text);
    }
    if delay >= config.timeout {
        let text = format!(
            "{} is not less than timeout_ms, {}: no request lives so long that does not ask for it",
            delay.as_micros(),
            config.timeout.as_millis()
        );
        root.fault(key, &text);
    }
}

/// Keeping a version that is gone by then, or that something else keeps.
fn rollback(config: &ModelConfig, root: &mut Section<'_>) {
    let key = "rollback_window_s";
    if config.rollback_window.is_zero() {
        return;
    }
    let window = config.rollback_window.as_secs();
    if config.transition == Transition::Resources {
        let text = format!(
            "{window} keeps the old version loaded beside the new one, and transition = \"resources\" \
             unloads it before"
        );
        root.fault(key, &text);
    }
    if config.rollout.is_some() {
        let text = format!(
            "{window} is for versions that take over at once, and here a rollout moves from one to the \
             next: rollout.rollback_window_s says how long that keeps the old one"
        );
        root.fault(key, &text);
    }
}

impl ModelConfig {
    /// Cores that all instances want when they run side by side.
    pub fn cores_wanted(&self) -> usize {
        self.instances * self.options.intra_op_threads
    }

    /// What is allowed and may not be what was meant, on a machine of so many cores.
    pub fn doubts(&self, cores: usize) -> Vec<String> {
        let mut doubts = Vec::new();
        let (rows_max, queue_max) = (self.batching.rows_max, self.batching.queue_max);
        let (count, inside) = (self.instances, self.options.intra_op_threads);
        let wanted = self.cores_wanted();
        if wanted > cores {
            doubts.push(format!(
                "instances: count = {count} of intra_op_threads = {inside} want {wanted} cores, and \
                 there are {cores}"
            ));
        }
        if queue_max < rows_max {
            doubts.push(format!(
                "dynamic_batching.max_queue_size: {queue_max} requests of one row never fill a batch \
                 of max_batch_size = {rows_max}"
            ));
        }
        if self.options.spinning && inside == 1 && self.options.inter_op_threads == 1 {
            let text = "instances.spinning: there is no thread to spin, intra_op_threads and \
                        inter_op_threads are 1";
            doubts.push(text.to_owned());
        }
        let probed = self.probe_rows && rows_max > 1;
        if !self.warmup_axes.is_empty() && self.warmup_rows.is_empty() && !probed {
            let text = "warmup.axes: there is no run that they are for: batch_sizes is empty, and \
                        rows are not probed";
            doubts.push(text.to_owned());
        }
        doubts
    }
}

#[cfg(test)]
#[path = "contradictions_tests.rs"]
mod tests;
