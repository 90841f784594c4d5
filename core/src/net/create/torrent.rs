//! Making a torrent of a file or a folder.

use std::ffi::OsStr;
use std::fs::{self, DirEntry, FileType};
use std::io;
use std::path::{Path, PathBuf};

use super::Watch;
use super::hash::{ContentHashes, HashError, HashOptions, checked_layout, hash_pieces};
use crate::metainfo::{
    FileEntry, Info, Metainfo, MetainfoBuilder, MetainfoError, PathError, PieceHashes, TorrentPath, TorrentVersion,
    piece_length_for,
};

/// What a torrent says besides its content.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// Which versions of the protocol it speaks.
    pub version: TorrentVersion,
    /// Bytes to a piece: a power of two from 16 KiB to 64 MiB. By default [`piece_length_for`] chooses.
    pub piece_length: Option<u32>,
    /// The torrent's name; by default that of the file or folder.
    pub name: Option<String>,
    /// Announce URLs in tiers (BEP 12).
    pub trackers: Vec<Vec<String>>,
    /// URLs of HTTP servers that have the content (BEP 19).
    pub web_seeds: Vec<String>,
    /// Whether peers may come from the torrent's own trackers only (BEP 27).
    pub private: bool,
    /// A word from the author.
    pub comment: Option<String>,
    /// The program that makes the torrent.
    pub created_by: Option<String>,
    /// When the torrent is made, in seconds since 1970, UTC. Without it, equal content gives equal bytes.
    pub creation_date: Option<i64>,
}

/// The files that a torrent of some path would hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The name of the file or folder.
    pub name: TorrentPath,
    /// Whether the path is a file.
    pub is_single_file: bool,
    /// The files in the torrent's order: by path, name by name, as bytes.
    pub files: Vec<FoundFile>,
    /// Hidden and system files that were left out.
    pub left_out: Vec<PathBuf>,
}

/// One file that a torrent would hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFile {
    /// Its path in the torrent.
    pub path: TorrentPath,
    /// Its path on disk.
    pub on_disk: PathBuf,
    /// Its length, in bytes.
    pub length: u64,
}

impl Found {
    /// The length of all files together, in bytes.
    pub fn length(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.length))
    }

    /// The files as [`hash_pieces`] takes them.
    pub fn to_hash(&self) -> Vec<(PathBuf, u64)> {
        self.files.iter().map(|file| (file.on_disk.clone(), file.length)).collect()
    }

    /// The torrent of these files.
    pub fn builder(
        &self,
        name: TorrentPath,
        piece_length: u32,
        hashes: ContentHashes,
    ) -> Result<MetainfoBuilder, MetainfoError> {
        let ContentHashes { pieces, trees } = hashes;
        let (is_v1, is_v2) = (pieces.is_some(), !trees.is_empty());
        let pieces = pieces.unwrap_or_else(|| PieceHashes::from_iter([]));
        let builder = if self.is_single_file {
            MetainfoBuilder::file(name, self.length(), piece_length, pieces)
        } else {
            let files = self.files.iter().map(|file| FileEntry::new(file.path.clone(), file.length)).collect();
            let files = if is_v2 { MetainfoBuilder::padded(files, piece_length)? } else { files };
            MetainfoBuilder::folder(name, files, piece_length, pieces)
        };
        let builder = builder.trees(trees);
        Ok(if is_v1 { builder } else { builder.without_v1() })
    }
}

/// Why no torrent was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// A file or folder that cannot be read.
    #[error("read `{}`", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A symbolic link within the folder.
    #[error("`{}` is a symbolic link; a torrent holds files only", path.display())]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// A device, a pipe, a socket.
    #[error("`{}` is neither a file nor a folder", path.display())]
    Special {
        /// What it is not.
        path: PathBuf,
    },
    /// A file name that others could not create.
    #[error("`{}` cannot be named in a torrent", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PathError,
    },
    /// A file name longer than others could create.
    #[error("`{}` has a name of more than {} bytes", path.display(), TorrentPath::MAX_NAME_BYTES)]
    LongName {
        /// The file.
        path: PathBuf,
    },
    /// A name given in the options that cannot be one.
    #[error("the torrent cannot have that name")]
    GivenName(#[source] PathError),
    /// A folder without files, or with empty ones only.
    #[error("`{}` has no content", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
    },
    /// More files than a torrent may have.
    #[error("`{}` holds more than {} files", path.display(), Info::MAX_FILES)]
    TooManyFiles {
        /// The folder.
        path: PathBuf,
    },
    /// A piece length that other clients refuse.
    #[error("piece length is {got} bytes; want a power of two from 16384 to {}", Info::MAX_PIECE_LENGTH)]
    PieceLength {
        /// The length that was wanted.
        got: u32,
    },
    /// The files could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The parts do not make a torrent.
    #[error(transparent)]
    Metainfo(#[from] MetainfoError),
}

impl CreateError {
    /// What the user may do about it, where that is not plain from the error.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Symlink { .. } => Some("put the file itself in the link's place, or move the link out of the folder"),
            Self::Special { .. } => Some("move it out of the folder"),
            Self::Name { .. } | Self::LongName { .. } | Self::Metainfo(MetainfoError::Collision { .. }) => {
                Some("rename the file, so that every system can have it")
            }
            Self::Hash(HashError::Changed { .. } | HashError::Length { .. }) => {
                Some("wait until nothing writes to the file any more, then try again")
            }
            Self::Hash(HashError::TooManyPieces { .. }) => Some("choose longer pieces, or leave the choice to us"),
            _ => None,
        }
    }
}

/// Makes the torrent of a file, or of all files in a folder and its folders.
///
/// Everything that would be refused after hashing is refused before it. Blocks for as long as it takes.
pub fn create_torrent(path: &Path, options: &CreateOptions, watch: Watch<'_>) -> Result<Metainfo, CreateError> {
    let found = find_files(path)?;
    let piece_length = match options.piece_length {
        None => piece_length_for(found.length()),
        Some(got) if got.is_power_of_two() && (SHORTEST_PIECE..=Info::MAX_PIECE_LENGTH).contains(&got) => got,
        Some(got) => return Err(CreateError::PieceLength { got }),
    };
    let name = match &options.name {
        Some(name) => TorrentPath::new([name]).map_err(CreateError::GivenName)?,
        None => found.name.clone(),
    };
    let build = |hashes| {
        found
            .builder(name.clone(), piece_length, hashes)?
            .trackers(options.trackers.clone())
            .web_seeds(options.web_seeds.clone())
            .private(options.private)
            .comment(options.comment.clone())
            .created_by(options.created_by.clone())
            .creation_date(options.creation_date)
            .build()
    };
    let to_hash = found.to_hash();
    let piece_count = checked_layout(&to_hash, piece_length)?.piece_count();
    // A draft, so that nobody waits for hashes to be told that two names collide.
    let draft = (0..piece_count).map(|_| [0; 20]).collect();
    build(ContentHashes { pieces: Some(draft), trees: Vec::new() })?;
    let hash_options = HashOptions { version: options.version, ..HashOptions::default() };
    let hashed = hash_pieces(&to_hash, piece_length, hash_options, watch)?;
    Ok(build(hashed.hashes)?)
}

/// The files that a torrent of `path` would hold.
///
/// Within a folder, files and folders whose name begins with a dot are left out, and so are `Thumbs.db` and
/// `desktop.ini`, which Windows scatters. A symbolic link within it is refused: what it points to is not in the folder,
/// and a link in a torrent is a trap. The path that was given may be a link itself. Empty folders leave no trace.
pub fn find_files(path: &Path) -> Result<Found, CreateError> {
    let read_error = |source| CreateError::Read { path: path.into(), source };
    let metadata = fs::metadata(path).map_err(read_error)?;
    // `.` and `..` are named by what they stand for.
    let named = if path.file_name().is_some() { path.to_owned() } else { path.canonicalize().map_err(read_error)? };
    let name = torrent_path(&named, named.file_name().into_iter())?;
    let mut found = Found { name, is_single_file: metadata.is_file(), files: Vec::new(), left_out: Vec::new() };
    if metadata.is_file() {
        found.files.push(FoundFile { path: found.name.clone(), on_disk: path.into(), length: metadata.len() });
    } else if metadata.is_dir() {
        walk(path, &mut found)?;
    } else {
        return Err(CreateError::Special { path: path.into() });
    }
    if found.length() == 0 {
        return Err(CreateError::Empty { path: path.into() });
    }
    Ok(found)
}

/// Finds the files within a folder, without recursion.
fn walk(root: &Path, found: &mut Found) -> Result<(), CreateError> {
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let read_error = |source| CreateError::Read { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(read_error)? {
            let entry = entry.map_err(read_error)?;
            let on_disk = entry.path();
            if is_left_out(&entry) {
                found.left_out.push(on_disk);
                continue;
            }
            match kind_of(&entry)? {
                kind if kind.is_dir() => folders.push(on_disk),
                kind if kind.is_file() => found.files.push(found_file(root, on_disk)?),
                kind if kind.is_symlink() => return Err(CreateError::Symlink { path: on_disk }),
                _ => return Err(CreateError::Special { path: on_disk }),
            }
            if found.files.len() > Info::MAX_FILES {
                return Err(CreateError::TooManyFiles { path: root.into() });
            }
        }
    }
    found.files.sort_unstable_by(|a, b| a.path.components().cmp(b.path.components()));
    found.left_out.sort_unstable();
    Ok(())
}

fn is_left_out(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.as_encoded_bytes();
    name.starts_with(b".") || name.eq_ignore_ascii_case(b"thumbs.db") || name.eq_ignore_ascii_case(b"desktop.ini")
}

fn kind_of(entry: &DirEntry) -> Result<FileType, CreateError> {
    entry.file_type().map_err(|source| CreateError::Read { path: entry.path(), source })
}

fn found_file(root: &Path, on_disk: PathBuf) -> Result<FoundFile, CreateError> {
    let within = on_disk.strip_prefix(root).expect("the walk stays within its root");
    let path = torrent_path(&on_disk, within.iter())?;
    let metadata = fs::metadata(&on_disk).map_err(|source| CreateError::Read { path: on_disk.clone(), source })?;
    Ok(FoundFile { path, length: metadata.len(), on_disk })
}

/// The names as a torrent's path, if none of them has to be changed for it.
fn torrent_path<'a>(
    on_disk: &Path,
    names: impl Iterator<Item = &'a OsStr> + Clone,
) -> Result<TorrentPath, CreateError> {
    let names = names.map(OsStr::as_encoded_bytes);
    if names.clone().any(|name| name.len() > TorrentPath::MAX_NAME_BYTES) {
        return Err(CreateError::LongName { path: on_disk.into() });
    }
    TorrentPath::new(names).map_err(|source| CreateError::Name { path: on_disk.into(), source })
}

/// One block: other clients refuse shorter pieces.
const SHORTEST_PIECE: u32 = 16 * 1024;
