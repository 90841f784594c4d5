//! The 68 bytes that open a connection. BEP 3, 6, 10, 52.
//!
//! A hybrid torrent has two names. Who dials by the v1 one says with a bit that it speaks v2, too, and may be answered
//! by the other.
//!
//! ```text
//! 19 "BitTorrent protocol" | 8 reserved | 20 info-hash | 20 peer id
//! ```

use super::PeerId;
use crate::metainfo::InfoHash;

/// The length of a handshake, in bytes.
pub const HANDSHAKE_LENGTH: usize = 68;

const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";

/// The extension bits of a handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved(pub [u8; 8]);

impl Reserved {
    /// What this client speaks: the fast extension and the extension protocol.
    pub const OURS: Self = Self([0, 0, 0, 0, 0, 0x10, 0, 0x04]);

    /// The same, and a node of the distributed hash table.
    pub const OURS_AND_DHT: Self = Self([0, 0, 0, 0, 0, 0x10, 0, 0x05]);

    /// The same from one whose torrent has hash trees.
    #[must_use]
    pub const fn with_v2(mut self) -> Self {
        self.0[7] |= V2;
        self
    }

    /// What both sides say.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self((u64::from_be_bytes(self.0) & u64::from_be_bytes(other.0)).to_be_bytes())
    }

    /// The distributed hash table. BEP 5.
    pub const fn dht(self) -> bool {
        self.0[7] & 0x01 != 0
    }

    /// Version 2 of the protocol. BEP 52.
    pub const fn v2(self) -> bool {
        self.0[7] & V2 != 0
    }

    /// The fast extension. BEP 6.
    pub const fn fast(self) -> bool {
        self.0[7] & 0x04 != 0
    }

    /// The extension protocol. BEP 10.
    pub const fn extended(self) -> bool {
        self.0[5] & 0x10 != 0
    }
}

const V2: u8 = 0x10;

/// What each side says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// Which extensions the sender speaks.
    pub reserved: Reserved,
    /// The swarm: the v1 info-hash, or a v2 one cut to 20 bytes.
    pub info_hash: [u8; 20],
    /// Who the sender is.
    pub peer_id: PeerId,
}

/// The peer opened with something else than a handshake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("handshake names protocol \"{got}\"; want \"BitTorrent protocol\"")]
pub struct HandshakeError {
    got: String,
}

impl Handshake {
    /// What is said in this torrent's name: the v1 one, if it has that, and that trees are spoken of if it has them.
    pub fn of(torrent: &InfoHash, reserved: Reserved, peer_id: PeerId) -> Self {
        let reserved = if torrent.v2().is_some() { reserved.with_v2() } else { reserved };
        Self { reserved, info_hash: torrent.wire(), peer_id }
    }

    /// The same by the torrent's v2 name, if it has one.
    #[must_use]
    pub fn by_v2(self, torrent: &InfoHash) -> Self {
        Self { info_hash: torrent.v2_wire().unwrap_or(self.info_hash), ..self }
    }

    /// What is said to a peer that dialled us: by the name that it used, or by the v2 one if it speaks that, too.
    #[must_use]
    pub fn in_answer_to(self, theirs: &Self, torrent: &InfoHash) -> Self {
        if theirs.knows_v2(torrent) { self.by_v2(torrent) } else { self }
    }

    /// What both sides speak: those whose handshake this is, and those with these bits.
    pub fn common(&self, torrent: &InfoHash, ours: Reserved) -> Reserved {
        let theirs = if self.knows_v2(torrent) { self.reserved.with_v2() } else { self.reserved };
        let ours = if torrent.v2().is_some() { ours.with_v2() } else { ours };
        ours.and(theirs)
    }

    /// Whether the sender speaks v2; one that knows the v2 name need not say so.
    fn knows_v2(&self, torrent: &InfoHash) -> bool {
        self.reserved.v2() || Some(self.info_hash) == torrent.v2_wire()
    }

    /// The bytes to send.
    pub fn encode(&self) -> [u8; HANDSHAKE_LENGTH] {
        let mut bytes = [0; HANDSHAKE_LENGTH];
        bytes[..20].copy_from_slice(PROTOCOL);
        bytes[20..28].copy_from_slice(&self.reserved.0);
        bytes[28..48].copy_from_slice(&self.info_hash);
        bytes[48..].copy_from_slice(&self.peer_id.0);
        bytes
    }

    /// Reads a handshake.
    pub fn decode(bytes: &[u8; HANDSHAKE_LENGTH]) -> Result<Self, HandshakeError> {
        Self::check_protocol(&bytes[..20])?;
        let mut reserved = [0; 8];
        let mut info_hash = [0; 20];
        let mut peer_id = [0; 20];
        reserved.copy_from_slice(&bytes[20..28]);
        info_hash.copy_from_slice(&bytes[28..48]);
        peer_id.copy_from_slice(&bytes[48..]);
        Ok(Self { reserved: Reserved(reserved), info_hash, peer_id: PeerId(peer_id) })
    }

    /// Whether what has come so far may still become a handshake; a stranger is cut off at its first wrong byte.
    pub fn check_protocol(so_far: &[u8]) -> Result<(), HandshakeError> {
        let length = so_far.len().min(PROTOCOL.len());
        if so_far[..length] == PROTOCOL[..length] {
            return Ok(());
        }
        Err(HandshakeError { got: so_far[..length].escape_ascii().to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Handshake {
        Handshake { reserved: Reserved::OURS, info_hash: [7; 20], peer_id: PeerId([9; 20]) }
    }

    #[test]
    fn a_handshake_survives_the_wire() {
        assert_eq!(Handshake::decode(&sample().encode()), Ok(sample()));
        assert!(sample().reserved.fast() && sample().reserved.extended());
    }

    #[test]
    fn hybrids_are_dialled_by_either_name_and_upgraded() {
        let hybrid = InfoHash::hybrid([1; 20], [2; 32]);
        let hello = Handshake::of(&hybrid, Reserved::OURS, PeerId([9; 20]));
        assert_eq!((hello.info_hash, hello.reserved.v2()), ([1; 20], true));
        let ours = Handshake::of(&hybrid, Reserved::OURS_AND_DHT, PeerId([8; 20]));
        let answer = ours.in_answer_to(&hello, &hybrid);
        assert_eq!(answer.info_hash, [2; 20]);
        let common = hello.common(&hybrid, Reserved::OURS_AND_DHT);
        assert!(common.v2() && !common.dht() && answer.common(&hybrid, Reserved::OURS).v2());
        // Old clients know nothing of it.
        let old = Handshake { reserved: Reserved::OURS, ..hello };
        assert_eq!(ours.in_answer_to(&old, &hybrid).info_hash, [1; 20]);
        assert_eq!(old.common(&hybrid, Reserved::OURS), Reserved::OURS);
        // By the other name one need not say so.
        let new = Handshake { reserved: Reserved::OURS, ..hello.by_v2(&hybrid) };
        assert_eq!((new.info_hash, ours.in_answer_to(&new, &hybrid).info_hash), ([2; 20], [2; 20]));
        assert!(new.common(&hybrid, Reserved::OURS).v2());
        let v1 = InfoHash::from_v1([1; 20]);
        assert_eq!(Handshake::of(&v1, Reserved::OURS, PeerId([9; 20])).in_answer_to(&hello, &v1), old);
        assert!(!hello.common(&v1, Reserved::OURS).v2());
    }

    #[test]
    fn another_protocol_is_refused_at_its_first_byte() {
        let mut bytes = sample().encode();
        bytes[0] = b'G';
        assert!(Handshake::decode(&bytes).is_err());
        assert!(Handshake::check_protocol(b"GET ").is_err());
        assert!(Handshake::check_protocol(&sample().encode()[..11]).is_ok());
        assert!(Handshake::check_protocol(b"").is_ok());
    }
}
