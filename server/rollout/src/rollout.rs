//! One rollout: observations in, actions out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::counts::Counts;
use crate::finding::Finding;
use crate::guards::Guards;
use crate::ledger::Ledger;
use crate::moment::Moment;
use crate::observation::{Action, Observation, Readiness};
use crate::plan::Plan;
use crate::record::{Cause, Evidence, Verdict};
use crate::state::{Fault, Hold, Phase, State};
use crate::subject::Subject;
use crate::weight::Weight;

/// The way of one candidate, from its load to the promotion or back. All of it can be written
/// down and read again; the driver does so before it acts.
///
/// Invariants: only [`Rollout::step`] and [`Rollout::command`] change the state, each at most once
/// a call, and each change brings one [`Action::Record`]. The candidate's share changes only when
/// a stage begins or all of it ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    subject: Subject,
    plan: Plan,
    state: State,
    /// When it began first, which is its name. Older servers did not write it down.
    #[serde(default)]
    since: Option<Moment>,
    /// Where the time of all of it is counted from: the start, or the last resumption.
    began: Moment,
    stage_began: Moment,
    /// Stages that are over. Apart, so that whoever holds a rollout while waiting needs little room for that.
    ledger: Box<Ledger>,
    /// Counts of the running stage from before the counters began anew.
    carried: Counts,
    /// Counts of the running stage.
    current: Counts,
    /// What is slow in the running stage.
    slow_above: Option<Duration>,
}

impl Rollout {
    /// Begins. The driver loads the candidate and shows what it sees.
    pub fn new(subject: Subject, plan: Plan, now: Moment) -> Rollout {
        Rollout {
            subject,
            plan,
            state: State::Running { phase: Phase::Loading },
            since: Some(now),
            began: now,
            stage_began: now,
            ledger: Box::default(),
            carried: Counts::default(),
            current: Counts::default(),
            slow_above: None,
        }
    }

    /// Whose it is.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Names it among all of its model: from which version to which, and since when.
    pub fn id(&self) -> String {
        let since = self.since.unwrap_or(self.began);
        format!("{}-{}-{}", self.subject.stable(), self.subject.canary(), since.0)
    }

    /// What was asked for.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// The candidate's share of the requests.
    pub fn weight(&self) -> Weight {
        match self.state {
            State::Running { phase } | State::Held { phase, .. } => phase.weight(&self.plan),
            State::Promoted { .. } => Weight::ALL,
            State::RolledBack => Weight::NONE,
        }
    }

    /// What has to be in force now: for a driver that begins again with what was written down.
    pub fn in_force(&self) -> Vec<Action> {
        let weight = |canary| Action::SetWeight { canary, stage: 0, slow_above: None };
        match self.state {
            State::Running { phase } | State::Held { phase, .. } => {
                self.of_phase(phase).into_iter().collect()
            }
            State::Promoted { warm_until: until } => {
                let version = self.subject.stable();
                vec![weight(Weight::ALL), Action::KeepWarm { version, until }]
            }
            State::RolledBack => vec![weight(Weight::NONE)],
        }
    }

    /// Above this an answer of the running stage is slow.
    pub fn slow_above(&self) -> Option<Duration> {
        self.slow_above
    }

    /// Everything that has been counted.
    pub fn counts(&self) -> Counts {
        self.ledger.total(&self.current)
    }

    /// What every test says now: what would roll back, then what a promotion needs.
    pub fn findings(&self) -> Vec<Finding> {
        let (State::Running { phase } | State::Held { phase, .. }) = self.state else {
            return Vec::new();
        };
        let guards = self.guards(phase);
        let mut findings = guards.worse();
        findings.extend(guards.good_enough());
        findings
    }

    /// The counters begin anew at zero, as after a restart: what was seen of the stage is kept, and
    /// what comes is added. A driver that begins again calls this, then does what is
    /// [in force](Rollout::in_force).
    pub fn recount(&mut self) {
        self.carried = self.current;
    }

    /// Looks at what was seen, and says what to do about it. Nothing may be amiss: then the list
    /// is empty. Never more than one change of state.
    pub fn step(&mut self, now: Moment, seen: &Observation) -> Vec<Action> {
        let phase = match self.state {
            State::RolledBack => return Vec::new(),
            State::Promoted { warm_until } => {
                let fault = self.fault(seen).filter(|_| now < warm_until);
                return fault
                    .map_or(Vec::new(), |it| self.roll_back(now, Cause::Fault(it), Vec::new()));
            }
            State::Running { phase } | State::Held { phase, .. } => phase,
        };
        if seen.stage == phase.stage() && seen.stage != 0 {
            self.current = self.carried.merged(&seen.counts);
        }
        let worse = self.guards(phase).worse();
        if let Some(fault) = self.fault(seen) {
            return self.roll_back(now, Cause::Fault(fault), worse);
        }
        if let Some(finding) = worse.iter().find(|it| it.holds()) {
            return self.roll_back(now, Cause::Guard(finding.guard), worse);
        }
        match self.state {
            State::Running { .. } => self.go_on(now, phase, seen, worse),
            State::Held { .. } | State::Promoted { .. } | State::RolledBack => Vec::new(),
        }
    }

    /// The next phase, the promotion, or a rest: when replicas have other bytes of the candidate, or the time is over.
    fn go_on(
        &mut self,
        now: Moment,
        phase: Phase,
        seen: &Observation,
        mut findings: Vec<Finding>,
    ) -> Vec<Action> {
        if let Some(words) = &seen.differs {
            let held = State::Held { phase, why: Hold::Differs };
            return vec![self.change(now, held, Cause::Differs(words.clone()), findings)];
        }
        let next = phase.next(&self.plan);
        if self.is_reached(now, phase, seen.readiness) {
            match next {
                Some(next) if self.may_enter(next, seen) => {
                    return self.enter(now, [phase, next], seen, findings);
                }
                Some(_) => {}
                None => {
                    let tests = self.guards(phase).good_enough();
                    let all = tests.iter().all(Finding::holds);
                    findings.extend(tests);
                    if all {
                        return self.promote(now, Cause::GoodEnough, findings);
                    }
                }
            }
        }
        if now.since(self.began) < self.plan.duration_max {
            return Vec::new();
        }
        let held = State::Held { phase, why: Hold::MaxDuration };
        vec![self.change(now, held, Cause::MaxDuration, findings)]
    }

    /// Has the phase given what it is there for?
    fn is_reached(&self, now: Moment, phase: Phase, readiness: Readiness) -> bool {
        match phase {
            Phase::Loading => readiness >= Readiness::Loaded,
            Phase::Validating => readiness >= Readiness::Validated,
            Phase::Shadow => self.current.pairs.pairs >= self.plan.shadow_rows,
            Phase::Canary { .. } => {
                let labels = &self.current.labels;
                let labelled = labels.canary.n.saturating_add(labels.paired.n);
                self.current.canary.requests >= self.plan.step_requests_min
                    && labelled >= self.plan.step_labels_min
                    && now.since(self.stage_began) >= self.plan.step_duration_min
            }
        }
    }

    /// A split needs to know what is slow, if that is watched.
    fn may_enter(&self, next: Phase, seen: &Observation) -> bool {
        let splits = matches!(next, Phase::Canary { .. });
        let known = seen.stable_p99.is_some() || self.slow_above.is_some();
        !splits || known || self.plan.p99_tolerance.is_none()
    }

    fn enter(
        &mut self,
        now: Moment,
        [from, next]: [Phase; 2],
        seen: &Observation,
        findings: Vec<Finding>,
    ) -> Vec<Action> {
        let to = State::Running { phase: next };
        let record = self.change(now, to, Cause::Reached, findings);
        self.ledger.close(&self.plan, from, &self.current);
        self.stage_began = now;
        self.carried = Counts::default();
        self.current = Counts::default();
        let slow_above = seen.stable_p99.and_then(|it| self.plan.slow_above(it));
        self.slow_above = slow_above.or(self.slow_above);
        let actions = self.stop_shadow(from).into_iter().chain(self.of_phase(next));
        actions.chain([record]).collect()
    }

    /// What a phase asks for.
    fn of_phase(&self, phase: Phase) -> Option<Action> {
        let stage = phase.stage();
        match phase {
            Phase::Loading => None,
            Phase::Validating => Some(Action::Validate),
            Phase::Shadow => Some(Action::SetShadow { share: self.plan.shadow_share, stage }),
            Phase::Canary { .. } => {
                let canary = phase.weight(&self.plan);
                Some(Action::SetWeight { canary, stage, slow_above: self.slow_above })
            }
        }
    }

    /// Copies end with their phase.
    fn stop_shadow(&self, phase: Phase) -> Option<Action> {
        let stop = Action::SetShadow { share: Weight::NONE, stage: 0 };
        (phase == Phase::Shadow).then_some(stop)
    }

    /// The candidate takes over.
    pub(crate) fn promote(
        &mut self,
        now: Moment,
        cause: Cause,
        findings: Vec<Finding>,
    ) -> Vec<Action> {
        let until = now.after(self.plan.rollback_window);
        let (before, version) = (self.state, self.subject.stable());
        let to = State::Promoted { warm_until: until };
        let record = self.change(now, to, cause, findings);
        let all = Action::SetWeight { canary: Weight::ALL, stage: 0, slow_above: None };
        let actions = [all, Action::Promote, Action::KeepWarm { version, until }, record];
        self.end_shadow(before).into_iter().chain(actions).collect()
    }

    /// The old version takes everything back.
    pub(crate) fn roll_back(
        &mut self,
        now: Moment,
        cause: Cause,
        findings: Vec<Finding>,
    ) -> Vec<Action> {
        let before = self.state;
        let record = self.change(now, State::RolledBack, cause, findings);
        let none = Action::SetWeight { canary: Weight::NONE, stage: 0, slow_above: None };
        let actions = [none, Action::RollBack, record];
        self.end_shadow(before).into_iter().chain(actions).collect()
    }

    fn end_shadow(&self, before: State) -> Option<Action> {
        match before {
            State::Running { phase } | State::Held { phase, .. } => self.stop_shadow(phase),
            State::Promoted { .. } | State::RolledBack => None,
        }
    }

    /// Rests where it is.
    pub(crate) fn hold(&mut self, now: Moment, phase: Phase, cause: Cause) -> Vec<Action> {
        let to = State::Held { phase, why: Hold::Operator };
        let findings = self.findings();
        vec![self.change(now, to, cause, findings)]
    }

    /// Goes on where it rested; the time it may take begins anew.
    pub(crate) fn resume(&mut self, now: Moment, phase: Phase, cause: Cause) -> Vec<Action> {
        let findings = self.findings();
        let to = State::Running { phase };
        let record = self.change(now, to, cause, findings);
        self.began = now;
        vec![record]
    }

    /// The only place where the state changes.
    fn change(&mut self, now: Moment, to: State, cause: Cause, findings: Vec<Finding>) -> Action {
        let from = std::mem::replace(&mut self.state, to);
        let (before, after) = (from.words(&self.plan), to.words(&self.plan));
        let mut words = format!("{before}, now {after}: {cause}");
        for finding in &findings {
            words.push_str("; ");
            words.push_str(&finding.words);
        }
        let (subject, counts) = (self.subject.clone(), self.counts());
        let (at, verdict) = (now, Verdict::of(to));
        Action::Record(Box::new(Evidence {
            at,
            subject,
            verdict,
            from,
            to,
            cause,
            counts,
            findings,
            words,
        }))
    }

    /// What needs no statistics.
    fn fault(&self, seen: &Observation) -> Option<Fault> {
        let Counts { canary, pairs, .. } = &seen.counts;
        let answers = canary.non_finite.saturating_add(pairs.non_finite);
        let non_finite = (answers > 0 && !self.plan.non_finite).then_some(answers);
        seen.fault.clone().or(non_finite.map(Fault::NonFinite))
    }

    fn guards(&self, phase: Phase) -> Guards<'_> {
        Guards::new(&self.plan, &self.ledger, phase, &self.current, self.slow_above)
    }
}

#[cfg(test)]
#[path = "rollout_tests.rs"]
mod tests;
