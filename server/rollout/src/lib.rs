//! Decides whether a new version of a model takes over from the one that serves.
//!
//! The modules stand in the order of a decision: what is counted, what counts prove, what the
//! operator asked for, what has been found, where the rollout stands and what is done next.
//! Everything is a pure function of counts and a time that is handed in: no clock, no traffic, no
//! model. A driver brings an [`Observation`] now and then to [`Rollout::step`] and does the
//! [`Action`]s that come back.
//!
//! # What is tested
//!
//! Counts are looked at again and again, as often as one likes, so ordinary tests, which are good
//! for one look, would roll back many a good candidate. Here evidence is an *e-value*: a number
//! that is 1 on average, at every time, if the candidate is no worse. By Ville's inequality it
//! ever reaches `1/α` with a probability of at most α. All are kept as logarithms.
//!
//! | question | events | e-value |
//! |---|---|---|
//! | does it err more than `r` times as often? | of all errors, those of the candidate | share above `π₀ = wr/(wr+1−w)`, with `w` its share of requests |
//! | is it slower? | answers above the limit | share above 1 %, *and* more often than the stable version |
//! | does it answer otherwise? | shadow rows whose label flips | share above the allowed one |
//! | are its outputs shifted, is its loss greater? | differences | mixture of means |
//! | are classes more or less frequent? | differences of shares, class by class | mean of those |
//! | is it good enough to take over? | as the first two | the same tests the other way round |
//!
//! - **Share** ([`evidence::log_e_above`]): `E = ∫ (p/p₀)ᵏ ((1−p)/(1−p₀))ⁿ⁻ᵏ dπ(p)`, `π` the
//!   Beta(½, ½) prior cut to `(p₀, 1)`. In closed form, with `I` the regularised incomplete beta
//!   function, `ln E = ln B(½+k, ½+n−k) − ln B(½, ½) + ln(1 − I(½+k, ½+n−k; p₀)) −
//!   ln(1 − I(½, ½; p₀)) − k ln p₀ − (n−k) ln(1−p₀)`.
//! - **Mean** ([`evidence::log_e_mean`]): `Λ = √(V/(V+nτ²)) · exp(n²τ²d²/(2V(V+nτ²)))`, `d` the
//!   distance of the mean from what is allowed, `V` the variance seen so far, `τ² = V/100`. It
//!   counts from 100 rows on, since the variance is an estimate.
//!   Losses are from 0 to 1, so their variance is soon known well; those of each step are a test of
//!   their own, as what depends on the split.
//! - **Several guards** share α evenly. Nothing is shared between the tests that promotion needs:
//!   all of them must hold.
//! - **Steps** ([`Stakes`]): each has its own split, so its own e-value; they are multiplied, from
//!   each step on that may have been the first bad one.
//!
//! # Sources
//!
//! Ville, "Étude critique de la notion de collectif", 1939. Robbins, "Statistical methods related
//! to the law of the iterated logarithm", 1970 (mixtures). Howard, Ramdas, McAuliffe, Sekhon,
//! "Time-uniform, nonparametric, nonasymptotic confidence sequences", 2021 (the beta-binomial
//! mixture). Przyborowski and Wilenski, "Homogeneity of results in testing samples from Poisson
//! series", 1940 (the comparison given the sum). Johari, Koomen, Pekelis, Walsh, "Always valid
//! inference: continuous monitoring of A/B tests", 2022 (the mixture of means). Vovk and Wang,
//! "E-values: calibration, combination and applications", 2021 (averages and products). Berger,
//! "Multiparameter hypothesis testing and acceptance sampling", 1982 (all tests must hold).

#![forbid(unsafe_code)]

mod moment;
mod weight;
mod moments;
mod counts;
pub mod evidence;
mod loss;
mod stakes;
mod raw;
mod plan;
mod ledger;
mod finding;
mod guards;
mod state;
mod observation;
mod record;
mod subject;
mod rollout;
mod commands;
#[cfg(test)]
mod house;
#[cfg(test)]
mod random;
#[cfg(test)]
mod delay_tests;
#[cfg(test)]
mod labels_tests;
#[cfg(test)]
mod simulation_tests;

pub use commands::{Command, Refused};
pub use counts::{Arm, CLASSES, Counts, Labels, Pairs};
pub use finding::{Finding, Guard, Question};
pub use moment::Moment;
pub use moments::Moments;
pub use observation::{Action, Observation, Readiness};
pub use plan::Plan;
pub use raw::{PlanFaults, RawPlan};
pub use record::{Cause, Evidence, Verdict};
pub use rollout::Rollout;
pub use stakes::Stakes;
pub use state::{Fault, Hold, Phase, State};
pub use subject::{Subject, SubjectError};
pub use weight::{Weight, WeightError};
