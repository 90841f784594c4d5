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
    /// More pieces than can have hashes in a torrent file.
    #[error("the files make {got} pieces; at most {} are read", super::parse::MAX_PIECES)]
    TooManyPieces {
        /// The pieces that the files make.
        got: u64,
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
    /// Pieces of a v2 torrent that are no power of two, or shorter than a block.
    #[error("piece length is {got} bytes; want a power of two from 16384 on in a v2 torrent")]
    PieceLengthV2 {
        /// The length claimed.
        got: u32,
    },
    /// A `file tree` that is a file itself.
    #[error("the torrent's \"file tree\" is a file without a name")]
    TreeIsFile,
    /// A `file tree` whose order depends on the reader.
    #[error("the names in the torrent's \"file tree\" are not sorted")]
    TreeOrder,
    /// A file in the `file tree` that is a folder, too.
    #[error("\"{path}\" is a file, and a folder with others in it")]
    FileWithFiles {
        /// The file.
        path: TorrentPath,
    },
    /// A file in the `file tree` without a length.
    #[error("file \"{path}\" has no \"length\"")]
    TreeLength {
        /// The file.
        path: TorrentPath,
    },
    /// Padding in the `file tree`, where it has no place.
    #[error("\"{path}\" is padding, which a v2 torrent does not have")]
    PadInTree {
        /// The file.
        path: TorrentPath,
    },
    /// A file of a v2 torrent that nothing proves.
    #[error("file \"{path}\" has no \"pieces root\" of 32 bytes")]
    NoRoot {
        /// The file.
        path: TorrentPath,
    },
    /// A hybrid whose halves do not have the same files.
    #[error("the torrent's v1 and v2 halves differ: \"{path}\" is not the same in both")]
    HybridFiles {
        /// The first file that differs.
        path: TorrentPath,
    },
    /// A file of a hybrid that begins within a piece.
    #[error("the torrent's v1 and v2 halves differ: \"{path}\" does not begin with a piece")]
    HybridAlignment {
        /// The file.
        path: TorrentPath,
    },
    /// Padding of a hybrid that does more than to align the next file.
    #[error("the torrent's v1 and v2 halves differ: the padding at byte {at} does not end with a piece")]
    HybridPadding {
        /// Where the padding begins.
        at: u64,
    },
    /// A v2 torrent whose pieces nothing proves.
    #[error("the torrent is v2-only and has no \"piece layers\", which prove its pieces")]
    NoLayers,
    /// A piece layer that does not fit its file.
    #[error("the piece layer of \"{path}\" has {got} bytes; want {want}")]
    LayerLength {
        /// The file.
        path: TorrentPath,
        /// The bytes there are.
        got: usize,
        /// The bytes there must be.
        want: u64,
    },
    /// A piece layer that is not that of the file's root.
    #[error("the piece layer of \"{path}\" does not have the file's \"pieces root\"")]
    LayerRoot {
        /// The file.
        path: TorrentPath,
    },
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
