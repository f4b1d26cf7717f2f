//! What loaders report to the manager, and what it lets others know of that.

use backend_api::Device;
use server_proof::Rule;
use server_serving::Scarce;

use super::Manager;
use crate::audit::Done;
use crate::fault::LoadError;
use crate::loader::End;
use crate::metrics;
use crate::rooms::Claim;
use crate::state::Event;

impl Manager {
    /// A load has come to its end.
    pub(super) fn loaded(&mut self, id: u64, end: End) {
        let Some(name) = self.owners.get(&id).cloned() else { return };
        let Some(model) = self.models.get_mut(&name) else { return };
        let Some(version) = model.version_of(id) else { return };
        model.is_of(id, end.digest);
        match end.result {
            Ok(loaded) => {
                let bytes = self.rooms.lesson.learn(model.on_disk(id), end.grown);
                model.takes(id, bytes, end.grown.is_some());
                loaded.log();
                let facts = loaded.workers.servable().plan().facts.clone();
                let done = Done::Loaded { engine: loaded.engine, took: loaded.took, facts };
                model.keep(id, loaded);
                self.tell(id, done);
                self.happen(id, Event::Loaded);
            }
            Err(error) => {
                let again = model.fail(id, &error, self.rooms.now());
                error.log((&name, version), again);
                let (rule, reason) = (error.rule.map(Rule::label), error.reason.clone());
                self.tell(id, Done::Refused { rule, reason, again });
                self.happen(id, Event::LoadFailed { reason: error.reason });
                self.owners.remove(&id); // nothing more can happen to it
            }
        }
    }

    /// A version that was to go is out of memory, or its runs do not end.
    pub(super) fn unloaded(&mut self, id: u64, clean: bool) {
        let Some(name) = self.owners.get(&id).cloned() else { return };
        if !clean {
            let model = name.as_str();
            tracing::warn!(model, "a retired version still runs requests; leaving it behind");
        }
        self.tell(id, Done::Unloaded { clean });
        let now = self.rooms.now();
        let lost = self.models.get_mut(&name).and_then(|it| it.mourn(id, now));
        let event = lost.map_or(Event::Drained, |(reason, again)| {
            let retry_s = again.map(|it| it.as_secs_f64());
            tracing::info!(model = %name, reason, retry_s, "what has lost its device is unloaded");
            Event::Lost { reason }
        });
        self.happen(id, event);
        self.owners.remove(&id);
    }

    /// What a version runs on has failed: it goes at once, and comes again after a pause.
    pub(super) fn lost(&mut self, id: u64, reason: &str, device: Device) {
        let Some(name) = self.owners.get(&id).cloned() else { return };
        let Some(model) = self.models.get_mut(&name) else { return };
        let Some(version) = model.version_of(id) else { return };
        // It may have been retired meanwhile.
        let Some(workers) = model.lose(id, reason, device.clone()) else { return };
        let device = device.to_string();
        tracing::error!(model = %name, %version, device, reason, "the device of a version has failed");
        metrics::device_lost(&name, device);
        self.happen(id, Event::Lost { reason: reason.to_owned() });
        self.retiring.push((id, workers));
    }

    /// There is no memory for a load, and none can be freed: it fails as others do, and is tried
    /// again as those that a full disk stops.
    pub(super) fn refuse(&mut self, claim: &Claim, scarce: &Scarce) {
        let error = LoadError::passing(format!("no room: {scarce}"));
        if self.happen(claim.id, Event::Load) {
            self.loaded(claim.id, End { digest: None, grown: None, result: Err(error) });
        }
    }

    /// Lets others know what was done.
    pub(super) fn tell(&self, id: u64, done: Done) {
        let model = self.owners.get(&id).and_then(|it| self.models.get(it));
        let record = model.and_then(|it| it.record(id, done));
        record.into_iter().for_each(|it| self.options.audit.tell(it));
    }
}
