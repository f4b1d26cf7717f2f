use super::*;

/// Who waits, as words `name:had_ms:deadline_ms:run_ms` (`-` is unknown), in order of arrival; then
/// in what order one core is given to them, each run as long as it says.
#[track_caller]
fn check(waiting: &str, expect: &str) {
    let now = Instant::now();
    let ms = |it: &str| Duration::from_millis(it.parse().expect("ms"));
    let mut state = State::default();
    let mut names = Vec::new();
    for (number, word) in waiting.split_whitespace().enumerate() {
        let [name, had, deadline, run] = word.split(':').collect::<Vec<_>>()[..] else {
            panic!("{word}")
        };
        let share = Share { weight: 1, width: 1, had: AtomicU64::new(0) };
        share.set(ms(had));
        let run = (run != "-").then(|| ms(run));
        let claim = Claim { deadline: now + ms(deadline), run };
        let (share, turn) = (Arc::new(share), Arc::default());
        state.waiting.push(Waiting { claim, number: number as u64, share, turn });
        names.push(name);
    }
    let mut order = Vec::new();
    while let Some(place) = state.next(0, now) {
        let next = state.waiting.remove(place);
        order.push(names.remove(place));
        next.share.set(next.share.had() + next.claim.run.unwrap_or_default());
    }
    assert_eq!(order.join(" "), expect, "{waiting}");
}

#[test]
fn equals_go_by_deadline_then_by_arrival() {
    check("a:0:900:- b:0:500:- c:0:900:-", "b a c");
    check("a:0:900:10 b:50:500:10", "b a");
}

#[test]
fn who_had_less_goes_first() {
    check("a:51:100:20 b:0:900:20", "b a");
    check("a:400:900:- b:300:900:- c:100:900:-", "c b a");
}

#[test]
fn a_deadline_that_cannot_be_met_gives_no_precedence() {
    check("a:0:900:100 b:0:50:100", "a b");
    check("a:0:40:100 b:0:50:100", "a b");
}

#[test]
fn short_runs_have_places_of_their_own() {
    let cores = Cores::new(1);
    let share = || Share::new(&cores, 1, 1);
    let (long, short) = (Claimant::new(&cores, &share()), Claimant::new(&cores, &share()));
    let deadline = Instant::now() + Duration::from_secs(60);
    let first = long.enter(Claim { deadline, run: None });
    let second = short.enter(Claim { deadline, run: Some(SHORT) });
    assert_eq!(cores.lock().used, [1, 1]);
    drop((first, second));
    assert_eq!(cores.lock().used, [0, 0]);
}

#[test]
fn a_wide_run_is_not_overtaken_by_narrow_ones() {
    let cores = Cores::new(2);
    let deadline = Instant::now() + Duration::from_secs(60);
    let claim = Claim { deadline, run: None };
    let narrow = Claimant::new(&cores, &Share::new(&cores, 1, 1));
    let running = narrow.enter(claim);
    let (wide, late) = (Share::new(&cores, 1, 9), Share::new(&cores, 1, 1));
    assert_eq!(wide.width, 2, "no more than there are");
    let mut state = cores.lock();
    for (number, share) in [(8, wide), (9, late)] {
        state.waiting.push(Waiting { claim, number, share, turn: Arc::default() });
    }
    state.give(2, Instant::now());
    assert_eq!((state.used, state.waiting.len()), ([1, 0], 2), "both wait for the first to end");
    drop(state);
    drop(running);
    let state = cores.lock();
    assert_eq!((state.used, state.waiting.len()), ([2, 0], 1), "the wide one runs");
}

#[test]
fn idleness_is_not_saved_up() {
    let cores = Cores::new(1);
    let deadline = Instant::now() + Duration::from_secs(60);
    let claim = Claim { deadline, run: None };
    let busy = Claimant::new(&cores, &Share::new(&cores, 1, 1));
    busy.share.set(Duration::from_secs(100));
    drop(busy.enter(claim));
    let idle = Claimant::new(&cores, &Share::new(&cores, 1, 1));
    drop(idle.enter(claim));
    assert!(idle.share.had() >= Duration::from_secs(100));
}

/// Eight instances of two models on two cores: never more than two run, and all come to an end.
#[test]
fn never_more_run_than_there_are_cores() {
    use std::sync::atomic::AtomicUsize;
    let (cores, running, most) = (Cores::new(2), AtomicUsize::new(0), AtomicUsize::new(0));
    let shares = [Share::new(&cores, 1, 1), Share::new(&cores, 3, 1)];
    std::thread::scope(|scope| {
        for number in 0..8 {
            let claimant = Claimant::new(&cores, &shares[number % 2]);
            let (running, most) = (&running, &most);
            scope.spawn(move || {
                for _ in 0..200 {
                    let deadline = Instant::now() + Duration::from_secs(60);
                    let slot = claimant.enter(Claim { deadline, run: None });
                    let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(now, Ordering::SeqCst);
                    std::thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    drop(slot);
                }
            });
        }
    });
    assert!(most.into_inner() <= 2);
    assert_eq!(cores.lock().used, [0, 0]);
}

#[test]
fn without_a_scheduler_everybody_runs() {
    let cores = Cores::unscheduled();
    let claimant = Claimant::new(&cores, &Share::new(&cores, 1, 1));
    let claim = Claim { deadline: Instant::now(), run: None };
    let _both = (claimant.enter(claim), claimant.enter(claim));
    assert_eq!(cores.count(), None);
}
