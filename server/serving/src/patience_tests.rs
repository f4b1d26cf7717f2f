use super::*;

/// Outcomes as words `count*waited_ms` in order, `!` behind those whose caller has gone; each comes
/// 10 ms after the one before. Then the limit in ms.
#[track_caller]
fn check(outcomes: &str, expect: Option<u64>) {
    let patience = Patience::default();
    feed(&patience, Instant::now(), outcomes);
    assert_eq!(patience.limit(), expect.map(Duration::from_millis), "{outcomes}");
}

/// Gives back when it ended.
fn feed(patience: &Patience, mut now: Instant, outcomes: &str) -> Instant {
    for word in outcomes.split_whitespace() {
        let (count, waited) = word.split_once('*').expect("count*ms");
        let (waited, taken) = match waited.strip_suffix('!') {
            Some(waited) => (waited, false),
            None => (waited, true),
        };
        let waited = Duration::from_millis(waited.parse().expect("ms"));
        for _ in 0..count.parse().expect("count") {
            now += Duration::from_millis(10);
            patience.learn(Outcome { arrived: now - waited, waited, ended: now, taken });
        }
    }
    now
}

#[test]
fn patient_callers_cause_no_limit() {
    check("1000*5000", None);
    check("1*100! 1000*5000", None);
    check("100*100 3*100! 13*100 3*100! 13*100", None);
    check("15*100!", None);
}

#[test]
fn callers_that_leave_do() {
    check("16*2000!", Some(1_500));
    check("12*1900 4*2000!", None); // nobody looked at the first twelve
    check("1*2000! 11*1900 4*2000!", Some(1_500));
    check("8*2000! 7*1600! 1*100", Some(1_200));
}

#[test]
fn who_came_in_under_the_old_limit_does_not_count_again() {
    check("16*2000! 190*2000!", Some(1_500));
    check("16*2000! 216*2000!", Some(1_500)); // the first 200 came before the limit
    check("16*2000! 199*2000! 16*1000!", Some(750));
}

#[test]
fn after_a_while_more_is_tried_and_at_last_all_forgotten() {
    let (patience, start) = (Patience::default(), Instant::now());
    let limited = feed(&patience, start, "16*2000!");
    let refused = |after: u64| {
        patience.refused(limited + Duration::from_secs(after));
        patience.limit().map(|it| it.as_millis())
    };
    assert_eq!(refused(299), Some(1_500));
    assert_eq!(refused(300), Some(2_250));
    assert_eq!(refused(301), Some(2_250));
    assert_eq!(refused(600), Some(3_375));
    assert_eq!(refused(1_501), None);
}
