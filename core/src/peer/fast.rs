//! The allowed-fast set: a few pieces that a choked newcomer may request, so that it soon has something to trade. BEP
//! 6.

use std::net::IpAddr;

use sha1::{Digest as _, Sha1};

use crate::layout::PieceIndex;

/// How many pieces a set has.
pub const ALLOWED_FAST_COUNT: usize = 5;

/// The pieces that a peer at `ip` may request while choked.
///
/// They follow from the address and the info-hash alone, so reconnecting brings no others. BEP 6 masks an IPv4 address
/// to its /24; for IPv6, on which it is silent, the /64 is taken. Empty if there are fewer than twice as many pieces.
pub fn allowed_fast_set(ip: IpAddr, info_hash: [u8; 20], piece_count: u32) -> Vec<PieceIndex> {
    if (piece_count as usize) < 2 * ALLOWED_FAST_COUNT {
        return Vec::new();
    }
    let mut seed = match ip.to_canonical() {
        IpAddr::V4(ip) => vec![ip.octets()[0], ip.octets()[1], ip.octets()[2], 0],
        IpAddr::V6(ip) => ip.octets()[..8].to_vec(),
    };
    seed.extend_from_slice(&info_hash);
    let mut digest: [u8; 20] = Sha1::digest(&seed).into();
    let mut set = Vec::with_capacity(ALLOWED_FAST_COUNT);
    loop {
        for word in digest.chunks_exact(4) {
            let number = u32::from_be_bytes(word.try_into().expect("a chunk of 4 bytes"));
            let piece = PieceIndex(number % piece_count);
            if !set.contains(&piece) {
                set.push(piece);
            }
            if set.len() == ALLOWED_FAST_COUNT {
                return set;
            }
        }
        digest = Sha1::digest(digest).into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_holds() {
        let pieces = allowed_fast_set("80.4.4.200".parse().unwrap(), [0xaa; 20], 1313);
        assert_eq!(pieces.iter().map(|piece| piece.0).collect::<Vec<_>>(), [1059, 431, 808, 1217, 287]);
    }

    #[test]
    fn neighbours_share_a_set_and_small_torrents_have_none() {
        let set = |ip: &str, count| allowed_fast_set(ip.parse().unwrap(), [1; 20], count);
        assert_eq!(set("10.0.0.1", 100), set("10.0.0.200", 100));
        assert_eq!(set("::ffff:10.0.0.1", 100), set("10.0.0.1", 100));
        assert_ne!(set("10.0.0.1", 100), set("10.0.1.1", 100));
        assert_eq!(set("2001:db8::1", 100).len(), ALLOWED_FAST_COUNT);
        assert!(set("10.0.0.1", 9).is_empty());
    }
}
