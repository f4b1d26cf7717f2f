//! Colours, fonts and the few elements that all pictures use.

use std::fmt::Write;

use crate::Panel;

/// Dark pages are recognised by the viewer's own preference, also inside an `<img>`.
pub(crate) const STYLE: &str = "
text { font-family: system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; font-size: 13px }
.title { font-size: 20px; font-weight: 600 }
.title, .ink { fill: #1f2933 } .soft { fill: #5b6675 } .small { font-size: 12px }
.page { fill: #ffffff }
.grid { stroke: #e3e7ed; stroke-width: 1 } .frame { stroke: #98a2b3; stroke-width: 1 }
.curve { stroke: #2563eb; stroke-width: 2.5; fill: none; stroke-linejoin: round }
.dot { fill: #2563eb; stroke: #ffffff; stroke-width: 1.5 }
.bar { fill: #2563eb; fill-opacity: 0.65 }
.median { stroke: #0f766e; stroke-width: 2 }
.tail { stroke: #c2410c; stroke-width: 2; stroke-dasharray: 6 4 }
@media (prefers-color-scheme: dark) {
.title, .ink { fill: #e6e9ef } .soft { fill: #a3adbb }
.page { fill: #14181f }
.grid { stroke: #2a313c } .frame { stroke: #5b6675 }
.curve { stroke: #6ea8fe } .dot { fill: #6ea8fe; stroke: #14181f } .bar { fill: #6ea8fe }
.median { stroke: #5eead4 } .tail { stroke: #ff9a62 }
}
";

/// As text or attribute of XML.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML 1.0 has no way to write the others.
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Where a text stands in relation to its point.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    /// To the right of it.
    Start,
    /// On both sides of it.
    Middle,
    /// To the left of it.
    End,
}

/// Appends a text.
pub fn text(svg: &mut String, class: &str, at: (f64, f64), anchor: Anchor, content: &str) {
    let anchor = match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    let ((x, y), content) = (at, escape(content));
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>"
    );
}

/// Appends a straight line.
pub fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

/// What the axes mean: below the panel and above its left edge.
pub fn axis_names(svg: &mut String, panel: Panel, across: &str, up: &str) {
    let middle = f64::midpoint(panel.left, panel.right);
    text(svg, "soft", (middle, panel.bottom + 46.0), Anchor::Middle, across);
    text(svg, "soft", (panel.left - 44.0, panel.top - 14.0), Anchor::Start, up);
}
