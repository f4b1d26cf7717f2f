//! How a model's requests are shared out among its versions, when they name none.
//!
//! A request falls on a point of a line: by chance or, if its caller is to stay with one version,
//! by a key that it brings. Each version has a stretch of the line as long as its weight. The newest begins at
//! the line's start, so that one whose weight grows keeps the callers that it has; and the point
//! depends on nothing but model and key, so that all replicas agree on it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use server_base::{Drawn, ModelName, Version};

/// The odd number next to 2⁶⁴ divided by the golden ratio: steps of it visit all 64-bit numbers.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a caller says beside the request, as far as routing looks at it.
pub trait Caller {
    /// The value of the header of that name, which is in lower case; the first, if there are more.
    fn header(&self, name: &str) -> Option<&[u8]>;

    /// The same of several, for whom one look at all headers is less than one for each name.
    fn headers(&self, names: [&str; 3]) -> [Option<&[u8]>; 3] {
        names.map(|it| self.header(it))
    }

    /// The value of the request's own parameter of that name.
    fn parameter(&self, name: &str) -> Parameter<'_>;
}

/// What a request says in its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter<'a> {
    /// Nothing under that name, or nothing that could be a key.
    None,
    /// It has not been read yet.
    Unread,
    /// A text, or the digits of a whole number.
    Text(Cow<'a, str>),
}

/// By what callers stay with a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sticky {
    /// The value of a header; its name in lower case.
    Header(Box<str>),
    /// The value of a parameter of the request.
    Parameter(Box<str>),
}

/// A model's shares.
#[derive(Debug)]
pub struct Traffic {
    /// Newest first.
    arms: Box<[(Version, u64)]>,
    total: u64,
    sticky: Option<Sticky>,
    salt: u64,
    /// Whose shares these are, if a rollout's.
    rollout: Option<Arc<str>>,
    /// Requests without a key, as it were.
    turn: AtomicU64,
}

impl Traffic {
    /// Weights are relative to their sum. `None`: nobody has any weight.
    pub fn new(
        model: &ModelName,
        weights: &BTreeMap<Version, u32>,
        sticky: Option<&Sticky>,
    ) -> Option<Traffic> {
        let weighty = weights.iter().rev().filter(|(_, weight)| **weight > 0);
        let arms: Box<[_]> = weighty.map(|(it, weight)| (*it, u64::from(*weight))).collect();
        let total = arms.iter().map(|(_, weight)| weight).sum();
        let turn = AtomicU64::new(RandomState::new().build_hasher().finish());
        let (sticky, salt) = (sticky.cloned(), fnv(FNV_BASIS, model.as_str().as_bytes()));
        let rollout = None;
        (total > 0).then_some(Traffic { arms, total, sticky, salt, rollout, turn })
    }

    /// The same, and the log says whose shares they are.
    pub fn of_rollout(self, rollout: Option<Arc<str>>) -> Traffic {
        Traffic { rollout, ..self }
    }

    /// Where the caller's request falls; `None`: that cannot be said before its parameters are read.
    pub(crate) fn point(&self, caller: &dyn Caller) -> Option<u64> {
        let key = match &self.sticky {
            None => None,
            Some(Sticky::Header(name)) => caller.header(name).map(Cow::Borrowed),
            Some(Sticky::Parameter(name)) => match caller.parameter(name) {
                Parameter::None => None,
                Parameter::Unread => return None,
                Parameter::Text(Cow::Borrowed(it)) => Some(Cow::Borrowed(it.as_bytes())),
                Parameter::Text(Cow::Owned(it)) => Some(Cow::Owned(it.into_bytes())),
            },
        };
        Some(mixed(match key {
            // Between the model's name and the key stands a byte that no name holds.
            Some(key) => fnv(fnv(self.salt, &[0]), &key),
            None => self.turn.fetch_add(STEP, Ordering::Relaxed),
        }))
    }

    /// Whose stretch that is.
    pub(crate) fn at(&self, point: u64) -> Option<Version> {
        let place = (u128::from(point) * u128::from(self.total)) >> 64;
        let mut end = 0;
        let ends = self.arms.iter().map(|(version, weight)| {
            end += weight;
            (version, end)
        });
        ends.into_iter().find(|(_, end)| place < u128::from(*end)).map(|(version, _)| *version)
    }

    pub(crate) fn sticky(&self) -> Option<&Sticky> {
        self.sticky.as_ref()
    }

    /// How likely it was that a request came to that version.
    pub(crate) fn drawn(&self, version: Version) -> Drawn {
        let arm = self.arms.iter().find(|(it, _)| *it == version);
        let weight = arm.map_or(0.0, |(_, weight)| *weight as f64 / self.total as f64);
        #[expect(clippy::cast_possible_truncation, reason = "weights have seven digits at most")]
        Drawn { weight: weight as f32, rollout: self.rollout.clone() }
    }

    /// Versions with a weight, and what part of the line they have.
    pub(crate) fn shares(&self) -> impl Iterator<Item = (Version, f64)> {
        self.arms.iter().map(|(it, weight)| (*it, *weight as f64 / self.total as f64))
    }

    /// Versions with a weight, the heaviest first.
    pub(crate) fn by_weight(&self) -> impl Iterator<Item = Version> {
        let mut arms = self.arms.to_vec();
        arms.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
        arms.into_iter().map(|(version, _)| version)
    }
}

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// Goes on hashing. # Source: Fowler, Noll, Vo, FNV-1a of 64 bits: the same on every machine.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// Spreads what differs in few bits over all of them. # Source: Steele, Lea, Flood, "Fast splittable
/// pseudorandom number generators", 2014, the finalizer of SplitMix64.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Says(Option<String>);

    impl Caller for Says {
        fn header(&self, name: &str) -> Option<&[u8]> {
            assert_eq!(name, "x-user");
            self.0.as_deref().map(str::as_bytes)
        }

        fn parameter(&self, name: &str) -> Parameter<'_> {
            assert_eq!(name, "session");
            self.0.as_deref().map_or(Parameter::None, |it| Parameter::Text(it.into()))
        }
    }

    /// Its parameters are still on their way.
    struct Coming;

    impl Caller for Coming {
        fn header(&self, _name: &str) -> Option<&[u8]> {
            None
        }

        fn parameter(&self, _name: &str) -> Parameter<'_> {
            Parameter::Unread
        }
    }

    /// Weights as words `version:weight`.
    fn traffic(weights: &str) -> Option<Traffic> {
        traffic_by(weights, Sticky::Header("x-user".into()))
    }

    fn traffic_by(weights: &str, sticky: Sticky) -> Option<Traffic> {
        let weights = weights.split_whitespace().map(|it| {
            let (version, weight) = it.split_once(':').expect("version:weight");
            (Version::parse(version).expect("a version"), weight.parse().expect("a weight"))
        });
        let model = ModelName::new("m").expect("a name");
        Traffic::new(&model, &weights.collect(), Some(&sticky))
    }

    fn point(traffic: &Traffic, caller: &Says) -> u64 {
        traffic.point(caller).expect("its parameters are there")
    }

    fn user(number: usize) -> Says {
        Says(Some(format!("user-{number}")))
    }

    /// Of 40,000 requests, the share that each version gets, in percent; within six standard deviations.
    #[track_caller]
    fn check(weights: &str, expect: &[(u64, f64)]) {
        let traffic = traffic(weights).expect("weights");
        for caller in [|_| Says(None), user] {
            let mut counts = BTreeMap::new();
            for number in 0..40_000 {
                let point = point(&traffic, &caller(number));
                let version = traffic.at(point).expect("a version");
                *counts.entry(version.0).or_insert(0_u32) += 1;
            }
            assert_eq!(counts.len(), expect.len(), "{weights}");
            for (version, percent) in expect {
                let got = f64::from(counts[version]) / 400.0;
                assert!((got - percent).abs() < 1.5, "{weights}: version {version} got {got} %");
            }
        }
    }

    #[test]
    fn requests_are_shared_out_by_weight() {
        check("1:90 2:10", &[(1, 90.0), (2, 10.0)]);
        check("1:1 2:1 7:2", &[(1, 25.0), (2, 25.0), (7, 50.0)]);
        check("1:0 2:5", &[(2, 100.0)]);
        check("1:4294967295 2:4294967295", &[(1, 50.0), (2, 50.0)]);
    }

    #[test]
    fn nobody_without_weight() {
        assert!(traffic("1:0 2:0").is_none() && traffic("").is_none());
    }

    #[test]
    fn who_is_with_the_newest_stays_while_its_weight_grows() {
        let steps = ["1:99 2:1", "1:95 2:5", "1:75 2:25", "1:50 2:50", "1:0 2:100"];
        let steps = steps.map(|it| traffic(it).expect("weights"));
        for number in 0..2_000 {
            let point = steps.each_ref().map(|it| point(it, &user(number)));
            assert!(point.iter().all(|it| *it == point[0]), "one caller, one point");
            let versions = steps.each_ref().map(|it| it.at(point[0]).expect("a version"));
            assert!(versions.is_sorted(), "user-{number}: {versions:?}");
        }
    }

    #[test]
    fn every_point_is_somebodys() {
        let traffic = traffic("1:3 2:7 3:1").expect("weights");
        for point in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            assert!(traffic.at(point).is_some(), "{point}");
        }
        assert_eq!(traffic.by_weight().map(|it| it.0).collect::<Vec<_>>(), [2, 1, 3]);
    }

    #[test]
    fn points_are_the_same_on_every_machine() {
        let traffic = traffic("1:1").expect("weights");
        assert_eq!(fnv(FNV_BASIS, b"a"), 0xaf63_dc4c_8601_ec8c, "of FNV's own list");
        assert_eq!(traffic.point(&user(1)), Some(0x4b7e_ce53_8146_0334));
    }

    #[test]
    fn a_parameter_is_as_good_a_key_as_a_header() {
        let traffic = traffic_by("1:1", Sticky::Parameter("session".into())).expect("weights");
        assert_eq!(traffic.point(&user(1)), Some(0x4b7e_ce53_8146_0334), "the same key");
        assert_ne!(traffic.point(&Says(None)), traffic.point(&Says(None)), "by chance");
        assert_eq!(traffic.point(&Coming), None, "it is not known yet");
    }
}
