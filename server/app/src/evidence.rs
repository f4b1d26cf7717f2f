//! What a decision rests on, as a registry is told it: JSON, with less in it where less is taken.

use serde_json::{Value, json};
use server_rollout::Evidence;

/// Characters of a tag that servers take: MLflow 3.x, and those before it.
const CHARACTERS_MAX: [usize; 2] = [100_000, 5_000];

/// What is left out, one after the other, until the rest is short enough: what people read first stays longest, and what
/// follows from the rest goes first.
const LEFT_OUT: [&str; 6] =
    ["/findings/*/words", "/counts/pairs/classes", "/counts", "/findings", "/cause", "/words"];

/// All of it, and the same in ever fewer words. What is left out is named in `cut`; the audit log has it.
pub(crate) fn texts(evidence: &Evidence) -> Vec<String> {
    // What is written into the audit log can be written.
    let whole = serde_json::to_value(evidence).unwrap_or_default();
    let mut texts: Vec<String> = CHARACTERS_MAX.iter().map(|most| text(&whole, *most)).collect();
    texts.dedup();
    texts
}

fn text(whole: &Value, characters_max: usize) -> String {
    let (mut value, mut cut) = (whole.clone(), Vec::new());
    for place in LEFT_OUT {
        let text = value.to_string();
        if text.chars().count() <= characters_max {
            return text;
        }
        if take(&mut value, place) {
            cut.push(place.trim_start_matches('/').replace('/', "."));
            value["cut"] = json!(cut);
        }
    }
    value.to_string()
}

/// Takes out what is there; false if there is nothing. `*` is every entry of a list.
fn take(value: &mut Value, place: &str) -> bool {
    if let Some((list, key)) = place.split_once("/*/") {
        let entries = value.pointer_mut(list).and_then(Value::as_array_mut);
        let objects = entries.into_iter().flatten().filter_map(Value::as_object_mut);
        return objects.filter_map(|it| it.remove(key)).count() > 0;
    }
    let Some((parent, key)) = place.rsplit_once('/') else { return false };
    let parent = value.pointer_mut(parent).and_then(Value::as_object_mut);
    parent.is_some_and(|it| it.remove(key).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(words: usize) -> Value {
        let finding =
            |it: usize| json!({ "guard": "errors", "log_e": it, "words": "w".repeat(words) });
        json!({
            "at": 5, "verdict": "rolled_back", "cause": "withdrawn", "words": "why",
            "counts": { "stable": { "requests": 7 }, "pairs": { "pairs": 1, "classes": vec![0; 60] } },
            "findings": (0..3).map(finding).collect::<Vec<_>>(),
        })
    }

    #[track_caller]
    fn check(words: usize, most: usize, cut: &Value) {
        let text = text(&evidence(words), most);
        assert!(text.chars().count() <= most, "{text}");
        let read: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(&read["cut"], cut, "{text}");
        assert_eq!((&read["at"], &read["verdict"]), (&json!(5), &json!("rolled_back")));
        for place in cut.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let place = format!("/{}", place.replace(".*.", "/0/").replace('.', "/"));
            assert_eq!(read.pointer(&place), None, "{text}");
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        check(10, 1_000, &Value::Null);
        check(400, 1_000, &json!(["findings.*.words"]));
        let (words, classes) = ("findings.*.words", "counts.pairs.classes");
        check(400, 300, &json!([words, classes]));
        check(400, 230, &json!([words, classes, "counts"]));
        check(400, 140, &json!([words, classes, "counts", "findings"]));
    }

    #[test]
    fn what_fits_everywhere_is_told_once() {
        use server_base::{ModelName, Version};
        use server_rollout::{Action, Command, Moment, RawPlan, Rollout, Subject};
        let model = ModelName::new("m").expect("a name");
        let subject = Subject::new(model, Version(1), Version(2)).expect("two versions");
        let plan = RawPlan::default().validate().expect("a plan");
        let mut rollout = Rollout::new(subject, plan, Moment(0));
        let actions = rollout.command(Moment(1), Command::Abort).expect("possible");
        let mut told = Vec::new();
        for it in actions {
            if let Action::Record(evidence) = it {
                told.extend(texts(&evidence));
            }
        }
        let [text] = told.as_slice() else { panic!("{told:?}") };
        let read: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(read["subject"]["canary"], 2);
        assert!(
            read["counts"]["canary"]["requests"].is_u64() && read.get("cut").is_none(),
            "{text}"
        );
    }
}
