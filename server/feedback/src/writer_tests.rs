use super::*;
use crate::fixture;
use crate::parcel::Parcel;
use crate::version::Version;

/// Numbers of records of the groups that records of such weights make.
fn groups(weights: &[usize]) -> Vec<usize> {
    let version = Version::new(fixture::form(fixture::subject("m")));
    let record = fixture::record(fixture::hour(1), 1);
    let mut lists: Vec<List> = Vec::new();
    for bytes in weights {
        let mut parcel = Parcel::new(&record, &version).expect("can be a row");
        parcel.bytes = *bytes;
        if !lists.last().is_some_and(|it| it.has_room(&parcel)) {
            lists.push(List::with_room());
        }
        lists.last_mut().expect("one").put(&mut parcel, None);
    }
    let mut lists = lists.into_iter().peekable();
    let mut groups = Vec::new();
    while lists.peek().is_some() {
        groups.push(cut(&mut lists).iter().map(List::len).sum());
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
