//! What a uTP datagram holds: a header of twenty bytes, a chain of extensions, payload.
//!
//! Bytes that are not one whole packet of version 1 are nobody's: [`Packet::decode`] returns `None`, and the datagram
//! is dropped without an answer. Extensions that are not known are passed over.
//!
//! Law: a chain of extensions ends where the datagram does; at most [`MAX_ACKS`] packets beyond the next one are
//! acknowledged selectively.
//! Source: BEP 29.

use std::fmt;

/// The bytes of a packet before its extensions.
pub const HEADER: usize = 20;
/// The most packets that one selective acknowledgement speaks of: 32 bytes of bits. Ours and, of others', what is read.
pub const MAX_ACKS: usize = 256;
/// The extension that holds selective acknowledgements.
const SELECTIVE_ACK: u8 = 1;
/// The only version.
const VERSION: u8 = 1;

/// The number of a packet. Numbers wrap, so that two of them are compared by their distance.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct SeqNr(pub u16);

impl SeqNr {
    /// The number `count` after this one.
    pub fn after(self, count: u16) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// The number after this one.
    pub fn next(self) -> Self {
        self.after(1)
    }

    /// The number before this one.
    pub fn previous(self) -> Self {
        Self(self.0.wrapping_sub(1))
    }

    /// How far this number lies beyond `earlier`; half of all numbers and more if it lies before it.
    pub fn since(self, earlier: Self) -> u16 {
        self.0.wrapping_sub(earlier.0)
    }
}

impl fmt::Debug for SeqNr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It carries payload.
    Data,
    /// It is the sender's last.
    Fin,
    /// It only acknowledges; its number is that of the packet which comes next.
    State,
    /// The sender knows of no such connection, or wants none.
    Reset,
    /// It opens a connection.
    Syn,
}

impl Kind {
    const ALL: [Self; 5] = [Self::Data, Self::Fin, Self::State, Self::Reset, Self::Syn];
}

/// What stands in every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it is for.
    pub kind: Kind,
    /// The receiver's number of the connection; in a SYN, the number under which the sender wants to be answered.
    pub connection: u16,
    /// When it was sent, in microseconds of the sender's clock.
    pub sent_us: u32,
    /// How long the last packet of the other side took, as the sender's clock shows it, in microseconds.
    pub delay_us: u32,
    /// How many more bytes the sender has room for.
    pub window: u32,
    /// Its number.
    pub seq: SeqNr,
    /// The last number up to which everything has come.
    pub ack: SeqNr,
}

/// Which packets beyond a gap have come: bit 0 stands for the second after the acknowledged one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct SelectiveAck {
    bits: [u8; MAX_ACKS / 8],
}

impl SelectiveAck {
    /// Notes that the packet `offset` after the first missing one has come; what is too far is not told.
    pub fn insert(&mut self, offset: u16) {
        if let Some(index) = usize::from(offset).checked_sub(1)
            && let Some(byte) = self.bits.get_mut(index / 8)
        {
            *byte |= 1 << (index % 8);
        }
    }

    /// Whether the packet `offset` after the first missing one has come.
    pub fn contains(&self, offset: u16) -> bool {
        usize::from(offset)
            .checked_sub(1)
            .and_then(|index| Some(self.bits.get(index / 8)? >> (index % 8) & 1 == 1))
            .unwrap_or(false)
    }

    /// The distance of the last packet that has come from the first missing one; `None` if none has come.
    pub fn last(&self) -> Option<u16> {
        (1..=u16::try_from(MAX_ACKS).expect("it is small")).rev().find(|offset| self.contains(*offset))
    }

    /// Whole words of four bytes, as the wire has them.
    fn wire(&self) -> &[u8] {
        let used = self.bits.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &self.bits[..used.next_multiple_of(4)]
    }
}

impl fmt::Debug for SelectiveAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries((1..=256).filter(|offset| self.contains(*offset))).finish()
    }
}

/// A datagram, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What stands in every packet.
    pub header: Header,
    /// What has come beyond the first missing packet, if the sender says so.
    pub selective: Option<SelectiveAck>,
    /// The bytes after everything else.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Whether a datagram may be of this protocol, by its first byte: a bencoded message begins with another.
    pub fn may_be(datagram: &[u8]) -> bool {
        datagram.first().is_some_and(|first| first & 15 == VERSION && usize::from(first >> 4) < Kind::ALL.len())
    }

    /// Reads a datagram; `None` if it is no packet.
    pub fn decode(datagram: &'a [u8]) -> Option<Self> {
        if !Self::may_be(datagram) {
            return None;
        }
        let (head, mut rest) = datagram.split_first_chunk::<HEADER>()?;
        let short = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let long = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let header = Header {
            kind: Kind::ALL[usize::from(head[0] >> 4)],
            connection: short(2),
            sent_us: long(4),
            delay_us: long(8),
            window: long(12),
            seq: SeqNr(short(16)),
            ack: SeqNr(short(18)),
        };
        let (mut extension, mut selective) = (head[1], None);
        while extension != 0 {
            let (&[next, length], after) = rest.split_first_chunk::<2>()?;
            let (content, after) = after.split_at_checked(usize::from(length))?;
            if extension == SELECTIVE_ACK {
                let mut bits = [0; MAX_ACKS / 8];
                let known = content.len().min(bits.len());
                bits[..known].copy_from_slice(&content[..known]);
                selective = Some(SelectiveAck { bits });
            }
            (extension, rest) = (next, after);
        }
        Some(Self { header, selective, payload: rest })
    }
}

impl Header {
    /// Appends the packet's bytes before its payload.
    pub fn encode(&self, selective: Option<&SelectiveAck>, out: &mut Vec<u8>) {
        let bits = selective.map_or(&[][..], SelectiveAck::wire);
        let kind = Kind::ALL.iter().position(|kind| *kind == self.kind).expect("all kinds are there");
        let kind = u8::try_from(kind).expect("there are five");
        out.extend_from_slice(&[kind << 4 | VERSION, if bits.is_empty() { 0 } else { SELECTIVE_ACK }]);
        out.extend_from_slice(&self.connection.to_be_bytes());
        for word in [self.sent_us, self.delay_us, self.window] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(&self.seq.0.to_be_bytes());
        out.extend_from_slice(&self.ack.0.to_be_bytes());
        if !bits.is_empty() {
            out.extend_from_slice(&[0, u8::try_from(bits.len()).expect("it is at most 32")]);
            out.extend_from_slice(bits);
        }
    }

    /// What is answered to a packet of a connection that is not known; `None` to what asks for no answer, so that two
    /// who do not know each other fall silent.
    pub fn refusal(&self, now_us: u32) -> Option<Self> {
        let wants_answer = matches!(self.kind, Kind::Data | Kind::Fin | Kind::Syn);
        wants_answer.then_some(Self {
            kind: Kind::Reset,
            connection: self.connection,
            sent_us: now_us,
            delay_us: now_us.wrapping_sub(self.sent_us),
            window: 0,
            seq: SeqNr(0),
            ack: self.seq,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: Header = Header {
        kind: Kind::State,
        connection: 0x1234,
        sent_us: 1,
        delay_us: 0xffff_fffe,
        window: 0x0010_0000,
        seq: SeqNr(0xffff),
        ack: SeqNr(3),
    };

    #[test]
    fn a_packet_is_on_the_wire_as_its_paper_draws_it() {
        let mut selective = SelectiveAck::default();
        selective.insert(1);
        selective.insert(10);
        let mut bytes = Vec::new();
        HEAD.encode(Some(&selective), &mut bytes);
        let head = [0x21, 1, 0x12, 0x34, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xfe, 0, 0x10, 0, 0, 0xff, 0xff, 0, 3];
        assert_eq!(bytes, [&head[..], &[0, 4, 1, 2, 0, 0]].concat());
    }

    #[test]
    fn unknown_extensions_are_passed_over_and_endless_ones_are_nobodys() {
        let mut bytes = Vec::new();
        HEAD.encode(None, &mut bytes);
        bytes[1] = 7;
        bytes.extend_from_slice(&[9, 1, 0, 0, 2, 5, 5, b'x']);
        assert_eq!(Packet::decode(&bytes).unwrap().payload, b"x");
        let without_end = [&bytes[..HEADER], &[7, 0].repeat(700)].concat();
        assert_eq!(Packet::decode(&without_end), None);
        bytes.truncate(HEADER + 4);
        assert_eq!(Packet::decode(&bytes), None);
    }

    #[test]
    fn bencoded_messages_and_other_versions_are_not_taken_for_packets() {
        for first in [b"d1:ad2:id20:".as_slice(), &[0x02; 30], &[0x51; 30], &[0x10; 30], &[]] {
            assert!(!Packet::may_be(first));
            assert_eq!(Packet::decode(first), None);
        }
    }

    #[test]
    fn a_reset_is_never_answered() {
        for kind in Kind::ALL {
            let refusal = Header { kind, ..HEAD }.refusal(9);
            assert_eq!(refusal.is_some(), !matches!(kind, Kind::Reset | Kind::State));
            assert!(refusal.is_none_or(|refusal| refusal.refusal(9).is_none() && refusal.ack == HEAD.seq));
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(
            kind in 0..5_usize,
            words in any::<[u32; 3]>(),
            shorts in any::<[u16; 3]>(),
            acks in prop::collection::vec(1..=256_u16, 0..9),
            payload in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let [connection, seq, ack] = shorts;
            let ([sent_us, delay_us, window], kind) = (words, Kind::ALL[kind]);
            let header = Header { kind, connection, sent_us, delay_us, window, seq: SeqNr(seq), ack: SeqNr(ack) };
            let mut selective = SelectiveAck::default();
            for offset in &acks {
                selective.insert(*offset);
            }
            let mut bytes = Vec::new();
            header.encode(Some(&selective), &mut bytes);
            bytes.extend_from_slice(&payload);
            let read = Packet::decode(&bytes).unwrap();
            prop_assert_eq!((read.header, read.payload), (header, &payload[..]));
            prop_assert_eq!(read.selective, (!acks.is_empty()).then_some(selective));
            prop_assert_eq!(selective.last(), acks.iter().max().copied());
        }

        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..100), first in 0..5_u8) {
            Packet::decode(&bytes);
            if let Some(byte) = bytes.first_mut() {
                *byte = first << 4 | 1;
            }
            Packet::decode(&bytes);
        }
    }
}
