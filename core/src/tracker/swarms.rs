//! The tracker's memory: who is in which swarm, and whom an asker is told of.
//!
//! A crowd that arrives within a second must end up well mixed. So an asker gets a random set with a mild preference
//! for the newest, and comes back within seconds while he or his swarm is young: early comers learn of later ones
//! before they have filled their slots with one another. As both age, the interval grows to its full length.
//!
//! Knows nothing of wire formats, sockets or the machine's clock. Private swarms are the codec's business.
//! Laws: peers are chosen before the asker is entered, and he is never told of himself; nobody is told of hosts nearer
//! than himself; IPv4 and IPv6 stay apart; seeds are given to no seed that has ever moved a byte; every count is
//! bounded by [`SwarmTableConfig`]; an announce costs O(log n) in the peers of the table, plus the set handed out.
//! Sources: BEP 3, BEP 7, BEP 48; young swarms as arvidn asked for in libtorrent#3226.

mod crowd;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use self::crowd::{Asker, Capacity, Class, Crowd, Entered, Taste};
use super::{
    AnnounceEvent, AnnounceFailure, AnnounceRequest, AnnounceResponse, Scope, ScrapeRequest, ScrapeResponse,
    SwarmCounts,
};
use crate::rng::Rng;
use crate::time::Instant;

/// All swarms of one tracker, for every codec.
#[derive(Debug)]
pub struct SwarmTable {
    config: SwarmTableConfig,
    swarms: BTreeMap<[u8; 20], Swarm>,
    /// One entry per peer, at the time it was due when last looked at. A peer that has announced since is entered anew
    /// when its old time comes, so that an announce of a known peer leaves this alone.
    due: BTreeSet<(Instant, [u8; 20], SocketAddr)>,
}

/// The bounds of a [`SwarmTable`], and its rhythm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwarmTableConfig {
    /// Which swarms there may be.
    pub admission: Admission,
    /// Swarms that announces may open, if they may. Default 10,000.
    pub max_swarms: usize,
    /// Peers of all swarms together, about 300 bytes each. Default 100,000.
    pub max_peers: usize,
    /// Peers of one swarm, IPv4 and IPv6 counted apart. Default 50,000.
    pub max_peers_per_swarm: usize,
    /// Peers of one swarm in one public /24 or /64. Default 256.
    pub max_peers_per_network: usize,
    /// What a peer of a swarm that is seconds old is told to wait. Default 2 s.
    pub shortest_interval: Duration,
    /// What an old peer of an old swarm is told to wait. Default 30 min.
    pub longest_interval: Duration,
    /// Announces per second that one swarm may cause; a big one waits longer from the start. Default 2,000.
    pub announces_per_second: u32,
    /// How long a peer that is overdue twice over is kept. Default 10 min: some clients ask every five minutes at most.
    pub grace: Duration,
}

/// Which swarms a [`SwarmTable`] answers for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// Those that were [allowed](SwarmTable::allow).
    #[default]
    Listed,
    /// Any that a peer announces.
    Open,
}

impl Default for SwarmTableConfig {
    fn default() -> Self {
        Self {
            admission: Admission::Listed,
            max_swarms: 10_000,
            max_peers: 100_000,
            max_peers_per_swarm: 50_000,
            max_peers_per_network: 256,
            shortest_interval: Duration::from_secs(2),
            longest_interval: Duration::from_mins(30),
            announces_per_second: 2_000,
            grace: Duration::from_mins(10),
        }
    }
}

/// What the owner knows of a swarm that is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwarmEntry {
    /// Downloads that became whole before this run.
    pub downloaded: u32,
    /// Whether the owner's own seed serves the torrent. It does not announce, but counts as a complete peer.
    pub seeded: bool,
}

impl SwarmTable {
    /// An empty table.
    pub fn new(config: SwarmTableConfig) -> Self {
        Self { config, swarms: BTreeMap::new(), due: BTreeSet::new() }
    }

    /// Answers for `info_hash` from now on. A swarm that is there keeps its peers and never counts down.
    pub fn allow(&mut self, info_hash: [u8; 20], entry: SwarmEntry) {
        let swarm = self.swarms.entry(info_hash).or_default();
        swarm.listed = true;
        swarm.seeded = entry.seeded;
        swarm.downloaded = swarm.downloaded.max(entry.downloaded);
    }

    /// Drops a swarm and its peers.
    pub fn forget(&mut self, info_hash: [u8; 20]) {
        let Some(swarm) = self.swarms.remove(&info_hash) else { return };
        for (addr, due) in swarm.v4.due().chain(swarm.v6.due()) {
            self.due.remove(&(due, info_hash, addr));
        }
    }

    /// How a swarm stands; `None` if there is none.
    pub fn swarm(&self, info_hash: [u8; 20]) -> Option<SwarmCounts> {
        self.swarms.get(&info_hash).map(Swarm::counts)
    }

    /// Peers of all swarms together, the owner's own not counted.
    pub fn peers(&self) -> usize {
        self.due.len()
    }

    /// Answers one announce that came from `from`, whose port is not used, and enters the peer.
    ///
    /// `own` are the addresses of the owner's own seed as this asker can reach them; a leecher gets them first.
    ///
    /// # Errors
    ///
    /// One sentence for the client if the swarm is not served, the tracker is full, or the port is 0.
    pub fn announce(
        &mut self,
        now: Instant,
        from: SocketAddr,
        request: &AnnounceRequest,
        own: &[SocketAddr],
        rng: &mut Rng,
    ) -> Result<AnnounceResponse, AnnounceFailure> {
        let mut peers = Vec::new();
        let response = self.announce_into(now, from, request, own, rng, &mut peers)?;
        Ok(AnnounceResponse { peers, ..response })
    }

    /// The same with the peers in `peers`, whose memory is used again and again, and not in the answer.
    ///
    /// Allocates nothing for a peer that is known and fits.
    ///
    /// # Errors
    ///
    /// As [`announce`](Self::announce).
    pub fn announce_into(
        &mut self,
        now: Instant,
        from: SocketAddr,
        request: &AnnounceRequest,
        own: &[SocketAddr],
        rng: &mut Rng,
        peers: &mut Vec<SocketAddr>,
    ) -> Result<AnnounceResponse, AnnounceFailure> {
        peers.clear();
        self.expire_some(now, EXPIRED_PER_ANNOUNCE);
        let mut asker = Asker::of(from, request)?;
        let info_hash = request.info_hash;
        self.admit(info_hash)?;
        if request.event == Some(AnnounceEvent::Stopped) {
            self.remove(info_hash, asker.addr);
            let counts = self.swarm(info_hash).unwrap_or_default();
            return Ok(respond(&asker, self.config.longest_interval, counts));
        }

        let room = self.config.max_peers.saturating_sub(self.due.len());
        let swarm = self.swarms.get_mut(&info_hash).expect("an admitted swarm is there");
        asker.joined = swarm.crowd(asker.addr).member(asker.addr).map(|member| member.joined);
        swarm.choose(now, &asker, own, wanted(request.numwant), rng, peers);
        let interval = swarm.interval(now, &asker, &self.config, rng);
        let expires = now + interval * 2 + self.config.grace;
        let crowd = swarm.crowd_mut(asker.addr);
        let capacity = Capacity {
            peers: self.config.max_peers_per_swarm.min(crowd.len() + room),
            per_network: self.config.max_peers_per_network,
        };
        let entered = crowd.enter(&asker, now, expires, capacity);
        match entered {
            Entered::New => {
                self.due.insert((expires, info_hash, asker.addr));
                swarm.note_growth(now);
            }
            Entered::Known | Entered::Refused => {}
        }
        if request.event == Some(AnnounceEvent::Completed) && asker.class == Class::Seed {
            swarm.count_download(asker.addr);
        }
        let mut response = respond(&asker, interval, swarm.counts_beside(own));
        if entered == Entered::Refused {
            response.warning = Some("the tracker is full: others are not told of you".to_owned());
            self.drop_if_unused(info_hash);
        }
        Ok(response)
    }

    /// The figures of those swarms of `request` that are known.
    pub fn scrape(&self, request: &ScrapeRequest) -> ScrapeResponse {
        let known = |info_hash: &[u8; 20]| Some((*info_hash, self.swarm(*info_hash)?));
        ScrapeResponse { files: request.info_hashes.iter().filter_map(known).collect() }
    }

    /// Drops the peers that are overdue at `now`. To be called when the [deadline](Self::deadline) has come.
    pub fn expire(&mut self, now: Instant) {
        self.expire_some(now, usize::MAX);
    }

    /// When [`expire`](Self::expire) is next needed; `None` while there are no peers.
    pub fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|(at, ..)| *at)
    }

    /// Sees to it that there is a swarm for `info_hash`.
    fn admit(&mut self, info_hash: [u8; 20]) -> Result<(), AnnounceFailure> {
        if self.swarms.contains_key(&info_hash) {
            return Ok(());
        }
        match self.config.admission {
            Admission::Listed => Err(AnnounceFailure::new("this tracker does not serve that torrent")),
            Admission::Open if self.swarms.len() >= self.config.max_swarms => {
                Err(AnnounceFailure::new("this tracker serves as many torrents as it can"))
            }
            Admission::Open => {
                self.swarms.insert(info_hash, Swarm::default());
                Ok(())
            }
        }
    }

    fn remove(&mut self, info_hash: [u8; 20], addr: SocketAddr) {
        let Some(swarm) = self.swarms.get_mut(&info_hash) else { return };
        if let Some(member) = swarm.crowd_mut(addr).leave(addr) {
            self.due.remove(&(member.due, info_hash, addr));
            swarm.note_shrinking();
        }
        self.drop_if_unused(info_hash);
    }

    /// A swarm that nobody listed lives as long as its peers.
    fn drop_if_unused(&mut self, info_hash: [u8; 20]) {
        if self.swarms.get(&info_hash).is_some_and(|swarm| !swarm.listed && swarm.len() == 0) {
            self.swarms.remove(&info_hash);
        }
    }

    fn expire_some(&mut self, now: Instant, most: usize) {
        for _ in 0..most {
            let Some(&(at, info_hash, addr)) = self.due.first() else { return };
            if at > now {
                return;
            }
            let swarm = self.swarms.get_mut(&info_hash).expect("a swarm's peers leave the queue with it");
            let member = swarm.crowd_mut(addr).member_mut(addr).expect("a peer leaves the queue with its swarm");
            if member.expires <= now {
                self.remove(info_hash, addr);
            } else {
                member.due = member.expires;
                self.due.insert((member.expires, info_hash, addr));
                self.due.pop_first();
            }
        }
    }
}

/// One swarm.
#[derive(Debug, Default)]
struct Swarm {
    v4: Crowd,
    v6: Crowd,
    /// Whether the owner allowed it; else it was opened by an announce.
    listed: bool,
    seeded: bool,
    downloaded: u32,
    /// The size from which growth is measured.
    settled_len: usize,
    /// When the swarm was last found to have doubled. It is as young as that.
    stirred_at: Instant,
}

impl Swarm {
    fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// The peers of the address family of `addr`.
    fn crowd(&self, addr: SocketAddr) -> &Crowd {
        if addr.is_ipv4() { &self.v4 } else { &self.v6 }
    }

    fn crowd_mut(&mut self, addr: SocketAddr) -> &mut Crowd {
        if addr.is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }

    fn counts(&self) -> SwarmCounts {
        let of = |class| u32::try_from(self.v4.count(class) + self.v6.count(class)).unwrap_or(u32::MAX);
        SwarmCounts {
            complete: of(Class::Seed).saturating_add(u32::from(self.seeded)),
            incomplete: of(Class::Leecher),
            downloaded: self.downloaded,
        }
    }

    /// The counts, where the owner's seed counts also if only its addresses tell of it.
    fn counts_beside(&self, own: &[SocketAddr]) -> SwarmCounts {
        let counts = self.counts();
        let untold = !self.seeded && !own.is_empty();
        SwarmCounts { complete: counts.complete.saturating_add(u32::from(untold)), ..counts }
    }

    /// Up to `want` peers for `asker`: the owner's seed if he needs one, then others.
    ///
    /// Whoever comes to a swarm that is just filling gets few at first. Were he given all he asks for, the first
    /// comers would have no slot left for those who come a moment later, and would end up as a clique; he comes back
    /// in seconds and gets the rest out of the whole crowd.
    ///
    /// Who calls himself a seed and may have nothing but a link gets a few who can tell him what the torrent is.
    fn choose(
        &self,
        now: Instant,
        asker: &Asker,
        own: &[SocketAddr],
        want: usize,
        rng: &mut Rng,
        chosen: &mut Vec<SocketAddr>,
    ) {
        let crowd = self.crowd(asker.addr);
        let is_known = asker.joined.is_some();
        let is_filling = now - self.stirred_at < FILLING;
        let (want, taste) =
            if is_filling && !is_known { (want.min(FIRST_NUMWANT), Taste::Newer) } else { (want, Taste::Mixed) };
        if asker.class == Class::Leecher || asker.is_untried {
            chosen.extend(own.iter().filter(|addr| addr.port() != 0 && **addr != asker.addr).take(want));
        }
        // Spares for the asker himself, and for a seed of the owner's that also announces.
        let ours = chosen.len();
        let spares = usize::from(is_known) + ours;
        // Seeds have nothing for one another.
        let classes = match asker.class {
            Class::Leecher => &[Class::Leecher, Class::Seed][..],
            Class::Seed => &[Class::Leecher],
        };
        crowd.sample(asker.scope, classes, want + spares, taste, rng, chosen);
        if asker.is_untried && chosen.len() < GUIDES {
            crowd.sample(asker.scope, &[Class::Seed], GUIDES - chosen.len() + spares, taste, rng, chosen);
        }
        for unwanted in 0..spares {
            let addr = if unwanted < ours { chosen[unwanted] } else { asker.addr };
            if let Some(at) = chosen[ours..].iter().position(|drawn| *drawn == addr) {
                chosen.swap_remove(ours + at);
            }
        }
        chosen.truncate(want);
    }

    /// What `asker` is to wait: a quarter of its age or of the swarm's, whichever is younger.
    ///
    /// So waits grow by a quarter each, and an announce costs little once all have found one another. A seed has less
    /// to learn. A swarm so big that this would flood the tracker waits as long as it takes.
    fn interval(&self, now: Instant, asker: &Asker, config: &SwarmTableConfig, rng: &mut Rng) -> Duration {
        let youth = (now - asker.joined.unwrap_or(now)).min(now - self.stirred_at) / 4;
        let class_floor = match asker.class {
            Class::Leecher => Duration::ZERO,
            Class::Seed => SEEDS_WAIT,
        };
        let millis = 1000 * self.len() as u64 / u64::from(config.announces_per_second.max(1));
        let interval = youth
            .max(config.shortest_interval)
            .max(class_floor)
            .max(Duration::from_millis(millis))
            .min(config.longest_interval);
        // Whole seconds, as the codecs have them; a crowd that came together need not come back together.
        let rounded = rng.jitter(interval, JITTER_PERCENT) + Duration::from_millis(500);
        // An interval of 0 would be taken for a missing one.
        Duration::from_secs(rounded.as_secs().max(1))
    }

    /// Notes that a peer was entered at `now`.
    fn note_growth(&mut self, now: Instant) {
        if self.len() >= 2 * self.settled_len {
            self.settled_len = self.len();
            self.stirred_at = now;
        }
    }

    /// Notes that a peer has left, so that the next crowd is again one.
    fn note_shrinking(&mut self) {
        if 2 * self.len() < self.settled_len {
            self.settled_len = self.len();
        }
    }

    /// Counts a download once per peer that is entered.
    fn count_download(&mut self, addr: SocketAddr) {
        if let Some(member) = self.crowd_mut(addr).member_mut(addr)
            && !std::mem::replace(&mut member.counted, true)
        {
            self.downloaded = self.downloaded.saturating_add(1);
        }
    }
}

impl Asker {
    fn of(from: SocketAddr, request: &AnnounceRequest) -> Result<Self, AnnounceFailure> {
        let ip = from.ip().to_canonical();
        let scope = Scope::of(ip);
        if request.port == 0 || scope == Scope::Nowhere {
            return Err(AnnounceFailure::new(format!("{ip} port {} is not an address to dial", request.port)));
        }
        let class = if request.left == 0 { Class::Seed } else { Class::Leecher };
        // aria2, as long as it has nothing but a magnet link, counts what it lacks of an empty torrent.
        let is_untried = class == Class::Seed && request.uploaded == 0 && request.downloaded == 0;
        Ok(Self { addr: SocketAddr::new(ip, request.port), scope, class, is_untried, joined: None })
    }
}

fn wanted(numwant: Option<i64>) -> usize {
    numwant.and_then(|wanted| usize::try_from(wanted).ok()).map_or(DEFAULT_NUMWANT, |wanted| wanted.min(MAX_NUMWANT))
}

/// An answer that names no peers yet.
fn respond(asker: &Asker, interval: Duration, counts: SwarmCounts) -> AnnounceResponse {
    AnnounceResponse {
        downloaded: Some(counts.downloaded),
        min_interval: Some(interval.min(LONGEST_MIN_INTERVAL)),
        complete: Some(counts.complete),
        incomplete: Some(counts.incomplete),
        external_ip: Some(asker.addr.ip()),
        ..AnnounceResponse::new(interval)
    }
}

/// Peers handed out to who does not say how many he wants.
pub const DEFAULT_NUMWANT: usize = 50;

/// Peers handed out at most.
pub const MAX_NUMWANT: usize = 200;

/// Peers handed out to who comes to a swarm that is just [`FILLING`].
///
/// In a crowd of 200 with 40 slots each, of which they use half to dial, first comers that get 50 peers at once end up
/// linked to nobody but one another. With 10 the first quarter has half of its links outside.
const FIRST_NUMWANT: usize = 10;

/// Peers that a seed is given who has moved nothing yet, and may not know what the torrent is: enough for one to
/// answer.
const GUIDES: usize = 4;

/// So long after it last doubled, a swarm counts as just filling.
const FILLING: Duration = Duration::from_secs(5);

/// What a seed waits at least.
const SEEDS_WAIT: Duration = Duration::from_mins(1);

/// A peer that lacks others may ask again after this, however long the interval.
const LONGEST_MIN_INTERVAL: Duration = Duration::from_mins(1);

const JITTER_PERCENT: u32 = 10;

/// Overdue peers dropped with each announce, in case nobody minds the deadline. More than one can enter.
const EXPIRED_PER_ANNOUNCE: usize = 8;

#[cfg(test)]
mod tests;
