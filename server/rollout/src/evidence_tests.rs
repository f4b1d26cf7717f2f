use proptest::prelude::*;

use super::*;

#[track_caller]
fn near(got: f64, expected: f64, tolerance: f64) {
    let allowed = tolerance * expected.abs().max(1.0);
    assert!((got - expected).abs() <= allowed, "{got} is not {expected}");
}

/// Made with mpmath 1.3, 40 digits, which shares nothing with the code under test: up to 10⁶ trials
/// by the closed form, with its own gamma and incomplete beta functions; beyond, where those do not
/// converge, and at 5001 of 10 000, by adaptive quadrature over the share, not its angle.
#[test]
fn shares_give_the_golden_numbers() {
    let golden = [
        (0, 1, 0.01, -0.753_151_645_489_117_4),
        (0, 1, 0.5, -1.012_305_533_877_253_7),
        (1, 1, 0.01, 3.977_489_790_537_675_6),
        (1, 1, 0.5, 0.492_633_000_406_600_5),
        (2, 2, 0.01, 8.295_400_280_485_103),
        (3, 10, 0.1, 0.328_816_020_830_048_7),
        (0, 100, 0.01, -3.664_836_581_030_429),
        (5, 100, 0.01, 1.655_654_252_227_783_3),
        (7, 1000, 0.01, -4.880_553_097_325_227),
        (24, 1000, 0.01, 3.495_003_116_798_913),
        (1000, 1000, 0.2, 1_605.761_339_569_192),
        (0, 1000, 0.999, -7.601_069_311_978_678),
        (990, 1000, 0.99, -1.667_399_765_369_434_4),
        (999, 1000, 0.99, 5.771_018_591_247_474),
        (100, 10_000, 0.01, -5.445_617_782_904_601),
        (130, 10_000, 0.01, -0.614_428_752_699_815_5),
        (5_001, 10_000, 0.5, -4.814_956_010_753),
        (10, 1_000_000, 0.0001, -10.250_045_156_367_273),
        (1_000_000, 1_000_000, 0.999_999, 0.708_074_840_179_247_8),
        (3, 1_000_000, 0.000_001, -5.891_861_069_298_691),
        (50_000, 1_000_000, 0.05, -7.671_167_416_060_24),
        (51_000, 1_000_000, 0.05, 3.481_921_067_199_94),
        (10_003_000, 1_000_000_000, 0.01, -10.253_573_703_233_792),
        (0, 1_000_000_000_000, 0.01, -26.412_298_507_731_435),
        (1, 1_000_000_000_000, 0.000_001, -21.867_358_900_189_483),
        (200, 1_000_000_000_000, 0.01, -26.412_298_487_731_437),
        (499_999_000_000, 1_000_000_000_000, 0.5, -15.131_339_063_731_192),
        (500_001_000_000, 1_000_000_000_000, 0.5, -11.371_167_639_376_909),
        (1_000_000_000_000, 1_000_000_000_000, 0.01, 4_605_170_185_973.769),
    ];
    for (k, n, p0, expected) in golden {
        near(log_e_above(k, n, p0), expected, 1e-9);
    }
}

/// mpmath, 30 digits, from the formula with τ² written out.
#[test]
fn means_give_the_golden_numbers() {
    let golden = [
        (100.0, 0.0, 1.0, -0.346_573_590_279_972_64),
        (100.0, 0.5, 1.0, 5.903_426_409_720_027),
        (674.0, 0.1, 1.0, 1.911_398_639_403_316_4),
        (219.0, -0.2, 1.0, 2.426_948_789_250_526),
        (1_000.0, 3.0, 100.0, 39.710_143_272_691_724),
        (1e12, 1e-5, 1.0, 38.487_074_529_979_77),
        (1e12, 0.0, 4.0, -11.512_925_465_020_228),
        (150.0, 1e-6, 1e-12, 44.541_854_634_062_92),
    ];
    for (n, distance, variance, expected) in golden {
        near(log_e_mean(distance, n, variance), expected, 1e-12);
    }
}

/// The defining property: over what the boundary of the null brings, the mean is one, at any n.
#[test]
fn e_values_are_one_on_average() {
    for p0 in [0.01, 0.1, 0.5, 0.9] {
        for n in [1_u64, 2, 7, 40] {
            let mut chance = (1.0_f64 - p0).powf(n as f64); // of k events
            let mut mean = 0.0;
            for k in 0..=n {
                mean += chance * log_e_above(k, n, p0).exp();
                chance *= (n - k) as f64 / (k + 1) as f64 * p0 / (1.0 - p0);
            }
            near(mean, 1.0, 1e-9);
        }
    }
}

#[test]
fn nothing_counted_is_no_evidence() {
    for p0 in [0.0, 1e-300, 0.01, 1.0, -1.0, 2.0, f64::NAN, f64::INFINITY] {
        near(log_e_above(0, 0, p0), 0.0, 0.0);
        near(log_e_below(0, 0, p0), 0.0, 0.0);
        near(log_e_mean(p0, 0.0, 1.0), 0.0, 0.0);
    }
    for p0 in [0.0, 1.0, -1.0, f64::NAN] {
        near(log_e_above(5, 10, p0), 0.0, 0.0);
    }
    for share in [0.0, 1.0, f64::NAN] {
        near(log_e_more_often(5, 10, share, 1.0), 0.0, 0.0);
    }
    near(log_e_mean(f64::NAN, 1e3, 1.0), 0.0, 0.0);
    near(log_e_mean(1.0, 1e3, f64::INFINITY), 0.0, 0.0);
    near(log_e_mean(1.0, f64::NAN, 1.0), 0.0, 0.0);
    near(log_mean(&[]), 0.0, 0.0);
}

#[test]
fn counters_at_their_end_are_still_numbers() {
    for (k, n) in [(0, u64::MAX), (1, u64::MAX), (u64::MAX / 2, u64::MAX), (u64::MAX, u64::MAX)] {
        for p0 in [f64::MIN_POSITIVE, 1e-9, 0.01, 0.5, 0.99, 1.0 - 1e-9] {
            let log_e = log_e_above(k, n, p0);
            assert!(log_e.is_finite(), "{k} of {n} against {p0}: {log_e}");
            assert_eq!(log_e > 0.0, k as f64 / n as f64 > p0, "{k} of {n} against {p0}");
        }
    }
    assert!(log_e_more_often(u64::MAX, u64::MAX, 0.5, 1.0) < 0.0, "as often");
    assert!(log_e_more_often(u64::MAX, u64::MAX, 0.4, 1.0) > 0.0, "more often");
    // A torn read: more errors than requests is every request.
    near(log_e_above(12, 10, 0.1), log_e_above(10, 10, 0.1), 0.0);
    assert!(log_e_mean(1e120, 1e18, 0.0).is_finite());
    assert!(log_e_mean(1.0, 100.0, 0.0) > 1e9, "a shift without any spread is certain");
}

#[test]
fn the_reverse_test_is_the_same_test() {
    near(log_e_below(1, 1_000, 0.01), log_e_above(999, 1_000, 0.99), 1e-9);
    // Half the traffic, and as often: the two sides are alike.
    near(log_e_less_often(30, 70, 0.5, 1.0), log_e_more_often(70, 30, 0.5, 1.0), 1e-12);
    // Fewer than 1.25 times as often: the stable errors' share is above 0.9 / (0.1 · 1.25 + 0.9).
    near(log_e_less_often(80, 920, 0.1, 1.25), log_e_above(920, 1_000, 0.9 / 1.025), 1e-9);
    assert!(log_e_less_often(1_000, 9_000, 0.05, 1.25) < 0.0, "twice as often");
    assert!(log_e_less_often(0, 2_000, 0.05, 1.25) > 3.0, "never");
}

#[test]
fn means_of_e_values_are_means() {
    near(log_mean(&[3.0_f64.ln(), 5.0_f64.ln()]), 4.0_f64.ln(), 1e-12);
    near(log_mean(&[4e12, 0.0]), 4e12 - 2.0_f64.ln(), 1e-15);
    near(log_mean(&[-4e12, -4e12]), -4e12, 1e-15);
}

proptest! {
    #[test]
    fn more_events_are_more_evidence(k in 0_u64..5_000, n in 1_u64..5_000, p0 in 1e-6_f64..0.999) {
        let k = k.min(n);
        let here = log_e_above(k, n, p0);
        let slack = 1e-9 * here.abs().max(1.0);
        prop_assert!(log_e_above(k + 1, n + 1, p0) >= here - slack);
        prop_assert!(log_e_above(k, n + 1, p0) <= here + slack);
        if k < n {
            prop_assert!(log_e_above(k + 1, n, p0) >= here - slack);
        }
    }

    /// The e-value is a martingale at the boundary: the next trial changes nothing on average.
    #[test]
    fn the_next_trial_is_fair(k in 0_u64..100_000, n in 1_u64..100_000, p0 in 1e-4_f64..0.999) {
        let k = k.min(n);
        let here = log_e_above(k, n, p0);
        let event = (log_e_above(k + 1, n + 1, p0) - here).exp();
        let miss = (log_e_above(k, n + 1, p0) - here).exp();
        let mean = p0 * event + (1.0 - p0) * miss;
        prop_assert!((mean - 1.0).abs() < 1e-7, "{mean}");
    }

    #[test]
    fn a_further_mean_is_more_evidence(d in 0.0_f64..10.0, more in 0.0_f64..1.0, n in 1.0_f64..1e9) {
        prop_assert!(log_e_mean(d + more, n, 1.0) >= log_e_mean(d, n, 1.0) - 1e-9);
        prop_assert!((log_e_mean(-d, n, 1.0) - log_e_mean(d, n, 1.0)).abs() < 1e-9);
    }
}
