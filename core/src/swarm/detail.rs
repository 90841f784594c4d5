//! What people are told of one swarm who look at it closely: its peers one by one, and where its holes are.
//!
//! Made when it is asked for, since nobody looks at most swarms most of the time.
//!
//! Law: a description is of the same size for a torrent of any length.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::Swarm;
use crate::bitfield::Bitfield;
use crate::layout::PieceIndex;
use crate::peer::{Direction, PeerConnection, Transport};
use crate::piece::Availability;
use crate::rate::Rate;
use crate::time::Instant;

/// Pieces are told of in so many cells at most.
const CELLS: u32 = 256;

/// A swarm, looked at closely.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmDetail {
    /// Its pieces.
    pub pieces: PieceCells,
    /// Its connections, the fastest first.
    pub peers: Vec<PeerStatus>,
}

/// The pieces of a torrent, from the first to the last, in cells of as many pieces each as need be. Both lists are
/// equally long, and empty while it is being found out what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceCells {
    /// How much of each cell is here, of a hundred; 100 only if all of it is.
    pub have: Vec<u8>,
    /// How many connected peers have the rarest piece of each cell.
    pub copies: Vec<u32>,
}

/// A connected peer's figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the four flags are the protocol's own")]
pub struct PeerStatus {
    /// Its address.
    pub addr: SocketAddr,
    /// What it says it is, else what its id says (BEP 20); empty if neither says anything.
    pub client: String,
    /// It dialled us.
    pub is_incoming: bool,
    /// It is connected over uTP, not over TCP.
    pub is_utp: bool,
    /// We do not answer its requests.
    pub am_choking: bool,
    /// It has something that we want.
    pub am_interested: bool,
    /// It does not answer our requests.
    pub peer_choking: bool,
    /// It wants something of ours.
    pub peer_interested: bool,
    /// How many of the pieces it has, of a thousand.
    pub have_permille: u16,
    /// Bytes a second that it sends.
    pub down_rate: Rate,
    /// Bytes a second that it is sent.
    pub up_rate: Rate,
    /// Bytes of blocks that it sent.
    pub downloaded: u64,
    /// Bytes of blocks that it was sent.
    pub uploaded: u64,
}

impl PeerStatus {
    fn new(peer: &mut PeerConnection, now: Instant) -> Self {
        let pieces = u64::from(peer.pieces.len().max(1));
        let said = peer.extension.as_ref().and_then(|extension| extension.client.clone());
        Self {
            addr: peer.addr,
            client: said.filter(|client| !client.is_empty()).unwrap_or_else(|| peer.peer_id.client()),
            is_incoming: peer.direction == Direction::Incoming,
            is_utp: peer.transport == Transport::Utp,
            am_choking: peer.am_choking,
            am_interested: peer.am_interested,
            peer_choking: peer.peer_choking,
            peer_interested: peer.peer_interested,
            have_permille: u16::try_from(u64::from(peer.pieces.count()) * 1000 / pieces).unwrap_or(1000),
            down_rate: peer.down.rate(now),
            up_rate: peer.up.rate(now),
            downloaded: peer.down.total(),
            uploaded: peer.up.total(),
        }
    }
}

impl PieceCells {
    fn new(have: &Bitfield, availability: &Availability) -> Self {
        let (pieces, cells) = (have.len(), have.len().min(CELLS));
        let edge = |cell: u32| {
            u32::try_from(u64::from(cell) * u64::from(pieces) / u64::from(cells))
                .expect("an edge is no further than the last piece")
        };
        let mut told = Self::default();
        for cell in 0..cells {
            let range = edge(cell)..edge(cell + 1);
            let length = range.len();
            let here = range.clone().filter(|piece| have.has(PieceIndex(*piece))).count();
            told.have.push(u8::try_from(here * 100 / length).expect("a share of a hundred"));
            told.copies.push(range.map(|piece| availability.of(PieceIndex(piece))).min().unwrap_or(0));
        }
        told
    }
}

impl Swarm {
    /// A close look at `now`. O(pieces + peers).
    pub fn detail(&mut self, now: Instant) -> SwarmDetail {
        let mut peers: Vec<_> = self.conns.values_mut().map(|peer| PeerStatus::new(peer, now)).collect();
        peers.sort_by_key(|peer| (std::cmp::Reverse(peer.down_rate.0 + peer.up_rate.0), peer.addr));
        SwarmDetail { pieces: PieceCells::new(self.picker.have(), &self.picker.availability), peers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_number_fit_into_the_cells() {
        for pieces in [1, 7, CELLS, CELLS + 1, 10_007] {
            let (mut have, mut availability) = (Bitfield::none(pieces), Availability::none(pieces));
            availability.add(&Bitfield::all(pieces));
            have.insert(PieceIndex(0));
            availability.add_one(PieceIndex(0));
            let cells = PieceCells::new(&have, &availability);
            assert_eq!(cells.have.len(), pieces.min(CELLS) as usize);
            assert!(cells.have[0] > 0 && cells.have[1..].iter().all(|percent| *percent == 0), "{pieces}");
            assert!(cells.copies[1..].iter().all(|copies| *copies == 1), "{pieces}");
            assert!(PieceCells::new(&Bitfield::all(pieces), &availability).have.iter().all(|percent| *percent == 100));
        }
    }

    #[test]
    fn a_cell_is_full_only_if_all_of_it_is_here() {
        let pieces = CELLS * 300;
        let mut have = Bitfield::all(pieces);
        have.remove(PieceIndex(299));
        let cells = PieceCells::new(&have, &Availability::none(pieces));
        assert_eq!(cells.have[..2], [99, 100]);
    }
}
