//! What is remembered of a torrent's files: which pieces are there, and how the files looked then.
//!
//! A record is believed only if its checksum is right, it is of the same torrent, and every file still has the size and
//! the time of its last change that the record tells. Whoever wrote to a file after the record makes it void.
//!
//! On disk a record is a bencoded dictionary with its SHA-1 behind it.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha1::{Digest as _, Sha1};

use super::durable::write_atomic;
use crate::bencode;
use crate::bitfield::Bitfield;
use crate::metainfo::InfoHash;

/// The version of the file's form.
const VERSION: u8 = 1;

/// Length in bytes and time of the last change in nanoseconds since 1970.
pub(crate) type Stamp = (u64, u64);

/// One torrent's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Resume {
    version: u8,
    info_hash: InfoHash,
    /// 1 if the files are under their final names.
    placed: u8,
    /// The bitfield, as on the wire.
    have: ByteBuf,
    files: Vec<Stamp>,
    /// Places of files that were left out, from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<u32>,
}

impl Resume {
    pub(crate) fn new(info_hash: InfoHash, have: &Bitfield, placed: bool, files: Vec<Stamp>) -> Self {
        let have = ByteBuf::from(have.as_bytes());
        Self { version: VERSION, info_hash, placed: u8::from(placed), have, files, left_out: Vec::new() }
    }

    /// The same of a torrent of which these files were left out.
    pub(crate) fn without(self, left_out: Vec<u32>) -> Self {
        Self { left_out, ..self }
    }

    /// Whether the file of this place in the metainfo's list was left out.
    pub(crate) fn leaves_out(&self, file: usize) -> bool {
        self.left_out.iter().any(|left_out| *left_out as usize == file)
    }

    /// Reads a record; `None` if there is none, or it is damaged or of another version.
    #[expect(clippy::disallowed_methods, reason = "the rim")]
    pub(crate) fn read(path: &Path) -> Option<Self> {
        if std::fs::metadata(path).ok()?.len() > bencode::Limits::METAINFO.bytes as u64 {
            return None;
        }
        let bytes = std::fs::read(path).ok()?;
        let (body, sum) = bytes.split_last_chunk::<20>()?;
        if <[u8; 20]>::from(Sha1::digest(body)) != *sum {
            return None;
        }
        bencode::decode(body, bencode::Limits::METAINFO).ok().filter(|resume: &Self| resume.version == VERSION)
    }

    /// Writes the record, durably.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let mut bytes = bencode::encode(self);
        bytes.extend_from_slice(&Sha1::digest(&bytes));
        write_atomic(path, &bytes, 0o600)
    }

    /// The pieces, if the record is of this torrent and the files are as it says.
    pub(crate) fn pieces(&self, info_hash: InfoHash, pieces: u32, placed: bool, files: &[Stamp]) -> Option<Bitfield> {
        let same = self.info_hash.matches(&info_hash) && self.placed == u8::from(placed) && self.files == files;
        same.then(|| Bitfield::from_wire(&self.have, pieces)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::PieceIndex;

    const HASH: [u8; 20] = [7; 20];

    fn record() -> (Resume, Bitfield) {
        let mut have = Bitfield::none(10);
        have.insert(PieceIndex(3));
        (Resume::new(InfoHash::from_v1(HASH), &have, false, vec![(5, 6)]), have)
    }

    #[test]
    fn a_record_is_believed_only_while_the_files_are_as_it_says() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub").join("record");
        let (resume, have) = record();
        resume.write(&path).unwrap();
        let read = Resume::read(&path).unwrap();
        assert_eq!(read, resume);
        let hash = InfoHash::from_v1(HASH);
        assert_eq!(read.pieces(hash, 10, false, &[(5, 6)]), Some(have));
        assert_eq!(read.pieces(hash, 10, false, &[(5, 7)]), None);
        assert_eq!(read.pieces(hash, 10, true, &[(5, 6)]), None);
        assert_eq!(read.pieces(hash, 99, false, &[(5, 6)]), None);
        assert_eq!(read.pieces(InfoHash::from_v1([8; 20]), 10, false, &[(5, 6)]), None);
    }

    #[test]
    fn a_damaged_record_is_no_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("record");
        record().0.write(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(Resume::read(&path), None, "cut at {cut}");
            let mut flipped = whole.clone();
            flipped[cut] ^= 1;
            std::fs::write(&path, &flipped).unwrap();
            assert_eq!(Resume::read(&path), None, "flipped at {cut}");
        }
    }
}
