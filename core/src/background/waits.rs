//! How long packets wait in the uplink's queue, of delays that many sources tell.
//!
//! A source tells how long its packets take: a way by two clocks that agree on nothing but the length of a second, or a
//! round trip. The shortest that it has told within three minutes is the way itself, what is longer is waiting. Where
//! it waits, one source cannot know: the far end has queues, too, and a round trip comes back through them. But all
//! that we send goes through our uplink. So what *all* sources have waited at least is its queue, and the rest is
//! somebody else's. In a rush every peer fills his own uplink, and every answer waits there; then those who tell of
//! ways tell the least.
//!
//! Who begins while the queue is full takes it for a part of the way. The queue of who fills a line for long is never
//! as short as that for long, since he loses packets and sends less; so such a source still tells whether the queue
//! grows, and [the pace](super::pace) how much of that matters.
//!
//! Law: at most [`MOST_SOURCES`] sources are remembered; one that says nothing for [`FORGOTTEN`] is not.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::peer::ConnId;
use crate::time::Instant;
use crate::utp::{Minima, StreamId, lesser};

/// How many minima of a source are kept: three minutes.
const MINIMA: usize = 6;
/// What was told so long ago says nothing of now.
const FRESH: Duration = Duration::from_millis(150);
/// The same of an answer to a question, which is not asked as often.
const FRESH_ANSWER: Duration = Duration::from_millis(400);
/// A source of which nothing was heard for so long is forgotten: its way may be another by now.
pub const FORGOTTEN: Duration = Duration::from_mins(3);
/// The most sources.
pub const MOST_SOURCES: usize = 1000;

/// What a packet of TCP carries, in bytes.
const PACKET: u64 = 1448;
/// After so many round trips the smoothed one is the last ones.
const MANY: u64 = 32;

/// Who tells a delay. Ways and trips of one connection are no more comparable than those of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A way over uTP, by the number of its stream.
    Way(StreamId),
    /// A round trip of TCP.
    Trip(ConnId),
    /// A way that a peer was asked for.
    Asked(ConnId),
}

/// What the system knows of one TCP connection of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trip {
    /// The round trip as it was of late, smoothed, in microseconds.
    pub trip_us: u32,
    /// The bytes that the other side has, since the connection began.
    pub acknowledged: u64,
    /// The packets that were sent again, since the connection began.
    pub repeated: u32,
}

impl Trip {
    /// The round trips since `before`, in microseconds; `None` if there was none.
    ///
    /// Each moves the smoothed one by an eighth of the difference (RFC 6298), and there was one for every two packets
    /// that the other side has got since. So what they were is told though the smoothed one takes many more to get
    /// there.
    pub fn since(&self, before: &Self) -> Option<u32> {
        let bytes = self.acknowledged.checked_sub(before.acknowledged).filter(|bytes| *bytes > 0)?;
        let trips = (bytes / (2 * PACKET)).clamp(1, MANY);
        // How much of the old one is left, of 2^16.
        let left = (0..trips).fold(1_i64 << 16, |left, _| left * 7 / 8);
        let moved = (i64::from(self.trip_us) - i64::from(before.trip_us)) * left / ((1 << 16) - left);
        u32::try_from((i64::from(self.trip_us) + moved).max(0)).ok()
    }
}

/// One source. Delays are microseconds, and their differences wrap.
#[derive(Clone, Debug)]
struct Told {
    minima: Minima,
    /// The least that was told since somebody last looked, or the last.
    current: u32,
    at: Instant,
    /// Somebody has looked at it since.
    is_seen: bool,
}

impl Told {
    fn waits_us(&self) -> u32 {
        let way = self.minima.least().unwrap_or(self.current);
        if lesser(way, self.current) == way { self.current.wrapping_sub(way) } else { 0 }
    }
}

/// All sources.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    sources: BTreeMap<Source, Told>,
    /// How long all waited when that was last known, in microseconds.
    known: Option<(Instant, u32)>,
}

impl Waits {
    /// A source tells a delay, and what of it may be the way; both in microseconds of which only differences mean
    /// anything. If it is new, all others' wait counts as its own, but no more than `most_us`.
    pub fn told(&mut self, now: Instant, source: Source, delay_us: u32, way_us: u32, most_us: u32) {
        if let Some(told) = self.sources.get_mut(&source) {
            told.minima.measured(now, way_us);
            let is_over = told.is_seen || now - told.at >= FRESH;
            told.current = if is_over { delay_us } else { lesser(told.current, delay_us) };
            (told.at, told.is_seen) = (now, false);
            return;
        }
        self.sources.retain(|_, told| now - told.at < FORGOTTEN);
        if self.sources.len() >= MOST_SOURCES {
            return;
        }
        let waits = self.known.filter(|(at, _)| now - *at < FRESH).map_or(0, |(_, waits)| waits.min(most_us));
        let mut minima = Minima::new(now, MINIMA);
        minima.measured(now, way_us.wrapping_sub(waits));
        self.sources.insert(source, Told { minima, current: delay_us, at: now, is_seen: false });
    }

    /// How long all wait; `None` if nobody has told anything since this was last asked, or not just now.
    pub fn look(&mut self, now: Instant) -> Option<Duration> {
        let (mut least, mut is_news) = (None, false);
        for (source, told) in &mut self.sources {
            let fresh = if matches!(source, Source::Asked(_)) { FRESH_ANSWER } else { FRESH };
            if now - told.at >= fresh {
                continue;
            }
            is_news |= !told.is_seen;
            told.is_seen = true;
            least = Some(least.map_or(told.waits_us(), |least: u32| least.min(told.waits_us())));
        }
        let waits = least.filter(|_| is_news)?;
        self.known = Some((now, waits));
        Some(Duration::from_micros(u64::from(waits)))
    }
}
