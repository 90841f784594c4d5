//! When each swarm is next to be told of the time, the soonest first, so that one of thousands is found at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::swarm::SwarmId;
use crate::time::Instant;

/// A moment for each swarm that waits for one.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    of: BTreeMap<SwarmId, Instant>,
    soonest: BTreeSet<(Instant, SwarmId)>,
}

impl Wakes {
    /// The swarm waits for this moment from now on, or for none.
    pub(super) fn put(&mut self, id: SwarmId, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.of.insert(id, at),
            None => self.of.remove(&id),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.soonest.remove(&(before, id));
        }
        self.soonest.extend(at.map(|at| (at, id)));
    }

    /// The soonest.
    pub(super) fn next(&self) -> Option<Instant> {
        self.soonest.first().map(|(at, _)| *at)
    }

    /// Those whose moment has come, in the order of their numbers.
    pub(super) fn due(&self, now: Instant) -> Vec<SwarmId> {
        let mut due: Vec<_> = self.soonest.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect();
        due.sort_unstable();
        due
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_swarm_has_one_moment_the_last_that_it_was_given() {
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let mut wakes = Wakes::default();
        for (id, seconds) in [(3, 5), (1, 7), (2, 5), (3, 6), (3, 6)] {
            wakes.put(SwarmId(id), Some(at(seconds)));
        }
        assert_eq!((wakes.next(), wakes.due(at(4))), (Some(at(5)), Vec::new()));
        assert_eq!(wakes.due(at(6)), [SwarmId(2), SwarmId(3)]);
        wakes.put(SwarmId(2), None);
        wakes.put(SwarmId(9), None);
        assert_eq!(wakes.due(at(9)), [SwarmId(1), SwarmId(3)]);
        assert_eq!(wakes.soonest.len(), 2);
    }
}
