//! One host: its line, its engine, its connections.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use podswarm_core::bitfield::Bitfield;
use podswarm_core::peer::ConnId;
use podswarm_core::session::Session;
use podswarm_core::swarm::{Swarm, SwarmId};
use podswarm_core::time::Instant;

use super::link::{Downlink, Uplink};

/// A host's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub usize);

/// What a host's line can do.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Bytes a second out.
    pub up: u64,
    /// Bytes a second in.
    pub down: u64,
    /// From this host to any other.
    pub latency: Duration,
}

/// How a host behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As the engine decides.
    Honest,
    /// Every so manieth block it sends is bad.
    Poisoner(u32),
}

/// One host of the world.
#[derive(Debug)]
pub struct Host {
    /// Its address.
    pub addr: SocketAddr,
    /// How it behaves.
    pub kind: Kind,
    /// Whether it had everything from the start, and is honest.
    pub is_publisher: bool,
    /// From this host to any other.
    pub latency: Duration,
    pub(super) up: Uplink,
    pub(super) down: Downlink,
    pub(super) session: Session,
    pub(super) swarm: SwarmId,
    /// The other end of each connection.
    pub(super) conns: BTreeMap<ConnId, (HostId, ConnId)>,
    pub(super) next_incoming: u64,
    /// The deadline for which a wake-up is queued.
    pub(super) wake_at: Option<Instant>,
    pub(super) blocks_read: u32,
    /// When it is switched on.
    pub arrival: Instant,
    /// Whether it is switched on.
    pub alive: bool,
    /// Every piece that was ever stored here, for the laws.
    pub(super) stored: Bitfield,
    /// When every byte was in place.
    pub completed: Option<Instant>,
    /// Bytes of blocks that left this host.
    pub sent: u64,
    /// Bytes of blocks that reached it.
    pub received: u64,
    /// Peers that it banned.
    pub banned: Vec<SocketAddr>,
}

impl Host {
    /// The host's swarm, once it was switched on.
    pub fn swarm(&self) -> Option<&Swarm> {
        self.session.swarm(self.swarm)
    }
}
