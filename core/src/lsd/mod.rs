//! Local service discovery: hosts of one network tell one another which torrents they take part in, so that a household
//! fetches an episode once. BEP 14.
//!
//! [`Lsd`] decides when to say what, and whom to believe. A torrent is named a second after it came, so that those
//! which come together are named together, or as soon as there is leave to speak; once more a minute later, since
//! datagrams are lost, and then every five minutes; one message names as many torrents as it can.
//!
//! Whoever hears of a torrent connects to whoever spoke. So only hosts are believed that are on the same network as we
//! are, which the rim knows; each gets so many messages, and so many ports, since they are all that a datagram can lie
//! about.
//!
//! Laws: one message a minute at most, to each group; what is remembered of others is bounded; private torrents are not
//! handed to this module (BEP 27).

pub mod message;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use data_encoding::HEXLOWER;

use crate::effects::Effects;
use crate::rng::Rng;
use crate::time::{Instant, earliest};
pub use message::{Group, Search};

/// A torrent waits so long for others to be named with.
const GATHER: Duration = Duration::from_secs(1);
/// The shortest time between two messages. BEP 14.
const SPEAK_EVERY: Duration = Duration::from_mins(1);
/// How often a torrent is named. BEP 14.
const NAME_EVERY: Duration = Duration::from_mins(5);
/// What a host said is remembered so long.
const REMEMBER: Duration = Duration::from_mins(10);
/// The most hosts that are remembered.
const MOST_HOSTS: usize = 512;
/// The most messages of one host that are read within [`REMEMBER`]; some clients send one for each torrent.
const MOST_MESSAGES: u32 = 300;
/// The most ports of one host that are believed within [`REMEMBER`]: programs on it, not people behind it.
const MOST_PORTS: usize = 8;

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Time has passed.
    Tick,
    /// We take part in this torrent.
    Seek([u8; 20]),
    /// We no longer do.
    Leave([u8; 20]),
    /// A datagram came from a host on one of our own networks.
    Received(SocketAddr, &'a [u8]),
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this to the group, on every interface.
    Send(Group, Vec<u8>),
    /// Somebody takes part in this torrent.
    Found([u8; 20], SocketAddr),
}

/// A torrent that we take part in.
#[derive(Debug)]
struct Torrent {
    /// It is named then, or as soon as there is leave to speak.
    due: Instant,
    /// It was named before.
    is_named: bool,
}

/// What one host said.
#[derive(Debug)]
struct Host {
    since: Instant,
    messages: u32,
    ports: BTreeSet<u16>,
}

/// What is said to the neighbours, and what is heard of them.
#[derive(Debug)]
pub struct Lsd {
    port: u16,
    cookie: String,
    torrents: BTreeMap<[u8; 20], Torrent>,
    /// Nothing is said before.
    silent_until: Instant,
    hosts: BTreeMap<IpAddr, Host>,
    out: Effects<Output>,
}

impl Lsd {
    /// Neighbours are told that peers reach us on TCP port `port`.
    pub fn new(port: u16, rng: &mut Rng) -> Self {
        let cookie = HEXLOWER.encode(&rng.next_u64().to_be_bytes());
        let (torrents, hosts, out) = (BTreeMap::new(), BTreeMap::new(), Effects::default());
        Self { port, cookie, torrents, silent_until: Instant::ZERO, hosts, out }
    }

    /// Applies one input at `now`. Effects are queued; drain them with [`Lsd::poll`].
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Tick => {}
            Input::Seek(info_hash) => {
                self.torrents.entry(info_hash).or_insert(Torrent { due: now + GATHER, is_named: false });
            }
            Input::Leave(info_hash) => drop(self.torrents.remove(&info_hash)),
            Input::Received(from, datagram) => self.received(now, from, datagram),
        }
        self.speak(now);
    }

    /// Takes the next effect, or `None` when all are drained.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.take()
    }

    /// When [`Input::Tick`] is next needed. O(torrents).
    pub fn deadline(&self) -> Option<Instant> {
        let due = self.torrents.values().fold(None, |soonest, torrent| earliest(soonest, Some(torrent.due)));
        due.map(|due| due.max(self.silent_until))
    }

    fn speak(&mut self, now: Instant) {
        if self.deadline().is_none_or(|at| at > now) {
            return;
        }
        let mut due: Vec<_> = self.torrents.iter_mut().filter(|(_, torrent)| torrent.due <= now).collect();
        // Who has waited longest comes first.
        due.sort_by_key(|(_, torrent)| torrent.due);
        due.truncate(message::MOST_TORRENTS);
        let mut info_hashes = Vec::with_capacity(due.len());
        for (info_hash, torrent) in due {
            torrent.due = now + if std::mem::replace(&mut torrent.is_named, true) { NAME_EVERY } else { SPEAK_EVERY };
            info_hashes.push(*info_hash);
        }
        self.silent_until = now + SPEAK_EVERY;
        let search = Search { port: self.port, info_hashes, cookie: Some(self.cookie.clone()) };
        self.out.extend(Group::ALL.map(|group| Output::Send(group, search.encode(group))));
    }

    fn received(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let Some(search) = Search::decode(datagram) else { return };
        if search.cookie.as_deref() == Some(self.cookie.as_str()) || !self.believes(now, from.ip(), search.port) {
            return;
        }
        let mut addr = from;
        addr.set_port(search.port);
        let shared = search.info_hashes.iter().filter(|info_hash| self.torrents.contains_key(*info_hash));
        self.out.extend(shared.map(|info_hash| Output::Found(*info_hash, addr)));
    }

    /// Whether to listen to a host that names this port; it is counted.
    fn believes(&mut self, now: Instant, host: IpAddr, port: u16) -> bool {
        if !self.hosts.contains_key(&host) && self.hosts.len() >= MOST_HOSTS {
            self.hosts.retain(|_, host| now - host.since < REMEMBER);
            if self.hosts.len() >= MOST_HOSTS {
                return false;
            }
        }
        let fresh = || Host { since: now, messages: 0, ports: BTreeSet::new() };
        let host = self.hosts.entry(host).or_insert_with(fresh);
        if now - host.since >= REMEMBER {
            *host = fresh();
        }
        host.messages += 1;
        if host.messages > MOST_MESSAGES || (host.ports.len() >= MOST_PORTS && !host.ports.contains(&port)) {
            return false;
        }
        host.ports.insert(port);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn lsd() -> Lsd {
        Lsd::new(6881, &mut Rng::from_seed_u64(1))
    }

    fn from(host: u8) -> SocketAddr {
        SocketAddr::from(([192, 168, 0, host], 6771))
    }

    /// The torrents that are named at `now`; both groups must be told the same.
    fn said(lsd: &mut Lsd, now: Instant) -> Vec<[u8; 20]> {
        lsd.handle(now, Input::Tick);
        let mut named = Vec::new();
        for group in Group::ALL {
            let Some(Output::Send(to, datagram)) = lsd.poll() else { return Vec::new() };
            assert_eq!(to, group);
            named.push(Search::decode(&datagram).unwrap());
        }
        assert_eq!((named[0].port, &named[0]), (6881, &named[1]));
        assert!(lsd.poll().is_none());
        named.remove(0).info_hashes
    }

    fn found(lsd: &mut Lsd) -> Vec<SocketAddr> {
        let found = |output| if let Output::Found(_, addr) = output { Some(addr) } else { None };
        std::iter::from_fn(|| lsd.poll()).filter_map(found).collect()
    }

    fn search(port: u16, info_hash: u8) -> Vec<u8> {
        Search { port, info_hashes: vec![[info_hash; 20], [99; 20]], cookie: None }.encode(Group::V4)
    }

    #[test]
    fn a_torrent_is_named_at_once_again_after_a_minute_and_then_every_five() {
        let mut lsd = lsd();
        assert_eq!(lsd.deadline(), None);
        lsd.handle(at(6), Input::Seek([1; 20]));
        for seconds in [7, 67, 367, 667] {
            assert_eq!(lsd.deadline(), Some(at(seconds)));
            assert_eq!(said(&mut lsd, at(seconds - 1)), [[0; 20]; 0]);
            assert_eq!(said(&mut lsd, at(seconds)), [[1; 20]]);
        }
        lsd.handle(at(700), Input::Leave([1; 20]));
        assert_eq!(lsd.deadline(), None);
    }

    #[test]
    fn however_many_torrents_there_are_one_message_a_minute_is_sent() {
        let mut lsd = lsd();
        for n in 0..100 {
            lsd.handle(at(0), Input::Seek([n; 20]));
        }
        let mut named = Vec::new();
        for minute in 0..5 {
            assert_eq!(lsd.deadline(), Some(at(60 * minute + 1)));
            let now = said(&mut lsd, at(60 * minute + 1));
            assert_eq!(now.len(), message::MOST_TORRENTS);
            named.extend(now);
        }
        named.sort_unstable();
        named.dedup();
        assert_eq!(named.len(), 100, "nobody is forgotten");
    }

    #[test]
    fn whoever_names_a_torrent_of_ours_is_found_where_it_listens() {
        let mut lsd = lsd();
        lsd.handle(at(0), Input::Seek([1; 20]));
        found(&mut lsd);
        lsd.handle(at(1), Input::Received(from(5), &search(7000, 1)));
        lsd.handle(at(1), Input::Received(from(6), &search(7000, 2)));
        assert_eq!(found(&mut lsd), [SocketAddr::from(([192, 168, 0, 5], 7000))]);
    }

    #[test]
    fn the_own_voice_is_not_heard() {
        let mut lsd = lsd();
        lsd.handle(at(0), Input::Seek([1; 20]));
        lsd.handle(at(1), Input::Tick);
        let Some(Output::Send(_, own)) = lsd.poll() else { panic!("not sent") };
        lsd.handle(at(0), Input::Received(from(1), &own));
        assert_eq!(found(&mut lsd), []);
    }

    #[test]
    fn a_host_is_believed_a_few_ports_and_some_hundred_messages() {
        let mut lsd = lsd();
        lsd.handle(at(0), Input::Seek([1; 20]));
        found(&mut lsd);
        for port in 1..100 {
            lsd.handle(at(1), Input::Received(from(5), &search(port, 1)));
        }
        assert_eq!(found(&mut lsd).len(), MOST_PORTS);
        for _ in 0..1000 {
            lsd.handle(at(2), Input::Received(from(5), &search(1, 1)));
            lsd.handle(at(2), Input::Received(from(6), &search(1, 1)));
        }
        let (five, six): (Vec<_>, Vec<_>) = found(&mut lsd).into_iter().partition(|addr| addr.ip() == from(5).ip());
        assert_eq!((five.len(), six.len()), (300 - 99, 300));
        lsd.handle(at(700), Input::Received(from(5), &search(200, 1)));
        assert_eq!(found(&mut lsd).len(), 1, "it is forgiven");
    }

    #[test]
    fn a_crowd_of_hosts_is_bounded() {
        let mut lsd = lsd();
        lsd.handle(at(0), Input::Seek([1; 20]));
        found(&mut lsd);
        let shout = |lsd: &mut Lsd, now, n: u32| {
            let host = SocketAddr::from((std::net::Ipv4Addr::from(0x0a00_0000 + n), 6771));
            lsd.handle(now, Input::Received(host, &search(1, 1)));
        };
        (0..5000).for_each(|n| shout(&mut lsd, at(1), n));
        assert_eq!((found(&mut lsd).len(), lsd.hosts.len()), (MOST_HOSTS, MOST_HOSTS));
        shout(&mut lsd, at(700), 5000);
        assert_eq!(lsd.hosts.len(), 1);
    }
}
