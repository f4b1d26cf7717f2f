use super::*;

use crate::fixture::{target, uri};

/// What settings come to if `source` and the labels that are given name these versions; `canary` and
/// `stable` have addresses.
#[track_caller]
fn check(settings: &str, source: u64, named: &[(&str, u64)], expect: &str) {
    let labels = [
        ("canary".to_owned(), uri("mlflow://h/wine@challenger")),
        ("stable".to_owned(), uri("mlflow://h/wine@champion")),
    ];
    let target = Target {
        labels: labels.into(),
        settings: settings.parse().expect("TOML"),
        ..target("wine", uri("mlflow://h/wine@champion"))
    };
    let named = named.iter().map(|(name, it)| ((*name).to_owned(), Version(*it))).collect();
    let expect: Table = expect.parse().expect("TOML");
    assert_eq!(model_toml(&target, (Version(source), None), &named, None), expect, "{settings}");
    let fallback = model_toml(&target, (Version(source), Some(Version(1))), &named, None);
    assert_eq!(fallback.get("fallback_version"), Some(&Value::Integer(1)), "{settings}");
}

#[test]
fn what_is_named_is_wanted_and_has_its_label() {
    check("max_batch_size = 4", 3, &[], "max_batch_size = 4\nversion_policy.specific = [3]");
    check(
        "[labels]\nold = 1",
        3,
        &[("canary", 4), ("stable", 3)],
        "version_policy.specific = [3, 4]\ntraffic.weights = { 3 = 1 }\n\
         labels = { old = 1, canary = 4, stable = 3 }",
    );
}

#[test]
fn shares_follow_the_labels() {
    let share = "traffic = { weights = { stable = 90, canary = 10 }, sticky = 'x-user' }";
    check(
        share,
        3,
        &[("canary", 4), ("stable", 3)],
        "version_policy.specific = [3, 4]\nlabels = { canary = 4, stable = 3 }\n\
         traffic = { weights = { 3 = 90, 4 = 10 }, sticky = 'x-user' }",
    );
    // The challenger has become the champion.
    check(
        share,
        4,
        &[("canary", 4), ("stable", 4)],
        "version_policy.specific = [4]\nlabels = { canary = 4, stable = 4 }\n\
         traffic = { weights = { 4 = 100 }, sticky = 'x-user' }",
    );
    // There is no challenger yet.
    check(
        share,
        3,
        &[("stable", 3)],
        "version_policy.specific = [3]\nlabels = { stable = 3 }\n\
         traffic = { weights = { 3 = 90 }, sticky = 'x-user' }",
    );
}

#[test]
fn copies_follow_the_labels() {
    let shadow =
        "traffic = { weights = { stable = 1 }, shadow = { version = 'canary', percent = 5 } }";
    check(
        shadow,
        3,
        &[("canary", 4), ("stable", 3)],
        "version_policy.specific = [3, 4]\nlabels = { canary = 4, stable = 3 }\n\
         traffic = { weights = { 3 = 1 }, shadow = { version = '4', percent = 5 } }",
    );
    // The challenger has become the champion: there is nobody to compare it with.
    check(
        shadow,
        4,
        &[("canary", 4), ("stable", 4)],
        "version_policy.specific = [4]\nlabels = { canary = 4, stable = 4 }\n\
         traffic = { weights = { 4 = 1 } }",
    );
    // There is no challenger yet.
    check(
        shadow,
        3,
        &[("stable", 3)],
        "version_policy.specific = [3]\nlabels = { stable = 3 }\ntraffic = { weights = { 3 = 1 } }",
    );
    let fault = "traffic = { weights = { 3 = 1 }, shadow = { version = 'nobody' } }";
    check(fault, 3, &[], &format!("{fault}\nversion_policy.specific = [3]"));
}

#[test]
fn somebody_always_answers() {
    let none = "version_policy.specific = [3]\ntraffic.weights = { 3 = 1 }";
    check("traffic.weights = { canary = 10 }", 3, &[], none);
    check("traffic.weights = { 2 = 10 }", 3, &[], none);
}

#[test]
fn faults_are_left_to_the_reader_of_the_file() {
    for fault in ["traffic.weights = { nobody = 1 }", "traffic = { sticky = 'x' }"] {
        check(fault, 3, &[], &format!("{fault}\nversion_policy.specific = [3]"));
    }
}

/// What settings come to if the version's tags ask for that rollout.
#[track_caller]
fn check_asked(settings: &str, asked: &str, expect: &str) {
    let target = Target {
        settings: settings.parse().expect("TOML"),
        ..target("wine", uri("mlflow://h/wine@champion"))
    };
    let asked: Table = asked.parse().expect("TOML");
    let got = model_toml(&target, (Version(3), None), &BTreeMap::new(), Some(&asked));
    let expect: Table = expect.parse().expect("TOML");
    for key in ["rollout", "rollback_window_s"] {
        assert_eq!(got.get(key), expect.get(key), "{settings}: {key}");
    }
}

#[test]
fn tags_fill_what_the_operator_leaves_open() {
    check_asked("", "", "[rollout]");
    check_asked("", "alpha = 0.1", "[rollout]\nalpha = 0.1");
    check_asked(
        "[rollout]\nalpha = 0.01\nsteps = '5,100'",
        "alpha = 0.1\nshadow_rows = 0",
        "[rollout]\nalpha = 0.01\nsteps = '5,100'\nshadow_rows = 0",
    );
}

#[test]
fn a_window_of_the_operators_is_the_rollouts_where_tags_ask_for_one() {
    let window = "rollback_window_s = 600";
    check_asked(window, "alpha = 0.1", "[rollout]\nalpha = 0.1\nrollback_window_s = 600");
    check_asked(window, "rollback_window_s = 60", "[rollout]\nrollback_window_s = 60");
    let own = format!("{window}\n[rollout]\nrollback_window_s = 30");
    check_asked(&own, "rollback_window_s = 60", "[rollout]\nrollback_window_s = 30");
    check_asked("rollback_window_s = 0", "", "rollback_window_s = 0\n[rollout]");
    // Not a number of seconds: a fault, which is told.
    check_asked("rollback_window_s = '1h'", "", "rollback_window_s = '1h'\n[rollout]");
    check(window, 3, &[], &format!("{window}\nversion_policy.specific = [3]"));
}
