//! Which of two connections is worth more when there are places for one only: a number that both ends compute alike.
//! BEP 40.
//!
//! If everybody dials until all places are taken, those who come first form a clique that nobody else gets into. A
//! priority that is random to the crowd, and the same at both ends, mixes it: each pair of peers agrees on how much it
//! wants to be connected, so what one end dials first the other end does not drop.
//!
//! Our own address is what most others say it is; those who are near may see another than those who are far.
//!
//! Source: BEP 40, with its masks; what trackers say, BEP 24.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use super::peers::{canonical, network};
use crate::tracker::Scope;

/// The most tellers whose word about our address is kept.
const MAX_TELLERS: usize = 64;

/// The priority of the connection between two peers; greater is better. `None` between the families.
pub fn priority(a: SocketAddr, b: SocketAddr) -> Option<u32> {
    let (a, b) = (canonical(a), canonical(b));
    match (a.ip(), b.ip()) {
        (x, y) if x == y => Some(of_sorted(a.port().to_be_bytes(), b.port().to_be_bytes())),
        (IpAddr::V4(x), IpAddr::V4(y)) => Some(of_addresses(x.octets(), y.octets(), 2)),
        (IpAddr::V6(x), IpAddr::V6(y)) => Some(of_addresses(x.octets(), y.octets(), 6)),
        _ => None,
    }
}

/// Of the first bytes each bit counts, and of all that are the same, and of the first that is not; of the others every
/// second bit.
fn of_addresses<const N: usize>(a: [u8; N], b: [u8; N], whole: usize) -> u32 {
    let same = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let whole = if same < whole { whole } else { same + 1 };
    let masked = |mut ip: [u8; N]| {
        ip[whole..].iter_mut().for_each(|byte| *byte &= 0x55);
        ip
    };
    of_sorted(masked(a), masked(b))
}

fn of_sorted<const N: usize>(a: [u8; N], b: [u8; N]) -> u32 {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    !low.iter().chain(&high).fold(u32::MAX, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        crc >> 8 ^ CRC32C[usize::from(low ^ byte)]
    })
}

/// What each byte adds to a CRC-32C, the Castagnoli polynomial, least significant bit first. RFC 3720.
const CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u32;
    while byte < 256 {
        let (mut crc, mut bit) = (byte, 0);
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
};

/// Our own addresses as others see them.
#[derive(Clone, Debug, Default)]
pub(super) struct Vantage {
    port: u16,
    /// Who said what, by network: whoever comes with many addresses has one word.
    told: BTreeMap<IpAddr, IpAddr>,
    /// Their order.
    tellers: VecDeque<IpAddr>,
    /// What most of each family and scope say.
    seen: BTreeMap<(bool, Scope), IpAddr>,
}

impl Vantage {
    pub(super) fn new(port: u16) -> Self {
        Self { port, ..Self::default() }
    }

    /// Somebody at `teller` sees us at `ours`.
    pub(super) fn told(&mut self, teller: IpAddr, ours: IpAddr) {
        let (teller, ours) = (teller.to_canonical(), ours.to_canonical());
        if teller.is_ipv4() != ours.is_ipv4() || Scope::of(ours) == Scope::Nowhere {
            return;
        }
        if self.told.insert(network(teller), ours).is_none() {
            self.tellers.push_back(network(teller));
        }
        if self.tellers.len() > MAX_TELLERS
            && let Some(oldest) = self.tellers.pop_front()
        {
            self.told.remove(&oldest);
        }
        let view = view_of(teller);
        let votes =
            |ours: &IpAddr| self.told.iter().filter(|(by, told)| view_of(**by) == view && *told == ours).count();
        // Whoever was believed until now is believed until others are more.
        let before = self.seen.get(&view).filter(|before| votes(before) >= votes(&ours));
        let now = before.copied().unwrap_or(ours);
        self.seen.insert(view, now);
    }

    /// A tracker sees us at `ours`, which is one word for that address, however many trackers say it. BEP 24.
    pub(super) fn told_by_tracker(&mut self, ours: IpAddr) {
        // Whence it was seen is not known here; it is the view of those for whom it is an address.
        self.told(ours, ours);
    }

    /// The priority of a connection with `addr`; 0 as long as nobody has told us our address.
    pub(super) fn priority(&self, addr: SocketAddr) -> u32 {
        let addr = canonical(addr);
        let ours = self.seen.get(&view_of(addr.ip()));
        ours.and_then(|ours| priority(SocketAddr::new(*ours, self.port), addr)).unwrap_or_default()
    }
}

/// Those who see us alike.
fn view_of(ip: IpAddr) -> (bool, Scope) {
    (ip.is_ipv4(), Scope::of(ip))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(a: &str, b: &str, want: u32) {
        assert_eq!(priority(at(a), at(b)), Some(want), "{a} {b}");
        assert_eq!(priority(at(b), at(a)), Some(want), "{b} {a}");
    }

    fn crc(bytes: &[u8]) -> u32 {
        let (a, b) = bytes.split_at(bytes.len() / 2);
        match bytes.len() {
            4 => of_sorted::<2>(a.try_into().unwrap(), b.try_into().unwrap()),
            8 => of_sorted::<4>(a.try_into().unwrap(), b.try_into().unwrap()),
            _ => of_sorted::<16>(a.try_into().unwrap(), b.try_into().unwrap()),
        }
    }

    #[test]
    fn the_examples_of_the_bep_come_out() {
        check("123.213.32.10:1", "98.76.54.32:2", 0xec2d_7224);
        check("123.213.32.10:1", "123.213.32.234:2", 0x9956_8189);
    }

    #[test]
    fn the_mask_follows_how_near_two_peers_are() {
        check("230.12.23.1:1", "230.12.123.3:1", crc(b"\xe6\x0c\x17\x01\xe6\x0c\x7b\x01"));
        check("230.120.23.1:1", "230.12.123.3:1", crc(b"\xe6\x0c\x51\x01\xe6\x78\x15\x01"));
        check("230.12.23.1:1234", "[::ffff:230.12.23.1]:300", crc(b"\x01\x2c\x04\xd2"));
        let v6 = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
        let both = |a: &str, b: &str| crc(&[v6(a), v6(b)].concat());
        check("[2001:db8:1:ffff:ffff::]:1", "[2001:db8:2::]:1", both("2001:db8:1:5555:5555::", "2001:db8:2::"));
        check("[2001:db8:1:ff::]:1", "[2001:db8:1:ffff:ffff::]:1", both("2001:db8:1:55::", "2001:db8:1:ff55:5555::"));
        check("[2001:db8:1:1:ff::]:1", "[2001:db8:1:2::ff]:1", both("2001:db8:1:1:55::", "2001:db8:1:2::55"));
    }

    #[test]
    fn families_do_not_mix() {
        assert_eq!(priority(at("1.2.3.4:5"), at("[2001:db8::1]:5")), None);
    }

    #[test]
    fn we_are_where_most_networks_see_us() {
        let mut vantage = Vantage::new(6881);
        let peer = at("198.18.0.9:1");
        assert_eq!(vantage.priority(peer), 0);
        let (right, wrong): (IpAddr, IpAddr) = ("123.213.32.10".parse().unwrap(), "9.9.9.9".parse().unwrap());
        let teller = |n| IpAddr::from([198, 18, 1, n]);
        for n in [1, 2] {
            vantage.told(teller(n), right);
        }
        let seen = vantage.priority(peer);
        assert_eq!(Some(seen), priority(SocketAddr::new(right, 6881), peer));
        for _ in 0..9 {
            vantage.told(teller(3), wrong);
        }
        assert_eq!(vantage.priority(peer), seen, "one liar is one, however often he says it");
        for n in 3..=5 {
            vantage.told(teller(n), wrong);
        }
        assert_ne!(vantage.priority(peer), seen);
        assert_eq!(vantage.priority(at("10.0.0.1:1")), 0, "those on the site see another address");
        assert_eq!(vantage.priority(at("[2001:db8::1]:1")), 0);
    }

    #[test]
    fn a_tracker_is_believed_until_more_peers_say_otherwise() {
        let mut vantage = Vantage::new(6881);
        let (peer, said) = (at("198.18.0.9:1"), IpAddr::from([123, 213, 32, 10]));
        for _ in 0..9 {
            vantage.told_by_tracker(said);
        }
        let of = |ip| priority(SocketAddr::new(ip, 6881), peer).unwrap();
        assert_eq!(vantage.priority(peer), of(said));
        assert_eq!(vantage.priority(at("[2001:db8::1]:1")), 0);
        let other = IpAddr::from([9, 9, 9, 9]);
        for n in [1, 2] {
            vantage.told(IpAddr::from([198, 18, 1, n]), other);
        }
        assert_eq!(vantage.priority(peer), of(other));
    }

    #[test]
    fn the_tellers_are_bounded() {
        let mut vantage = Vantage::new(1);
        for n in 0..10_000_u32 {
            vantage.told(IpAddr::from((0x0606_0000 + n).to_be_bytes()), IpAddr::from([9, 9, 9, 9]));
        }
        assert_eq!((vantage.told.len(), vantage.tellers.len(), vantage.seen.len()), (MAX_TELLERS, MAX_TELLERS, 1));
    }

    proptest! {
        #[test]
        fn both_ends_agree(a in any::<SocketAddr>(), b in any::<SocketAddr>()) {
            prop_assert_eq!(priority(a, b), priority(b, a));
        }
    }
}
