//! The latencies of a report as one self-contained SVG, for light and dark pages.
//!
//! Called by `report`. Pure: the same report gives the same picture, and there is no date in it.

pub(crate) mod axis;
mod bars;
pub(crate) mod curve;
mod style;

use std::fmt::Write;

use crate::report::Report;
use style::{STYLE, escape};

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
    let title = escape(&heading(report));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n\
         <text class=\"title\" x=\"28\" y=\"38\">{title}</text>\n\
         <text class=\"soft\" x=\"28\" y=\"60\">{}</text>\n\
         <text class=\"soft\" x=\"28\" y=\"80\">{}</text>\n",
        escape(&format!("{}; {}", report.load, report.request)),
        escape(&summary(report)),
    );
    if report.latency_us.is_none() {
        svg.push_str("<text class=\"ink\" x=\"28\" y=\"150\">No request was answered.</text>\n");
    } else {
        curve::draw(&mut svg, PERCENTILES, report);
        bars::draw(&mut svg, SHARES, report);
    }
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
    let mut text =
        format!("{rate:.0} answers/s{rows}; {failed} failed, {wrong} wrong of {checked} checked");
    if report.not_sent > 0 {
        let _ = write!(text, ", {} not sent", report.not_sent);
    }
    text
}
