//! Are two numbers, or all statistics of a column, the same?

use server_drift::Statistics;

pub(crate) fn near(name: &str, got: Option<f64>, expect: Option<f64>, within: f64) {
    assert_eq!(got.is_some(), expect.is_some(), "{name}: {got:?} instead of {expect:?}");
    let apart = got.zip(expect).map_or(0.0, |(a, b)| (a - b).abs());
    assert!(apart <= within, "{name}: {got:?} instead of {expect:?}, {within} allowed");
}

/// So much of each number may be wrong, and of one where the number is smaller.
pub(crate) fn same(name: &str, got: &Statistics, expect: &Statistics, within: f64) {
    for (what, got, expect) in [
        ("psi", got.psi, expect.psi),
        ("jensenshannon", got.jensenshannon, expect.jensenshannon),
        ("ks", got.ks, expect.ks),
        ("ks_statistic", got.ks_statistic, expect.ks_statistic),
        ("wasserstein", got.wasserstein, expect.wasserstein),
        ("chisquare", got.chisquare, expect.chisquare),
        ("z", got.z, expect.z),
        ("kl_div", got.kl_div, expect.kl_div),
        ("hellinger", got.hellinger, expect.hellinger),
        ("tvd_statistic", got.tvd_statistic, expect.tvd_statistic),
        ("linf", got.linf, expect.linf),
    ] {
        let of = expect.map_or(1.0, |it| it.abs().max(1.0));
        near(&format!("{name}, {what}"), got, expect, within * of);
    }
}
