//! Effects that wait to be carried out.
//!
//! Every state machine here queues what it wants done, and is drained before its next input. Now and then one input
//! asks for thousands of things at once, as when all peers are told of all new pieces; room for that is not kept.

use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};

/// Room for this many effects is kept when all are taken.
const KEPT: usize = 64;

/// Effects, the oldest first.
#[derive(Clone, Debug)]
pub struct Effects<T>(VecDeque<T>);

impl<T> Effects<T> {
    /// Takes the oldest. Gives the room of a burst back when there is none.
    pub fn take(&mut self) -> Option<T> {
        let first = self.0.pop_front();
        if first.is_none() && self.0.capacity() > KEPT {
            self.0.shrink_to(KEPT);
        }
        first
    }

    /// Gives back the room of what was taken, all of it: for those that are quiet for long.
    pub(crate) fn give_room_back(&mut self) {
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
    }
}

impl<T> Default for Effects<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Deref for Effects<T> {
    type Target = VecDeque<T>;

    fn deref(&self) -> &VecDeque<T> {
        &self.0
    }
}

impl<T> DerefMut for Effects<T> {
    fn deref_mut(&mut self) -> &mut VecDeque<T> {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_a_burst_is_not_kept() {
        let mut effects = Effects::default();
        effects.extend(0..100_000);
        for expected in 0..100_000 {
            assert_eq!(effects.take(), Some(expected));
        }
        assert_eq!(effects.take(), None);
        assert!(effects.capacity() <= 2 * KEPT, "{}", effects.capacity());
    }
}
