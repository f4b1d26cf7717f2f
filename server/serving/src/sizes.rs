//! A few allowed lengths.

use std::sync::Arc;

/// Lengths that something may be padded to. Invariant: at least one, from 1 on, ascending.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sizes(Arc<[usize]>);

impl Sizes {
    /// `None` unless the invariant holds.
    pub fn new(sizes: &[usize]) -> Option<Sizes> {
        let ascending = sizes.windows(2).all(|it| it.first() < it.last());
        let first = sizes.first().copied().unwrap_or(0);
        (first > 0 && ascending).then(|| Sizes(sizes.into()))
    }

    /// All of them, ascending.
    pub fn all(&self) -> &[usize] {
        &self.0
    }

    /// The largest.
    pub fn max(&self) -> usize {
        self.0.last().copied().unwrap_or(1) // never empty
    }

    /// The least that `length` fits into.
    pub fn up(&self, length: usize) -> Option<usize> {
        let place = self.0.partition_point(|it| *it < length);
        self.0.get(place).copied()
    }

    /// The largest that fits into `length`.
    pub fn down(&self, length: usize) -> Option<usize> {
        let place = self.0.partition_point(|it| *it <= length);
        self.0.get(place.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sizes: &[usize], length: usize, up: Option<usize>, down: Option<usize>) {
        let sizes = Sizes::new(sizes).expect("ascending");
        assert_eq!((sizes.up(length), sizes.down(length)), (up, down), "{length} in {sizes:?}");
    }

    #[test]
    fn the_next_above_and_below() {
        check(&[4, 8], 0, Some(4), None);
        check(&[4, 8], 3, Some(4), None);
        check(&[4, 8], 4, Some(4), Some(4));
        check(&[4, 8], 5, Some(8), Some(4));
        check(&[4, 8], 9, None, Some(8));
    }

    #[test]
    fn anything_else_is_no_list_of_sizes() {
        for wrong in [&[][..], &[0], &[0, 1], &[2, 2], &[4, 2]] {
            assert_eq!(Sizes::new(wrong), None, "{wrong:?}");
        }
    }
}
