//! One uplink for two: peers, and those who download over HTTP.
//!
//! After a release both want more than the line carries. TCP gives every connection as much as any other, so two
//! hundred downloads would leave next to nothing to eight peers, though what a peer gets he passes on and a download
//! does not. So while peers are served, downloads over HTTP have
//!
//! - a part of what leaves us, whatever else goes on: the owner's share, and half of it until somebody else has a whole
//!   copy of what peers are fetching;
//! - what peers leave free, which [`allowance`] finds out;
//! - never more than the owner's limit on what is sent, against which they count.
//!
//! What torrent clients take from the web seed, in ranges, is the swarm's: it waits for nobody, and counts as theirs.
//! Held back it would hold up whole crowds, since a client waits for what it has asked a web seed for.
//!
//! Those who download take turns, one network after another, so that nobody starves, and nobody gets more by asking
//! more often. While no peer is served nobody waits.
//!
//! Only a few have a turn at once: the next one's begins when what the others were given has left their sockets.
//! Hundreds of sockets would swallow whole megabytes, which say nothing of what the line carries, cannot be called
//! back, and stand in it before what peers are sent.
//!
//! A turn may be minutes away, and apps take a server for dead that is silent for much less. So whoever waits is sent a
//! few bytes now and then, and keeps his place.
//!
//! [`Line`] decides and knows no clock; [`Uplink`] asks it for those who download, and tells it how peers fare.
//!
//! Laws: a turn is given to every network that waits before any gets a second one; one who has a turn and does not
//! use it holds up nobody for longer than [`PATIENCE`].

mod allowance;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use podswarm_core::net::clock::Clock;
use podswarm_core::net::{Engine, Torrent};
use podswarm_core::rate::{ByteCount, Rate, RateMeter, TokenBucket};
use podswarm_core::time::Instant;
use podswarm_core::tracker::public_network_of;
use tokio::sync::{Notify, oneshot};

use crate::wire::UplinkStatus;
use allowance::{Allowance, STEP, Sent};

/// Peers that are sent less in a step need no part of the line kept for them.
const SERVED: u64 = 4 * 1024;
/// What may go in one turn at least; slow lines give many a turn in the time that players wait.
const LEAST_TURN: u64 = 16 * 1024;
/// A turn is the bytes of such a part of a second, if that is more.
const TURN_PART: u64 = 100;
/// What may be given out and not have left its sockets, beyond what a turn is: the bytes of such a part of a second,
/// and this at least.
const UNDER_WAY_PART: u64 = 4;
const LEAST_UNDER_WAY: u64 = 8 * LEAST_TURN;
/// Whoever has not asked again after so long has a slow line of his own.
const PATIENCE: Duration = Duration::from_secs(2);
/// While nobody waits, all downloads together have no more than this on the way to their sockets, but for a
/// [`LEAST_TURN`] each.
const AT_ONCE: u64 = 1 << 20;
/// How often is looked whether peers are served, while they are not.
const GLANCE: Duration = Duration::from_millis(100);
/// Who asks for no more is answered at once: a player that looks whether ranges are served.
pub(super) const PROBE: usize = 2 * 1024;
/// For so long nobody who waits is without a byte. Players give up after eight or ten silent seconds, apps after
/// thirty, proxies on the way after sixty, and so does our own port at last.
const SILENCE: Duration = Duration::from_secs(5);
/// What he is sent then: next to nothing, also to thousands.
const SIGN: usize = 64;
/// What may go at once: the bytes of a fiftieth of a second, and this at least.
const LEAST_BURST: u64 = 64 * 1024;
const BURST_PART: u64 = 50;

/// The part of a full uplink that downloads over HTTP have, in percent; 50 by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HttpShare(u8);

impl Default for HttpShare {
    fn default() -> Self {
        Self(50)
    }
}

impl fmt::Display for HttpShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for HttpShare {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = text.parse().ok().filter(|percent| (1..=99).contains(percent));
        percent.map(Self).ok_or_else(|| format!("`{text}` is not a part of the line in percent; want 1 to 99"))
    }
}

/// How peers fare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Served {
    /// Bytes sent to them since the start.
    sent: u64,
    /// Whether others hold a whole copy of everything that they are sent.
    is_copy_out: bool,
    /// The owner's limit on what is sent.
    limit: Option<Rate>,
}

/// What the line carries, and who waits for it.
struct Line {
    /// The part of a full line that is for downloads over HTTP.
    share: HttpShare,
    /// What was sent over HTTP.
    sent: RateMeter,
    /// How peers fared when that was last looked at, and what had been sent over HTTP.
    served: Served,
    sent_before: u64,
    /// While peers are served.
    allowance: Option<Allowance>,
    /// While anybody has to wait.
    bucket: Option<TokenBucket>,
    turns: Turns,
    under_way: UnderWay,
    /// Somebody had to wait since the last look.
    are_short: bool,
    /// When the line is full no more, unless somebody has to wait until then.
    full_until: Instant,
    /// Bytes that torrent clients took from the web seed since the last look.
    web_seeded: u64,
    /// Bytes that count against the owner's limit, and of which the engine was not told yet.
    untold: u64,
}

impl Line {
    fn new(share: HttpShare) -> Self {
        Self {
            share,
            sent: RateMeter::default(),
            served: Served::default(),
            sent_before: 0,
            allowance: None,
            bucket: None,
            turns: Turns::default(),
            under_way: UnderWay::default(),
            are_short: false,
            full_until: Instant::ZERO,
            web_seeded: 0,
            untold: 0,
        }
    }

    /// Whether nobody has to wait.
    const fn is_free(&self) -> bool {
        self.bucket.is_none()
    }

    /// Whether more is wanted than may go; one who has just not asked again makes no room.
    fn is_full(&self, now: Instant) -> bool {
        now < self.full_until
    }

    /// The part of a full line that downloads have now, in percent.
    fn percent(&self) -> u8 {
        let HttpShare(share) = self.share;
        if self.served.is_copy_out { share } else { share.div_ceil(2) }
    }

    /// When to look again.
    fn look_next(&self, now: Instant) -> Instant {
        now + if self.allowance.is_some() { STEP } else { GLANCE }
    }

    /// This is how peers fare now; the last look was when [`Self::look_next`] told then.
    fn look(&mut self, now: Instant, served: Served) {
        let before = std::mem::replace(&mut self.served, served);
        let over_http = self.sent.total();
        let sent = Sent {
            peers: served.sent - before.sent + std::mem::take(&mut self.web_seeded),
            downloads: over_http - std::mem::replace(&mut self.sent_before, over_http),
        };
        let (percent, are_short) = (self.percent(), std::mem::take(&mut self.are_short));
        if are_short {
            self.full_until = now + STEP;
        }
        if sent.peers < SERVED {
            self.allowance = None;
        } else {
            let allowance = self.allowance.get_or_insert_with(|| Allowance::new(now));
            allowance.step(now, sent, percent, are_short);
        }
        let allowed = self.allowance.as_ref().map(Allowance::rate);
        let rate = allowed.into_iter().chain(served.limit).min();
        self.under_way.room = rate.map_or(u64::MAX, |Rate(rate)| (rate / UNDER_WAY_PART).max(LEAST_UNDER_WAY));
        let burst = |Rate(rate)| ByteCount((rate / BURST_PART).max(LEAST_BURST));
        match (&mut self.bucket, rate) {
            (Some(bucket), Some(rate)) => bucket.change(now, rate, burst(rate)),
            (bucket, rate) => *bucket = rate.map(|rate| TokenBucket::new(rate, burst(rate), now)),
        }
    }

    /// How much goes in one turn.
    fn turn(&self) -> u64 {
        self.allowance.as_ref().map_or(u64::MAX, |allowance| (allowance.rate().0 / TURN_PART).max(LEAST_TURN))
    }

    /// So many bytes go to a torrent client.
    fn seed(&mut self, bytes: u64) {
        self.web_seeded += bytes;
        if self.served.limit.is_some() {
            self.untold += bytes;
        }
    }

    /// So many bytes go.
    fn take(&mut self, now: Instant, bytes: u64) {
        self.sent.add(now, bytes);
        if let Some(bucket) = &mut self.bucket {
            bucket.spend(now, bytes);
        }
        if self.served.limit.is_some() {
            self.untold += bytes;
        }
    }

    /// Gives turns to those who wait, as far as the line goes; tells when to come again.
    fn give(&mut self, now: Instant) -> Option<Instant> {
        while !self.turns.is_empty() {
            let ready = self.bucket.as_mut().map_or(Some(now), |bucket| bucket.ready_at(now));
            if ready != Some(now) {
                self.are_short = true;
                return ready;
            }
            if let Some(until) = self.under_way.is_full_until(now) {
                return Some(until);
            }
            let most = self.turn();
            let Some(waiting) = self.turns.pop() else { break };
            let bytes = waiting.wants.min(most);
            let turn = self.under_way.add(now, bytes);
            if waiting.answer.send(turn).is_ok() {
                self.take(now, bytes);
            } else {
                self.under_way.remove(turn);
            }
        }
        None
    }
}

/// Who waits for a turn.
struct Waiting {
    asker: IpAddr,
    wants: u64,
    answer: oneshot::Sender<Turn>,
}

/// So many bytes may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    number: u64,
    bytes: u64,
}

/// What was given out and may not have left its sockets yet.
#[derive(Default)]
struct UnderWay {
    /// By the number of the turn: when it was given, and its bytes.
    of: BTreeMap<u64, (Instant, u64)>,
    bytes: u64,
    /// Room for so many bytes, the last turn not counted.
    room: u64,
    /// The turns that there have been.
    count: u64,
}

impl UnderWay {
    fn add(&mut self, now: Instant, bytes: u64) -> Turn {
        self.count += 1;
        self.of.insert(self.count, (now, bytes));
        self.bytes += bytes;
        Turn { number: self.count, bytes }
    }

    /// The bytes of this turn have left.
    fn remove(&mut self, turn: Turn) {
        if let Some((_, bytes)) = self.of.remove(&turn.number) {
            self.bytes -= bytes;
        }
    }

    /// When there will be room if nobody asks again until then; `None` if there is.
    fn is_full_until(&mut self, now: Instant) -> Option<Instant> {
        while self.bytes >= self.room {
            let (given, bytes) = *self.of.first_entry()?.get();
            if now < given + PATIENCE {
                return Some(given + PATIENCE);
            }
            self.of.pop_first();
            self.bytes -= bytes;
        }
        None
    }
}

/// Those who wait, network by network.
#[derive(Default)]
struct Turns {
    of: BTreeMap<IpAddr, VecDeque<Waiting>>,
    /// The networks that wait, whose turn it is first.
    order: VecDeque<IpAddr>,
}

impl Turns {
    fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn push(&mut self, waiting: Waiting) {
        // Whoever is at home, or behind a proxy that tells nothing, stands for nobody but himself.
        let network = public_network_of(waiting.asker).unwrap_or(waiting.asker);
        let queue = self.of.entry(network).or_default();
        if queue.is_empty() {
            self.order.push_back(network);
        }
        queue.push_back(waiting);
    }

    /// The next who has not gone away meanwhile.
    fn pop(&mut self) -> Option<Waiting> {
        while let Some(network) = self.order.pop_front() {
            let queue = self.of.get_mut(&network)?;
            queue.retain(|waiting| !waiting.answer.is_closed());
            let first = queue.pop_front();
            if queue.is_empty() {
                self.of.remove(&network);
            } else {
                self.order.push_back(network);
            }
            if first.is_some() {
                return first;
            }
        }
        None
    }
}

/// The uplink. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Uplink(Arc<Shared>);

struct Shared {
    line: Mutex<Line>,
    clock: Clock,
    /// Whether nobody has to wait.
    is_free: AtomicBool,
    /// Whether more is wanted than may go.
    is_full: AtomicBool,
    downloads: AtomicUsize,
    /// Rings when somebody waits for a turn.
    news: Notify,
}

impl Uplink {
    /// A line of which downloads over HTTP have this part while it is full.
    pub(crate) fn new(share: HttpShare) -> Self {
        Self(Arc::new(Shared {
            line: Mutex::new(Line::new(share)),
            clock: Clock::default(),
            is_free: AtomicBool::new(true),
            is_full: AtomicBool::new(false),
            downloads: AtomicUsize::new(0),
            news: Notify::new(),
        }))
    }

    /// A download of this asker's; `of_swarm` if it is a part that a torrent client takes.
    pub(crate) fn download(&self, asker: IpAddr, of_swarm: bool) -> Download {
        self.0.downloads.fetch_add(1, Ordering::Relaxed);
        Download { uplink: self.clone(), asker, of_swarm, turn: None, waiting: None }
    }

    /// Whether downloads over HTTP want more than they may have, so that one more would take from the others.
    pub(crate) fn is_full(&self) -> bool {
        self.0.is_full.load(Ordering::Relaxed)
    }

    /// How it stands.
    pub(crate) fn status(&self) -> UplinkStatus {
        let now = self.0.clock.now();
        let mut line = self.line();
        let (rate, percent) = (line.sent.rate(now), line.allowance.is_some().then(|| line.percent()));
        UplinkStatus { downloads: self.0.downloads.load(Ordering::Relaxed), rate, percent }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches over the line for ever: how peers fare, and whose turn it is.
    pub(crate) async fn keep(self, engine: Engine) {
        let mut look_at = Instant::ZERO;
        loop {
            let now = self.0.clock.now();
            let again = {
                let mut line = self.line();
                if look_at <= now {
                    let served = served(&engine, line.served);
                    line.look(now, served);
                    look_at = line.look_next(now);
                    self.0.is_free.store(line.is_free(), Ordering::Relaxed);
                    self.0.is_full.store(line.is_full(now), Ordering::Relaxed);
                }
                let again = line.give(now);
                let untold = std::mem::take(&mut line.untold);
                if untold > 0 {
                    engine.sent_beside(untold);
                }
                again
            };
            let until = again.map_or(look_at, |again| again.min(look_at));
            tokio::select! {
                () = tokio::time::sleep_until(self.0.clock.at(until)) => {}
                () = self.0.news.notified() => {}
            }
        }
    }
}

/// How the engine's peers fare, who fared so before.
fn served(engine: &Engine, before: Served) -> Served {
    let (sent, limit) = (engine.sent(), engine.limits().now.up);
    if sent == before.sent {
        return Served { limit, ..before };
    }
    let torrents = engine.torrents();
    let mut fetched = torrents.iter().map(Torrent::status).filter(|status| status.up_rate > Rate(0));
    Served { sent, is_copy_out: fetched.all(|status| status.copies_milli >= 1000), limit }
}

/// One download over HTTP, until it is dropped.
pub(crate) struct Download {
    uplink: Uplink,
    asker: IpAddr,
    of_swarm: bool,
    /// The last turn, until it is asked for the next.
    turn: Option<Turn>,
    /// The next one, while it is waited for.
    waiting: Option<oneshot::Receiver<Turn>>,
}

impl Download {
    /// Whether it is a part that a torrent client takes.
    pub(crate) const fn is_of_swarm(&self) -> bool {
        self.of_swarm
    }

    /// Waits until some of `wants` bytes may be sent, and tells how many; what was given before has left its socket, or
    /// nearly so.
    pub(crate) async fn turn(&mut self, wants: usize) -> usize {
        let shared = &self.uplink.0;
        let bytes = wants as u64;
        let waiting = match &mut self.waiting {
            Some(waiting) => waiting,
            none => {
                let (now, mut line) = (shared.clock.now(), self.uplink.line());
                if self.of_swarm {
                    line.seed(bytes);
                    return wants;
                }
                if let Some(turn) = self.turn.take() {
                    line.under_way.remove(turn);
                }
                if shared.is_free.load(Ordering::Relaxed) || wants <= PROBE {
                    let downloads = shared.downloads.load(Ordering::Relaxed).max(1) as u64;
                    let bytes = bytes.min((AT_ONCE / downloads).max(LEAST_TURN));
                    line.take(now, bytes);
                    return to_usize(bytes);
                }
                let (answer, turn) = oneshot::channel();
                line.turns.push(Waiting { asker: self.asker, wants: bytes, answer });
                shared.news.notify_one();
                none.insert(turn)
            }
        };
        let Ok(turn) = tokio::time::timeout(SILENCE, waiting).await else {
            let sign = wants.min(SIGN);
            self.uplink.line().take(shared.clock.now(), sign as u64);
            return sign;
        };
        self.waiting = None;
        // The line is kept as long as the daemon runs.
        let Ok(turn) = turn else { return wants };
        // Signs may have been a part of what was asked for.
        to_usize(self.turn.insert(turn).bytes).min(wants)
    }
}

/// No more than was asked for, so it fits.
fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).expect("it is part of a usize")
}

impl Drop for Download {
    fn drop(&mut self) {
        self.uplink.0.downloads.fetch_sub(1, Ordering::Relaxed);
        let given = self.waiting.take().and_then(|mut waiting| {
            waiting.close();
            waiting.try_recv().ok()
        });
        for turn in self.turn.take().into_iter().chain(given) {
            self.uplink.line().under_way.remove(turn);
            self.uplink.0.news.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
