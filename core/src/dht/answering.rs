//! What others are answered.
//!
//! Where a question comes from may be forged, and the answer then hits somebody who asked for nothing. So who has never
//! answered us gets the nodes that he needs to go on, and few peers; in all we send so many bytes a second.
//!
//! Filters take half a kilobyte. Beside them there are fewer peers, and nodes of the asker's own network only, so that
//! an answer stays below 1200 bytes and goes in one piece wherever IPv6 does. Sources: BEP 5, 32, 33.

use std::net::SocketAddr;

use super::message::{Contact, Family, Query, Question, Refusal, Reply};
use super::node_id::NodeId;
use super::peers::Which;
use super::table::K;
use super::{Dht, MOST_QUERIES, Output, Purpose};
use crate::time::Instant;

/// The most peers that one answer names to who has answered us before: what fits into a datagram beside the rest, in
/// either network.
const MOST_PEERS: usize = 40;
/// The same over IPv6, beside filters.
const MOST_PEERS_BESIDE: usize = 10;
/// The most that are named to who has not.
const MOST_PEERS_FOR_STRANGERS: usize = 8;

impl Dht {
    pub(super) fn answer(&mut self, now: Instant, from: SocketAddr, transaction: &[u8], query: Query) {
        if self.read_only || !self.quota.allows(now, from.ip()) {
            return;
        }
        let Query { id, question, want, read_only } = query;
        let family = Family::of(from);
        let Some(own) = self.id(family) else { return };
        let mut reply = Reply { ip: Some(from), ..Reply::default() };
        match question {
            Question::Ping => {}
            // We keep nothing for others, and ask for no token to it.
            Question::FindNode(target) | Question::GetItem(target) => {
                reply.nodes = self.nodes_near(target, family, &want);
            }
            Question::GetPeers { info_hash, noseed, scrape } => {
                reply.token = Some(self.tokens.of(now, from.ip(), &mut self.rng).to_vec());
                let is_known = self.side(family).is_some_and(|side| side.table.has(from));
                let is_long = scrape
                    && self.peers.knows_any(info_hash, family)
                    && (is_known || self.quota.allows_filters(from.ip()));
                reply.filters = is_long.then(|| self.peers.filters(info_hash, family)).flatten().map(Box::new);
                reply.nodes = self.nodes_near(info_hash, family, if is_long { &[] } else { &want });
                let most = match (is_known, is_long, family) {
                    (false, ..) => MOST_PEERS_FOR_STRANGERS,
                    (true, true, Family::V6) => MOST_PEERS_BESIDE,
                    (true, ..) => MOST_PEERS,
                };
                let which = if noseed { Which::Leechers } else { Which::All };
                reply.values = self.peers.some(info_hash, family, which, most, &mut self.rng);
            }
            Question::AnnouncePeer { info_hash, port, token, seed } => {
                if !self.tokens.are_right(now, from.ip(), &token, &mut self.rng) {
                    return self.send_refusal(now, from, transaction, Refusal::Protocol);
                }
                let peer = SocketAddr::new(from.ip(), port.unwrap_or(from.port()));
                self.peers.note(now, info_hash, peer, seed);
                self.found(info_hash, from.ip(), vec![peer]);
            }
        }
        self.send_answer(now, from, reply.encode(own, transaction));
        if !read_only {
            self.meet(now, Contact { id, addr: from });
        }
    }

    pub(super) fn refuse(&mut self, now: Instant, from: SocketAddr, transaction: &[u8], refusal: Refusal) {
        if !self.read_only && self.quota.allows(now, from.ip()) {
            self.send_refusal(now, from, transaction, refusal);
        }
    }

    fn send_refusal(&mut self, now: Instant, from: SocketAddr, transaction: &[u8], refusal: Refusal) {
        self.send_answer(now, from, refusal.encode(transaction));
    }

    fn send_answer(&mut self, now: Instant, to: SocketAddr, datagram: Vec<u8>) {
        if self.quota.takes(now, datagram.len()) {
            self.out.push_back(Output::Send(to, datagram));
        }
    }

    fn nodes_near(&self, target: NodeId, asker: Family, want: &[Family]) -> Vec<Contact> {
        let is_wanted = |family| if want.is_empty() { family == asker } else { want.contains(&family) };
        let sides = self.sides.iter().filter(|side| is_wanted(side.family));
        sides.flat_map(|side| side.table.nearest(target, K)).collect()
    }

    /// Asks somebody who asked us whether he is there, if there would be a place for him.
    fn meet(&mut self, now: Instant, contact: Contact) {
        let wants = self.side(Family::of(contact.addr)).is_some_and(|side| side.table.wants(contact));
        // Half of the room is for what we want to know ourselves.
        if wants && self.queries.len() < MOST_QUERIES / 2 && !self.is_asked(contact.addr) {
            self.ask(now, contact.addr, Some(contact.id), Question::Ping, Purpose::Ping);
        }
    }
}
