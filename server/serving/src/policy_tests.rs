use super::*;

/// A request of `rows` rows of `row` units in shape class `class`, arrived at `at` µs.
#[derive(Clone, Debug)]
struct Arrival {
    at: u64,
    rows: usize,
    row: usize,
    class: char,
    deadline: u64,
    start: Instant,
}

impl Queued for Arrival {
    fn rows(&self) -> usize {
        self.rows
    }
    fn units(&self) -> usize {
        self.rows * self.row
    }
    fn arrived(&self) -> Instant {
        self.start + Duration::from_micros(self.at)
    }
    fn deadline(&self) -> Instant {
        self.start + Duration::from_micros(self.deadline)
    }
    fn is_gone(&self) -> bool {
        false
    }
    fn joins(&self, other: &Self) -> bool {
        (self.class, self.row) == (other.class, other.row)
    }
    fn expire(self, _now: Instant) {}
}

/// Plays arrivals in virtual time against one instance that is always free. `arrivals` are words
/// `at:rows[xunits][class][!deadline]` in µs; the answer is words `at:rows+rows.../reason`.
#[track_caller]
fn check(rows_max: usize, delay_us: u64, arrivals: &str, expect: &str) {
    let delay_max = Duration::from_micros(delay_us);
    let batching = Batching { rows_max, delay_max, ..Batching::default() };
    check_bounded((batching, usize::MAX), arrivals, expect);
}

/// The same of batches of so many units at most.
#[track_caller]
fn check_bounded((batching, units_max): (Batching, usize), arrivals: &str, expect: &str) {
    let start = Instant::now();
    let batching = batching.at_most(units_max.into());
    let mut coming: VecDeque<Arrival> =
        arrivals.split_whitespace().map(|it| parse(it, start)).collect();
    let (mut queue, mut told, mut now) = (VecDeque::new(), Vec::new(), 0);
    loop {
        while coming.front().is_some_and(|it| it.at <= now) {
            queue.extend(coming.pop_front());
        }
        let at = start + Duration::from_micros(now);
        now = match (batching.step(&queue, at), coming.front()) {
            (Step::Run { reason }, _) => {
                let Taken { batch, stopped } = batching.take(&mut queue, 0, at, &mut Vec::new());
                let rows: Vec<String> = batch.iter().map(|it| it.rows.to_string()).collect();
                if !rows.is_empty() {
                    let reason = reason.and(stopped).label();
                    told.push(format!("{now}:{}/{reason}", rows.join("+")));
                }
                now
            }
            (Step::Wait { until }, next) => {
                let until = u64::try_from((until - start).as_micros()).expect("small");
                next.map_or(until, |it| it.at.min(until))
            }
            (Step::Idle, Some(next)) => next.at,
            (Step::Idle, None) => break,
        };
    }
    assert_eq!(told.join(" "), expect, "{arrivals}");
}

fn parse(word: &str, start: Instant) -> Arrival {
    let (word, deadline) = word.split_once('!').unwrap_or((word, "1000000"));
    let (at, rest) = word.split_once(':').expect("at:rows");
    let class = rest.chars().last().filter(char::is_ascii_alphabetic).unwrap_or('a');
    let rest = rest.trim_end_matches(char::is_alphabetic);
    let (rows, row) = rest.split_once('x').unwrap_or((rest, "1"));
    let (rows, row) = (rows.parse().expect("rows"), row.parse().expect("units"));
    let (at, deadline) = (at.parse().expect("µs"), deadline.parse().expect("µs"));
    Arrival { at, rows, row, class, deadline, start }
}

#[test]
fn without_a_delay_what_is_there_runs() {
    check(4, 0, "0:1", "0:1/idle");
    check(4, 0, "0:1 0:1 5:1", "0:1+1/idle 5:1/idle");
}

#[test]
fn a_full_batch_leaves_at_once() {
    check(4, 100, "0:1 10:3", "10:1+3/full");
    check(4, 0, "0:2 0:2 0:1", "0:2+2/full 0:1/idle");
}

#[test]
fn a_lone_request_leaves_after_the_delay() {
    check(4, 100, "0:1", "100:1/delay");
}

#[test]
fn a_request_that_does_not_fit_starts_the_next_batch() {
    check(4, 100, "0:3 5:2", "5:3/full 105:2/delay");
    check(4, 0, "0:3 0:2 0:1", "0:3/full 0:2+1/idle");
}

#[test]
fn unlike_shapes_never_share_a_batch() {
    check(4, 0, "0:1a 0:1b 0:1a 0:1b", "0:1+1/shape 0:1+1/idle");
    check(2, 0, "0:1a 0:1b 0:1a 0:1b", "0:1+1/full 0:1+1/full");
    check(4, 100, "0:1a 1:1b 2:1a", "100:1+1/delay 101:1/delay");
    check(2, 100, "0:1b 1:1a 2:1a", "100:1/delay 100:1+1/full");
}

#[test]
fn order_holds_among_like_shapes() {
    check(4, 0, "0:3a 0:3a 0:1a 0:1b", "0:3/full 0:3+1/full 0:1/idle");
}

#[test]
fn waiting_never_costs_a_deadline() {
    check(4, 100, "0:1!60", "30:1/deadline");
    check(4, 100, "0:1!500", "100:1/delay");
    check(4, 500, "0:1 10:1!60", "35:1+1/deadline");
}

#[test]
fn elements_bound_a_batch_as_rows_do() {
    let bounded = |rows_max, delay_us, elements_max| {
        let delay_max = Duration::from_micros(delay_us);
        (Batching { rows_max, delay_max, elements_max, ..Batching::default() }, usize::MAX)
    };
    check_bounded(bounded(8, 0, 64), "0:1x16 0:1x16 0:1x16", "0:1+1+1/idle");
    check_bounded(bounded(8, 0, 64), "0:3x16 0:2x16", "0:3/elements 0:2/idle");
    check_bounded(bounded(8, 0, 64), "0:1x64 0:4x16", "0:1/elements 0:4/elements");
    check_bounded(bounded(2, 0, 64), "0:1x16 0:1x16 0:1x16", "0:1+1/full 0:1/idle");
    // A row more would not fit: nothing to wait for.
    check_bounded(bounded(8, 100, 60), "0:1x16 5:2x16", "5:1+2/elements");
    check_bounded(bounded(8, 100, 64), "0:1x16 5:2x16", "100:1+2/delay");
}

#[test]
fn what_runs_cost_bounds_a_batch() {
    let bounded = |rows_max, units_max, sizes: &[usize]| {
        (Batching { rows_max, sizes: Sizes::new(sizes), ..Batching::default() }, units_max)
    };
    check_bounded(bounded(8, 2, &[]), "0:1 0:1 0:1", "0:1+1/cost 0:1/idle");
    check_bounded(bounded(8, 8, &[]), "0:8", "0:8/full");
    // One request runs, however large it is.
    check_bounded(bounded(8, 2, &[]), "0:3 0:1", "0:3/cost 0:1/idle");
    check_bounded(bounded(8, 32, &[]), "0:1x16 0:1x16 0:1x16", "0:1+1/cost 0:1/idle");
    // Three rows would run as eight.
    check_bounded(bounded(8, 7, &[2, 8]), "0:1 0:1 0:1", "0:1+1/cost 0:1/idle");
    check_bounded(bounded(8, 8, &[2, 8]), "0:1 0:1 0:1", "0:1+1+1/idle");
    check_bounded(bounded(8, 1, &[2, 8]), "0:1 0:1 0:1", "0:1+1/cost 0:1/idle");
}

#[test]
fn whoever_has_gone_closes_nothing() {
    // The second would have filled the batch, or hurried it, but its time is up.
    check(2, 100, "0:1 10:1!10", "100:1/delay");
    check(4, 500, "0:1 10:1!60 60:1", "35:1+1/deadline 560:1/delay");
    check(4, 100, "0:1!0 10:1", "110:1/delay");
}
