//! Readers of torrents that are being fetched: told to the swarm, and answered as pieces become whole.

use std::ops::Range;
use std::sync::Weak;

use tokio::sync::oneshot;

use super::super::reader::{AT_ONCE, Answer, MOST_READERS, ReadError};
use super::super::torrent::TorrentError;
use super::Task;
use crate::layout::BlockInfo;
use crate::session::Input;
use crate::swarm::{self, ReaderId};

/// One reader.
#[derive(Debug)]
pub(super) struct Reading {
    /// Of which torrent.
    key: u64,
    /// What it goes on with, in bytes of the torrent.
    range: Range<u64>,
    /// Who waits for the first of them.
    waiting: Option<Answer>,
    /// Nobody reads any more once nobody holds it.
    alive: Weak<()>,
}

impl Task {
    pub(super) fn open_reader(
        &mut self,
        key: u64,
        range: Range<u64>,
        alive: Weak<()>,
        done: oneshot::Sender<Result<u64, ReadError>>,
    ) {
        let number = self.next_reader;
        let opened = match self.entries.get(&key) {
            None => Err(TorrentError::Removed.into()),
            Some(_) if self.readings.values().filter(|reading| reading.key == key).count() >= MOST_READERS => {
                Err(ReadError::TooMany)
            }
            Some(entry) if range.end > entry.add.metainfo.info.length() || range.start > range.end => {
                Err(ReadError::NotFetched(range.clone()))
            }
            Some(_) => Ok(number),
        };
        if opened.is_ok() {
            self.next_reader += 1;
            self.readings.insert(number, Reading { key, range, waiting: None, alive });
            self.tell_reader(number);
        }
        let _ = done.send(opened);
    }

    /// A reader goes on at `at`.
    pub(super) fn read(&mut self, number: u64, at: u64, answer: Answer) {
        let Some(reading) = self.readings.get_mut(&number) else { return };
        reading.waiting = Some(answer);
        if std::mem::replace(&mut reading.range.start, at) != at {
            self.tell_reader(number);
        }
        self.serve_reader(number);
    }

    /// Pieces have become whole, or the files are ready: those who wait are looked at.
    pub(super) fn serve_readers(&mut self, key: u64) {
        let waiting = self.readings.iter().filter(|(_, reading)| reading.key == key && reading.waiting.is_some());
        for number in waiting.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.serve_reader(number);
        }
    }

    /// The swarm is there: it is told who reads.
    pub(super) fn tell_readers(&mut self, key: u64) {
        let of_it = self.readings.iter().filter(|(_, reading)| reading.key == key);
        for number in of_it.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.tell_reader(number);
        }
    }

    /// Leaves out those who read no more.
    pub(super) fn drop_gone_readers(&mut self) {
        let gone: Vec<u64> = self
            .readings
            .iter()
            .filter(|(_, reading)| reading.alive.strong_count() == 0)
            .map(|(number, _)| *number)
            .collect();
        for number in gone {
            let Some(reading) = self.readings.remove(&number) else { continue };
            if let Some(id) = self.entries.get(&reading.key).and_then(|entry| entry.swarm) {
                self.input(Input::Swarm(id, swarm::Input::Reader(ReaderId(number), None)));
            }
        }
    }

    /// The torrent will not be there: who reads it hears of that.
    pub(super) fn end_readers(&mut self, key: u64) {
        self.readings.retain(|_, reading| reading.key != key);
    }

    fn tell_reader(&mut self, number: u64) {
        let Some(reading) = self.readings.get(&number) else { return };
        let Some(id) = self.entries.get(&reading.key).and_then(|entry| entry.swarm) else { return };
        let range = reading.range.clone();
        self.input(Input::Swarm(id, swarm::Input::Reader(ReaderId(number), Some(range))));
    }

    /// Reads for a reader if what it waits for is there.
    fn serve_reader(&mut self, number: u64) {
        let Some(reading) = self.readings.get_mut(&number) else { return };
        let Some(entry) = self.entries.get(&reading.key) else { return };
        let Some(swarm) = entry.swarm.and_then(|id| self.session.swarm(id)) else { return };
        let Some(storage) = entry.storage.clone() else { return };
        let (picker, at) = (swarm.picker(), reading.range.start);
        let layout = picker.layout();
        let piece = u32::try_from(at / u64::from(layout.piece_length())).ok().and_then(|piece| layout.piece(piece));
        let Some(piece) = piece.filter(|piece| picker.have().has(*piece)) else { return };
        let Some(answer) = reading.waiting.take() else { return };
        let start = layout.start_of(piece);
        let end = (start + u64::from(layout.length_of(piece))).min(reading.range.end).min(at + AT_ONCE);
        let [begin, length] = [at - start, end - at].map(|n| u32::try_from(n).expect("a piece is at most 64 MiB"));
        let (span, buffers) = (BlockInfo { piece, begin, length }, self.buffers.clone());
        self.pool.run(move || {
            // Who has gone needs no answer.
            let _ = answer.send(storage.read(span, &buffers));
        });
    }
}
