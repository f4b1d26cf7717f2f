//! A rollout's decisions, for all who read of them: written down, then told, and told again by the next process where
//! this one may not have come to it.

use std::io;

use server_replicas::{Telling, Untold};
use server_rollout::{Action, Evidence};

use super::Ride;
use crate::world::World;

impl Ride {
    /// Writes down what was decided, and tells it.
    pub(super) fn tell(&mut self, world: &World<'_>, actions: &[Action]) {
        let mut decisions = 0;
        for action in actions {
            if let Action::Record(evidence) = action {
                self.saved.keep(Evidence::clone(evidence));
                decisions += 1;
            }
        }
        let digest = world.digest(self.rollout().subject());
        self.saved.untold = (decisions > 0).then_some(Untold { decisions, digest });
        self.write(world);
        self.tell_all(world, Telling::First);
    }

    /// Tells what the process before has decided and may not have told.
    pub(crate) fn tell_rest(&mut self, world: &World<'_>) {
        self.tell_all(world, Telling::Again);
        self.is_told(world);
    }

    fn tell_all(&self, world: &World<'_>, telling: Telling) {
        if let Some(Untold { decisions, digest }) = &self.saved.untold {
            let untold = self.saved.latest(*decisions).iter();
            untold.for_each(|it| world.tell((it, telling), digest.as_deref()));
        }
    }

    /// Nothing waits for this to be written down: at worst it is told once more.
    pub(super) fn is_told(&mut self, world: &World<'_>) {
        let written = self.remember(world);
        self.say(written);
    }

    /// Writes down that all is told. What cannot be written stays to be: a rollout that is over may have nothing else
    /// to write for weeks.
    pub(super) fn remember(&mut self, world: &World<'_>) -> io::Result<()> {
        let Some(untold) = self.saved.untold.take() else { return Ok(()) };
        let written = world.files.write(&self.saved);
        if written.is_err() {
            self.saved.untold = Some(untold);
        }
        written
    }
}
