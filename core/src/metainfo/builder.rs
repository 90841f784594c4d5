//! Making torrents.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_bytes::Bytes;

use super::merkle::Sha256Digest;
use super::parse::is_url;
use super::{FileEntry, Info, Metainfo, MetainfoError, PieceHashes, TorrentPath, tree};
use crate::bencode;

/// The parts of a torrent that is to be made: of v1, unless it is given trees.
///
/// The bytes are a function of the parts alone, so the same episode gives the same info-hash on every machine.
#[derive(Clone, Debug)]
pub struct MetainfoBuilder {
    info: Info,
    layers: BTreeMap<Sha256Digest, Vec<u8>>,
    trackers: Vec<Vec<String>>,
    web_seeds: Vec<String>,
    comment: Option<String>,
    created_by: Option<String>,
    creation_date: Option<i64>,
}

impl MetainfoBuilder {
    /// A torrent of one file, of `length` bytes.
    pub fn file(name: TorrentPath, length: u64, piece_length: u32, pieces: PieceHashes) -> Self {
        let files = vec![FileEntry::new(name.clone(), length)];
        Self::new(Info { name, piece_length, pieces: Some(pieces), files, is_single_file: true, private: false })
    }

    /// A torrent of a folder; the files' paths are within it, their order is that of the bytes.
    pub fn folder(name: TorrentPath, files: Vec<FileEntry>, piece_length: u32, pieces: PieceHashes) -> Self {
        Self::new(Info { name, piece_length, pieces: Some(pieces), files, is_single_file: false, private: false })
    }

    fn new(info: Info) -> Self {
        let (comment, created_by, creation_date) = (None, None, None);
        let (trackers, web_seeds) = (Vec::new(), Vec::new());
        Self { info, layers: BTreeMap::new(), trackers, web_seeds, comment, created_by, creation_date }
    }

    /// Makes it a hybrid: `trees` has the root of each file in order, and the hashes of its pieces end to end, if it is
    /// longer than one (BEP 52). In a folder the padding between files must be there; see [`MetainfoBuilder::padded`].
    pub fn trees(mut self, trees: Vec<FileTree>) -> Self {
        let files = self.info.files.iter_mut().filter(|file| !file.is_pad && file.length > 0);
        for (file, FileTree { root, layer }) in files.zip(trees) {
            file.root = Some(root);
            if file.length > u64::from(self.info.piece_length) {
                self.layers.insert(root, layer);
            }
        }
        self
    }

    /// Makes a torrent with trees one of v2 alone.
    pub fn without_v1(mut self) -> Self {
        self.info.pieces = None;
        self
    }

    /// The files with the padding between them that a hybrid must have, as [`crate::layout`] and the v1 hashes see them
    /// (BEP 47).
    pub fn padded(files: Vec<FileEntry>, piece_length: u32) -> Result<Vec<FileEntry>, MetainfoError> {
        tree::align(files, piece_length, tree::Tail::Bare)
    }

    /// Announces to these URLs, tier by tier (BEP 12).
    pub fn trackers(mut self, tiers: Vec<Vec<String>>) -> Self {
        self.trackers = tiers;
        self
    }

    /// Names HTTP servers that have the content (BEP 19).
    pub fn web_seeds(mut self, urls: Vec<String>) -> Self {
        self.web_seeds = urls;
        self
    }

    /// Whether peers may come from the torrent's own trackers only (BEP 27). Changes the info-hash.
    pub const fn private(mut self, private: bool) -> Self {
        self.info.private = private;
        self
    }

    /// Adds a word from the author.
    pub fn comment(mut self, comment: Option<String>) -> Self {
        self.comment = comment;
        self
    }

    /// Names the program that makes the torrent.
    pub fn created_by(mut self, program: Option<String>) -> Self {
        self.created_by = program;
        self
    }

    /// Says when the torrent was made, in seconds since 1970, UTC.
    pub const fn creation_date(mut self, seconds: Option<i64>) -> Self {
        self.creation_date = seconds;
        self
    }

    /// The torrent, or why its parts do not make one that [`Metainfo::parse`] would read.
    pub fn build(self) -> Result<Metainfo, MetainfoError> {
        if let Some(url) = self.trackers.iter().flatten().chain(&self.web_seeds).find(|url| !is_url(url)) {
            return Err(MetainfoError::Url { url: url.clone() });
        }
        let mut metainfo = Metainfo {
            trackers: self.trackers,
            web_seeds: self.web_seeds,
            comment: self.comment,
            created_by: self.created_by,
            creation_date: self.creation_date,
            ..Metainfo::from_info_bytes(&info_bytes(&self.info))?
        };
        if metainfo.info.is_v2() {
            metainfo.add_layers(&self.layers)?;
        }
        // Read back, so that what is returned is exactly what readers of the file will see.
        Metainfo::parse(&metainfo.encode())
    }
}

/// The tree of one file's SHA-256, as far as a torrent tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileTree {
    /// The root.
    pub root: Sha256Digest,
    /// The hashes of the file's pieces, end to end.
    pub layer: Vec<u8>,
}

#[derive(Serialize)]
struct FileToWrite<'a> {
    #[serde(rename = "attr", skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a str>,
    length: u64,
    path: Vec<&'a str>,
}

/// The bencoding of an `info`.
fn info_bytes(info: &Info) -> Vec<u8> {
    let mut entries: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
    entries.insert("name", bencode::encode(&info.name.as_str()));
    entries.insert("piece length", bencode::encode(&info.piece_length));
    if info.private {
        entries.insert("private", bencode::encode(&1));
    }
    if let Some(pieces) = &info.pieces {
        entries.insert("pieces", bencode::encode(&Bytes::new(pieces.as_bytes())));
        if info.is_single_file {
            entries.insert("length", bencode::encode(&info.length()));
        } else {
            let file = |file: &FileEntry| {
                bencode::encode(&FileToWrite {
                    attributes: file.is_pad.then_some("p"),
                    length: file.length,
                    path: file.path.components().collect(),
                })
            };
            entries
                .insert("files", [b"l".to_vec(), info.files.iter().flat_map(file).collect(), b"e".to_vec()].concat());
        }
    }
    if info.is_v2() {
        entries.insert("file tree", file_tree(info));
        entries.insert("meta version", bencode::encode(&2));
    }
    dictionary(entries)
}

/// The bencoding of `file tree`.
fn file_tree(info: &Info) -> Vec<u8> {
    let mut root = Folder::default();
    for file in info.files.iter().filter(|file| !file.is_pad) {
        let folder = file.path.components().fold(&mut root, |folder, name| folder.inside.entry(name).or_default());
        folder.file = Some(file);
    }
    root.encode()
}

/// What has one name in a `file tree`.
#[derive(Default)]
struct Folder<'a> {
    file: Option<&'a FileEntry>,
    inside: BTreeMap<&'a str, Folder<'a>>,
}

impl Folder<'_> {
    fn encode(&self) -> Vec<u8> {
        let mut entries: BTreeMap<&str, Vec<u8>> =
            self.inside.iter().map(|(name, folder)| (*name, folder.encode())).collect();
        if let Some(file) = self.file {
            let root = file.root.map(|root| ("pieces root", bencode::encode(&Bytes::new(&root))));
            entries.insert("", dictionary([("length", bencode::encode(&file.length))].into_iter().chain(root)));
        }
        dictionary(entries)
    }
}

/// A dictionary of encoded values, whose keys come in order.
fn dictionary<'a>(entries: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Vec<u8> {
    let mut out = vec![b'd'];
    for (key, value) in entries {
        bencode::write_string(&mut out, key.as_bytes());
        out.extend_from_slice(&value);
    }
    out.push(b'e');
    out
}

/// The piece length for content of this many bytes.
///
/// The greatest power of two from 16 KiB to 16 MiB that makes at least 400 pieces, so that a crowd has many different
/// pieces to trade from the first seconds on. Content under 6.25 MiB has fewer, of 16 KiB each.
pub fn piece_length_for(total_bytes: u64) -> u32 {
    let longest = total_bytes / WANTED_PIECES;
    let power = longest.checked_ilog2().unwrap_or(0).clamp(SHORTEST.ilog2(), LONGEST.ilog2());
    1 << power
}

/// Enough pieces for rarest first to tell peers apart.
const WANTED_PIECES: u64 = 400;

/// One block: shorter pieces would only cost hashes.
const SHORTEST: u32 = 16 * 1024;

/// Longer pieces would be announced too late to be traded on.
const LONGEST: u32 = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_many_and_within_bounds() {
        const MIB: u64 = 1024 * 1024;
        for (total, length) in [
            (0, SHORTEST),
            (1, SHORTEST),
            (400 * 16 * 1024, 16 * 1024),
            (400 * 32 * 1024 - 1, 16 * 1024),
            (400 * 32 * 1024, 32 * 1024),
            (60 * MIB, 128 * 1024),
            (1024 * MIB, 2 * 1024 * 1024),
            (u64::MAX, LONGEST),
        ] {
            assert_eq!(piece_length_for(total), length, "{total}");
        }
    }
}
