//! Two columns, raw, and every statistic between them: the numbers are Evidently 0.7.23's.

use serde::Serialize;

use crate::binning::{Shares, aligned, side_by_side};
use crate::column::{Kind, Tally, Values};
use crate::distance::{
    Area, hellinger, hellinger_of_distinct, jensen_shannon, kullback_leibler, largest_difference,
    psi, total_variation,
};
use crate::large::brought;
use crate::proportion::{chi_square, two_proportions};
use crate::sample::Sample;
use crate::smirnov::{Apart, KolmogorovSmirnov};
use crate::statistics::{Method, Statistics, present};
use crate::test::{FEW_VALUES, Test};

/// What was found out about a column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// How it was looked at.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Every statistic.
    #[serde(flatten)]
    pub statistics: Statistics,
    /// The test that judges, by kind and size; none for text and times.
    pub default: Option<Test>,
    /// Whether it says "drift".
    pub drift: bool,
    /// Its threshold.
    pub threshold: Option<f64>,
    /// How the statistics were computed.
    pub method: Method,
    /// Usable rows of the reference.
    pub reference_rows: usize,
    /// Usable rows of what was looked at.
    pub current_rows: usize,
    /// Rows of the reference that are missing, NaN or infinite.
    pub reference_missing: usize,
    /// Such rows of what was looked at.
    pub current_missing: usize,
    /// What else is to be known of the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Why there is nothing else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Why two columns cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// One holds numbers, the other text, for instance.
    #[error("the reference holds {reference}, the current data {current}: they must agree")]
    TypesDiffer {
        /// What the reference holds.
        reference: String,
        /// What the other one holds.
        current: String,
    },
    /// There is nothing to compare.
    #[error("the {side} has no usable value among {rows} rows, at least one is needed")]
    Empty {
        /// `reference` or `current data`.
        side: &'static str,
        /// Its rows.
        rows: usize,
    },
    /// Asked to look at text as numbers, for instance.
    #[error("it holds {found}, and cannot be looked at as {wanted:?}")]
    Unfit {
        /// What it holds.
        found: String,
        /// What was asked for.
        wanted: Kind,
    },
}

impl Comparison {
    /// Of columns that cannot be compared; `current`: if there is such a column at all.
    pub fn failed(reference: &Values, current: Option<&Values>, error: String) -> Comparison {
        let kind = current.unwrap_or(reference).kind();
        let none =
            Comparison::of(kind, reference, current.unwrap_or(&Values::Other(String::new())));
        Comparison { error: Some(error), ..none }
    }

    /// By the test that is the default one for so many different values on both sides together.
    fn judge(&mut self, distinct: usize) {
        if let Some(test) = Test::by_default(self.kind, self.reference_rows, distinct) {
            self.default = Some(test);
            self.threshold = Some(test.threshold());
            self.drift = test.drifted(self.statistics.score(test), test.threshold());
        }
    }

    /// Nothing is known yet.
    fn of(kind: Kind, reference: &Values, current: &Values) -> Comparison {
        Comparison {
            kind,
            statistics: Statistics::default(),
            default: None,
            drift: false,
            threshold: None,
            method: Method::Exact,
            reference_rows: reference.rows() - reference.missing(),
            current_rows: current.rows() - current.missing(),
            reference_missing: reference.missing(),
            current_missing: current.missing(),
            note: None,
            error: None,
        }
    }
}

/// Compares two columns; `kind` as the current side would have it, unless it is given. True and false
/// are 1 and 0 beside numbers.
pub fn compare(
    reference: &Values,
    current: &Values,
    kind: Option<Kind>,
) -> Result<Comparison, CompareError> {
    match (reference, current) {
        (Values::Flags(it), Values::Numbers { .. } | Values::Large(_)) => {
            return compare(&Values::of_flags(it), current, kind);
        }
        (Values::Numbers { .. } | Values::Large(_), Values::Flags(it)) => {
            return compare(reference, &Values::of_flags(it), kind);
        }
        (Values::Large(_), _) | (_, Values::Large(_)) => return of_large(reference, current, kind),
        _ => {}
    }
    if std::mem::discriminant(reference) != std::mem::discriminant(current) {
        return Err(CompareError::TypesDiffer {
            reference: reference.type_name().to_owned(),
            current: current.type_name().to_owned(),
        });
    }
    let kind = kind.unwrap_or_else(|| current.kind());
    let mut comparison = Comparison::of(kind, reference, current);
    let unfit = || CompareError::Unfit { found: current.type_name().to_owned(), wanted: kind };
    let distinct = match (kind, reference, current) {
        (Kind::Text | Kind::Other, ..) => return Ok(comparison),
        (Kind::Categorical, Values::Other(_) | Values::Vectors(_), _) => return Err(unfit()),
        (Kind::Categorical, ..) => {
            let (left, right) = (reference.tally(), current.tally());
            not_empty(left.is_empty(), reference, right.is_empty(), current)?;
            comparison.statistics = of_categories(&left, &right);
            aligned(&left, &right).0.len()
        }
        (Kind::Numerical, Values::Numbers { values, whole }, Values::Numbers { .. }) => {
            let Values::Numbers { values: others, whole: also } = current else {
                return Err(unfit());
            };
            let left = Sample::new(values.iter().copied());
            let right = Sample::new(others.iter().copied());
            not_empty(left.is_empty(), reference, right.is_empty(), current)?;
            let (statistics, distinct) = of_numbers(&left, &right, *whole && *also);
            comparison.statistics = statistics;
            distinct
        }
        (Kind::Numerical, ..) => return Err(unfit()),
    };
    comparison.judge(distinct);
    Ok(comparison)
}

/// Integers beyond what floats hold exactly, on one side at least.
fn of_large(
    reference: &Values,
    current: &Values,
    kind: Option<Kind>,
) -> Result<Comparison, CompareError> {
    let kind = kind.unwrap_or_else(|| current.kind());
    let Some(it) = brought(reference, current, kind) else {
        let [left, right] = [reference, current].map(|it| it.clone().rounded());
        let note = "integers beyond 2^53, rounded to 64-bit floats like the other side".to_owned();
        let comparison = compare(&left, &right, Some(kind))?;
        return Ok(Comparison { note: Some(note), ..comparison });
    };
    let mut comparison = compare(&it.reference, &it.current, Some(kind))?;
    comparison.note = Some(it.note);
    comparison.judge(it.distinct);
    Ok(comparison)
}

fn not_empty(
    left: bool,
    reference: &Values,
    right: bool,
    current: &Values,
) -> Result<(), CompareError> {
    let empty = |side, values: &Values| Err(CompareError::Empty { side, rows: values.rows() });
    match (left, right) {
        (true, _) => empty("reference", reference),
        (_, true) => empty("current data", current),
        (false, false) => Ok(()),
    }
}

/// Every statistic of numbers, and how many different ones there are on both sides together.
/// `whole`: both sides are of integer types.
pub fn of_numbers(reference: &Sample, current: &Sample, whole: bool) -> (Statistics, usize) {
    let shares = Shares::of_samples(reference, current, whole);
    let both = Both::of(reference, current);
    let mut statistics = Statistics {
        psi: present(psi(&shares)),
        jensenshannon: present(jensen_shannon(&shares)),
        ks: present(both.ks.p),
        ks_statistic: present(both.ks.statistic),
        wasserstein: present(both.wasserstein),
        kl_div: present(kullback_leibler(&shares)),
        hellinger: present(hellinger_of_distinct(reference, current, (both.distinct, whole))),
        ..Statistics::default()
    };
    if both.distinct <= FEW_VALUES {
        let (left, right) = side_by_side(reference, current);
        counted(&mut statistics, &left, &right);
    }
    (statistics, both.distinct)
}

/// What one walk over the values of both sides tells. Which side comes next is what no processor can guess,
/// so there is another only where the values are few, to count each.
struct Both {
    /// Different values on both sides together.
    distinct: usize,
    ks: KolmogorovSmirnov,
    wasserstein: f64,
}

impl Both {
    fn of(reference: &Sample, current: &Sample) -> Both {
        if reference.is_empty() || current.is_empty() {
            let distinct = reference.distinct() + current.distinct();
            let ks = KolmogorovSmirnov { statistic: f64::NAN, p: f64::NAN };
            return Both { distinct, ks, wasserstein: f64::NAN };
        }
        let mut apart = Apart::new(reference.len() as u64, current.len() as u64);
        let (mut distinct, mut area) = (0, Area::new(reference, current));
        reference.walk(current, |value, i, j| {
            distinct += 1;
            apart.see(i, j);
            area.see(value, i, j);
        });
        Both { distinct, ks: apart.judged(), wasserstein: area.in_deviations(reference) }
    }
}

/// Every statistic of categories.
pub fn of_categories(reference: &Tally, current: &Tally) -> Statistics {
    let (left, right) = aligned(reference, current);
    let shares = Shares::of_counts(&left, &right);
    let mut statistics = Statistics {
        psi: present(psi(&shares)),
        jensenshannon: present(jensen_shannon(&shares)),
        kl_div: present(kullback_leibler(&shares)),
        hellinger: present(hellinger(&shares)),
        tvd_statistic: present(total_variation(&shares)),
        linf: present(largest_difference(&shares)),
        ..Statistics::default()
    };
    counted(&mut statistics, &left, &right);
    statistics
}

/// The tests of counts by value; the first value is the one whose share is not asked for.
pub(crate) fn counted(statistics: &mut Statistics, left: &[u64], right: &[u64]) {
    statistics.chisquare = present(chi_square(left, right));
    if left.len() <= 2 {
        let others = |counts: &[u64]| (counts[1..].iter().sum(), counts.iter().sum());
        statistics.z = present(two_proportions(others(left), others(right)));
    }
}
