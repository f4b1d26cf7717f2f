//! A model that is loaded when somebody asks for it, and unloaded when others need its place.
//!
//! The part of a model's books that joins what its folder and its artifacts say with `lazy`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use server_base::{Version, limits};
use server_serving::{OnDemand, Prospect, Scarce};

use super::Model;
use super::artifact::Artifact;
use crate::audit::By;
use crate::config::LoadPolicy;
use crate::eviction::Resident;
use crate::lazy::Phase;
use crate::metrics::LoadCause;

impl Model {
    /// Is it loaded when somebody asks, and not before?
    pub(crate) fn is_lazy(&self) -> bool {
        self.folder.config().load == LoadPolicy::Lazy
    }

    /// Somebody asked for it. True if it now waits to be admitted. What its devices bar is refused here: others would
    /// be unloaded for it in vain.
    pub(crate) fn ask(&mut self, now: Instant) -> bool {
        let may_come = self.is_lazy() && !self.wanted().is_empty();
        let is_news = may_come && self.lazy.ask();
        if !is_news {
            return false;
        }
        self.touch();
        let barred = self.barred(&self.wanted(), now);
        if barred.is_some() {
            let reason = self.failures().join("; ");
            self.lazy.fail(&reason, now, barred);
        }
        barred.is_none()
    }

    /// There is room for it. What failed before is tried again, unless its device has failed and its pause is
    /// not over.
    pub(crate) fn admit(&mut self, now: Instant) {
        self.lazy.admit();
        self.forget_failures(now);
        self.touch();
    }

    /// It goes back to being registered.
    pub(crate) fn sleep(&mut self) {
        self.lazy.sleep();
        self.asleep_by = Some(By::Room);
        self.touch();
    }

    /// There is no room for it.
    pub(crate) fn refuse(&mut self, scarce: Scarce, until: Instant) {
        self.lazy.refuse(scarce, until);
        self.touch();
    }

    /// Refusals and failures that are over are forgotten; until when the first lasts that is not.
    pub(crate) fn pardon(&mut self, now: Instant) -> Option<Instant> {
        let again = self.try_again(now);
        if self.lazy.refused_until().is_some_and(|it| it <= now) {
            self.sleep();
        }
        let warm_until = self.warm_until();
        if warm_until.is_some_and(|it| it <= now) {
            self.touch();
        }
        let warm_until = warm_until.filter(|it| *it > now);
        [again, self.lazy.refused_until(), warm_until].into_iter().flatten().min()
    }

    /// When it is next to be pardoned, or lets go of what it kept.
    pub(crate) fn pardoned_at(&self) -> Option<Instant> {
        let refused_until = self.lazy.refused_until();
        [self.retries.next(), refused_until, self.warm_until()].into_iter().flatten().min()
    }

    /// Draws the conclusions of what has happened to its loads.
    pub(crate) fn reckon(&mut self, now: Instant) {
        self.keep_warm(now);
        if !self.is_lazy() || !self.lazy.is_wanted() {
            return;
        }
        if let Some(took) = self.load_took() {
            self.lazy.answers(took, now);
        } else if !self.is_pending() && !self.artifacts.iter().any(Artifact::is_hopeful) {
            // What is on its way out, of an earlier load, answers nobody: this one's end is not kept back
            // until that is gone.
            let reason = self.failures().join("; ");
            let barred = self.barred(&self.desired(), now);
            self.lazy.fail(&reason, now, barred);
        }
    }

    /// Set if it answers: how long the load took that made it so.
    fn load_took(&self) -> Option<Duration> {
        self.artifacts.iter().filter(|it| self.answers(it)).map(|it| it.took).max()
    }

    /// What it counts as, if it may be unloaded for others or for being idle.
    pub(crate) fn resident(&mut self, now: Instant) -> Option<Resident> {
        if !self.is_lazy() {
            return None;
        }
        let servables = self.artifacts.iter().filter_map(|it| it.workers.as_ref());
        let used = servables.map(|it| (it.servable().entered(), it.servable().in_flight() > 0));
        let used = used.fold((0, false), |sum, it| (sum.0 + it.0, sum.1 | it.1));
        self.lazy.look(used, now);
        let (stays_until, used) = self.lazy.stay()?;
        let (name, idle_max) = (self.name.clone(), self.folder.config().idle_unload);
        // What is kept for a roll-back goes for itself, and before any model does.
        let bytes = self.bytes().saturating_sub(self.aside_bytes().unwrap_or(0));
        Some(Resident { name, bytes, stays_until, used, idle_max })
    }

    /// May it go by itself, once it is idle?
    pub(crate) fn may_idle(&self) -> bool {
        self.is_lazy() && self.lazy.stay().is_some() && self.folder.config().idle_unload.is_some()
    }

    /// Why the load that begins now does so.
    pub(crate) fn load_cause(&self, id: u64) -> LoadCause {
        let artifact = self.artifacts.iter().find(|it| it.id == id);
        if artifact.is_some_and(|it| self.retries.has_failed((it.version, it.print))) {
            LoadCause::Retry
        } else if self.lazy.is_kept() && !self.is_available() {
            LoadCause::Command
        } else if self.is_lazy() && !self.is_available() {
            LoadCause::Request
        } else {
            LoadCause::Repository
        }
    }

    /// What requests for what is not loaded may expect.
    pub(crate) fn on_demand(&self) -> Option<OnDemand> {
        if !self.is_lazy() {
            return None;
        }
        let config = self.folder.config();
        Some(OnDemand {
            demand: self.lazy.demand().clone(),
            prospect: self.lazy.prospect(),
            versions: self.absent_versions()?.into_iter().collect(),
            timeout: config.timeout.min(limits::REQUEST_TIMEOUT_MAX),
            waiting_max: config.batching.queue_max,
        })
    }

    /// Versions that would be loaded, or are being loaded, for whoever asks.
    fn absent_versions(&self) -> Option<BTreeSet<Version>> {
        let mut versions = self.wanted();
        if self.lazy.is_wanted() {
            let come = self.artifacts.iter().filter(|it| it.has_come());
            for it in come {
                versions.remove(&it.version);
            }
        }
        Some(versions).filter(|it| !it.is_empty())
    }

    /// Versions that are registered and no more, and what operators read about them.
    pub(crate) fn registered(&self) -> Option<(BTreeSet<Version>, String)> {
        if !self.is_lazy() {
            return None;
        }
        let why = match self.lazy.phase() {
            Phase::Registered | Phase::Wanted => "registered; loads on first request".to_owned(),
            Phase::Queued => "registered; waits for room among the loaded models".to_owned(),
            Phase::Refused(Prospect::NoRoom(scarce, _), _) => {
                format!("registered; no room: {scarce}")
            }
            Phase::Refused(..) => "registered; its last load failed".to_owned(),
        };
        Some((self.absent_versions()?, why))
    }

    /// Is anything of it in memory, on its way there or on its way out?
    pub(crate) fn is_in_memory(&self) -> bool {
        self.artifacts.iter().any(Artifact::is_in_memory)
    }

    /// Is it on its way out of memory, and not back?
    pub(crate) fn is_leaving(&self) -> bool {
        self.is_in_memory() && self.desired().is_empty()
    }
}
