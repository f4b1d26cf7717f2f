//! How the manager comes to its end.

use std::collections::BTreeSet;
use std::time::Instant;

use crossbeam_channel::Receiver;
use server_base::ModelName;
use server_serving::Workers;

use super::{Manager, Message};
use crate::audit::Done;
use crate::loader::Job;

impl Manager {
    /// Closes every lane, waits until all is answered and what loaders unload is out of memory.
    pub(super) fn stop(mut self, by: Instant, inbox: &Receiver<Message>) -> bool {
        self.shelf.clear();
        // A loader may be busy for minutes before it comes to them.
        for job in self.loader.take_back() {
            match job {
                Job::Unload(id, workers) => self.retiring.push((id, workers)),
                Job::Load(..) => {} // nothing has begun
            }
        }
        let under_way = self.under_way();
        let ids: Vec<u64> = self.owners.keys().copied().collect();
        for id in ids {
            let owner = self.owners.get(&id).and_then(|it| self.models.get_mut(it));
            let workers = owner.and_then(|it| it.shut_down(id));
            self.retiring.extend(workers.map(|it| (id, it)));
        }
        // All are told before the first is waited for.
        let workers: Vec<(u64, Workers)> = self.retiring.drain(..).collect();
        workers.iter().for_each(|(_, it)| it.close());
        let mut clean = true;
        for (id, it) in workers {
            let ended = it.stop(by);
            self.tell(id, Done::Unloaded { clean: ended });
            clean &= ended;
        }
        self.await_unloads(under_way, (by, inbox)) && clean
    }

    /// What loaders are unloading.
    fn under_way(&self) -> BTreeSet<u64> {
        let waits: BTreeSet<u64> = self.retiring.iter().map(|(id, _)| *id).collect();
        let leaves = |id: u64, owner: &ModelName| {
            self.models.get(owner).is_some_and(|it| it.is_unloading(id))
        };
        let owners = self.owners.iter().filter(|(id, owner)| leaves(**id, owner));
        owners.map(|(id, _)| *id).filter(|it| !waits.contains(it)).collect()
    }

    /// Reads what loaders report of these until `by`, and what they have reported by then. Whoever commands
    /// something now hears that the server stops.
    fn await_unloads(
        &mut self,
        mut ids: BTreeSet<u64>,
        (by, inbox): (Instant, &Receiver<Message>),
    ) -> bool {
        let mut clean = true;
        while !ids.is_empty()
            && let Ok(message) = inbox.recv_deadline(by)
        {
            if let Message::Unloaded(id, ended) = message {
                ids.remove(&id);
                clean &= ended;
                self.unloaded(id, ended);
            }
        }
        ids.iter().for_each(|it| self.tell(*it, Done::Unloaded { clean: false }));
        clean && ids.is_empty()
    }
}
