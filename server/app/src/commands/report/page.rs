//! A page that needs nothing beside itself: style and pictures stand in it, and there is no script.

use std::fmt::Write as _;

use plot::style::escape;
use serde_json::Value;

use super::charts::{bars, strip, trend};
use super::{alarms, column, list, number, standing, time, verdict};

/// Features that are drawn; the others are rows of the table alone.
const DRAWN_MAX: usize = 100;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1f2933; --soft: #5b6675; --page: #fff; --card: #f6f8fa; \
--rule: #dde3ea; --ref: #98a2b3; --cur: #2563eb; --alarm: #c2410c; --quiet: #b7dfc8 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --soft: #a3adbb; --page: #14181f; \
--card: #1b212b; --rule: #2a313c; --ref: #5b6675; --cur: #6ea8fe; --alarm: #ff9a62; --quiet: #24503a } }
body { margin: 0 auto; padding: 28px; max-width: 1100px; background: var(--page); color: var(--ink); \
font: 15px/1.5 system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif }
h1 { font-size: 26px; margin: 0 0 4px } h2 { font-size: 19px; margin: 34px 0 6px } h3 { font-size: 16px; margin: 24px 0 6px }
p { margin: 4px 0 10px } .soft { color: var(--soft); fill: var(--soft) }
.banner { padding: 12px 16px; border-radius: 8px; background: var(--card); border-left: 5px solid var(--quiet) }
.banner.alarmed { border-left-color: var(--alarm) }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% } th { text-align: left; font-weight: 600; font-size: 13px; color: var(--soft) }
td, th { padding: 6px 10px 6px 0; border-bottom: 1px solid var(--rule); vertical-align: middle }
td.n { font-variant-numeric: tabular-nums; white-space: nowrap } .bad { color: var(--alarm); font-weight: 600 }
ul { padding-left: 20px } li { margin: 4px 0; overflow-wrap: anywhere }
svg { display: block; max-width: 100% } svg text { font-family: inherit } .tiny { font-size: 10.5px }
.ref { fill: var(--ref) } .cur { fill: var(--cur) } .axis { stroke: var(--rule); fill: none }
.line { stroke: var(--cur); stroke-width: 1.8; fill: none } .alarm { fill: var(--alarm) } .quiet { fill: var(--quiet) }
.key { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin: 0 5px 0 12px }
.key.ref { background: var(--ref) } .key.cur { background: var(--cur) } .key.alarm { background: var(--alarm) }
";

/// Of all versions of a model that are watched.
pub(crate) fn page(model: &str, views: &[Value]) -> String {
    let title = escape(&format!("Drift of {model}"));
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n\
         <p class=\"soft\">Times are UTC. Effect: from 0 to 1, the largest distance of the distribution \
         functions, or the total variation of categories. p: how likely such a difference is \
         without drift.</p>\n"
    );
    for view in views {
        version(&mut html, view);
    }
    html.push_str("</body>\n</html>\n");
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
