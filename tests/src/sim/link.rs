//! A line with a rate: what is sent leaves one message after another, the connections in turn. A turn is a packet at least, so
//! that short messages do not wait for a block of every other connection each.
//!
//! Every packet that brings a part of a block costs an acknowledgement on the receiver's way out: on a line that is slower up than
//! down that is much. With it, a line of 10 Mbit/s that is loaded both ways carries 9.1, as TCP on a shaped link does.
//!
//! Law: bytes leave no faster than the rate, and each connection's in order.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use podswarm_core::peer::{ConnId, Handshake, Message};
use podswarm_core::time::Instant;

/// Bytes that TCP and IP add to a full packet, for each 1448 of payload.
const PACKET_OVERHEAD: u64 = 52 + 14;
const PACKET_PAYLOAD: u64 = 1448;

/// What travels on a connection.
#[derive(Clone, Debug)]
pub enum Packet {
    /// The first bytes.
    Handshake(Handshake),
    /// A message.
    Message(Message),
    /// The end.
    End,
}

impl Packet {
    /// Bytes on the line, overhead included.
    pub fn wire_bytes(&self) -> u64 {
        let bytes = match self {
            Self::Handshake(_) => 68,
            Self::Message(message) => 13 + message.payload().map_or(0, |payload| payload.len() as u64),
            Self::End => 0,
        };
        bytes + bytes.div_ceil(PACKET_PAYLOAD) * PACKET_OVERHEAD
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

/// Bytes on the line of a block of so many bytes.
pub const fn block_wire_bytes(bytes: u64) -> u64 {
    13 + bytes + (13 + bytes).div_ceil(PACKET_PAYLOAD) * PACKET_OVERHEAD
}

/// Bytes of the acknowledgements of a block of so many bytes: one for each packet, as a slow line causes them.
pub const fn ack_bytes(bytes: u64) -> u64 {
    (13 + bytes).div_ceil(PACKET_PAYLOAD) * PACKET_OVERHEAD
}

/// How long so many bytes take at this rate, in bytes a second.
pub fn travel_time(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos(u64::try_from(u128::from(bytes) * 1_000_000_000 / u128::from(rate)).unwrap_or(u64::MAX))
}

/// A host's way out: a queue for each connection, served in turn.
#[derive(Debug)]
pub struct Uplink {
    /// Bytes a second.
    pub rate: u64,
    /// Whether a packet is on its way out.
    pub busy: bool,
    /// Bytes that left, overhead and acknowledgements included.
    pub sent: u64,
    /// When what was put on the line has left.
    free_at: Instant,
    queues: BTreeMap<ConnId, VecDeque<Packet>>,
    turns: VecDeque<ConnId>,
    /// Bytes that left in the turn under way.
    turn_bytes: u64,
}

impl Uplink {
    /// An idle line.
    pub fn new(rate: u64) -> Self {
        Self {
            rate,
            busy: false,
            sent: 0,
            free_at: Instant::ZERO,
            queues: BTreeMap::new(),
            turns: VecDeque::new(),
            turn_bytes: 0,
        }
    }

    /// Queues a packet behind its connection's others.
    pub fn push(&mut self, conn: ConnId, packet: Packet) {
        let queue = self.queues.entry(conn).or_default();
        if queue.is_empty() {
            self.turns.push_back(conn);
        }
        queue.push_back(packet);
    }

    /// Puts so many bytes on the line behind those that are on it; tells when they have left.
    pub fn pass(&mut self, now: Instant, bytes: u64) -> Instant {
        self.sent += bytes;
        self.free_at = self.free_at.max(now) + travel_time(bytes, self.rate);
        self.free_at
    }

    /// The packet that leaves next.
    pub fn pop(&mut self) -> Option<(ConnId, Packet)> {
        let conn = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&conn)?;
        let packet = queue.pop_front()?;
        self.turn_bytes += packet.wire_bytes();
        if queue.is_empty() {
            self.queues.remove(&conn);
            self.turn_bytes = 0;
        } else if self.turn_bytes < PACKET_PAYLOAD {
            self.turns.push_front(conn);
        } else {
            self.turns.push_back(conn);
            self.turn_bytes = 0;
        }
        Some((conn, packet))
    }

    /// Drops what a connection has not sent.
    pub fn forget(&mut self, conn: ConnId) {
        self.queues.remove(&conn);
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

    /// When so many bytes that reach the line at `now` are through.
    pub fn pass(&mut self, now: Instant, bytes: u64) -> Instant {
        self.free_at = self.free_at.max(now) + travel_time(bytes, self.rate);
        self.free_at
    }
}
