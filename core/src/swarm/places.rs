//! Who makes way when all places are taken.
//!
//! Late comers must find places in a crowd that was there first, or the first form a clique. So a newcomer of a higher
//! priority takes the place of a connection that gives and takes least, and among those of the lowest priority. Whoever
//! made way is not wanted back before another leaves: each change raises the priorities of those who stay, so that
//! changes come to an end by themselves.
//!
//! Laws: nobody makes way within [`SETTLE`] of coming, nor within [`REST`] of another; a connection on which something
//! flows only after [`WORK`]; nobody is refused for his priority while a place is free.
//!
//! Source: BEP 40.

use std::net::SocketAddr;
use std::time::Duration;

use super::Swarm;
use super::io::CloseReason;
use crate::peer::{ConnId, PeerConnection};
use crate::time::Instant;

/// A connection gets so long to become useful.
const SETTLE: Duration = Duration::from_secs(15);
/// One of use gets so long.
const WORK: Duration = Duration::from_mins(1);
/// So long after one has made way no other does.
const REST: Duration = Duration::from_secs(1);

impl Swarm {
    /// How much a connection with this address is wanted.
    pub(super) fn priority(&self, addr: SocketAddr) -> u32 {
        self.vantage.priority(addr)
    }

    /// The connection that makes way for a peer at `addr`, or why none does.
    pub(super) fn who_makes_way(&self, now: Instant, addr: SocketAddr) -> Result<ConnId, CloseReason> {
        if self.made_way.is_some_and(|at| now - at < REST) {
            return Err(CloseReason::Full);
        }
        let priority = self.priority(addr);
        let worth = |peer: &PeerConnection| (Use::of(peer), self.priority(peer.listen_addr().unwrap_or(peer.addr)));
        let settled = self.conns.iter().filter(|(_, peer)| now - peer.since >= Use::of(peer).grace());
        let least = settled.map(|(conn, peer)| (worth(peer), *conn)).min();
        match least {
            Some(((Use::None, _), conn)) => Ok(conn),
            Some(((_, lowest), conn)) if lowest < priority => Ok(conn),
            _ => Err(CloseReason::Full),
        }
    }
}

/// What a connection is good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// Neither side has anything for the other.
    None,
    /// One side waits for the other.
    Waits,
    /// One side serves the other.
    Serves,
    /// Both do.
    Trades,
}

impl Use {
    fn of(peer: &PeerConnection) -> Self {
        let gives = peer.am_interested && (!peer.peer_choking || !peer.pipeline.is_empty());
        let takes = peer.peer_interested && !peer.am_choking;
        match (gives, takes) {
            (true, true) => Self::Trades,
            (true, false) | (false, true) => Self::Serves,
            (false, false) if peer.am_interested || peer.peer_interested => Self::Waits,
            (false, false) => Self::None,
        }
    }

    const fn grace(self) -> Duration {
        match self {
            Self::Waits => SETTLE,
            Self::None | Self::Serves | Self::Trades => WORK,
        }
    }
}
