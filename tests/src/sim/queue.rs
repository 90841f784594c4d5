//! Events in the order of their times, those of one time in the order in which they were queued.
//!
//! Time is cut into steps of a quarter of a millisecond. Only the events of the current step are kept in order, in a
//! small heap; those of the next two seconds wait in one list for each step, later ones in a map. So millions of events
//! cost little more than a few.
//!
//! Law: what is taken out is never earlier than what was taken out before.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use podswarm_core::time::Instant;

/// A step is 2^18 ns.
const STEP_BITS: u32 = 18;
/// So many steps have a list of their own.
const STEPS: u64 = 1 << 13;

/// Something that happens at a time.
#[derive(Debug)]
struct Scheduled<T> {
    at: Instant,
    /// Breaks ties: first come, first served.
    seq: u64,
    what: T,
}

impl<T> PartialEq for Scheduled<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.seq) == (other.at, other.seq)
    }
}
impl<T> Eq for Scheduled<T> {}
impl<T> PartialOrd for Scheduled<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Scheduled<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}

/// A queue of events.
#[derive(Debug)]
pub struct Queue<T> {
    now: Instant,
    seq: u64,
    /// The step of `heap`.
    step: u64,
    /// Events of this very moment, which need no order.
    soon: VecDeque<T>,
    heap: BinaryHeap<Reverse<Scheduled<T>>>,
    /// By step, modulo [`STEPS`].
    near: Vec<Vec<Scheduled<T>>>,
    near_len: usize,
    /// By step.
    far: BTreeMap<u64, Vec<Scheduled<T>>>,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            now: Instant::ZERO,
            seq: 0,
            step: 0,
            soon: VecDeque::new(),
            heap: BinaryHeap::new(),
            near: std::iter::repeat_with(Vec::new).take(usize::try_from(STEPS).expect("a short list")).collect(),
            near_len: 0,
            far: BTreeMap::new(),
        }
    }
}

impl<T> Queue<T> {
    /// Queues an event; one for the past happens now.
    pub fn push(&mut self, at: Instant, what: T) {
        if at <= self.now {
            return self.soon.push_back(what);
        }
        self.seq += 1;
        let event = Scheduled { at, seq: self.seq, what };
        let step = step_of(at);
        if step <= self.step {
            self.heap.push(Reverse(event));
        } else if step - self.step < STEPS {
            self.near[place_of(step)].push(event);
            self.near_len += 1;
        } else {
            self.far.entry(step).or_default().push(event);
        }
    }

    /// Takes the next event and moves to its time; `None` if there is none until `end`.
    pub fn pop(&mut self, end: Instant) -> Option<(Instant, T)> {
        loop {
            // What was queued for this moment before it came is older than what was queued in it.
            let due = self.heap.peek().is_some_and(|Reverse(event)| event.at <= self.now);
            if !due && let Some(what) = self.soon.pop_front() {
                return Some((self.now, what));
            }
            if self.heap.peek().is_some_and(|Reverse(event)| event.at > end) {
                return None;
            }
            if let Some(Reverse(event)) = self.heap.pop() {
                self.now = event.at;
                return Some((event.at, event.what));
            }
            if !self.next_step() {
                return None;
            }
        }
    }

    /// Moves to the next step that has events; false if there is none.
    fn next_step(&mut self) -> bool {
        let first_far = self.far.first_key_value().map(|(step, _)| *step);
        self.step = match (self.near_len, first_far) {
            (0, None) => return false,
            (0, Some(step)) => step,
            _ => self.step + 1,
        };
        let place = place_of(self.step);
        // The list's room goes with it: kept, each would be as long for ever as the liveliest moment made it.
        let events = std::mem::take(&mut self.near[place]);
        self.near_len -= events.len();
        self.heap.extend(events.into_iter().map(Reverse));
        if let Some(events) = self.far.remove(&self.step) {
            self.heap.extend(events.into_iter().map(Reverse));
        }
        true
    }
}

fn step_of(at: Instant) -> u64 {
    at.as_nanos() >> STEP_BITS
}

fn place_of(step: u64) -> usize {
    usize::try_from(step % STEPS).expect("a short list")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use podswarm_core::rng::Rng;

    use super::*;

    const END: Instant = Instant::from_nanos(u64::MAX);

    #[test]
    fn events_come_in_the_order_of_time_and_of_queueing() {
        let mut rng = Rng::from_seed_u64(1);
        let mut queue = Queue::default();
        let mut waiting = 0;
        let (mut last, mut taken) = ((Instant::ZERO, 0), 0);
        for number in 0..20_000_u64 {
            // From at once to a minute later, in big steps, so that many fall together.
            let later = Duration::from_millis([0, 1, 1, 30, 900, 60_000][rng.below(6)]);
            queue.push(last.0 + later, (last.0 + later, number));
            waiting += 1;
            while waiting > 0 && rng.ratio(49, 100) {
                let (at, (due, number)) = queue.pop(END).expect("events wait");
                assert_eq!(at, due);
                assert!((at, number) > last || taken == 0, "{number} at {at:?} after {last:?}");
                (last, taken, waiting) = ((at, number), taken + 1, waiting - 1);
            }
        }
        assert_eq!(std::iter::from_fn(|| queue.pop(END)).count(), waiting);
    }

    #[test]
    fn nothing_is_taken_beyond_the_end() {
        let mut queue = Queue::default();
        let at = |s| Instant::ZERO + Duration::from_secs(s);
        queue.push(at(100), 'b');
        queue.push(at(3), 'a');
        assert_eq!(queue.pop(at(50)), Some((at(3), 'a')));
        assert_eq!(queue.pop(at(50)), None);
        queue.push(at(60), 'c');
        assert_eq!(queue.pop(END), Some((at(60), 'c')));
        assert_eq!(queue.pop(END), Some((at(100), 'b')));
    }
}
