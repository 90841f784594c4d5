//! What a `.torrent` file says: which files, in which pieces, with which hashes, and where to find peers.
//!
//! [`Metainfo::parse`] reads it and refuses, with one sentence, whatever a later part would have to doubt: lengths that
//! overflow, hashes that do not fit the files, names that leave their folder or collide. [`MetainfoBuilder`] makes it.
//! The info-hash covers the raw bytes of `info`, which are kept as they were found, never a re-encoding of them.
//!
//! Torrents are of version 1 (a SHA-1 for each piece), 2 (a tree of SHA-256 for each file, [`merkle`]) or both,
//! hybrids, whose halves must say the same. Keys outside `info` that are not known, such as `nodes`, are carried along;
//! known ones of the wrong type are left out, but for `piece layers`, which must fit.
//!
//! Law: a `Metainfo` is one whole: its pieces cover its files exactly, and [`crate::layout`] can divide by all it says.
//! Source: BEP 3; trackers BEP 12, web seeds BEP 19, `private` BEP 27, pad files and symlinks BEP 47, v2 and hybrids
//! BEP 52.

mod builder;
mod choice;
mod error;
mod info_hash;
mod layers;
mod magnet;
mod mutable_link;
pub mod merkle;
mod parse;
mod path;
mod tree;
mod web_seed;

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::bencode::Limits;
use crate::bencode::reader::{Raw, read};
use crate::dht::node_addr::NodeAddr;
use crate::layout::{Layout, PieceIndex};
use crate::piece::{PieceCheck, Sha1Check};
use merkle::Sha256Digest;

pub use builder::{FileTree, MetainfoBuilder, piece_length_for};
pub use choice::{FileChoice, NothingChosen};
pub use error::MetainfoError;
pub use info_hash::{InfoHash, InfoHashError, whole};
pub use layers::PieceLayers;
pub use magnet::{Magnet, MagnetError};
pub use mutable_link::{MutableLink, NoKey};
pub use path::{PathError, TorrentPath};

/// The most nodes that are read of a torrent.
const MOST_NODES: usize = 10;

/// All that a `.torrent` file says.
///
/// What it says outside `info` may be changed before [`Metainfo::encode`]: the info-hash stays the same. Changes to
/// `info` are not written; make a new torrent with [`MetainfoBuilder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metainfo {
    /// The part that the info-hash covers.
    pub info: Info,
    /// The torrent's name among all torrents.
    pub info_hash: InfoHash,
    /// Announce URLs in tiers: all of the first are tried before one of the second (BEP 12). At most 100.
    pub trackers: Vec<Vec<String>>,
    /// URLs of HTTP servers that have the content (BEP 19). At most 100.
    pub web_seeds: Vec<String>,
    /// A word from the author, without control characters other than line breaks and tabs.
    pub comment: Option<String>,
    /// The program that made the torrent, without control characters.
    pub created_by: Option<String>,
    /// When the torrent was made, in seconds since 1970, UTC.
    pub creation_date: Option<i64>,
    info_bytes: Bytes,
    /// The SHA-256 of every piece; `None` in a v1 torrent, and where nobody has told them yet.
    layers: Option<PieceLayers>,
    /// Top-level keys that are not known, with their bencoded values.
    other: Vec<(Bytes, Bytes)>,
}

impl Metainfo {
    /// The raw bencoding of `info`, as it stood in the file.
    pub fn info_bytes(&self) -> &[u8] {
        &self.info_bytes
    }

    /// Whether the hashes of the pieces are not known of a torrent that has no others: nothing of it can be checked.
    ///
    /// So it is with the bare `info` of a v2 torrent until [`Metainfo::add_layers`].
    pub const fn lacks_layers(&self) -> bool {
        self.info.pieces.is_none() && self.layers.is_none()
    }

    /// The SHA-256 of every piece, as far as they are known.
    pub const fn layers(&self) -> Option<&PieceLayers> {
        self.layers.as_ref()
    }

    /// Adds the piece layers that peers have told: the hashes, end to end, of each file that is longer than a piece, by
    /// the file's root.
    pub fn add_layers(&mut self, layers: &BTreeMap<Sha256Digest, Vec<u8>>) -> Result<(), MetainfoError> {
        self.layers = PieceLayers::gather(&self.info, |root| layers.get(root).map(Vec::as_slice))?;
        Ok(())
    }

    /// How this piece is proven: by its tree where that is known, else by its SHA-1.
    ///
    /// # Panics
    /// If the piece is beyond the last, or [`Metainfo::lacks_layers`].
    pub fn check_of(&self, layout: &Layout, piece: PieceIndex) -> PieceCheck {
        let padding = layout.padding_of(piece);
        let v1 = self.info.pieces.as_ref().map(|pieces| Sha1Check { digest: pieces.get(piece), padding });
        match (&self.layers, v1) {
            (Some(layers), v1) => {
                PieceCheck::Tree { root: layers.get(piece), layers: layout.tree_of(piece).piece_layer(), v1 }
            }
            (None, Some(v1)) => PieceCheck::Sha1(v1),
            (None, None) => panic!("a torrent is checked only when its hashes are known"),
        }
    }

    /// Nodes of the distributed hash table that the torrent names; at most ten are read. BEP 5.
    pub fn nodes(&self) -> Vec<NodeAddr> {
        let value = self.other.iter().find(|(key, _)| &key[..] == b"nodes").map(|(_, value)| value);
        let Some(list) = value.and_then(|value| read(value, Limits::METAINFO).ok()) else { return Vec::new() };
        let node = |pair: Raw<'_>| {
            let mut parts = pair.list()?;
            let host = std::str::from_utf8(parts.next()?.string()?).ok()?;
            NodeAddr::new(host, u16::try_from(parts.next()?.integer()?).ok()?)
        };
        let nodes = |list: Raw<'_>| Some(list.list()?.filter_map(node).take(MOST_NODES).collect());
        nodes(list).unwrap_or_default()
    }

    /// The magnet link that finds this torrent.
    pub fn magnet(&self) -> Magnet {
        Magnet {
            name: Some(self.info.name.to_string()),
            trackers: self.trackers.concat(),
            web_seeds: self.web_seeds.clone(),
            ..Magnet::new(self.info_hash)
        }
    }
}

/// The part of the metainfo that the info-hash covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The name of the file, or of the folder that holds the files: one component.
    pub name: TorrentPath,
    /// The length of every piece but the last, in bytes: [`Info::MIN_PIECE_LENGTH`] to [`Info::MAX_PIECE_LENGTH`].
    pub piece_length: u32,
    /// One SHA-1 for each piece; `None` in a torrent that is v2 alone.
    pub pieces: Option<PieceHashes>,
    /// The files, end to end; at least one, not all empty. Where a v2 torrent leaves gaps they are padding.
    pub files: Vec<FileEntry>,
    /// Whether `name` is the one file's, not a folder's.
    pub is_single_file: bool,
    /// Whether peers may come from its own trackers only (BEP 27).
    pub private: bool,
}

impl Info {
    /// The shortest pieces that are read: 1 KiB.
    pub const MIN_PIECE_LENGTH: u32 = 1024;

    /// The longest pieces that are read: 64 MiB.
    pub const MAX_PIECE_LENGTH: u32 = 64 * 1024 * 1024;

    /// The most files in one torrent.
    pub const MAX_FILES: usize = 100_000;

    /// The length of all files together, in bytes, pad files included.
    pub fn length(&self) -> u64 {
        self.files.iter().map(|file| file.length).sum()
    }

    /// The length of all files together, in bytes, without pad files.
    pub fn content_length(&self) -> u64 {
        self.files.iter().filter(|file| !file.is_pad).map(|file| file.length).sum()
    }

    /// The number of pieces.
    pub fn piece_count(&self) -> u32 {
        let pieces = self.length().div_ceil(u64::from(self.piece_length));
        u32::try_from(pieces).expect("a torrent has fewer than 2^32 pieces")
    }

    /// Whether the torrent has trees of SHA-256: it is v2 or hybrid.
    pub fn is_v2(&self) -> bool {
        self.files.iter().any(|file| file.root.is_some())
    }
}

/// Which versions of the protocol a torrent that is made speaks.
///
/// A hybrid would be the best of both, and is not the default because clients that many people have cannot take part in
/// its swarm. BEP 52 ends every path in the file tree with an empty key. transmission before 4.0 refuses such a file,
/// and aria2 before 1.37 drops the key when it encodes `info` again, so that it looks for peers under an info-hash that
/// nobody else has. Neither can be helped by how the torrent is made. In a folder clients that know v1 alone would keep
/// the padding as files, besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TorrentVersion {
    /// The first, which every client speaks.
    #[default]
    V1,
    /// Both: one torrent with a swarm of each, which newer clients prove block by block (BEP 52).
    Hybrid,
    /// The second alone.
    V2,
}

impl TorrentVersion {
    /// Whether there is a SHA-1 of each piece.
    pub const fn has_v1(self) -> bool {
        matches!(self, Self::V1 | Self::Hybrid)
    }

    /// Whether there is a tree of each file.
    pub const fn has_v2(self) -> bool {
        matches!(self, Self::V2 | Self::Hybrid)
    }
}

/// One file of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Where the file lies: its name in a single-file torrent, else its path within the folder.
    ///
    /// No two files that are no padding share a path, even where case and accents do not count, and none lies within
    /// another.
    pub path: TorrentPath,
    /// The file's length, in bytes.
    pub length: u64,
    /// Whether the file is only there to align the next one: all zeros, and never on a disk (BEP 47).
    pub is_pad: bool,
    /// The root of the tree of its blocks' SHA-256, if the torrent is v2 and the file has bytes (BEP 52).
    pub root: Option<Sha256Digest>,
}

impl FileEntry {
    /// A file with content.
    pub const fn new(path: TorrentPath, length: u64) -> Self {
        Self { path, length, is_pad: false, root: None }
    }
}

/// The SHA-1 of every piece, in order.
#[derive(Clone, PartialEq, Eq)]
pub struct PieceHashes(Bytes);

impl PieceHashes {
    /// The number of pieces.
    pub fn len(&self) -> u32 {
        u32::try_from(self.0.len() / HASH_LENGTH).expect("a torrent has fewer than 2^32 pieces")
    }

    /// Whether there is no piece.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hash of this piece.
    ///
    /// # Panics
    /// If the piece is beyond the last.
    pub fn get(&self, piece: PieceIndex) -> [u8; HASH_LENGTH] {
        *self.0[piece.as_usize() * HASH_LENGTH..].first_chunk().expect("the hashes are whole")
    }

    /// The hashes, end to end.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromIterator<[u8; HASH_LENGTH]> for PieceHashes {
    fn from_iter<I: IntoIterator<Item = [u8; HASH_LENGTH]>>(hashes: I) -> Self {
        Self(hashes.into_iter().flatten().collect())
    }
}

impl fmt::Debug for PieceHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PieceHashes({})", self.len())
    }
}

/// The text without the characters that hide, move or break what stands around it; line breaks and tabs stay.
fn printable(text: &str) -> String {
    text.chars().map(|c| if path::is_deceptive(c) && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c }).collect()
}

/// Bytes of a SHA-1.
const HASH_LENGTH: usize = 20;

#[cfg(test)]
mod tests;
