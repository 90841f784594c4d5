//! The piece layers of a v2 torrent: one SHA-256 for each piece, beside `info` and proven by the roots in it.
//!
//! Source: BEP 52.

use std::collections::BTreeMap;
use std::fmt;

use bytes::{Bytes, BytesMut};

use super::merkle::{self, Sha256Digest, Tree};
use super::{FileEntry, Info, MetainfoError};
use crate::bencode::{self, Raw};

/// The SHA-256 tree hash of every piece of a torrent.
///
/// That of a file no longer than a piece is the file's root.
#[derive(Clone, PartialEq, Eq)]
pub struct PieceLayers(Bytes);

impl PieceLayers {
    /// The hash of this piece.
    ///
    /// # Panics
    /// If the piece is beyond the last.
    pub fn get(&self, piece: crate::layout::PieceIndex) -> Sha256Digest {
        self.0.as_chunks().0[piece.as_usize()]
    }

    /// Those that `layer_of` knows for each file that is longer than a piece; they are checked against the file's root.
    ///
    /// `None` of `layer_of` makes `None` of the whole.
    pub(super) fn gather<'a>(
        info: &Info,
        layer_of: impl Fn(&Sha256Digest) -> Option<&'a [u8]>,
    ) -> Result<Option<Self>, MetainfoError> {
        let mut all = BytesMut::new();
        for (file, root) in files_with_roots(info) {
            let tree = Tree::new(file.length, info.piece_length);
            if tree.piece_layer() == tree.height() {
                all.extend_from_slice(&root);
                continue;
            }
            let Some(layer) = layer_of(&root) else { return Ok(None) };
            let (hashes, rest) = layer.as_chunks::<32>();
            if !rest.is_empty() || hashes.len() as u64 != tree.covering(tree.piece_layer()) {
                let want = tree.covering(tree.piece_layer()) * 32;
                return Err(MetainfoError::LayerLength { path: file.path.clone(), got: layer.len(), want });
            }
            if merkle::root(hashes.to_vec(), tree.piece_layer(), tree.height() - tree.piece_layer()) != root {
                return Err(MetainfoError::LayerRoot { path: file.path.clone() });
            }
            all.extend_from_slice(layer);
        }
        Ok(Some(Self(all.freeze())))
    }

    /// Those of a torrent file's `piece layers`.
    pub(super) fn parse(info: &Info, raw: Raw<'_>) -> Result<Option<Self>, MetainfoError> {
        let want = "dictionary";
        let wrong_type = MetainfoError::WrongType { key: "piece layers", got: raw.kind(), want };
        let entries: BTreeMap<&[u8], Raw<'_>> = raw.dict().ok_or(wrong_type)?.collect();
        Self::gather(info, |root| entries.get(&root[..])?.string())
    }

    /// The value of `piece layers` in a torrent file.
    pub(super) fn encode(&self, info: &Info) -> Vec<u8> {
        let layers: BTreeMap<Sha256Digest, &[u8]> = self.by_file(info).collect();
        let mut out = vec![b'd'];
        for (root, layer) in layers {
            bencode::write_string(&mut out, &root);
            bencode::write_string(&mut out, layer);
        }
        out.push(b'e');
        out
    }

    /// The layer of each file that is longer than a piece, with the file's root.
    pub(super) fn by_file<'a>(&'a self, info: &'a Info) -> impl Iterator<Item = (Sha256Digest, &'a [u8])> {
        let mut rest = &self.0[..];
        files_with_roots(info).filter_map(move |(file, root)| {
            let tree = Tree::new(file.length, info.piece_length);
            let bytes = usize::try_from(tree.covering(tree.piece_layer()) * 32).expect("the layers are in memory");
            let (layer, behind) = rest.split_at(bytes);
            rest = behind;
            (tree.piece_layer() < tree.height()).then_some((root, layer))
        })
    }
}

impl fmt::Debug for PieceLayers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PieceLayers({})", self.0.len() / 32)
    }
}

/// The files that have bytes, in order.
fn files_with_roots(info: &Info) -> impl Iterator<Item = (&FileEntry, Sha256Digest)> {
    info.files.iter().filter_map(|file| Some((file, file.root?)))
}
