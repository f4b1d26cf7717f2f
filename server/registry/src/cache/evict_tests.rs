use super::*;
use proptest::prelude::*;

/// Items as `used[!]:inode=size,..`, `!` if in use; in the order of their names.
fn parse(text: &str) -> Vec<Item> {
    let item = |word: &str| {
        let (used, files) = word.split_once(':').expect("used:files");
        let seconds = used.trim_end_matches('!').parse().expect("a number");
        let file = |it: &str| {
            let (inode, size) = it.split_once('=').expect("inode=size");
            (inode.parse().expect("a number"), size.parse().expect("a number"))
        };
        Item {
            what: What::Partial(word.to_owned()),
            used: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
            in_use: used.ends_with('!'),
            files: files.split(',').map(file).collect(),
        }
    };
    text.split_whitespace().map(item).collect()
}

#[track_caller]
fn check(items: &str, bytes_max: u64, gone: &[usize], left: u64) {
    assert_eq!(plan(&parse(items), bytes_max), (gone.to_vec(), left));
}

#[test]
fn the_longest_unused_goes_first() {
    check("3:1=10 1:2=10 2:3=10", 30, &[], 30);
    check("3:1=10 1:2=10 2:3=10", 29, &[1], 20);
    check("3:1=10 1:2=10 2:3=10", 10, &[1, 2], 10);
    check("3:1=10 1:2=10 2:3=10", 0, &[1, 2, 0], 0);
}

#[test]
fn what_is_in_use_stays() {
    check("1!:1=10 2:2=10", 5, &[1], 10);
    check("1!:1=10 2!:2=10", 0, &[], 20);
}

#[test]
fn a_shared_file_goes_with_its_last_tree() {
    check("1:1=10,2=5 2:2=5 3:3=1", 10, &[0], 6);
    check("1:2=5 2:2=5 3:3=1", 3, &[0, 1], 1);
    check("1:2=5 2!:2=5", 0, &[0], 5);
}

fn any_items() -> impl Strategy<Value = Vec<Item>> {
    let files = prop::collection::vec(0u64..8, 1..4);
    let item = (0u64..20, any::<bool>(), files).prop_map(|(used, in_use, inodes)| Item {
        what: What::Blob(Digest::of(b"")),
        used: SystemTime::UNIX_EPOCH + Duration::from_secs(used),
        in_use,
        files: BTreeSet::from_iter(inodes).into_iter().map(|it| (it, 1 + it * 3)).collect(),
    });
    prop::collection::vec(item, 0..12)
}

proptest! {
    #[test]
    fn never_more_than_must_go_and_never_what_is_used(items in any_items(), most in 0u64..100) {
        let (gone, left) = plan(&items, most);
        prop_assert!(gone.iter().all(|&it| !items[it].in_use));
        let kept = |without: &[usize]| -> u64 {
            let kept = (0..items.len()).filter(|it| !without.contains(it));
            BTreeMap::from_iter(kept.flat_map(|it| items[it].files.clone())).values().sum()
        };
        prop_assert_eq!(left, kept(&gone));
        let all_that_may = items.iter().filter(|it| !it.in_use).count();
        prop_assert!(left <= most || gone.len() == all_that_may);
        if let Some((last, before)) = gone.split_last() {
            prop_assert!(kept(before) > most, "the last needed not go");
            let stays = (0..items.len()).filter(|it| !gone.contains(it) && !items[*it].in_use);
            prop_assert!(stays.into_iter().all(|it| items[it].used >= items[*last].used));
        }
    }
}
