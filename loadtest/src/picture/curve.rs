//! Latency over percentiles, each further nine as wide as the one before: the tail is what matters.

use std::fmt::Write;

use plot::Panel;
use plot::axis::{Axis, STEEP};
use plot::style::{Anchor, axis_names, line, text};

use crate::report::Report;

/// The axis runs over four decades of 1 / (1 - quantile): from 0 to 99.99 %.
const DECADES: f64 = 4.0;

/// Points of the curve.
const STEPS: u32 = 320;

const LABELLED: [(f64, &str); 5] =
    [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99")];

pub(super) fn draw(svg: &mut String, panel: Panel, report: &Report) {
    let histogram = &report.histogram;
    let ms = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
    // A quantile beyond one request in all is not in the data.
    let decades = (histogram.len() as f64).log10().clamp(0.1, DECADES);
    let highest = ms(1.0 - 10_f64.powf(-decades));

    let across = Axis::linear((0.0, DECADES), (panel.left, panel.right));
    let pixels = (panel.bottom, panel.top);
    let up = if highest > STEEP * ms(0.5) {
        Axis::logarithmic((ms(0.0), highest * 1.3), pixels)
    } else {
        Axis::linear((0.0, highest * 1.08), pixels)
    };
    grid(svg, panel, &across, &up);

    let mut points = String::new();
    for step in 0..=STEPS {
        let decade = decades * f64::from(step) / f64::from(STEPS);
        let latency = ms(1.0 - 10_f64.powf(-decade));
        let _ = write!(points, "{:.1},{:.1} ", across.pixel(decade), up.pixel(latency));
    }
    let _ = writeln!(svg, "<polyline class=\"curve\" points=\"{}\"/>", points.trim_end());

    for (quantile, name) in LABELLED {
        let decade = decade(quantile);
        if decade > decades + 1e-9 {
            continue;
        }
        let (x, y) = (across.pixel(decade), up.pixel(ms(quantile)));
        let _ = writeln!(svg, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>");
        // The curve rises to the right: there is room above to the left, and below to the right.
        let label = format!("{name} {} ms", three_digits(ms(quantile)));
        let (at, anchor) = match quantile < 0.9 && y < panel.bottom - 28.0 {
            true => ((x + 8.0, y + 18.0), Anchor::Start),
            false if quantile < 0.9 => ((panel.left + 6.0, y - 12.0), Anchor::Start),
            false => ((x + 4.0, y - 12.0), Anchor::End),
        };
        text(svg, "ink", at, anchor, &label);
    }
    axis_names(svg, panel, "percentile of answered requests", "latency, ms");
    legend(svg, panel);
}

fn grid(svg: &mut String, panel: Panel, across: &Axis, up: &Axis) {
    for tick in up.ticks() {
        let y = up.pixel(tick.value);
        line(svg, "grid", (panel.left, y), (panel.right, y));
        text(svg, "soft", (panel.left - 8.0, y + 4.5), Anchor::End, &tick.label);
    }
    let percentiles = [(0.0, "0"), (0.5, "50"), (0.9, "90"), (0.99, "99"), (0.999, "99.9")];
    for (quantile, label) in percentiles.into_iter().chain([(0.9999, "99.99")]) {
        let x = across.pixel(decade(quantile));
        line(svg, "grid", (x, panel.top), (x, panel.bottom));
        text(svg, "soft", (x, panel.bottom + 20.0), Anchor::Middle, &format!("{label} %"));
    }
    line(svg, "frame", (panel.left, panel.bottom), (panel.right, panel.bottom));
}

fn legend(svg: &mut String, panel: Panel) {
    let y = panel.top - 18.0;
    let (left, right) = (panel.right - 178.0, panel.right - 150.0);
    line(svg, "curve", (left, y), (right, y));
    let x = f64::midpoint(left, right);
    let _ = writeln!(svg, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>");
    text(svg, "soft", (right + 8.0, y + 4.5), Anchor::Start, "latency by percentile");
}

/// As many decimals as three digits need: 0.757, 1.84, 43.2, 433.
pub(crate) fn three_digits(value: f64) -> String {
    let decimals = match value {
        under if under < 1.0 => 3,
        under if under < 10.0 => 2,
        under if under < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// How many nines: 0 for 0 %, 1 for 90 %, 2 for 99 %.
fn decade(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}
