//! Decides which peers may download from us.
//!
//! Every ten seconds the [`Choker`] ranks the interested peers and unchokes as many as there are slots. While we
//! download, those rank first that gave us most (tit for tat), and one more, optimistic slot moves every thirty
//! seconds, so that newcomers get a chance to show what they give. When we have everything, peers take turns: whoever
//! was just unchoked stays for twenty seconds, then whoever waited longest comes. Between the rounds a free slot goes
//! at once to whoever becomes interested: in a young swarm the first ten seconds decide.
//!
//! Knows nothing of sockets; speeds come in as numbers.
//!
//! Law: unchoked interested peers never exceed [`Slots::total`], or a seed's own count.
//!
//! Source: BEP 3, "choking".

use std::time::Duration;

use crate::peer::ConnId;
use crate::rng::Rng;
use crate::time::Instant;

/// How often the peers are ranked.
pub const ROUND: Duration = Duration::from_secs(10);
/// How long an optimistic slot stays with a peer.
const OPTIMISTIC_TURN: Duration = Duration::from_secs(30);
/// How long a seed lets an unchoked peer be.
const SEED_TURN: Duration = Duration::from_secs(20);

/// How many peers are served at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Peers that earned it.
    pub regular: usize,
    /// Peers that are tried.
    pub optimistic: usize,
}

impl Slots {
    /// All slots.
    pub const fn total(self) -> usize {
        self.regular + self.optimistic
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self { regular: 8, optimistic: 1 }
    }
}

/// What peers are ranked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ranking {
    /// By what they give us.
    Leech,
    /// By turns, so many at once.
    Seed {
        /// How many.
        slots: usize,
    },
}

/// One interested peer, as the choker sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Its connection.
    pub conn: ConnId,
    /// Whether it is unchoked now.
    pub unchoked: bool,
    /// When it was last unchoked, or choked if it is choked.
    pub since: Instant,
    /// Bytes a second that it gives us; 0 if it lets us wait.
    pub gives: u64,
    /// It was let in and asks for nothing: its slot is wasted on it.
    pub idle: bool,
}

/// The choking of one swarm.
#[derive(Clone, Debug)]
pub struct Choker {
    slots: Slots,
    next_round: Instant,
    optimistic: Vec<ConnId>,
    rotate_at: Instant,
}

impl Choker {
    /// A choker with these slots; its first round is due at once.
    pub fn new(slots: Slots, now: Instant) -> Self {
        Self { slots, next_round: now, optimistic: Vec::new(), rotate_at: now }
    }

    /// When the next round is due.
    pub const fn next_round(&self) -> Instant {
        self.next_round
    }

    /// How many peers are served at once.
    pub const fn slots(&self) -> Slots {
        self.slots
    }

    /// Holds a round: returns the connections to unchoke; all others are to be choked.
    pub fn round(&mut self, now: Instant, ranking: Ranking, candidates: &[Candidate], rng: &mut Rng) -> Vec<ConnId> {
        self.next_round = now + ROUND;
        match ranking {
            Ranking::Leech => self.leech_round(now, candidates, rng),
            Ranking::Seed { slots } => self.seed_round(now, slots, candidates, rng),
        }
    }

    fn leech_round(&mut self, now: Instant, candidates: &[Candidate], rng: &mut Rng) -> Vec<ConnId> {
        let mut ranked = candidates.to_vec();
        // Random first: the sort is stable, so peers that give the same come in random order.
        rng.shuffle(&mut ranked);
        ranked.sort_by_key(|candidate| (candidate.idle, std::cmp::Reverse(candidate.gives)));
        let mut chosen: Vec<ConnId> = ranked.iter().take(self.slots.regular).map(|candidate| candidate.conn).collect();
        let rest = &ranked[chosen.len()..];
        self.optimistic.retain(|conn| rest.iter().any(|candidate| candidate.conn == *conn));
        if now >= self.rotate_at {
            self.optimistic.clear();
            self.rotate_at = now + OPTIMISTIC_TURN;
        }
        // Whoever waited longest is tried first.
        let mut waiting: Vec<&Candidate> = rest.iter().filter(|c| !self.optimistic.contains(&c.conn)).collect();
        waiting.sort_by_key(|candidate| (candidate.unchoked, candidate.since));
        let free = self.slots.optimistic.saturating_sub(self.optimistic.len());
        self.optimistic.extend(waiting.iter().take(free).map(|candidate| candidate.conn));
        chosen.extend(&self.optimistic);
        chosen
    }

    fn seed_round(&mut self, now: Instant, slots: usize, candidates: &[Candidate], rng: &mut Rng) -> Vec<ConnId> {
        self.optimistic.clear();
        let mut ranked = candidates.to_vec();
        rng.shuffle(&mut ranked);
        let fresh = |c: &Candidate| c.unchoked && !c.idle && now - c.since < SEED_TURN;
        ranked.sort_by_key(|candidate| (!fresh(candidate), candidate.unchoked, candidate.idle, candidate.since));
        ranked.iter().take(slots).map(|candidate| candidate.conn).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    struct World {
        choker: Choker,
        rng: Rng,
        peers: Vec<Candidate>,
        now: Instant,
        served: BTreeMap<ConnId, u64>,
    }

    impl World {
        fn new(gives: &[u64]) -> Self {
            let peers = gives.iter().zip(0..).map(|(gives, n)| Candidate {
                conn: ConnId(n),
                unchoked: false,
                since: Instant::ZERO,
                gives: *gives,
                idle: false,
            });
            Self {
                choker: Choker::new(Slots::default(), Instant::ZERO),
                rng: Rng::from_seed_u64(9),
                peers: peers.collect(),
                now: Instant::ZERO,
                served: BTreeMap::new(),
            }
        }

        fn rounds(&mut self, rounds: usize, ranking: Ranking) -> Vec<ConnId> {
            let mut chosen = Vec::new();
            for _ in 0..rounds {
                self.now = self.choker.next_round().max(self.now);
                chosen = self.choker.round(self.now, ranking, &self.peers, &mut self.rng);
                assert!(chosen.len() <= self.choker.slots().total());
                for peer in &mut self.peers {
                    let unchoke = chosen.contains(&peer.conn);
                    if peer.unchoked != unchoke {
                        (peer.unchoked, peer.since) = (unchoke, self.now);
                    }
                    *self.served.entry(peer.conn).or_default() += u64::from(unchoke);
                }
            }
            chosen
        }
    }

    #[test]
    fn those_who_give_most_are_served_first() {
        let mut world = World::new(&[5, 0, 90, 80, 70, 60, 50, 40, 30, 20, 0]);
        let chosen = world.rounds(1, Ranking::Leech);
        for conn in 2..=9 {
            assert!(chosen.contains(&ConnId(conn)), "{chosen:?}");
        }
    }

    #[test]
    fn the_optimistic_slot_reaches_everybody_equally() {
        let mut gives = vec![100; 8];
        gives.extend([0; 20]);
        let mut world = World::new(&gives);
        world.rounds(3 * 200, Ranking::Leech);
        let served: Vec<u64> = (8..28).map(|n| world.served[&ConnId(n)]).collect();
        assert!(served.iter().all(|rounds| (27..=33).contains(rounds)), "{served:?}");
    }

    #[test]
    fn a_seed_gives_everybody_the_same_turns() {
        let mut world = World::new(&[0; 30]);
        world.rounds(600, Ranking::Seed { slots: 9 });
        let served: Vec<u64> = world.served.values().copied().collect();
        let (least, most) = (served.iter().min().unwrap(), served.iter().max().unwrap());
        assert!(most - least <= 20, "{served:?}");
    }

    #[test]
    fn whoever_asks_for_nothing_loses_the_slot_to_whoever_waits() {
        for ranking in [Ranking::Leech, Ranking::Seed { slots: 9 }] {
            let mut world = World::new(&[0; 12]);
            let chosen = world.rounds(1, ranking);
            for peer in world.peers.iter_mut().filter(|peer| chosen.contains(&peer.conn)) {
                peer.idle = true;
            }
            let next = world.rounds(1, ranking);
            let waited = world.peers.iter().filter(|peer| !peer.idle).map(|peer| peer.conn);
            assert!(waited.clone().count() == 3 && waited.clone().all(|conn| next.contains(&conn)), "{next:?}");
        }
    }

    #[test]
    fn few_peers_are_all_served() {
        let mut world = World::new(&[0; 9]);
        assert_eq!(world.rounds(1, Ranking::Leech).len(), 9);
        assert_eq!(world.rounds(1, Ranking::Seed { slots: 9 }).len(), 9);
    }
}
