//! The middle of some numbers.

use crate::compare::median;

#[test]
fn median_is_the_middle_or_the_mean_of_both() {
    let table: [(&[f64], f64); 3] =
        [(&[1.0], 1.0), (&[3.0, 1.0, 2.0], 2.0), (&[4.0, 1.0, 3.0, 2.0], 2.5)];
    for (values, expected) in table {
        assert_eq!(median(values.iter().copied()), expected, "{values:?}");
    }
    assert!(median(std::iter::empty()).is_nan());
}
