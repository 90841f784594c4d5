//! The items that are wanted: who keeps them is sought, and the latest is believed.
//!
//! The nodes around an item's number are asked, in each network that we know; those who keep it may be behind, so that
//! all are heard before the one of the greatest number is taken. While nobody keeps it they are asked again, ever less
//! often.
//!
//! Source: BEP 44, 46.

use std::time::Duration;

use super::item::{ItemName, Signed};
use super::lookup::{Goal, Lookup};
use super::message::Family;
use super::node_id::NodeId;
use super::{Dht, MOST_LOOKUPS, Output, Walk};
use crate::time::Instant;

/// How soon those around are asked again who keep nothing; it doubles each time.
const AGAIN_FIRST: Duration = Duration::from_secs(5);
/// How rarely at last.
const AGAIN_MOST: Duration = Duration::from_mins(15);

/// An item that is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    name: ItemName,
    /// The latest that was heard of, with its number.
    latest: Option<(i64, [u8; 20])>,
    /// When it is next looked up; `None` while it is.
    due: Option<Instant>,
    /// Walks under way.
    walks: usize,
    /// How often nobody kept it.
    missed: u32,
}

impl Dht {
    pub(super) fn resolve(&mut self, now: Instant, name: &ItemName) {
        let fresh = || Wanted { name: name.clone(), latest: None, due: Some(now), walks: 0, missed: 0 };
        let wanted = self.wanted.entry(name.target()).or_insert_with(fresh);
        // Who asked before has waited long, and this one has not.
        if wanted.due.is_some() {
            (wanted.due, wanted.missed) = (Some(now), 0);
        }
    }

    /// What is kept around this number is wanted no longer.
    pub fn forget(&mut self, target: NodeId) {
        self.wanted.remove(&target);
    }

    /// The networks in which we know nodes.
    pub(super) fn ready_families(&self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(|family| self.side(*family).is_some_and(|side| side.is_ready))
    }

    /// When an item is next to be looked up, in a network that we know.
    pub(super) fn resolve_deadline(&self) -> Option<Instant> {
        let may = self.walks.len() < MOST_LOOKUPS && self.ready_families().next().is_some();
        self.wanted.values().filter(|_| may).filter_map(|wanted| wanted.due).min()
    }

    /// Begins the walks that are due, as many as may go on at once.
    pub(super) fn start_resolving(&mut self, now: Instant) {
        while self.resolve_deadline().is_some_and(|at| at <= now) {
            let is_due = |wanted: &Wanted| wanted.due.is_some_and(|at| at <= now);
            let Some(target) = self.wanted.iter().find(|(_, wanted)| is_due(wanted)).map(|(target, _)| *target) else {
                return;
            };
            let families: Vec<Family> = self.ready_families().collect();
            let start = |family| {
                let first = self.first(family, target);
                self.start_walk(Walk { family, lookup: Lookup::new(target, Goal::Item, first), tally: None })
            };
            let walks = families.into_iter().filter_map(start).count();
            let Some(wanted) = self.wanted.get_mut(&target) else { return };
            (wanted.due, wanted.walks) = (None, walks);
        }
    }

    /// A node has told what it keeps.
    pub(super) fn heard_item(&mut self, target: NodeId, signed: Option<&Signed>) {
        let Some(wanted) = self.wanted.get_mut(&target) else { return };
        let Some(signed) = signed.filter(|it| wanted.latest.is_none_or(|(seq, _)| it.seq > seq)) else { return };
        if let Some(torrent) = wanted.name.torrent_of(signed) {
            wanted.latest = Some((signed.seq, torrent));
        }
    }

    /// A walk to an item has arrived.
    pub(super) fn resolved_around(&mut self, now: Instant, target: NodeId) {
        let Some(wanted) = self.wanted.get_mut(&target) else { return };
        wanted.walks = wanted.walks.saturating_sub(1);
        if wanted.walks > 0 {
            return;
        }
        if let Some((_, torrent)) = wanted.latest {
            self.wanted.remove(&target);
            return self.out.push_back(Output::Resolved(target, torrent));
        }
        wanted.due = Some(now + AGAIN_FIRST.saturating_mul(1 << wanted.missed.min(10)).min(AGAIN_MOST));
        wanted.missed += 1;
        self.out.push_back(Output::Unresolved(target));
    }
}
