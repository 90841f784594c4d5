//! Asking for the hashes of a v2 torrent's pieces, which its `info` does not have.
//!
//! Every answer is proven by a root in `info`, so each is right or its sender a liar, and any mix of peers will do.
//!
//! Laws: at most [`PIPELINE`] requests are out at one peer; what is kept leads to the torrent's own roots.
//!
//! Source: BEP 52.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::metainfo::Metainfo;
use crate::metainfo::merkle::{Sha256Digest, Tree};
use crate::peer::hashes::hashes_of;
use crate::peer::{ConnId, HashRequest};
use crate::time::Instant;

/// The most hashes that are asked for at once. BEP 52.
const MOST_HASHES: u64 = 512;
/// The most requests that are out at one peer.
const PIPELINE: usize = 4;
/// What does not come within this is asked of others.
const PATIENCE: Duration = Duration::from_secs(8);

/// What came of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is kept.
    Kept,
    /// It is of no use.
    Useless,
    /// It is wrong, and that is proven.
    Liar,
}

/// The layers on their way.
#[derive(Debug)]
pub(super) struct LayerHunt {
    /// What is not there, with whom it was asked of, and when.
    missing: BTreeMap<HashRequest, Option<(ConnId, Instant)>>,
    /// Who will not give what.
    refused: BTreeSet<(ConnId, HashRequest)>,
    /// How many hashes of each answer cover anything.
    covering: BTreeMap<HashRequest, usize>,
    came: BTreeMap<HashRequest, Vec<Sha256Digest>>,
}

impl LayerHunt {
    /// What the torrent lacks; `None` if it lacks nothing.
    pub(super) fn new(metainfo: &Metainfo) -> Option<Self> {
        if !metainfo.info.is_v2() || metainfo.layers().is_some() {
            return None;
        }
        let trees = metainfo.info.files.iter().filter_map(|file| Some((file.root?, file.length)));
        let trees = trees.map(|(root, length)| (root, Tree::new(length, metainfo.info.piece_length)));
        let covering: BTreeMap<HashRequest, usize> = trees
            .filter(|(_, tree)| tree.piece_layer() < tree.height())
            .flat_map(|(root, tree)| requests(root, tree))
            .collect();
        let missing = covering.keys().map(|request| (*request, None)).collect();
        Some(Self { missing, refused: BTreeSet::new(), covering, came: BTreeMap::new() })
    }

    /// What is to be asked of these peers now; it counts as asked.
    pub(super) fn ask(&mut self, now: Instant, conns: &[ConnId]) -> Vec<(ConnId, HashRequest)> {
        let mut requests = Vec::new();
        for conn in conns {
            let asked = |asked: &&Option<(ConnId, Instant)>| asked.is_some_and(|(of, _)| of == *conn);
            let room = PIPELINE.saturating_sub(self.missing.values().filter(asked).count());
            let is_free = |(request, asked): &(&HashRequest, &Option<(ConnId, Instant)>)| {
                asked.is_none_or(|(of, at)| of != *conn && now - at >= PATIENCE)
                    && !self.refused.contains(&(*conn, **request))
            };
            let free: Vec<HashRequest> =
                self.missing.iter().filter(is_free).map(|(request, _)| *request).take(room).collect();
            for request in free {
                if let Some((slow, _)) = self.missing.insert(request, Some((*conn, now))).flatten() {
                    // Whoever let us wait is asked for something else.
                    self.refused.insert((slow, request));
                }
                requests.push((*conn, request));
            }
        }
        requests
    }

    /// An answer came.
    pub(super) fn received(&mut self, conn: ConnId, request: HashRequest, bytes: &[u8]) -> Outcome {
        match self.missing.get(&request) {
            Some(Some((asked, _))) if *asked == conn => {}
            _ => return Outcome::Useless,
        }
        let hashes = hashes_of(bytes);
        if request.lead(hashes) != Some(request.root) {
            return Outcome::Liar;
        }
        self.missing.remove(&request);
        let covering = self.covering.get(&request).copied().unwrap_or(0);
        self.came.insert(request, hashes[..covering].to_vec());
        Outcome::Kept
    }

    /// The peer will not give this.
    pub(super) fn rejected(&mut self, conn: ConnId, request: HashRequest) {
        if let Some(asked) = self.missing.get_mut(&request).filter(|asked| asked.is_some_and(|(of, _)| of == conn)) {
            *asked = None;
            self.refused.insert((conn, request));
        }
    }

    /// The peer is gone.
    pub(super) fn lost(&mut self, conn: ConnId) {
        for asked in self.missing.values_mut() {
            asked.take_if(|(of, _)| *of == conn);
        }
        self.refused.retain(|(of, _)| *of != conn);
    }

    /// Whether everything is there.
    pub(super) fn is_done(&self) -> bool {
        self.missing.is_empty()
    }

    /// Whether any of these peers may yet give something.
    pub(super) fn may_hope(&self, conns: &[ConnId]) -> bool {
        conns.iter().any(|conn| self.missing.keys().any(|request| !self.refused.contains(&(*conn, *request))))
    }

    /// The layers, by root; none before all are there.
    pub(super) fn layers(&self) -> BTreeMap<Sha256Digest, Vec<u8>> {
        let mut layers: BTreeMap<Sha256Digest, Vec<u8>> = BTreeMap::new();
        if !self.is_done() {
            return layers;
        }
        // Requests are sorted by root, then by index.
        for (request, hashes) in &self.came {
            layers.entry(request.root).or_default().extend_from_slice(hashes.as_flattened());
        }
        layers
    }
}

/// The requests for a file's layer of pieces, and how many hashes of each answer cover anything.
fn requests(root: Sha256Digest, tree: Tree) -> impl Iterator<Item = (HashRequest, usize)> {
    let base = tree.piece_layer();
    let (covering, length) = (tree.covering(base), tree.width(base).min(MOST_HASHES));
    (0..covering.div_ceil(length)).map(move |number| {
        let number_of = |count: u64| u32::try_from(count).expect("a torrent has few pieces");
        let index = number * length;
        let proofs = tree.height() - base - 1;
        let request = HashRequest { root, base, index: number_of(index), length: number_of(length), proofs };
        (request, usize::try_from(length.min(covering - index)).expect("it is at most 512"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::BLOCK_LENGTH;
    use crate::metainfo::merkle::{self, Layers};
    use crate::metainfo::{FileEntry, FileTree, MetainfoBuilder, TorrentPath};

    const PEERS: [ConnId; 2] = [ConnId(1), ConnId(2)];

    /// A torrent of two files, of 1100 and 3 pieces of a block each, and its trees.
    fn torrent() -> (Metainfo, Vec<Layers>) {
        let lengths = [1100, 3];
        let leaves = lengths.map(|count: u32| (0..count).map(|n| merkle::leaf(&n.to_be_bytes())).collect::<Vec<_>>());
        let layers: Vec<_> = leaves.iter().map(|leaves| Layers::over(leaves.clone(), 0, 11)).collect();
        let roots = [layers[0].get(11, 0), layers[1].get(2, 0)];
        let trees = roots.iter().zip(&leaves).map(|(root, leaves)| FileTree { root: *root, layer: leaves.concat() });
        let path = |name| TorrentPath::new([name]).unwrap();
        let entry = |(name, count): (&'static str, u32)| FileEntry::new(path(name), u64::from(count * BLOCK_LENGTH));
        let files = ["a", "b"].into_iter().zip(lengths).map(entry).collect();
        let hashes = (0..1103).map(|_| [0; 20]).collect();
        let builder = MetainfoBuilder::folder(path("show"), files, BLOCK_LENGTH, hashes).trees(trees.collect());
        let whole = builder.without_v1().build().unwrap();
        (whole, layers)
    }

    fn answer(metainfo: &Metainfo, layers: &[Layers], request: &HashRequest) -> Vec<u8> {
        let number = usize::from(metainfo.info.files[0].root != Some(request.root));
        let own = (request.index..request.index + request.length).map(|at| layers[number].get(0, u64::from(at)));
        own.chain(layers[number].uncles(request.top(), request.top_index(), request.uncles())).flatten().collect()
    }

    #[test]
    fn layers_come_from_many_and_liars_are_known_at_once() {
        let (whole, layers) = torrent();
        let mut bare = Metainfo::from_info_bytes(whole.info_bytes()).unwrap();
        let mut hunt = LayerHunt::new(&bare).unwrap();
        let now = Instant::ZERO;
        let asked = hunt.ask(now, &PEERS[..1]);
        assert_eq!(asked.len(), 4, "three of the long file, one of the short");
        assert!(hunt.ask(now, &PEERS).is_empty());
        let mut wrong = answer(&whole, &layers, &asked[0].1);
        wrong[5] ^= 1;
        assert_eq!(hunt.received(PEERS[0], asked[0].1, &wrong), Outcome::Liar);
        assert_eq!(hunt.received(PEERS[1], asked[0].1, &wrong), Outcome::Useless, "nobody asked");
        hunt.lost(PEERS[0]);
        let asked = hunt.ask(now, &PEERS[1..]);
        for (conn, request) in &asked {
            assert!(!hunt.is_done());
            assert_eq!(hunt.received(*conn, *request, &answer(&whole, &layers, request)), Outcome::Kept);
        }
        assert!(hunt.is_done());
        bare.add_layers(&hunt.layers()).unwrap();
        assert_eq!(bare.layers(), whole.layers());
        assert!(LayerHunt::new(&bare).is_none());
    }

    #[test]
    fn who_refuses_or_lets_us_wait_is_not_asked_again() {
        let (whole, _) = torrent();
        let mut hunt = LayerHunt::new(&Metainfo::from_info_bytes(whole.info_bytes()).unwrap()).unwrap();
        let first = hunt.ask(Instant::ZERO, &PEERS[..1]);
        hunt.rejected(PEERS[0], first[0].1);
        assert_eq!(hunt.ask(Instant::ZERO, &PEERS), [(PEERS[1], first[0].1)]);
        let later = Instant::ZERO + PATIENCE;
        assert_eq!(hunt.ask(later, &PEERS[1..]).len(), 3);
        assert!(hunt.may_hope(&PEERS[1..]) && !hunt.may_hope(&PEERS[..1]));
    }
}
