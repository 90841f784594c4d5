//! The numbers of nodes: how far two are apart, and which of them an address may have.
//!
//! Whoever could choose his number freely could sit next to a torrent and hide it. So a number's first 21 bits follow
//! from the node's address, which costs a liar an address for each number.
//!
//! Sources: BEP 5 "overview", BEP 42.

use std::fmt;
use std::net::IpAddr;

use data_encoding::HEXLOWER;

use crate::rng::Rng;
use crate::tracker::Scope;

/// The number of a node, or a torrent's info-hash among such numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 20]);

/// How far two numbers are apart; the smaller, the nearer.
pub type Distance = [u8; 20];

impl NodeId {
    /// Any number.
    pub fn random(rng: &mut Rng) -> Self {
        let mut bytes = [0; 20];
        rng.fill(&mut bytes);
        Self(bytes)
    }

    /// A number that a node at `ip` may have. BEP 42.
    pub fn of(ip: IpAddr, rng: &mut Rng) -> Self {
        let mut id = Self::random(rng);
        let prefix = prefix_of(ip, id.0[19]);
        id.0[0] = prefix[0];
        id.0[1] = prefix[1];
        id.0[2] = prefix[2] & 0xf8 | id.0[2] & 0x07;
        id
    }

    /// Whether a node at `ip` may have this number; one that is not reached over the internet may have any. BEP 42.
    pub fn fits(self, ip: IpAddr) -> bool {
        let prefix = prefix_of(ip, self.0[19]);
        Scope::of(ip) != Scope::Public || (self.0[..2] == prefix[..2] && (self.0[2] ^ prefix[2]) & 0xf8 == 0)
    }

    /// How far the two are apart.
    pub fn distance(self, other: Self) -> Distance {
        std::array::from_fn(|at| self.0[at] ^ other.0[at])
    }

    /// How many bits the two have in common before the first that differs: 160 if they are the same.
    pub fn common_bits(self, other: Self) -> usize {
        let distance = self.distance(other);
        let whole = distance.iter().take_while(|byte| **byte == 0).count();
        whole * 8 + distance.get(whole).map_or(0, |byte| byte.leading_zeros() as usize)
    }

    /// A random number that has exactly `bits` bits in common with this one.
    pub fn beside(self, bits: usize, rng: &mut Rng) -> Self {
        let mut other = Self::random(rng);
        for bit in 0..=bits.min(159) {
            let mask = 0x80 >> (bit % 8);
            let ours = self.0[bit / 8] & mask;
            let theirs = if bit == bits { ours ^ mask } else { ours };
            other.0[bit / 8] = other.0[bit / 8] & !mask | theirs;
        }
        other
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", HEXLOWER.encode(&self.0[..4]))
    }
}

/// The first bytes of a number at `ip` whose last byte is `last`; 21 bits of them count. BEP 42.
fn prefix_of(ip: IpAddr, last: u8) -> [u8; 4] {
    let random = last & 0x07;
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let mut bytes = (ip.to_bits() & 0x030f_3fff).to_be_bytes();
            bytes[0] |= random << 5;
            crc32c(&bytes).to_be_bytes()
        }
        IpAddr::V6(ip) => {
            let high = u64::try_from(ip.to_bits() >> 64).expect("half of the bits are left");
            let mut bytes = (high & 0x0103_070f_1f3f_7fff).to_be_bytes();
            bytes[0] |= random << 5;
            crc32c(&bytes).to_be_bytes()
        }
    }
}

/// The CRC-32C (Castagnoli) of a few bytes. RFC 3720, appendix B.4 has vectors.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(hex: &str) -> NodeId {
        NodeId(HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap())
    }

    /// The table of BEP 42: address, last byte, number.
    const VECTORS: [(&str, u8, &str); 5] = [
        ("124.31.75.21", 1, "5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401"),
        ("21.75.31.124", 86, "5a3ce9c14e7a08645677bbd1cfe7d8f956d53256"),
        ("65.23.51.170", 22, "a5d43220bc8f112a3d426c84764f8c2a1150e616"),
        ("84.124.73.14", 65, "1b0321dd1bb1fe518101ceef99462b947a01ff41"),
        ("43.213.53.83", 90, "e56f6cbf5b7c4be0237986d5243b87aa6d51305a"),
    ];

    #[test]
    fn the_vectors_of_the_specification_fit() {
        for (ip, last, hex) in VECTORS {
            let (ip, id): (IpAddr, NodeId) = (ip.parse().unwrap(), id(hex));
            assert_eq!(id.0[19], last);
            assert!(id.fits(ip), "{ip}");
            let prefix = prefix_of(ip, last);
            assert_eq!((&prefix[..2], prefix[2] & 0xf8), (&id.0[..2], id.0[2] & 0xf8), "{ip}");
            let mut other = id;
            other.0[2] ^= 0x08;
            assert!(!other.fits(ip), "the 21st bit counts");
            other = id;
            other.0[2] ^= 0x04;
            assert!(other.fits(ip), "the 22nd does not");
        }
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn a_number_made_for_an_address_fits_it_and_no_other() {
        let mut rng = Rng::from_seed_u64(1);
        for ip in ["124.31.75.21", "2001:db8:1:2::3", "::ffff:124.31.75.21"] {
            let ip: IpAddr = ip.parse().unwrap();
            let id = NodeId::of(ip, &mut rng);
            assert!(id.fits(ip) && !id.fits("8.8.8.8".parse().unwrap()), "{ip}");
        }
        for local in ["127.0.0.1", "192.168.7.1", "10.0.0.1", "fe80::1", "::1"] {
            assert!(NodeId([7; 20]).fits(local.parse().unwrap()), "{local}");
        }
    }

    #[test]
    fn what_two_have_in_common_is_counted_in_bits() {
        let mut rng = Rng::from_seed_u64(2);
        let ours = NodeId::random(&mut rng);
        for bits in 0..160 {
            assert_eq!(ours.common_bits(ours.beside(bits, &mut rng)), bits);
        }
        assert_eq!(ours.common_bits(ours), 160);
        assert_eq!(ours.beside(160, &mut rng).common_bits(ours), 160);
    }
}
