//! The results of one run as a picture: latency by percentile, and how it is spread.
//!
//! Called by `report`. Pure: the same results give the same picture, and there is no date in it.

mod bars;
pub(crate) mod curve;

use std::fmt::Write;

use plot::style::{Anchor, text};
use plot::{Panel, page};

use crate::report::Report;

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
