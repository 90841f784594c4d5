//! The whole state as lines of JSON, for people, backups and other versions.
//!
//! ```text
//! {"podswarm":"state","format":1}
//! {"op":"put","kind":"episode","version":1,"key":"6162","value":{…}}
//! …
//! {"records":1,"crc32":"89ab01cd"}
//! ```
//! The last line's checksum is the CRC-32 of all bytes before that line. Records come in the order of kind and key, so
//! equal states have equal exports.

use std::io::{BufRead, Read, Write};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::disk::OsDisk;
use super::journal::{Journal, Position, Snapshot};
use super::op::{Change, Op};
use super::record::{MAX_KEY, MAX_VALUE};
use super::shared::{Shared, index_path};

#[derive(Serialize, Deserialize)]
struct Header {
    podswarm: String,
    format: u8,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Footer {
    records: u64,
    crc32: String,
}

/// Writes every record of `shared` to `out`; returns how many there are.
pub(super) fn export(shared: &Shared, out: &mut dyn Write) -> Result<u64, StoreError> {
    let mut out = Summed { out, sum: crc32fast::Hasher::new() };
    let mut records = 0;
    out.line(&Header { podswarm: WORD.into(), format: FORMAT })?;
    shared.each(|kind, key, version, json| {
        records += 1;
        let change = Change::Put { version, json: json.to_owned() };
        out.line(&Op { kind: kind.to_owned().into(), key: key.to_vec(), change })
    })?;
    out.line(&Footer { records, crc32: hex(&out.sum) })?;
    out.out.flush().map_err(write_error)?;
    Ok(records)
}

/// Makes a store in `dir` of what [`export`] wrote; returns how many records there are.
///
/// Nothing of it counts until the last line has proven the whole.
pub(super) fn import(dir: &Path, source: &mut dyn BufRead) -> Result<u64, StoreError> {
    let (mut journal, _) = Journal::open(&dir.join("journal"), Arc::new(OsDisk))?;
    if !journal.is_new() || index_path(journal.dir()).exists() {
        return Err(StoreError::NotEmpty { path: dir.to_path_buf() });
    }
    // A state that came from elsewhere is no empty beginning: damage to its snapshot shall count as a loss.
    journal.skip_to(Position { seq: 1, crc: 0 });
    let mut lines = Lines { source, number: 0, sum: crc32fast::Hasher::new() };
    let mut records = 0;
    journal.compact(|snapshot| {
        records = copy(&mut lines, snapshot)?;
        Ok::<_, StoreError>(())
    })?;
    Ok(records)
}

fn copy(lines: &mut Lines<'_>, snapshot: &mut Snapshot) -> Result<u64, StoreError> {
    let first = lines.next()?.ok_or_else(|| lines.problem("the file is empty"))?;
    let header: Header = serde_json::from_str(&first).map_err(|_| lines.problem("this is no export of a store"))?;
    if header.podswarm != WORD {
        return Err(lines.problem("this is no export of a store"));
    }
    if header.format > FORMAT {
        return Err(lines.problem(&format!("format {}; this version reads up to {FORMAT}", header.format)));
    }
    let mut records = 0;
    loop {
        let crc32 = hex(&lines.sum);
        let line = lines.next()?.ok_or_else(|| lines.problem("the file ends without its checksum"))?;
        if let Ok(footer) = serde_json::from_str::<Footer>(&line) {
            if footer != (Footer { records, crc32 }) {
                return Err(lines.problem("the checksum does not match the lines before it"));
            }
            if lines.next()?.is_some() {
                return Err(lines.problem("there are lines after the checksum"));
            }
            return Ok(records);
        }
        let op: Op = serde_json::from_str(&line).map_err(|error| lines.problem(&error.to_string()))?;
        let Change::Put { version, json } = &op.change else {
            return Err(lines.problem("a record cannot be a delete"));
        };
        if json.len() > MAX_VALUE || op.key.len() > MAX_KEY || !op.kind.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(lines.problem("no store can hold this record"));
        }
        snapshot.add(&op.kind, &op.key, *version, json)?;
        records += 1;
    }
}

/// A writer of lines that sums up what it writes.
struct Summed<'a> {
    out: &'a mut dyn Write,
    sum: crc32fast::Hasher,
}

impl Summed<'_> {
    fn line(&mut self, value: &impl Serialize) -> Result<(), StoreError> {
        let mut line = serde_json::to_vec(value).expect("lines have a JSON form");
        line.push(b'\n');
        self.sum.update(&line);
        self.out.write_all(&line).map_err(write_error)
    }
}

/// A reader of lines that sums up what it reads.
struct Lines<'a> {
    source: &'a mut dyn BufRead,
    number: u64,
    sum: crc32fast::Hasher,
}

impl Lines<'_> {
    /// The next line; `None` at the end.
    fn next(&mut self) -> Result<Option<String>, StoreError> {
        self.number += 1;
        let mut line = Vec::new();
        let read = (&mut *self.source).take(MAX_LINE).read_until(b'\n', &mut line);
        read.map_err(|source| StoreError::io("read", Path::new("import"), source))?;
        if line.is_empty() {
            return Ok(None);
        }
        self.sum.update(&line);
        if line.pop() != Some(b'\n') {
            return Err(self.problem("the line is cut short or too long"));
        }
        String::from_utf8(line).map(Some).map_err(|_| self.problem("the line is not text"))
    }

    fn problem(&self, problem: &str) -> StoreError {
        StoreError::Import { line: self.number, problem: problem.to_owned() }
    }
}

fn hex(sum: &crc32fast::Hasher) -> String {
    format!("{:08x}", sum.clone().finalize())
}

fn write_error(source: std::io::Error) -> StoreError {
    StoreError::io("write", Path::new("export"), source)
}

const WORD: &str = "state";

/// The format this program writes and the latest it reads.
const FORMAT: u8 = 1;

/// Longer than any line of an export can be, in bytes.
const MAX_LINE: u64 = (MAX_VALUE + 2 * MAX_KEY + 4096) as u64;
