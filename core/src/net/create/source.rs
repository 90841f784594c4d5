//! The files of a torrent as one run of bytes.

use std::fs::File;
use std::io;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::num::NonZeroU64;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::slice;

use crate::layout::{BLOCK_LENGTH, Layout, PieceIndex};
use crate::metainfo::merkle::{self, Sha256Digest};
use crate::piece::sha1::{Job, Sha1, Sha1Digest, TOGETHER, update_together};

/// The most bytes of a piece that are read at once: enough to make calls cheap, little enough for those of
/// [`TOGETHER`] pieces to be hashed from the cache.
const SLICE_BYTES: u64 = 64 * 1024;

/// The system is told ahead of so many bytes of each piece, since it takes reads that go from piece to piece for
/// random ones: a disk that seeks is to read long runs.
const WINDOW_BYTES: u64 = 2 * 1024 * 1024;

/// Files end to end.
pub(super) struct Source {
    layout: Layout,
    /// `None` for padding, which is all zeros and on no disk.
    paths: Vec<Option<PathBuf>>,
}

/// A file that could not be read.
pub(super) struct ReadError {
    /// The file's number.
    pub(super) file: usize,
    pub(super) path: PathBuf,
    /// The offset within the file.
    pub(super) offset: u64,
    pub(super) source: io::Error,
}

impl Source {
    pub(super) fn new(layout: Layout, paths: Vec<Option<PathBuf>>) -> Self {
        Self { layout, paths }
    }

    pub(super) const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The range of the torrent's bytes that these pieces cover.
    pub(super) fn range_of(&self, pieces: &Range<u32>) -> Range<u64> {
        let start_of = |piece| (u64::from(piece) * u64::from(self.layout.piece_length())).min(self.layout.length());
        start_of(pieces.start)..start_of(pieces.end)
    }

    /// Reads a range of the torrent's bytes, with the file that was open last.
    fn read(&self, open: &mut Option<(usize, File)>, range: Range<u64>, into: &mut Vec<u8>) -> Result<(), ReadError> {
        into.resize(usize::try_from(range.end - range.start).expect("a slice is short"), 0);
        let mut rest = &mut into[..];
        for slice in self.layout.slices(range) {
            let (part, tail) = rest.split_at_mut(usize::try_from(slice.length).expect("a slice is short"));
            match &self.paths[slice.file] {
                None => part.fill(0),
                Some(path) => {
                    let read = reopen(open, slice.file, path).and_then(|file| read_exact_at(file, part, slice.offset));
                    let (file, offset) = (slice.file, slice.offset);
                    read.map_err(|source| ReadError { file, path: path.clone(), offset, source })?;
                }
            }
            rest = tail;
        }
        Ok(())
    }

    /// Tells the system that a range of the torrent's bytes is read soon. What goes wrong, the reads will tell.
    fn expect(&self, open: &mut Option<(usize, File)>, range: Range<u64>) {
        for slice in self.layout.slices(range) {
            let Some(path) = &self.paths[slice.file] else { continue };
            if let Ok(file) = reopen(open, slice.file, path) {
                expect_reads(file, slice.offset..slice.offset + slice.length);
            }
        }
    }

    /// A place to read from; each thread has its own.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { source: self, open: None, slices: Default::default() }
    }
}

/// Reads a [`Source`]; keeps the file open that it read last.
pub(super) struct Reader<'a> {
    source: &'a Source,
    open: Option<(usize, File)>,
    /// What was read last of each of the pieces that are hashed together.
    slices: [Vec<u8>; TOGETHER as usize],
}

/// Which hashes of pieces are to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) sha1: bool,
    pub(super) tree: bool,
}

/// The hashes of one piece that were wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PieceSum {
    pub(super) sha1: Option<Sha1Digest>,
    /// The hash of its blocks' tree.
    pub(super) tree: Option<Sha256Digest>,
}

impl Reader<'_> {
    /// Reads and hashes these pieces, [`TOGETHER`] at a time. Every slice, its offset in the torrent first, goes to
    /// `then`, which may keep the buffer and leave another. Those of one piece come in order.
    pub(super) fn hash<E: From<ReadError>>(
        &mut self,
        pieces: Range<u32>,
        wanted: Wanted,
        mut then: impl FnMut(u64, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Vec<PieceSum>, E> {
        let mut sums = Vec::with_capacity(pieces.len());
        let mut pieces = pieces.map(PieceIndex).peekable();
        while pieces.peek().is_some() {
            let mut begun: Vec<_> =
                pieces.by_ref().take(TOGETHER as usize).map(|piece| Begun::new(self.source, piece)).collect();
            while begun.iter().any(|piece| !piece.is_done()) {
                self.go_on(&mut begun, wanted, &mut then)?;
            }
            sums.extend(begun.into_iter().map(|piece| piece.finish(&self.source.layout, wanted)));
        }
        Ok(sums)
    }

    /// Reads and hashes a slice of each of these pieces.
    fn go_on<E: From<ReadError>>(
        &mut self,
        begun: &mut [Begun],
        wanted: Wanted,
        then: &mut impl FnMut(u64, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Self { source, open, slices } = self;
        begun.iter().filter_map(Begun::window).for_each(|window| source.expect(open, window));
        for (piece, slice) in begun.iter().zip(&mut *slices) {
            source.read(open, piece.next(), slice)?;
        }
        if wanted.sha1 {
            let jobs = begun.iter_mut().zip(&*slices);
            update_together(jobs.map(|(piece, slice)| Job { hash: &mut piece.sha1, runs: slice::from_ref(slice) }));
        }
        for (piece, slice) in begun.iter_mut().zip(slices).filter(|(piece, _)| !piece.is_done()) {
            let Range { start, end } = piece.next();
            if wanted.tree {
                // Padding is no part of the tree.
                let own = piece.content_end.saturating_sub(start).min(slice.len() as u64);
                let own = &slice[..usize::try_from(own).expect("it is at most the slice's length")];
                piece.leaves.extend(own.chunks(BLOCK_LENGTH as usize).map(merkle::leaf));
            }
            piece.rest.start = end;
            then(start, slice)?;
        }
        Ok(())
    }
}

/// A piece that is being hashed.
struct Begun {
    piece: PieceIndex,
    /// Where it begins in the torrent.
    start: u64,
    /// What is not read yet, as a range of the torrent's bytes.
    rest: Range<u64>,
    /// Where its padding begins.
    content_end: u64,
    sha1: Sha1,
    leaves: Vec<Sha256Digest>,
}

impl Begun {
    fn new(source: &Source, piece: PieceIndex) -> Self {
        let rest = source.range_of(&(piece.0..piece.0 + 1));
        let start = rest.start;
        Self {
            piece,
            start,
            rest,
            content_end: start + u64::from(source.layout.length_of(piece)),
            sha1: Sha1::default(),
            leaves: Vec::new(),
        }
    }

    fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// The slice that comes next.
    fn next(&self) -> Range<u64> {
        self.rest.start..self.rest.end.min(self.rest.start + SLICE_BYTES)
    }

    /// The window that comes next, if it begins here and is more than one slice: those are read in order.
    fn window(&self) -> Option<Range<u64>> {
        let Range { start, end } = self.rest;
        let begins = (start - self.start).is_multiple_of(WINDOW_BYTES) && start + SLICE_BYTES < end;
        begins.then(|| start..end.min(start + WINDOW_BYTES))
    }

    fn finish(self, layout: &Layout, wanted: Wanted) -> PieceSum {
        PieceSum {
            sha1: wanted.sha1.then(|| self.sha1.finish()),
            tree: wanted.tree.then(|| merkle::root(self.leaves, 0, layout.tree_of(self.piece).piece_layer())),
        }
    }
}

/// The file of this number, opened unless it was the last one.
fn reopen<'a>(last: &'a mut Option<(usize, File)>, number: usize, path: &Path) -> io::Result<&'a File> {
    let open = match last.take() {
        Some(open) if open.0 == number => open,
        _ => (number, File::open(path)?),
    };
    Ok(&last.insert(open).1)
}

/// Has the system begin to read what is not in its cache yet.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn expect_reads(file: &File, mut range: Range<u64>) {
    /// Of more than that Linux reads the beginning only.
    const MOST: u64 = 128 * 1024;
    while let Some(length) = NonZeroU64::new((range.end - range.start).min(MOST)) {
        if rustix::fs::fadvise(file, range.start, Some(length), rustix::fs::Advice::WillNeed).is_err() {
            return;
        }
        range.start += length.get();
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
const fn expect_reads(_: &File, _: Range<u64>) {}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    while !buffer.is_empty() {
        match file.seek_read(buffer, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}
