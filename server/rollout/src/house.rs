//! A rollout with its driver's memory, for the tests: shows in words what is to be done.

use std::time::Duration;

use server_base::{ModelName, Version};

use crate::commands::Command;
use crate::counts::{Arm, Counts};
use crate::moment::Moment;
use crate::observation::{Action, Observation, Readiness};
use crate::record::Evidence;
use crate::rollout::Rollout;
use crate::state::Fault;
use crate::subject::Subject;

/// Three splits, everything quick, nothing watched but errors.
pub(crate) const PLAN: &str = r#"{"steps": "10,50,100", "shadow_rows": 100, "latency": false,
    "step_requests_min": 1000, "step_duration_s_min": 60, "duration_s_max": 3600,
    "rollback_window_s": 600}"#;

/// A rollout and what its driver has seen.
pub(crate) struct House {
    pub(crate) rollout: Rollout,
    pub(crate) seen: Observation,
    pub(crate) records: Vec<Evidence>,
    now: Moment,
}

impl House {
    pub(crate) fn new(plan: &str) -> House {
        let plan = serde_json::from_str(plan).expect(plan);
        let wine = ModelName::new("wine").expect("a name");
        let subject = Subject::new(wine, Version(1), Version(2)).expect("two versions");
        let now = Moment(0);
        let rollout = Rollout::new(subject, plan, now);
        House { rollout, seen: Observation::default(), records: Vec::new(), now }
    }

    /// Loaded and checked; the first stage that counts has begun.
    pub(crate) fn begun(plan: &str) -> House {
        let mut house = House::new(plan);
        house.seen.readiness = Readiness::Loaded;
        house.step(1);
        house.seen.readiness = Readiness::Validated;
        house.step(1);
        house
    }

    /// At the first split.
    pub(crate) fn split(plan: &str) -> House {
        let mut house = House::begun(plan);
        house.seen.counts.pairs.pairs = 1_000;
        house.step(1);
        house
    }

    /// Looks, so many seconds later.
    pub(crate) fn step(&mut self, seconds: u64) -> String {
        self.now = self.now.after(Duration::from_secs(seconds));
        let actions = self.rollout.step(self.now, &self.seen);
        self.obey(actions)
    }

    /// The operator says so.
    pub(crate) fn say(&mut self, command: Command) -> String {
        match self.rollout.command(self.now, command) {
            Ok(actions) => self.obey(actions),
            Err(refused) => refused.to_string(),
        }
    }

    /// Another version is wanted than the candidate.
    pub(crate) fn withdraw(&mut self) -> String {
        let actions = self.rollout.withdraw(self.now);
        self.obey(actions)
    }

    /// Requests and errors of both since the stage began.
    pub(crate) fn count(&mut self, stable: [u64; 2], canary: [u64; 2]) {
        let arm = |[requests, errors]: [u64; 2]| Arm { requests, errors, ..Arm::default() };
        self.seen.counts.stable = arm(stable);
        self.seen.counts.canary = arm(canary);
    }

    pub(crate) fn crash(&mut self) {
        self.seen.fault = Some(Fault::Crashed("index out of bounds".to_owned()));
    }

    pub(crate) fn obey(&mut self, actions: Vec<Action>) -> String {
        let shown: Vec<String> = actions.into_iter().map(|it| self.obey_one(it)).collect();
        shown.join(", ")
    }

    fn obey_one(&mut self, action: Action) -> String {
        match action {
            Action::Validate => "validate".to_owned(),
            Action::SetShadow { share, stage } => {
                self.begin(stage);
                format!("shadow {share}")
            }
            Action::SetWeight { canary, stage, slow_above } => {
                self.begin(stage);
                let slow = slow_above.map(|it| format!(" slow above {it:?}")).unwrap_or_default();
                format!("weight {canary}{slow}")
            }
            Action::Promote => "promote".to_owned(),
            Action::RollBack => "roll back".to_owned(),
            Action::KeepWarm { version, until } => format!("warm {version} to {}", until.0),
            Action::Record(evidence) => {
                let shown = format!("record {:?}", evidence.verdict);
                self.records.push(*evidence);
                shown
            }
        }
    }

    fn begin(&mut self, stage: u32) {
        self.seen.stage = stage;
        self.seen.counts = Counts::default();
    }
}
