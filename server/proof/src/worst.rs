//! The rows that differ most, for people to look at.

use serde::Serialize;

/// So many: as many as somebody looks at.
const EXAMPLES_MAX: usize = 10;

/// How a row differs; what is worse stands behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// By more than the tolerance.
    Difference,
    /// It has another class.
    Class,
    /// NaN or infinity, where a number was.
    NotFinite,
    /// The output is not there, or of another shape or type.
    Shape,
}

impl What {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            What::Difference => "other numbers",
            What::Class => "another class",
            What::NotFinite => "not finite",
            What::Shape => "another shape or type",
        }
    }
}

/// A row that differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Example {
    /// The request's id.
    pub id: String,
    /// Which output.
    pub output: String,
    /// Which row of the request.
    pub row: usize,
    /// How it differs.
    pub what: What,
    /// What was logged, as far as a line has room.
    pub was: String,
    /// What it is.
    pub is: String,
    /// Largest distance of two numbers in it.
    pub difference: f64,
}

/// See the module: the worst first, of alike ones the first that came.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Worst(Vec<Example>);

impl Worst {
    /// The worst first.
    pub fn examples(&self) -> &[Example] {
        &self.0
    }

    /// Is made only if it is among them.
    pub(crate) fn add(&mut self, what: What, difference: f64, make: impl FnOnce() -> Example) {
        let is_as_bad = |it: &Example| (it.what, it.difference) >= (what, difference);
        let place = self.0.partition_point(is_as_bad);
        if place < EXAMPLES_MAX {
            self.0.truncate(EXAMPLES_MAX - 1);
            self.0.insert(place, make());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_are_kept_in_their_order() {
        let mut worst = Worst::default();
        let all =
            [(What::Class, 0.5), (What::Difference, 9.0), (What::Shape, 0.0), (What::Class, 0.75)];
        let many = (0..20).map(|it| (What::Difference, f64::from(it) / 4.0));
        for (id, (what, difference)) in all.into_iter().chain(many).enumerate() {
            worst.add(what, difference, || Example {
                id: id.to_string(),
                output: "y".to_owned(),
                row: 0,
                what,
                was: String::new(),
                is: String::new(),
                difference,
            });
        }
        let ids: Vec<&str> = worst.examples().iter().map(|it| it.id.as_str()).collect();
        assert_eq!(ids, ["2", "3", "0", "1", "23", "22", "21", "20", "19", "18"]);
    }
}
