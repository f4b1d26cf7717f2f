//! Shares over a size, in panels side by side: a line for each rule, the same in each panel.
//!
//! Pure, like the other pictures.

use std::fmt::Write;

use crate::axis::Axis;
use crate::plane::COLOURS;
use crate::style::{Anchor, line, text};
use crate::{Panel, page};

/// A picture of one or more panels.
pub struct Shares {
    /// Above all.
    pub title: String,
    /// Lines below the title.
    pub notes: Vec<String>,
    /// What stands across.
    pub across: String,
    /// What is shared: above the left edge.
    pub up: String,
    /// Names of the lines, eight at most, in the order of each panel.
    pub names: Vec<String>,
    /// From left to right; four have room.
    pub panels: Vec<Curves>,
}

/// One panel.
pub struct Curves {
    /// Above it.
    pub title: String,
    /// Points of each line: the size, and the share from 0 to 1.
    pub lines: Vec<Vec<(f64, f64)>>,
}

const LEFT: f64 = 64.0;
const RIGHT: f64 = 1048.0;
const TOP: f64 = 168.0;
const BOTTOM: f64 = 436.0;
const GAP: f64 = 28.0;
const LEGEND: f64 = 116.0;

impl Shares {
    /// The whole picture.
    pub fn draw(&self) -> String {
        page(&self.title, &self.notes, COLOURS, |svg| {
            let places = self.panels.len().max(1) as f64;
            let width = (RIGHT - LEFT - GAP * (places - 1.0)) / places;
            let points = self.panels.iter().flat_map(|it| it.lines.iter().flatten());
            let most = points.map(|it| it.0).fold(0.0, f64::max);
            for (at, curves) in self.panels.iter().enumerate() {
                let left = LEFT + at as f64 * (width + GAP);
                let panel = Panel { left, right: left + width, top: TOP, bottom: BOTTOM };
                curves.draw(svg, panel, (most, at == 0));
            }
            self.legend(svg);
            text(svg, "soft", (LEFT - 36.0, TOP - 28.0), Anchor::Start, &self.up);
            let middle = f64::midpoint(LEFT, RIGHT);
            text(svg, "soft", (middle, BOTTOM + 46.0), Anchor::Middle, &self.across);
        })
    }

    /// Names at even distances.
    fn legend(&self, svg: &mut String) {
        let width = (RIGHT - LEFT) / self.names.len().max(1) as f64;
        for (index, name) in self.names.iter().enumerate() {
            let x = LEFT + width * index as f64;
            line(svg, &format!("line c{index}"), (x, LEGEND), (x + 26.0, LEGEND));
            text(svg, "ink small", (x + 34.0, LEGEND + 4.5), Anchor::Start, name);
        }
    }
}

impl Curves {
    fn draw(&self, svg: &mut String, panel: Panel, (most, is_first): (f64, bool)) {
        let across = Axis::linear((0.0, most), (panel.left, panel.right));
        let up = Axis::linear((0.0, 1.0), (panel.bottom, panel.top));
        for tick in up.ticks() {
            let y = up.pixel(tick.value);
            line(svg, "grid", (panel.left, y), (panel.right, y));
            if is_first {
                text(svg, "soft", (panel.left - 8.0, y + 4.5), Anchor::End, &tick.label);
            }
        }
        for tick in across.ticks() {
            let x = across.pixel(tick.value);
            text(svg, "soft small", (x, panel.bottom + 20.0), Anchor::Middle, &tick.label);
        }
        line(svg, "frame", (panel.left, panel.bottom), (panel.right, panel.bottom));
        let middle = f64::midpoint(panel.left, panel.right);
        text(svg, "ink", (middle, panel.top - 10.0), Anchor::Middle, &self.title);
        for (index, points) in self.lines.iter().enumerate() {
            let mut joined = String::new();
            for (size, share) in points {
                let _ = write!(joined, "{:.1},{:.1} ", across.pixel(*size), up.pixel(*share));
            }
            let joined = joined.trim_end();
            let _ = writeln!(svg, "<polyline class=\"line c{index}\" points=\"{joined}\"/>");
            for (size, share) in points {
                let (x, y) = (across.pixel(*size), up.pixel(*share));
                let _ = writeln!(
                    svg,
                    "<circle class=\"point c{index} full\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::texts;

    #[test]
    fn each_panel_has_each_line() {
        let curves = |title: &str| Curves {
            title: title.to_owned(),
            lines: vec![vec![(0.0, 0.1), (1.0, 1.0)], vec![(0.0, 0.0), (1.0, 0.5)]],
        };
        let shares = Shares {
            title: "a < b".to_owned(),
            notes: vec!["a note".to_owned()],
            across: "shift".to_owned(),
            up: "share".to_owned(),
            names: vec!["one".to_owned(), "two".to_owned()],
            panels: vec![curves("100 rows"), curves("300 rows")],
        };
        let svg = shares.draw();
        let texts = texts(&svg);
        for expected in ["a &lt; b", "a note", "shift", "share", "one", "two", "300 rows"] {
            assert!(texts.iter().any(|it| it == expected), "{expected:?} is not in {texts:?}");
        }
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert_eq!(svg.matches(&format!("cy=\"{TOP:.1}\"")).count(), 2, "all: the upper edge");
        assert_eq!(svg.matches(&format!("cx=\"{LEFT:.1}\" cy=\"{BOTTOM:.1}\"")).count(), 1, "none");
    }
}
