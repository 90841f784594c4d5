//! The torrent's `info` on the wire, in pieces of 16 KiB, for those who have nothing but a magnet link. BEP 9.
//!
//! A message is a bencoded dictionary; behind that of a piece stand the piece's bytes.

use bytes::Bytes;
use serde::Serialize;

use crate::bencode::{self, Limits, reader};

/// The length of every piece but the last, in bytes.
pub const METADATA_PIECE: u32 = 16 * 1024;
/// The longest `info` that is fetched, in bytes.
pub const MAX_METADATA: u32 = 8 << 20;

/// One message about the metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetadataMessage {
    /// Asks for a piece.
    Request(u32),
    /// Brings a piece.
    Data {
        /// Its number, from 0.
        piece: u32,
        /// The length of all pieces together, in bytes.
        total: u32,
        /// Its bytes.
        data: Bytes,
    },
    /// This piece will not be brought.
    Reject(u32),
}

#[derive(Serialize)]
struct Wire {
    msg_type: u8,
    piece: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_size: Option<u32>,
}

impl MetadataMessage {
    /// The payload of the extended message.
    pub fn encode(&self) -> Bytes {
        let (msg_type, piece, total_size) = match self {
            Self::Request(piece) => (REQUEST, *piece, None),
            Self::Data { piece, total, .. } => (DATA, *piece, Some(*total)),
            Self::Reject(piece) => (REJECT, *piece, None),
        };
        let mut bytes = bencode::encode(&Wire { msg_type, piece, total_size });
        if let Self::Data { data, .. } = self {
            bytes.extend_from_slice(data);
        }
        bytes.into()
    }

    /// Reads a peer's; `None` if it is none that is known.
    pub fn decode(payload: &Bytes) -> Option<Self> {
        let (head, length) = reader::read_prefix(payload, Limits::MESSAGE).ok()?;
        let number = |key: &[u8]| u32::try_from(head.get(key)?.integer()?).ok();
        let piece = number(b"piece")?;
        match u8::try_from(number(b"msg_type")?).ok()? {
            REQUEST => Some(Self::Request(piece)),
            DATA => Some(Self::Data { piece, total: number(b"total_size")?, data: payload.slice(length..) }),
            REJECT => Some(Self::Reject(piece)),
            _ => None,
        }
    }
}

/// How many pieces metadata of so many bytes has.
pub const fn piece_count(size: u32) -> u32 {
    size.div_ceil(METADATA_PIECE)
}

/// The length of a piece, in bytes; 0 beyond the last.
pub fn piece_length(size: u32, piece: u32) -> u32 {
    size.saturating_sub(piece.saturating_mul(METADATA_PIECE)).min(METADATA_PIECE)
}

const REQUEST: u8 = 0;
const DATA: u8 = 1;
const REJECT: u8 = 2;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(message: &MetadataMessage, want: &[u8]) {
        assert_eq!(message.encode(), want);
        assert_eq!(MetadataMessage::decode(&message.encode()).as_ref(), Some(message));
    }

    #[test]
    fn the_bytes_are_those_of_the_bep() {
        check(&MetadataMessage::Request(0), b"d8:msg_typei0e5:piecei0ee");
        let data = Bytes::from_static(b"xxxe");
        check(
            &MetadataMessage::Data { piece: 1, total: 34256, data },
            b"d8:msg_typei1e5:piecei1e10:total_sizei34256eexxxe",
        );
        check(&MetadataMessage::Reject(7), b"d8:msg_typei2e5:piecei7ee");
    }

    #[test]
    fn what_makes_no_sense_is_nothing() {
        let read = |bytes: &'static [u8]| MetadataMessage::decode(&Bytes::from_static(bytes));
        for bytes in [
            &b""[..],
            b"le",
            b"d5:piecei0ee",
            b"d8:msg_typei0ee",
            b"d8:msg_typei9e5:piecei0ee",
            b"d8:msg_typei256e5:piecei0ee",
            b"d8:msg_typei0e5:piecei-1ee",
            b"d8:msg_typei1e5:piecei0eexx",
        ] {
            assert_eq!(read(bytes), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn pieces_cover_the_whole() {
        for size in [1, METADATA_PIECE - 1, METADATA_PIECE, METADATA_PIECE + 1, 100_000, MAX_METADATA] {
            let count = piece_count(size);
            assert_eq!((0..count).map(|piece| piece_length(size, piece)).sum::<u32>(), size);
            assert_eq!((piece_length(size, count), piece_length(size, u32::MAX)), (0, 0));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = MetadataMessage::decode(&Bytes::from(bytes));
        }
    }
}
