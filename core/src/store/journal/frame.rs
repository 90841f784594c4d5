//! One record of the journal, as bytes.
//!
//! ```text
//! byte  0..4   marker F5 'J' 'R' 'N'; F5 never occurs in UTF-8, so no payload can hold a marker
//!       4..8   length of the payload in bytes, little-endian
//!       8..16  sequence number, little-endian
//!       16..20 CRC-32 (IEEE, little-endian) of bytes 4..16 and of all that follows
//!       20     schema of the journal, 1
//!       21     what the payload is, a [`Kind`]
//!       22..   payload, one JSON text
//! ```
//! The marker is what makes damage in the middle survivable: after bytes that are no frame, the next marker whose frame
//! passes its CRC is where reading goes on.

/// The bytes that every frame begins with.
pub(crate) const MARKER: [u8; 4] = [0xf5, b'J', b'R', b'N'];

/// Bytes of a frame before its payload.
pub(crate) const HEADER: usize = 22;

/// The longest payload that is believed, in bytes.
pub(crate) const MAX_PAYLOAD: usize = 16 * 1024 * 1024;

/// The schema this program writes, and the latest it reads.
pub(crate) const SCHEMA: u8 = 1;

/// What a frame's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Opens a segment.
    Head,
    /// Changes that were made together.
    Batch,
    /// Closes a snapshot.
    End,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Head, Self::Batch, Self::End].into_iter().find(|kind| kind.byte() == byte)
    }

    fn byte(self) -> u8 {
        match self {
            Self::Head => b'H',
            Self::Batch => b'B',
            Self::End => b'E',
        }
    }
}

/// A frame's first [`HEADER`] bytes, parsed but not yet believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes of the payload, at most [`MAX_PAYLOAD`].
    pub(crate) length: usize,
    /// The frame's place in the journal.
    pub(crate) seq: u64,
    /// The checksum it claims.
    pub(crate) crc: u32,
    /// The schema it was written in.
    pub(crate) schema: u8,
    /// What the payload is, as the schema spells it.
    kind: u8,
}

impl Header {
    /// Reads a header; `None` where the bytes cannot begin a frame.
    pub(crate) fn parse(bytes: &[u8; HEADER]) -> Option<Self> {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let length = usize::try_from(word(4)).ok().filter(|&length| length <= MAX_PAYLOAD)?;
        let seq = u64::from_le_bytes(bytes[8..16].try_into().expect("eight bytes"));
        let header = Self { length, seq, crc: word(16), schema: bytes[20], kind: bytes[21] };
        bytes.starts_with(&MARKER).then_some(header)
    }

    /// Whether `payload` is what the header was written for.
    pub(crate) fn matches(&self, payload: &[u8]) -> bool {
        payload.len() == self.length && self.crc == checksum(self.seq, [self.schema, self.kind], payload)
    }

    /// What the payload is; `None` for a kind this schema does not have.
    pub(crate) fn kind(&self) -> Option<Kind> {
        Kind::from_byte(self.kind)
    }
}

/// Appends the frame of `payload` to `out` and returns its checksum.
///
/// The payload is at most [`MAX_PAYLOAD`] bytes.
pub(crate) fn encode(kind: Kind, seq: u64, payload: &[u8], out: &mut Vec<u8>) -> u32 {
    let tags = [SCHEMA, kind.byte()];
    let crc = checksum(seq, tags, payload);
    out.extend_from_slice(&MARKER);
    out.extend_from_slice(&length_bytes(payload));
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&tags);
    out.extend_from_slice(payload);
    crc
}

fn checksum(seq: u64, tags: [u8; 2], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length_bytes(payload));
    hasher.update(&seq.to_le_bytes());
    hasher.update(&tags);
    hasher.update(payload);
    hasher.finalize()
}

fn length_bytes(payload: &[u8]) -> [u8; 4] {
    u32::try_from(payload.len()).expect("payloads are capped far below 4 GiB").to_le_bytes()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Appends a whole frame of the next schema.
    pub(crate) fn append_newer(out: &mut Vec<u8>) {
        let (seq, tags) = (2, [SCHEMA + 1, b'?']);
        out.extend_from_slice(&MARKER);
        out.extend_from_slice(&length_bytes(b""));
        out.extend_from_slice(&u64::to_le_bytes(seq));
        out.extend_from_slice(&checksum(seq, tags, b"").to_le_bytes());
        out.extend_from_slice(&tags);
    }

    fn frame(seq: u64, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(Kind::Batch, seq, payload, &mut bytes);
        bytes
    }

    fn is_whole(bytes: &[u8]) -> bool {
        bytes
            .split_first_chunk::<HEADER>()
            .is_some_and(|(head, payload)| Header::parse(head).is_some_and(|header| header.matches(payload)))
    }

    #[test]
    fn a_frame_is_whole_as_written() {
        let bytes = frame(7, b"{}");
        let header = Header::parse(bytes.first_chunk().unwrap()).unwrap();
        assert_eq!((header.length, header.seq, header.schema, header.kind()), (2, 7, SCHEMA, Some(Kind::Batch)));
        assert!(is_whole(&bytes));
        assert!(is_whole(&frame(u64::MAX, b"")));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let bytes = frame(7, br#"{"batch":[]}"#);
        for i in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[i] ^= 1 << bit;
                assert!(!is_whole(&damaged), "byte {i} bit {bit}");
            }
            assert!(!is_whole(&bytes[..i]), "cut to {i}");
        }
    }

    #[test]
    fn a_length_beyond_the_cap_is_not_believed() {
        let mut bytes = frame(1, b"");
        bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Header::parse(bytes.first_chunk().unwrap()), None);
    }
}
