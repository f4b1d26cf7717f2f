//! How the requests are spread over latencies, from the fastest to the 99.9th percentile.

use std::fmt::Write;

use plot::Panel;
use plot::axis::{Axis, STEEP};
use plot::style::{Anchor, axis_names, line, text};

use crate::report::Report;

/// Bars of the panel, all of the same width, also where the scale is logarithmic.
const BARS: u32 = 48;

pub(super) fn draw(svg: &mut String, panel: Panel, report: &Report) {
    let histogram = &report.histogram;
    let ms = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
    let (from, to) = (histogram.min() as f64 / 1e3, ms(0.999));
    let pixels = (panel.left, panel.right);
    let across = if to > STEEP * ms(0.5) {
        Axis::logarithmic((from, to), pixels)
    } else {
        // A bar less wide than a µs would show the clock, not the server.
        Axis::linear((from, to.max(from + f64::from(BARS) * 1e-3)), pixels)
    };
    let shares = shares(report, &across, panel);
    let highest = shares.iter().copied().fold(0.0, f64::max);
    let up = Axis::linear((0.0, highest * 1.08), (panel.bottom, panel.top));

    for tick in up.ticks() {
        let y = up.pixel(tick.value);
        line(svg, "grid", (panel.left, y), (panel.right, y));
        text(svg, "soft", (panel.left - 8.0, y + 4.5), Anchor::End, &tick.label);
    }
    let width = bar_px(panel);
    for (index, &share) in (0_u32..).zip(&shares) {
        let (left, top) = (panel.left + width * f64::from(index), up.pixel(share));
        let (wide, tall) = (width - 0.8, panel.bottom - top);
        let _ = writeln!(
            svg,
            "<rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{tall:.1}\"/>"
        );
    }
    for (quantile, class) in [(0.5, "median"), (0.99, "tail")] {
        let x = across.pixel(ms(quantile));
        line(svg, class, (x, panel.bottom), (x, panel.top));
    }
    let ticks = across.ticks();
    // Every second label where they would touch.
    let every = if ticks.len() > 5 { 2 } else { 1 };
    for tick in ticks.iter().step_by(every) {
        let x = across.pixel(tick.value);
        line(svg, "frame", (x, panel.bottom), (x, panel.bottom + 4.0));
        text(svg, "soft", (x, panel.bottom + 20.0), Anchor::Middle, &tick.label);
    }
    line(svg, "frame", (panel.left, panel.bottom), (panel.right, panel.bottom));
    axis_names(svg, panel, "latency, ms, up to the 99.9th percentile", "% of requests");
    legend(svg, panel);
}

/// The percentage of requests in each bar; those above the scale are in none.
fn shares(report: &Report, across: &Axis, panel: Panel) -> Vec<f64> {
    let histogram = &report.histogram;
    let highest = histogram.value_at_quantile(0.999);
    let mut counts = vec![0_u64; BARS as usize];
    for value in histogram.iter_recorded().take_while(|it| it.value_iterated_to() <= highest) {
        let x = across.pixel(value.value_iterated_to() as f64 / 1e3);
        let place = (x - panel.left) / bar_px(panel);
        let bar = (1..BARS).position(|end| place < f64::from(end)).unwrap_or(counts.len() - 1);
        counts[bar] += value.count_at_value();
    }
    counts.iter().map(|&it| it as f64 * 100.0 / histogram.len() as f64).collect()
}

fn bar_px(panel: Panel) -> f64 {
    (panel.right - panel.left) / f64::from(BARS)
}

fn legend(svg: &mut String, panel: Panel) {
    let y = panel.top - 18.0;
    line(svg, "median", (panel.right - 126.0, y), (panel.right - 104.0, y));
    text(svg, "soft", (panel.right - 98.0, y + 4.5), Anchor::Start, "p50");
    line(svg, "tail", (panel.right - 58.0, y), (panel.right - 32.0, y));
    text(svg, "soft", (panel.right, y + 4.5), Anchor::End, "p99");
}
