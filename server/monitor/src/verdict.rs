//! What a window says: evidence for each feature, whether the data is sound, and what is an alarm.

use serde::Serialize;
use server_drift::{
    Alarm, DatasetVerdict, Evidence, FeatureState, Fixed, Method, MonitorPlan, Pane, QualityFault,
    Reference, Role, Rule, Thresholds,
};

use crate::columns::Basis;
use crate::histogram::Histogram;

/// What a window is judged by.
pub(crate) struct Subject<'a> {
    pub(crate) plan: &'a MonitorPlan,
    pub(crate) basis: &'a Basis,
    pub(crate) references: &'a [Reference],
}

/// One window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Verdict {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// When its first row came, in seconds since 1970, and its last.
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
    pub(crate) rows: u64,
    /// Of the rule: windows between two false alarms. None for a fixed threshold.
    pub(crate) windows_between: Option<f64>,
    /// Drift of inputs, and of outputs.
    pub(crate) drift: Side,
    pub(crate) predictions: Side,
    /// Drift of embeddings, of either side.
    pub(crate) embeddings: Side,
    /// Rows repeat more often than in the reference.
    pub(crate) duplicated: bool,
    pub(crate) features: Vec<FeatureVerdict>,
}

/// Inputs or outputs together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Side {
    pub(crate) is_alarm: bool,
    pub(crate) alarms: Vec<Alarm>,
    pub(crate) dataset: DatasetVerdict,
}

/// One feature.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct FeatureVerdict {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) evidence: Evidence,
    /// Is it an embedding?
    pub(crate) is_embedding: bool,
    /// What else is to be known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    /// By a fixed rule: what it was judged by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) score: Option<Score>,
    /// Is it an alarm?
    pub(crate) drifted: bool,
    /// Was it judged at all?
    pub(crate) judged: bool,
    pub(crate) faults: Vec<QualityFault>,
    /// Share of the rows without a usable value.
    pub(crate) missing: f64,
    pub(crate) histogram: Histogram,
}

/// What a fixed rule goes by.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Score {
    pub(crate) test: &'static str,
    /// None: the test says nothing of it.
    pub(crate) value: Option<f64>,
    /// How it was computed.
    pub(crate) method: Method,
    pub(crate) threshold: f64,
}

impl Verdict {
    /// Of a window; `step_s`: how long its last step took.
    pub(crate) fn of(
        subject: &Subject<'_>,
        window: &Pane,
        (number, step_s): (u64, f64),
    ) -> Verdict {
        let Subject { plan, basis, references } = subject;
        let states = references.iter().zip(&window.features);
        let rule = plan.rule.thresholds(step_s);
        let finest = rule.finest(references.len());
        let mut features: Vec<FeatureVerdict> =
            states.filter_map(|it| feature((plan, &rule), it, (window.rows, finest))).collect();
        let (thresholds, alarms) = alarms(plan, &features, step_s);
        for it in &mut features {
            it.drifted = alarms.iter().any(|alarm| alarm.feature == column(it));
        }
        let side = |of| side(plan, &features, (of, &alarms));
        let reference = (basis.rows, basis.distinct_rows);
        let distinct = window.distinct.estimate();
        // A window that is larger than the reference repeats more by itself.
        let comparable = basis.distinct_rows > 0 && window.rows <= basis.rows;
        let (from_s, to_s) = window.span.unwrap_or_default();
        Verdict {
            number,
            from_s,
            to_s,
            rows: window.rows,
            windows_between: match thresholds {
                Thresholds::Auto(it) => Some(it.windows_between),
                Thresholds::Fixed(_) | Thresholds::Default => None,
            },
            drift: side(Of::Inputs),
            predictions: side(Of::Outputs),
            embeddings: side(Of::Embeddings),
            duplicated: comparable
                && plan.quality.duplicated(reference, (window.rows, whole(distinct))),
            features,
        }
    }

    /// Would it be an alarm by another plan?
    #[cfg(test)]
    pub(crate) fn is_alarm_by(&self, plan: &MonitorPlan, step_s: f64) -> bool {
        let mut features = self.features.clone();
        let (_, alarms) = alarms(plan, &features, step_s);
        for it in &mut features {
            it.drifted = alarms.iter().any(|alarm| alarm.feature == column(it));
        }
        let by = |of| side(plan, &features, (of, &alarms)).is_alarm;
        by(Of::Inputs) || by(Of::Outputs) || by(Of::Embeddings)
    }

    /// Is the data broken? That is an alarm, and nothing to train a model with.
    pub(crate) fn is_broken(&self) -> bool {
        let mut faults = self.features.iter().flat_map(|it| &it.faults);
        self.duplicated || faults.any(QualityFault::is_broken)
    }
}

/// As in the log, so that an input and an output of one name are two.
pub(crate) fn column(feature: &FeatureVerdict) -> String {
    named(feature.role, &feature.name)
}

/// The same by its parts.
pub(crate) fn named(role: Role, name: &str) -> String {
    match role {
        Role::Input => format!("in.{name}"),
        Role::Output => format!("out.{name}"),
    }
}

fn feature(
    (plan, rule): (&MonitorPlan, &Thresholds),
    (reference, state): (&Reference, &FeatureState),
    (rows, finest): (u64, f64),
) -> Option<FeatureVerdict> {
    let evidence = reference.evidence(state, finest)?;
    let faults = reference.quality(&plan.quality, state).faults;
    // What is only unusual is judged, and told as well.
    let broken = faults.iter().any(QualityFault::is_broken);
    let usable = evidence.rows;
    // What says nothing must not be taken for one that has not drifted.
    let mute = usable > 0 && !broken && !rule.judges(&evidence);
    let score = rule.fixed(&evidence).map(|Fixed { test, threshold }| Score {
        test: test.name(),
        value: Some(evidence.statistics.score(test)).filter(|it| !it.is_nan()),
        method: evidence.method_of(test),
        threshold,
    });
    let notes = [digests(state), mute.then(|| unjudged(score.as_ref()))];
    let notes: Vec<String> = notes.into_iter().flatten().collect();
    Some(FeatureVerdict {
        name: reference.feature().name.clone(),
        role: reference.feature().role,
        is_embedding: reference.feature().is_embedding(),
        note: (!notes.is_empty()).then(|| notes.join("; ")),
        score,
        drifted: false,
        judged: !broken && usable > 0 && !mute,
        faults,
        missing: share(rows.saturating_sub(usable), rows),
        histogram: Histogram::of(reference.feature(), state),
        evidence,
    })
}

/// One level for all features, inputs and outputs: the run length is that of the model.
fn alarms(
    plan: &MonitorPlan,
    features: &[FeatureVerdict],
    step_s: f64,
) -> (Thresholds, Vec<Alarm>) {
    let thresholds = plan.rule.thresholds(step_s);
    let judged = features.iter().filter(|it| it.judged);
    let judged: Vec<(String, Evidence)> =
        judged.map(|it| (column(it), it.evidence.clone())).collect();
    (thresholds, thresholds.alarms(&judged))
}

/// Why there is no verdict although there are values.
fn unjudged(score: Option<&Score>) -> String {
    match score {
        Some(it) => format!("not judged: {} has no value for it", it.test),
        None => "not judged: no test is the default one for it".to_owned(),
    }
}

/// Of an embedding: what of it the log does not hold.
fn digests(state: &FeatureState) -> Option<String> {
    let FeatureState::Vectors(it) = state else { return None };
    let digests = it.digests;
    (digests > 0).then(|| {
        format!("of {digests} rows the log has a digest only: they are longer than max_value_bytes")
    })
}

/// Features that are told together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    Inputs,
    Outputs,
    Embeddings,
}

impl FeatureVerdict {
    pub(crate) fn of(&self) -> Of {
        match (self.is_embedding, self.role) {
            (true, _) => Of::Embeddings,
            (false, Role::Input) => Of::Inputs,
            (false, Role::Output) => Of::Outputs,
        }
    }
}

fn side(plan: &MonitorPlan, features: &[FeatureVerdict], (of, alarms): (Of, &[Alarm])) -> Side {
    let ours: Vec<&FeatureVerdict> = features.iter().filter(|it| it.of() == of).collect();
    let judged = ours.iter().filter(|it| it.judged).map(|it| it.drifted);
    let dataset = DatasetVerdict::of(judged, plan.drift_share);
    let is_ours = |it: &&Alarm| ours.iter().any(|feature| column(feature) == it.feature);
    let alarms: Vec<Alarm> = alarms.iter().filter(is_ours).cloned().collect();
    let is_alarm = match plan.rule {
        // How often that happens by chance is what was asked for.
        Rule::Auto { .. } => !alarms.is_empty(),
        // Of many features some always are beyond a fixed threshold.
        Rule::Fixed(_) | Rule::Default => of != Of::Embeddings && dataset.drift,
    };
    Side { is_alarm, alarms, dataset }
}

fn share(part: u64, of: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = part as f64 / of.max(1) as f64;
    share
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate of rows")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}
