//! What a [`Ledger`](super::ledger::Ledger) remembers over a restart: one file a day.
//!
//! ```text
//! listeners/2026-11-21.seen   "podswarm listeners 1\n", the day's salt (16 bytes), then for each download that counted
//!                             its key (8 bytes) and its second (4 bytes), big-endian
//! ```
//!
//! It is only appended to, without waiting for the disk: it survives the program, and what a power cut takes of it can
//! make one listener two at worst. It is no part of the journal and of exports, so that it is gone when it is removed,
//! and the salt with it.
//!
//! Law: a file that is torn is read as far as it goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;

use super::ledger::Mark;

/// What a file begins with.
const MAGIC: &[u8] = b"podswarm listeners 1\n";
/// Bytes of a salt.
const SALT: usize = 16;
/// Bytes of a mark.
const MARK: usize = 12;
/// Marks that are read at most.
const MOST: u64 = 1 << 20;

/// The folder of these files.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    folder: PathBuf,
}

/// One day, as it was left.
#[derive(Debug)]
pub(crate) struct SeenDay {
    /// Its salt.
    pub(crate) salt: [u8; SALT],
    /// What counted: keys and seconds.
    pub(crate) marks: Vec<(u64, u32)>,
}

impl Seen {
    /// The files of the library in `root`.
    pub(crate) fn new(root: &Path) -> Self {
        Self { folder: root.join("listeners") }
    }

    fn path(&self, date: NaiveDate) -> PathBuf {
        self.folder.join(format!("{date}.seen"))
    }

    /// The day as it was left; a new one with `salt` if there is none that can be read.
    pub(crate) fn open(&self, date: NaiveDate, salt: [u8; SALT]) -> io::Result<SeenDay> {
        if let Some(day) = self.read(date)? {
            return Ok(day);
        }
        fs::create_dir_all(&self.folder)?;
        podswarm_core::app::write_atomic(&self.path(date), &[MAGIC, &salt].concat(), 0o600)?;
        Ok(SeenDay { salt, marks: Vec::new() })
    }

    /// The day as it was left, if it was.
    pub(crate) fn read(&self, date: NaiveDate) -> io::Result<Option<SeenDay>> {
        let file = match File::open(self.path(date)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take((MAGIC.len() + SALT) as u64 + MOST * MARK as u64).read_to_end(&mut bytes)?;
        let Some((salt, rest)) = bytes.strip_prefix(MAGIC).and_then(|rest| rest.split_first_chunk::<SALT>()) else {
            return Ok(None);
        };
        let (marks, _torn) = rest.as_chunks::<MARK>();
        let marks = marks.iter().filter_map(|mark| {
            let (key, second) = mark.split_first_chunk::<8>()?;
            Some((u64::from_be_bytes(*key), u32::from_be_bytes(second.try_into().ok()?)))
        });
        Ok(Some(SeenDay { salt: *salt, marks: marks.collect() }))
    }

    /// Appends what counted; the days of the marks were opened.
    pub(crate) fn append(&self, marks: &[Mark]) -> io::Result<()> {
        for day in marks.chunk_by(|a, b| a.day == b.day) {
            let mut bytes = Vec::with_capacity(day.len() * MARK);
            for mark in day {
                bytes.extend_from_slice(&mark.key.to_be_bytes());
                bytes.extend_from_slice(&mark.second.to_be_bytes());
            }
            let mut file = OpenOptions::new().append(true).open(self.path(day[0].day))?;
            // Whole marks alone keep those after them whole.
            let torn = (file.metadata()?.len().saturating_sub((MAGIC.len() + SALT) as u64)) % MARK as u64;
            if torn > 0 {
                bytes.splice(0..0, vec![0; MARK - usize::try_from(torn).unwrap_or_default()]);
            }
            file.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Removes every day before `oldest`, and with it who it was.
    pub(crate) fn forget_before(&self, oldest: NaiveDate) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let date =
                path.file_name().and_then(|name| name.to_str()?.strip_suffix(".seen")?.parse::<NaiveDate>().ok());
            if date.is_some_and(|date| date < oldest) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, day).unwrap()
    }

    fn mark(day: u32, key: u64) -> Mark {
        Mark { day: date(day), key, second: 7 }
    }

    #[test]
    fn what_was_appended_comes_back_with_its_salt() {
        let dir = tempfile::tempdir().unwrap();
        let seen = Seen::new(dir.path());
        assert!(seen.read(date(1)).unwrap().is_none());
        seen.open(date(1), [1; 16]).unwrap();
        seen.open(date(2), [2; 16]).unwrap();
        seen.append(&[mark(1, 10), mark(2, 20), mark(2, 21)]).unwrap();
        seen.append(&[mark(2, 22)]).unwrap();
        let day = seen.open(date(2), [9; 16]).unwrap();
        assert_eq!((day.salt, day.marks), ([2; 16], vec![(20, 7), (21, 7), (22, 7)]));
        seen.forget_before(date(2)).unwrap();
        assert!(seen.read(date(1)).unwrap().is_none() && seen.read(date(2)).unwrap().is_some());
    }

    #[test]
    fn a_torn_file_is_read_as_far_as_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        let seen = Seen::new(dir.path());
        seen.open(date(1), [1; 16]).unwrap();
        seen.append(&[mark(1, 10), mark(1, 11)]).unwrap();
        let path = seen.path(date(1));
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 5]).unwrap();
        assert_eq!(seen.read(date(1)).unwrap().unwrap().marks, [(10, 7)]);
        seen.append(&[mark(1, 12)]).unwrap();
        let marks = seen.read(date(1)).unwrap().unwrap().marks;
        assert_eq!((marks.first(), marks.last()), (Some(&(10, 7)), Some(&(12, 7))));
        fs::write(&path, b"podsw").unwrap();
        assert_eq!(seen.open(date(1), [3; 16]).unwrap().salt, [3; 16]);
    }
}
