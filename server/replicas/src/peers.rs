//! What is known of the other replicas: what each has said last, and when.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use server_rollout::Counts;

use crate::id::ReplicaId;
use crate::ledger::Ledger;
use crate::record::{FORMAT, Record};
use crate::report::{Report, Seen};
use crate::store::{READS_MAX, Store};

/// Reports that are read in a turn, those of replicas that are gone included.
const REPORTS_MAX: usize = 1_000;

/// A report that nobody needs is taken away after so many leases without a sign: pods that are replaced, or that crash
/// again and again, leave one each.
const FORGET_LEASES: u32 = 6;

/// One of a rollout that is not known here is, after so long.
const FORGET_AFTER: Duration = Duration::from_secs(3_600);

/// Reports that are taken away in a turn: one call each, and the next turn goes on.
const REMOVALS_MAX: usize = 8;

/// A replica that was heard of.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) report: Report,
    /// When its beat changed last, by our clock.
    pub(crate) heard: Duration,
}

/// Reads the others' reports, many at a time. One that cannot be read leaves the one before it; the error is that of
/// the first.
pub(crate) fn hear(
    peers: &mut BTreeMap<ReplicaId, Peer>,
    store: &dyn Store,
    me: &ReplicaId,
    now: Duration,
) -> io::Result<()> {
    let mut names = store.list("replicas")?;
    names.sort();
    // Whatever else lies there is not ours.
    let ids = names.iter().filter_map(|it| Some((it, it.strip_suffix(".json")?)));
    let names = ids.filter(|(_, id)| *id != me.to_string()).map(|(it, _)| it);
    let names: Vec<String> = names.take(REPORTS_MAX).map(|it| format!("replicas/{it}")).collect();
    let mut fault = None;
    for names in names.chunks(READS_MAX) {
        let read = store.read_all(names);
        let is_away = read.iter().all(Result::is_err);
        for it in read {
            match it {
                Ok(bytes) => bytes.into_iter().for_each(|it| heard(peers, &it, me, now)),
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        if is_away {
            break; // the rest would only wait
        }
    }
    fault.map_or(Ok(()), Err)
}

fn heard(peers: &mut BTreeMap<ReplicaId, Peer>, bytes: &[u8], me: &ReplicaId, now: Duration) {
    let Ok(report) = serde_json::from_slice::<Report>(bytes) else { return };
    if report.format != FORMAT || report.replica == *me {
        return;
    }
    if peers.get(&report.replica).is_none_or(|it| it.report.beat != report.beat) {
        peers.insert(report.replica.clone(), Peer { report, heard: now });
    }
}

/// Takes away what replicas have left that are gone, a few at a time. `is_over`: nothing is left to decide.
pub(crate) fn forget(
    peers: &mut BTreeMap<ReplicaId, Peer>,
    (store, ledger, me): (&dyn Store, &Ledger, &ReplicaId),
    is_over: impl Fn(&Record) -> bool,
    (now, lease): (Duration, Duration),
) {
    let soon = lease.saturating_mul(FORGET_LEASES);
    let mut left = REMOVALS_MAX;
    peers.retain(|id, peer| {
        let needed = peer.report.rollouts.iter().map(|(model, seen)| {
            match ledger.record(model.as_str()) {
                // Counts of a rollout that goes on are kept, whoever counted them.
                Some(it) if it.begun == seen.begun && !is_over(it) && counts(seen) => Duration::MAX,
                Some(it) if it.begun >= seen.begun => soon,
                Some(_) | None => FORGET_AFTER,
            }
        });
        let most = needed.max().unwrap_or(soon).max(soon);
        if id == me || now.saturating_sub(peer.heard) <= most || left == 0 {
            return true;
        }
        left -= 1;
        store.remove(&format!("replicas/{id}.json")).is_err()
    });
}

/// Does it say anything once its author is gone?
fn counts(seen: &Seen) -> bool {
    seen.observation.fault.is_some() || seen.observation.counts != Counts::default()
}
