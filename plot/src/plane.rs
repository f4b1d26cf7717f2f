//! Latency over throughput, a line for each of several servers.
//!
//! Pure, like the other pictures.

use std::fmt::Write;

use crate::axis::{Axis, STEEP};
use crate::style::{Anchor, axis_names, line, text};
use crate::{Panel, page};

/// A picture of one or more lines.
pub struct Plane {
    /// Above all.
    pub title: String,
    /// Lines below the title.
    pub notes: Vec<String>,
    /// What throughput is counted in.
    pub across: String,
    /// A limit on the latency, drawn across.
    pub limit: Option<Limit>,
    /// Eight with names can be told apart.
    pub lines: Vec<Line>,
}

/// See [`Plane`].
pub struct Limit {
    /// Written on the line.
    pub name: String,
    /// Where it is.
    pub ms: f64,
}

/// What one server did, or one configuration of it.
pub struct Line {
    /// For the legend; without one it is drawn in grey, below the others.
    pub name: String,
    /// In the order in which they are joined.
    pub points: Vec<Point>,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Throughput.
    pub per_s: f64,
    /// Latency.
    pub ms: f64,
    /// Written beside it, unless empty.
    pub label: String,
    /// Hollow if not.
    pub good: bool,
}

const PANEL: Panel = Panel { left: 84.0, right: 1040.0, top: 146.0, bottom: 436.0 };

/// Colours by line; dashes from the fifth on, for those who tell few colours apart.
pub(crate) const COLOURS: &str = "
.line { stroke-width: 2.5; fill: none; stroke-linejoin: round }
.point { stroke-width: 2 }
.c0 { stroke: #2563eb; color: #2563eb } .c1 { stroke: #c2410c; color: #c2410c }
.c2 { stroke: #0f766e; color: #0f766e } .c3 { stroke: #7c3aed; color: #7c3aed }
.c4 { stroke: #be185d; color: #be185d } .c5 { stroke: #4d7c0f; color: #4d7c0f }
.c6 { stroke: #92400e; color: #92400e } .c7 { stroke: #475569; color: #475569 }
.c4.line, .c5.line, .c6.line, .c7.line { stroke-dasharray: 8 4 }
.faint { stroke: #98a2b3; color: #98a2b3; stroke-opacity: 0.55; stroke-width: 1.2 }
.full { fill: currentColor } .hollow { fill: #ffffff }
@media (prefers-color-scheme: dark) {
.c0 { stroke: #6ea8fe; color: #6ea8fe } .c1 { stroke: #ff9a62; color: #ff9a62 }
.c2 { stroke: #5eead4; color: #5eead4 } .c3 { stroke: #c4b5fd; color: #c4b5fd }
.c4 { stroke: #f9a8d4; color: #f9a8d4 } .c5 { stroke: #bef264; color: #bef264 }
.c6 { stroke: #fcd34d; color: #fcd34d } .c7 { stroke: #cbd5e1; color: #cbd5e1 }
.faint { stroke: #5b6675; color: #5b6675 }
.hollow { fill: #14181f }
}
";

/// Names in one row of the legend, and how far rows are apart.
const NAMES: usize = 4;
const ROW: f64 = 20.0;

impl Plane {
    /// The whole picture.
    pub fn draw(&self) -> String {
        page(&self.title, &self.notes, COLOURS, |svg| {
            let points = || self.lines.iter().flat_map(|it| &it.points);
            if points().next().is_none() {
                text(svg, "ink", (28.0, 150.0), Anchor::Start, "No request was answered.");
                return;
            }
            let panel = self.panel();
            let most = points().map(|it| it.per_s).fold(0.0, f64::max);
            let across = Axis::linear((0.0, most * 1.06), (panel.left, panel.right));
            let up = self.up(panel);
            grid(svg, panel, &across, &up);
            if let Some(limit) = &self.limit {
                let y = up.pixel(limit.ms);
                line(svg, "tail", (panel.left, y), (panel.right, y));
                text(svg, "soft", (panel.right - 4.0, y - 6.0), Anchor::End, &limit.name);
            }
            for line in self.lines.iter().filter(|it| it.name.is_empty()) {
                line.draw(svg, "faint", (&across, &up));
            }
            for (index, line) in self.named().enumerate() {
                line.draw(svg, &format!("c{index}"), (&across, &up));
            }
            axis_names(svg, panel, &self.across, "p99, ms");
            self.legend(svg);
        })
    }

    fn named(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|it| !it.name.is_empty())
    }

    /// Lower by the rows of the legend beyond the first.
    fn panel(&self) -> Panel {
        let rows = self.named().count().div_ceil(NAMES).max(1);
        Panel { top: PANEL.top + ROW * (rows - 1) as f64, ..PANEL }
    }

    fn up(&self, panel: Panel) -> Axis {
        let points = self.lines.iter().flat_map(|it| &it.points).map(|it| it.ms);
        let values = || points.clone().chain(self.limit.as_ref().map(|it| it.ms));
        let (least, most) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
        let pixels = (panel.bottom, panel.top);
        if most > STEEP * least {
            Axis::logarithmic((least, most), pixels)
        } else {
            Axis::linear((0.0, most * 1.08), pixels)
        }
    }

    /// Names at even distances above the panel.
    fn legend(&self, svg: &mut String) {
        let width = (PANEL.right - PANEL.left) / NAMES as f64;
        for (index, of) in self.named().enumerate() {
            let x = PANEL.left + width * (index % NAMES) as f64;
            let y = PANEL.top - 36.0 + ROW * (index / NAMES) as f64;
            line(svg, &format!("line c{index}"), (x, y), (x + 26.0, y));
            text(svg, "ink small", (x + 34.0, y + 4.5), Anchor::Start, &of.name);
        }
    }
}

impl Line {
    fn draw(&self, svg: &mut String, class: &str, (across, up): (&Axis, &Axis)) {
        let mut joined = String::new();
        for Point { per_s, ms, .. } in &self.points {
            let _ = write!(joined, "{:.1},{:.1} ", across.pixel(*per_s), up.pixel(*ms));
        }
        let joined = joined.trim_end();
        let _ = writeln!(svg, "<polyline class=\"line {class}\" points=\"{joined}\"/>");
        for Point { per_s, ms, label, good } in &self.points {
            let (x, y) = (across.pixel(*per_s), up.pixel(*ms));
            let fill = if *good { "full" } else { "hollow" };
            let _ = writeln!(
                svg,
                "<circle class=\"point {class} {fill}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>"
            );
            if !label.is_empty() {
                text(svg, "soft small", (x - 7.0, y - 7.0), Anchor::End, label);
            }
        }
    }
}

fn grid(svg: &mut String, panel: Panel, across: &Axis, up: &Axis) {
    for tick in up.ticks() {
        let y = up.pixel(tick.value);
        line(svg, "grid", (panel.left, y), (panel.right, y));
        text(svg, "soft", (panel.left - 8.0, y + 4.5), Anchor::End, &tick.label);
    }
    for tick in across.ticks() {
        let x = across.pixel(tick.value);
        line(svg, "grid", (x, panel.top), (x, panel.bottom));
        text(svg, "soft", (x, panel.bottom + 20.0), Anchor::Middle, &tick.label);
    }
    line(svg, "frame", (panel.left, panel.bottom), (panel.right, panel.bottom));
}

#[cfg(test)]
#[path = "plane_tests.rs"]
mod tests;
