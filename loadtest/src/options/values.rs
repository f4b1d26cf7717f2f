//! Values of options that have a form of their own.

use std::fmt;
use std::time::Duration;

use crate::limits::PHASES_MAX;

/// An address with the name that its results get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedAddress {
    pub(crate) name: String,
    pub(crate) address: String,
}

/// `here=grpc://127.0.0.1:8001`
pub(super) fn named_address(text: &str) -> Result<NamedAddress, String> {
    match text.split_once('=') {
        Some((name, address)) if !name.is_empty() && !address.is_empty() => {
            Ok(NamedAddress { name: name.to_owned(), address: address.to_owned() })
        }
        _ => Err("expected NAME=ADDRESS".to_owned()),
    }
}

/// `bert=3`
pub(super) fn weight(text: &str) -> Result<(String, f64), String> {
    let (name, weight) = text.rsplit_once('=').ok_or("expected NAME=WEIGHT")?;
    Ok((name.to_owned(), weight.parse().map_err(|_| format!("{weight:?} is not a weight"))?))
}

/// From one rate to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) from: f64,
    pub(crate) to: f64,
}

/// A span in equal steps, both ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Steps {
    pub(crate) span: Span,
    pub(crate) count: u32,
}

impl fmt::Display for Steps {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} to {} /s in {} steps", self.span.from, self.span.to, self.count)
    }
}

/// `100..1000`
pub(super) fn span(text: &str) -> Result<Span, String> {
    let (from, to) = text.split_once("..").ok_or("expected FROM..TO")?;
    let rate = |it: &str| it.parse().map_err(|_| format!("{it:?} is not a rate"));
    Ok(Span { from: rate(from)?, to: rate(to)? })
}

/// `100..1000/10`
pub(super) fn steps(text: &str) -> Result<Steps, String> {
    let (ends, count) = text.rsplit_once('/').ok_or("expected FROM..TO/STEPS")?;
    let count = count.parse().ok().filter(|&it| (2..=PHASES_MAX).contains(&(it as usize)));
    let count = count.ok_or(format!("expected 2 to {PHASES_MAX} steps"))?;
    Ok(Steps { span: span(ends)?, count })
}

/// Length of an axis, or the lengths from which each request draws its own; both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lengths {
    pub(crate) from: usize,
    pub(crate) to: usize,
}

impl Lengths {
    /// The one at this part of the way, from 0.0 to less than 1.0.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of the way is no longer than the way"
    )]
    pub(crate) fn at(self, part: f64) -> usize {
        let way = self.to.saturating_sub(self.from);
        self.from + ((way as f64 + 1.0) * part) as usize
    }
}

/// `input=128`, `input=16..128`
pub(super) fn axis(text: &str) -> Result<(String, Lengths), String> {
    let (name, lengths) = text.split_once('=').ok_or("expected INPUT=LENGTH")?;
    let (from, to) = lengths.split_once("..").unwrap_or((lengths, lengths));
    let length = |it: &str| it.parse().map_err(|_| format!("{it:?} is not a length"));
    let lengths = Lengths { from: length(from)?, to: length(to)? };
    if lengths.from > lengths.to {
        return Err(format!("{from}..{to} is empty, expected LOW..HIGH"));
    }
    Ok((name.to_owned(), lengths))
}

/// `input=1x128`
pub(super) fn shape(text: &str) -> Result<(String, Vec<usize>), String> {
    let (name, axes) = text.split_once('=').ok_or("expected INPUT=1x128")?;
    let axis = |it: &str| it.parse().map_err(|_| format!("{it:?} is not a length"));
    Ok((name.to_owned(), axes.split('x').map(axis).collect::<Result<_, _>>()?))
}

/// `500ms`, `10s`, `1.5s`, `2m`; `250us`
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|it: char| it.is_ascii_alphabetic());
    let scale_s = match &text[digits.len()..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        unit => return Err(format!("unit {unit:?}, expected us, ms, s, m or h")),
    };
    let value: f64 = digits.parse().map_err(|_| format!("{digits:?} is not a number"))?;
    Duration::try_from_secs_f64(value * scale_s).map_err(|error| error.to_string())
}
