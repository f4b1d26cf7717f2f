//! What a window shows, in words and numbers for others.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use server_base::{Finding, FindingKind, ModelName, TruthConfig, Version};

use crate::change::{Change, Judged};
use crate::form::Form;
use crate::window::{Breach, Window};

/// How right the answers of a window were.
pub(crate) fn finding(
    (model, version): (&ModelName, Version),
    form: &Form,
    (window, change): (&Window, &Change),
) -> Finding {
    let breaches = window.breaches(&form.config, change);
    let (rows, predicted) = (window.tally.rows, window.predicted);
    let text = if breaches.is_empty() {
        let all: Vec<String> =
            window.tally.metrics().iter().map(|(it, value)| format!("{it} {value:.4}")).collect();
        let all = if all.is_empty() { "nothing to tell".to_owned() } else { all.join(", ") };
        format!("{all}: of {rows} labelled rows of {predicted}")
    } else {
        let side = |it: &Breach| {
            let side = if it.metric.limit_key().ends_with("_min") { "less" } else { "more" };
            match it.reference {
                None => format!("{} is {:.4}, {side} than {}", it.metric, it.value, it.limit),
                Some(was) => format!(
                    "{} is {:.4}, {side} than {:.4}: it was {was:.4} in the reference",
                    it.metric, it.value, it.limit
                ),
            }
        };
        let worse: Vec<String> = breaches.iter().map(side).collect();
        format!("{}: of {rows} labelled rows of {predicted}", worse.join("; "))
    };
    Finding {
        model: model.clone(),
        version,
        kind: FindingKind::Performance,
        is_alarm: !breaches.is_empty(),
        from: time(window.from_us),
        to: time(window.to_us),
        rows,
        subjects: breaches.iter().map(|it| it.metric.label().to_owned()).collect(),
        text,
        evidence: window.shown(true).to_string(),
    }
}

fn time(us: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(us).unwrap_or_default())
}

/// Whether errors have become more frequent.
pub(crate) fn concept(
    (model, version): (&ModelName, Version),
    window: &Window,
    judged: &Judged,
) -> Finding {
    let Judged { is_alarm, before, before_rows, after, after_rows, .. } = judged;
    let Judged { since_us, evidence, needed, .. } = judged;
    let was = match before_rows {
        0 => format!("{before:.4} as expected"),
        rows => format!("{before:.4} of {rows} rows of the reference"),
    };
    let text = if *is_alarm {
        format!(
            "the error is {after:.4} of {after_rows} rows since {:.0}, {:+.4} against {was}: evidence \
             {evidence:.1}, needed {needed}",
            seconds(*since_us),
            judged.effect(),
        )
    } else {
        format!(
            "the error has not risen: {:.4} of {} rows against {was}; evidence {evidence:.1}, needed \
             {needed}",
            window.errors().mean(),
            window.errors().rows
        )
    };
    Finding {
        model: model.clone(),
        version,
        kind: FindingKind::ConceptDrift,
        is_alarm: *is_alarm,
        from: time(window.from_us),
        to: time(window.to_us),
        rows: window.errors().rows,
        subjects: if *is_alarm { vec!["error".to_owned()] } else { Vec::new() },
        text,
        evidence: evidence_of(window, judged).to_string(),
    }
}

/// Effect, sizes and certainty.
fn evidence_of(window: &Window, judged: &Judged) -> Value {
    json!({
        "before": judged.before,
        "before_rows": judged.before_rows,
        "bound": judged.bound,
        "after": judged.after,
        "after_rows": judged.after_rows,
        "effect": judged.effect(),
        "since_s": seconds(judged.since_us),
        "window_error": window.errors().mean(),
        "window_rows": window.errors().rows,
        "window_p": judged.p,
        "evidence": judged.evidence,
        "needed": judged.needed,
    })
}

/// A complete window as the API shows it, with what it says of errors.
pub(crate) fn shown(window: &Window, judged: Option<&Judged>) -> Value {
    let mut shown = window.shown(true);
    if let Some(judged) = judged {
        shown["concept_drift"] = evidence_of(window, judged);
        shown["concept_drift"]["is_alarm"] = json!(judged.is_alarm);
    }
    shown
}

/// As the API shows it.
pub(crate) fn reference(change: &Change, config: &TruthConfig) -> Value {
    match (change.reference(), config.reference_rows) {
        (Some(it), _) => json!({ "state": "learned", "of": it }),
        (None, Some(of)) => json!({ "state": "learning", "rows": change.learned(), "of_rows": of }),
        (None, None) => Value::Null,
    }
}

fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}
