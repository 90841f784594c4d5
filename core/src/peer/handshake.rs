//! The 68 bytes that open a connection. BEP 3, 6, 10.
//!
//! ```text
//! 19 "BitTorrent protocol" | 8 reserved | 20 info-hash | 20 peer id
//! ```

use super::PeerId;

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

    /// The distributed hash table. BEP 5.
    pub const fn dht(self) -> bool {
        self.0[7] & 0x01 != 0
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
    fn another_protocol_is_refused_at_its_first_byte() {
        let mut bytes = sample().encode();
        bytes[0] = b'G';
        assert!(Handshake::decode(&bytes).is_err());
        assert!(Handshake::check_protocol(b"GET ").is_err());
        assert!(Handshake::check_protocol(&sample().encode()[..11]).is_ok());
        assert!(Handshake::check_protocol(b"").is_ok());
    }
}
