//! The world as a whole: its hosts, its conditions, its time.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use podswarm_core::bitfield::Bitfield;
use podswarm_core::metainfo::{Metainfo, MetainfoBuilder, PieceHashes, TorrentPath, piece_length_for};
use podswarm_core::peer::PeerId;
use podswarm_core::rng::Rng;
use podswarm_core::session::Session;
use podswarm_core::swarm::{Conduct, SwarmConfig, SwarmId, SwarmSetup};
use podswarm_core::time::Instant;
use podswarm_core::tracker::{SwarmEntry, SwarmTable, SwarmTableConfig};

use super::events::{Scheduled, What};
use super::host::{Character, Conns, Host, HostId, Kind, Line};
use super::link::{Downlink, Uplink};
use super::player::Player;
use super::queue::Queue;
use super::timeline::Timeline;
use super::{Report, laws};

/// Every port in the world.
const PORT: u16 = 6881;

/// What the net between the hosts is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weather {
    /// A packet takes up to so much longer than the latencies say.
    pub jitter: Duration,
    /// Of a thousand packets so many are lost, and sent again when the sender has noticed.
    pub loss_milli: u32,
}

/// What the tracker is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracker {
    /// It names at most so many peers at once.
    pub gives: usize,
    /// When it dies.
    pub dies: Duration,
    /// A host that it names to everybody first, as the publisher's own tracker names the publisher.
    pub names_first: Option<HostId>,
}

impl Default for Tracker {
    /// It gives what it is asked for, and stays.
    fn default() -> Self {
        Self { gives: usize::MAX, dies: Duration::MAX, names_first: None }
    }
}

/// Hosts, links, a tracker, and virtual time.
#[derive(Debug)]
pub struct World {
    pub(super) now: Instant,
    pub(super) queue: Queue<Scheduled>,
    pub(super) rng: Rng,
    pub(super) weather: Weather,
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) hosts: Vec<Host>,
    pub(super) by_addr: BTreeMap<SocketAddr, HostId>,
    pub(super) tracker: SwarmTable,
    pub(super) tracker_is: Tracker,
    config: SwarmConfig,
    pub(super) trace: u64,
    pub(super) handled: u64,
    /// Bytes of blocks that have left one host and not reached the other.
    pub(super) flying: u64,
    /// Bytes of blocks that arrived when their connection was gone.
    pub(super) lost: u64,
    /// Hosts that became complete.
    pub(super) completions: usize,
    timeline: Timeline,
}

impl World {
    /// An empty world around an episode of `length` bytes.
    ///
    /// # Panics
    /// If no torrent has this length.
    pub fn new(seed: u64, length: u64) -> Self {
        let piece_length = piece_length_for(length);
        let pieces = usize::try_from(length.div_ceil(u64::from(piece_length))).expect("a short torrent");
        let hashes = std::iter::repeat_n([0; 20], pieces).collect::<PieceHashes>();
        let name = TorrentPath::new(["episode.mp3"]).expect("a plain name");
        let metainfo = MetainfoBuilder::file(name, length, piece_length, hashes)
            .trackers(vec![vec!["http://tracker.invalid/announce".to_owned()]])
            .build()
            .expect("a plain torrent");
        let mut tracker = SwarmTable::new(SwarmTableConfig::default());
        tracker.allow(metainfo.info_hash.wire(), SwarmEntry::default());
        Self {
            now: Instant::ZERO,
            queue: Queue::default(),
            rng: Rng::from_seed_u64(seed),
            weather: Weather::default(),
            metainfo: Arc::new(metainfo),
            hosts: Vec::new(),
            by_addr: BTreeMap::new(),
            tracker,
            tracker_is: Tracker::default(),
            config: SwarmConfig::default(),
            trace: 0xcbf2_9ce4_8422_2325,
            handled: 0,
            flying: 0,
            lost: 0,
            completions: 0,
            timeline: Timeline::default(),
        }
    }

    /// Sets what the net is like from now on.
    pub fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Sets what the tracker is like.
    pub fn set_tracker(&mut self, tracker: Tracker) {
        self.tracker_is = tracker;
    }

    /// What hosts that are added from now on may use.
    pub fn config_mut(&mut self) -> &mut SwarmConfig {
        &mut self.config
    }

    /// Adds a host that has everything and is there from the start.
    pub fn add_seed(&mut self, line: Line) -> HostId {
        self.add(Character { is_seed: true, ..Character::on(line) })
    }

    /// Adds hosts that have nothing and arrive at `arrival`.
    pub fn add_leechers(&mut self, count: usize, line: Line, arrival: Duration) -> Vec<HostId> {
        (0..count).map(|_| self.add(Character { arrival, ..Character::on(line) })).collect()
    }

    /// Adds a host.
    pub fn add(&mut self, character: Character) -> HostId {
        let id = HostId(self.hosts.len());
        let addr = address(id);
        let pieces = self.metainfo.info.piece_count();
        let have = if character.is_seed { Bitfield::all(pieces) } else { Bitfield::none(pieces) };
        let setup = SwarmSetup {
            metainfo: Arc::clone(&self.metainfo),
            choice: None,
            have: have.clone(),
            placed: character.is_seed,
            paused: false,
            peer_id: PeerId::generate(&mut self.rng),
            port: PORT,
            outer_port: None,
            client: "simulated".to_owned(),
            conduct: Conduct::default(),
            web_seeds: Vec::new(),
            private_peers: false,
            announce_at: Instant::ZERO,
            rng: self.rng.fork(id.0 as u64),
            config: SwarmConfig { upload: character.kind != Kind::FreeRider, ..self.config.clone() },
        };
        let at = Instant::ZERO + character.arrival;
        self.hosts.push(Host {
            addr,
            up: Uplink::new(character.line.up),
            down: Downlink::new(character.line.down),
            session: Session::new(None, None, self.now),
            swarm: SwarmId(0),
            conns: Conns::default(),
            wake_at: None,
            blocks_read: 0,
            alive: false,
            left: false,
            stored: have,
            completed: character.is_seed.then_some(Instant::ZERO),
            sent: 0,
            received: 0,
            banned: Vec::new(),
            player: Player::default(),
            character,
        });
        self.by_addr.insert(addr, id);
        self.schedule(at, id, What::Start(Box::new(setup)));
        id
    }

    /// A host.
    pub fn host(&self, id: HostId) -> &Host {
        &self.hosts[id.0]
    }

    /// The host of this address.
    pub fn host_at(&self, ip: IpAddr) -> Option<HostId> {
        self.by_addr.get(&SocketAddr::new(ip, PORT)).copied()
    }

    /// The virtual time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// A number that is the same for two runs exactly if they were the same.
    pub const fn trace(&self) -> u64 {
        self.trace
    }

    /// How the run went until now, for people; the next one begins.
    pub fn take_timeline(&mut self) -> Timeline {
        std::mem::take(&mut self.timeline)
    }

    /// Switches a host off, as a power cut does: nobody is told.
    pub fn kill(&mut self, id: HostId) {
        let host = &mut self.hosts[id.0];
        host.alive = false;
        host.conns.clear();
    }

    /// Runs until `done`, or until `limit` has passed; tells which.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let end = Instant::ZERO + limit;
        while !done(self) {
            let Some((at, event)) = self.queue.pop(end) else { return false };
            while self.timeline.next_at() < at {
                self.timeline.take(&self.hosts, self.metainfo.info.length());
                laws::bytes_are_conserved(self);
            }
            self.now = at;
            self.note(&event);
            self.handle(event);
            self.handled += 1;
        }
        true
    }

    /// Runs until all of `hosts` are complete; tells whether they were within `limit`.
    pub fn run_until_complete(&mut self, hosts: &[HostId], limit: Duration) -> bool {
        let mut seen = usize::MAX;
        self.run_until(limit, |world| {
            // Only a completion can change the answer.
            world.completions != std::mem::replace(&mut seen, world.completions)
                && hosts.iter().all(|id| world.host(*id).completed.is_some())
        })
    }

    /// The figures of the run, for people.
    pub fn report(&self, seed: HostId, subscribers: &[HostId]) -> Report {
        Report::of(self, seed, subscribers, self.handled)
    }

    /// The episode.
    pub fn metainfo(&self) -> &Metainfo {
        &self.metainfo
    }
}

/// The address of a host: neighbours in number are in different networks, as the members of a crowd mostly are.
fn address(id: HostId) -> SocketAddr {
    const HOSTS: usize = 1 << 17;
    assert!(id.0 < HOSTS, "a world of at most {HOSTS} hosts");
    // An odd step visits every address once; this one changes the third byte each time.
    let [_, high, middle, low] = u32::try_from((id.0 + 1) * 257 % HOSTS).expect("below 2^17").to_be_bytes();
    SocketAddr::from(([198, 18 + high, middle, low], PORT))
}
