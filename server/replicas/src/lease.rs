//! Who decides.

use std::time::Duration;

use crate::id::ReplicaId;

/// What a replica is to a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It decides.
    Leads,
    /// Another does.
    Follows,
    /// The other has been silent for too long: it may take its place.
    MayTakeOver,
}

/// By one's own clock alone: `heard` is when the leader's last sign came here, and `now` is now. A clock that
/// stands still or is set back makes nobody take over too early.
pub(crate) fn standing(
    me: &ReplicaId,
    leader: &ReplicaId,
    (heard, now): (Duration, Duration),
    lease: Duration,
) -> Standing {
    if me == leader {
        Standing::Leads
    } else if now.saturating_sub(heard) > lease {
        Standing::MayTakeOver
    } else {
        Standing::Follows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leader_is_given_the_time_of_the_lease() {
        let [a, b] = ["a", "b"].map(|it| ReplicaId::new(it).expect("a name"));
        let s = Duration::from_secs;
        let check = |leader, heard, now, expect| {
            assert_eq!(standing(&a, leader, (s(heard), s(now)), s(10)), expect);
        };
        check(&a, 0, 1_000, Standing::Leads);
        check(&b, 5, 15, Standing::Follows);
        check(&b, 5, 16, Standing::MayTakeOver);
        check(&b, 50, 5, Standing::Follows);
    }
}
