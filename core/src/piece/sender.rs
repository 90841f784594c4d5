//! Where a block came from.

use std::net::SocketAddr;

/// A web seed's number within its swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebSeedId(pub u16);

/// Who sent a block, and is to blame for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The peer at this address.
    Peer(SocketAddr),
    /// A web server (BEP 19).
    WebSeed(WebSeedId),
}

impl From<SocketAddr> for Sender {
    fn from(addr: SocketAddr) -> Self {
        Self::Peer(addr)
    }
}
