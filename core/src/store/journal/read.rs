//! Reads the frames of one segment, past whatever is damaged between them.
//!
//! Holds one frame in memory at a time, so a segment may be of any size.
//!
//! Law: every byte of the file is either part of a frame that passes its CRC or reported as [`Item::Damage`].

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use super::frame::{HEADER, Header, MARKER};

/// What stands next in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// Bytes that are no frame, up to the next frame or the end of the file.
    Damage(Range<u64>),
    /// A frame that passed its CRC, with its payload.
    Frame(Header, Vec<u8>),
}

/// A walk through one segment from its beginning.
pub(crate) struct Reader {
    file: BufReader<File>,
    at: u64,
    length: u64,
    /// The frame that ended a damaged stretch; it is given out next.
    resumed: Option<(Header, Vec<u8>)>,
}

impl Reader {
    /// A walk through the file at `path`, as long as it is now.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file: BufReader::with_capacity(WINDOW, file), at: 0, length, resumed: None })
    }

    /// Bytes of the file.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The next frame or damaged stretch; `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Item>> {
        if let Some((header, payload)) = self.resumed.take() {
            return Ok(Some(Item::Frame(header, payload)));
        }
        if self.at == self.length {
            return Ok(None);
        }
        let begin = self.at;
        if let Some((header, payload)) = self.frame()? {
            return Ok(Some(Item::Frame(header, payload)));
        }
        Ok(Some(Item::Damage(begin..self.resync(begin)?)))
    }

    /// The frame that begins where the file stands; on `None` the file stands anywhere.
    fn frame(&mut self) -> io::Result<Option<(Header, Vec<u8>)>> {
        let left = self.length - self.at;
        if left < HEADER as u64 {
            return Ok(None);
        }
        let mut head = [0; HEADER];
        self.file.read_exact(&mut head)?;
        let Some(header) = Header::parse(&head) else { return Ok(None) };
        if header.length as u64 > left - HEADER as u64 {
            return Ok(None);
        }
        let mut payload = vec![0; header.length];
        self.file.read_exact(&mut payload)?;
        if !header.matches(&payload) {
            return Ok(None);
        }
        self.at += (HEADER + header.length) as u64;
        Ok(Some((header, payload)))
    }

    /// Finds the first whole frame after `damaged` and keeps it for later; returns where it begins, else the file's
    /// end.
    fn resync(&mut self, damaged: u64) -> io::Result<u64> {
        let mut from = damaged + 1;
        while let Some(candidate) = self.find_marker(from)? {
            self.at = candidate;
            self.file.seek(SeekFrom::Start(candidate))?;
            self.resumed = self.frame()?;
            if self.resumed.is_some() {
                return Ok(candidate);
            }
            from = candidate + 1;
        }
        self.at = self.length;
        Ok(self.length)
    }

    /// Where the first marker at or after `from` begins.
    fn find_marker(&mut self, mut from: u64) -> io::Result<Option<u64>> {
        let mut window = Vec::with_capacity(WINDOW);
        while from < self.length {
            self.file.seek(SeekFrom::Start(from))?;
            window.clear();
            (&mut self.file).take((self.length - from).min(WINDOW as u64)).read_to_end(&mut window)?;
            if let Some(found) = window.windows(MARKER.len()).position(|bytes| bytes == MARKER) {
                return Ok(Some(from + found as u64));
            }
            // A marker may lie across two windows.
            let step = window.len().saturating_sub(MARKER.len() - 1).max(1);
            from += step as u64;
        }
        Ok(None)
    }
}

const WINDOW: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::frame::{self, Kind};
    use super::*;

    fn items(bytes: &[u8]) -> Vec<Item> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        let mut reader = Reader::open(file.path()).unwrap();
        std::iter::from_fn(|| reader.next().unwrap()).collect()
    }

    fn seqs(items: &[Item]) -> Vec<u64> {
        items
            .iter()
            .filter_map(|item| if let Item::Frame(header, _) = item { Some(header.seq) } else { None })
            .collect()
    }

    fn frames(payloads: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for (seq, payload) in (1..).zip(payloads) {
            frame::encode(Kind::Batch, seq, payload, &mut bytes);
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn whole_frames_are_read_in_order() {
        let (bytes, _) = frames(&[b"one", b"", b"three"]);
        assert_eq!(seqs(&items(&bytes)), [1, 2, 3]);
        assert_eq!(items(b""), []);
    }

    #[test]
    fn a_flipped_byte_costs_only_its_own_frame() {
        let (bytes, ends) = frames(&[b"one", b"two", b"three"]);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            let hit = ends.iter().position(|&end| at < end).unwrap();
            let begin = if hit == 0 { 0 } else { ends[hit - 1] };
            let got = items(&damaged);
            let left: Vec<u64> = (1..=3).filter(|&seq| seq != hit as u64 + 1).collect();
            assert_eq!(seqs(&got), left, "byte {at}");
            assert_eq!(got[hit], Item::Damage(begin as u64..ends[hit] as u64), "byte {at}");
        }
    }

    #[test]
    fn reading_resumes_after_a_long_damaged_stretch() {
        let (bytes, _) = frames(&[b"one"]);
        for hole in [1, 3, WINDOW - 2, WINDOW - 1, WINDOW, 3 * WINDOW + 1] {
            let mut damaged = vec![MARKER[0]; hole];
            damaged.extend_from_slice(&bytes);
            let got = items(&damaged);
            assert_eq!(got[0], Item::Damage(0..hole as u64));
            assert_eq!(seqs(&got), [1]);
        }
    }

    #[test]
    fn a_marker_inside_a_damaged_stretch_is_not_believed() {
        let (bytes, _) = frames(&[b"one"]);
        let damaged = [&bytes[..10], &MARKER, &MARKER, &bytes].concat();
        assert_eq!(seqs(&items(&damaged)), [1]);
        assert_eq!(items(&damaged)[0], Item::Damage(0..18));
    }
}
