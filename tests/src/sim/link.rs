//! A line with a rate: what is sent leaves one message after another, the connections in turn. A turn is a packet at
//! least, so that short messages do not wait for a block of every other connection each.
//!
//! Every packet that brings a part of a block costs an acknowledgement on the receiver's way out: on a line that is
//! slower up than down that is much. With it, a line of 10 Mbit/s that is loaded both ways carries 9.1, as TCP on a
//! shaped link does.
//!
//! Law: bytes leave no faster than the rate, and each connection's in order.

use std::collections::VecDeque;
use std::time::Duration;

use podswarm_core::peer::{ConnId, Handshake, Message};
use podswarm_core::time::Instant;

/// Bytes that TCP and IP add to a full packet, for each 1448 of payload.
const PACKET_OVERHEAD: u64 = 52 + 14;
/// Bytes of a stream in a full packet.
pub const PACKET_PAYLOAD: u64 = 1448;

/// What travels on a connection at once.
#[derive(Clone, Debug)]
pub enum Packet {
    /// The first bytes.
    Handshake(Handshake),
    /// A message.
    Message(Message),
    /// Short messages that were sent together.
    Messages(Vec<Message>),
    /// The end.
    End,
}

impl Packet {
    /// Bytes of the stream.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Handshake(_) => 68,
            Self::Message(message) => message_bytes(message),
            Self::Messages(messages) => messages.iter().map(message_bytes).sum(),
            Self::End => 0,
        }
    }

    /// Bytes on the line, overhead included.
    pub fn wire_bytes(&self) -> u64 {
        wire_bytes(self.bytes())
    }

    /// Bytes of the acknowledgements that it causes, which share the receiver's way out.
    pub fn ack_bytes(&self) -> u64 {
        match self.block_bytes() {
            0 => 0,
            bytes => ack_bytes(bytes),
        }
    }

    /// Bytes of a block, if it brings one.
    pub fn block_bytes(&self) -> u64 {
        match self {
            Self::Message(Message::Piece { data, .. }) => data.len() as u64,
            _ => 0,
        }
    }
}

fn message_bytes(message: &Message) -> u64 {
    match message {
        Message::KeepAlive => 4,
        Message::Have(_) | Message::AllowedFast(_) | Message::SuggestPiece(_) => 9,
        Message::Request(_) | Message::Cancel(_) | Message::RejectRequest(_) => 17,
        Message::Piece { data, .. } => 13 + data.len() as u64,
        Message::Extended { payload, .. } => 6 + payload.len() as u64,
        _ => 5 + message.payload().map_or(0, |payload| payload.len() as u64),
    }
}

const fn wire_bytes(bytes: u64) -> u64 {
    bytes + bytes.div_ceil(PACKET_PAYLOAD) * PACKET_OVERHEAD
}

/// Bytes on the line of a block of so many bytes.
pub const fn block_wire_bytes(bytes: u64) -> u64 {
    wire_bytes(13 + bytes)
}

/// Bytes of the acknowledgements of a block of so many bytes: one for each packet, as a slow line causes them.
pub const fn ack_bytes(bytes: u64) -> u64 {
    (13 + bytes).div_ceil(PACKET_PAYLOAD) * PACKET_OVERHEAD
}

/// How long so many bytes take at this rate, in bytes a second.
pub fn travel_time(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate.max(1))
}

/// A host's way out: a queue for each connection, served in turn.
#[derive(Debug)]
pub struct Uplink {
    /// Bytes a second.
    pub rate: u64,
    /// Whether a packet of a queue is on its way out.
    pub busy: bool,
    /// Bytes that left, overhead and acknowledgements included.
    pub sent: u64,
    /// When what was put on the line has left.
    free_at: Instant,
    /// Connections with something in their queues.
    turns: VecDeque<ConnId>,
    /// Bytes that left in the turn under way.
    turn_bytes: u64,
}

impl Uplink {
    /// An idle line.
    pub fn new(rate: u64) -> Self {
        Self { rate, busy: false, sent: 0, free_at: Instant::ZERO, turns: VecDeque::new(), turn_bytes: 0 }
    }

    /// Puts so many bytes on the line behind those that are on it; tells when they have left.
    pub fn pass(&mut self, now: Instant, bytes: u64) -> Instant {
        self.sent += bytes;
        self.free_at = self.free_at.max(now) + travel_time(bytes, self.rate);
        self.free_at
    }

    /// Puts a short packet of a connection that has nothing queued on the line; tells when it has left.
    ///
    /// It waits for a block of each connection whose turn comes before, as it would at the end of the turns; only no
    /// event is spent on that.
    pub fn pass_short(&mut self, now: Instant, bytes: u64) -> Instant {
        let wait = block_wire_bytes(u64::from(podswarm_core::layout::BLOCK_LENGTH)) * self.turns.len() as u64;
        self.pass(now, bytes) + travel_time(wait, self.rate)
    }

    /// A connection's queue is no longer empty: it gets turns.
    pub fn wants_turn(&mut self, conn: ConnId) {
        self.turns.push_back(conn);
    }

    /// The connection whose turn it is.
    pub fn turn(&mut self) -> Option<ConnId> {
        self.turns.pop_front()
    }

    /// So much of the connection's queue leaves; it gets another turn if there is `more`, at once if this one was
    /// short.
    pub fn turn_taken(&mut self, conn: ConnId, bytes: u64, more: bool) {
        self.turn_bytes += bytes;
        if more && self.turn_bytes < PACKET_PAYLOAD {
            return self.turns.push_front(conn);
        }
        self.turn_bytes = 0;
        if more {
            self.turns.push_back(conn);
        }
    }

    /// The connection gets no more turns.
    pub fn forget(&mut self, conn: ConnId) {
        self.turns.retain(|turn| *turn != conn);
        self.turn_bytes = 0;
    }
}

/// A host's way in: one queue, first come first served.
#[derive(Clone, Copy, Debug)]
pub struct Downlink {
    /// Bytes a second.
    pub rate: u64,
    free_at: Instant,
}

impl Downlink {
    /// An idle line.
    pub const fn new(rate: u64) -> Self {
        Self { rate, free_at: Instant::ZERO }
    }

    /// How long so many bytes take that reach the line at `now`, behind what came before.
    pub fn pass(&mut self, now: Instant, bytes: u64) -> Duration {
        self.free_at = self.free_at.max(now) + travel_time(bytes, self.rate);
        self.free_at - now
    }
}
