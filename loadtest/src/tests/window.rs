//! Which requests are admitted, which count, which answers came in time.

use std::time::{Duration, Instant};

use crate::window::{Limit, Window};

#[test]
fn time_admits_until_the_end_and_counts_after_the_warmup() {
    let begin = Instant::now();
    let at = |millis: u64| begin + Duration::from_millis(millis);
    let (warmup, duration) = (Duration::from_millis(10), Duration::from_millis(20));
    let window = Window::new(Limit::Time { warmup, duration }, begin, 0, 1);
    // ms, admitted, counted, covered
    let table = [
        (0, true, false, false),
        (9, true, false, false),
        (10, true, true, true),
        (29, true, true, true),
        (30, false, true, false),
    ];
    for (millis, admitted, counted, covered) in table {
        let now = at(millis);
        assert_eq!(window.admits(now), admitted, "{millis} ms");
        assert_eq!(window.counts(now), counted, "{millis} ms");
        assert_eq!(window.covers(now), covered, "{millis} ms");
    }
}

#[test]
fn threads_share_a_number_of_requests() {
    let begin = Instant::now();
    let admitted = |thread| {
        let window = Window::new(Limit::Requests(8), begin, thread, 3);
        (0..100).filter(|_| window.admits(begin)).count()
    };
    assert_eq!([admitted(0), admitted(1), admitted(2)], [3, 3, 2]);
}
