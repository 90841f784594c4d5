//! How many take part in a torrent, as the nodes around it let one guess.
//!
//! A node that is asked for a torrent's peers, and for this as well, adds two [`Filter`]s to its answer: of the
//! addresses that were announced to it as seeds, and of the others. No node was told of everybody, and several were
//! told of the same; but filters can be laid over one another, and how full they are then tells how many addresses went
//! into them.
//!
//! It is asked for with the walks that seek peers anyway, which costs half a kilobyte in each answer of those who know
//! of the torrent, and nothing else. No walk is made for it but one: when it first turns out that no tracker tells how
//! many there are. While one does, nobody is asked, as BEP 33 wants it. libtorrent answers such questions and asks none
//! in its own walks; that so many answer is what makes asking worth while.
//!
//! Each network is counted by itself, since who takes part in both is in the filters with two addresses; under the two
//! hashes of a hybrid the same addresses are counted once. Clients behind one address are one, too.
//!
//! Whatever is told may be wrong: a filter that is fuller than nodes may let it become, or that lacks the very peers
//! that are named beside it, is left out. What remains is shown to people and decides nothing.
//!
//! Law: nothing is asked of private torrents, which never come here (BEP 27). Source: BEP 33.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};

use super::message::Family;
use crate::time::Instant;

/// The bytes of a filter on the wire. BEP 33.
pub const LENGTH: usize = 256;
const BITS: u16 = 8 * 256;
/// The most addresses that nodes let into a filter; beyond, it tells nothing. BEP 33.
pub const MOST: u32 = 6000;
/// The most addresses of peers that are remembered of nodes that give no filters, in one walk.
const MOST_NAMED: usize = 1000;
/// What was counted is shown for so long: walks come every quarter of an hour.
const KEEP: Duration = Duration::from_hours(1);

/// A set of addresses of which only the size can be told, and of an address whether it may be in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Filter([u8; LENGTH]);

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.count()).finish()
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self([0; LENGTH])
    }
}

impl Filter {
    /// Reads what is on the wire; `None` if it has another length.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// What is on the wire.
    pub const fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }

    /// Adds an address.
    pub fn insert(&mut self, ip: IpAddr) {
        for (byte, bit) in places(ip) {
            self.0[byte] |= bit;
        }
    }

    /// Whether an address may be in it.
    pub fn has(&self, ip: IpAddr) -> bool {
        places(ip).into_iter().all(|(byte, bit)| self.0[byte] & bit > 0)
    }

    /// Adds what is in another one.
    pub fn unite(&mut self, other: &Self) {
        for (byte, more) in self.0.iter_mut().zip(other.0) {
            *byte |= more;
        }
    }

    /// How many addresses are in it, to the nearest; at most 7806, which says nothing: see [`MOST`].
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and 7806")]
    pub fn count(&self) -> u32 {
        self.size().round() as u32
    }

    fn size(&self) -> f64 {
        let zeros: u32 = self.0.iter().map(|byte| byte.count_zeros()).sum();
        if zeros == u32::from(BITS) {
            // The formula takes half an address to be in an empty filter.
            return 0.0;
        }
        // Of a full one it makes infinity.
        let (zeros, bits) = (f64::from(zeros.max(1)), f64::from(BITS));
        (zeros / bits).ln() / (2.0 * (-1.0 / bits).ln_1p())
    }
}

/// Where the two bits of an address are.
fn places(ip: IpAddr) -> [(usize, u8); 2] {
    let hash: [u8; 20] = match ip.to_canonical() {
        IpAddr::V4(ip) => Sha1::digest(ip.octets()),
        IpAddr::V6(ip) => Sha1::digest(ip.octets()),
    }
    .into();
    [[hash[0], hash[1]], [hash[2], hash[3]]].map(|bytes| {
        let index = u16::from_le_bytes(bytes) % BITS;
        (usize::from(index / 8), 1 << (index % 8))
    })
}

/// Who takes part in a torrent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters {
    /// Those who said that they have everything.
    pub seeds: Filter,
    /// Those who did not.
    pub peers: Filter,
}

impl Filters {
    /// Adds what is in others.
    pub fn unite(&mut self, other: &Self) {
        self.seeds.unite(&other.seeds);
        self.peers.unite(&other.peers);
    }

    /// Whether a node that names these peers may well have made them.
    fn can_be(&self, named: &[SocketAddr]) -> bool {
        let is_there = |peer: &SocketAddr| self.seeds.has(peer.ip()) || self.peers.has(peer.ip());
        self.seeds.count().max(self.peers.count()) <= MOST && named.iter().all(is_there)
    }

    /// How many that are.
    pub fn estimate(&self) -> Estimate {
        Estimate { seeds: self.seeds.count(), peers: self.peers.count() }
    }
}

/// How many take part in a torrent, roughly; ourselves too, once nodes were told of us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// Addresses of those who have everything.
    pub seeds: u32,
    /// Addresses of those who still want something, or do not say.
    pub peers: u32,
}

impl fmt::Display for Estimate {
    /// `about 12 complete, about 40 fetching`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let about = |count| if count > MOST { format!("more than {MOST}") } else { format!("about {count}") };
        write!(f, "{} complete, {} fetching", about(self.seeds), about(self.peers))
    }
}

/// What one walk hears.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// `None` until somebody gives filters.
    filters: Option<Filters>,
    /// Whom those name who give none.
    named: BTreeSet<IpAddr>,
    /// Whether it was told before the walk was over.
    pub(super) is_told: bool,
}

impl Tally {
    /// A tally that begins with what we were told ourselves.
    pub(super) fn new(ours: Option<Filters>) -> Self {
        Self { filters: ours, ..Self::default() }
    }

    /// A node gave filters, or none, and named these peers.
    pub(super) fn hear(&mut self, filters: Option<&Filters>, named: &[SocketAddr]) {
        match filters {
            Some(filters) if filters.can_be(named) => self.filters.get_or_insert_default().unite(filters),
            Some(_) => {}
            None => {
                let room = MOST_NAMED.saturating_sub(self.named.len());
                self.named.extend(named.iter().take(room).map(SocketAddr::ip));
            }
        }
    }

    /// Everybody of whom was heard; `None` if nobody gave filters, as seeds cannot be told from others then.
    pub(super) fn total(&self) -> Option<Filters> {
        let mut total = self.filters.clone()?;
        for ip in &self.named {
            if !total.seeds.has(*ip) {
                total.peers.insert(*ip);
            }
        }
        Some(total)
    }
}

/// What walks have counted of one torrent: in each network, under each of its hashes.
#[derive(Debug, Default)]
pub struct Counts {
    told: BTreeMap<(Family, [u8; 20]), (Instant, Filters)>,
}

impl Counts {
    /// A walk has counted, which outdates what an earlier one did. The hash must be one of the torrent's.
    pub fn tell(&mut self, now: Instant, family: Family, info_hash: [u8; 20], filters: Filters) {
        self.told.insert((family, info_hash), (now, filters));
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.told.clear();
    }

    /// How many there are in the network that has more of them; `None` if nobody told lately.
    pub fn estimate(&self, now: Instant) -> Option<Estimate> {
        let of = |family| {
            let told = self.told.iter().filter(|((other, _), (at, _))| *other == family && now - *at < KEEP);
            let united = told.map(|(_, (_, filters))| filters.clone()).reduce(|mut all, filters| {
                all.unite(&filters);
                all
            });
            united.map(|filters| filters.estimate())
        };
        Family::ALL.into_iter().filter_map(of).max_by_key(|told| told.seeds.saturating_add(told.peers))
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    /// Of BEP 33.
    const VECTOR: &str = "F6C3F5EAA07FFD91BDE89F777F26FB2BFF37BDB8FB2BBAA2FD3DDDE7BACFFF75EE7CCBAEFE5EEDB1FBFAFF67\
        F6ABFF5E43DDBCA3FD9B9FFDF4FFD3E9DFF12D1BDF59DB53DBE9FA5B7FF3B8FDFCDE1AFB8BEDD7BE2F3EE71EBBBFE93BCDEEFE148246\
        C2BC5DBFF7E7EFDCF24FD8DC7ADFFD8FFFDFDDFFF7A4BBEEDF5CB95CE81FC7FCFF1FF4FFFFDFE5F7FDCBB7FD79B3FA1FC77BFE07FFF9\
        05B7B7FFC7FEFEFFE0B8370BB0CD3F5B7F2BD93FEB4386CFDD6F7FD5BFAF2E9EBFFFFEECD67ADBF7C67F17EFD5D75EBA6FFEBA7FFF47\
        A91EB1BFBB53E8ABFB5762ABE8FF237279BFEFBFEEF5FFC5FEBFDFE5ADFFADFEE1FB737FFFFBFD9F6AEFFEEE76B6FD8F72EF";

    fn v4(n: u32) -> IpAddr {
        Ipv4Addr::from(0x0a00_0000 + n).into()
    }

    fn filter(ips: impl IntoIterator<Item = IpAddr>) -> Filter {
        let mut filter = Filter::default();
        ips.into_iter().for_each(|ip| filter.insert(ip));
        filter
    }

    /// The first `seeds` addresses, and as many as `peers` after the thousandth.
    fn filters(seeds: u32, peers: u32) -> Filters {
        Filters { seeds: filter((0..seeds).map(v4)), peers: filter((1000..1000 + peers).map(v4)) }
    }

    fn at(minutes: u64) -> Instant {
        Instant::ZERO + Duration::from_mins(minutes)
    }

    #[test]
    fn a_filter_is_as_the_specification_has_it() {
        let four = (0..=255).map(|n| IpAddr::from(Ipv4Addr::new(192, 0, 2, n)));
        let six = (0..=0x3e7).map(|n| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n)));
        let filter = filter(four.chain(six));
        let wanted = (0..LENGTH).map(|at| u8::from_str_radix(&VECTOR[2 * at..2 * at + 2], 16).unwrap());
        assert_eq!(filter.bytes().to_vec(), wanted.collect::<Vec<u8>>());
        assert!((filter.size() - 1224.9308).abs() < 0.0001, "{}", filter.size());
        assert_eq!(filter.count(), 1225);
        assert!(filter.has(Ipv4Addr::new(192, 0, 2, 77).into()));
        assert_eq!(Filter::read(filter.bytes()), Some(filter));
    }

    #[test]
    fn few_are_counted_exactly_and_whoever_comes_twice_once() {
        assert_eq!(Filter::default().count(), 0);
        for count in [1, 2, 12, 40] {
            let once = filter((0..count).map(v4));
            assert!(once.count().abs_diff(count) <= count / 20, "{} of {count}", once.count());
            let mapped = |n| Ipv4Addr::from(0x0a00_0000 + n).to_ipv6_mapped().into();
            assert_eq!(once, filter((0..count).map(v4).chain((0..count).map(mapped))));
        }
    }

    #[test]
    fn what_is_no_filter_is_not_read_and_what_is_full_stays_a_number() {
        for length in [0, 1, 255, 257] {
            assert_eq!(Filter::read(&vec![0; length]), None);
        }
        let full = Filter::read(&[0xff; LENGTH]).unwrap();
        assert_eq!(full.count(), 7806);
        let told = Estimate { seeds: full.count(), peers: 1 };
        assert_eq!(told.to_string(), "more than 6000 complete, about 1 fetching");
    }

    #[test]
    fn filters_of_several_are_laid_over_one_another() {
        let mut tally = Tally::default();
        assert_eq!(tally.total(), None);
        tally.hear(Some(&filters(10, 5)), &[]);
        tally.hear(Some(&filters(4, 20)), &[]);
        assert_eq!(tally.total(), Some(filters(10, 20)));
        assert_eq!(Tally::new(Some(filters(3, 3))).total(), Some(filters(3, 3)), "what we were told ourselves");
    }

    #[test]
    fn filters_that_cannot_be_are_left_out() {
        let mut tally = Tally::default();
        let full = Filter::read(&[0xff; LENGTH]).unwrap();
        tally.hear(Some(&Filters { seeds: full.clone(), ..Filters::default() }), &[]);
        tally.hear(Some(&Filters { peers: full, ..Filters::default() }), &[]);
        tally.hear(Some(&filters(10, 5)), &[SocketAddr::new(v4(99), 1)]);
        assert_eq!(tally.total(), None);
        tally.hear(Some(&filters(10, 5)), &[SocketAddr::new(v4(9), 1), SocketAddr::new(v4(1004), 1)]);
        assert_eq!(tally.total(), Some(filters(10, 5)));
    }

    #[test]
    fn whom_others_name_is_a_peer_unless_known_as_a_seed_and_counts_beside_filters_only() {
        let mut tally = Tally::default();
        let named = [v4(2), v4(1001), v4(1005)].map(|ip| SocketAddr::new(ip, 7000));
        tally.hear(None, &named);
        assert_eq!(tally.total(), None);
        tally.hear(Some(&filters(10, 5)), &[]);
        assert_eq!(tally.total(), Some(filters(10, 6)));
        for n in 0..5000 {
            tally.hear(None, &[SocketAddr::new(v4(n), 1)]);
        }
        assert_eq!(tally.named.len(), MOST_NAMED);
    }

    #[test]
    fn each_network_is_counted_by_itself_and_both_hashes_of_a_hybrid_together() {
        let mut counts = Counts::default();
        assert_eq!(counts.estimate(at(0)), None);
        counts.tell(at(0), Family::V4, [1; 20], filters(10, 5));
        counts.tell(at(0), Family::V6, [1; 20], filters(3, 4));
        assert_eq!(counts.estimate(at(1)), Some(filters(10, 5).estimate()));
        counts.tell(at(30), Family::V4, [2; 20], filters(2, 8));
        assert_eq!(counts.estimate(at(30)), Some(filters(10, 8).estimate()));
        counts.tell(at(30), Family::V6, [1; 20], filters(40, 4));
        assert_eq!(counts.estimate(at(30)), Some(filters(40, 4).estimate()));
        assert_eq!(counts.estimate(at(89)), Some(filters(40, 4).estimate()));
        assert_eq!(counts.estimate(at(90)), None, "it is too old");
        counts.clear();
        assert_eq!(counts.estimate(at(30)), None);
    }
}
