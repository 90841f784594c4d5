//! The files of a torrent as one run of bytes.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};

use crate::layout::{BLOCK_LENGTH, Layout, PieceIndex};
use crate::metainfo::merkle::{self, Sha256Digest};
use crate::piece::hasher::Sha1Digest;

/// The most bytes that are read at once: enough to make calls cheap, little enough to be hashed from the cache.
const SLICE_BYTES: u64 = 512 * 1024;

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

    /// A place to read from; each thread has its own.
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { source: self, open: None, buffer: Vec::new() }
    }
}

/// Reads a [`Source`]; keeps the file open that it read last.
pub(super) struct Reader<'a> {
    source: &'a Source,
    open: Option<(usize, File)>,
    buffer: Vec<u8>,
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
    /// Reads and hashes these pieces. Every slice, its offset in the torrent first, goes to `then`, which may keep the
    /// buffer and leave another.
    pub(super) fn hash<E: From<ReadError>>(
        &mut self,
        pieces: Range<u32>,
        wanted: Wanted,
        mut then: impl FnMut(u64, &mut Vec<u8>) -> Result<(), E>,
    ) -> Result<Vec<PieceSum>, E> {
        let layout = &self.source.layout;
        let piece_length = u64::from(layout.piece_length());
        let Range { start: mut at, end } = self.source.range_of(&pieces);
        let mut sums = Vec::with_capacity(pieces.len());
        let mut sha1 = Sha1::new();
        let mut leaves = Vec::new();
        while at < end {
            let start = at;
            self.fill_buffer(start..end.min(start + SLICE_BYTES))?;
            let mut rest = &self.buffer[..];
            while !rest.is_empty() {
                let left = usize::try_from(piece_length - at % piece_length).expect("a piece length has 32 bits");
                let (part, tail) = rest.split_at(left.min(rest.len()));
                let piece = PieceIndex(u32::try_from(at / piece_length).expect("a torrent has fewer than 2^32 pieces"));
                if wanted.sha1 {
                    sha1.update(part);
                }
                if wanted.tree {
                    // Padding is no part of the tree.
                    let begin = at - layout.start_of(piece);
                    let own = u64::from(layout.length_of(piece)).saturating_sub(begin).min(part.len() as u64);
                    let own = &part[..usize::try_from(own).expect("it is at most the part's length")];
                    leaves.extend(own.chunks(BLOCK_LENGTH as usize).map(merkle::leaf));
                }
                at += part.len() as u64;
                if at.is_multiple_of(piece_length) || at == end {
                    let of_leaves = |leaves| merkle::root(leaves, 0, layout.tree_of(piece).piece_layer());
                    sums.push(PieceSum {
                        sha1: wanted.sha1.then(|| sha1.finalize_reset().into()),
                        tree: wanted.tree.then(|| of_leaves(std::mem::take(&mut leaves))),
                    });
                }
                rest = tail;
            }
            then(start, &mut self.buffer)?;
        }
        Ok(sums)
    }

    fn fill_buffer(&mut self, range: Range<u64>) -> Result<(), ReadError> {
        let length = usize::try_from(range.end - range.start).expect("a slice is short");
        self.buffer.resize(length, 0);
        let mut buffer = &mut self.buffer[..];
        for slice in self.source.layout.slices(range) {
            let (part, rest) = buffer.split_at_mut(usize::try_from(slice.length).expect("a slice is short"));
            match &self.source.paths[slice.file] {
                None => part.fill(0),
                Some(path) => open(&mut self.open, slice.file, path)
                    .and_then(|file| read_exact_at(file, part, slice.offset))
                    .map_err(|source| ReadError {
                        file: slice.file,
                        path: path.clone(),
                        offset: slice.offset,
                        source,
                    })?,
            }
            buffer = rest;
        }
        Ok(())
    }
}

/// The file of this number, opened unless it was the last one.
fn open<'a>(last: &'a mut Option<(usize, File)>, number: usize, path: &Path) -> io::Result<&'a File> {
    let open = match last.take() {
        Some(open) if open.0 == number => open,
        _ => (number, File::open(path)?),
    };
    Ok(&last.insert(open).1)
}

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
