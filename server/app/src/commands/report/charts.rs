//! The small pictures of a report, as inline SVG. Colours are the page's.

use std::fmt::Write as _;

use plot::axis::Axis;
use plot::style::{Anchor, escape, text};
use serde_json::Value;

use super::{KINDS, list};

const BARS: (f64, f64) = (330.0, 104.0);
const TREND: (f64, f64) = (190.0, 60.0);
const STRIP: (f64, f64) = (1_040.0, 58.0);

fn open(size: (f64, f64), label: &str) -> String {
    let (width, height) = size;
    format!(
        "<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-label=\"{}\">",
        escape(label)
    )
}

fn shares(value: &Value) -> Vec<f64> {
    list(value).iter().map(|it| it.as_f64().unwrap_or(0.0)).collect()
}

/// Reference and window side by side.
pub(crate) fn bars(histogram: &Value, label: &str) -> String {
    let (reference, current) = (shares(&histogram["reference"]), shares(&histogram["current"]));
    let names: Vec<&str> =
        list(&histogram["names"]).iter().map(|it| it.as_str().unwrap_or_default()).collect();
    let most = reference.iter().chain(&current).fold(0.0_f64, |most, it| most.max(*it));
    let (width, height) = BARS;
    let (left, bottom) = (42.0, height - 18.0);
    let up = Axis::linear((0.0, most.max(1e-9)), (bottom, 8.0));
    let mut svg = open(BARS, label);
    let label = format!("{:.0} %", 100.0 * most);
    text(&mut svg, "soft tiny", (left - 4.0, 14.0), Anchor::End, &label);
    let step = (width - left - 4.0) / names.len().max(1) as f64;
    for (at, ((name, reference), current)) in names.iter().zip(&reference).zip(&current).enumerate()
    {
        let x = left + step * at as f64;
        let title = escape(&format!(
            "{name}: {:.1} % in the reference, {:.1} % in the window",
            100.0 * reference,
            100.0 * current
        ));
        let _ = write!(svg, "<g><title>{title}</title>");
        for (class, share, shift) in [("ref", reference, 0.08), ("cur", current, 0.5)] {
            let y = up.pixel(*share);
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                x + shift * step,
                0.42 * step,
                (bottom - y).max(0.0)
            );
        }
        svg.push_str("</g>");
    }
    let _ = write!(svg, "<path class=\"axis\" d=\"M{left} {bottom}H{}\"/>", width - 4.0);
    let ends = [(names.first(), left, Anchor::Start), (names.last(), width - 4.0, Anchor::End)];
    for (name, x, anchor) in ends {
        let name: String = name.map(|it| it.chars().take(18).collect()).unwrap_or_default();
        text(&mut svg, "soft tiny", (x, height - 4.0), anchor, &name);
    }
    svg.push_str("</svg>");
    svg
}

/// A feature's effect over the windows; a dot where it was part of an alarm.
pub(crate) fn trend(view: &Value, column: &str) -> String {
    let windows = list(&view["history"]);
    let effect = |it: &Value| it["features"][column][0].as_f64();
    let most = windows.iter().filter_map(effect).fold(0.05_f64, f64::max);
    let (width, height) = TREND;
    let up = Axis::linear((0.0, most), (height - 6.0, 8.0));
    let last = windows.len().saturating_sub(1).max(1) as f64;
    let across = Axis::linear((0.0, last), (30.0, width - 6.0));
    let mut svg = open(TREND, &format!("effect of {column} over the windows"));
    text(&mut svg, "soft tiny", (26.0, 14.0), Anchor::End, &format!("{most:.2}"));
    let _ = write!(svg, "<path class=\"axis\" d=\"M30 {0}H{1}\"/>", height - 6.0, width - 6.0);
    let (mut points, mut dots) = (String::new(), String::new());
    for (at, window) in windows.iter().enumerate() {
        let Some(effect) = effect(window) else { continue };
        let (x, y) = (across.pixel(at as f64), up.pixel(effect));
        let _ = write!(points, "{x:.1},{y:.1} ");
        let named = KINDS.iter().any(|(kind, _)| {
            list(&window["found"][*kind]["subjects"]).iter().any(|it| it.as_str() == Some(column))
        });
        if named {
            let _ = write!(dots, "<circle class=\"alarm\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
        }
    }
    let _ = write!(svg, "<polyline class=\"line\" points=\"{}\"/>{dots}</svg>", points.trim_end());
    svg
}

/// All windows as cells, a row for each kind.
pub(crate) fn strip(view: &Value) -> String {
    let windows = list(&view["history"]);
    let mut svg = open(STRIP, "which windows were alarms");
    let step = ((STRIP.0 - 130.0) / windows.len().max(1) as f64).min(28.0);
    let looked_at =
        |kind: &str| windows.iter().any(|window| window["found"][kind]["is_alarm"].is_boolean());
    for (row, (kind, name)) in KINDS.iter().filter(|it| looked_at(it.0)).enumerate() {
        let y = 2.0 + 19.0 * row as f64;
        text(&mut svg, "soft tiny", (118.0, y + 12.0), Anchor::End, name);
        for (at, window) in windows.iter().enumerate() {
            let found = &window["found"][*kind];
            let class = match found["is_alarm"].as_bool() {
                Some(true) => "cell alarm",
                Some(false) => "cell quiet",
                None => continue,
            };
            let words = found["text"].as_str().unwrap_or_default();
            let title = escape(&format!("window {}: {words}", window["number"]));
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{y}\" width=\"{:.1}\" height=\"15\" rx=\"2\">\
                 <title>{title}</title></rect>",
                126.0 + step * at as f64,
                (step - 2.0).max(1.0)
            );
        }
    }
    svg.push_str("</svg>");
    svg
}
