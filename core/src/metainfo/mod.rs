//! What a `.torrent` file says (BEP 3).

/// The part of the metainfo that the info-hash covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// The length of every piece but the last, in bytes.
    pub piece_length: u32,
    /// The files, end to end.
    pub files: Vec<FileEntry>,
}

/// One file of a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// The file's length, in bytes.
    pub length: u64,
}
