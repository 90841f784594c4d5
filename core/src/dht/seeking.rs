//! The torrents that we take part in: when their peers are sought, and who is told of us.
//!
//! One walk does both: the nodes around the torrent are asked for its peers, and at the end of it the nearest of them
//! are told that we are one. It is walked again every quarter of an hour; sooner, and ever less so, while so few nodes
//! could be told that others may never hear of us, as in a network that is just coming up; and at once when we have
//! everything, so that we are noted as a seed. How many there are is counted by the way, see [`scrape`](super::scrape).
//!
//! Source: BEP 5, 33.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::lookup::{Goal, Lookup};
use super::message::{Contact, Family, Question};
use super::node_id::NodeId;
use super::peers::Which;
use super::scrape::Tally;
use super::table::K;
use super::{Dht, MOST_LOOKUPS, Output, Part, Purpose, Walk, is_some_host};
use crate::time::Instant;
use crate::tracker::Scope;

/// How often a torrent's peers are sought.
const SEEK_EVERY: Duration = Duration::from_mins(15);
/// How soon after a walk that met few; it doubles each time.
const SEEK_FIRST: Duration = Duration::from_secs(5);
/// The most peers that are taken from one answer.
const MOST_TAKEN: usize = 100;
/// Below are the ports of the services that everybody has; nobody aims us at those.
const FIRST_PORT: u16 = 1024;

/// How a torrent is sought, and when, by network.
#[derive(Debug)]
pub(super) struct Sought {
    part: Part,
    turns: [Turn; 2],
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    family: Family,
    /// `None` while it is sought.
    due: Option<Instant>,
    /// Walks that met few, since the last that met enough.
    short: u32,
    /// Whether a walk has counted, or does.
    has_counted: bool,
    /// The walk that is under way is to be followed by another.
    again: bool,
}

impl Turn {
    fn new(family: Family, now: Instant) -> Self {
        Self { family, due: Some(now), short: 0, has_counted: false, again: false }
    }
}

impl Walk {
    /// How many it has heard of.
    fn counted(&self) -> Option<Output> {
        let filters = Box::new(self.tally.as_ref()?.total()?);
        Some(Output::Counted { info_hash: self.lookup.target.0, family: self.family, filters })
    }
}

impl Dht {
    pub(super) fn seek(&mut self, now: Instant, info_hash: [u8; 20], part: Part) {
        let Self { sought, due, .. } = self;
        let sought = sought.entry(info_hash).or_insert_with(|| {
            due.extend(Family::ALL.map(|family| (family, now, info_hash)));
            Sought { part, turns: Family::ALL.map(|family| Turn::new(family, now)) }
        });
        let has_become_seed = part.is_seed && !sought.part.is_seed;
        sought.part = part;
        let mut hastened = Vec::new();
        for turn in &mut sought.turns {
            let lacks_count = part.wants_count && !turn.has_counted;
            if lacks_count || has_become_seed {
                hastened.extend(turn.due.map(|due| (turn.family, due.min(now))));
            }
            // What is under way tells of us as we are at its end, but counts nobody.
            turn.again |= lacks_count && turn.due.is_none();
        }
        for (family, due) in hastened {
            self.put_due(info_hash, family, Some(due));
        }
        // Somebody may have told us before we wanted to know.
        for family in Family::ALL {
            for peer in self.peers.some(NodeId(info_hash), family, Which::All, MOST_TAKEN, &mut self.rng) {
                self.found(NodeId(info_hash), peer.ip(), vec![peer]);
            }
        }
    }

    /// We take part in it no longer.
    pub(super) fn seek_no_more(&mut self, info_hash: [u8; 20]) {
        for family in Family::ALL {
            self.put_due(info_hash, family, None);
        }
        self.sought.remove(&info_hash);
    }

    /// A torrent is to be sought then; `None` while it is.
    fn put_due(&mut self, info_hash: [u8; 20], family: Family, due: Option<Instant>) {
        let Some(turn) = self.turn(info_hash, family) else { return };
        if let Some(before) = std::mem::replace(&mut turn.due, due) {
            self.due.remove(&(family, before, info_hash));
        }
        self.due.extend(due.map(|due| (family, due, info_hash)));
    }

    /// What is to be sought in the networks that we know, the soonest of each first.
    fn due_in_turn(&self) -> impl Iterator<Item = impl Iterator<Item = (Instant, [u8; 20], Family)>> {
        self.ready_families().map(|family| {
            let all = self.due.range((family, Instant::ZERO, [0; 20])..);
            all.take_while(move |(of, ..)| *of == family).map(|(family, at, info_hash)| (*at, *info_hash, *family))
        })
    }

    /// When a torrent is next to be sought, in a network that we know.
    pub(super) fn seek_deadline(&self) -> Option<Instant> {
        let has_room = self.walks.len() < MOST_LOOKUPS;
        self.due_in_turn().filter(|_| has_room).filter_map(|mut due| due.next()).map(|(at, ..)| at).min()
    }

    /// Begins the walks that are due, as many as may go on at once.
    pub(super) fn start_seeking(&mut self, now: Instant) {
        if self.seek_deadline().is_none_or(|at| at > now) {
            return;
        }
        let room = MOST_LOOKUPS.saturating_sub(self.walks.len());
        let mut due: Vec<(Instant, [u8; 20], Family)> =
            self.due_in_turn().flat_map(|due| due.take_while(|(at, ..)| *at <= now).take(room)).collect();
        due.sort_unstable();
        for (_, info_hash, family) in due.into_iter().take(room) {
            let target = NodeId(info_hash);
            let first = self.first(family, target);
            let counts = self.sought.get(&info_hash).is_some_and(|sought| sought.part.wants_count);
            let tally = counts.then(|| Box::new(Tally::new(self.peers.filters(target, family))));
            let walk = Walk { family, lookup: Lookup::new(target, Goal::Peers, first), tally };
            if self.start_walk(walk).is_some() {
                self.put_due(info_hash, family, None);
                if let Some(turn) = self.turn(info_hash, family) {
                    turn.has_counted |= counts;
                }
            }
        }
    }

    fn turn(&mut self, info_hash: [u8; 20], family: Family) -> Option<&mut Turn> {
        self.sought.get_mut(&info_hash)?.turns.iter_mut().find(|turn| turn.family == family)
    }

    /// A walk to a torrent has arrived: the nearest nodes are told of us.
    pub(super) fn sought_around(&mut self, now: Instant, walk: &Walk) {
        let info_hash = walk.lookup.target;
        let port = self.outer_port.filter(|_| walk.family == Family::V4).unwrap_or(self.port);
        let Some(seed) = self.sought.get(&info_hash.0).map(|sought| sought.part.is_seed) else { return };
        self.out.extend(walk.counted());
        let nearest: Vec<(Contact, Vec<u8>)> =
            walk.lookup.nearest().map(|(contact, token)| (contact, token.to_vec())).collect();
        let told = nearest.len();
        for (contact, token) in nearest {
            let question = Question::AnnouncePeer { info_hash, port: Some(port), token, seed };
            self.ask(now, contact.addr, Some(contact.id), question, Purpose::Announce);
        }
        let pause = self.rng.jitter(SEEK_EVERY, 10);
        let Some(turn) = self.turn(info_hash.0, walk.family) else { return };
        let met_few = told < K || walk.lookup.found == 0;
        turn.short = if met_few { turn.short + 1 } else { 0 };
        let short = SEEK_FIRST.saturating_mul(1 << turn.short.saturating_sub(1).min(10));
        let pause = match (std::mem::take(&mut turn.again), met_few) {
            (true, _) => Duration::ZERO,
            (false, true) => short.min(pause),
            (false, false) => pause,
        };
        self.put_due(info_hash.0, walk.family, Some(now + pause));
    }

    /// Tells what a walk has counted so far, once those have answered who do so in time: one that is gone keeps a walk
    /// waiting for seconds.
    pub(super) fn count_early(&mut self, number: u32) {
        let Some(walk) = self.walks.get_mut(&number) else { return };
        if let Some(tally) = &mut walk.tally
            && !tally.is_told
            && walk.lookup.waits_for_slow()
        {
            tally.is_told = true;
            self.out.extend(walk.counted());
        }
    }

    /// Somebody tells of peers, of a torrent that we may seek.
    pub(super) fn found(&mut self, info_hash: NodeId, teller: IpAddr, mut peers: Vec<SocketAddr>) {
        let scope = Scope::of(teller);
        peers.retain(|peer| {
            is_some_host(*peer) && peer.port() >= FIRST_PORT && scope.sees(Scope::of(peer.ip().to_canonical()))
        });
        peers.truncate(MOST_TAKEN);
        if !peers.is_empty() && self.sought.contains_key(&info_hash.0) {
            self.out.push_back(Output::Found { info_hash: info_hash.0, teller, peers });
        }
    }
}
