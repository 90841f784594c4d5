//! Whether the swarm gives less than it could, so that web servers are asked.
//!
//! Two signs, both watched once a second, and each acted upon only after a patience that every listener draws for
//! itself:
//!
//! - *lean*: peers bring less than [`ENOUGH`]. If none of them has anything that we lack, nothing is to be expected of
//!   them and the patience is two to four seconds; if one has, it may only be choking us, and the patience is four
//!   times that.
//! - *absent*: there are pieces that no connected peer has, and in the last two to four seconds nobody got any of them.
//!   While somebody does, they come from somebody else: a seed that we are not connected to, or a listener who asks a
//!   server already. So that one such listener's uplink is not all that a crowd has, one more of those who know one
//!   another joins in every few seconds, by lot.
//!
//! A speed that the owner's limit or the disk holds down says nothing of the swarm; such time does not count.
//!
//! Knows nothing of servers.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::conduct::ready;
use super::super::{Limits, Swarm};
use crate::piece::Wanted;
use crate::rng::Rng;
use crate::time::Instant;

/// Peers bring enough from this speed on, in bytes a second: four times that of an episode being played.
const ENOUGH: u64 = 64 << 10;
/// How long on average the swarm is given.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many times longer if a peer has what is missing.
const LONGER: u32 = 4;
/// One of those who know one another joins in asking a server in so many seconds.
const LOT: u32 = 4;
/// The speed is measured over so many looks, a second apart.
const LOOKS: usize = 4;

/// What is known of the swarm's speed, and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Need {
    wanted: Option<Wanted>,
    /// No peer is connected.
    is_alone: bool,
    /// A connected peer has a piece that is missing.
    is_offered_some: bool,
    /// How long peers have brought too little.
    lean: Duration,
    /// For how long nobody got a piece that nobody had.
    stale: Duration,
    /// For how long there have been pieces that nobody has.
    absent: Duration,
    /// This time's patience; drawn when it is first needed.
    patience: Option<Duration>,
    /// When it was last looked, and what peers had brought by then, the oldest look first.
    looks: VecDeque<(Instant, u64)>,
}

/// What one look at the swarm shows.
#[expect(clippy::struct_excessive_bools, reason = "each is a sign of its own")]
struct Look {
    /// Bytes that peers brought since the swarm was joined.
    from_peers: u64,
    /// The owner or the disk holds it back.
    is_held_back: bool,
    /// Connected peers.
    peers: u32,
    /// A connected peer has a piece that is missing.
    is_offered_some: bool,
    /// A piece is missing that no connected peer has.
    lacks_absent: bool,
    /// No peer will ever be named.
    is_hopeless: bool,
}

impl Need {
    /// Which pieces servers are to be asked for, if any.
    pub(super) const fn wanted(&self) -> Option<Wanted> {
        self.wanted
    }

    /// Whether no peer is connected.
    pub(super) const fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Whether a connected peer has a piece that is missing.
    pub(super) const fn is_offered_some(&self) -> bool {
        self.is_offered_some
    }

    /// A connected peer got something that nobody else had.
    pub(super) const fn peers_have_news(&mut self) {
        self.stale = Duration::ZERO;
    }

    /// Nothing is fetched for now: when it is again, patience begins anew.
    pub(super) fn rest(&mut self, now: Instant) {
        let from_peers = self.looks.back().map(|(_, bytes)| *bytes);
        *self = Self::default();
        self.looks.extend(from_peers.map(|bytes| (now, bytes)));
    }

    fn look(&mut self, now: Instant, look: &Look, rng: &mut Rng) {
        let is_first = self.looks.is_empty();
        let passed = self.looks.back().map_or(Duration::ZERO, |(at, _)| (now - *at).min(Duration::from_secs(2)));
        self.looks.push_back((now, look.from_peers));
        if self.looks.len() > LOOKS + 1 {
            self.looks.pop_front();
        }
        if self.is_enough(now, look.from_peers) {
            self.lean = Duration::ZERO;
        } else if !look.is_held_back {
            self.lean += passed;
        }
        if !look.is_held_back {
            self.stale += passed;
            self.absent = if look.lacks_absent { self.absent + passed } else { Duration::ZERO };
        }
        self.is_alone = look.peers == 0;
        self.is_offered_some = look.is_offered_some;
        let patience = *self.patience.get_or_insert_with(|| rng.jitter(PATIENCE, 33));
        // Even then the owner may be about to name peers.
        let patience = if look.is_hopeless && !is_first { Duration::ZERO } else { patience };
        let longer = if look.is_offered_some { patience * LONGER } else { patience };
        let before = self.wanted;
        let mut joins_in =
            || before.is_some() || self.stale >= patience || (self.absent >= patience && is_drawn(look, rng));
        self.wanted = if self.lean >= longer {
            Some(Wanted::Any)
        } else if look.lacks_absent && joins_in() {
            Some(Wanted::Absent)
        } else {
            None
        };
        if before.is_some() && self.wanted.is_none() {
            (self.lean, self.stale, self.absent, self.patience) =
                (Duration::ZERO, Duration::ZERO, Duration::ZERO, None);
        }
    }

    fn is_enough(&self, now: Instant, from_peers: u64) -> bool {
        let Some((since, before)) = self.looks.front() else { return false };
        let millis = u64::try_from((now - *since).as_millis()).unwrap_or(u64::MAX);
        let per_second = ((from_peers - before) * 1000).checked_div(millis).unwrap_or(0);
        per_second >= ENOUGH
    }
}

/// Whether the lot falls on us, among those who see the same.
fn is_drawn(look: &Look, rng: &mut Rng) -> bool {
    !look.is_held_back && rng.ratio(1, LOT * (look.peers + 1))
}

impl Swarm {
    pub(super) fn update_need(&mut self, now: Instant, limits: &mut Limits) {
        let is_limited = ready(limits.all.down.iter_mut().chain(&mut self.own.down), now).is_err();
        let look = Look {
            from_peers: self.down.total() - self.web_seeds.downloaded,
            is_held_back: is_limited || self.waits_for_disk(),
            peers: u32::try_from(self.conns.len()).unwrap_or(u32::MAX / LOT - 1),
            is_offered_some: !self.conns.is_empty() && self.picker.is_offered_some(),
            lacks_absent: self.picker.lacks_absent(),
            is_hopeless: (!self.conduct.discovery.trackers || self.metainfo.trackers.is_empty()) && !self.knows_peers(),
        };
        self.web_seeds.need.look(now, &look, &mut self.rng);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks once a second while peers bring so much a second; tells after how many seconds servers are asked.
    fn asked_after(seconds: u64, rate: u64, look: &Look) -> Option<(u64, Wanted)> {
        let (mut need, mut rng) = (Need::default(), Rng::from_seed_u64(3));
        (0..seconds).find_map(|second| {
            let now = Instant::ZERO + Duration::from_secs(second);
            need.look(now, &Look { from_peers: second * rate, ..*look }, &mut rng);
            need.wanted().map(|wanted| (second, wanted))
        })
    }

    const ALONE: Look = Look {
        from_peers: 0,
        is_held_back: false,
        peers: 0,
        is_offered_some: false,
        lacks_absent: true,
        is_hopeless: false,
    };
    const SERVED: Look = Look { peers: 8, is_offered_some: true, lacks_absent: false, ..ALONE };

    #[test]
    fn without_peers_it_takes_seconds_and_without_any_to_come_one() {
        let (after, wanted) = asked_after(60, 0, &ALONE).unwrap();
        assert!((2..=4).contains(&after) && wanted == Wanted::Any, "{after} {wanted:?}");
        assert_eq!(asked_after(60, 0, &Look { is_hopeless: true, ..ALONE }), Some((1, Wanted::Any)));
    }

    #[test]
    fn peers_that_bring_nothing_are_given_longer() {
        let (after, wanted) = asked_after(60, 0, &SERVED).unwrap();
        assert!((8..=16).contains(&after) && wanted == Wanted::Any, "{after} {wanted:?}");
        assert!(asked_after(60, ENOUGH - 1, &SERVED).is_some());
        assert_eq!(asked_after(600, ENOUGH, &SERVED), None);
    }

    #[test]
    fn what_nobody_has_is_asked_for_beside_peers() {
        let look = Look { lacks_absent: true, ..SERVED };
        let (after, wanted) = asked_after(60, 1 << 20, &look).unwrap();
        assert!((2..=4).contains(&after) && wanted == Wanted::Absent, "{after} {wanted:?}");
    }

    #[test]
    fn while_others_get_what_nobody_had_it_is_mostly_left_to_them() {
        // Of many who see this, few join in each second.
        let joined = (0..360).filter(|seed| {
            let (mut need, mut rng) = (Need::default(), Rng::from_seed_u64(*seed));
            (0..10).any(|second| {
                need.peers_have_news();
                let look = Look { lacks_absent: true, from_peers: second * ENOUGH, ..SERVED };
                need.look(Instant::ZERO + Duration::from_secs(second), &look, &mut rng);
                need.wanted().is_some()
            })
        });
        let joined = joined.count();
        assert!((30..=100).contains(&joined), "{joined}, about 360 times 7 seconds by 36");
    }

    #[test]
    fn a_limit_is_no_sign_of_need() {
        assert_eq!(asked_after(600, 100, &Look { is_held_back: true, ..SERVED }), None);
    }
}
