//! A piece on its way: which of its blocks are asked for, which came, and from whom.
//!
//! Law: a block's bytes are taken once; every later copy is waste.

use bytes::Bytes;

use super::sender::Sender;
use crate::layout::{BLOCK_LENGTH, BlockInfo, Layout, PieceIndex};
use crate::peer::ConnId;

#[derive(Clone, Debug)]
enum Block {
    /// Asked for by this many connections.
    Wanted { requests: u32 },
    /// Here, from this sender.
    Received { data: Bytes, from: Sender },
}

/// One piece that is being fetched.
#[derive(Clone, Debug)]
pub struct Partial {
    piece: PieceIndex,
    blocks: Vec<Block>,
    received: usize,
    /// Blocks that nobody is asked for.
    unasked: usize,
    /// The connection whose piece this is; others join only when there is nothing better.
    pub owner: Option<ConnId>,
    /// A copy of it was bad: it is taken from one peer, so that the next bad copy names its liar.
    pub alone: bool,
}

impl Partial {
    /// A piece of which nothing is there.
    pub fn new(piece: PieceIndex, layout: &Layout, owner: ConnId) -> Self {
        let count = layout.block_count(piece) as usize;
        Self {
            piece,
            blocks: vec![Block::Wanted { requests: 0 }; count],
            received: 0,
            unasked: count,
            owner: Some(owner),
            alone: false,
        }
    }

    /// The piece.
    pub const fn piece(&self) -> PieceIndex {
        self.piece
    }

    /// Whether some block is asked of nobody.
    pub const fn has_unasked(&self) -> bool {
        self.unasked > 0
    }

    /// Whether every block is here.
    pub fn is_whole(&self) -> bool {
        self.received == self.blocks.len()
    }

    /// The number of blocks that are here.
    pub const fn received(&self) -> usize {
        self.received
    }

    /// The first block that is asked of nobody.
    pub fn first_unasked(&self) -> Option<u32> {
        let number = self.blocks.iter().position(|block| matches!(block, Block::Wanted { requests: 0 }))?;
        Some(u32::try_from(number).expect("a piece has few blocks"))
    }

    /// Whether the block of this number is asked of nobody and not here.
    pub fn is_unasked(&self, number: u32) -> bool {
        matches!(self.blocks.get(number as usize), Some(Block::Wanted { requests: 0 }))
    }

    /// Blocks that are asked for and not here, with the number of connections asked.
    pub fn outstanding(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.missing().filter(|(_, requests)| *requests > 0)
    }

    /// Blocks that are not here, with the number of connections asked.
    pub fn missing(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.blocks.iter().zip(0_u32..).filter_map(|(block, number)| match block {
            Block::Wanted { requests } => Some((number, *requests)),
            Block::Received { .. } => None,
        })
    }

    /// Counts a request for a block.
    pub fn ask(&mut self, block: BlockInfo) {
        if let Block::Wanted { requests } = &mut self.blocks[number_of(block)] {
            self.unasked -= usize::from(*requests == 0);
            *requests += 1;
        }
    }

    /// Takes a request back: rejected, cancelled, given up, or its connection is gone.
    pub fn unask(&mut self, block: BlockInfo) {
        if let Block::Wanted { requests } = &mut self.blocks[number_of(block)]
            && *requests > 0
        {
            *requests -= 1;
            self.unasked += usize::from(*requests == 0);
        }
    }

    /// Takes a block's bytes, and tells how many connections had been asked for it; `None` if it was here already.
    pub fn take(&mut self, block: BlockInfo, data: Bytes, from: Sender) -> Option<u32> {
        let slot = &mut self.blocks[number_of(block)];
        let Block::Wanted { requests } = *slot else { return None };
        *slot = Block::Received { data, from };
        self.received += 1;
        self.unasked -= usize::from(requests == 0);
        Some(requests)
    }

    /// Whether nobody goes on with it: it is no connection's, blocks are missing, and nobody is asked for one.
    pub fn is_left_behind(&self) -> bool {
        self.owner.is_none() && !self.is_whole() && self.received + self.unasked == self.blocks.len()
    }

    /// Every block's bytes, in order; whole pieces only.
    pub fn bytes(&self) -> Vec<Bytes> {
        self.blocks
            .iter()
            .filter_map(|block| match block {
                Block::Received { data, .. } => Some(data.clone()),
                Block::Wanted { .. } => None,
            })
            .collect()
    }

    /// Who sent each block, in order; whole pieces only.
    pub fn senders(&self) -> Vec<Sender> {
        self.blocks
            .iter()
            .filter_map(|block| match block {
                Block::Received { from, .. } => Some(*from),
                Block::Wanted { .. } => None,
            })
            .collect()
    }
}

fn number_of(block: BlockInfo) -> usize {
    (block.begin / BLOCK_LENGTH) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "198.18.0.1:6881";

    fn partial(blocks: u32) -> (Layout, Partial) {
        let layout = Layout::new(blocks * BLOCK_LENGTH, [u64::from(blocks * BLOCK_LENGTH)]);
        let partial = Partial::new(PieceIndex(0), &layout, ConnId(1));
        (layout, partial)
    }

    fn give(partial: &mut Partial, layout: &Layout, number: u32) -> Option<u32> {
        let block = layout.block(PieceIndex(0), number).unwrap();
        partial.take(block, Bytes::from_static(b"x"), Sender::Peer(PEER.parse().unwrap()))
    }

    #[test]
    fn a_block_is_taken_once() {
        let (layout, mut partial) = partial(2);
        let block = layout.block(PieceIndex(0), 0).unwrap();
        partial.ask(block);
        partial.ask(block);
        assert_eq!(give(&mut partial, &layout, 0), Some(2));
        assert_eq!(give(&mut partial, &layout, 0), None);
        partial.unask(block);
        assert_eq!(partial.first_unasked(), Some(1));
        assert_eq!(give(&mut partial, &layout, 1), Some(0));
        assert!(partial.is_whole() && !partial.has_unasked());
    }

    #[test]
    fn a_request_taken_back_by_all_is_asked_anew() {
        let (layout, mut partial) = partial(1);
        let block = layout.block(PieceIndex(0), 0).unwrap();
        partial.ask(block);
        partial.ask(block);
        partial.unask(block);
        assert!(!partial.has_unasked());
        partial.unask(block);
        partial.unask(block);
        assert!(partial.has_unasked());
    }
}
