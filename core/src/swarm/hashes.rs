//! Hashes of a v2 torrent's trees: given to who asks for them, and asked for to find out who sent a bad block. BEP 52.
//!
//! When a piece that several peers sent is wrong, peers that have it are asked for the hashes of its blocks. They are
//! proven by the piece's own hash, so they tell at once whose blocks are bad, and nobody has to wait for a good copy. A
//! liar may be among those who are asked, and say nothing; so two are asked at once.
//!
//! Hashes of pieces and above are at hand. For those of blocks a piece is read, so a connection is given one such
//! answer at a time.
//!
//! Laws: what one connection costs is at most twice what sending it the torrent would; a ban is proven by hashes that
//! lead to the torrent's own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::Swarm;
use super::io::{DiskFault, Output};
use super::upkeep::Failing;
use crate::layout::{BlockInfo, Layout, PieceIndex};
use crate::metainfo::Metainfo;
use crate::metainfo::merkle::{Layers, Sha256Digest, Tree};
use crate::peer::hashes::hashes_of;
use crate::peer::{ConnId, HashRequest, Message, PeerConnection};
use crate::time::Instant;

/// Peers get so long to answer before others are asked.
const PATIENCE: Duration = Duration::from_secs(8);
/// How many peers are asked for the same hashes at once.
const WITNESSES: usize = 2;
/// What the hashes of a short torrent may cost a connection, in bytes.
const LEAST_COST: u64 = 1 << 20;

/// The trees of a torrent.
#[derive(Debug, Default)]
pub(super) struct Trees {
    /// By root: the file's first piece, and the tree's shape.
    files: BTreeMap<Sha256Digest, (PieceIndex, Tree)>,
    /// From the layer of the pieces upwards, once somebody has asked.
    layers: BTreeMap<Sha256Digest, Layers>,
    /// Pieces whose blocks' hashes were asked for.
    asked: BTreeMap<PieceIndex, Ask>,
}

/// What was asked of whom.
#[derive(Debug)]
struct Ask {
    request: HashRequest,
    /// When somebody was last asked.
    since: Instant,
    /// Who is to answer.
    waiting: BTreeSet<ConnId>,
    /// Everybody who was asked.
    tried: BTreeSet<ConnId>,
}

/// What becomes of a request.
enum Answer {
    Hashes(Vec<Sha256Digest>),
    /// The blocks of this piece have to be hashed first.
    Read(PieceIndex),
    Never,
}

impl Trees {
    pub(super) fn new(metainfo: &Metainfo, layout: &Layout) -> Self {
        let mut trees = Self::default();
        if metainfo.layers().is_none() {
            return trees;
        }
        let mut start = 0;
        for file in &metainfo.info.files {
            let first = layout.piece(u32::try_from(start / u64::from(layout.piece_length())).unwrap_or(u32::MAX));
            if let (Some(root), Some(first)) = (file.root, first) {
                let tree = Tree::new(file.length, metainfo.info.piece_length);
                trees.files.entry(root).or_insert((first, tree));
            }
            start += file.length;
        }
        trees
    }

    fn layers(&mut self, root: Sha256Digest, metainfo: &Metainfo) -> Option<&Layers> {
        let (first, tree) = *self.files.get(&root)?;
        let pieces = metainfo.layers()?;
        Some(self.layers.entry(root).or_insert_with(|| {
            let count = u32::try_from(tree.covering(tree.piece_layer())).expect("each is a piece");
            let hashes = (first.0..first.0 + count).map(|piece| pieces.get(PieceIndex(piece))).collect();
            Layers::over(hashes, tree.piece_layer(), tree.height())
        }))
    }
}

impl Swarm {
    /// A peer asks for hashes.
    pub(super) fn asked_for_hashes(&mut self, now: Instant, conn: ConnId, request: HashRequest) {
        let most = (2 * self.layout().length()).max(LEAST_COST);
        let answer = self.hashes_for(&request);
        let Some(peer) = self.conns.get(&conn) else { return };
        let (cost, answer) = match answer {
            _ if peer.hashes_cost >= most || !self.may_serve() => (0, Answer::Never),
            answer @ Answer::Hashes(_) => (u64::from(request.length) * 32, answer),
            Answer::Read(_) if peer.hashing.is_some() => (0, Answer::Never),
            answer @ Answer::Read(piece) => (u64::from(self.layout().length_of(piece)), answer),
            Answer::Never => (0, Answer::Never),
        };
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        peer.hashes_cost += cost;
        match answer {
            Answer::Hashes(hashes) => self.send_hashes(now, conn, request, hashes),
            Answer::Read(piece) => {
                peer.hashing = Some(request);
                let span = BlockInfo { piece, begin: 0, length: self.layout().length_of(piece) };
                self.out.push_back(Output::HashBlocks { swarm: self.id, conn, span });
            }
            Answer::Never => self.send(now, conn, Message::HashReject(request)),
        }
    }

    fn hashes_for(&mut self, request: &HashRequest) -> Answer {
        let Some((first, tree)) = self.trees.files.get(&request.root).copied() else { return Answer::Never };
        if !request.fits(tree) {
            return Answer::Never;
        }
        let piece_layer = tree.piece_layer();
        if request.base >= piece_layer {
            let Some(layers) = self.trees.layers(request.root, &self.metainfo) else { return Answer::Never };
            let own = (request.index..request.index + request.length).map(|at| layers.get(request.base, u64::from(at)));
            let uncles = layers.uncles(request.top(), request.top_index(), request.uncles());
            return Answer::Hashes(own.chain(uncles).collect());
        }
        let piece = PieceIndex(first.0 + (request.index >> piece_layer));
        let is_here = request.index >> piece_layer < u32::try_from(tree.covering(piece_layer)).unwrap_or(u32::MAX)
            && self.picker.have().has(piece);
        // Clients ask for the hashes of pieces, and of blocks within one.
        if request.base == 0 && request.top() <= piece_layer && is_here { Answer::Read(piece) } else { Answer::Never }
    }

    /// The blocks of a piece are hashed, for one who has asked for that.
    pub(super) fn blocks_hashed(&mut self, now: Instant, conn: ConnId, leaves: Result<Vec<Sha256Digest>, DiskFault>) {
        let Some(request) = self.conns.get_mut(&conn).and_then(|peer| peer.hashing.take()) else { return };
        let leaves = match leaves {
            Ok(leaves) => leaves,
            Err(fault) => {
                self.send(now, conn, Message::HashReject(request));
                return self.disk_failed(now, &fault, Failing::Reads);
            }
        };
        let Some((_, tree)) = self.trees.files.get(&request.root).copied() else { return };
        let Some(above) = self.trees.layers(request.root, &self.metainfo) else { return };
        let piece_layer = tree.piece_layer();
        let within = Layers::over(leaves, 0, piece_layer);
        if within.get(piece_layer, 0) != above.get(piece_layer, u64::from(request.index >> piece_layer)) {
            // What is on the disk has changed: who tells of that is taken for a liar.
            return self.send(now, conn, Message::HashReject(request));
        }
        let index = u64::from(request.index) & ((1 << piece_layer) - 1);
        let own = (index..index + u64::from(request.length)).map(|at| within.get(0, at));
        let uncles = (0..request.uncles()).map(|up| {
            let layer = request.top() + up;
            let layers = if layer < piece_layer { (&within, index) } else { (above, u64::from(request.index)) };
            layers.0.get(layer, (layers.1 >> layer) ^ 1)
        });
        let hashes = own.chain(uncles).collect();
        self.send_hashes(now, conn, request, hashes);
    }

    fn send_hashes(&mut self, now: Instant, conn: ConnId, request: HashRequest, hashes: Vec<Sha256Digest>) {
        let hashes = hashes.into_iter().flatten().collect();
        self.send(now, conn, Message::Hashes { request, hashes });
    }

    /// Several peers sent a piece that is wrong: asks one that has it which of its blocks are.
    pub(super) fn ask_for_blocks_hashes(&mut self, now: Instant, piece: PieceIndex) {
        if self.metainfo.layers().is_none() || !self.blame.is_watching(piece) || self.trees.asked.contains_key(&piece) {
            return;
        }
        let file = self.layout().file_at(piece);
        let Some(root) = self.metainfo.info.files[file].root else { return };
        let Some((first, tree)) = self.trees.files.get(&root).copied() else { return };
        let length = 1 << tree.piece_layer();
        let offset = piece.0.saturating_sub(self.first_piece_of(file).unwrap_or(first).0);
        let request = HashRequest { root, base: 0, index: offset * length, length, proofs: 0 };
        let ask = Ask { request, since: now, waiting: BTreeSet::new(), tried: BTreeSet::new() };
        self.trees.asked.insert(piece, ask);
        self.ask_more(now, piece);
    }

    /// The first piece of a file, which may be one of several that are alike.
    fn first_piece_of(&self, file: usize) -> Option<PieceIndex> {
        let start: u64 = self.metainfo.info.files[..file].iter().map(|file| file.length).sum();
        self.layout().piece(u32::try_from(start / u64::from(self.layout().piece_length())).ok()?)
    }

    /// Asks some who were not asked before; once there is nobody left to wait for, the good copy has to tell.
    fn ask_more(&mut self, now: Instant, piece: PieceIndex) {
        let Some(mut ask) = self.trees.asked.remove(&piece) else { return };
        let load = |conn: &ConnId| self.trees.asked.values().filter(|ask| ask.waiting.contains(conn)).count();
        let can = |(conn, peer): &(&ConnId, &PeerConnection)| {
            peer.reserved.v2() && peer.pieces.has(piece) && !ask.tried.contains(*conn)
        };
        let mut witnesses: Vec<ConnId> = self.conns.iter().filter(can).map(|(conn, _)| *conn).collect();
        witnesses.sort_by_key(load);
        witnesses.truncate(WITNESSES.saturating_sub(ask.waiting.len()));
        for conn in witnesses {
            ask.since = now;
            ask.waiting.insert(conn);
            ask.tried.insert(conn);
            self.send(now, conn, Message::HashRequest(ask.request));
        }
        if !ask.waiting.is_empty() {
            self.trees.asked.insert(piece, ask);
        }
    }

    /// The piece of which this was asked of this peer, which is not waited for any more.
    fn answered(&mut self, conn: ConnId, request: &HashRequest) -> Option<PieceIndex> {
        let mut asks = self.trees.asked.iter_mut();
        asks.find_map(|(piece, ask)| (ask.request == *request && ask.waiting.remove(&conn)).then_some(*piece))
    }

    /// A peer brings hashes. Nobody else is believed, and nothing that does not lead to the torrent's own.
    pub(super) fn told_hashes(&mut self, now: Instant, conn: ConnId, request: HashRequest, bytes: &Bytes) {
        let Some(piece) = self.answered(conn, &request) else { return };
        let hashes = hashes_of(bytes);
        let want = self.metainfo.layers().map(|layers| layers.get(piece));
        match request.lead(hashes) {
            lead @ Some(_) if lead == want => {
                self.trees.asked.remove(&piece);
                for liar in self.blame.good(piece, hashes) {
                    self.blame(now, liar);
                }
            }
            // It is no lie to understand the question otherwise.
            None => self.ask_more(now, piece),
            Some(_) => {
                if let Some(addr) = self.conns.get(&conn).map(|peer| peer.addr) {
                    self.ban(now, addr);
                }
                self.ask_more(now, piece);
            }
        }
    }

    /// A peer will not bring hashes.
    pub(super) fn refused_hashes(&mut self, now: Instant, conn: ConnId, request: &HashRequest) {
        if let Some(piece) = self.answered(conn, request) {
            self.ask_more(now, piece);
        }
    }

    /// Asks others for what did not come in time, or will not come any more.
    pub(super) fn chase_hashes(&mut self, now: Instant) {
        let mut lacking = Vec::new();
        self.trees.asked.retain(|piece, ask| {
            let is_late = now - ask.since >= PATIENCE;
            ask.waiting.retain(|conn| !is_late && self.conns.contains_key(conn));
            if ask.waiting.len() < WITNESSES {
                lacking.push(*piece);
            }
            self.blame.is_watching(*piece)
        });
        for piece in lacking {
            self.ask_more(now, piece);
        }
    }
}
