//! What a folder of segments holds, before anything is made of it.
//!
//! A survey reads every byte and checks every CRC, but parses no changes. It decides which segments count, what is a
//! torn tail and what is damage:
//!
//! - The newest whole snapshot begins the journal; what is older was left behind by a compaction that was cut short.
//! - Bytes after the last frame of the last segment, too few for what they announce, are a write that was never
//!   acknowledged: the tail, to be cut.
//! - Any other bytes that are no frame, and any gap in the sequence numbers, are damage. So is a last frame that has
//!   its full length but not its CRC: it may have been acknowledged and altered since.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::frame::{HEADER, Header, Kind, SCHEMA};
use super::read::{Item, Reader};
use crate::store::StoreError;

/// A place in the journal: after the frame of this number and checksum.
///
/// The checksum tells two journals apart that happen to be equally long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// Sequence number of the frame; 0 before the first.
    pub(crate) seq: u64,
    /// Checksum of the frame; 0 before the first.
    pub(crate) crc: u32,
}

/// Which journal a segment or an index belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// A random number that the journal got when it was made.
    pub(crate) journal: u64,
    /// How many compactions it has seen.
    pub(crate) generation: u64,
}

impl Origin {
    /// The origin of a new journal.
    pub(super) fn new() -> Self {
        // The standard library seeds each of these from the system's randomness.
        Self { journal: RandomState::new().hash_one(()), generation: 0 }
    }
}

/// The first frame of every segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The segment's number, as in its name.
    pub(crate) segment: u64,
    /// The journal it belongs to.
    pub(crate) origin: Origin,
    /// Where the journal stood when the segment began; for a snapshot, what it stands for.
    pub(crate) base: Position,
    /// Whether the segment holds the whole state at `base`, rather than the changes after it.
    pub(crate) snapshot: bool,
}

/// The last frame of a snapshot; without it the snapshot is not whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    /// Batch frames in the snapshot.
    pub(crate) frames: u64,
}

/// One segment, as found.
#[derive(Debug)]
pub(crate) struct Segment {
    /// The number in its name.
    pub(crate) number: u64,
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Bytes of the file.
    pub(crate) length: u64,
    /// Its first frame, unless that is damaged.
    head: Option<Head>,
    /// Whether this is a snapshot, whole or not.
    pub(crate) is_snapshot: bool,
    /// Whether bytes in it are no frame, or its head or its end is missing.
    pub(crate) damaged: bool,
    /// Where the journal stood when it began, as far as it tells.
    base: Option<Position>,
    /// The changes it holds, in order; none for a snapshot, whose frames all stand for its base.
    marks: Vec<Position>,
    /// Bytes that are no frame, without the tail.
    lost_bytes: u64,
    /// Bytes after the last frame that are no frame.
    tail: Option<Range<u64>>,
}

impl Segment {
    /// The sequence number that it begins at, as far as it tells.
    pub(crate) fn begin(&self) -> u64 {
        self.base.map_or(0, |base| base.seq)
    }

    /// Reads the segment at `path`.
    ///
    /// Fails where the file cannot be read, or holds a frame of a later schema.
    pub(crate) fn survey(number: u64, path: PathBuf) -> Result<Self, StoreError> {
        let io = |source| StoreError::io("read", &path, source);
        let mut reader = Reader::open(&path).map_err(io)?;
        let length = reader.length();
        let (mut head, mut end, mut marks, mut lost_bytes, mut tail) = (None::<Head>, None, Vec::new(), 0, None);
        while let Some(item) = reader.next().map_err(io)? {
            let (header, payload) = match item {
                Item::Frame(header, payload) => (header, payload),
                Item::Damage(range) if range.end == length => {
                    tail = Some(range);
                    continue;
                }
                Item::Damage(range) => {
                    lost_bytes += range.end - range.start;
                    continue;
                }
            };
            match checked(&header, &path)? {
                Some(Kind::Head) => head = head.or_else(|| serde_json::from_slice(&payload).ok()),
                Some(Kind::Batch) => marks.push(Position { seq: header.seq, crc: header.crc }),
                Some(Kind::End) => end = Some((header.seq, serde_json::from_slice::<End>(&payload).ok())),
                None => lost_bytes += (HEADER + payload.len()) as u64,
            }
        }
        let is_snapshot = head.as_ref().map_or(end.is_some(), |head| head.snapshot);
        let base =
            head.as_ref().map(|head| head.base).or_else(|| end.as_ref().map(|&(seq, _)| Position { seq, crc: 0 }));
        let frames = marks.len() as u64;
        let unfinished = is_snapshot && end.is_none_or(|(_, end)| end.is_none_or(|end| end.frames != frames));
        if is_snapshot {
            marks.clear();
        }
        let damaged = lost_bytes > 0 || head.is_none() || unfinished || tail.is_some();
        Ok(Self { number, path, length, head, is_snapshot, damaged, base, marks, lost_bytes, tail })
    }
}

/// What `header`'s payload is; `None` if this schema has no such kind, an error if the schema is a later one.
pub(crate) fn checked(header: &Header, path: &Path) -> Result<Option<Kind>, StoreError> {
    if header.schema > SCHEMA {
        return Err(StoreError::Newer { path: path.to_path_buf(), found: header.schema, known: SCHEMA });
    }
    Ok(header.kind())
}

/// What of the journal cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Bytes that are no frame.
    pub(crate) bytes: u64,
    /// Sequence numbers that are missing.
    pub(crate) missing: u64,
    /// No change after this sequence number was lost.
    pub(crate) upto: u64,
}

/// What a folder of segments holds.
#[derive(Debug)]
pub(crate) struct Survey {
    /// The segments that count, oldest first.
    pub(crate) live: Vec<Segment>,
    /// Segments that a snapshot has replaced.
    pub(crate) superseded: Vec<Segment>,
    /// Where the journal begins, as far as it tells.
    pub(crate) base: Option<Position>,
    /// Where it ends.
    pub(crate) end: Position,
    /// Which journal it is, as far as it tells.
    pub(crate) origin: Option<Origin>,
    /// Every frame after `base`.
    pub(crate) marks: Vec<Position>,
    /// What cannot be read.
    pub(crate) damage: Option<Damage>,
    /// What is to be cut off the last segment.
    pub(crate) tail: Option<Range<u64>>,
}

impl Survey {
    /// Surveys the segments in `dir`.
    pub(crate) fn of(dir: &Path) -> Result<Self, StoreError> {
        let mut segments = Vec::new();
        for number in numbers(dir).map_err(|source| StoreError::io("list", dir, source))? {
            segments.push(Segment::survey(number, path_of(dir, number))?);
        }
        let begin = segments.iter().rposition(|segment| segment.is_snapshot && !segment.damaged).unwrap_or(0);
        let mut live = segments.split_off(begin);
        let tail = live.last_mut().map(take_tail).transpose()?.flatten();
        let mut survey = Self {
            base: live.first().map_or(Some(Position::default()), |first| Some(first.head.as_ref()?.base)),
            origin: live.iter().filter_map(|segment| Some(segment.head.as_ref()?.origin)).max_by_key(|o| o.generation),
            end: Position::default(),
            marks: Vec::new(),
            damage: None,
            live,
            superseded: segments,
            tail,
        };
        survey.follow();
        Ok(survey)
    }

    /// Walks the sequence numbers from `base` to the end and notes what is missing.
    fn follow(&mut self) {
        let mut damage = Damage::default();
        // A log that does not begin at the beginning needs a snapshot before it.
        let first = self.live.first().filter(|first| first.is_snapshot);
        let mut at = first.and_then(|first| first.base).unwrap_or_default();
        for segment in &self.live {
            damage.bytes += segment.lost_bytes + segment.tail.as_ref().map_or(0, |tail| tail.end - tail.start);
            if let Some(base) = segment.base {
                damage.missing += base.seq.saturating_sub(at.seq);
                if base.seq > at.seq || segment.is_snapshot && segment.damaged {
                    damage.upto = damage.upto.max(base.seq);
                }
                at = if base.seq > at.seq { base } else { at };
            }
            for &mark in &segment.marks {
                if mark.seq > at.seq + 1 {
                    damage.missing += mark.seq - at.seq - 1;
                    damage.upto = damage.upto.max(mark.seq - 1);
                }
                if mark.seq > at.seq {
                    self.marks.push(mark);
                    at = mark;
                }
            }
        }
        self.end = at;
        let last = self.live.last().filter(|last| !last.is_snapshot);
        if last.is_some_and(|last| last.tail.is_some() || last.head.is_none() && last.marks.is_empty()) {
            damage.missing += 1;
            damage.upto = at.seq + 1;
        }
        let damaged = self.live.iter().any(|segment| segment.damaged) || damage.missing > 0;
        self.damage = damaged.then_some(damage);
    }
}

/// Takes the torn tail off the last segment, if there is one that may be cut.
fn take_tail(last: &mut Segment) -> Result<Option<Range<u64>>, StoreError> {
    // A snapshot is synced before it gets its name, and a log's head too: neither is ever torn by a crash.
    if last.is_snapshot || last.head.is_none() {
        return Ok(None);
    }
    let Some(range) = last.tail.clone() else { return Ok(None) };
    if !is_torn(&last.path, &range).map_err(|source| StoreError::io("read", &last.path, source))? {
        return Ok(None);
    }
    last.tail = None;
    last.damaged = last.lost_bytes > 0;
    Ok(Some(range))
}

/// Whether the bytes in `range`, which end the file, are what a write leaves that was cut short.
fn is_torn(path: &Path, range: &Range<u64>) -> io::Result<bool> {
    let left = range.end - range.start;
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(range.start))?;
    let mut head = [0; HEADER];
    if left < HEADER as u64 {
        return Ok(true);
    }
    file.read_exact(&mut head)?;
    match Header::parse(&head) {
        Some(header) => Ok((HEADER + header.length) as u64 > left),
        // After a power cut a file may have grown by zeros that were never filled in.
        None => Ok(head == [0; HEADER]),
    }
}

/// The file of segment `number`.
pub(crate) fn path_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.log"))
}

/// The numbers of the segments in `dir`, in order.
fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse().ok());
        numbers.extend(number.filter(|&number| path_of(dir, number).file_name() == Some(&name)));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
