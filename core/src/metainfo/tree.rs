//! The files of a v2 torrent, as they stand in its `file tree`, and whether a hybrid's other half has the same.
//!
//! Every file begins a piece. What lies between two of them is padding to us, of which nothing is asked for or stored:
//! so v1, hybrid and v2 torrents are one run of bytes alike.
//!
//! Law: the files come in the order of the tree, whose names must be sorted; else two readers would see two torrents.
//! Source: BEP 52; attributes BEP 47.

use super::merkle::Sha256Digest;
use super::{FileEntry, Info, MetainfoError, TorrentPath};
use crate::bencode::Raw;

/// The files of `file tree`, without padding between them. `None` of the roots is a file without bytes.
pub(super) fn parse(raw: Raw<'_>) -> Result<Vec<FileEntry>, MetainfoError> {
    let mut files = Vec::new();
    if raw.get(b"").is_some() {
        return Err(MetainfoError::TreeIsFile);
    }
    walk(raw, &mut Vec::new(), &mut files)?;
    Ok(files)
}

/// As deep as bencode may be nested.
fn walk<'a>(folder: Raw<'a>, names: &mut Vec<&'a [u8]>, files: &mut Vec<FileEntry>) -> Result<(), MetainfoError> {
    let wrong_type = || MetainfoError::WrongType { key: "file tree", got: folder.kind(), want: "dictionary" };
    let mut last: Option<&[u8]> = None;
    for (name, entry) in folder.dict().ok_or_else(wrong_type)? {
        if last.replace(name).is_some_and(|last| last >= name) {
            return Err(MetainfoError::TreeOrder);
        }
        names.push(name);
        match entry.get(b"") {
            Some(file) => {
                if files.len() == Info::MAX_FILES {
                    return Err(MetainfoError::TooManyFiles);
                }
                let path = TorrentPath::new(&*names)?;
                if entry.dict().into_iter().flatten().count() > 1 {
                    return Err(MetainfoError::FileWithFiles { path });
                }
                files.push(parse_file(path, file)?);
            }
            None => walk(entry, names, files)?,
        }
        names.pop();
    }
    Ok(())
}

fn parse_file(path: TorrentPath, raw: Raw<'_>) -> Result<FileEntry, MetainfoError> {
    let attributes = raw.get(b"attr").and_then(Raw::string).unwrap_or_default();
    if raw.get(b"symlink path").is_some() || attributes.contains(&b'l') {
        return Err(MetainfoError::Symlink { path });
    }
    if attributes.contains(&b'p') {
        return Err(MetainfoError::PadInTree { path });
    }
    let length = raw.get(b"length").and_then(Raw::integer);
    let length = length.ok_or_else(|| MetainfoError::TreeLength { path: path.clone() })?;
    let length = u64::try_from(length).map_err(|_| MetainfoError::FileLength { path: path.clone(), got: length })?;
    let root = raw.get(b"pieces root").and_then(Raw::string).and_then(|root| Sha256Digest::try_from(root).ok());
    if length > 0 && root.is_none() {
        return Err(MetainfoError::NoRoot { path });
    }
    Ok(FileEntry { root: root.filter(|_| length > 0), ..FileEntry::new(path, length) })
}

/// What stands behind the last file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    Bare,
    /// Padding to the end of its piece, which libtorrent may ask for in v2 torrents.
    Padded,
}

/// The files with the padding that makes each begin a piece.
pub(super) fn align(files: Vec<FileEntry>, piece_length: u32, tail: Tail) -> Result<Vec<FileEntry>, MetainfoError> {
    let mut aligned = Vec::with_capacity(files.len());
    let mut end = 0_u64;
    for file in files {
        let gap = gap_at(end, piece_length);
        if gap > 0 {
            aligned.push(pad(gap));
            end += gap;
        }
        end = end
            .checked_add(file.length)
            .filter(|end| *end <= i64::MAX.unsigned_abs() / 2)
            .ok_or(MetainfoError::TooLong)?;
        aligned.push(file);
    }
    let gap = gap_at(end, piece_length);
    if tail == Tail::Padded && gap > 0 {
        aligned.push(pad(gap));
    }
    Ok(aligned)
}

/// Padding of this many bytes, with the name that it would have were it ever on a disk. BEP 47.
fn pad(length: u64) -> FileEntry {
    let path = TorrentPath::new([".pad", &length.to_string()]).expect("the names are plain");
    FileEntry { is_pad: true, ..FileEntry::new(path, length) }
}

/// The bytes from `end` to the end of its piece.
const fn gap_at(end: u64, piece_length: u32) -> u64 {
    end.next_multiple_of(piece_length as u64) - end
}

/// Gives a hybrid's files, as its v1 half has them, the roots of its v2 half, if both are the same files at the same
/// places.
pub(super) fn unite(files: &mut [FileEntry], tree: Vec<FileEntry>, piece_length: u32) -> Result<(), MetainfoError> {
    let mut twins = tree.into_iter();
    let (mut end, mut is_padded) = (0_u64, false);
    for file in files {
        let gap = gap_at(end, piece_length);
        if file.is_pad {
            if gap == 0 || file.length != gap || std::mem::replace(&mut is_padded, true) {
                return Err(MetainfoError::HybridPadding { at: end });
            }
        } else {
            if gap > 0 && file.length > 0 {
                return Err(MetainfoError::HybridAlignment { path: file.path.clone() });
            }
            let twin = twins.next().filter(|twin| twin.path == file.path && twin.length == file.length);
            file.root = twin.ok_or_else(|| MetainfoError::HybridFiles { path: file.path.clone() })?.root;
            is_padded = is_padded && file.length == 0;
        }
        end += file.length;
    }
    match twins.next() {
        Some(missing) => Err(MetainfoError::HybridFiles { path: missing.path }),
        None => Ok(()),
    }
}
