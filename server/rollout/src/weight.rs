//! A share of the requests.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A share in hundredths of a percent. Invariant: at most 10 000.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Weight(u16);

/// Why a text is no share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a percentage from 0 to 100 with at most two decimals")]
pub struct WeightError(String);

impl Weight {
    /// No request.
    pub const NONE: Weight = Weight(0);

    /// Every request.
    pub const ALL: Weight = Weight(10_000);

    /// From a percentage: `5`, `0.5`, `12.25 %`.
    pub fn parse(text: &str) -> Result<Weight, WeightError> {
        let refused = || WeightError(text.chars().take(32).collect());
        let number = text.trim();
        let number = number.strip_suffix('%').unwrap_or(number).trim_end();
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let digits = |it: &str| it.bytes().all(|it| it.is_ascii_digit());
        // Longer ones would not fit the numbers below.
        if whole.is_empty() || whole.len() > 3 || part.len() > 2 || !digits(whole) || !digits(part)
        {
            return Err(refused());
        }
        let hundredths = format!("{whole}{part:0<2}").parse::<u32>().map_err(|_| refused())?;
        let hundredths = u16::try_from(hundredths).map_err(|_| refused())?;
        let weight = Weight(hundredths);
        if weight > Weight::ALL { Err(refused()) } else { Ok(weight) }
    }

    /// Hundredths of a percent: basis points.
    pub fn basis_points(self) -> u16 {
        self.0
    }

    /// From 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.0) / f64::from(Weight::ALL.0)
    }

    /// As a number of percent, without the sign: what [`Weight::parse`] reads.
    fn percent(self) -> String {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        let text = format!("{whole}.{part:02}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} %", self.percent())
    }
}

impl TryFrom<String> for Weight {
    type Error = WeightError;

    fn try_from(text: String) -> Result<Weight, WeightError> {
        Weight::parse(&text)
    }
}

impl From<Weight> for String {
    fn from(weight: Weight) -> String {
        weight.percent()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_read_and_shown() {
        let cases = [
            ("0", "0 %"),
            ("5", "5 %"),
            (" 12.5 % ", "12.5 %"),
            ("0.01", "0.01 %"),
            ("100", "100 %"),
            ("100.00", "100 %"),
            ("010", "10 %"),
        ];
        for (text, shown) in cases {
            let weight = Weight::parse(text).expect(text);
            assert_eq!(weight.to_string(), shown, "{text:?}");
            assert_eq!(Weight::parse(&String::from(weight)), Ok(weight), "{text:?} again");
        }
    }

    #[test]
    fn what_is_no_percentage_is_named() {
        for text in
            ["", "x", "-1", "+1", "101", "100.01", "1e1", "0.001", ".5", "1,5", "999", "NaN", "5 5"]
        {
            let error = Weight::parse(text).expect_err(text).to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }
}
