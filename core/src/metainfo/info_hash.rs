//! The name that a torrent goes by.
//!
//! A v1 hash is the SHA-1 of the raw bytes of `info` (BEP 3), a v2 hash their SHA-256 (BEP 52); a hybrid torrent has
//! both and is found by either. Which bytes are hashed is decided in [`super::parse`]: always those of the file.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE32_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use serde_with::{DeserializeFromStr, SerializeDisplay};
use sha1::{Digest, Sha1};
use sha2::Sha256;

/// The hash of a torrent's raw `info` bytes: v1 (20 bytes), v2 (32 bytes) or both.
///
/// Two values are equal if both hold the same hashes. Whether two names may mean the same torrent is what
/// [`InfoHash::matches`] tells; the two differ only where a hybrid is involved.
///
/// Text and serde form: lower-case hex of the v1 hash if there is one, else of the v2 hash. It is read from 40 hex
/// digits or 32 base32 letters (v1) or 64 hex digits (v2), in any case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, DeserializeFromStr, SerializeDisplay)]
pub struct InfoHash(Hashes);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Hashes {
    V1([u8; 20]),
    V2([u8; 32]),
    Hybrid([u8; 20], [u8; 32]),
}

impl InfoHash {
    /// The name of a v1 torrent.
    pub const fn from_v1(hash: [u8; 20]) -> Self {
        Self(Hashes::V1(hash))
    }

    /// The name of a v2 torrent.
    pub const fn from_v2(hash: [u8; 32]) -> Self {
        Self(Hashes::V2(hash))
    }

    /// The name of a torrent that is both.
    pub const fn hybrid(v1: [u8; 20], v2: [u8; 32]) -> Self {
        Self(Hashes::Hybrid(v1, v2))
    }

    /// The name of a v1 torrent with these raw `info` bytes.
    pub fn of_v1_info(info: &[u8]) -> Self {
        Self::from_v1(Sha1::digest(info).into())
    }

    /// The name of a hybrid torrent with these raw `info` bytes.
    pub fn of_hybrid_info(info: &[u8]) -> Self {
        Self::hybrid(Sha1::digest(info).into(), Sha256::digest(info).into())
    }

    /// The name of a v2 torrent with these raw `info` bytes.
    pub fn of_v2_info(info: &[u8]) -> Self {
        Self::from_v2(Sha256::digest(info).into())
    }

    /// Whether this is the name of a torrent with these raw `info` bytes, by every hash that it has.
    pub fn is_of(&self, info: &[u8]) -> bool {
        self.v1().is_none_or(|v1| v1 == <[u8; 20]>::from(Sha1::digest(info)))
            && self.v2().is_none_or(|v2| v2 == <[u8; 32]>::from(Sha256::digest(info)))
    }

    /// The v1 hash, if there is one.
    pub const fn v1(&self) -> Option<[u8; 20]> {
        match self.0 {
            Hashes::V1(v1) | Hashes::Hybrid(v1, _) => Some(v1),
            Hashes::V2(_) => None,
        }
    }

    /// The v2 hash, if there is one.
    pub const fn v2(&self) -> Option<[u8; 32]> {
        match self.0 {
            Hashes::V2(v2) | Hashes::Hybrid(_, v2) => Some(v2),
            Hashes::V1(_) => None,
        }
    }

    /// What handshakes and trackers carry: the v1 hash, else the first 20 bytes of the v2 hash (BEP 52).
    pub fn wire(&self) -> [u8; 20] {
        match self.0 {
            Hashes::V1(v1) | Hashes::Hybrid(v1, _) => v1,
            Hashes::V2(v2) => *v2.first_chunk().expect("32 bytes have a first 20"),
        }
    }

    /// The first 20 bytes of the v2 hash, if there is one: what names it where there is room for no more (BEP 52).
    pub fn v2_wire(&self) -> Option<[u8; 20]> {
        self.v2().map(|v2| *v2.first_chunk().expect("32 bytes have a first 20"))
    }

    /// Everything that handshakes and trackers may carry in the torrent's name; v1 first.
    pub fn wires(&self) -> impl Iterator<Item = [u8; 20]> + use<> {
        self.v1().into_iter().chain(self.v2_wire())
    }

    /// Whether both may name the same torrent: they share a v1 or a v2 hash, and contradict each other in neither.
    pub fn matches(&self, other: &Self) -> bool {
        let agree = |same: Option<bool>| same != Some(false);
        let v1 = self.v1().zip(other.v1()).map(|(own, theirs)| own == theirs);
        let v2 = self.v2().zip(other.v2()).map(|(own, theirs)| own == theirs);
        agree(v1) && agree(v2) && (v1.is_some() || v2.is_some())
    }
}

impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Hashes::V1(v1) | Hashes::Hybrid(v1, _) => f.write_str(&HEXLOWER.encode(v1)),
            Hashes::V2(v2) => f.write_str(&HEXLOWER.encode(v2)),
        }
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Hashes::Hybrid(_, v2) => write!(f, "InfoHash({self} + {})", HEXLOWER.encode(v2)),
            _ => write!(f, "InfoHash({self})"),
        }
    }
}

/// A text that is no info-hash.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("info-hash of {length} characters; want 40 or 64 hex digits or 32 base32 letters")]
pub struct InfoHashError {
    /// The characters there were.
    pub length: usize,
}

impl FromStr for InfoHash {
    type Err = InfoHashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = match text.len() {
            32 => BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok(),
            _ => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok(),
        };
        let bytes = bytes.unwrap_or_default();
        let v1 = <[u8; 20]>::try_from(&*bytes).map(Self::from_v1);
        v1.or_else(|_| <[u8; 32]>::try_from(&*bytes).map(Self::from_v2))
            .map_err(|_| InfoHashError { length: text.chars().count() })
    }
}

/// The serde form that keeps both hashes of a hybrid: `V1+V2`. That of others is their text.
pub mod whole {
    use data_encoding::HEXLOWER;
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use super::InfoHash;

    /// Writes it.
    pub fn serialize<S: Serializer>(hash: &InfoHash, serializer: S) -> Result<S::Ok, S::Error> {
        match hash.v1().zip(hash.v2()) {
            Some((v1, v2)) => {
                serializer.collect_str(&format_args!("{}+{}", HEXLOWER.encode(&v1), HEXLOWER.encode(&v2)))
            }
            None => serializer.collect_str(hash),
        }
    }

    /// Reads it.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<InfoHash, D::Error> {
        let text = String::deserialize(deserializer)?;
        let hash = |text: &str| text.parse::<InfoHash>().map_err(de::Error::custom);
        let Some((v1, v2)) = text.split_once('+') else { return hash(&text) };
        let both = hash(v1)?.v1().zip(hash(v2)?.v2());
        both.map(|(v1, v2)| InfoHash::hybrid(v1, v2)).ok_or_else(|| de::Error::custom("want a v1 and a v2 info-hash"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn hex_and_base32_name_the_same_torrent() {
        let hash: InfoHash = HEX.parse().unwrap();
        assert_eq!(HEX.to_uppercase().parse(), Ok(hash));
        let base32 = BASE32_NOPAD.encode(&hash.wire());
        assert_eq!(base32.parse(), Ok(hash));
        assert_eq!(base32.to_lowercase().parse(), Ok(hash));
        assert_eq!(hash.to_string(), HEX);
    }

    #[test]
    fn sixty_four_digits_are_a_v2_hash_and_its_wire_form_is_cut() {
        let hash: InfoHash = [HEX, "00112233445566778899aabb"].concat().parse().unwrap();
        assert_eq!(hash.v1(), None);
        assert_eq!(HEXLOWER.encode(&hash.wire()), HEX);
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "0", &HEX[1..], &[HEX, "0"].concat(), &HEX.replace('0', "g"), &"1".repeat(32), &"é".repeat(20)]
        {
            assert!(text.parse::<InfoHash>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_hybrid_is_found_by_either_hash() {
        let hybrid = InfoHash::hybrid([1; 20], [2; 32]);
        assert!(hybrid.matches(&InfoHash::from_v1([1; 20])));
        assert!(hybrid.matches(&InfoHash::from_v2([2; 32])));
        assert!(hybrid.matches(&hybrid));
        assert!(!hybrid.matches(&InfoHash::from_v1([2; 20])));
        assert!(!hybrid.matches(&InfoHash::hybrid([1; 20], [3; 32])));
        assert!(!InfoHash::from_v1([1; 20]).matches(&InfoHash::from_v2([2; 32])));
        assert_eq!(hybrid.wire(), [1; 20]);
    }
}
