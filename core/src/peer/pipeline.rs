//! Our requests on one connection: how many are out, which, and since when.
//!
//! A pipe is full when about a second of the peer's speed is asked for. How fast that is, is found as TCP finds it:
//! each block that arrives adds one request while the speed still grows, then the depth follows the measured rate.
//!
//! Law: never more than [`MAX_DEPTH`] requests or the peer's own queue are out.

use std::collections::VecDeque;
use std::time::Duration;

use crate::layout::{BLOCK_LENGTH, BlockInfo, PieceIndex};
use crate::rate::{Rate, RateMeter};
use crate::time::Instant;

/// The most requests that are out to one peer.
pub const MAX_DEPTH: usize = 500;
/// The most requests out to a peer of unknown speed.
const MOST_FIRST_DEPTH: usize = 32;
/// Requests out to a peer of low speed.
const MIN_DEPTH: usize = 4;
/// Requests out to a peer that let us wait too long.
const SNUBBED_DEPTH: usize = 1;
/// How much of the peer's speed is kept asked for.
const HORIZON: Duration = Duration::from_secs(1);
/// How often the depth is adapted.
const ADAPT_EVERY: Duration = Duration::from_millis(500);
/// A peer that did not bring something in time, and nothing since, is not trusted with what is urgent for so long.
const DOUBT: Duration = Duration::from_secs(5);
/// Given-up requests whose answers are still recognised.
const MAX_LATE: usize = 1024;

/// What an arriving block is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was asked for.
    Expected,
    /// It was asked for and then given up.
    Late,
    /// It was never asked for.
    Unasked,
}

/// The requests to one peer.
#[derive(Clone, Debug)]
pub struct Pipeline {
    out: VecDeque<(BlockInfo, Instant)>,
    /// Given-up requests, oldest first.
    late: VecDeque<BlockInfo>,
    depth: usize,
    /// Where the depth began.
    first_depth: usize,
    limit: usize,
    snubbed: bool,
    /// While true every arrival deepens the pipe.
    growing: bool,
    adapted: Instant,
    last_rate: Rate,
    /// When the peer last brought a block, or was first asked for one since the pipe was empty.
    progress: Instant,
    /// When a request was last taken back, as the peer did not answer it in time, if it has brought nothing since.
    doubted_at: Option<Instant>,
}

impl Pipeline {
    /// An empty pipe to a peer that queues `limit` requests.
    pub fn new(limit: u32, now: Instant) -> Self {
        Self {
            out: VecDeque::new(),
            late: VecDeque::new(),
            depth: MIN_DEPTH,
            first_depth: MIN_DEPTH,
            limit: limit as usize,
            snubbed: false,
            growing: true,
            adapted: now,
            last_rate: Rate(0),
            progress: now,
            doubted_at: None,
        }
    }

    /// Lets a whole piece of so many blocks be asked for at first, so that it can be sent without a pause.
    pub fn begin_with(&mut self, blocks: u32) {
        self.first_depth = (blocks as usize).clamp(MIN_DEPTH, MOST_FIRST_DEPTH);
        self.depth = self.depth.max(self.first_depth);
    }

    /// Learns how many requests the peer queues.
    pub fn limit_to(&mut self, limit: u32) {
        self.limit = limit as usize;
    }

    /// How many more requests may go out now.
    pub fn room(&self) -> usize {
        let depth = if self.snubbed { SNUBBED_DEPTH } else { self.depth };
        depth.min(self.limit).min(MAX_DEPTH).saturating_sub(self.out.len())
    }

    /// The number of requests that are out.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Whether this block is asked for.
    pub fn has(&self, block: BlockInfo) -> bool {
        self.out.iter().any(|(out, _)| *out == block)
    }

    /// How many requests are before that for this block, and when it was asked for; `None` if it is not.
    pub fn place_of(&self, block: BlockInfo) -> Option<(usize, Instant)> {
        let place = self.out.iter().position(|(out, _)| *out == block)?;
        Some((place, self.out[place].1))
    }

    /// Whether the peer's queue has room for this block, which it is not asked for.
    pub fn takes(&self, block: BlockInfo) -> bool {
        self.out.len() < self.limit.min(MAX_DEPTH) && !self.has(block)
    }

    /// The blocks that are asked for, oldest first.
    pub fn blocks(&self) -> impl Iterator<Item = BlockInfo> + '_ {
        self.out.iter().map(|(block, _)| *block)
    }

    /// Whether blocks of other pieces come before those of this one.
    pub fn waits_behind_others(&self, piece: PieceIndex) -> bool {
        self.out.front().is_some_and(|(first, _)| first.piece != piece)
    }

    /// Whether the peer let us wait too long and has not made good.
    pub const fn is_snubbed(&self) -> bool {
        self.snubbed
    }

    /// How long the peer has let us wait for the next block; zero if nothing is asked for.
    pub fn waiting(&self, now: Instant) -> Duration {
        if self.out.is_empty() { Duration::ZERO } else { now - self.progress }
    }

    /// Whether the peer lets us wait for `patience` or more, or did not bring something in time and has brought nothing
    /// since.
    pub fn is_stalled(&self, now: Instant, patience: Duration) -> bool {
        self.is_doubtful(now) || self.waiting(now) >= patience
    }

    /// Whether the peer did not bring something in time a while ago, and has brought nothing since.
    pub fn is_doubtful(&self, now: Instant) -> bool {
        self.doubted_at.is_some_and(|at| now - at < DOUBT)
    }

    /// Gives a request up because the peer does not bring the block in time; tells whether it was out.
    pub fn take_back(&mut self, now: Instant, block: BlockInfo) -> bool {
        let was_out = self.cancel(block);
        if was_out {
            self.doubted_at = Some(now);
        }
        was_out
    }

    /// Counts a request that goes out.
    pub fn request(&mut self, now: Instant, block: BlockInfo) {
        if self.out.is_empty() {
            self.progress = now;
        }
        self.forget_late(block);
        self.out.push_back((block, now));
    }

    /// Counts a block that came in, and adapts the depth to `meter`, which has it already.
    pub fn arrive(&mut self, now: Instant, block: BlockInfo, meter: &mut RateMeter) -> Arrival {
        let Some(place) = self.out.iter().position(|(out, _)| *out == block) else {
            let was_asked = self.forget_late(block);
            self.doubted_at = self.doubted_at.filter(|_| !was_asked);
            return if was_asked { Arrival::Late } else { Arrival::Unasked };
        };
        self.out.remove(place);
        self.doubted_at = None;
        self.progress = now;
        self.snubbed = false;
        if self.growing {
            // Whoever sends us a piece now and then is not asked for what he sends in many turns.
            let most = (2 * blocks_of(meter.rate(now))).clamp(self.first_depth, MAX_DEPTH);
            self.depth = (self.depth + 1).min(most).max(self.depth);
        }
        if now - self.adapted >= ADAPT_EVERY {
            self.adapt(now, meter.rate(now));
        }
        Arrival::Expected
    }

    /// Forgets a request because the peer rejected it; tells whether it was out.
    pub fn reject(&mut self, block: BlockInfo) -> bool {
        self.forget_late(block);
        let place = self.out.iter().position(|(out, _)| *out == block);
        place.is_some_and(|place| self.out.remove(place).is_some())
    }

    /// Gives one request up because somebody else brought the block; tells whether it was out.
    pub fn cancel(&mut self, block: BlockInfo) -> bool {
        let was_out = self.reject(block);
        if was_out {
            self.remember_late(block);
        }
        was_out
    }

    /// Gives every request up because the peer choked us; what it had on its way may still come.
    pub fn clear(&mut self) -> Vec<BlockInfo> {
        let given_up: Vec<BlockInfo> = self.out.drain(..).map(|(block, _)| block).collect();
        for block in &given_up {
            self.remember_late(*block);
        }
        given_up
    }

    /// Gives every request up because the peer lets us wait; an answer may still come.
    pub fn snub(&mut self, now: Instant) -> Vec<BlockInfo> {
        self.snubbed = true;
        self.growing = false;
        self.depth = MIN_DEPTH;
        self.progress = now;
        self.clear()
    }

    fn remember_late(&mut self, block: BlockInfo) {
        if self.late.len() >= MAX_LATE {
            self.late.pop_front();
        }
        self.late.push_back(block);
    }

    fn forget_late(&mut self, block: BlockInfo) -> bool {
        let place = self.late.iter().position(|late| *late == block);
        place.is_some_and(|place| self.late.remove(place).is_some())
    }

    fn adapt(&mut self, now: Instant, rate: Rate) {
        self.adapted = now;
        // Growth ends when half a second brought less than a tenth more speed.
        if self.growing && rate.0 < self.last_rate.0 + self.last_rate.0 / 10 {
            self.growing = false;
        }
        if !self.growing {
            self.depth = (blocks_of(rate) + MIN_DEPTH).min(MAX_DEPTH);
        }
        self.last_rate = rate;
    }
}

/// The blocks that come within [`HORIZON`] at this speed.
fn blocks_of(rate: Rate) -> usize {
    let bytes = rate.0 * u64::try_from(HORIZON.as_millis()).expect("a short time") / 1000;
    usize::try_from(bytes.div_ceil(u64::from(BLOCK_LENGTH))).unwrap_or(MAX_DEPTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::PieceIndex;

    fn block(number: u32) -> BlockInfo {
        BlockInfo { piece: PieceIndex(number / 8), begin: number % 8 * BLOCK_LENGTH, length: BLOCK_LENGTH }
    }

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    /// Lets a peer of `per_second` blocks answer for `seconds`, each request kept `rtt_ms` at least.
    fn run(per_second: u64, seconds: u64, rtt_ms: u64) -> Pipeline {
        let mut pipe = Pipeline::new(2000, at(0));
        let mut meter = RateMeter::default();
        let mut next = 0;
        for step in 0..seconds * per_second {
            let now = at(step * 1000 / per_second);
            while pipe.room() > 0 {
                pipe.request(now, block(next));
                next += 1;
            }
            let (oldest, sent) = pipe.out[0];
            if now - sent >= Duration::from_millis(rtt_ms) || now == sent {
                meter.add(now, u64::from(BLOCK_LENGTH));
                assert_eq!(pipe.arrive(now, oldest, &mut meter), Arrival::Expected);
            }
        }
        pipe
    }

    #[test]
    fn the_depth_follows_the_peers_speed() {
        let slow = run(10, 20, 0);
        assert!((10..=20).contains(&slow.depth), "{}", slow.depth);
        let fast = run(1000, 20, 0);
        assert_eq!(fast.depth, MAX_DEPTH);
    }

    #[test]
    fn a_peers_own_queue_is_respected() {
        let mut pipe = run(1000, 5, 0);
        pipe.clear();
        pipe.limit_to(30);
        assert_eq!(pipe.room(), 30);
    }

    #[test]
    fn a_block_is_told_apart_by_what_was_asked() {
        let mut pipe = Pipeline::new(10, at(0));
        let mut meter = RateMeter::default();
        pipe.request(at(0), block(1));
        pipe.request(at(0), block(2));
        assert!(pipe.cancel(block(2)));
        assert_eq!(pipe.arrive(at(1), block(1), &mut meter), Arrival::Expected);
        assert_eq!(pipe.arrive(at(1), block(1), &mut meter), Arrival::Unasked);
        assert_eq!(pipe.arrive(at(1), block(2), &mut meter), Arrival::Late);
        assert_eq!(pipe.arrive(at(1), block(3), &mut meter), Arrival::Unasked);
    }

    #[test]
    fn what_comes_after_a_choke_or_a_thousand_later_requests_is_still_known() {
        let mut pipe = Pipeline::new(10, at(0));
        let mut meter = RateMeter::default();
        pipe.request(at(0), block(1));
        assert_eq!(pipe.clear(), [block(1)]);
        assert_eq!(pipe.arrive(at(1), block(1), &mut meter), Arrival::Late);
        for number in 0..2 * u32::try_from(MAX_LATE).unwrap() {
            pipe.request(at(2), block(number));
            pipe.cancel(block(number));
        }
        assert_eq!(pipe.late.len(), MAX_LATE);
        assert_eq!(pipe.arrive(at(3), block(0), &mut meter), Arrival::Unasked, "long forgotten");
        assert_eq!(pipe.arrive(at(3), block(u32::try_from(MAX_LATE).unwrap() * 2 - 1), &mut meter), Arrival::Late);
    }

    #[test]
    fn a_snubbed_peer_is_asked_for_one_block_until_it_delivers() {
        let mut pipe = Pipeline::new(10, at(0));
        let mut meter = RateMeter::default();
        pipe.request(at(0), block(1));
        assert_eq!(pipe.waiting(at(60_000)), Duration::from_mins(1));
        assert_eq!(pipe.snub(at(60_000)), [block(1)]);
        assert_eq!(pipe.room(), 1);
        pipe.request(at(60_000), block(2));
        assert_eq!(pipe.arrive(at(60_001), block(2), &mut meter), Arrival::Expected);
        assert!(!pipe.is_snubbed() && pipe.room() == MIN_DEPTH);
    }
}
