//! A column as it was read: what it holds, and what kind of thing that is.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

/// Integers of so few different values are categories.
const INTEGER_CATEGORIES_MAX: usize = 10;

/// What a column holds, row by row.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Numbers; NaN stands for one that is missing.
    Numbers {
        /// Row by row.
        values: Vec<f64>,
        /// Of an integer type, and none is missing.
        whole: bool,
    },
    /// Integers of which some have more digits than a 64-bit float holds, and none is missing.
    Large(Vec<i64>),
    /// True, false or missing.
    Flags(Vec<Option<bool>>),
    /// Text, or missing.
    Words(Vec<Option<Box<str>>>),
    /// Vectors, or missing.
    Vectors(Vec<Option<Box<[f32]>>>),
    /// Something that has no statistics here, such as times: its type.
    Other(String),
}

/// Up to there, and down to its opposite, each integer is a 64-bit float of its own.
const EXACT_MAX: i64 = 1 << 53;

/// How a column is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Numbers that have distances.
    #[serde(rename = "num")]
    Numerical,
    /// Values that are the same or not.
    #[serde(rename = "cat")]
    Categorical,
    /// Text that is hardly ever the same twice.
    #[serde(rename = "text")]
    Text,
    /// Anything else, such as times.
    #[serde(rename = "other")]
    Other,
}

/// One value of a categorical column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Category {
    /// True or false.
    Flag(bool),
    /// A number.
    Number(Number),
    /// Text.
    Word(Box<str>),
}

/// A finite number that can be sorted and looked up.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Number(f64);

/// Categories and how often each occurs.
pub type Tally = BTreeMap<Category, u64>;

impl Values {
    /// Of integers without a missing one.
    pub fn of_integers(values: Vec<i64>) -> Values {
        let exact = |it: &i64| (-EXACT_MAX..=EXACT_MAX).contains(it);
        if values.iter().all(exact) {
            Values::Large(values).rounded()
        } else {
            Values::Large(values)
        }
    }

    /// Integers of any size as the floats that are nearest.
    #[expect(clippy::cast_precision_loss, reason = "that is what it is for")]
    pub fn rounded(self) -> Values {
        let Values::Large(integers) = self else { return self };
        let values = integers.into_iter().map(|it| it as f64).collect();
        Values::Numbers { values, whole: true }
    }

    /// Its integers, if it holds nothing else and each is exact.
    #[expect(clippy::cast_possible_truncation, reason = "each is an integer up to 2^53")]
    pub(crate) fn integers(&self) -> Option<Vec<i64>> {
        match self {
            Values::Large(it) => Some(it.clone()),
            Values::Numbers { values, whole: true } => {
                #[expect(clippy::cast_precision_loss, reason = "a power of two")]
                let most = EXACT_MAX as f64;
                let exact = |it: &f64| it.abs() <= most && it.fract() == 0.0;
                let all = values.iter().all(exact);
                all.then(|| values.iter().map(|it| *it as i64).collect())
            }
            Values::Numbers { whole: false, .. }
            | Values::Flags(_)
            | Values::Words(_)
            | Values::Vectors(_)
            | Values::Other(_) => None,
        }
    }

    /// True and false as 1 and 0.
    pub fn of_flags(flags: &[Option<bool>]) -> Values {
        let number = |it: &Option<bool>| it.map_or(f64::NAN, |it| f64::from(u8::from(it)));
        let whole = flags.iter().all(Option::is_some);
        Values::Numbers { values: flags.iter().map(number).collect(), whole }
    }

    /// Rows, missing ones included.
    pub fn rows(&self) -> usize {
        match self {
            Values::Numbers { values, .. } => values.len(),
            Values::Large(values) => values.len(),
            Values::Flags(values) => values.len(),
            Values::Words(values) => values.len(),
            Values::Vectors(values) => values.len(),
            Values::Other(_) => 0,
        }
    }

    /// Rows without a usable value: missing, NaN or infinite.
    pub fn missing(&self) -> usize {
        match self {
            Values::Numbers { values, .. } => values.iter().filter(|it| !it.is_finite()).count(),
            Values::Large(_) => 0,
            Values::Flags(values) => values.iter().filter(|it| it.is_none()).count(),
            Values::Words(values) => values.iter().filter(|it| it.is_none()).count(),
            Values::Vectors(values) => values.iter().filter(|it| it.is_none()).count(),
            Values::Other(_) => 0,
        }
    }

    /// How the column is looked at if nobody says otherwise, as Evidently does on a table that
    /// pandas has read: floats are numerical, integers of at most ten values categorical, text
    /// whose values are mostly different is text. An integer column with missing rows counts as
    /// floats, since that is what pandas makes of it.
    pub fn kind(&self) -> Kind {
        match self {
            Values::Numbers { values, whole: true } => of_few(values.iter().map(|it| it.to_bits())),
            Values::Large(values) => of_few(values.iter().copied()),
            Values::Numbers { whole: false, .. } => Kind::Numerical,
            Values::Flags(_) => Kind::Categorical,
            Values::Words(values) => {
                let present = values.iter().flatten();
                let distinct: HashSet<&str> = present.clone().map(AsRef::as_ref).collect();
                let text = 2 * distinct.len() > present.count();
                if text { Kind::Text } else { Kind::Categorical }
            }
            Values::Vectors(_) | Values::Other(_) => Kind::Other,
        }
    }

    /// What the column holds, in a word, for messages.
    pub fn type_name(&self) -> &str {
        match self {
            Values::Numbers { .. } | Values::Large(_) => "numbers",
            Values::Flags(_) => "true and false",
            Values::Words(_) => "text",
            Values::Vectors(_) => "vectors",
            Values::Other(name) => name,
        }
    }

    /// How often each category occurs; what is missing, NaN or infinite is left out.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::new();
        let mut count = |it: Category| *tally.entry(it).or_default() += 1;
        match self {
            Values::Numbers { values, .. } => {
                values.iter().filter_map(|&it| Category::number(it)).for_each(&mut count);
            }
            #[expect(clippy::cast_precision_loss, reason = "categories are 64-bit floats")]
            Values::Large(values) => {
                let categories = values.iter().filter_map(|&it| Category::number(it as f64));
                categories.for_each(&mut count);
            }
            Values::Flags(values) => {
                values.iter().flatten().for_each(|&it| count(Category::Flag(it)));
            }
            Values::Words(values) => {
                values.iter().flatten().for_each(|it| count(Category::Word(it.clone())));
            }
            Values::Vectors(_) | Values::Other(_) => {}
        }
        tally
    }
}

/// The kind of integers: categories if they are of few values.
fn of_few<T: Eq + std::hash::Hash>(mut values: impl Iterator<Item = T>) -> Kind {
    let mut seen = HashSet::new();
    let few = values.all(|it| {
        seen.insert(it);
        seen.len() <= INTEGER_CATEGORIES_MAX
    });
    if few { Kind::Categorical } else { Kind::Numerical }
}

impl Category {
    /// Of a number, if it is one; −0 is 0.
    pub fn number(value: f64) -> Option<Category> {
        value.is_finite().then_some(Category::Number(Number(value + 0.0)))
    }
}

impl std::fmt::Display for Category {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Category::Flag(it) => it.fmt(to),
            Category::Number(it) => it.0.fmt(to),
            Category::Word(it) => it.fmt(to),
        }
    }
}

impl Number {
    /// As a plain number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl std::hash::Hash for Number {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}
