//! Why bytes are not a torrent that can be used.

use super::{Info, PathError, TorrentPath};
use crate::bencode::BencodeError;

/// Why bytes are not a torrent that can be used. Each says all in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetainfoError {
    /// Not bencode, or beyond its bounds.
    #[error("the torrent is not valid bencode")]
    Bencode(#[from] BencodeError),
    /// Another bencoded value than a dictionary.
    #[error("not a torrent: the file holds one bencoded {got}, not a dictionary")]
    NotDictionary {
        /// The kind of value that was found.
        got: &'static str,
    },
    /// A key that must be there is not.
    #[error("the torrent has no \"{key}\"")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A value of the wrong type.
    #[error("the torrent's \"{key}\" is of type {got}; want {want}")]
    WrongType {
        /// The key.
        key: &'static str,
        /// The type that was found.
        got: &'static str,
        /// The type that must be.
        want: &'static str,
    },
    /// An entry of `files` that is none.
    #[error("entry {index} of the torrent's \"files\" is not a file")]
    File {
        /// The entry's number, from 0.
        index: usize,
        /// What was found and wanted.
        source: BencodeError,
    },
    /// A file name that is not safe.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Pieces too short or too long.
    #[error("piece length is {got} bytes; want {} to {}", Info::MIN_PIECE_LENGTH, Info::MAX_PIECE_LENGTH)]
    PieceLength {
        /// The length claimed.
        got: i64,
    },
    /// A negative length.
    #[error("file \"{path}\" claims a length of {got} bytes")]
    FileLength {
        /// The file.
        path: TorrentPath,
        /// The length claimed.
        got: i64,
    },
    /// Lengths whose sum overflows.
    #[error("the files' lengths add up to more than 2^63 bytes")]
    TooLong,
    /// Hashes that are not whole.
    #[error("\"pieces\" has {got} bytes, which is not a multiple of 20")]
    Hashes {
        /// The bytes there are.
        got: usize,
    },
    /// Hashes that do not fit the files.
    #[error("{got} piece hashes for files that make {want} pieces")]
    PieceCount {
        /// The hashes there are.
        got: u64,
        /// The pieces that the files make.
        want: u64,
    },
    /// Both `length` and `files`: two readers would see two torrents.
    #[error("the torrent has both \"length\" and \"files\"")]
    LengthAndFiles,
    /// No file, or only empty ones.
    #[error("the torrent has no content: its files are empty")]
    Empty,
    /// More files than [`Info::MAX_FILES`].
    #[error("the torrent has more than {} files", Info::MAX_FILES)]
    TooManyFiles,
    /// One file twice.
    #[error("file \"{path}\" is listed twice")]
    Twice {
        /// The file.
        path: TorrentPath,
    },
    /// Two files where one can be.
    #[error("files \"{first}\" and \"{second}\" are one file where case and accents do not count")]
    Collision {
        /// One file.
        first: TorrentPath,
        /// The other.
        second: TorrentPath,
    },
    /// A file where a folder must be.
    #[error("\"{file}\" is a file, and a folder with \"{inside}\" in it")]
    FileAndFolder {
        /// The file.
        file: TorrentPath,
        /// A file within the folder of that name.
        inside: TorrentPath,
    },
    /// A symbolic link (BEP 47).
    #[error("\"{path}\" is a symbolic link, which torrents may not bring")]
    Symlink {
        /// The link.
        path: TorrentPath,
    },
    /// A torrent without a v1 half (BEP 52).
    #[error("the torrent is v2-only (BEP 52), which is not supported yet; a v1 or hybrid torrent of it would be")]
    V2Only,
    /// A `meta version` that nobody has defined.
    #[error("the torrent is of version {got}; versions 1 and 2 are known")]
    Version {
        /// The version claimed.
        got: i64,
    },
    /// A tracker or web seed given to the builder that is no URL.
    #[error("\"{url}\" is not the URL of a tracker or web seed")]
    Url {
        /// What was given.
        url: String,
    },
}
