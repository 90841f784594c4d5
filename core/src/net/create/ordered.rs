//! The SHA-256 of the whole, made of slices that come in any order.
//!
//! A hash runs from the first byte to the last, but pieces are hashed side by side. So slices wait here for their
//! turn, and whichever thread brings the next one also hashes all that can follow it, while the others go on. A thread
//! may not run further ahead than the window, so what waits is bounded.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Condvar, Mutex};

use sha2::{Digest, Sha256};

use super::NO_PANIC;

/// A hash over bytes that come out of order.
pub(super) struct OrderedHash {
    state: Mutex<State>,
    moved: Condvar,
    window: u64,
}

struct State {
    /// Absent while a thread hashes with it.
    hasher: Option<Sha256>,
    /// The offset of the first byte that is not hashed.
    next: u64,
    /// Slices by their offset.
    waiting: BTreeMap<u64, Vec<u8>>,
    spare: Vec<Vec<u8>>,
    is_abandoned: bool,
}

impl OrderedHash {
    /// A hash that lets nobody read more than `window` bytes ahead.
    pub(super) fn new(window: u64) -> Self {
        let state = State {
            hasher: Some(Sha256::new()),
            next: 0,
            waiting: BTreeMap::new(),
            spare: Vec::new(),
            is_abandoned: false,
        };
        Self { state: Mutex::new(state), moved: Condvar::new(), window }
    }

    /// Waits until the bytes from `offset` on are within the window.
    ///
    /// The thread with the lowest offset never waits, so the window always moves on.
    pub(super) fn wait_for(&self, offset: u64) {
        let state = self.state.lock().expect(NO_PANIC);
        let too_far = |state: &mut State| offset >= state.next + self.window && !state.is_abandoned;
        drop(self.moved.wait_while(state, too_far).expect(NO_PANIC));
    }

    /// Takes the slice at `offset` in exchange for an empty or used buffer, and hashes all whose turn it is.
    pub(super) fn put(&self, offset: u64, slice: &mut Vec<u8>) {
        let mut state = self.state.lock().expect(NO_PANIC);
        let spare = state.spare.pop().unwrap_or_default();
        state.waiting.insert(offset, mem::replace(slice, spare));
        // Whoever holds the hasher looks again at what waits before putting it down.
        while let Some(mut hasher) = state.hasher.take() {
            let next = state.next;
            let Some(slice) = state.waiting.remove(&next) else {
                state.hasher = Some(hasher);
                return;
            };
            drop(state);
            hasher.update(&slice);
            state = self.state.lock().expect(NO_PANIC);
            state.hasher = Some(hasher);
            state.next += slice.len() as u64;
            state.spare.push(slice);
            self.moved.notify_all();
        }
    }

    /// Lets every thread through: the work has failed or is cancelled.
    pub(super) fn abandon(&self) {
        self.state.lock().expect(NO_PANIC).is_abandoned = true;
        self.moved.notify_all();
    }

    /// The hash of all that was put.
    pub(super) fn finish(self) -> [u8; 32] {
        let state = self.state.into_inner().expect(NO_PANIC);
        debug_assert!(state.waiting.is_empty(), "bytes are missing before {:?}", state.waiting.keys().next());
        state.hasher.expect("nobody hashes any more").finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_in_any_order_give_the_hash_of_the_whole() {
        let whole: Vec<u8> = (0..100).collect();
        let hash = OrderedHash::new(1000);
        for start in [30, 0, 90, 60, 50, 40, 10, 20, 80, 70] {
            hash.put(start, &mut whole[usize::try_from(start).unwrap()..][..10].to_vec());
        }
        assert_eq!(hash.finish(), <[u8; 32]>::from(Sha256::digest(&whole)));
    }

    #[test]
    fn an_abandoned_hash_keeps_nobody_waiting() {
        let hash = OrderedHash::new(10);
        hash.wait_for(9);
        hash.abandon();
        hash.wait_for(1_000_000);
    }
}
