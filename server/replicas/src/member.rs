//! One replica's part in all of it: reads, reports, and decides where it leads.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use server_base::ModelName;
use server_rollout::{Action, Command, Evidence, Moment, Refused, Rollout, State};

use crate::id::ReplicaId;
use crate::lease::{Standing, standing};
use crate::log::{self, ShareError};
use crate::record::{FORMAT, Record, Saved, Wish};
use crate::report::{Report, Seen};
use crate::store::Store;

/// Reports that are read in a turn, those of replicas that are gone included.
const REPORTS_MAX: usize = 1_000;

/// Logs that are read in a turn: more models than anybody rolls out at a time.
const MODELS_MAX: usize = 1_000;

/// A report of nothing that goes on is taken away after so long a silence.
const FORGET_AFTER: Duration = Duration::from_secs(3_600);

/// Others may write in between so often until a command is given up.
const TRIES_MAX: usize = 8;

/// The two clocks of a turn.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The wall's, for what is written down.
    pub wall: Moment,
    /// Since this process began, never set back, for the lease.
    pub own: Duration,
}

/// What came of a decision.
#[derive(Debug)]
pub enum Decision {
    /// None: this is where the rollout stands, with all that was counted.
    None(Box<Saved>),
    /// It is written down, and may be done now.
    Made {
        /// As it was written down.
        record: Box<Record>,
        /// What was decided, in order.
        evidence: Vec<Evidence>,
    },
    /// Another was faster, or leads by now: it is read in the next turn.
    Refused,
}

/// A replica that was heard of.
#[derive(Debug)]
struct Peer {
    report: Report,
    /// When its beat changed last, by our clock.
    heard: Duration,
}

/// See the crate. `S` is where replicas meet.
#[derive(Debug)]
pub struct Member<S> {
    id: ReplicaId,
    store: S,
    lease: Duration,
    beat: u64,
    records: BTreeMap<ModelName, (Record, Duration)>,
    peers: BTreeMap<ReplicaId, Peer>,
}

impl<S: Store> Member<S> {
    /// One that knows nothing yet. Others take over where it leads when it is silent for longer than `lease`.
    pub fn new(id: ReplicaId, store: S, lease: Duration) -> Member<S> {
        Member { id, store, lease, beat: 0, records: BTreeMap::new(), peers: BTreeMap::new() }
    }

    /// Its name.
    pub fn id(&self) -> &ReplicaId {
        &self.id
    }

    /// The last record of a model that was read or written here.
    pub fn record(&self, model: &str) -> Option<&Record> {
        self.records.get(model).map(|(record, _)| record)
    }

    /// Reads what others have written. What is new is to be acted by; what cannot be read leaves its model as it is.
    pub fn refresh(&mut self, now: Now) -> Result<(Vec<Record>, Vec<ShareError>), ShareError> {
        let (mut new, mut faults) = (Vec::new(), Vec::new());
        let mut models = log::models(&self.store)?;
        models.sort();
        for model in models.into_iter().take(MODELS_MAX) {
            match log::after(&self.store, &model, self.record(model.as_str())) {
                Ok(None) => {}
                Ok(Some(record)) => {
                    self.records.insert(model, (record.clone(), now.own));
                    new.push(record);
                }
                Err(fault) => faults.push(fault),
            }
        }
        self.hear(now)?;
        Ok((new, faults))
    }

    /// Reads the others' reports. One that cannot be read leaves the one before it.
    fn hear(&mut self, now: Now) -> io::Result<()> {
        let mut names = self.store.list("replicas")?;
        names.sort();
        for name in names.iter().take(REPORTS_MAX) {
            let Some(bytes) = self.store.read(&format!("replicas/{name}"))? else { continue };
            let Ok(report) = serde_json::from_slice::<Report>(&bytes) else { continue };
            if report.format != FORMAT || report.replica == self.id {
                continue;
            }
            match self.peers.get_mut(&report.replica) {
                Some(peer) if peer.report.beat == report.beat => {}
                Some(peer) => *peer = Peer { report, heard: now.own },
                None => {
                    let peer = Peer { heard: now.own, report };
                    self.peers.insert(peer.report.replica.clone(), peer);
                }
            }
        }
        self.forget_peers(now);
        Ok(())
    }

    /// Counts of a stage that goes on are kept, whoever counted them.
    fn forget_peers(&mut self, now: Now) {
        let (records, store, me) = (&self.records, &self.store, &self.id);
        self.peers.retain(|id, peer| {
            let needed = peer.report.rollouts.iter().any(|(model, seen)| {
                let record = records.get(model).map(|(record, _)| record);
                record.is_some_and(|it| it.begun == seen.begun && !is_over(&it.saved.rollout, now))
            });
            let keep = id == me || needed || now.own.saturating_sub(peer.heard) <= FORGET_AFTER;
            keep || store.remove(&format!("replicas/{id}.json")).is_err()
        });
    }

    /// Says what was seen here. `number` and `begun` of each are filled in.
    pub fn report(
        &mut self,
        now: Now,
        mut rollouts: BTreeMap<ModelName, Seen>,
    ) -> Result<(), ShareError> {
        rollouts.retain(|model, seen| match self.records.get(model) {
            Some((record, _)) => {
                (seen.begun, seen.number) = (record.begun, record.number);
                true
            }
            None => false,
        });
        self.beat = self.beat.saturating_add(1);
        let (replica, beat) = (self.id.clone(), self.beat);
        let report = Report { format: FORMAT, replica, beat, at: now.wall, rollouts };
        let bytes = serde_json::to_vec(&report).map_err(io::Error::other)?;
        // Its own counts are known before anybody has read them.
        self.peers.insert(self.id.clone(), Peer { report, heard: now.own });
        Ok(self.store.replace(&format!("replicas/{}.json", self.id), &bytes)?)
    }

    /// How many replicas were heard of lately, this one included.
    pub fn living(&self, now: Now) -> usize {
        self.peers.values().filter(|it| self.lives(it, now)).count()
    }

    fn lives(&self, peer: &Peer, now: Now) -> bool {
        now.own.saturating_sub(peer.heard) <= self.lease
    }

    /// What this replica is to a model's rollout.
    pub fn standing(&self, model: &str, now: Now) -> Standing {
        let Some((record, read)) = self.records.get(model) else { return Standing::Follows };
        // A leader that never was heard of had its time since its record was read.
        let heard = self.peers.get(&record.leader).map_or(*read, |it| it.heard.max(*read));
        standing(&self.id, &record.leader, (heard, now.own), self.lease)
    }

    /// Looks at a rollout; decides what is due if it leads, and takes the lead if that is due.
    pub fn decide(&mut self, model: &str, now: Now) -> Result<Option<Decision>, ShareError> {
        let Some((record, _)) = self.records.get(model) else { return Ok(None) };
        if record.saved.is_forgotten {
            return Ok(None);
        }
        let mut saved = record.saved.clone();
        let actions = saved.rollout.step(now.wall, &self.seen(record, now));
        // Where nothing is left to decide nobody need take over.
        let over = is_over(&record.saved.rollout, now);
        match self.standing(model, now) {
            Standing::Leads if !actions.is_empty() => {
                let evidence = saved.keep_all(actions);
                let next = self.next(record, saved, now);
                Ok(Some(self.write(next, evidence, now)?))
            }
            Standing::MayTakeOver if !over => {
                // Who leads decides in its next turn: first the others hear of it.
                let mut next = self.next(record, record.saved.clone(), now);
                next.leader = self.id.clone();
                next.term = next.term.saturating_add(1);
                Ok(Some(self.write(next, Vec::new(), now)?))
            }
            Standing::Leads | Standing::Follows | Standing::MayTakeOver => {
                // What another will decide is not shown before it has.
                let shown = if actions.is_empty() { saved } else { record.saved.clone() };
                Ok(Some(Decision::None(Box::new(shown))))
            }
        }
    }

    fn next(&self, before: &Record, saved: Saved, now: Now) -> Record {
        Record {
            number: before.number.saturating_add(1),
            by: self.id.clone(),
            at: now.wall,
            saved,
            ..before.clone()
        }
    }

    fn write(
        &mut self,
        record: Record,
        evidence: Vec<Evidence>,
        now: Now,
    ) -> Result<Decision, ShareError> {
        if !log::append(&self.store, &record)? {
            return Ok(Decision::Refused);
        }
        let model = record.saved.rollout.subject().model().clone();
        self.records.insert(model, (record.clone(), now.own));
        Ok(Decision::Made { record: Box::new(record), evidence })
    }

    /// Does what an operator says, whoever leads. `None`: others wrote all the time, or there is no rollout.
    pub fn command(
        &mut self,
        model: &ModelName,
        command: Command,
        now: Now,
    ) -> Result<Option<Result<Decision, Refused>>, ShareError> {
        // Whatever is proven, it was not proven of these bytes.
        let differs = (command == Command::Promote).then(|| self.differs(model, now)).flatten();
        self.change((model, false), now, |it| match &differs {
            Some(words) => Err(it.rollout.refused_as_differing(words)),
            None => it.rollout.command(now.wall, command),
        })
    }

    /// Another version is wanted than the candidate: see [`Rollout::withdraw`].
    pub fn withdraw(
        &mut self,
        model: &ModelName,
        now: Now,
    ) -> Result<Option<Decision>, ShareError> {
        let made = self.change((model, false), now, |it| Ok(it.rollout.withdraw(now.wall)))?;
        Ok(made.and_then(Result::ok))
    }

    /// What came of a rollout that is over holds no longer, whoever leads. One that is under way stays as it is.
    pub fn forget(&mut self, model: &ModelName, now: Now) -> Result<Option<Decision>, ShareError> {
        let made = self.change((model, false), now, |it| {
            it.is_forgotten = !is_under_way(&it.rollout);
            Ok(Vec::new())
        })?;
        Ok(made.and_then(Result::ok))
    }

    /// What a model's file wants is what serves. Whoever says so leads from then on: another that has not seen
    /// the file yet must not answer it anew.
    pub fn note(
        &mut self,
        model: &ModelName,
        wish: Wish,
        now: Now,
    ) -> Result<Option<Decision>, ShareError> {
        let made = self.change((model, true), now, |it| {
            it.wish = Some(wish.clone());
            Ok(Vec::new())
        })?;
        Ok(made.and_then(Result::ok))
    }

    /// Writes down what becomes of a rollout, on the ground of the last record.
    fn change(
        &mut self,
        (model, leads): (&ModelName, bool),
        now: Now,
        change: impl Fn(&mut Saved) -> Result<Vec<Action>, Refused>,
    ) -> Result<Option<Result<Decision, Refused>>, ShareError> {
        for _ in 0..TRIES_MAX {
            self.catch_up(model, now)?;
            let known = self.records.get(model).filter(|(it, _)| !it.saved.is_forgotten);
            let Some((record, _)) = known else { return Ok(None) };
            let mut saved = record.saved.clone();
            // What is written down with it are the counts of all, unless they ask for a decision of their own.
            let mut counted = saved.rollout.clone();
            if counted.step(now.wall, &self.seen(record, now)).is_empty() {
                saved.rollout = counted;
            }
            let actions = match change(&mut saved) {
                Ok(actions) => actions,
                Err(refused) => return Ok(Some(Err(refused))),
            };
            let evidence = saved.keep_all(actions);
            let mut next = self.next(record, saved, now);
            if leads && next.leader != self.id {
                next.leader = self.id.clone();
                next.term = next.term.saturating_add(1);
            }
            if let made @ Decision::Made { .. } = self.write(next, evidence, now)? {
                return Ok(Some(Ok(made)));
            }
        }
        Ok(None)
    }

    /// Begins a rollout, which this replica leads. `None`: another is under way, or was begun just now.
    pub fn begin(&mut self, saved: Saved, now: Now) -> Result<Option<Record>, ShareError> {
        let model = saved.rollout.subject().model().clone();
        self.catch_up(&model, now)?;
        let before = self.record(model.as_str());
        if before.is_some_and(|it| is_under_way(&it.saved.rollout)) {
            return Ok(None);
        }
        let number = before.map_or(1, |it| it.number.saturating_add(1));
        let record = Record {
            format: FORMAT,
            number,
            term: before.map_or(1, |it| it.term.saturating_add(1)),
            leader: self.id.clone(),
            by: self.id.clone(),
            begun: number,
            at: now.wall,
            saved,
        };
        match self.write(record, Vec::new(), now)? {
            Decision::Made { record, .. } => Ok(Some(*record)),
            Decision::None(_) | Decision::Refused => Ok(None),
        }
    }

    fn catch_up(&mut self, model: &ModelName, now: Now) -> Result<(), ShareError> {
        let known = self.record(model.as_str());
        if let Some(record) = log::after(&self.store, model, known)? {
            self.records.insert(model.clone(), (record, now.own));
        }
        Ok(())
    }
}

/// No other rollout of the model may begin.
fn is_under_way(rollout: &Rollout) -> bool {
    match rollout.state() {
        State::Running { .. } | State::Held { .. } => true,
        State::Promoted { .. } | State::RolledBack => false,
    }
}

/// Nothing is left to decide.
fn is_over(rollout: &Rollout, now: Now) -> bool {
    match rollout.state() {
        State::RolledBack => true,
        State::Promoted { warm_until } => warm_until <= now.wall,
        State::Running { .. } | State::Held { .. } => false,
    }
}

#[path = "views.rs"]
mod views;

#[cfg(test)]
#[path = "member_tests.rs"]
mod tests;
