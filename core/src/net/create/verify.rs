//! Which pieces of a torrent are on disk.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::crew::Crew;
use super::source::{PieceSum, ReadError, Reader, Source, Wanted};
use super::{Cancelled, Watch};
use crate::bitfield::Bitfield;
use crate::layout::{Layout, PieceIndex};
use crate::metainfo::{FileEntry, Metainfo, TorrentPath};
use crate::piece::PieceCheck;

/// What was found on disk.
#[derive(Debug)]
pub struct Verified {
    /// The pieces whose bytes are right.
    pub good: Bitfield,
    /// What is wrong with the files themselves, in the torrent's order. A file of the right length whose bytes are
    /// wrong is not among them; its pieces are missing from `good`.
    pub problems: Vec<FileProblem>,
}

impl Verified {
    /// Whether every byte is there, and no byte too much.
    pub fn is_complete(&self) -> bool {
        self.good.is_all() && self.problems.is_empty()
    }
}

/// A file that is not as the torrent says.
#[derive(Debug)]
pub struct FileProblem {
    /// The file.
    pub path: TorrentPath,
    /// What is wrong with it.
    pub what: Problem,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.path, self.what)
    }
}

/// How a file is not as the torrent says.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// Nothing is there.
    #[error("is missing")]
    Missing,
    /// A folder, a device, a socket.
    #[error("is not a file")]
    NotAFile,
    /// Another length.
    #[error("has {got} bytes; want {want}")]
    Length {
        /// The length on disk, in bytes.
        got: u64,
        /// The length that the torrent says.
        want: u64,
    },
    /// A file that the system does not give.
    #[error("cannot be read")]
    Unreadable(#[source] io::Error),
}

/// Reads the torrent's files and finds which pieces are right, on all cores.
///
/// `root` is the file itself, or the folder that holds the files; its name does not matter. Files that are missing or
/// cannot be read are no error: their pieces are not good. Blocks for as long as it takes.
pub fn verify(metainfo: &Metainfo, root: &Path, watch: Watch<'_>) -> Result<Verified, Cancelled> {
    let info = &metainfo.info;
    let layout = Layout::of(info);
    let path = |file: &FileEntry| {
        if info.is_single_file { root.to_owned() } else { root.join(file.path.to_path_buf()) }
    };
    let paths: Vec<Option<PathBuf>> = info.files.iter().map(|file| (!file.is_pad).then(|| path(file))).collect();

    let mut problems = BTreeMap::new();
    let mut readable = Bitfield::all(layout.piece_count());
    let mut start = 0;
    for (number, (file, path)) in info.files.iter().zip(&paths).enumerate() {
        if let Some((length, problem)) = path.as_deref().and_then(|path| look_at(path, file.length)) {
            pieces_of(&layout, start + length.min(file.length)..start + file.length).for_each(|piece| {
                readable.remove(piece);
            });
            problems.insert(number, problem);
        }
        start += file.length;
    }

    let source = Source::new(layout, paths);
    let crew = Crew::new(source.layout(), u32::MAX, watch);
    let shares = crew.work(|| Share::new(&source, metainfo).check_runs(&crew, &readable))?;
    let mut good = Bitfield::none(source.layout().piece_count());
    for share in shares {
        share.good.into_iter().for_each(|piece| {
            good.insert(piece);
        });
        for (number, problem) in share.problems {
            problems.entry(number).or_insert(problem);
        }
    }
    let problem = |(number, what): (usize, Problem)| FileProblem { path: info.files[number].path.clone(), what };
    Ok(Verified { good, problems: problems.into_iter().map(problem).collect() })
}

/// The bytes there are and what is wrong, or `None` if the file looks right.
fn look_at(path: &Path, want: u64) -> Option<(u64, Problem)> {
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => Some((0, Problem::NotAFile)),
        Ok(metadata) if metadata.len() == want => None,
        Ok(metadata) => Some((metadata.len(), Problem::Length { got: metadata.len(), want })),
        Err(error) if is_absence(&error) => Some((0, Problem::Missing)),
        Err(error) => Some((0, Problem::Unreadable(error))),
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The pieces that have bytes of this range.
fn pieces_of(layout: &Layout, range: Range<u64>) -> impl Iterator<Item = PieceIndex> {
    let piece_length = u64::from(layout.piece_length());
    let (first, end) = (range.start / piece_length, range.end.div_ceil(piece_length));
    let end = if range.is_empty() { first } else { end };
    (first..end).map(|piece| PieceIndex(u32::try_from(piece).expect("the range lies within the torrent")))
}

/// The work and findings of one thread.
struct Share<'a> {
    source: &'a Source,
    reader: Reader<'a>,
    metainfo: &'a Metainfo,
    good: Vec<PieceIndex>,
    problems: Vec<(usize, Problem)>,
}

/// Why a run of pieces was left.
enum Left {
    Unreadable(ReadError),
    Cancelled(Cancelled),
}

impl From<ReadError> for Left {
    fn from(error: ReadError) -> Self {
        Self::Unreadable(error)
    }
}

impl<'a> Share<'a> {
    fn new(source: &'a Source, metainfo: &'a Metainfo) -> Self {
        Self { source, reader: source.reader(), metainfo, good: Vec::new(), problems: Vec::new() }
    }

    fn check_runs(mut self, crew: &Crew<'_>, readable: &Bitfield) -> Result<Self, Cancelled> {
        while let Some(run) = crew.claim() {
            crew.check()?;
            let mut start = run.start;
            while start < run.end {
                let is_readable = readable.has(PieceIndex(start));
                let end = (start..run.end).find(|piece| readable.has(PieceIndex(*piece)) != is_readable);
                let part = start..end.unwrap_or(run.end);
                start = part.end;
                if is_readable {
                    self.check_part(part, crew)?;
                } else {
                    crew.advance(self.length_of(&part))?;
                }
            }
        }
        Ok(self)
    }

    /// Checks pieces that should be readable; if they are not, one by one.
    fn check_part(&mut self, part: Range<u32>, crew: &Crew<'_>) -> Result<(), Cancelled> {
        let bytes = self.length_of(&part);
        let is_tree = self.metainfo.layers().is_some();
        let wanted = Wanted { sha1: !is_tree, tree: is_tree };
        match self.reader.hash(part.clone(), wanted, |_, _| crew.check().map_err(Left::Cancelled)) {
            Ok(sums) => {
                let layout = self.source.layout();
                let is_right = |(piece, sum): &(PieceIndex, PieceSum)| match self.metainfo.check_of(layout, *piece) {
                    PieceCheck::Sha1(check) => sum.sha1 == Some(check.digest),
                    PieceCheck::Tree { root, .. } => sum.tree == Some(root),
                };
                let right = part.map(PieceIndex).zip(sums).filter(is_right);
                self.good.extend(right.map(|(piece, _)| piece));
                crew.advance(bytes)
            }
            Err(Left::Cancelled(cancelled)) => Err(cancelled),
            Err(Left::Unreadable(error)) if part.len() == 1 => {
                self.problems.push((error.file, Problem::Unreadable(error.source)));
                crew.advance(bytes)
            }
            Err(Left::Unreadable(_)) => part.into_iter().try_for_each(|piece| self.check_part(piece..piece + 1, crew)),
        }
    }

    fn length_of(&self, part: &Range<u32>) -> u64 {
        let range = self.source.range_of(part);
        range.end - range.start
    }
}
