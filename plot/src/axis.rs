//! A scale from values to pixels, and the round numbers to label on it.

/// How many labels an axis has room for.
const LABELS_MAX: f64 = 7.0;

/// A logarithmic scale of ms begins at 1 µs or above.
const LEAST: f64 = 1e-3;

/// A scale becomes logarithmic when its end is so many times what is typical.
pub const STEEP: f64 = 8.0;

/// A scale. Invariant: `to > from`, and `from > 0` on a logarithmic scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    from: f64,
    to: f64,
    from_px: f64,
    to_px: f64,
    logarithmic: bool,
}

/// A label and the value that it stands at.
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Where it stands on the scale.
    pub value: f64,
    /// What is written there.
    pub label: String,
}

impl Axis {
    /// From one value to another, at these pixels.
    pub fn linear(values: (f64, f64), pixels: (f64, f64)) -> Axis {
        let (from, to) = values;
        let to = if to > from { to } else { from + 1.0 };
        Axis { from, to, from_px: pixels.0, to_px: pixels.1, logarithmic: false }
    }

    /// Widens the range to 1, 2 or 5 times a power of ten at both ends.
    pub fn logarithmic(values: (f64, f64), pixels: (f64, f64)) -> Axis {
        let from = round_down(values.0.max(LEAST));
        let to = round_step(values.1.max(from * 2.0));
        Axis { from, to, from_px: pixels.0, to_px: pixels.1, logarithmic: true }
    }

    /// Values beyond the ends are drawn at the ends.
    pub fn pixel(&self, value: f64) -> f64 {
        let value = value.clamp(self.from, self.to);
        let part = if self.logarithmic {
            (value / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        self.from_px + part * (self.to_px - self.from_px)
    }

    /// Round numbers, as many as there is room for.
    pub fn ticks(&self) -> Vec<Tick> {
        let mut ticks = Vec::new();
        if self.logarithmic {
            let mut value = self.from;
            while value <= self.to * 1.001 {
                let decimals = decimals(value);
                ticks.push(Tick { value, label: format!("{value:.decimals$}") });
                value = round_step(value * 1.001);
            }
            return ticks;
        }
        let step = round_step((self.to - self.from) / LABELS_MAX);
        let decimals = decimals(step);
        let mut count = (self.from / step).ceil();
        while count * step <= self.to + step * 1e-6 {
            let value = count * step;
            ticks.push(Tick { value, label: format!("{value:.decimals$}") });
            count += 1.0;
        }
        ticks
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is at least `step`.
pub fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= step * 0.999_999);
    digit.unwrap_or(10.0) * power
}

/// The largest of 1, 2, 5 times a power of ten that is at most `value`.
fn round_down(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let digit = [5.0, 2.0].into_iter().find(|digit| digit * power <= value * 1.000_001);
    digit.unwrap_or(1.0) * power
}

/// Decimals that a step needs: 0 for 20, 1 for 0.5, 3 for 0.002.
fn decimals(step: f64) -> usize {
    let mut decimals = 0;
    let mut scaled = step;
    while scaled < 0.999_999 && decimals < 6 {
        scaled *= 10.0;
        decimals += 1;
    }
    decimals
}

#[cfg(test)]
#[path = "axis_tests.rs"]
mod tests;
