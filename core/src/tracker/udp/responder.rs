//! The server's side: a datagram in, a reply or silence out.
//!
//! Whoever has not shown a good connection id is given one if he asks for it, which takes as many bytes as he sent.
//! With a bad one he is told to ask again in fewer bytes than he sent: a client that kept its id over a restart of ours
//! learns it at once and not by waiting. Everything else that makes no sense is met with silence.
//!
//! Law: no reply to a stranger is longer than what he sent, and none at all goes to port 0.
//! Source: BEP 15.

use std::net::SocketAddr;
use std::time::Duration;

use super::wire::{self, Query, Request};
use super::{ConnectionIds, MAX_SCRAPE};
use crate::rng::Rng;
use crate::time::Instant;
use crate::tracker::{AnnounceFailure, AnnounceRequest, SwarmCounts};

/// Answers datagrams. It can be shared: all it has is the key of its connection ids.
#[derive(Clone, Debug)]
pub struct Responder {
    ids: ConnectionIds,
}

/// What an announce is answered with, besides the peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// How long to wait before the next one.
    pub interval: Duration,
    /// How the swarm stands.
    pub counts: SwarmCounts,
}

/// The swarms that a [`Responder`] answers for.
pub trait Swarms {
    /// Enters the peer that announces from `from`, whose port is not used, and gives it others.
    ///
    /// # Errors
    ///
    /// One sentence for the client.
    fn announce(
        &mut self,
        from: SocketAddr,
        request: &AnnounceRequest,
    ) -> Result<(Answer, &[SocketAddr]), AnnounceFailure>;

    /// How a swarm stands; nothing but zeros if there is none.
    fn scrape(&mut self, info_hash: [u8; 20]) -> SwarmCounts;
}

impl Responder {
    /// A responder whose ids no other run takes for its own.
    pub fn new(rng: &mut Rng) -> Self {
        Self { ids: ConnectionIds::new(rng) }
    }

    /// Writes the reply to a datagram that came from `from` into `out`, which is emptied first and stays empty if there
    /// is nothing to say.
    ///
    /// Allocates nothing once `out` has been through a reply of full length.
    pub fn answer(&self, now: Instant, from: SocketAddr, datagram: &[u8], swarms: &mut impl Swarms, out: &mut Vec<u8>) {
        out.clear();
        if from.port() == 0 {
            return;
        }
        let Some(Request { connection, transaction, query }) = Request::read(datagram) else { return };
        if query == Query::Connect {
            return wire::write_connect_reply(transaction, self.ids.give(now, from.ip()), out);
        }
        if !self.ids.is_good(now, from.ip(), connection) {
            return wire::write_error(transaction, WRONG_ID, out);
        }
        match query {
            Query::Connect => {}
            Query::Announce(announce) => {
                let answer = wire::announce_of(announce).and_then(|request| {
                    let (Answer { interval, counts }, peers) = swarms.announce(from, &request)?;
                    wire::write_announce_reply(transaction, interval, counts, from.ip().to_canonical(), peers, out);
                    Ok(())
                });
                if let Err(failure) = answer {
                    wire::write_error(transaction, &failure.reason, out);
                }
            }
            Query::Scrape(info_hashes) => {
                wire::write_scrape_reply(transaction, out);
                for info_hash in info_hashes.iter().take(MAX_SCRAPE) {
                    wire::write_counts(swarms.scrape(*info_hash), out);
                }
            }
        }
    }
}

/// Together with its head shorter than the shortest request that is refused with it, a scrape of one swarm.
const WRONG_ID: &str = "connection id expired";

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::super::wire::{Reply, TransactionId};
    use super::super::{ConnectionId, MAX_REPLY_BYTES};
    use super::*;

    /// A swarm for every info-hash but `[0; 20]`, with as many peers as anybody wants.
    #[derive(Default)]
    struct Many {
        peers: Vec<SocketAddr>,
        announced: Vec<(SocketAddr, AnnounceRequest)>,
    }

    const COUNTS: SwarmCounts = SwarmCounts { complete: 1, incomplete: 2, downloaded: 3 };

    impl Swarms for Many {
        fn announce(
            &mut self,
            from: SocketAddr,
            request: &AnnounceRequest,
        ) -> Result<(Answer, &[SocketAddr]), AnnounceFailure> {
            if request.info_hash == [0; 20] {
                return Err(AnnounceFailure::new("not served"));
            }
            self.announced.push((from, request.clone()));
            let other = if from.is_ipv4() { [192, 0, 2, 1].into() } else { from.ip() };
            self.peers = (1..=1000).map(|port| SocketAddr::new(other, port)).collect();
            Ok((Answer { interval: Duration::from_secs(9), counts: COUNTS }, &self.peers))
        }

        fn scrape(&mut self, info_hash: [u8; 20]) -> SwarmCounts {
            if info_hash == [0; 20] { SwarmCounts::default() } else { COUNTS }
        }
    }

    const NUMBER: TransactionId = TransactionId(7);

    struct World {
        responder: Responder,
        swarms: Many,
        from: SocketAddr,
        now: Instant,
    }

    impl World {
        fn new(from: &str) -> Self {
            let responder = Responder::new(&mut Rng::from_seed_u64(3));
            Self { responder, swarms: Many::default(), from: from.parse().unwrap(), now: Instant::ZERO }
        }

        fn ask(&mut self, datagram: &[u8]) -> Vec<u8> {
            let mut out = vec![1];
            self.responder.answer(self.now, self.from, datagram, &mut self.swarms, &mut out);
            out
        }

        fn read(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Option<Reply> {
            let mut datagram = Vec::new();
            write(&mut datagram);
            let reply = self.ask(&datagram);
            Reply::read(&reply, NUMBER, self.from.ip())
        }

        fn connect(&mut self) -> ConnectionId {
            let Some(Reply::Connected(id)) = self.read(|out| wire::write_connect(NUMBER, out)) else { panic!("no id") };
            id
        }

        fn announce(&mut self, id: ConnectionId, info_hash: [u8; 20]) -> Option<Reply> {
            let request = AnnounceRequest::new(info_hash, [2; 20], 6881);
            self.read(|out| wire::write_announce(id, NUMBER, &request, "/announce", out))
        }
    }

    #[test]
    fn who_shows_a_good_id_is_answered_in_his_family() {
        for (from, most) in [("198.51.100.1:5000", 202), ("[2001:db8::1]:5000", 67)] {
            let mut world = World::new(from);
            let id = world.connect();
            let Some(Reply::Announced(answer)) = world.announce(id, [1; 20]) else { panic!("{from}: no answer") };
            assert_eq!((answer.interval, answer.peers.len()), (Duration::from_secs(9), most));
            assert_eq!((answer.complete, answer.incomplete), (Some(1), Some(2)));
            assert_eq!(world.swarms.announced[0].0, world.from);
            assert_eq!(world.announce(id, [0; 20]), Some(Reply::Refused("not served".to_owned())));
            let scraped = world.read(|out| wire::write_scrape(id, NUMBER, &[[1; 20], [0; 20]], out));
            assert_eq!(scraped, Some(Reply::Scraped(vec![COUNTS, SwarmCounts::default()])));
        }
    }

    #[test]
    fn an_asker_on_a_socket_for_both_families_is_answered_in_ipv4() {
        let mut world = World::new("[::ffff:198.51.100.1]:5000");
        let id = world.connect();
        let mut datagram = Vec::new();
        wire::write_announce(id, NUMBER, &AnnounceRequest::new([1; 20], [2; 20], 1), "", &mut datagram);
        // What the stand-in gives is of the other family, and is left out.
        assert_eq!(world.ask(&datagram).len(), wire::ANNOUNCE_REPLY_BYTES);
    }

    #[test]
    fn an_id_that_is_old_guessed_or_anothers_opens_nothing() {
        let mut world = World::new("198.51.100.1:5000");
        let id = world.connect();
        let refused = Some(Reply::Refused(WRONG_ID.to_owned()));
        assert_eq!(world.announce(ConnectionId(id.0 ^ 1), [1; 20]), refused);
        world.from = "198.51.100.2:5000".parse().unwrap();
        assert_eq!(world.announce(id, [1; 20]), refused);
        world.from = "198.51.100.1:6000".parse().unwrap();
        assert!(matches!(world.announce(id, [1; 20]), Some(Reply::Announced(_))), "routers change ports");
        world.now += Duration::from_secs(125);
        assert_eq!(world.announce(id, [1; 20]), refused);
        assert_eq!(world.swarms.announced.len(), 1);
    }

    #[test]
    fn a_scrape_of_too_many_is_answered_for_as_many_as_fit() {
        let mut world = World::new("198.51.100.1:5000");
        let id = world.connect();
        let mut datagram = Vec::new();
        wire::write_scrape(id, NUMBER, &[[1; 20]; MAX_SCRAPE], &mut datagram);
        datagram.resize(datagram.len() + 20 * 1000, 1);
        assert_eq!(world.ask(&datagram).len(), 8 + 12 * MAX_SCRAPE);
    }

    #[test]
    fn nothing_is_sent_to_port_0() {
        let mut world = World::new("198.51.100.1:0");
        assert_eq!(world.read(|out| wire::write_connect(NUMBER, out)), None);
    }

    proptest! {
        #[test]
        fn a_stranger_never_gets_more_than_he_sent(mut datagram: Vec<u8>, action in 0..4_u8, zeros in 0..3000_usize) {
            let mut world = World::new("198.51.100.1:5000");
            prop_assert!(world.ask(&datagram).len() <= datagram.len());
            datagram.resize(datagram.len().max(16) + zeros, 0);
            datagram[8..12].copy_from_slice(&[0, 0, 0, action]);
            prop_assert!(world.ask(&datagram).len() <= datagram.len());
            datagram[..8].copy_from_slice(&wire::PROTOCOL_ID.to_be_bytes());
            prop_assert!(world.ask(&datagram).len() <= datagram.len());
            prop_assert!(world.swarms.announced.is_empty());
        }

        #[test]
        fn no_reply_is_longer_than_a_packet(mut datagram in proptest::collection::vec(any::<u8>(), 16..4000), action in 0..4_u8) {
            let mut world = World::new("[2001:db8::1]:5000");
            datagram[8..12].copy_from_slice(&[0, 0, 0, action]);
            datagram[..8].copy_from_slice(&world.connect().0.to_be_bytes());
            prop_assert!(world.ask(&datagram).len() <= MAX_REPLY_BYTES);
        }
    }
}
