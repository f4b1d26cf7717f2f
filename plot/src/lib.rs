//! Diagrams as self-contained SVG, for light and dark pages.
//!
//! Used by the load generator, by `salver tune` and by the test of drift monitors. Pure: the same values give the same picture, and
//! there is no date in it.

pub mod axis;
pub mod style;
pub mod plane;
pub mod shares;
pub mod check;

use style::{Anchor, STYLE, escape, text};

const WIDTH: f64 = 1080.0;
const HEIGHT: f64 = 500.0;

/// Where a panel draws; the labels of its axes go outside.
#[derive(Clone, Copy, Debug)]
pub struct Panel {
    /// From its left edge,
    pub left: f64,
    /// to its right one.
    pub right: f64,
    /// From its upper edge,
    pub top: f64,
    /// to its lower one.
    pub bottom: f64,
}

/// A whole picture: a title, a few lines below it, and what `content` draws.
pub fn page(
    title: &str,
    notes: &[String],
    style: &str,
    content: impl FnOnce(&mut String),
) -> String {
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
