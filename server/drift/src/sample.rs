//! The numbers of a column, put in order once so that everything else is a walk over them.

/// Finite numbers, ascending; −0 counts as 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    values: Vec<f64>,
}

impl Sample {
    /// Leaves out what is NaN or infinite.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Sample {
        let mut values: Vec<f64> =
            values.into_iter().filter(|it| it.is_finite()).map(|it| it + 0.0).collect();
        values.sort_unstable_by(f64::total_cmp);
        Sample { values }
    }

    /// All of them, ascending.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Smallest and largest.
    pub fn range(&self) -> Option<(f64, f64)> {
        Some((*self.values.first()?, *self.values.last()?))
    }

    /// Each value once, with how often it occurs, ascending.
    pub fn runs(&self) -> impl Iterator<Item = (f64, u64)> {
        self.values.chunk_by(|left, right| left == right).map(|it| (it[0], it.len() as u64))
    }

    /// How many different values there are.
    pub fn distinct(&self) -> usize {
        self.runs().count()
    }

    /// The arithmetic mean; NaN if there are none.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.len() as f64
    }

    /// The standard deviation of the values themselves (divided by n, not n − 1).
    pub fn deviation(&self) -> f64 {
        let mean = self.mean();
        let squares: f64 = self.values.iter().map(|it| (it - mean) * (it - mean)).sum();
        (squares / self.len() as f64).sqrt()
    }

    /// How many lie below `edge`.
    pub fn below(&self, edge: f64) -> usize {
        self.values.partition_point(|&it| it < edge)
    }

    /// How many lie at `edge` or below.
    pub fn up_to(&self, edge: f64) -> usize {
        self.values.partition_point(|&it| it <= edge)
    }

    /// How often a value occurs.
    pub(crate) fn count(&self, value: f64) -> u64 {
        (self.up_to(value) - self.below(value)) as u64
    }

    /// Walks over the different values of two, ascending, each with how many of either are at most that.
    pub fn walk(&self, other: &Sample, mut see: impl FnMut(f64, usize, usize)) {
        let (left, right) = (&self.values, &other.values);
        let (mut i, mut j) = (0, 0);
        loop {
            let next = match (left.get(i), right.get(j)) {
                (Some(&a), Some(&b)) => a.min(b),
                (Some(&one), None) | (None, Some(&one)) => one,
                (None, None) => return,
            };
            while left.get(i) == Some(&next) {
                i += 1;
            }
            while right.get(j) == Some(&next) {
                j += 1;
            }
            see(next, i, j);
        }
    }

    /// Counts between neighbouring edges: `[e₀, e₁)`, ..., and the last one closed, `[e₋₂, e₋₁]`.
    pub fn histogram(&self, edges: &[f64]) -> Vec<u64> {
        let mut counts = Vec::with_capacity(edges.len().saturating_sub(1));
        for (at, pair) in edges.windows(2).enumerate() {
            let last = at + 2 == edges.len();
            let end = if last { self.up_to(pair[1]) } else { self.below(pair[1]) };
            counts.push(end.saturating_sub(self.below(pair[0])) as u64);
        }
        counts
    }
}
