//! Peer exchange: peers tell one another whom they have met, so that a crowd finds itself without a tracker. BEP 11.
//!
//! Whom we have met and lost is written down once for the whole swarm, in order; each connection only remembers how far
//! it was told. A peer is told ten seconds after it came, since a rush is short, and then at most once a minute.
//!
//! Whoever names addresses may lie. What one network names and nobody has reached is a small part of the address book,
//! see [`super::peers`]; nobody aims us at hosts nearer than himself, and nobody hears of such from us. Who floods is
//! first not listened to and then left. In private torrents nothing is told, and nothing that is told is believed. BEP
//! 27.
//!
//! Laws: at most [`MOST_TOLD`] peers are named in one message, and as many lost ones; no message is empty; nobody is
//! told of himself, of a peer whose listening address is not known, or of the loss of one that he was not told of.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use super::peers::canonical;
use super::{Limits, Swarm};
use crate::peer::connection::PeerFault;
use crate::peer::exchange::{Contact, ContactFlags, ExchangeMessage};
use crate::peer::{ConnId, Direction, Message, PeerConnection, Transport};
use crate::time::Instant;
use crate::tracker::Scope;

/// How soon after it came a peer is told for the first time.
const FIRST: Duration = Duration::from_secs(10);
/// How long it then waits for more, at least. BEP 11.
const EVERY: Duration = Duration::from_mins(1);
/// The most peers in one message, added and dropped counted apart. BEP 11.
const MOST_TOLD: usize = 50;
/// The most lost peers that are remembered for those who have not heard of it.
const MOST_GONE: usize = 256;
/// So many messages of one peer are listened to in a minute; libtorrent takes as many.
const MOST_HEARD: u32 = 6;
/// After so many in a minute the peer is left.
const FLOOD: u32 = 60;

/// Whom we have met and lost, and what each connection knows of it.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// Connected peers whose listening address is known, in the order in which it became known.
    present: BTreeMap<u64, (ConnId, SocketAddr)>,
    /// Those who are no longer, in the order in which they went.
    gone: VecDeque<Gone>,
    links: BTreeMap<ConnId, Link>,
    /// The number of the last thing that happened.
    last: u64,
}

#[derive(Debug)]
struct Gone {
    number: u64,
    /// The number that its coming had.
    came: u64,
    addr: SocketAddr,
}

/// What one connection was told, and what it tells us.
#[derive(Debug)]
struct Link {
    /// It is told nothing before.
    next_at: Instant,
    /// The last coming that it was told of, or that was not for it.
    told_present: u64,
    /// The last going.
    told_gone: u64,
    /// Since when its messages are counted.
    heard_since: Instant,
    heard: u32,
}

impl Exchange {
    /// A peer has come.
    pub(super) fn joined(&mut self, now: Instant, conn: ConnId) {
        let link = Link { next_at: now + FIRST, told_present: 0, told_gone: self.last, heard_since: now, heard: 0 };
        self.links.insert(conn, link);
    }

    /// It is known where the peer listens.
    pub(super) fn met(&mut self, conn: ConnId, addr: SocketAddr) {
        let addr = canonical(addr);
        let is_known = self.present.values().any(|(other, known)| *other == conn || *known == addr);
        if addr.port() != 0 && self.links.contains_key(&conn) && !is_known {
            self.last += 1;
            self.present.insert(self.last, (conn, addr));
        }
    }

    /// The peer is gone.
    pub(super) fn lost(&mut self, conn: ConnId) {
        self.links.remove(&conn);
        let Some(came) = self.present.iter().find(|(_, (other, _))| *other == conn).map(|(came, _)| *came) else {
            return;
        };
        let Some((_, addr)) = self.present.remove(&came) else { return };
        self.last += 1;
        self.gone.push_back(Gone { number: self.last, came, addr });
        if self.gone.len() > MOST_GONE {
            self.gone.pop_front();
        }
    }

    /// The connections that may be told something now.
    fn due(&self, now: Instant) -> Vec<ConnId> {
        let has_news = |link: &Link| link.told_present.min(link.told_gone) < self.last;
        self.links.iter().filter(|(_, link)| link.next_at <= now && has_news(link)).map(|(conn, _)| *conn).collect()
    }

    /// What is new to the peer of `conn` at `addr`; `None` if nothing is. It counts as told.
    fn news(
        &mut self,
        now: Instant,
        conn: ConnId,
        addr: SocketAddr,
        flags: impl Fn(ConnId) -> ContactFlags,
    ) -> Option<ExchangeMessage> {
        let link = self.links.get_mut(&conn)?;
        let scope = Scope::of(addr.ip());
        let (knew, missed) = (link.told_present, link.told_gone);
        let mut message = ExchangeMessage::default();
        let is_present = |addr| self.present.values().any(|(_, known)| *known == addr);
        for gone in self.gone.iter().filter(|gone| gone.number > missed) {
            if message.dropped.len() == MOST_TOLD {
                break;
            }
            link.told_gone = gone.number;
            if gone.came <= knew && scope.sees(Scope::of(gone.addr.ip())) && !is_present(gone.addr) {
                message.dropped.push(gone.addr);
            }
        }
        if message.dropped.len() < MOST_TOLD {
            link.told_gone = self.last;
        }
        for (came, (other, addr)) in self.present.range(knew + 1..) {
            if message.added.len() == MOST_TOLD {
                break;
            }
            link.told_present = *came;
            if *other != conn && scope.sees(Scope::of(addr.ip())) {
                message.added.push(Contact { addr: *addr, flags: flags(*other) });
            }
        }
        if message.added.len() < MOST_TOLD {
            link.told_present = self.last;
        }
        if message.is_empty() {
            return None;
        }
        link.next_at = now + EVERY;
        Some(message)
    }

    /// Counts a message of the peer; tells whether to listen to it.
    fn listens(&mut self, now: Instant, conn: ConnId) -> Result<bool, PeerFault> {
        let Some(link) = self.links.get_mut(&conn) else { return Ok(false) };
        if now - link.heard_since >= EVERY {
            (link.heard_since, link.heard) = (now, 0);
        }
        link.heard += 1;
        if link.heard > FLOOD { Err(PeerFault::ExchangeFlood(link.heard)) } else { Ok(link.heard <= MOST_HEARD) }
    }
}

impl Swarm {
    /// Whether peers are told of one another and believed when they tell.
    pub(super) fn exchanges(&self) -> bool {
        self.config.exchange && self.conduct.discovery.exchange && !self.metainfo.info.private
    }

    /// Notes where the peer of a connection listens, if that is known.
    pub(super) fn note_listener(&mut self, conn: ConnId) {
        if let Some(addr) = self.conns.get(&conn).and_then(PeerConnection::listen_addr) {
            self.exchange.met(conn, addr);
        }
    }

    /// Tells peers whom they do not know, if it is time.
    pub(super) fn tell_of_peers(&mut self, now: Instant) {
        if !self.exchanges() || self.paused {
            return;
        }
        for conn in self.exchange.due(now) {
            let Some(peer) = self.conns.get(&conn) else { continue };
            let Some(id) = peer.extension.as_ref().and_then(|extension| extension.exchange).filter(|id| *id != 0)
            else {
                continue;
            };
            let flags = |conn| {
                let other = self.conns.get(&conn);
                let reached = other.is_some_and(|peer| peer.direction == Direction::Outgoing && !peer.punched);
                let flags = ContactFlags::new(other.is_some_and(PeerConnection::wants_nothing), reached);
                // Whoever punches holes speaks uTP, whatever carries this connection.
                let punches = other.is_some_and(PeerConnection::punches);
                flags.speaking(punches || other.is_some_and(|peer| peer.transport == Transport::Utp), punches)
            };
            if let Some(message) = self.exchange.news(now, conn, peer.addr, flags) {
                self.send(now, conn, Message::Extended { id, payload: message.encode() });
            }
        }
    }

    /// A peer names others.
    pub(super) fn told_of_peers(&mut self, now: Instant, conn: ConnId, payload: &Bytes) {
        match self.exchange.listens(now, conn) {
            Err(fault) => self.close(now, conn, fault.into()),
            Ok(true) if self.exchanges() => {
                let Some(peer) = self.conns.get(&conn) else { return };
                let Some(message) = ExchangeMessage::decode(payload) else { return };
                self.peers.add_named(now, peer.addr.ip(), &message.added);
                self.punching.told(conn, &message);
                // They are dialled with the next tick, which is within a second.
            }
            Ok(_) => {}
        }
    }
}

impl Swarm {
    /// Somebody names peers whose word counts as little as another peer's.
    pub(super) fn peers_told(&mut self, now: Instant, teller: IpAddr, peers: Vec<SocketAddr>, limits: &mut Limits) {
        let contact = |addr| Contact { addr, flags: ContactFlags::default() };
        self.peers.add_named(now, teller, &peers.into_iter().map(contact).collect::<Vec<_>>());
        self.dial(now, limits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: [u8; 4] = [198, 18, 0, 200];

    fn addr(n: u8) -> SocketAddr {
        SocketAddr::from(([198, 18, 0, n], 6881))
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    /// An exchange with a peer 1000 and so many others, who came at 0.
    fn exchange(others: u8) -> Exchange {
        let mut exchange = Exchange::default();
        exchange.joined(at(0), ConnId(1000));
        for n in 0..others {
            exchange.joined(at(0), ConnId(u64::from(n)));
            exchange.met(ConnId(u64::from(n)), addr(n));
        }
        exchange
    }

    fn news(exchange: &mut Exchange, now: Instant) -> ExchangeMessage {
        let listener = SocketAddr::from((PUBLIC, 50_000));
        let message = exchange.news(now, ConnId(1000), listener, |_| ContactFlags::default());
        message.unwrap_or_default()
    }

    fn added(message: &ExchangeMessage) -> Vec<SocketAddr> {
        message.added.iter().map(|contact| contact.addr).collect()
    }

    #[test]
    fn a_peer_is_told_after_ten_seconds_and_then_once_a_minute_of_what_is_new() {
        let mut exchange = exchange(2);
        assert!(exchange.due(at(9)).is_empty());
        assert!(exchange.due(at(10)).contains(&ConnId(1000)));
        assert_eq!(added(&news(&mut exchange, at(10))), [addr(0), addr(1)]);
        exchange.joined(at(11), ConnId(2));
        exchange.met(ConnId(2), addr(2));
        exchange.lost(ConnId(0));
        assert!(!exchange.due(at(69)).contains(&ConnId(1000)));
        assert!(exchange.due(at(70)).contains(&ConnId(1000)));
        let message = news(&mut exchange, at(70));
        assert_eq!((added(&message), message.dropped), (vec![addr(2)], vec![addr(0)]));
        assert!(news(&mut exchange, at(140)).is_empty() && !exchange.due(at(999)).contains(&ConnId(1000)));
    }

    #[test]
    fn a_long_list_comes_in_parts() {
        let mut exchange = exchange(120);
        let told: Vec<_> = (0..3).map(|minute| added(&news(&mut exchange, at(60 * minute)))).collect();
        assert_eq!(told.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50, 20]);
        assert_eq!(told.concat(), (0..120).map(addr).collect::<Vec<_>>());
        for n in 0..120 {
            exchange.lost(ConnId(n));
        }
        let dropped: Vec<_> = (3..7).map(|minute| news(&mut exchange, at(60 * minute)).dropped).collect();
        assert_eq!(dropped.concat(), (0..120).map(addr).collect::<Vec<_>>());
    }

    #[test]
    fn who_comes_and_goes_between_two_messages_is_not_spoken_of() {
        let mut exchange = exchange(1);
        news(&mut exchange, at(10));
        exchange.joined(at(11), ConnId(5));
        exchange.met(ConnId(5), addr(5));
        exchange.lost(ConnId(5));
        // Somebody leaves and is back at once.
        exchange.lost(ConnId(0));
        exchange.joined(at(12), ConnId(6));
        exchange.met(ConnId(6), addr(0));
        assert_eq!(news(&mut exchange, at(70)).dropped, []);
    }

    #[test]
    fn an_address_is_told_once_and_not_to_itself() {
        let mut exchange = exchange(1);
        exchange.met(ConnId(1000), SocketAddr::from((PUBLIC, 6881)));
        exchange.met(ConnId(1000), addr(9));
        // Another peer says that it listens there, too.
        exchange.joined(at(1), ConnId(1));
        exchange.met(ConnId(1), addr(0));
        assert_eq!(added(&news(&mut exchange, at(10))), [addr(0)]);
    }

    #[test]
    fn nobody_hears_of_hosts_that_are_nearer_to_us() {
        let mut exchange = exchange(1);
        for (n, hidden) in (1..).zip(["127.0.0.1:1", "192.168.0.1:1", "[::1]:1", "[fd00::1]:1", "[::ffff:10.0.0.1]:1"])
        {
            exchange.joined(at(0), ConnId(n));
            exchange.met(ConnId(n), hidden.parse().unwrap());
        }
        assert_eq!(added(&news(&mut exchange, at(10))), [addr(0)]);
        exchange.joined(at(11), ConnId(2000));
        let near = exchange.news(at(30), ConnId(2000), "10.0.0.9:7".parse().unwrap(), |_| ContactFlags::default());
        assert_eq!(near.unwrap().added.len(), 4, "who is near hears of those on the site");
    }

    #[test]
    fn a_flood_is_not_listened_to_and_then_ends() {
        let mut exchange = exchange(1);
        let heard = |exchange: &mut Exchange, now| exchange.listens(now, ConnId(0));
        let listened = (0..FLOOD).filter(|_| heard(&mut exchange, at(1)).unwrap()).count();
        assert_eq!(listened, MOST_HEARD as usize);
        assert_eq!(heard(&mut exchange, at(59)), Err(PeerFault::ExchangeFlood(61)));
        assert_eq!(heard(&mut exchange, at(61)), Ok(true));
    }

    #[test]
    fn the_lost_are_bounded() {
        let mut exchange = Exchange::default();
        for n in 0..10_000 {
            exchange.joined(at(0), ConnId(n));
            exchange.met(ConnId(n), addr(1));
            exchange.lost(ConnId(n));
        }
        assert_eq!((exchange.gone.len(), exchange.present.len(), exchange.links.len()), (MOST_GONE, 0, 0));
    }
}
