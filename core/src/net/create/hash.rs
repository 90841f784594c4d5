//! The hashes of files' pieces, and copies made on the way.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::copies::Copies;
use super::crew::Crew;
use super::ordered::OrderedHash;
use super::source::{ReadError, Source, Wanted};
use super::{Cancelled, Watch};
use crate::bencode::Limits;
use crate::layout::Layout;
use crate::metainfo::PieceHashes;

/// What [`hash_pieces`] does besides hashing pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct HashOptions<'a> {
    /// Also make the SHA-256 of the whole content.
    pub sha256: bool,
    /// Also copy each file to the path of the same place in this list. None may exist; folders are made.
    pub copy_to: Option<&'a [PathBuf]>,
}

/// The hashes of files, end to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// The SHA-1 of every piece.
    pub pieces: PieceHashes,
    /// The SHA-256 of all bytes in order, if it was wanted.
    pub sha256: Option<[u8; 32]>,
    /// The bytes there were.
    pub length: u64,
    /// Whether every copy shares its bytes with its original on disk; false if none was wanted.
    pub is_reflinked: bool,
}

/// Why files could not be hashed or copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// A file that cannot be opened.
    #[error("open `{}`", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder, a device, a socket.
    #[error("`{}` is not a file", path.display())]
    NotAFile {
        /// What is no file.
        path: PathBuf,
    },
    /// A file of another length than was said.
    #[error("`{}` has {got} bytes; want {want}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length, in bytes.
        got: u64,
        /// The length that was said.
        want: u64,
    },
    /// A file that somebody wrote to while it was read.
    #[error("`{}` changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A file that cannot be read.
    #[error("read `{}` at byte {offset}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The offset within the file.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// A copy that cannot be written.
    #[error("write `{}`", path.display())]
    Copy {
        /// The copy.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// More pieces than a torrent can have.
    #[error("{length} bytes in pieces of {piece_length} are too many for one torrent; want longer pieces")]
    TooManyPieces {
        /// The content's length, in bytes; `u64::MAX` if it is longer still.
        length: u64,
        /// The piece length, in bytes.
        piece_length: u32,
    },
    /// The caller's wish.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl From<ReadError> for HashError {
    fn from(error: ReadError) -> Self {
        let ReadError { path, offset, source, .. } = error;
        match source.kind() {
            io::ErrorKind::UnexpectedEof => Self::Changed { path },
            _ => Self::Read { path, offset, source },
        }
    }
}

/// Hashes the files, end to end, in pieces of `piece_length` bytes, on all cores; reads each byte once.
///
/// The lengths are those that the files must have. A file that is longer or shorter, or changes meanwhile, is refused.
/// Copies are on disk, synced, when this returns; after an error they are gone. Blocks for as long as it takes.
///
/// # Panics
/// If `piece_length` is 0, or the copies are not as many as the files.
pub fn hash_pieces(
    files: &[(PathBuf, u64)],
    piece_length: u32,
    options: HashOptions<'_>,
    watch: Watch<'_>,
) -> Result<Hashed, HashError> {
    let layout = checked_layout(files, piece_length)?;
    let stamps: Vec<_> = files.iter().map(|(path, length)| stamp(path, *length)).collect::<Result<_, _>>()?;
    let copies = match options.copy_to {
        Some(targets) => {
            assert_eq!(targets.len(), files.len(), "one copy for each file");
            Some(Copies::make(files, targets)?)
        }
        None => None,
    };
    // Where there is a clone, it is read: nobody else writes to it.
    let clone_of = |file| copies.as_ref().and_then(|copies| copies.clone_of(file));
    let paths = files.iter().enumerate().map(|(i, (path, _))| Some(clone_of(i).unwrap_or(path).to_owned())).collect();
    let hashed = hash_source(&Source::new(layout, paths), copies.as_ref(), options.sha256, watch)?;
    for ((path, length), stamp_before) in files.iter().zip(stamps) {
        match stamp(path, *length) {
            Ok(stamp_now) if stamp_now == stamp_before => {}
            Err(error @ HashError::Open { .. }) => return Err(error),
            _ => return Err(HashError::Changed { path: path.clone() }),
        }
    }
    if let Some(copies) = copies {
        copies.keep()?;
    }
    Ok(hashed)
}

/// The layout of the files, if they make no more pieces than a torrent can have.
pub(super) fn checked_layout(files: &[(PathBuf, u64)], piece_length: u32) -> Result<Layout, HashError> {
    let length = files.iter().fold(0_u64, |sum, (_, length)| sum.saturating_add(*length));
    if length.div_ceil(u64::from(piece_length)) > MAX_PIECES {
        return Err(HashError::TooManyPieces { length, piece_length });
    }
    Ok(Layout::new(piece_length, files.iter().map(|(_, length)| *length)))
}

/// When the file was last written to, where the system says so; an error if it is no file of this length.
fn stamp(path: &Path, want: u64) -> Result<Option<SystemTime>, HashError> {
    let metadata = fs::metadata(path).map_err(|source| HashError::Open { path: path.into(), source })?;
    if !metadata.is_file() {
        return Err(HashError::NotAFile { path: path.into() });
    }
    if metadata.len() != want {
        return Err(HashError::Length { path: path.into(), got: metadata.len(), want });
    }
    Ok(metadata.modified().ok())
}

fn hash_source(
    source: &Source,
    copies: Option<&Copies>,
    wants_sha256: bool,
    watch: Watch<'_>,
) -> Result<Hashed, HashError> {
    let layout = source.layout();
    let crew = Crew::new(layout, watch);
    let ordered = wants_sha256.then(|| OrderedHash::new(crew.window_bytes(layout.piece_length())));
    let runs = crew.work(|| {
        let hashes = hash_runs(source, copies, ordered.as_ref(), &crew);
        if let (Err(_), Some(ordered)) = (&hashes, &ordered) {
            ordered.abandon();
        }
        hashes
    })?;
    let mut runs: Vec<_> = runs.into_iter().flatten().collect();
    runs.sort_unstable_by_key(|run| run.first_piece);
    Ok(Hashed {
        pieces: runs.into_iter().flat_map(|run| run.hashes).collect(),
        sha256: ordered.map(OrderedHash::finish),
        length: layout.length(),
        is_reflinked: copies.is_some_and(Copies::are_clones),
    })
}

/// Hashes of pieces that follow one another.
struct HashedRun {
    first_piece: u32,
    hashes: Vec<[u8; 20]>,
}

/// The share of one thread.
fn hash_runs(
    source: &Source,
    copies: Option<&Copies>,
    ordered: Option<&OrderedHash>,
    crew: &Crew<'_>,
) -> Result<Vec<HashedRun>, HashError> {
    let layout = source.layout();
    let mut reader = source.reader();
    let mut writer = copies.map(Copies::writer);
    let mut runs = Vec::new();
    while let Some(pieces) = crew.claim() {
        if let Some(ordered) = ordered {
            ordered.wait_for(u64::from(pieces.start) * u64::from(layout.piece_length()));
        }
        crew.check()?;
        let sums = reader.hash(pieces.clone(), WANTED, |offset, slice| {
            let length = slice.len() as u64;
            if let Some(writer) = &mut writer {
                writer.write(layout, offset..offset + length, slice)?;
            }
            if let Some(ordered) = ordered {
                ordered.put(offset, slice);
            }
            crew.advance(length).map_err(HashError::from)
        })?;
        let hashes = sums.into_iter().filter_map(|sum| sum.sha1).collect();
        runs.push(HashedRun { first_piece: pieces.start, hashes });
    }
    Ok(runs)
}

const WANTED: Wanted = Wanted { sha1: true, tree: false };

/// As many hashes as a `.torrent` file that is read can hold.
const MAX_PIECES: u64 = Limits::METAINFO.bytes as u64 / 20;
