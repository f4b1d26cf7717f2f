//! A page that needs nothing beside itself: style and pictures stand in it, and there is no script.

use std::fmt::Write as _;

use plot::style::escape;
use serde_json::Value;

use super::super::page::{END, begun};
use super::charts::{bars, strip, trend};
use super::{alarms, column, list, number, standing, time, verdict};

/// Features that are drawn; the others are rows of the table alone.
const DRAWN_MAX: usize = 100;

/// Of all versions of a model that are watched.
pub(crate) fn page(model: &str, views: &[Value]) -> String {
    let title = escape(&format!("Drift of {model}"));
    let mut html = begun(&title);
    html.push_str(
        "<p class=\"soft\">Times are UTC. Effect: from 0 to 1, the largest distance of the distribution \
         functions, or the total variation of categories. p: how likely such a difference is \
         without drift.</p>\n",
    );
    for view in views {
        version(&mut html, view);
    }
    html.push_str(END);
    html
}

fn version(html: &mut String, view: &Value) {
    let _ = writeln!(
        html,
        "<h2>Version {}</h2>\n<p class=\"soft\">{}</p>",
        view["version"],
        escape(&standing(view))
    );
    let absent = list(&view["reference"]["absent"]);
    if !absent.is_empty() {
        let words: Vec<&str> = absent.iter().filter_map(Value::as_str).collect();
        let _ = writeln!(html, "<p>Not watched: {}.</p>", escape(&words.join("; ")));
    }
    let last = &view["last"];
    if !last.is_object() {
        html.push_str("<p class=\"banner\">No window is complete yet.</p>\n");
        return;
    }
    banner(html, view);
    let _ = writeln!(
        html,
        "<h3>Windows</h3>\n<div class=\"wide\">{}</div>\n<p class=\"soft\">One cell for each window, the \
         newest on the right; <span class=\"key alarm\"></span>an alarm.</p>",
        strip(view)
    );
    html.push_str("<h3>Alarms</h3>\n");
    let alarms = alarms(view);
    if alarms.is_empty() {
        html.push_str("<p>None in the windows that are remembered.</p>\n");
    } else {
        html.push_str("<ul>\n");
        for (when, kind, text) in alarms {
            let text = escape(&text);
            let _ = writeln!(html, "<li><b>{when}, {kind}:</b> {text}</li>");
        }
        html.push_str("</ul>\n");
    }
    features(html, view);
}

/// What the last window says.
fn banner(html: &mut String, view: &Value) {
    let last = &view["last"];
    let found = list(&view["history"]).last().map(|it| &it["found"]).unwrap_or(&Value::Null);
    let is_alarm = super::KINDS.iter().any(|it| found[it.0]["is_alarm"] == true);
    let mut words = Vec::new();
    for (side, name) in [("drift", "inputs"), ("predictions", "outputs")] {
        let dataset = &last[side]["dataset"];
        if dataset["columns"].as_u64().is_some_and(|it| it > 0) {
            words.push(format!("{} of {} {name} drifted", dataset["drifted"], dataset["columns"]));
        }
    }
    let faulty =
        list(&last["features"]).iter().filter(|it| !list(&it["faults"]).is_empty()).count();
    words.push(match faulty {
        0 => "the data is sound".to_owned(),
        it => format!("faulty columns: {it}"),
    });
    let _ = writeln!(
        html,
        "<p class=\"banner{}\"><b>Window {}</b>, {} rows from {} to {}: {}.</p>",
        if is_alarm { " alarmed" } else { "" },
        last["number"],
        last["rows"],
        time::shown(&last["from_s"]),
        time::shown(&last["to_s"]),
        words.join(", ")
    );
}

fn features(html: &mut String, view: &Value) {
    let mut features: Vec<&Value> = list(&view["last"]["features"]).iter().collect();
    let effect = |it: &Value| it["evidence"]["effect"].as_f64().unwrap_or(0.0);
    let rank = |it: &Value| (it["drifted"] != true, list(&it["faults"]).is_empty());
    features.sort_by(|a, b| rank(a).cmp(&rank(b)).then(effect(b).total_cmp(&effect(a))));
    html.push_str(
        "<h3>Features</h3>\n<p class=\"soft\"><span class=\"key ref\"></span>reference\
         <span class=\"key cur\"></span>last window. Those that drifted come first.</p>\n\
         <div class=\"wide\"><table>\n<tr><th>feature</th><th>verdict</th><th>effect</th><th>p</th><th>PSI</th>\
         <th>missing</th><th>reference and window</th><th>effect over the windows</th></tr>\n",
    );
    for (at, feature) in features.iter().enumerate() {
        let (name, evidence, verdict) = (column(feature), &feature["evidence"], verdict(feature));
        let class = if verdict == "same" { "soft" } else { "bad" };
        let (bars, trend) = if at < DRAWN_MAX {
            (bars(&feature["histogram"], &format!("histogram of {name}")), trend(view, &name))
        } else {
            Default::default()
        };
        let _ = writeln!(
            html,
            "<tr><td><b>{}</b><br/><span class=\"soft tiny\">{} of {} rows</span></td>\
             <td class=\"{class}\">{verdict}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td>{bars}</td><td>{trend}</td></tr>",
            escape(&name),
            evidence["method"].as_str().unwrap_or("-"),
            evidence["rows"],
            number(&evidence["effect"]),
            number(&evidence["p"]),
            number(&evidence["statistics"]["psi"]),
            number(&feature["missing"]),
        );
    }
    html.push_str("</table></div>\n");
}
