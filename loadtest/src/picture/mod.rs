//! Results as one self-contained SVG, for light and dark pages.
//!
//! Called by `report`, `search` and `sweep`. Pure: the same results give the same picture, and there
//! is no date in it.

pub(crate) mod axis;
mod bars;
pub(crate) mod curve;
pub(crate) mod plane;
mod style;

use std::fmt::Write;

use crate::report::Report;
use style::{Anchor, STYLE, escape, text};

const WIDTH: f64 = 1080.0;
const HEIGHT: f64 = 500.0;

/// Where a panel draws; the labels of its axes go outside.
#[derive(Clone, Copy, Debug)]
struct Panel {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

const PERCENTILES: Panel = Panel { left: 72.0, right: 640.0, top: 136.0, bottom: 436.0 };
const SHARES: Panel = Panel { left: 732.0, right: 1050.0, top: 136.0, bottom: 436.0 };

/// Draws both panels with their title and legend.
pub(crate) fn draw(report: &Report) -> String {
    let notes = [format!("{}; {}", report.load, report.request), summary(report)];
    page(&heading(report), &notes, "", |svg| {
        if report.latency_us.is_none() {
            text(svg, "ink", (28.0, 150.0), Anchor::Start, "No request was answered.");
        } else {
            curve::draw(svg, PERCENTILES, report);
            bars::draw(svg, SHARES, report);
        }
    })
}

/// A whole picture: a title, a few lines below it, and what `content` draws.
fn page(title: &str, notes: &[String], style: &str, content: impl FnOnce(&mut String)) -> String {
    let title = escape(title);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n\
         <title>{title}</title>\n<style>{STYLE}{style}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n\
         <text class=\"title\" x=\"28\" y=\"38\">{title}</text>\n",
    );
    let mut y = 60.0;
    for note in notes {
        text(&mut svg, "soft", (28.0, y), Anchor::Start, note);
        y += 20.0;
    }
    content(&mut svg);
    svg.push_str("</svg>\n");
    svg
}

fn heading(report: &Report) -> String {
    let version = match report.model_version.as_str() {
        "" => String::new(),
        version => format!(" version {version}"),
    };
    format!("{}{version} over {}: latency", report.model, report.protocol)
}

fn summary(report: &Report) -> String {
    let (rate, rows) = (report.requests_per_s, report.rows_per_s);
    let (failed, wrong, checked) = (report.failed, report.wrong, report.checked);
    let rows = if rate == rows { String::new() } else { format!(", {rows:.0} rows/s") };
    let mut summary =
        format!("{rate:.0} answers/s{rows}; {failed} failed, {wrong} wrong of {checked} checked");
    if report.not_sent > 0 {
        let _ = write!(summary, ", {} not sent", report.not_sent);
    }
    summary
}
