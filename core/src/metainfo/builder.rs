//! Making torrents.

use serde::Serialize;

use super::parse::is_url;
use super::{FileEntry, Info, Metainfo, MetainfoError, PieceHashes, TorrentPath};
use crate::bencode;

/// The parts of a v1 torrent that is to be made.
///
/// The bytes are a function of the parts alone, so the same episode gives the same info-hash on every machine.
#[derive(Clone, Debug)]
pub struct MetainfoBuilder {
    info: Info,
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
        Self::new(Info { name, piece_length, pieces, files, is_single_file: true, private: false })
    }

    /// A torrent of a folder; the files' paths are within it, their order is that of the bytes.
    pub fn folder(name: TorrentPath, files: Vec<FileEntry>, piece_length: u32, pieces: PieceHashes) -> Self {
        Self::new(Info { name, piece_length, pieces, files, is_single_file: false, private: false })
    }

    const fn new(info: Info) -> Self {
        Self { info, trackers: Vec::new(), web_seeds: Vec::new(), comment: None, created_by: None, creation_date: None }
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
        let metainfo = Metainfo {
            trackers: self.trackers,
            web_seeds: self.web_seeds,
            comment: self.comment,
            created_by: self.created_by,
            creation_date: self.creation_date,
            ..Metainfo::from_info_bytes(&bencode::encode(&InfoToWrite::of(&self.info)))?
        };
        // Read back, so that what is returned is exactly what readers of the file will see.
        Metainfo::parse(&metainfo.encode())
    }
}

#[derive(Serialize)]
struct InfoToWrite<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Vec<FileToWrite<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
    name: &'a str,
    #[serde(rename = "piece length")]
    piece_length: u32,
    #[serde(with = "serde_bytes")]
    pieces: &'a [u8],
    #[serde(skip_serializing_if = "Option::is_none")]
    private: Option<u8>,
}

#[derive(Serialize)]
struct FileToWrite<'a> {
    #[serde(rename = "attr", skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a str>,
    length: u64,
    path: Vec<&'a str>,
}

impl<'a> InfoToWrite<'a> {
    fn of(info: &'a Info) -> Self {
        let file = |file: &'a FileEntry| FileToWrite {
            attributes: file.is_pad.then_some("p"),
            length: file.length,
            path: file.path.components().collect(),
        };
        let files = (!info.is_single_file).then(|| info.files.iter().map(file).collect());
        let length = info.is_single_file.then(|| info.length());
        Self {
            files,
            length,
            name: info.name.as_str(),
            piece_length: info.piece_length,
            pieces: info.pieces.as_bytes(),
            private: info.private.then_some(1),
        }
    }
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
