//! Between which two rates a limit lies: first found by strides, then halved.
//!
//! Used by `search`. Pure: rates and verdicts in, the next rate out.

use crate::limits::RATES_PER_S;

/// Where to begin when nothing is known.
const BEGIN_PER_S: f64 = 1000.0;

/// How far a stride goes while only one side of the limit is known.
const STRIDE: f64 = 4.0;

/// Invariant: `least <= good < bad <= most`, as far as they are known.
#[derive(Clone, Debug)]
pub(crate) struct Bracket {
    least: f64,
    most: f64,
    begin: f64,
    /// Stop when `bad / good` is at most this.
    close: f64,
    good: Option<f64>,
    bad: Option<f64>,
}

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    /// The limit is between a good rate and a bad one.
    Inside,
    /// Even the highest rate was good.
    Above,
    /// Even the lowest rate was bad.
    Below,
}

impl Bracket {
    /// `precision` is a share of the rate: 0.02 stops within 2 %.
    pub(crate) fn new(from: Option<f64>, to: Option<f64>, precision: f64) -> Bracket {
        let least = from.unwrap_or(*RATES_PER_S.start());
        let most = to.unwrap_or(*RATES_PER_S.end());
        let begin = from.unwrap_or(BEGIN_PER_S).clamp(least, most);
        Bracket { least, most, begin, close: 1.0 + precision, good: None, bad: None }
    }

    /// The rate to try next, or how the search ended.
    pub(crate) fn next(&self) -> Result<f64, Edge> {
        match (self.good, self.bad) {
            (None, None) => Ok(self.begin),
            (Some(good), None) if good >= self.most => Err(Edge::Above),
            (Some(good), None) => Ok(four_digits(good * STRIDE).min(self.most)),
            (None, Some(bad)) if bad <= self.least => Err(Edge::Below),
            (None, Some(bad)) => Ok(four_digits(bad / STRIDE).max(self.least)),
            (Some(good), Some(bad)) if bad <= good * self.close => Err(Edge::Inside),
            (Some(good), Some(bad)) => {
                let middle = four_digits((good * bad).sqrt());
                // Rounding must not put the middle on an end, or the search would not end.
                if middle > good && middle < bad { Ok(middle) } else { Err(Edge::Inside) }
            }
        }
    }

    pub(crate) fn record(&mut self, rate_per_s: f64, good: bool) {
        *(if good { &mut self.good } else { &mut self.bad }) = Some(rate_per_s);
    }
}

/// As many digits as a rate can be told by.
fn four_digits(rate: f64) -> f64 {
    let unit = 10_f64.powf(rate.log10().floor() - 3.0);
    (rate / unit).round() * unit
}
