//! One host: its line, its engine, its connections, its character.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use podswarm_core::bitfield::Bitfield;
use podswarm_core::peer::ConnId;
use podswarm_core::session::Session;
use podswarm_core::swarm::{Swarm, SwarmId};
use podswarm_core::time::Instant;

use super::link::{Downlink, Packet, Uplink};
use super::player::Player;

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
    /// From this host to the middle of the net.
    pub latency: Duration,
}

/// How a host behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As the engine decides.
    Honest,
    /// Every so manieth block it sends is bad.
    Poisoner(u32),
    /// It takes and never gives.
    FreeRider,
    /// It claims to have everything, lets everybody ask, and sends nothing.
    Liar,
    /// It asks, and then reads nothing of what it is sent.
    Staller,
    /// It takes this long to show its handshake.
    Sluggish(Duration),
}

/// What a host's disk does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// How long it takes to read a span, and to store a piece.
    pub delay: Duration,
    /// From when until when nothing can be written.
    pub full: Range<Duration>,
}

impl Default for Disk {
    fn default() -> Self {
        Self { delay: Duration::from_millis(2), full: Duration::ZERO..Duration::ZERO }
    }
}

/// What a host is when it comes into the world.
#[derive(Clone, Debug)]
pub struct Character {
    /// Its line.
    pub line: Line,
    /// How it behaves.
    pub kind: Kind,
    /// Its disk.
    pub disk: Disk,
    /// Whether it can be dialled; behind a NAT it cannot.
    pub dialable: bool,
    /// Whether it has everything from the start.
    pub is_seed: bool,
    /// When it comes.
    pub arrival: Duration,
    /// How long after it was complete it leaves, if it does.
    pub leaves_after: Option<Duration>,
    /// Bytes of the episode that it plays in a second, from its arrival on, if it does.
    pub plays: Option<u64>,
}

impl Character {
    /// An honest host that can be dialled and stays, with nothing.
    pub fn on(line: Line) -> Self {
        let (kind, disk, dialable, arrival) = (Kind::Honest, Disk::default(), true, Duration::ZERO);
        Self { line, kind, disk, dialable, is_seed: false, arrival, leaves_after: None, plays: None }
    }
}

/// One host of the world.
#[derive(Debug)]
pub struct Host {
    /// Its address.
    pub addr: SocketAddr,
    /// What it is.
    pub character: Character,
    pub(super) up: Uplink,
    pub(super) down: Downlink,
    pub(super) session: Session,
    pub(super) swarm: SwarmId,
    pub(super) conns: Conns,
    /// The deadline for which a wake-up is queued.
    pub(super) wake_at: Option<Instant>,
    pub(super) blocks_read: u32,
    /// Whether it is switched on.
    pub alive: bool,
    /// Whether it has said goodbye.
    pub(super) left: bool,
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
    /// How playing goes, if it plays.
    pub player: Player,
}

impl Host {
    /// The host's swarm, once it was switched on.
    pub fn swarm(&self) -> Option<&Swarm> {
        self.session.swarm(self.swarm)
    }

    /// Whether it had everything from the start, and is honest.
    pub fn is_publisher(&self) -> bool {
        self.character.is_seed && self.character.kind == Kind::Honest
    }

    /// Whether it takes part.
    pub fn is_there(&self) -> bool {
        self.alive && !self.left
    }

    /// When it came.
    pub fn arrival(&self) -> Instant {
        Instant::ZERO + self.character.arrival
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct Conn {
    /// The other end.
    pub(super) to: HostId,
    pub(super) there: ConnId,
    /// What waits for the line.
    pub(super) queue: VecDeque<Packet>,
    /// When the last of what was sent reaches the other end: nothing overtakes.
    pub(super) arrives_after: Instant,
}

/// A host's connections.
#[derive(Debug, Default)]
pub(super) struct Conns {
    dialled: Vec<Option<Conn>>,
    accepted: Vec<Option<Conn>>,
}

impl Conns {
    /// The number of the next connection that somebody else dials.
    pub(super) fn next_accepted(&self) -> ConnId {
        ConnId(ACCEPTED | self.accepted.len() as u64)
    }

    pub(super) fn insert(&mut self, id: ConnId, to: HostId, there: ConnId) {
        let (list, place) = self.place(id);
        if list.len() <= place {
            list.resize_with(place + 1, || None);
        }
        list[place] = Some(Conn { to, there, queue: VecDeque::new(), arrives_after: Instant::ZERO });
    }

    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        let (list, place) = self.place(id);
        list.get_mut(place)?.as_mut()
    }

    pub(super) fn remove(&mut self, id: ConnId) -> Option<Conn> {
        let (list, place) = self.place(id);
        list.get_mut(place)?.take()
    }

    pub(super) fn clear(&mut self) {
        for conn in self.dialled.iter_mut().chain(&mut self.accepted) {
            *conn = None;
        }
    }

    /// The engine counts the connections that it dials from 0, and the world counts the others.
    fn place(&mut self, id: ConnId) -> (&mut Vec<Option<Conn>>, usize) {
        let list = if id.0 & ACCEPTED == 0 { &mut self.dialled } else { &mut self.accepted };
        (list, usize::try_from(id.0 & !ACCEPTED).expect("a host has few connections"))
    }
}

/// The bit that tells accepted connections from dialled ones.
const ACCEPTED: u64 = 1 << 63;
