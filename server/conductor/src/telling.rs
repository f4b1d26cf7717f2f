//! A rollout's decisions, for all who read of them: written down, then told, and told again by the next process where
//! this one may not have come to it.

use server_replicas::Untold;
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
        if let Some(Untold { decisions, digest }) = &self.saved.untold {
            let untold = self.saved.latest(*decisions).iter();
            untold.for_each(|it| world.tell(it, digest.as_deref()));
        }
    }

    /// Tells what the process before has decided and may not have told.
    pub(crate) fn tell_rest(&mut self, world: &World<'_>) {
        if let Some(Untold { decisions, digest }) = &self.saved.untold {
            let untold = self.saved.latest(*decisions).iter();
            untold.for_each(|it| world.tell_again(it, digest.as_deref()));
        }
        self.is_told(world);
    }

    /// Nothing waits for this to be written down: at worst it is told once more.
    pub(super) fn is_told(&mut self, world: &World<'_>) {
        if self.saved.untold.take().is_some() {
            self.write(world);
        }
    }
}
