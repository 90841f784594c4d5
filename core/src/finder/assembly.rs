//! Putting the metadata together out of what several peers give, some of whom lie.
//!
//! Peers that claim the same length are asked together, each for a few pieces. When the whole is wrong and one peer
//! gave all of it, that one is a liar. If several gave it, each of them is asked for the whole from then on, alone,
//! until one is right or all are known.
//!
//! Laws: nothing is kept for a length that nobody has begun to give; at most [`MOST_ATTEMPTS`] wholes are put together
//! at once, of [`MAX_METADATA`] bytes each; what comes out has the hash that was asked for.
//!
//! Source: BEP 9.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::metainfo::InfoHash;
use crate::peer::ConnId;
use crate::peer::metadata::{MAX_METADATA, piece_count, piece_length};
use crate::time::Instant;

/// The most wholes that are put together at once.
const MOST_ATTEMPTS: usize = 8;
/// The most pieces that one peer is asked for at once.
const PIPELINE: usize = 4;
/// The most peers that are asked for the same piece at once.
const DOUBLE: usize = 2;
/// A piece that does not come within this is asked of others, too.
const PATIENCE: Duration = Duration::from_secs(8);
/// After so many pieces that did not come the peer is of no use.
const MOST_LATE: u32 = 4;
/// A peer that refused is asked again after this: it may have got the metadata meanwhile.
const REFUSED: Duration = Duration::from_secs(20);

/// What came of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is kept, or it is of no use.
    Nothing,
    /// The metadata is there, and its hash is right.
    Whole(Bytes),
    /// The metadata is there and wrong, and it is proven who lied.
    Liar(ConnId),
}

/// Which peers are asked together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    /// All who claim this length, in bytes.
    Claiming(u32),
    /// One who was among those that gave something wrong.
    Alone(ConnId),
}

#[derive(Debug)]
struct Giver {
    size: u32,
    group: Group,
    /// What it was asked for, and when.
    asked: BTreeMap<u32, Instant>,
    late: u32,
    not_before: Instant,
}

#[derive(Debug, Default)]
struct Attempt {
    pieces: BTreeMap<u32, Bytes>,
    from: BTreeSet<ConnId>,
}

/// The metadata on its way.
#[derive(Debug)]
pub(super) struct Assembly {
    info_hash: InfoHash,
    givers: BTreeMap<ConnId, Giver>,
    attempts: BTreeMap<Group, Attempt>,
}

impl Assembly {
    pub(super) const fn new(info_hash: InfoHash) -> Self {
        Self { info_hash, givers: BTreeMap::new(), attempts: BTreeMap::new() }
    }

    /// A peer says that it has metadata of this length, in bytes.
    pub(super) fn offered(&mut self, now: Instant, conn: ConnId, size: u32) {
        if size == 0 || size > MAX_METADATA || self.givers.get(&conn).is_some_and(|giver| giver.size == size) {
            return;
        }
        let group = match self.givers.get(&conn).map(|giver| giver.group) {
            Some(alone @ Group::Alone(_)) => {
                self.attempts.remove(&alone);
                alone
            }
            _ => Group::Claiming(size),
        };
        self.givers.insert(conn, Giver { size, group, asked: BTreeMap::new(), late: 0, not_before: now });
    }

    /// The peer is gone.
    pub(super) fn lost(&mut self, conn: ConnId) {
        self.givers.remove(&conn);
        self.drop_deserted();
    }

    /// Nobody is left to go on with these.
    fn drop_deserted(&mut self) {
        let groups: BTreeSet<Group> = self.givers.values().map(|giver| giver.group).collect();
        self.attempts.retain(|group, _| groups.contains(group));
    }

    /// What is to be asked of whom now; it counts as asked.
    pub(super) fn ask(&mut self, now: Instant) -> Vec<(ConnId, u32)> {
        let mut requests = Vec::new();
        let conns: Vec<ConnId> = self.givers.keys().copied().collect();
        for conn in conns {
            while let Some(piece) = self.next_for(now, conn) {
                let Some(giver) = self.givers.get_mut(&conn) else { break };
                giver.asked.insert(piece, now);
                self.attempts.entry(giver.group).or_default();
                requests.push((conn, piece));
            }
        }
        requests
    }

    /// The piece that fewest are asked for, of those that the peer's group lacks.
    fn next_for(&self, now: Instant, conn: ConnId) -> Option<u32> {
        let giver = self.givers.get(&conn)?;
        let may_begin = self.attempts.contains_key(&giver.group) || self.attempts.len() < MOST_ATTEMPTS;
        if giver.asked.len() >= PIPELINE || giver.not_before > now || !may_begin {
            return None;
        }
        let has = |piece: &u32| self.attempts.get(&giver.group).is_some_and(|it| it.pieces.contains_key(piece));
        let mut asked: BTreeMap<u32, usize> = BTreeMap::new();
        for other in self.givers.values().filter(|other| other.group == giver.group) {
            for piece in other.asked.keys() {
                *asked.entry(*piece).or_default() += 1;
            }
        }
        let asked = |piece: &u32| asked.get(piece).copied().unwrap_or(0);
        let lacking = (0..piece_count(giver.size)).filter(|piece| !has(piece) && !giver.asked.contains_key(piece));
        lacking.filter(|piece| asked(piece) < DOUBLE).min_by_key(|piece| (asked(piece), *piece))
    }

    /// A piece came.
    pub(super) fn received(&mut self, conn: ConnId, piece: u32, total: u32, data: Bytes) -> Outcome {
        let Some(giver) = self.givers.get_mut(&conn) else { return Outcome::Nothing };
        let (group, size) = (giver.group, giver.size);
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        if giver.asked.remove(&piece).is_none() || total != size || length != piece_length(size, piece) {
            giver.late += 1;
            return Outcome::Nothing;
        }
        giver.late = 0;
        let attempt = self.attempts.entry(group).or_default();
        if attempt.pieces.insert(piece, data).is_none() {
            attempt.from.insert(conn);
        }
        if attempt.pieces.len() < piece_count(size) as usize {
            return Outcome::Nothing;
        }
        self.finish(group)
    }

    fn finish(&mut self, group: Group) -> Outcome {
        let Attempt { pieces, from } = self.attempts.remove(&group).unwrap_or_default();
        let whole: BytesMut = pieces.into_values().flatten().collect();
        if self.info_hash.is_of(&whole) {
            return Outcome::Whole(whole.freeze());
        }
        if from.len() == 1
            && let Some(liar) = from.first()
        {
            self.lost(*liar);
            return Outcome::Liar(*liar);
        }
        for conn in from {
            if let Some(giver) = self.givers.get_mut(&conn) {
                giver.group = Group::Alone(conn);
                giver.asked.clear();
            }
        }
        Outcome::Nothing
    }

    /// The peer will not give a piece.
    pub(super) fn rejected(&mut self, now: Instant, conn: ConnId, piece: u32) {
        let Some(giver) = self.givers.get_mut(&conn) else { return };
        if giver.asked.remove(&piece).is_some() {
            giver.late += 1;
            giver.not_before = now + REFUSED;
        }
    }

    /// Gives up what did not come in time; names the peers that are of no use.
    pub(super) fn expire(&mut self, now: Instant) -> Vec<ConnId> {
        for giver in self.givers.values_mut() {
            let before = giver.asked.len();
            giver.asked.retain(|_, asked| now - *asked < PATIENCE);
            giver.late += u32::from(giver.asked.len() < before);
        }
        self.givers.iter().filter(|(_, giver)| giver.late >= MOST_LATE).map(|(conn, _)| *conn).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::metadata::METADATA_PIECE;

    /// Metadata of five pieces, the last short.
    fn info() -> Bytes {
        (0..4 * METADATA_PIECE + 99).map(|n| n.to_be_bytes()[3]).collect()
    }

    fn assembly() -> Assembly {
        Assembly::new(InfoHash::of_v1_info(&info()))
    }

    fn size() -> u32 {
        info().len().try_into().unwrap()
    }

    fn piece(number: u32) -> Bytes {
        let begin = (number * METADATA_PIECE) as usize;
        info().slice(begin..begin + piece_length(size(), number) as usize)
    }

    fn bad(number: u32) -> Bytes {
        piece(number).iter().map(|byte| !byte).collect()
    }

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn conns(count: u64) -> impl Iterator<Item = ConnId> {
        (0..count).map(ConnId)
    }

    /// Everybody answers what it is asked, until nobody is asked; tells what came out, and who were found to lie.
    fn run(assembly: &mut Assembly, now: Instant, lies: impl Fn(ConnId) -> bool) -> (Option<Bytes>, Vec<ConnId>) {
        let mut liars = Vec::new();
        for _ in 0..100 {
            for (conn, number) in assembly.ask(now) {
                let data = if lies(conn) { bad(number) } else { piece(number) };
                match assembly.received(conn, number, size(), data) {
                    Outcome::Nothing => {}
                    Outcome::Whole(whole) => return (Some(whole), liars),
                    Outcome::Liar(conn) => liars.push(conn),
                }
            }
        }
        (None, liars)
    }

    #[test]
    fn one_peer_gives_the_whole() {
        let mut assembly = assembly();
        assembly.offered(at(0), ConnId(1), size());
        assert_eq!(run(&mut assembly, at(0), |_| false), (Some(info()), vec![]));
    }

    #[test]
    fn several_peers_give_different_pieces() {
        let mut assembly = assembly();
        conns(5).for_each(|conn| assembly.offered(at(0), conn, size()));
        let asked = assembly.ask(at(0));
        let pieces: BTreeSet<u32> = asked.iter().map(|(_, piece)| *piece).collect();
        assert_eq!((pieces.len(), asked.len()), (5, 10), "each piece of two at most");
        assert!(assembly.ask(at(0)).is_empty());
    }

    #[test]
    fn a_liar_alone_is_found_at_once_and_one_among_others_after_a_second_try() {
        let mut assembly = assembly();
        assembly.offered(at(0), ConnId(1), size());
        assert_eq!(run(&mut assembly, at(0), |_| true), (None, vec![ConnId(1)]));
        conns(5).for_each(|conn| assembly.offered(at(0), conn, size()));
        let (whole, liars) = run(&mut assembly, at(0), |conn| conn == ConnId(3));
        assert_eq!(whole, Some(info()));
        assert!(liars.is_empty() || liars == [ConnId(3)]);
    }

    #[test]
    fn an_honest_peer_among_many_liars_is_enough() {
        let mut assembly = assembly();
        conns(7).for_each(|conn| assembly.offered(at(0), conn, size()));
        let (whole, liars) = run(&mut assembly, at(0), |conn| conn != ConnId(2));
        assert_eq!(whole, Some(info()));
        assert!(!liars.contains(&ConnId(2)));
    }

    #[test]
    fn whoever_lies_about_the_length_hinders_nobody_and_costs_nothing() {
        let mut assembly = assembly();
        for (conn, size) in conns(100).zip(1..) {
            assembly.offered(at(0), conn, size * 1000);
        }
        for claim in [0, MAX_METADATA + 1, u32::MAX] {
            assembly.offered(at(0), ConnId(500), claim);
            assert!(!assembly.givers.contains_key(&ConnId(500)));
        }
        assembly.offered(at(0), ConnId(1000), size());
        let mut now = at(0);
        for _ in 0..200 {
            assert!(assembly.attempts.len() <= MOST_ATTEMPTS);
            for (conn, number) in assembly.ask(now) {
                // The liars say nothing.
                if conn == ConnId(1000)
                    && let Outcome::Whole(whole) = assembly.received(conn, number, size(), piece(number))
                {
                    assert_eq!(whole, info());
                    assert!(now < at(60 * 20));
                    return;
                }
            }
            now += PATIENCE;
            for useless in assembly.expire(now) {
                assembly.lost(useless);
            }
        }
        panic!("it never came");
    }

    #[test]
    fn what_does_not_come_is_asked_of_others_and_who_refuses_rests() {
        let mut assembly = assembly();
        assembly.offered(at(0), ConnId(1), size());
        assert_eq!(assembly.ask(at(0)).len(), PIPELINE);
        assembly.rejected(at(1), ConnId(1), 0);
        assert!(assembly.ask(at(20)).is_empty());
        assert!(assembly.expire(at(9)).is_empty());
        assert!(assembly.givers.values().all(|giver| giver.asked.is_empty()));
        assert_eq!(assembly.ask(at(21)).len(), PIPELINE);
        for round in 3..5 {
            let useless = assembly.expire(at(10 * round));
            assert_eq!(useless.is_empty(), round == 3);
            assembly.ask(at(10 * round));
        }
    }

    #[test]
    fn pieces_of_a_wrong_length_or_that_nobody_asked_for_are_nothing() {
        let mut assembly = assembly();
        assembly.offered(at(0), ConnId(1), size());
        assembly.ask(at(0));
        for (number, total, data) in
            [(0, size(), piece(4)), (1, 7, piece(1)), (4, size(), piece(4)), (99, size(), Bytes::new())]
        {
            assert_eq!(assembly.received(ConnId(1), number, total, data), Outcome::Nothing);
        }
        assert!(assembly.attempts.values().all(|attempt| attempt.pieces.is_empty()));
    }
}
