//! What a member has heard of the others, put together: for decisions, and for operators.

use server_base::ModelName;
use server_rollout::{Observation, State};

use super::{Member, Now};
use crate::digests;
use crate::merge::merge;
use crate::peers::Peer;
use crate::record::Record;
use crate::report::Seen;
use crate::shown::{ReplicaShown, Shown};
use crate::store::Store;

impl<S: Store> Member<S> {
    /// Who takes part in a rollout, for operators.
    pub fn shown(&self, model: &ModelName, now: Now) -> Option<Shown> {
        let record = self.record(model.as_str())?;
        let of = |peer: &Peer| seen_of(peer, record).cloned().unwrap_or_default();
        let leader = self.peers.get(&record.leader).map(of).unwrap_or_default();
        let replicas = self.peers.values().filter(|it| self.lives(it, now)).map(|it| {
            let Seen { ready, digests, .. } = of(it);
            let ago = now.own.saturating_sub(it.heard).as_millis();
            ReplicaShown {
                replica: it.report.replica.clone(),
                ready,
                digest_differs: !digests::others(&digests, &leader.digests).is_empty(),
                digests,
                seen_ago_ms: u64::try_from(ago).unwrap_or(u64::MAX),
                acts_by: seen_of(it, record).map(|it| it.number),
            }
        });
        Some(Shown {
            me: self.id.clone(),
            leader: record.leader.clone(),
            term: record.term,
            number: record.number,
            replicas: replicas.collect(),
            differs: self.differs(model, now),
            fault: None,
        })
    }

    /// Which of the replicas that live have other bytes of the candidate, in words.
    pub fn differs(&self, model: &ModelName, now: Now) -> Option<String> {
        let record = self.record(model.as_str())?;
        let candidate = record.saved.rollout.subject().canary().0;
        let lead = self.peers.get(&record.leader);
        let others = self.peers.values().filter(|it| it.report.replica != record.leader);
        let living = lead.into_iter().chain(others).filter(|it| self.lives(it, now));
        let known =
            living.filter_map(|it| Some((&it.report.replica, &seen_of(it, record)?.digests)));
        digests::told(candidate, known)
    }

    /// How many decisions the author of a record may have taken with it when it went: it is gone, and has not said that it
    /// acts by the record, which it does once it has told them.
    pub(super) fn untold(&self, record: &Record, now: Now) -> usize {
        let model = record.saved.rollout.subject().model();
        let author = self.peers.get(&record.by);
        // Of one that has left no report it is not known; who takes those away has had the time to tell.
        let is_gone = record.by != self.id && author.is_some_and(|it| !self.lives(it, now));
        let seen = author.and_then(|it| it.report.rollouts.get(model));
        let acts_by_it = seen.is_some_and(|it| it.number >= record.number);
        if is_gone && !acts_by_it { record.tells } else { 0 }
    }

    /// What all replicas have seen of a rollout in its present stage.
    pub(super) fn seen(&self, record: &Record, now: Now) -> Observation {
        let rollout = &record.saved.rollout;
        let stage = match rollout.state() {
            State::Running { phase } | State::Held { phase, .. } => phase.stage(),
            State::Promoted { .. } | State::RolledBack => 0,
        };
        let model = rollout.subject().model();
        let reports = self.peers.values();
        let reports = reports.map(|it| (it.report.rollouts.get(model), self.lives(it, now)));
        let differs = self.differs(model, now);
        Observation { differs, ..merge(reports, record.begun, stage) }
    }
}

/// What a replica has said of this rollout, and not of one before.
fn seen_of<'a>(peer: &'a Peer, record: &Record) -> Option<&'a Seen> {
    let model = record.saved.rollout.subject().model();
    peer.report.rollouts.get(model).filter(|it| it.begun == record.begun)
}
