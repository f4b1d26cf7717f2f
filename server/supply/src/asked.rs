//! What the tags of a version ask of its rollout. Pure.
//!
//! `salver.rollout` says whether there is to be one, and a tag below it each key of the plan. Whoever writes to the
//! registry writes them: what is not understood is refused, and never passed over, because the version would take
//! over without the rollout that was asked for.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// Says whether.
const KEY: &str = "salver.rollout";

/// Verdicts were written under that name once, with these below it. They ask for nothing.
const VERDICTS: [&str; 2] = ["promoted", "rolled_back"];
const OF_VERDICTS: [&str; 2] = ["reason", "at"];

/// Keys of a plan whose values are texts, though they may look like numbers.
const TEXTS: [&str; 2] = ["steps", "shadow_percent"];

/// Characters of a value; that of the longest list of steps has fewer.
const VALUE_MAX: usize = 256;

/// Keys of a plan, and some that are misspelt: more are no plan.
const KEYS_MAX: usize = 64;

/// The plan as a `[rollout]` would have it; `None`: they ask for none. What the plan's keys are is not known here.
pub(crate) fn asked(tags: &BTreeMap<String, String>) -> Result<Option<Table>, String> {
    let mut plan = Table::new();
    for (tag, text) in tags {
        let below = tag.strip_prefix(KEY).and_then(|it| it.strip_prefix('.'));
        let Some(key) = below.filter(|it| !OF_VERDICTS.contains(it)) else { continue };
        if text.chars().count() > VALUE_MAX {
            let count = text.chars().count();
            return Err(format!("tag {tag} has {count} characters: expected at most {VALUE_MAX}"));
        }
        plan.insert(key.to_owned(), value(key, text.trim()));
    }
    if plan.len() > KEYS_MAX {
        let count = plan.len();
        return Err(format!("{count} tags begin with {KEY}.: expected at most {KEYS_MAX}"));
    }
    let said = tags.get(KEY).map(|it| it.trim()).filter(|it| !VERDICTS.contains(it));
    let is_wanted = match said.map(truth) {
        None => !plan.is_empty(),
        Some(Some(is_wanted)) => is_wanted,
        Some(None) => {
            let text: String = said.unwrap_or_default().chars().take(VALUE_MAX).collect();
            return Err(format!("tag {KEY} is {text:?}: expected \"true\" or \"false\""));
        }
    };
    Ok(is_wanted.then_some(plan))
}

fn value(key: &str, text: &str) -> Value {
    let number = || {
        let whole = text.parse().ok().map(Value::Integer);
        whole.or_else(|| text.parse().ok().map(Value::Float))
    };
    let plain = truth(text).map(Value::Boolean).or_else(number);
    plain.filter(|_| !TEXTS.contains(&key)).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// As people write it, and Python.
fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "True" => Some(true),
        "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Option<Table>, String> {
        let tags = text.split_whitespace().filter_map(|it| it.split_once('='));
        asked(&tags.map(|(key, it)| (key.to_owned(), it.to_owned())).collect())
    }

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(of(text), Ok(expect.map(|it| it.parse().expect("TOML"))), "{text}");
    }

    #[test]
    fn tags_are_a_plan() {
        check("", None);
        check("team=fraud aliases=champion salver.rollouts=x", None);
        check("salver.rollout=true", Some(""));
        check("salver.rollout=True", Some(""));
        check("salver.rollout=false salver.rollout.alpha=0.1", None);
        let plan = "steps = '100'\nshadow_percent = '5'\nflip_rate_max = 0.01\nstep_requests_min = 10\nlatency = false";
        let tags = "salver.rollout.steps=100 salver.rollout.shadow_percent=5 salver.rollout.flip_rate_max=0.01 \
                    salver.rollout.step_requests_min=10 salver.rollout.latency=False";
        check(tags, Some(plan));
        // What is wrong with these is told by whoever knows the keys.
        check(
            "salver.rollout.stepz=1,x salver.rollout.alpha=y",
            Some("stepz = '1,x'\nalpha = 'y'"),
        );
    }

    #[test]
    fn verdicts_ask_for_nothing() {
        for it in VERDICTS {
            check(
                &format!("salver.rollout={it} salver.rollout.reason=3 salver.rollout.at=4"),
                None,
            );
        }
        check("salver.rollout=promoted salver.rollout.steps=5,100", Some("steps = '5,100'"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let wrong = of("salver.rollout=yes").expect_err("neither");
        assert_eq!(wrong, "tag salver.rollout is \"yes\": expected \"true\" or \"false\"");
        let long = of(&format!("salver.rollout.steps={}", "1".repeat(300))).expect_err("too long");
        assert_eq!(long, "tag salver.rollout.steps has 300 characters: expected at most 256");
        let many: Vec<String> = (0..65).map(|it| format!("salver.rollout.k{it}=1")).collect();
        let many = of(&many.join(" ")).expect_err("too many");
        assert_eq!(many, "65 tags begin with salver.rollout.: expected at most 64");
    }
}
