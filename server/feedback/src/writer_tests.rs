use super::*;
use crate::fixture;

/// Numbers of records of the groups that records of such weights make.
fn groups(weights: &[usize]) -> Vec<usize> {
    let version = Version::new(fixture::form(fixture::subject("m")));
    let item = |bytes: &usize| Item {
        version: Arc::clone(&version),
        record: fixture::record(fixture::hour(1), 1),
        told: None,
        bytes: *bytes,
    };
    let mut items = weights.iter().map(item).peekable();
    let mut groups = Vec::new();
    while items.peek().is_some() {
        groups.push(cut(&mut items).len());
    }
    groups
}

#[test]
fn groups_are_cut_by_number_and_weight() {
    let all = GROUP_BYTES_MAX;
    assert!(groups(&[]).is_empty());
    assert_eq!(groups(&[all / 2, all / 2, 1]), [2, 1]);
    assert_eq!(groups(&[9 * all, 1, 9 * all, all, all]), [1, 1, 1, 1, 1], "one is always taken");
    assert_eq!(groups(&[1; GROUP_RECORDS + 2]), [GROUP_RECORDS, 2]);
}
