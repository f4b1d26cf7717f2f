//! Three replicas with clocks of their own, on a store that goes wrong, in virtual time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use server_base::{ModelName, Version};
use server_rollout::{
    Arm, Command, Counts, Evidence, Hold, Moment, Observation, RawPlan, Readiness, Rollout, State,
    Subject,
};

use crate::id::ReplicaId;
use crate::ledger::News;
use crate::log;
use crate::member::{Decision, Member, Now};
use crate::memory::{Memory, Weather};
use crate::record::{Record, Saved, Telling};
use crate::report::Seen;
use crate::shown::ReplicaShown;
use crate::store::Store as _;

const SEEDS: u64 = 40;
const LEASE: Duration = Duration::from_secs(10);
/// Bad weather until here, then fine: all of it must have come to an end some time later.
const STORMY_S: u64 = 250;
const SECONDS: u64 = 500;
/// A replica with other bytes of the candidate has the right ones from here on, and an operator says some time
/// later that it goes on.
const MENDED_S: u64 = STORMY_S;
const RESUMED_S: u64 = MENDED_S + 20;
const RIGHT: &str = "sha256:right";
const OTHER: &str = "sha256:other";

/// splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (it ^ (it >> 31)) % n
    }
}

fn wine() -> ModelName {
    ModelName::new("wine").expect("a name")
}

/// A replica: what the driver is to a [`Member`], with requests that come by themselves.
struct Replica {
    member: Member<Memory>,
    weather: Rc<Cell<Weather>>,
    /// Its wall clock is so far ahead.
    ahead_s: u64,
    /// Its own clock goes so fast, in percent.
    pace: u64,
    /// Stands still until then. `midway`: it has read, and not decided.
    asleep_until: u64,
    midway: bool,
    acts_by: Option<Record>,
    stage: u32,
    counts: Counts,
    /// What it has said that it decided.
    told: Vec<(Telling, Evidence)>,
    /// Of the candidate.
    bytes: &'static str,
}

impl Replica {
    fn now(&self, second: u64) -> Now {
        let own = Duration::from_millis(second * 10 * self.pace);
        Now { wall: Moment((second + self.ahead_s) * 1_000), own }
    }

    fn adopt(&mut self, record: Record) {
        let stage = match record.saved.rollout.state() {
            State::Running { phase } | State::Held { phase, .. } => phase.stage(),
            State::Promoted { .. } | State::RolledBack => 0,
        };
        if stage != self.stage {
            (self.stage, self.counts) = (stage, Counts::default());
        }
        self.acts_by = Some(record);
    }

    /// A hundred requests, shared out as the record says; the candidate fails so many in a hundred.
    fn serve(&mut self, random: &mut Random, fails: u64) {
        let Some(record) = &self.acts_by else { return };
        let share = u64::from(record.saved.rollout.weight().basis_points());
        for _ in 0..100 {
            let canary = random.below(10_000) < share;
            let failed = canary && random.below(100) < fails;
            let arm = if canary { &mut self.counts.canary } else { &mut self.counts.stable };
            arm.merge(&Arm { requests: 1, errors: u64::from(failed), ..Arm::default() });
        }
    }

    /// Acts by all that came.
    fn follow(&mut self) {
        for News { decided, record } in self.member.news() {
            self.told.extend(decided);
            self.adopt(record);
        }
    }

    fn begin_turn(&mut self, second: u64) {
        if self.asleep_until <= second && !self.midway {
            self.read(second);
            self.midway = true;
        }
    }

    fn end_turn(&mut self, second: u64) {
        if self.asleep_until <= second {
            self.decide(second);
            self.midway = false;
        }
    }

    fn read(&mut self, second: u64) {
        let (now, stage, counts) = (self.now(second), self.stage, self.counts);
        let readiness = Readiness::Validated;
        let observation = Observation { readiness, stage, counts, ..Observation::default() };
        let digests = [(1, RIGHT.to_owned()), (2, self.bytes.to_owned())].into();
        let seen = Seen { observation, digests, ..Seen::default() };
        // What does not work is tried again in the next turn.
        drop(self.member.report(now, [(wine(), seen)].into()));
        drop(self.member.refresh(now));
        self.follow();
    }

    fn decide(&mut self, second: u64) {
        let now = self.now(second);
        if let Ok(Some(Decision::Made)) = self.member.decide("wine", now) {
            let record = self.member.record("wine").expect("a rollout");
            if matches!(record.saved.rollout.state(), State::Promoted { .. }) {
                let shown = self.member.shown(&wine(), now).expect("a rollout");
                let other = |it: &ReplicaShown| it.digests.get(&2).is_some_and(|it| it == OTHER);
                assert!(!shown.replicas.iter().any(other), "of other bytes nothing was proven");
            }
        }
        // The model's file asks for it: so it does on each of them.
        if self.acts_by.is_none() {
            drop(self.member.begin(Saved::new(rollout(now.wall), true, None), now));
        }
        self.follow();
    }
}

fn rollout(at: Moment) -> Rollout {
    let plan = RawPlan {
        steps: Some("10,50,100".to_owned()),
        shadow_rows: Some(0),
        latency: Some(false),
        step_requests_min: Some(3_000),
        step_duration_s_min: Some(20),
        duration_s_max: Some(86_400),
        ..RawPlan::default()
    };
    let subject = Subject::new(wine(), Version(1), Version(2)).expect("two versions");
    Rollout::new(subject, plan.validate().expect("a plan"), at)
}

/// Three of them. `odd`: the last has other bytes of the candidate for a while.
fn replicas(random: &mut Random, memory: &Memory, odd: bool) -> Vec<Replica> {
    let replica = |it| {
        let store = memory.other();
        let weather = Rc::clone(&store.weather);
        Replica {
            member: Member::new(ReplicaId::new(it).expect("a name"), store, LEASE),
            weather,
            ahead_s: random.below(120),
            pace: 90 + random.below(21),
            asleep_until: 0,
            midway: false,
            acts_by: None,
            stage: 0,
            counts: Counts::default(),
            told: Vec::new(),
            bytes: if odd && it == "c" { OTHER } else { RIGHT },
        }
    };
    ["a", "b", "c"].map(replica).into()
}

/// It changes for a while, and is fine at the end.
fn weather(random: &mut Random, stormy: bool, before: Weather) -> Weather {
    if !stormy {
        return Weather::Fine;
    }
    if random.below(20) > 0 {
        return before;
    }
    let fading = Weather::Fading(u32::try_from(random.below(8)).expect("few"));
    let all = [Weather::Fine, Weather::Cut, Weather::Lost, Weather::Torn, Weather::Leaving, fading];
    all[usize::try_from(random.below(6)).expect("few")]
}

/// Is it held for other bytes of the candidate?
fn is_held(record: &Record) -> bool {
    matches!(record.saved.rollout.state(), State::Held { why: Hold::Differs, .. })
}

/// Every record is seen by the one who watches, before it can be taken away.
fn watch(memory: &Memory, history: &mut Vec<Record>) {
    while let Some(next) = log::after(memory, &wine(), history.last()).expect("readable") {
        let from = history.last().map_or(1, |it: &Record| it.number + 1);
        for number in from..next.number {
            let name = format!("rollouts/wine/{number:020}.json");
            let bytes = memory.read(&name).expect("read").expect("not taken away yet");
            history.push(serde_json::from_slice(&bytes).expect("whole"));
        }
        history.push(next);
    }
}

/// Runs one, and returns the log as it was written, with how it ended.
fn run(seed: u64, fails: u64, odd: bool) -> (Vec<Record>, State) {
    let mut random = Random(seed);
    let memory = Memory::default();
    let mut replicas = replicas(&mut random, &memory, odd);
    let mut history: Vec<Record> = Vec::new();
    for second in 1..SECONDS {
        let stormy = second < STORMY_S;
        if second == MENDED_S {
            replicas.iter_mut().for_each(|it| it.bytes = RIGHT);
        }
        if second == RESUMED_S && history.last().is_some_and(is_held) {
            let first = &mut replicas[0];
            let now = first.now(second);
            let said = first.member.command(&wine(), Command::Resume, now).expect("written");
            said.expect("nobody else writes").expect("it is held");
        }
        for it in &mut replicas {
            it.weather.set(weather(&mut random, stormy, it.weather.get()));
            it.serve(&mut random, fails);
        }
        // All may have read before anybody writes.
        let abreast = random.below(2) == 0;
        for it in replicas.iter_mut().filter(|_| abreast) {
            it.begin_turn(second);
        }
        for it in &mut replicas {
            if !abreast {
                it.begin_turn(second);
            }
            // It may sleep for longer than the lease, and go on with what it knew before.
            if stormy && it.midway && random.below(60) == 0 {
                it.asleep_until = second + random.below(40);
            }
            it.end_turn(second);
            watch(&memory, &mut history);
        }
    }
    let last = history.last().expect("one at least");
    for it in &replicas {
        assert_eq!(it.acts_by.as_ref(), Some(last), "seed {seed}: all act by the last record");
        let mine = history.iter().filter(|next| next.by == *it.member.id());
        let tells: Vec<_> = mine.flat_map(Record::told).map(|(it, of)| (it, of.clone())).collect();
        assert_eq!(it.told, tells, "seed {seed}: each is told once");
    }
    for it in &last.saved.evidence {
        let told = replicas.iter().flat_map(|replica| &replica.told);
        assert!(
            told.clone().any(|(_, told)| told == it),
            "seed {seed}: somebody tells {}",
            it.words
        );
        let first = told.filter(|(telling, told)| *telling == Telling::First && told == it);
        assert!(first.count() <= 1, "seed {seed}: one tells {} first", it.words);
    }
    let state = last.saved.rollout.state();
    (history, state)
}

/// Whatever goes wrong: each decision rests on the one before, and terms have one leader each.
fn check(seed: u64, history: &[Record]) {
    for (before, after) in history.iter().zip(history.iter().skip(1)) {
        assert_eq!(after.number, before.number + 1, "seed {seed}");
        let known = before.saved.evidence.len();
        assert_eq!(
            before.saved.evidence,
            after.saved.evidence[..known],
            "seed {seed}: nothing is lost"
        );
        assert!(after.saved.evidence.len() <= known + 1, "seed {seed}: one decision at a time");
        if after.term == before.term {
            assert_eq!(after.leader, before.leader, "seed {seed}");
        } else {
            assert_eq!(after.term, before.term + 1, "seed {seed}");
            assert_ne!(after.leader, before.leader, "seed {seed}");
            assert_eq!(after.leader, after.by, "seed {seed}");
        }
    }
}

#[test]
fn whatever_goes_wrong_replicas_come_to_one_end() {
    let (mut changes, mut waited) = (0, 0);
    for seed in 0..SEEDS {
        // Every other candidate fails one request in twenty, where the stable version fails none.
        let bad = seed % 2 == 1;
        let odd = seed % 4 >= 2;
        let (history, end) = run(seed, if bad { 5 } else { 0 }, odd);
        check(seed, &history);
        let held = history.iter().filter(|it| is_held(it)).count();
        assert!(odd || held == 0, "seed {seed}: all have the same bytes");
        waited += u64::from(held > 0);
        changes += history.last().map_or(0, |it| it.term - 1);
        match end {
            State::RolledBack => assert!(bad, "seed {seed}: a good one went back"),
            State::Promoted { .. } => assert!(!bad, "seed {seed}: a bad one took over"),
            State::Running { .. } | State::Held { .. } => {
                panic!("seed {seed}: it is still {end:?}")
            }
        }
    }
    assert!(
        changes > 2 * SEEDS,
        "leaders were replaced {changes} times: the weather was bad enough"
    );
    assert!(waited >= SEEDS / 4, "replicas with other bytes were seen in {waited} runs");
}
