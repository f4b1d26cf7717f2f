//! One replica's part in all of it: reads, reports, and decides where it leads.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use server_base::ModelName;
use server_rollout::{Action, Command, Moment, Refused, Rollout, State};

use crate::id::ReplicaId;
use crate::lease::{Standing, standing};
use crate::ledger::{Ledger, News};
use crate::log::{self, ShareError};
use crate::peers::{self, Peer};
use crate::record::{FORMAT, Record, Saved, Wish};
use crate::report::{Report, Seen};
use crate::store::Store;

/// Logs that are read in a turn: more models than anybody rolls out at a time.
const MODELS_MAX: usize = 1_000;

/// A sign is written once a turn and read once a turn; as many again may be missed.
const LEASE_TURNS_MIN: u32 = 4;

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
    None(Box<Record>),
    /// It is written down, and to be told and done: [`Member::news`] has it.
    Made,
    /// Another was faster, or leads by now: it is read in the next turn.
    Refused,
}

/// See the crate. `S` is where replicas meet.
#[derive(Debug)]
pub struct Member<S> {
    id: ReplicaId,
    store: S,
    /// The least.
    lease: Duration,
    /// When the last turn began, and how long the one before took.
    turned: Option<Duration>,
    turn: Duration,
    beat: u64,
    ledger: Ledger,
    peers: BTreeMap<ReplicaId, Peer>,
}

impl<S: Store> Member<S> {
    /// One that knows nothing yet. Others take over where it leads when it is silent for longer than `lease`, and than
    /// some turns last.
    pub fn new(id: ReplicaId, store: S, lease: Duration) -> Member<S> {
        let ledger = Ledger::new(id.clone());
        let (turned, turn, peers) = (None, Duration::ZERO, BTreeMap::new());
        Member { id, store, lease, turned, turn, beat: 0, ledger, peers }
    }

    /// Its name.
    pub fn id(&self) -> &ReplicaId {
        &self.id
    }

    /// The last record of a model that was read or written here.
    pub fn record(&self, model: &str) -> Option<&Record> {
        self.ledger.record(model)
    }

    /// What is to be told and acted by: models of which something was read or written since this was called
    /// before, on whatever occasion. To be called after every other call.
    pub fn news(&mut self) -> Vec<News> {
        self.ledger.news()
    }

    /// Reads what others have written, once a turn. What cannot be read leaves what is known as it is.
    pub fn refresh(&mut self, now: Now) -> Vec<ShareError> {
        self.turned(now);
        let mut faults = Vec::new();
        let mut models = log::models(&self.store).unwrap_or_else(|error| {
            faults.push(error.into());
            Vec::new()
        });
        models.sort();
        for model in models.iter().take(MODELS_MAX) {
            faults.extend(self.ledger.catch_up(&self.store, model, now.own).err());
        }
        let heard = peers::hear(&mut self.peers, &self.store, &self.id, now.own);
        faults.extend(heard.err().map(ShareError::Reports));
        let lease = self.lease();
        let with = (&self.store as &dyn Store, &self.ledger, &self.id);
        let is_over = |it: &Record| is_over(&it.saved.rollout, now);
        peers::forget(&mut self.peers, with, is_over, (now.own, lease));
        faults
    }

    fn turned(&mut self, now: Now) {
        let before = self.turned.replace(now.own).unwrap_or(now.own);
        self.turn = now.own.saturating_sub(before);
    }

    /// How long a leader may be silent: for some turns, as long as they last here. Who has to wait long for the
    /// store hears of the leader as seldom, and the leader waits as long.
    fn lease(&self) -> Duration {
        self.lease.max(self.turn.saturating_mul(LEASE_TURNS_MIN))
    }

    /// Says what was seen here. `number` and `begun` of each are filled in; what is not acted by yet was not seen.
    pub fn report(
        &mut self,
        now: Now,
        mut rollouts: BTreeMap<ModelName, Seen>,
    ) -> Result<(), ShareError> {
        rollouts.retain(|model, seen| match self.ledger.record(model.as_str()) {
            Some(record) if self.ledger.is_followed(model.as_str()) => {
                (seen.begun, seen.number) = (record.begun, record.number);
                true
            }
            Some(_) | None => false,
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
        now.own.saturating_sub(peer.heard) <= self.lease()
    }

    /// What this replica is to a model's rollout.
    pub fn standing(&self, model: &str, now: Now) -> Standing {
        let Some((record, read)) = self.ledger.get(model) else { return Standing::Follows };
        // A leader that never was heard of had its time since its record was read.
        let heard = self.peers.get(&record.leader).map_or(*read, |it| it.heard.max(*read));
        standing(&self.id, &record.leader, (heard, now.own), self.lease())
    }

    /// Looks at a rollout; decides what is due if it leads, and takes the lead if that is due.
    pub fn decide(&mut self, model: &str, now: Now) -> Result<Option<Decision>, ShareError> {
        let Some(record) = self.record(model) else { return Ok(None) };
        if record.saved.is_forgotten {
            return Ok(None);
        }
        let mut saved = record.saved.clone();
        let actions = saved.rollout.step(now.wall, &self.seen(record, now));
        // Where nothing is left to decide, and nothing to tell, nobody need take over.
        let untold = self.untold(record, now);
        let over = is_over(&record.saved.rollout, now) && untold == 0;
        match self.standing(model, now) {
            Standing::Leads if !actions.is_empty() || untold > 0 => {
                let decisions = saved.keep_all(actions);
                let next = self.next(record, (saved, decisions), now);
                Ok(Some(self.write(next, now)?))
            }
            Standing::MayTakeOver if !over => {
                // Who leads decides in its next turn: first the others hear of it.
                let mut next = self.next(record, (record.saved.clone(), 0), now);
                next.leader = self.id.clone();
                next.term = next.term.saturating_add(1);
                Ok(Some(self.write(next, now)?))
            }
            Standing::Leads | Standing::Follows | Standing::MayTakeOver => {
                // What another will decide is not shown before it has.
                let saved = if actions.is_empty() { saved } else { record.saved.clone() };
                Ok(Some(Decision::None(Box::new(Record { saved, ..record.clone() }))))
            }
        }
    }

    /// With so many decisions more.
    fn next(&self, before: &Record, (saved, decisions): (Saved, usize), now: Now) -> Record {
        let again = self.untold(before, now);
        Record {
            number: before.number.saturating_add(1),
            by: self.id.clone(),
            at: now.wall,
            tells: again.saturating_add(decisions),
            again,
            saved,
            ..before.clone()
        }
    }

    fn write(&mut self, record: Record, now: Now) -> Result<Decision, ShareError> {
        let made = self.ledger.write(&self.store, record, now.own)?;
        Ok(if made { Decision::Made } else { Decision::Refused })
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
            self.ledger.catch_up(&self.store, model, now.own)?;
            let known = self.record(model.as_str()).filter(|it| !it.saved.is_forgotten);
            let Some(record) = known else { return Ok(None) };
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
            let decisions = saved.keep_all(actions);
            let mut next = self.next(record, (saved, decisions), now);
            if leads && next.leader != self.id {
                next.leader = self.id.clone();
                next.term = next.term.saturating_add(1);
            }
            if let made @ Decision::Made = self.write(next, now)? {
                return Ok(Some(Ok(made)));
            }
        }
        Ok(None)
    }

    /// Begins a rollout, which this replica leads. `false`: another is under way, or was written of just now: what
    /// a model's file asks for may have been answered by it.
    pub fn begin(&mut self, saved: Saved, now: Now) -> Result<bool, ShareError> {
        let model = saved.rollout.subject().model().clone();
        let is_new = self.ledger.catch_up(&self.store, &model, now.own)?;
        let before = self.record(model.as_str());
        let is_under_way = before.is_some_and(|it| is_under_way(&it.saved.rollout));
        if is_under_way || (is_new && saved.is_declared) {
            return Ok(false);
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
            tells: 0,
            again: 0,
            saved,
        };
        Ok(matches!(self.write(record, now)?, Decision::Made))
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
