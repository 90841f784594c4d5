//! Everything peers say to one another after the handshake, and how it is framed. BEP 3, 6, 10, 52.
//!
//! A message is a 4-byte length, a 1-byte id and its fields, all big-endian; a length of 0 keeps the connection alive.
//! Numbers come in unchecked: whoever has the torrent's layout checks them.
//!
//! Between our own, a block's message may bring a run: blocks that follow one another in a piece, under one head. A
//! peer says in its extension handshake how long a run it takes; whoever receives one cuts it into blocks again. On a
//! fast line a head for each block costs the sender as much as the blocks themselves, where the system sends those
//! straight from its cache.
//!
//! Law: a message that cannot be right is refused as soon as its length and id are known, so no peer makes us buffer
//! more than [`MAX_EXTENDED`] bytes, or a bitfield's length.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::hashes::{HASH_REQUEST_LENGTH, HashRequest, MAX_HASHES_LENGTH};
use crate::layout::{BlockInfo, PieceIndex};

/// The most bytes of an extension message that are read.
pub const MAX_EXTENDED: u32 = 256 * 1024;
/// The most bytes of a bitfield that are read, before the torrent's own length is checked.
pub const MAX_BITFIELD: u32 = 256 * 1024;

/// The bytes of a block's message before the block itself.
pub const BLOCK_HEAD: usize = 13;
/// The longest run of blocks that is sent and taken in one message, in bytes.
pub const MAX_RUN: u32 = 512 * 1024;

/// What stands before the bytes of a block, or of a run of blocks.
impl BlockInfo {
    /// Whether the bytes begin a block's message, as far as can be told.
    pub fn head_may_begin(bytes: &[u8]) -> bool {
        bytes.get(4) == Some(&PIECE) && bytes[..4] != [0; 4]
    }

    /// Reads a head off the front of `bytes`; `None` if another message begins there, or it has not come whole.
    pub fn decode_head(bytes: &[u8]) -> Result<Option<Self>, DecodeError> {
        let Some(mut head) = bytes.get(..5) else { return Ok(None) };
        let (length, id) = (head.get_u32(), head.get_u8());
        if length == 0 || id != PIECE {
            return Ok(None);
        }
        check_length(id, length - 1)?;
        let Some(mut fields) = bytes.get(5..BLOCK_HEAD) else { return Ok(None) };
        Ok(Some(Self { piece: PieceIndex(fields.get_u32()), begin: fields.get_u32(), length: length - 9 }))
    }

    /// The head as it is on the wire.
    pub fn encode_head(&self) -> [u8; BLOCK_HEAD] {
        let mut head = [0; BLOCK_HEAD];
        let mut out = &mut head[..];
        out.put_u32(9 + self.length);
        out.put_u8(PIECE);
        out.put_u32(self.piece.0);
        out.put_u32(self.begin);
        head
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Says only that the sender is there.
    KeepAlive,
    /// The sender will not answer requests.
    Choke,
    /// The sender will answer requests.
    Unchoke,
    /// The receiver has a piece that the sender lacks.
    Interested,
    /// The receiver has nothing for the sender.
    NotInterested,
    /// The sender has this piece.
    Have(PieceIndex),
    /// The pieces that the sender has, as [`crate::bitfield::Bitfield::from_wire`] reads them.
    Bitfield(Bytes),
    /// Asks for a block.
    Request(BlockInfo),
    /// Brings a block.
    Piece {
        /// The piece it belongs to.
        piece: PieceIndex,
        /// Its offset in the piece, in bytes.
        begin: u32,
        /// Its bytes.
        data: Bytes,
    },
    /// Takes a request back.
    Cancel(BlockInfo),
    /// The port of the sender's DHT node. BEP 5.
    Port(u16),
    /// A piece that is cheap for the sender to send. BEP 6.
    SuggestPiece(PieceIndex),
    /// The sender has every piece. BEP 6.
    HaveAll,
    /// The sender has no piece. BEP 6.
    HaveNone,
    /// This request will not be answered. BEP 6.
    RejectRequest(BlockInfo),
    /// A piece that the receiver may request even while choked. BEP 6.
    AllowedFast(PieceIndex),
    /// A message of the extension protocol; id 0 is its handshake. BEP 10.
    Extended {
        /// The id, as the receiver assigned it.
        id: u8,
        /// The bytes after it.
        payload: Bytes,
    },
    /// Asks for hashes of a v2 torrent. BEP 52.
    HashRequest(HashRequest),
    /// Brings them: those that were asked for, then their uncles. BEP 52.
    Hashes {
        /// What was asked for.
        request: HashRequest,
        /// The hashes, end to end.
        hashes: Bytes,
    },
    /// They will not be brought. BEP 52.
    HashReject(HashRequest),
    /// A message of an id that this client does not know; its bytes were skipped.
    Unknown(u8),
}

/// The peer sent a message that cannot be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No message of this id may have this length.
    #[error("message {id} is {got} bytes long; want {want}")]
    Length {
        /// The message's id.
        id: u8,
        /// Its length after the id, in bytes.
        got: u32,
        /// What the id allows.
        want: &'static str,
    },
}

const CHOKE: u8 = 0;
const UNCHOKE: u8 = 1;
const INTERESTED: u8 = 2;
const NOT_INTERESTED: u8 = 3;
const HAVE: u8 = 4;
const BITFIELD: u8 = 5;
const REQUEST: u8 = 6;
const PIECE: u8 = 7;
const CANCEL: u8 = 8;
const PORT: u8 = 9;
const SUGGEST_PIECE: u8 = 13;
const HAVE_ALL: u8 = 14;
const HAVE_NONE: u8 = 15;
const REJECT_REQUEST: u8 = 16;
const ALLOWED_FAST: u8 = 17;
const EXTENDED: u8 = 20;
const HASH_REQUEST: u8 = 21;
const HASHES: u8 = 22;
const HASH_REJECT: u8 = 23;

impl Message {
    /// Takes the next message off the front of `buffer`, or `None` if it has not come whole.
    ///
    /// Payloads share the buffer's memory; nothing is copied.
    pub fn decode(buffer: &mut BytesMut) -> Result<Option<Self>, DecodeError> {
        let Some((head, _)) = buffer.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*head);
        if length == 0 {
            buffer.advance(4);
            return Ok(Some(Self::KeepAlive));
        }
        let Some(id) = buffer.get(4).copied() else { return Ok(None) };
        check_length(id, length - 1)?;
        let total = 4 + length as usize;
        if buffer.len() < total {
            return Ok(None);
        }
        let mut frame = buffer.split_to(total);
        frame.advance(5);
        Ok(Some(Self::decode_body(id, frame.freeze())))
    }

    /// How many bytes the message at the front of `buffer` still lacks, as far as can be told.
    pub fn missing(buffer: &[u8]) -> usize {
        match buffer.split_first_chunk::<4>() {
            Some((head, rest)) => (u32::from_be_bytes(*head) as usize).saturating_sub(rest.len()),
            None => 4 - buffer.len(),
        }
    }

    /// Reads the fields; their number was checked with the length.
    fn decode_body(id: u8, mut body: Bytes) -> Self {
        let block = |body: &mut Bytes| BlockInfo {
            piece: PieceIndex(body.get_u32()),
            begin: body.get_u32(),
            length: body.get_u32(),
        };
        match id {
            CHOKE => Self::Choke,
            UNCHOKE => Self::Unchoke,
            INTERESTED => Self::Interested,
            NOT_INTERESTED => Self::NotInterested,
            HAVE => Self::Have(PieceIndex(body.get_u32())),
            BITFIELD => Self::Bitfield(body),
            REQUEST => Self::Request(block(&mut body)),
            PIECE => {
                let (piece, begin) = (PieceIndex(body.get_u32()), body.get_u32());
                Self::Piece { piece, begin, data: body }
            }
            CANCEL => Self::Cancel(block(&mut body)),
            PORT => Self::Port(body.get_u16()),
            SUGGEST_PIECE => Self::SuggestPiece(PieceIndex(body.get_u32())),
            HAVE_ALL => Self::HaveAll,
            HAVE_NONE => Self::HaveNone,
            REJECT_REQUEST => Self::RejectRequest(block(&mut body)),
            ALLOWED_FAST => Self::AllowedFast(PieceIndex(body.get_u32())),
            EXTENDED => Self::Extended { id: body.get_u8(), payload: body },
            HASH_REQUEST => Self::HashRequest(HashRequest::decode(&mut body)),
            HASHES => {
                let request = HashRequest::decode(&mut body);
                Self::Hashes { request, hashes: body }
            }
            HASH_REJECT => Self::HashReject(HashRequest::decode(&mut body)),
            other => Self::Unknown(other),
        }
    }

    /// Appends the message to `out`, all but the bytes that [`Message::payload`] gives; those follow it on the wire.
    pub fn encode_head(&self, out: &mut BytesMut) {
        let payload_length = self.payload().map_or(0, Bytes::len);
        let mut head = |id: u8, fields: &[u32]| {
            let length = 1 + 4 * fields.len() + payload_length;
            out.put_u32(u32::try_from(length).expect("our messages are short"));
            out.put_u8(id);
            for field in fields {
                out.put_u32(*field);
            }
        };
        let fields = |block: &BlockInfo| [block.piece.0, block.begin, block.length];
        match self {
            Self::KeepAlive => out.put_u32(0),
            Self::Choke => head(CHOKE, &[]),
            Self::Unchoke => head(UNCHOKE, &[]),
            Self::Interested => head(INTERESTED, &[]),
            Self::NotInterested => head(NOT_INTERESTED, &[]),
            Self::Have(piece) => head(HAVE, &[piece.0]),
            Self::Bitfield(_) => head(BITFIELD, &[]),
            Self::Request(block) => head(REQUEST, &fields(block)),
            Self::Piece { piece, begin, data } => {
                let length = u32::try_from(data.len()).expect("our messages are short");
                out.extend_from_slice(&BlockInfo { piece: *piece, begin: *begin, length }.encode_head());
            }
            Self::Cancel(block) => head(CANCEL, &fields(block)),
            Self::Port(port) => {
                out.put_u32(3);
                out.put_u8(PORT);
                out.put_u16(*port);
            }
            Self::SuggestPiece(piece) => head(SUGGEST_PIECE, &[piece.0]),
            Self::HaveAll => head(HAVE_ALL, &[]),
            Self::HaveNone => head(HAVE_NONE, &[]),
            Self::RejectRequest(block) => head(REJECT_REQUEST, &fields(block)),
            Self::AllowedFast(piece) => head(ALLOWED_FAST, &[piece.0]),
            Self::Extended { id, payload } => {
                out.put_u32(2 + u32::try_from(payload.len()).expect("our messages are short"));
                out.put_u8(EXTENDED);
                out.put_u8(*id);
            }
            Self::HashRequest(request) => encode_hash_head(HASH_REQUEST, request, 0, out),
            Self::Hashes { request, hashes } => encode_hash_head(HASHES, request, hashes.len(), out),
            Self::HashReject(request) => encode_hash_head(HASH_REJECT, request, 0, out),
            Self::Unknown(id) => head(*id, &[]),
        }
    }

    /// The bytes that follow the head on the wire without being copied into it.
    pub fn payload(&self) -> Option<&Bytes> {
        match self {
            Self::Piece { data, .. } => Some(data),
            Self::Bitfield(bytes) | Self::Extended { payload: bytes, .. } | Self::Hashes { hashes: bytes, .. } => {
                Some(bytes)
            }
            _ => None,
        }
    }
}

fn encode_hash_head(id: u8, request: &HashRequest, payload_length: usize, out: &mut BytesMut) {
    let payload_length = u32::try_from(payload_length).expect("our messages are short");
    out.put_u32(1 + HASH_REQUEST_LENGTH + payload_length);
    out.put_u8(id);
    request.encode(out);
}

/// Refuses a message whose length after the id no message of that id can have.
fn check_length(id: u8, got: u32) -> Result<(), DecodeError> {
    let (fits, want) = match id {
        CHOKE | UNCHOKE | INTERESTED | NOT_INTERESTED | HAVE_ALL | HAVE_NONE => (got == 0, "0"),
        HAVE | SUGGEST_PIECE | ALLOWED_FAST => (got == 4, "4"),
        REQUEST | CANCEL | REJECT_REQUEST => (got == 12, "12"),
        PIECE => ((9..=8 + MAX_RUN).contains(&got), "9 to 524296"),
        PORT => (got == 2, "2"),
        BITFIELD => (got <= MAX_BITFIELD, "at most 262144"),
        HASH_REQUEST | HASH_REJECT => (got == HASH_REQUEST_LENGTH, "48"),
        HASHES => {
            let fits = (HASH_REQUEST_LENGTH..=MAX_HASHES_LENGTH).contains(&got);
            (fits && (got - HASH_REQUEST_LENGTH).is_multiple_of(32), "48 and 32 for each of at most 4146 hashes")
        }
        EXTENDED => ((1..=MAX_EXTENDED).contains(&got), "1 to 262144"),
        _ => (got <= MAX_EXTENDED, "at most 262144"),
    };
    if fits { Ok(()) } else { Err(DecodeError::Length { id, got, want }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::layout::BLOCK_LENGTH;

    fn wire(message: &Message) -> Vec<u8> {
        let mut out = BytesMut::new();
        message.encode_head(&mut out);
        out.extend_from_slice(message.payload().map_or(&[], |payload| payload));
        out.to_vec()
    }

    fn any_message() -> impl Strategy<Value = Message> {
        let piece = any::<u32>().prop_map(PieceIndex);
        let block = (any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(piece, begin, length)| BlockInfo {
            piece: PieceIndex(piece),
            begin,
            length,
        });
        let request = (any::<[u8; 32]>(), any::<[u32; 4]>())
            .prop_map(|(root, [base, index, length, proofs])| HashRequest { root, base, index, length, proofs });
        let bytes = prop::collection::vec(any::<u8>(), 1..200).prop_map(Bytes::from);
        prop_oneof![
            Just(Message::KeepAlive),
            Just(Message::Choke),
            Just(Message::Unchoke),
            Just(Message::Interested),
            Just(Message::NotInterested),
            Just(Message::HaveAll),
            Just(Message::HaveNone),
            piece.clone().prop_map(Message::Have),
            piece.clone().prop_map(Message::SuggestPiece),
            piece.clone().prop_map(Message::AllowedFast),
            block.clone().prop_map(Message::Request),
            block.clone().prop_map(Message::Cancel),
            block.prop_map(Message::RejectRequest),
            any::<u16>().prop_map(Message::Port),
            bytes.clone().prop_map(Message::Bitfield),
            (piece, any::<u32>(), bytes.clone()).prop_map(|(piece, begin, data)| Message::Piece { piece, begin, data }),
            (any::<u8>(), bytes).prop_map(|(id, payload)| Message::Extended { id, payload }),
            request.clone().prop_map(Message::HashRequest),
            request.clone().prop_map(Message::HashReject),
            (request, 0..9_usize)
                .prop_map(|(request, count)| Message::Hashes { request, hashes: Bytes::from(vec![7; 32 * count]) }),
        ]
    }

    proptest! {
        #[test]
        fn any_split_of_the_stream_gives_the_same_messages(
            messages in prop::collection::vec(any_message(), 1..20),
            cuts in prop::collection::vec(1..50_usize, 1..40),
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(wire).collect();
            let (mut buffer, mut read, mut rest) = (BytesMut::new(), Vec::new(), &stream[..]);
            let mut cuts = cuts.into_iter().cycle();
            while !rest.is_empty() {
                let (now, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                buffer.extend_from_slice(now);
                rest = later;
                while let Some(message) = Message::decode(&mut buffer).unwrap() {
                    read.push(message);
                }
            }
            prop_assert_eq!(read, messages);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut buffer = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = Message::decode(&mut buffer) {}
        }
    }

    #[test]
    fn a_giant_length_is_refused_before_its_bytes_come() {
        for id in 0..=255_u8 {
            let mut buffer = BytesMut::from(&[0xff, 0xff, 0xff, 0xff, id][..]);
            assert!(Message::decode(&mut buffer).is_err(), "{id}");
        }
    }

    #[test]
    fn a_run_is_cut_into_its_blocks() {
        let run = BlockInfo { piece: PieceIndex(7), begin: BLOCK_LENGTH, length: 2 * BLOCK_LENGTH + 5 };
        assert_eq!(BlockInfo::decode_head(&run.encode_head()), Ok(Some(run)));
        let blocks: Vec<_> = run.blocks().map(|block| (block.piece.0, block.begin, block.length)).collect();
        assert_eq!(
            blocks,
            [(7, BLOCK_LENGTH, BLOCK_LENGTH), (7, 2 * BLOCK_LENGTH, BLOCK_LENGTH), (7, 3 * BLOCK_LENGTH, 5)]
        );
    }

    #[test]
    fn what_is_missing_is_told_exactly() {
        let bytes = wire(&Message::Have(PieceIndex(3)));
        assert_eq!(Message::missing(&bytes[..2]), 2);
        assert_eq!(Message::missing(&bytes[..4]), 5);
        assert_eq!(Message::missing(&bytes[..8]), 1);
        assert_eq!(Message::missing(&bytes), 0);
    }
}
