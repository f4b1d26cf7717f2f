//! `salver devices`.

use super::{Outcome, complain, print};
use crate::cli::{DevicesArgs, OutputFormat};
use crate::inspect::{Cuda, Engine, Gpus, Inspection, SeenGpu, inspect};

/// Tells what is here and what is not.
pub(crate) fn devices(args: &DevicesArgs) -> Outcome {
    let seen = match inspect(&args.libraries) {
        Ok(seen) => seen,
        Err(error) => return complain(&format!("{error:#}"), Outcome::Failed),
    };
    match args.output {
        OutputFormat::Text => print(&text(&seen)),
        OutputFormat::Json => match serde_json::to_string(&seen) {
            Ok(json) => print(&json),
            Err(error) => complain(&error.to_string(), Outcome::Failed),
        },
    }
}

fn text(seen: &Inspection) -> String {
    let processor = &seen.processor;
    let plural = if processor.cores == 1 { "" } else { "s" };
    let mut head = vec![
        processor.model.clone(),
        processor.architecture.to_owned(),
        format!("{} core{plural}", processor.cores),
    ];
    head.extend(processor.memory_bytes.map(|it| format!("{} MiB", it >> 20)));
    if !processor.instructions.is_empty() {
        head.push(processor.instructions.join(" "));
    }
    let mut lines = vec![format!("processor {}", head.join(", "))];
    if seen.accelerators.is_empty() {
        lines.push("accelerators none: no /dev/nvidia*, /dev/accel*, /dev/apex_*".to_owned());
    }
    for it in &seen.accelerators {
        lines.extend([format!("accelerator {} {}", it.device, it.kind), format!("  {}", it.note)]);
    }
    gpus(&seen.gpus, &mut lines);
    seen.engines.iter().for_each(|it| engine(it, &mut lines));
    lines.join("\n")
}

fn gpus(seen: &Gpus, lines: &mut Vec<String>) {
    match (&seen.driver_version, &seen.reason) {
        (_, Some(reason)) => lines.push(format!("gpus none: {reason}")),
        (driver, None) => {
            let driver = driver.as_deref().unwrap_or("unknown");
            lines.push(format!("gpus {}, driver {driver}", seen.devices.len()));
        }
    }
    lines.extend(seen.fix.map(|it| format!("  fix: {it}")));
    seen.devices.iter().for_each(|it| gpu(it, lines));
    seen.cuda.iter().for_each(|it| cuda(it, lines));
}

fn cuda(seen: &Cuda, lines: &mut Vec<String>) {
    lines.push(match (&seen.version, &seen.reason) {
        (_, Some(reason)) => format!("cuda none: {reason}"),
        (version, None) => {
            let version = version.as_deref().unwrap_or("unknown");
            format!("cuda {version}, GPUs to compute on: {}", seen.gpus)
        }
    });
    lines.extend(seen.fix.map(|it| format!("  fix: {it}")));
}

fn gpu(seen: &SeenGpu, lines: &mut Vec<String>) {
    let mut words = vec![seen.name.clone().unwrap_or_else(|| "unknown".to_owned())];
    words.extend(seen.device.clone());
    words.extend(seen.uuid.clone());
    let mib = |name: &str, it: Option<u64>| it.map(|it| format!("{} MiB {name}", it >> 20));
    words.extend(mib("in all", seen.memory_total_bytes));
    words.extend(mib("used", seen.memory_used_bytes));
    words.extend(mib("free", seen.memory_free_bytes));
    words.extend(seen.compute_capability.as_ref().map(|it| format!("compute capability {it}")));
    lines.push(format!("gpu {} {}", seen.index, words.join(", ")));
    lines.extend(seen.reason.as_ref().map(|it| format!("  fault: {it}")));
    lines.extend(seen.fix.map(|it| format!("  fix: {it}")));
}

fn engine(seen: &Engine, lines: &mut Vec<String>) {
    let name = seen.engine;
    match (&seen.version, &seen.reason) {
        (_, Some(reason)) => lines.push(format!("engine {name} not available: {reason}")),
        (version, None) => {
            let reads = seen.reads.map(|it| format!(", reads {it}")).unwrap_or_default();
            let version = version.as_deref().unwrap_or("unknown");
            lines.push(format!("engine {name} {version}{reads}"));
        }
    }
    lines.extend(seen.devices.iter().map(|it| format!("  {it}")));
    lines.extend(seen.fix.map(|it| format!("  fix: {it}")));
}
