//! The hashes of files' pieces, and copies made on the way.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::copies::Copies;
use super::crew::Crew;
use super::ordered::OrderedHash;
use super::source::{PieceSum, ReadError, Source, Wanted};
use super::{Cancelled, Watch};
use crate::bencode::Limits;
use crate::layout::Layout;
use crate::metainfo::merkle::{self, Sha256Digest, Tree};
use crate::metainfo::{FileTree, PieceHashes, TorrentVersion};

/// What [`hash_pieces`] does besides hashing pieces.
#[derive(Clone, Copy, Debug, Default)]
pub struct HashOptions<'a> {
    /// Also make the SHA-256 of the whole content.
    pub sha256: bool,
    /// Also copy each file to the path of the same place in this list. None may exist; folders are made.
    pub copy_to: Option<&'a [PathBuf]>,
    /// Which hashes to make.
    pub version: TorrentVersion,
}

/// The hashes that a torrent has of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentHashes {
    /// The SHA-1 of every piece; `None` for v2 alone.
    pub pieces: Option<PieceHashes>,
    /// The tree of every file that has bytes, in order; none for v1.
    pub trees: Vec<FileTree>,
}

/// The hashes of files, end to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// The hashes of pieces and files.
    pub hashes: ContentHashes,
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
/// Where there are to be trees, every file begins a piece, and padding of zeros fills the gaps (BEP 47).
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
    checked_layout(files, piece_length)?;
    let spread = Spread::new(files, piece_length, options.version);
    let stamps: Vec<_> = files.iter().map(|(path, length)| stamp(path, *length)).collect::<Result<_, _>>()?;
    let copies = match options.copy_to {
        Some(targets) => {
            assert_eq!(targets.len(), files.len(), "one copy for each file");
            Some(Copies::make(files, targets, spread.numbers())?)
        }
        None => None,
    };
    // Where there is a clone, it is read: nobody else writes to it.
    let clone_of = |file| copies.as_ref().and_then(|copies| copies.clone_of(file));
    let path_of = |file: usize| clone_of(file).unwrap_or(&files[file].0).to_owned();
    let paths = spread.files.iter().map(|(file, _)| file.map(path_of)).collect();
    let layout = Layout::padded(piece_length, spread.files.iter().map(|(file, length)| (*length, file.is_none())));
    let job = Job { source: &Source::new(layout, paths), spread: &spread, copies: copies.as_ref(), options };
    let hashed = job.run(watch)?;
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

/// The files as they lie in the torrent, with the padding between them.
struct Spread {
    /// Each with its number among the caller's files, none for padding, and its length.
    files: Vec<(Option<usize>, u64)>,
    /// Where each stretch of padding begins in the torrent, how long it is, and how much of it there was before.
    gaps: Vec<(u64, u64, u64)>,
}

impl Spread {
    fn new(files: &[(PathBuf, u64)], piece_length: u32, version: TorrentVersion) -> Self {
        let mut spread = Self { files: Vec::with_capacity(files.len()), gaps: Vec::new() };
        let (mut end, mut padding) = (0_u64, 0);
        for (number, (_, length)) in files.iter().enumerate() {
            let gap = end.next_multiple_of(u64::from(piece_length)) - end;
            if version.has_v2() && gap > 0 {
                spread.gaps.push((end, gap, padding));
                spread.files.push((None, gap));
                (end, padding) = (end + gap, padding + gap);
            }
            spread.files.push((Some(number), *length));
            end += length;
        }
        spread
    }

    /// The number of each among the caller's files; none for padding.
    fn numbers(&self) -> Vec<Option<usize>> {
        self.files.iter().map(|(number, _)| *number).collect()
    }

    /// How many bytes of the files lie before this place in the torrent.
    fn content_before(&self, offset: u64) -> u64 {
        let before = self.gaps.partition_point(|(start, ..)| *start < offset);
        let padding = before.checked_sub(1).map_or(0, |last| {
            let (start, length, sum) = self.gaps[last];
            sum + length.min(offset - start)
        });
        offset - padding
    }

    /// Takes the padding out of a slice of the torrent.
    fn drop_padding(&self, layout: &Layout, offset: u64, slice: &mut Vec<u8>) {
        let end = offset + slice.len() as u64;
        if self.content_before(end) - self.content_before(offset) == slice.len() as u64 {
            return;
        }
        let mut kept = Vec::with_capacity(slice.len());
        let mut rest = &slice[..];
        for part in layout.slices(offset..end) {
            let (here, behind) = rest.split_at(usize::try_from(part.length).expect("a slice is short"));
            if self.files[part.file].0.is_some() {
                kept.extend_from_slice(here);
            }
            rest = behind;
        }
        *slice = kept;
    }

    /// The trees of the files, of the hashes of their pieces.
    fn trees(&self, piece_length: u32, mut pieces: impl Iterator<Item = Sha256Digest>) -> Vec<FileTree> {
        let files = self.files.iter().filter(|(number, length)| number.is_some() && *length > 0);
        let tree_of = |(_, length): &(Option<usize>, u64)| {
            let tree = Tree::new(*length, piece_length);
            let count = usize::try_from(tree.covering(tree.piece_layer())).expect("the hashes are in memory");
            let layer: Vec<Sha256Digest> = pieces.by_ref().take(count).collect();
            let root = merkle::root(layer.clone(), tree.piece_layer(), tree.height() - tree.piece_layer());
            FileTree { root, layer: layer.concat() }
        };
        files.map(tree_of).collect()
    }
}

/// What is to be hashed, and what is to be made of it.
struct Job<'a> {
    source: &'a Source,
    spread: &'a Spread,
    copies: Option<&'a Copies>,
    options: HashOptions<'a>,
}

/// Hashes of pieces that follow one another.
struct HashedRun {
    first_piece: u32,
    sums: Vec<PieceSum>,
}

impl Job<'_> {
    fn run(&self, watch: Watch<'_>) -> Result<Hashed, HashError> {
        let layout = self.source.layout();
        let most = if self.options.sha256 { MOST_OUT_OF_ORDER } else { u32::MAX };
        let crew = Crew::new(layout, most, watch);
        let ordered = self.options.sha256.then(|| OrderedHash::new(crew.window_bytes(layout.piece_length())));
        let runs = crew.work(|| {
            let sums = self.hash_runs(ordered.as_ref(), &crew);
            if let (Err(_), Some(ordered)) = (&sums, &ordered) {
                ordered.abandon();
            }
            sums
        })?;
        let mut runs: Vec<_> = runs.into_iter().flatten().collect();
        runs.sort_unstable_by_key(|run| run.first_piece);
        let sums = || runs.iter().flat_map(|run| &run.sums);
        let version = self.options.version;
        let trees = || self.spread.trees(layout.piece_length(), sums().filter_map(|sum| sum.tree));
        Ok(Hashed {
            hashes: ContentHashes {
                pieces: version.has_v1().then(|| sums().filter_map(|sum| sum.sha1).collect()),
                trees: if version.has_v2() { trees() } else { Vec::new() },
            },
            sha256: ordered.map(OrderedHash::finish),
            length: self.spread.content_before(layout.length()),
            is_reflinked: self.copies.is_some_and(Copies::are_clones),
        })
    }

    /// The share of one thread.
    fn hash_runs(&self, ordered: Option<&OrderedHash>, crew: &Crew<'_>) -> Result<Vec<HashedRun>, HashError> {
        let layout = self.source.layout();
        let wanted = Wanted { sha1: self.options.version.has_v1(), tree: self.options.version.has_v2() };
        let mut reader = self.source.reader();
        let mut writer = self.copies.map(Copies::writer);
        let mut runs = Vec::new();
        while let Some(pieces) = crew.claim() {
            if let Some(ordered) = ordered {
                let start = u64::from(pieces.start) * u64::from(layout.piece_length());
                ordered.wait_for(self.spread.content_before(start));
            }
            crew.check()?;
            let sums = reader.hash(pieces.clone(), wanted, |offset, slice| {
                if let Some(writer) = &mut writer {
                    writer.write(layout, offset..offset + slice.len() as u64, slice)?;
                }
                self.spread.drop_padding(layout, offset, slice);
                let length = slice.len() as u64;
                if let Some(ordered) = ordered.filter(|_| length > 0) {
                    ordered.put(self.spread.content_before(offset), slice);
                }
                crew.advance(length).map_err(HashError::from)
            })?;
            runs.push(HashedRun { first_piece: pieces.start, sums });
        }
        Ok(runs)
    }
}

/// The most bytes that a thread takes at once if they wait in memory for those before them.
const MOST_OUT_OF_ORDER: u32 = 4 * 1024 * 1024;

/// As many hashes as a `.torrent` file that is read can hold.
const MAX_PIECES: u64 = Limits::METAINFO.bytes as u64 / 20;
