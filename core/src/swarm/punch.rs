//! Hole punching: two peers behind routers that let nobody in are introduced by one to whom both are connected, and
//! dial each other at once, over uTP, so that each router takes the other's call for an answer. BEP 55.
//!
//! We play all three parts. As the one who wants: a peer that cannot be reached is asked for at somebody who has told
//! us of it. As the one who is wanted: we dial whom a relay names. As the relay: we name two of our peers to each
//! other.
//!
//! A relay could be used to aim others at a victim, and so could whoever plays one. Laws: a relay names only peers that
//! it is connected to itself, at the addresses that it sees, to nobody from whom they are hidden; one peer makes us
//! introduce, be named and dial at most [`MOST_ASKED`], [`MOST_NAMED`] and [`MOST_OBEYED`] times a minute; who floods
//! is left; a dial on a relay's word goes over uTP alone, and only where peer exchange could have sent us, too. In
//! private torrents nobody is introduced. BEP 27.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use super::Swarm;
use super::io::{DialWay, Output};
use super::peers::canonical;
use crate::peer::connection::PeerFault;
use crate::peer::exchange::ExchangeMessage;
use crate::peer::holepunch::{PunchError, PunchMessage};
use crate::peer::{ConnId, Message, PeerConnection, Transport};
use crate::time::Instant;
use crate::tracker::Scope;

/// How often one peer may have us introduce it within a minute.
const MOST_ASKED: u32 = 12;
/// How often it is named to others within a minute.
const MOST_NAMED: u32 = 12;
/// How often it may have us dial somebody within a minute.
const MOST_OBEYED: u32 = 12;
/// After so many messages within a minute it is left.
const FLOOD: u32 = 120;
/// What is counted is forgotten after so long.
const MINUTE: Duration = Duration::from_mins(1);
/// How long a relay may take before its peer is dialled without.
const ANSWER: Duration = Duration::from_secs(5);
/// How soon the same peer is asked for again.
const AGAIN: Duration = Duration::from_secs(10);
/// The most peers that one connection is known to have told us of.
const MOST_TOLD: usize = 200;
/// The most dials that wait for the next tick.
const MOST_WAITING: usize = 16;

/// What is known of those who could introduce us, and what they made us do.
#[derive(Debug, Default)]
pub(super) struct Punching {
    links: BTreeMap<ConnId, Link>,
    /// Peers that were asked for, with the relay.
    asked: BTreeMap<SocketAddr, (ConnId, Instant)>,
    /// Peers that are about to dial us, and who said so.
    waiting: VecDeque<(SocketAddr, IpAddr)>,
    /// Dials on a relay's word.
    dials: BTreeSet<ConnId>,
}

#[derive(Debug)]
struct Link {
    /// Peers that it has told us of.
    told: Told,
    /// Since when the rest is counted.
    since: Instant,
    asked: u32,
    named: u32,
    obeyed: u32,
    heard: u32,
}

/// Addresses in their order, 18 bytes each: every peer may tell of [`MOST_TOLD`].
#[derive(Debug, Default)]
struct Told(Vec<(Ipv6Addr, u16)>);

impl Told {
    fn place(&self, addr: SocketAddr) -> Result<usize, usize> {
        self.0.binary_search(&Self::key(addr))
    }

    fn key(addr: SocketAddr) -> (Ipv6Addr, u16) {
        let ip = match addr.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        (ip, addr.port())
    }

    fn contains(&self, addr: SocketAddr) -> bool {
        self.place(addr).is_ok()
    }

    fn insert(&mut self, addr: SocketAddr) {
        if self.0.len() < MOST_TOLD
            && let Err(place) = self.place(addr)
        {
            self.0.insert(place, Self::key(addr));
        }
    }

    fn remove(&mut self, addr: SocketAddr) {
        if let Ok(place) = self.place(addr) {
            self.0.remove(place);
        }
    }
}

impl Punching {
    /// A peer has come; tells whether by hole punching.
    pub(super) fn joined(&mut self, now: Instant, conn: ConnId) -> bool {
        let link = Link { told: Told::default(), since: now, asked: 0, named: 0, obeyed: 0, heard: 0 };
        self.links.insert(conn, link);
        self.dials.remove(&conn)
    }

    /// The peer is gone, or the dial has failed.
    pub(super) fn lost(&mut self, conn: ConnId) {
        self.links.remove(&conn);
        self.dials.remove(&conn);
    }

    /// The peer of this connection tells whom it is connected to.
    pub(super) fn told(&mut self, conn: ConnId, message: &ExchangeMessage) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        for addr in &message.dropped {
            link.told.remove(*addr);
        }
        for contact in &message.added {
            link.told.insert(contact.addr);
        }
    }

    /// The counts of the minute.
    fn link(&mut self, now: Instant, conn: ConnId) -> Option<&mut Link> {
        let link = self.links.get_mut(&conn)?;
        if now - link.since >= MINUTE {
            (link.since, link.asked, link.named, link.obeyed, link.heard) = (now, 0, 0, 0, 0);
        }
        Some(link)
    }

    /// Whether we have lately asked this relay for a peer at this address; its router may have given it another port.
    fn was_asked(&self, now: Instant, relay: ConnId, ip: IpAddr) -> bool {
        let is_meant = |(addr, (asked, at)): (&SocketAddr, &(ConnId, Instant))| {
            *asked == relay && addr.ip() == ip && now - *at < MINUTE
        };
        self.asked.iter().any(is_meant)
    }
}

/// Counts one more, unless that is too many.
fn count(counter: &mut u32, most: u32) -> bool {
    let may = *counter < most;
    *counter += u32::from(may);
    may
}

/// Where a peer is to be dialled over UDP: where its datagrams come from, or else where it says that it listens.
fn endpoint(peer: &PeerConnection) -> Option<SocketAddr> {
    let seen = (peer.transport == Transport::Utp).then_some(peer.addr);
    seen.or_else(|| peer.listen_addr()).map(canonical)
}

/// The peer's number for messages of hole punching.
fn number(peer: &PeerConnection) -> Option<u8> {
    peer.extension.as_ref()?.holepunch.filter(|id| *id != 0)
}

impl Swarm {
    /// Whether we introduce and are introduced.
    pub(super) fn punches(&self) -> bool {
        self.config.utp && self.exchanges()
    }

    /// Asks somebody to introduce us to a peer that is hard to reach; false if nobody can, and it is to be dialled.
    pub(super) fn seeks_introduction(&mut self, now: Instant, addr: SocketAddr) -> bool {
        if !self.punches() || !self.peers.is_hard_to_reach(addr) {
            return false;
        }
        self.punching.asked.retain(|_, (_, at)| now - *at < MINUTE);
        if self.punching.asked.get(&addr).is_some_and(|(_, at)| now - *at < AGAIN) {
            return false;
        }
        let knows = |conn: &ConnId| self.punching.links.get(conn).is_some_and(|link| link.told.contains(addr));
        let relay = self.conns.iter().find_map(|(conn, peer)| Some((*conn, number(peer)?)).filter(|_| knows(conn)));
        let Some((relay, id)) = relay else { return false };
        self.punching.asked.insert(addr, (relay, now));
        self.peers.rest(addr, now + ANSWER);
        self.send(now, relay, Message::Extended { id, payload: PunchMessage::Rendezvous(addr).encode() });
        true
    }

    /// Dials those who are about to dial us, as far as there is room; tells for how many there was.
    pub(super) fn punch(&mut self, now: Instant, room: usize) -> usize {
        let mut dialled = 0;
        while dialled < room
            && let Some((addr, relay)) = self.punching.waiting.pop_front()
        {
            if !self.peers.may_be_punched(now, addr, relay) {
                continue;
            }
            let conn = self.next_conn();
            self.peers.dial(addr, conn);
            self.punching.dials.insert(conn);
            let opening = self.peers.opening(addr, self.config.encryption);
            self.out.push_back(Output::Dial { swarm: self.id, conn, addr, opening, way: DialWay::Punch });
            dialled += 1;
        }
        // Whoever finds no room now has dialled in vain by the time that there is some.
        self.punching.waiting.clear();
        dialled
    }

    /// A peer says something about hole punching.
    pub(super) fn told_of_punching(&mut self, now: Instant, conn: ConnId, payload: &Bytes) {
        let Some(link) = self.punching.link(now, conn) else { return };
        link.heard += 1;
        let heard = link.heard;
        if heard > FLOOD {
            return self.close(now, conn, PeerFault::PunchFlood(heard).into());
        }
        if !self.punches() || self.paused {
            return;
        }
        match PunchMessage::decode(payload) {
            Some(PunchMessage::Rendezvous(addr)) => self.introduce_to(now, conn, addr),
            Some(PunchMessage::Connect(addr)) => self.introduced_to(now, conn, canonical(addr)),
            Some(PunchMessage::Refused(addr, _))
                if self.punching.asked.get(&addr).is_some_and(|(relay, _)| *relay == conn) =>
            {
                if let Some(link) = self.punching.links.get_mut(&conn) {
                    link.told.remove(addr);
                }
                self.peers.rest(addr, now);
            }
            Some(PunchMessage::Refused(..)) | None => {}
        }
    }

    /// A peer wants to be introduced to another.
    fn introduce_to(&mut self, now: Instant, asker: ConnId, wanted: SocketAddr) {
        let Some(id) = self.conns.get(&asker).and_then(number) else { return };
        if !self.punching.link(now, asker).is_some_and(|link| count(&mut link.asked, MOST_ASKED)) {
            return;
        }
        match self.who_meets(asker, canonical(wanted)) {
            Ok((other, other_id, [from, to])) => {
                if self.punching.link(now, other).is_some_and(|link| count(&mut link.named, MOST_NAMED)) {
                    for (conn, id, addr) in [(other, other_id, from), (asker, id, to)] {
                        self.send(now, conn, Message::Extended { id, payload: PunchMessage::Connect(addr).encode() });
                    }
                }
            }
            Err(error) => {
                let payload = PunchMessage::Refused(wanted, error).encode();
                self.send(now, asker, Message::Extended { id, payload });
            }
        }
    }

    /// The connection of the peer that is wanted, its number for our messages, and where the asker and it are to be
    /// dialled.
    fn who_meets(&self, asker: ConnId, wanted: SocketAddr) -> Result<(ConnId, u8, [SocketAddr; 2]), PunchError> {
        let is_wanted =
            |peer: &PeerConnection| canonical(peer.addr) == wanted || peer.listen_addr().map(canonical) == Some(wanted);
        let (other, peer) = self.conns.iter().find(|(_, peer)| is_wanted(peer)).ok_or(PunchError::NotConnected)?;
        if *other == asker {
            return Err(PunchError::NoSelf);
        }
        let id = number(peer).ok_or(PunchError::NoSupport)?;
        let from = self.conns.get(&asker).and_then(endpoint).ok_or(PunchError::NoSupport)?;
        let to = endpoint(peer).ok_or(PunchError::NoSupport)?;
        let [of_asker, of_other] = [from, to].map(|addr| Scope::of(addr.ip()));
        let is_hidden = !of_asker.sees(of_other) || !of_other.sees(of_asker) || from.is_ipv4() != to.is_ipv4();
        if is_hidden { Err(PunchError::NoSuchPeer) } else { Ok((*other, id, [from, to])) }
    }

    /// A relay says that somebody is about to dial us.
    fn introduced_to(&mut self, now: Instant, relay: ConnId, addr: SocketAddr) {
        let Some(teller) = self.conns.get(&relay).map(|peer| peer.addr.ip()) else { return };
        let was_asked = self.punching.was_asked(now, relay, addr.ip());
        let may = was_asked || self.punching.link(now, relay).is_some_and(|link| count(&mut link.obeyed, MOST_OBEYED));
        if may && self.punching.waiting.len() < MOST_WAITING {
            self.punching.waiting.push_back((addr, teller));
            // Dialling is for the tick, which is due at once.
            self.tick_at = Some(now);
        }
    }
}
