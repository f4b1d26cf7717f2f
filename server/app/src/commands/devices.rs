//! `salver devices`.

use super::{Outcome, complain, print};
use crate::cli::{DevicesArgs, OutputFormat};
use crate::inspect::{Engine, Inspection, inspect};

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
    seen.engines.iter().for_each(|it| engine(it, &mut lines));
    lines.join("\n")
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
