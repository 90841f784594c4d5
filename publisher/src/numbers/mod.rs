//! How often episodes are downloaded, in numbers that can be trusted.
//!
//! ```text
//! media answers ── Tally ──┐
//!                          ├─► Numbers (a bounded queue) ─► Counter: ledger ─► DayRecord in the store, every 2 seconds
//! tracker: `completed` ────┘                                          └──────► listeners/DATE.seen
//! ```
//!
//! What is served puts a note into a queue and goes on; one task reads it, lets the [`ledger`] decide what counts, and
//! writes what did in batches. A note that finds the queue full is lost, and that is said: counting never holds the
//! rush up.
//!
//! In reading order: `spans`, `agent` and `ledger` decide; `seen` remembers who was counted, for a day; `geo` names
//! countries, if the owner has a database of them; `report` adds up.
//!
//! Law: an address goes no further than the ledger. A download that `podpub stats` has shown is not lost by a kill.

mod agent;
mod geo;
mod ledger;
mod report;
mod seen;
mod spans;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use podswarm_core::blocklist::Blocklist;
use podswarm_core::store::{Store, StoreError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) use agent::torrent_client;
pub(crate) use geo::Countries;
pub(crate) use ledger::EpisodeKey;
pub(crate) use report::{EpisodeNumbers, Which, csv, report};

use crate::host::blocking;
use crate::library::Library;
use crate::record::{DayRecord, EpisodeRecord};
use crate::site::Site;
use agent::Agents;
use ledger::{Completion, Counted, Fetch, Ledger, Mark, Rules};
use seen::Seen;
use spans::{Span, Spans};

/// Notes that wait to be counted.
const QUEUE: usize = 16_384;
/// How long what counted may wait to be stored.
const WAIT: Duration = Duration::from_secs(2);
/// Records that are stored at once.
const BATCH: usize = 1000;
/// The longest name of a player that is looked at, in bytes.
const LONGEST_AGENT: usize = 256;

/// What the owner says of counting.
#[derive(Clone, Debug, Default)]
pub(crate) struct NumbersConfig {
    /// Parts of the names of machines, beside those that are known.
    pub(crate) machines: Vec<String>,
    /// Addresses that never count.
    pub(crate) left_out: Arc<Blocklist>,
    /// Where addresses are; without it no country is counted.
    pub(crate) countries: Option<Countries>,
}

/// Takes notes of what is served; clones put them into the same queue.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    notes: mpsc::Sender<Note>,
    lost: Arc<AtomicU64>,
    /// Downloads that counted since the start: over HTTP, and in swarms.
    counted: Arc<[AtomicU64; 2]>,
}

/// What is to be counted, or told.
#[derive(Debug)]
pub(crate) enum Note {
    /// Somebody got bytes over HTTP.
    Fetched(Fetch),
    /// A peer has all of a torrent.
    Completed {
        /// When it said so.
        at: DateTime<Utc>,
        /// Where it is.
        ip: IpAddr,
        /// Who it is.
        peer_id: [u8; 20],
        /// Of which swarm, as on the wire.
        info_hash: [u8; 20],
    },
    /// All before this is to be stored, and then told.
    Settle(oneshot::Sender<()>),
}

impl Numbers {
    /// A queue, and its other end.
    pub(crate) fn queue() -> (Self, mpsc::Receiver<Note>) {
        let (notes, queue) = mpsc::channel(QUEUE);
        (Self { notes, lost: Arc::default(), counted: Arc::default() }, queue)
    }

    /// Takes note of an answer to `asker`, who calls himself `agent`, byte by byte as it is sent. `enough` of them are
    /// a download.
    pub(crate) fn tally(&self, episode: EpisodeKey, asker: IpAddr, agent: &str, is_part: bool, enough: u64) -> Tally {
        let agent = agent.get(..agent.floor_char_boundary(LONGEST_AGENT)).unwrap_or_default().into();
        let (at, spans) = (Utc::now(), Spans::default());
        Tally { numbers: self.clone(), fetch: Some(Fetch { at, episode, ip: asker, agent, is_part, spans, enough }) }
    }

    /// Takes note of a peer that says it has all of a torrent.
    pub(crate) fn completed(&self, ip: IpAddr, peer_id: [u8; 20], info_hash: [u8; 20]) {
        self.put(Note::Completed { at: Utc::now(), ip, peer_id, info_hash });
    }

    /// Returns when all that was noted is stored.
    pub(crate) async fn settle(&self) {
        let (done, settled) = oneshot::channel();
        if self.notes.send(Note::Settle(done)).await.is_ok() {
            let _ = settled.await;
        }
    }

    /// Downloads that counted since the start: over HTTP, and in swarms.
    pub(crate) fn counted(&self) -> [u64; 2] {
        [0, 1].map(|kind| self.counted[kind].load(Ordering::Relaxed))
    }

    fn put(&self, note: Note) {
        if self.notes.try_send(note).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The bytes of one answer. It is put into the queue when they are enough, and else when the answer is over.
#[derive(Debug)]
pub(crate) struct Tally {
    numbers: Numbers,
    /// `None` once it is told.
    fetch: Option<Fetch>,
}

impl Tally {
    /// Notes that `length` bytes from `first` on were sent.
    pub(crate) fn add(&mut self, first: u64, length: u64) {
        let Some(fetch) = &mut self.fetch else { return };
        fetch.spans.add(Span { first, end: first + length });
        if fetch.spans.total() >= fetch.enough {
            self.tell();
        }
    }

    fn tell(&mut self) {
        if let Some(fetch) = self.fetch.take().filter(|fetch| fetch.spans.total() > 0) {
            self.numbers.put(Note::Fetched(Fetch { at: Utc::now(), ..fetch }));
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.tell();
    }
}

/// How many bytes of an episode's file are a minute of it: what stands before the sound and a minute's share of the
/// rest, but all of a file that plays no longer, or nobody knows how long.
pub(crate) fn enough(library: &Library, episode: &EpisodeRecord) -> u64 {
    const MINUTE: u64 = 60_000;
    let length = episode.enclosure.length;
    let Some(plays) = episode.duration_ms.filter(|plays| *plays > MINUTE) else { return length };
    let content = library.content(episode);
    let file = episode.enclosure.path.as_ref().map_or_else(|| content.clone(), |path| content.join(path));
    let before = tag_length(&file).min(length);
    let minute = u128::from(length - before) * u128::from(MINUTE) / u128::from(plays);
    length.min(before + u64::try_from(minute).unwrap_or(length))
}

/// The bytes of the `ID3v2` tag that a file begins with, with its picture: 0 if there is none.
fn tag_length(file: &Path) -> u64 {
    let mut head = [0; 10];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut head));
    match (read, head) {
        (Ok(()), [b'I', b'D', b'3', _, _, flags, size @ ..]) => {
            let size = size.iter().fold(0, |size, byte| size << 7 | u64::from(byte & 0x7f));
            let footer = if flags & 0x10 == 0 { 0 } else { 10 };
            10 + size + footer
        }
        _ => 0,
    }
}

/// The task that counts, until it is ended.
#[derive(Debug)]
pub(crate) struct Counting {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Counting {
    /// Counts what comes through `queue`, for the episodes of `site`.
    pub(crate) fn start(
        numbers: &Numbers,
        queue: mpsc::Receiver<Note>,
        library: &Library,
        site: watch::Receiver<Arc<Site>>,
        config: NumbersConfig,
    ) -> Self {
        let NumbersConfig { machines, left_out, countries } = config;
        let rules = Rules { agents: Agents::new(&machines), left_out };
        let counter = Counter {
            ledger: Ledger::new(rules),
            seen: Seen::new(library.root()),
            store: library.store().clone(),
            site,
            countries,
            swarms: None,
            days: BTreeMap::new(),
            marks: Vec::new(),
            lost: Arc::clone(&numbers.lost),
            counted: Arc::clone(&numbers.counted),
            failed: false,
        };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(counter.count_task(queue, stop.clone()));
        tasks.close();
        Self { tasks, stop }
    }

    /// Stores all that was noted, and ends.
    pub(crate) async fn end(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

/// What counts, and what is not stored yet.
struct Counter {
    ledger: Ledger,
    seen: Seen,
    store: Store,
    site: watch::Receiver<Arc<Site>>,
    countries: Option<Countries>,
    /// The episodes of the site under the hashes of their swarms; `None` until it is needed.
    swarms: Option<BTreeMap<[u8; 20], EpisodeKey>>,
    /// What is to be added to the records.
    days: BTreeMap<(EpisodeKey, NaiveDate), DayRecord>,
    marks: Vec<Mark>,
    lost: Arc<AtomicU64>,
    counted: Arc<[AtomicU64; 2]>,
    /// Whether storing failed last, so that it is said once.
    failed: bool,
}

impl Counter {
    async fn count_task(mut self, mut queue: mpsc::Receiver<Note>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(WAIT);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let note = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = tick.tick() => {
                    self = self.store().await;
                    continue;
                }
                note = queue.recv() => note,
            };
            match note {
                Some(note) => self = self.take(note).await,
                None => break,
            }
        }
        while let Ok(note) = queue.try_recv() {
            self = self.take(note).await;
        }
        self.store().await;
    }

    async fn take(mut self, note: Note) -> Self {
        let (ip, counted) = match note {
            Note::Fetched(fetch) => {
                self = self.begin_day(fetch.at).await;
                (fetch.ip, self.ledger.fetched(&fetch))
            }
            Note::Completed { at, ip, peer_id, info_hash } => {
                let Some(episode) = self.episode_of(&info_hash) else { return self };
                self = self.begin_day(at).await;
                (ip, self.ledger.completed(&Completion { at, episode, ip, peer_id }))
            }
            Note::Settle(done) => {
                self = self.store().await;
                // Who asked may have gone.
                let _ = done.send(());
                return self;
            }
        };
        if let Some(counted) = counted {
            let country = self.countries.as_ref().and_then(|countries| countries.of(ip));
            self.add(counted, country);
        }
        self
    }

    fn add(&mut self, counted: Counted, country: Option<String>) {
        let Counted { date, episode, player, mark } = counted;
        let new = || DayRecord::new(episode.show.clone(), episode.guid, date);
        let day = self.days.entry((episode.clone(), date)).or_insert_with(new);
        self.counted[usize::from(player.is_none())].fetch_add(1, Ordering::Relaxed);
        match player {
            Some(player) => {
                day.http += 1;
                *day.players.entry(player.to_owned()).or_default() += 1;
            }
            None => day.swarm += 1,
        }
        if let Some(country) = country {
            *day.countries.entry(country).or_default() += 1;
        }
        self.marks.push(mark);
    }

    /// Begins the day of `at`, if it has not begun, with what is remembered of it.
    async fn begin_day(mut self, at: DateTime<Utc>) -> Self {
        if !self.ledger.needs_day(at) {
            return self;
        }
        let (seen, today) = (self.seen.clone(), at.date_naive());
        let open = move || {
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).expect("the system has random numbers");
            // After a restart, windows of yesterday may be open.
            let yesterday = today.pred_opt().unwrap_or(today);
            let before = seen.read(yesterday);
            (before.map(|day| day.map(|day| (yesterday, day))), seen.open(today, salt), salt)
        };
        let (before, day, salt) = blocking(open).await;
        let is_first = self.ledger.is_empty();
        match before {
            Ok(Some((date, day))) if is_first => {
                self.ledger.begin(date, day.salt, day.marks);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "who was counted yesterday cannot be read, and may count again"),
        }
        let oldest = match day {
            Ok(day) => self.ledger.begin(today, day.salt, day.marks),
            Err(error) => {
                tracing::warn!(%error, "who is counted today cannot be written, and may count again after a restart");
                self.ledger.begin(today, salt, [])
            }
        };
        let seen = self.seen.clone();
        if let Err(error) = blocking(move || seen.forget_before(oldest)).await {
            tracing::warn!(%error, "what is kept of listeners for a day cannot be removed");
        }
        self
    }

    /// The episode of a swarm.
    fn episode_of(&mut self, info_hash: &[u8; 20]) -> Option<EpisodeKey> {
        if self.swarms.is_none() || self.site.has_changed().unwrap_or(false) {
            let site = Arc::clone(&self.site.borrow_and_update());
            let episodes = site.all().flat_map(|show| show.episodes.values());
            let swarms = episodes.flat_map(|episode| {
                let record = &episode.record;
                record.info_hash.wires().map(|wire| (wire, EpisodeKey::of(record)))
            });
            self.swarms = Some(swarms.collect());
        }
        self.swarms.as_ref()?.get(info_hash).cloned()
    }

    /// Stores what counted since the last time; keeps it if that fails.
    async fn store(mut self) -> Self {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lost, "more was served at once than could be counted");
        }
        if self.days.is_empty() {
            return self;
        }
        blocking(move || {
            // First who was counted: a kill between the two costs a download, and makes none of nothing.
            let marks = std::mem::take(&mut self.marks);
            if let Err(error) = self.seen.append(&marks) {
                tracing::warn!(%error, "who was counted cannot be written, and may count again after a restart");
            }
            while !self.days.is_empty() {
                let batch: Vec<_> = self.days.iter().take(BATCH).map(|(key, day)| (key.clone(), day.clone())).collect();
                if let Err(error) = add_to_store(&self.store, batch.iter().map(|(_, day)| day)) {
                    if !std::mem::replace(&mut self.failed, true) {
                        tracing::error!(%error, "downloads cannot be stored; it is tried again");
                    }
                    return self;
                }
                for (key, _) in &batch {
                    self.days.remove(key);
                }
            }
            self.failed = false;
            self
        })
        .await
    }
}

/// Adds `days` to what the store has of them, all or none.
fn add_to_store<'a>(store: &Store, days: impl Iterator<Item = &'a DayRecord>) -> Result<(), StoreError> {
    let sums = days.map(|day| match store.get::<DayRecord>(DayRecord::key_of(&day.show, day.guid, day.date))? {
        Some(before) => Ok(before + day),
        None => Ok(day.clone()),
    });
    let sums = sums.collect::<Result<Vec<_>, StoreError>>()?;
    store.batch(|batch| sums.iter().for_each(|sum| batch.put(sum)))
}

#[cfg(test)]
mod tests;
