//! The rate of an open loop over time: straight segments, one after the other.
//!
//! Made by `pace`; followed by `arrivals`. Pure.

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Segment {
    pub(crate) seconds: f64,
    /// The rate at its beginning and at its end; not negative.
    pub(crate) from_per_s: f64,
    pub(crate) to_per_s: f64,
}

/// Segments; the last rate lasts on. Invariant: at least one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Profile {
    segments: Vec<Segment>,
}

/// How far a profile was followed. Goes forward only.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    segment: usize,
    /// What came before that segment: arrivals to be expected, and seconds.
    count: f64,
    seconds: f64,
}

impl Segment {
    pub(crate) fn flat(seconds: f64, per_s: f64) -> Segment {
        Segment { seconds, from_per_s: per_s, to_per_s: per_s }
    }

    fn arrivals(&self) -> f64 {
        f64::midpoint(self.from_per_s, self.to_per_s) * self.seconds
    }

    /// When `count` arrivals are to be expected: the solution of `from t + slope t² / 2 = count`, in
    /// the form that loses no digits to a small slope.
    fn time_of(&self, count: f64) -> f64 {
        let slope = (self.to_per_s - self.from_per_s) / self.seconds;
        let root = (self.from_per_s * self.from_per_s + 2.0 * slope * count).max(0.0).sqrt();
        2.0 * count / (self.from_per_s + root)
    }
}

impl Profile {
    pub(crate) fn new(segments: Vec<Segment>) -> Profile {
        assert!(!segments.is_empty(), "a profile has a segment");
        Profile { segments }
    }

    pub(crate) fn constant(per_s: f64) -> Profile {
        // Any length: the last rate lasts on.
        Profile::new(vec![Segment::flat(1.0, per_s)])
    }

    /// `warmup` at the first rate, then the profile.
    pub(crate) fn after(mut self, warmup: Duration) -> Profile {
        if !warmup.is_zero() {
            let first = Segment::flat(warmup.as_secs_f64(), self.segments[0].from_per_s);
            self.segments.insert(0, first);
        }
        self
    }

    /// When `count` arrivals are to be expected, from `place` on; `None`: never.
    pub(crate) fn time_of(&self, place: &mut Place, count: f64) -> Option<f64> {
        while let Some(segment) = self.segments.get(place.segment) {
            let within = count - place.count;
            if within <= 0.0 {
                return Some(place.seconds);
            }
            let arrivals = segment.arrivals();
            if within <= arrivals {
                return Some(place.seconds + segment.time_of(within));
            }
            *place = Place {
                segment: place.segment + 1,
                count: place.count + arrivals,
                seconds: place.seconds + segment.seconds,
            };
        }
        let last = self.segments.last().map_or(0.0, |it| it.to_per_s);
        (last > 0.0).then(|| place.seconds + (count - place.count) / last)
    }
}
