//! Verdicts in words: the findings that others act on, and the short form that is kept.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use server_base::{Finding, FindingKind, ModelName, Version};
use server_drift::{EMBEDDINGS_MAX, QualityFault};

use crate::verdict::{FeatureVerdict, Of, Side, Verdict, column};

/// Alarms that a sentence names.
const NAMED_MAX: usize = 3;

/// Notes that it quotes: as many as there are embeddings.
const NOTES_MAX: usize = EMBEDDINGS_MAX;

/// A finding that is written down before it is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Untold {
    kind: String,
    is_alarm: bool,
    from_s: f64,
    to_s: f64,
    rows: u64,
    subjects: Vec<String>,
    text: String,
    evidence: String,
}

impl Untold {
    /// Of a window: one for each kind that was looked at.
    pub(crate) fn of(verdict: &Verdict) -> Vec<Untold> {
        let has = |of| verdict.features.iter().any(|it| it.of() == of);
        let sides = [
            (FindingKind::Drift, Of::Inputs, &verdict.drift),
            (FindingKind::PredictionDrift, Of::Outputs, &verdict.predictions),
            (FindingKind::EmbeddingDrift, Of::Embeddings, &verdict.embeddings),
        ];
        let sides = sides.into_iter().filter(|it| has(it.1));
        let mut all: Vec<Untold> = sides.map(|it| drift(verdict, it)).collect();
        all.push(quality(verdict));
        all
    }

    /// The same of one that somebody else has made.
    pub(crate) fn of_finding(finding: &Finding) -> Untold {
        let seconds =
            |it: SystemTime| it.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Untold {
            kind: finding.kind.label().to_owned(),
            is_alarm: finding.is_alarm,
            from_s: seconds(finding.from),
            to_s: seconds(finding.to),
            rows: finding.rows,
            subjects: finding.subjects.clone(),
            text: finding.text.clone(),
            evidence: finding.evidence.clone(),
        }
    }

    /// As it is told.
    pub(crate) fn told(&self, model: &ModelName, version: Version) -> Option<Finding> {
        Some(Finding {
            model: model.clone(),
            version,
            kind: FindingKind::of_label(&self.kind)?,
            is_alarm: self.is_alarm,
            from: time(self.from_s),
            to: time(self.to_s),
            rows: self.rows,
            subjects: self.subjects.clone(),
            text: self.text.clone(),
            evidence: self.evidence.clone(),
        })
    }
}

fn time(seconds: f64) -> SystemTime {
    UNIX_EPOCH + Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

fn untold(verdict: &Verdict, kind: FindingKind) -> Untold {
    Untold {
        kind: kind.label().to_owned(),
        is_alarm: false,
        from_s: verdict.from_s,
        to_s: verdict.to_s,
        rows: verdict.rows,
        subjects: Vec::new(),
        text: String::new(),
        evidence: String::new(),
    }
}

fn drift(verdict: &Verdict, (kind, of, side): (FindingKind, Of, &Side)) -> Untold {
    let ours = || verdict.features.iter().filter(|it| it.of() == of);
    let features: Vec<Value> = ours().map(brief).collect();
    let subjects = if side.is_alarm {
        side.alarms.iter().map(|it| it.feature.clone()).collect()
    } else {
        Vec::new()
    };
    let evidence = json!({
        "window": verdict.number,
        "windows_between": verdict.windows_between,
        "alarms": side.alarms,
        "dataset": side.dataset,
        "features": features,
    });
    Untold {
        is_alarm: side.is_alarm,
        subjects,
        text: sentence(side, verdict.rows, ours()),
        evidence: evidence.to_string(),
        ..untold(verdict, kind)
    }
}

fn sentence<'a>(
    side: &Side,
    rows: u64,
    features: impl Iterator<Item = &'a FeatureVerdict>,
) -> String {
    let notes = features.filter_map(|it| Some(format!("; {}: {}", column(it), it.note.as_ref()?)));
    let mut notes: Vec<String> = notes.collect();
    // By a test that fits none of them each of 512 has one.
    let more = notes.len().saturating_sub(NOTES_MAX);
    notes.truncate(NOTES_MAX);
    if more > 0 {
        notes.push(format!("; and {more} more that are not judged, or in part"));
    }
    alarmed(side, rows) + &notes.concat()
}

fn alarmed(side: &Side, rows: u64) -> String {
    let (drifted, judged) = (side.dataset.drifted, side.dataset.columns);
    if side.alarms.is_empty() {
        return format!("none of {judged} features drifted in {rows} rows");
    }
    let mut alarms: Vec<&server_drift::Alarm> = side.alarms.iter().collect();
    alarms.sort_by(|a, b| b.effect.total_cmp(&a.effect));
    let named: Vec<String> = alarms.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let more = alarms.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{drifted} of {judged} features drifted: {}{more}", named.join("; "))
}

fn quality(verdict: &Verdict) -> Untold {
    let faulty: Vec<&FeatureVerdict> =
        verdict.features.iter().filter(|it| !it.faults.is_empty()).collect();
    let mut words: Vec<String> = faulty
        .iter()
        .flat_map(|feature| {
            feature.faults.iter().map(|it| format!("{}: {}", column(feature), fault(it)))
        })
        .collect();
    let broken = faulty.iter().filter(|it| it.faults.iter().any(QualityFault::is_broken));
    let mut subjects: Vec<String> = broken.map(|it| column(it)).collect();
    if verdict.duplicated {
        words.push("rows repeat more often than in the reference".to_owned());
        subjects.push("(rows)".to_owned());
    }
    let is_alarm = verdict.is_broken();
    let faults: Map<String, Value> =
        faulty.iter().map(|it| (column(it), json!(it.faults))).collect();
    let evidence =
        json!({ "window": verdict.number, "duplicated": verdict.duplicated, "faults": faults });
    let rows = verdict.rows;
    let sound = || format!("{rows} rows are sound");
    let text = if words.is_empty() { sound() } else { words.join("; ") };
    let evidence = evidence.to_string();
    Untold { is_alarm, subjects, text, evidence, ..untold(verdict, FindingKind::Quality) }
}

fn fault(fault: &QualityFault) -> String {
    let percent = |it: &f64| format!("{:.1} %", 100.0 * it);
    match fault {
        QualityFault::Missing { reference, share } => {
            format!(
                "{} of the rows are missing, {} in the reference",
                percent(share),
                percent(reference)
            )
        }
        QualityFault::NotFinite { share } => {
            format!("{} of the rows are NaN or infinite", percent(share))
        }
        QualityFault::OutOfRange { below, above, range } => format!(
            "{} of the values are below and {} above the reference's range; they are from {} to {}",
            percent(below),
            percent(above),
            range.0,
            range.1
        ),
        QualityFault::NewCategories { share, top } => {
            let top: Vec<&str> = top.iter().map(|it| it.0.as_str()).collect();
            format!("{} of the rows have new categories: {}", percent(share), top.join(", "))
        }
        QualityFault::Constant => "a single value, the reference has several".to_owned(),
    }
}

/// One feature in few numbers.
pub(crate) fn brief(feature: &FeatureVerdict) -> Value {
    let evidence = &feature.evidence;
    json!({
        "feature": column(feature),
        "test": evidence.test,
        "method": evidence.method,
        "p": number(evidence.p),
        "effect": number(evidence.effect),
        "psi": evidence.statistics.psi,
        "mmd_squared": evidence.statistics.mmd_squared,
        "mean_euclidean": evidence.statistics.mean_euclidean,
        "mean_cosine": evidence.statistics.mean_cosine,
        "score": feature.score,
        "note": feature.note,
        "rows": evidence.rows,
        "reference_rows": evidence.reference_rows,
        "missing": feature.missing,
        "judged": feature.judged,
        "drifted": feature.drifted,
    })
}

fn number(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { Value::Null }
}

/// A window in few numbers, for the history.
pub(crate) fn short(verdict: &Verdict, findings: &[Untold]) -> Value {
    let told: Map<String, Value> = findings
        .iter()
        .map(|it| {
            let found =
                json!({ "is_alarm": it.is_alarm, "subjects": it.subjects, "text": it.text });
            (it.kind.clone(), found)
        })
        .collect();
    let features: Map<String, Value> = verdict
        .features
        .iter()
        .map(|it| {
            let numbers =
                [it.evidence.effect, it.evidence.p, it.evidence.statistics.psi.unwrap_or(f64::NAN)];
            (column(it), numbers.map(number).to_vec().into())
        })
        .collect();
    json!({
        "number": verdict.number,
        "from_s": verdict.from_s,
        "to_s": verdict.to_s,
        "rows": verdict.rows,
        "found": told,
        "features": features,
    })
}
