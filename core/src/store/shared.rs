//! The state behind a store's handles: one writer at a time, many readers.
//!
//! Threads that write at once share one sync: each leaves its job in a queue and waits for the writer's lock; whoever
//! gets it writes all jobs that are there, and the others find their outcome.
//!
//! A fault of the index never reaches a caller: the index is set aside, its records are built again in memory from the
//! journal, and the call goes on. Lock order: writer, then queue or index.

use std::collections::BTreeMap;
use std::mem;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, RwLock};

use super::error::Trouble;
use super::index::memory::MemoryIndex;
use super::index::seal::Seal;
use super::index::{Index, IndexFault, each_record, tally, value};
use super::journal::Journal;
use super::op::Op;
use super::plan::Plan;
use super::record::MAX_BATCH;
use super::totals::Totals;
use super::{Health, IndexPlace, StoreError, aside};

/// What all handles of one store share.
pub(super) struct Shared {
    /// Dropped before the writer, whose journal holds the lock on the folder.
    index: RwLock<Slot>,
    queue: Mutex<Queue>,
    writer: Mutex<Writer>,
}

/// The index in use.
pub(super) struct Slot {
    pub(super) index: Box<dyn Index>,
    pub(super) place: IndexPlace,
}

/// Records as they are stored, in one piece of memory.
#[derive(Default)]
pub(super) struct Gathered {
    /// Keys and JSON texts, end to end.
    text: Vec<u8>,
    /// Where each key and each text ends, and the record's version.
    ends: Vec<(usize, usize, u8)>,
}

impl Gathered {
    fn add(&mut self, key: &[u8], version: u8, json: &str) {
        self.text.extend_from_slice(key);
        let key_end = self.text.len();
        self.text.extend_from_slice(json.as_bytes());
        self.ends.push((key_end, self.text.len(), version));
    }

    /// Key, version and JSON text of each.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], u8, &str)> {
        let mut begin = 0;
        self.ends.iter().map(move |&(key_end, end, version)| {
            let key = &self.text[begin..key_end];
            begin = end;
            (key, version, str::from_utf8(&self.text[key_end..end]).expect("it was text"))
        })
    }
}

/// Jobs that wait for a writer.
#[derive(Default)]
struct Queue {
    tickets: u64,
    jobs: Vec<Job>,
}

/// One batch that waits to be written.
struct Job {
    ticket: u64,
    ops: Vec<Op>,
    /// The changes as the journal will hold them.
    payload: Vec<u8>,
}

/// What only the holder of the lock may touch.
pub(super) struct Writer {
    /// `None` for a store that lives in memory.
    journal: Option<Journal>,
    totals: Totals,
    /// What became of jobs that another thread wrote.
    outcomes: BTreeMap<u64, Result<(), StoreError>>,
    /// Why the last write failed, until one succeeds.
    trouble: Option<StoreError>,
    /// Bytes of the journal below which no compaction is tried by itself.
    compact_from: u64,
}

impl Shared {
    /// The state of a store whose `slot` holds what adds up to `totals`.
    pub(super) fn new(slot: Slot, journal: Option<Journal>, totals: Totals) -> Self {
        let writer = Writer { journal, totals, outcomes: BTreeMap::new(), trouble: None, compact_from: 0 };
        Self { index: RwLock::new(slot), queue: Mutex::default(), writer: Mutex::new(writer) }
    }

    /// The version and JSON text of one record.
    pub(super) fn get(&self, kind: &str, key: &[u8]) -> Result<Option<(u8, String)>, StoreError> {
        self.read(|index| {
            let Some(bytes) = index.get(kind, key)? else { return Ok(None) };
            let (version, json) = value::decode(kind, key, &bytes)?;
            Ok(Some((version, json.to_owned())))
        })
    }

    /// What `read` makes of key, version and JSON text of every record whose key begins with `prefix`, in order. The
    /// texts of thousands would be several times as large as what is made of them, so none is kept.
    pub(super) fn scan<T>(
        &self,
        kind: &str,
        prefix: &[u8],
        read: impl Fn(&[u8], u8, &str) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        self.read(|index| {
            let (mut found, mut outcome) = (Vec::new(), Ok(Ok(())));
            index.scan(kind, prefix, &mut |key, bytes| {
                outcome = value::decode(kind, key, bytes).map(|(version, json)| {
                    found.push(read(key, version, json)?);
                    Ok(())
                });
                if matches!(outcome, Ok(Ok(()))) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            Ok(outcome?.map(|()| found))
        })?
    }

    /// All records of a kind, in order, as they are stored.
    pub(super) fn gather(&self, kind: &str) -> Result<Gathered, StoreError> {
        self.read(|index| {
            let (mut gathered, mut outcome) = (Gathered::default(), Ok(()));
            index.scan(kind, b"", &mut |key, bytes| {
                outcome = value::decode(kind, key, bytes).map(|(version, json)| gathered.add(key, version, json));
                if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            outcome.map(|()| gathered)
        })
    }

    /// Makes `ops` together; they are on disk and visible when this returns.
    pub(super) fn commit(&self, ops: Vec<Op>) -> Result<(), StoreError> {
        if ops.is_empty() {
            return Ok(());
        }
        let payload = serde_json::to_vec(&ops).expect("ops have a JSON form");
        if payload.len() > MAX_BATCH {
            return Err(StoreError::BatchTooLarge { got: payload.len() });
        }
        let ticket = self.enqueue(ops, payload);
        let mut writer = self.writer();
        if let Some(outcome) = writer.outcomes.remove(&ticket) {
            return outcome;
        }
        let jobs = mem::take(&mut self.queue.lock().expect(NO_PANIC).jobs);
        let outcome = self.write(&mut writer, &jobs);
        if let Err(error) = &outcome {
            writer.trouble = Some(error.clone());
        }
        let others = jobs.iter().filter(|job| job.ticket != ticket);
        writer.outcomes.extend(others.map(|job| (job.ticket, outcome.clone())));
        if outcome.is_ok() && writer.is_wasteful() {
            self.compact_by_itself(&mut writer);
        }
        outcome
    }

    /// Writes the journal anew without what is dead; damaged segments are set aside and named.
    pub(super) fn compact(&self) -> Result<Vec<PathBuf>, StoreError> {
        self.compact_as(&mut self.writer())
    }

    /// Has the index give back the memory of what was read.
    pub(super) fn drop_cache(&self) -> Result<(), StoreError> {
        let mut writer = self.writer();
        let mut slot = self.index.write().expect(NO_PANIC);
        if writer.totals.bytes() < MUCH {
            return Ok(());
        }
        slot.drop_cache().or_else(|fault| writer.replace(&mut slot, &fault))
    }

    /// Calls `visit` with kind, key, version and JSON text of every record, in order. Writers wait meanwhile.
    pub(super) fn each(
        &self,
        mut visit: impl FnMut(&str, &[u8], u8, &str) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        // What was shown cannot be shown again, so the index must not fail half-way.
        self.read(|index| tally(index).map(drop))?;
        let _writer = self.writer();
        let slot = self.index.read().expect(NO_PANIC);
        let shown = each_record(&*slot.index, |kind, key, bytes| {
            let (version, json) = value::decode(kind, key, bytes)?;
            visit(kind, key, version, json).map_err(Trouble::Store)
        });
        shown.map_err(Trouble::into_error)
    }

    /// How the store is doing.
    pub(super) fn health(&self) -> Health {
        let writer = self.writer();
        Health {
            records: writer.totals.records(),
            live_bytes: writer.totals.bytes(),
            journal_bytes: writer.journal.as_ref().map_or(0, Journal::bytes),
            index: self.index.read().expect(NO_PANIC).place,
            trouble: writer.trouble.clone(),
        }
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().expect(NO_PANIC)
    }

    fn enqueue(&self, ops: Vec<Op>, payload: Vec<u8>) -> u64 {
        let mut queue = self.queue.lock().expect(NO_PANIC);
        queue.tickets += 1;
        let ticket = queue.tickets;
        queue.jobs.push(Job { ticket, ops, payload });
        ticket
    }

    /// Reads from the index, from a new one if this one has a fault.
    fn read<T>(&self, read: impl Fn(&dyn Index) -> Result<T, IndexFault>) -> Result<T, StoreError> {
        let first = read(&*self.index.read().expect(NO_PANIC).index);
        match first {
            Ok(found) => Ok(found),
            Err(fault) => {
                self.replace_index(&mut self.writer(), &fault)?;
                read(&*self.index.read().expect(NO_PANIC).index).map_err(Trouble::from).map_err(Trouble::into_error)
            }
        }
    }

    fn write(&self, writer: &mut Writer, jobs: &[Job]) -> Result<(), StoreError> {
        let batches: Vec<_> = jobs.iter().map(|job| job.ops.as_slice()).collect();
        let plan = match self.plan(writer, &batches) {
            Err(fault) => {
                self.replace_index(writer, &fault)?;
                self.plan(writer, &batches).map_err(Trouble::from).map_err(Trouble::into_error)?
            }
            Ok(plan) => plan,
        };
        let changing = jobs.iter().zip(&plan.changes).filter(|(_, changes)| **changes);
        let payloads: Vec<_> = changing.map(|(job, _)| job.payload.as_slice()).collect();
        if payloads.is_empty() {
            return Ok(());
        }
        let seal = match &mut writer.journal {
            Some(journal) => {
                let from = journal.end().seq;
                journal.append(&payloads)?;
                Some(Seal { origin: journal.origin(), from, at: journal.end(), totals: plan.totals.clone() })
            }
            None => None,
        };
        writer.trouble = None;
        writer.totals = plan.totals.clone();
        let mut slot = self.index.write().expect(NO_PANIC);
        let seal = seal.filter(|_| slot.place == IndexPlace::Disk);
        match plan.apply(&*slot.index, seal.as_ref()) {
            // The journal has the changes, so the index that is built from it has them too.
            Err(fault) => writer.replace(&mut slot, &fault),
            Ok(()) => Ok(()),
        }
    }

    fn plan<'a>(&self, writer: &Writer, batches: &[&'a [Op]]) -> Result<Plan<'a>, IndexFault> {
        Plan::new(&*self.index.read().expect(NO_PANIC).index, &writer.totals, batches)
    }

    fn compact_by_itself(&self, writer: &mut Writer) {
        if let Err(error) = self.compact_as(writer) {
            tracing::warn!(%error, "journal not compacted");
            writer.compact_from = writer.journal.as_ref().map_or(0, Journal::bytes) + LEAST_WASTE;
        }
    }

    fn compact_as(&self, writer: &mut Writer) -> Result<Vec<PathBuf>, StoreError> {
        let first = writer.compact(&self.index.read().expect(NO_PANIC));
        let second = match first {
            Err(Trouble::Index(fault)) => {
                self.replace_index(writer, &fault)?;
                writer.compact(&self.index.read().expect(NO_PANIC))
            }
            first => first,
        };
        second.map_err(Trouble::into_error)
    }

    fn replace_index(&self, writer: &mut Writer, fault: &IndexFault) -> Result<(), StoreError> {
        writer.replace(&mut self.index.write().expect(NO_PANIC), fault)
    }
}

impl Slot {
    fn drop_cache(&mut self) -> Result<(), IndexFault> {
        let before = Seal::read(&*self.index)?;
        self.index.drop_cache()?;
        // Its files may have been deleted or exchanged under it.
        if Seal::read(&*self.index)? == before { Ok(()) } else { Err(IndexFault::new("its files are others now")) }
    }
}

impl Writer {
    /// Whether the journal is mostly dead.
    fn is_wasteful(&self) -> bool {
        let Some(journal) = &self.journal else { return false };
        let (bytes, live) = (journal.bytes(), self.totals.bytes());
        let dead = bytes.saturating_sub(live);
        dead > 4 * live && dead > LEAST_WASTE && bytes >= self.compact_from
    }

    /// Writes a snapshot from the index, once that has proven to be what it should be.
    fn compact(&mut self, slot: &Slot) -> Result<Vec<PathBuf>, Trouble> {
        let Some(journal) = &mut self.journal else { return Ok(Vec::new()) };
        // Once the old segments are gone, an index that a crash throws back behind the snapshot is worth nothing.
        slot.index.flush()?;
        let expected = &self.totals;
        let set_aside = journal.compact(|snapshot| {
            let mut totals = Totals::default();
            each_record(&*slot.index, |kind, key, bytes| {
                let (version, json) = value::decode(kind, key, bytes)?;
                totals.add(kind, key, bytes);
                snapshot.add(kind, key, version, json).map_err(Trouble::Store)
            })?;
            if totals == *expected { Ok(()) } else { Err(Trouble::Index(IndexFault::new("records do not add up"))) }
        })?;
        if slot.place == IndexPlace::Disk {
            let (origin, at) = (journal.origin(), journal.end());
            let seal = Seal { origin, from: at.seq, at, totals: self.totals.clone() };
            slot.index.apply(&[seal.write()])?;
        }
        Ok(set_aside)
    }

    /// Puts an index in memory in the place of one that has a fault.
    fn replace(&mut self, slot: &mut Slot, fault: &IndexFault) -> Result<(), StoreError> {
        let (IndexPlace::Disk, Some(journal)) = (slot.place, &self.journal) else { return Ok(()) };
        let index = MemoryIndex::default();
        let totals = rebuild(&index, journal).map_err(Trouble::into_error)?;
        if totals != self.totals {
            let (records, expected) = (totals.records(), self.totals.records());
            tracing::error!(records, expected, "journal does not hold the records it should");
        }
        self.totals = totals;
        let failed = mem::replace(&mut slot.index, Box::new(index));
        slot.place = IndexPlace::Memory;
        // After a panic nobody knows what dropping it would do or wait for.
        mem::forget(failed);
        let kept = aside::set_aside(&index_path(journal.dir()));
        let kept = kept.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        tracing::warn!(%fault, set_aside = kept, "index failed, built again in memory");
        Ok(())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Ok(slot) = self.index.get_mut()
            && let Err(fault) = slot.index.flush()
        {
            tracing::warn!(%fault, "index not flushed, the next open will look at it closely");
        }
    }
}

/// Puts everything that the journal holds into an empty index; returns what it then adds up to.
pub(super) fn rebuild(index: &dyn Index, journal: &Journal) -> Result<Totals, Trouble> {
    journal.replay(0..=u64::MAX, |_, ops| {
        let writes: Vec<_> = ops.iter().map(Op::to_write).collect();
        index.apply(&writes).map_err(Trouble::from)
    })?;
    Ok(tally(index)?)
}

/// The index's folder beside the journal's.
pub(super) fn index_path(journal: &Path) -> PathBuf {
    journal.with_file_name("index")
}

/// The memory of less than 4 MiB of records is not worth the time.
const MUCH: u64 = 4 * 1024 * 1024;

/// 4 MiB of dead bytes are not worth a compaction.
const LEAST_WASTE: u64 = 4 * 1024 * 1024;

const NO_PANIC: &str = "no holder of the lock panics";

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::thread;

    use tempfile::{TempDir, tempdir};

    use super::super::disk::{Disk, LogFile, OsDisk};
    use super::super::index::{Visitor, Write};
    use super::super::op::Change;
    use super::*;

    fn put(key: &str, json: &str) -> Op {
        let change = Change::Put { version: 1, json: json.into() };
        Op { kind: "show".into(), key: key.into(), change }
    }

    fn shared(dir: &Path, index: Box<dyn Index>, disk: Arc<dyn Disk>) -> Shared {
        let (journal, _) = Journal::open(&dir.join("journal"), disk).unwrap();
        Shared::new(Slot { index, place: IndexPlace::Disk }, Some(journal), Totals::default())
    }

    /// A disk whose syncs, once it is armed, say that they began and wait to be let go.
    struct Gate {
        armed: Arc<AtomicBool>,
        syncs: Arc<AtomicU32>,
        began: SyncSender<()>,
        go: Arc<Mutex<Receiver<()>>>,
    }

    struct GateFile(Box<dyn LogFile>, Arc<AtomicBool>, Arc<AtomicU32>, SyncSender<()>, Arc<Mutex<Receiver<()>>>);

    impl Gate {
        fn file(&self, file: Box<dyn LogFile>) -> Box<dyn LogFile> {
            let (armed, syncs) = (self.armed.clone(), self.syncs.clone());
            Box::new(GateFile(file, armed, syncs, self.began.clone(), self.go.clone()))
        }
    }

    impl Disk for Gate {
        fn append(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
            Ok(self.file(OsDisk.append(path)?))
        }

        fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
            Ok(self.file(OsDisk.create(path)?))
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            OsDisk.remove(path)
        }

        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            OsDisk.rename(from, to)
        }

        fn sync_dir(&self, path: &Path) -> io::Result<()> {
            OsDisk.sync_dir(path)
        }
    }

    impl LogFile for GateFile {
        fn cut(&mut self, length: u64) -> io::Result<()> {
            self.0.cut(length)
        }

        fn sync(&mut self) -> io::Result<()> {
            if self.1.load(Ordering::SeqCst) {
                self.2.fetch_add(1, Ordering::SeqCst);
                self.3.send(()).unwrap();
                self.4.lock().unwrap().recv().unwrap();
            }
            self.0.sync()
        }

        fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.0.write(bytes)
        }
    }

    #[test]
    fn threads_that_write_during_a_sync_share_the_next() {
        let dir = tempdir().unwrap();
        let (armed, syncs) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (began, has_begun) = sync_channel(0);
        let (let_go, go) = sync_channel(0);
        let disk = Gate { armed: armed.clone(), syncs: syncs.clone(), began, go: Arc::new(Mutex::new(go)) };
        let shared = shared(dir.path(), Box::<MemoryIndex>::default(), Arc::new(disk));
        shared.commit(vec![put("first", "0")]).unwrap();
        armed.store(true, Ordering::SeqCst);
        thread::scope(|scope| {
            scope.spawn(|| shared.commit(vec![put("a", "1")]).unwrap());
            has_begun.recv().unwrap();
            for key in ["b", "c", "d", "e"] {
                let shared = &shared;
                scope.spawn(move || shared.commit(vec![put(key, "2")]).unwrap());
            }
            while shared.queue.lock().unwrap().jobs.len() < 4 {
                thread::yield_now();
            }
            assert!(shared.get("show", b"a").unwrap().is_none(), "nothing is seen before it is safe");
            let_go.send(()).unwrap();
            has_begun.recv().unwrap();
            let_go.send(()).unwrap();
        });
        assert_eq!(syncs.load(Ordering::SeqCst), 2);
        assert_eq!(shared.health().records, 6);
        assert!(shared.writer().outcomes.is_empty(), "every outcome was fetched");
    }

    /// How a [`Flaky`] index fails once its time has come.
    #[derive(Clone, Copy, Debug)]
    enum Flaw {
        Apply,
        Corrupt,
        Forget,
        Get,
        Scan,
    }

    /// An index that is good until it is not.
    struct Flaky {
        index: MemoryIndex,
        flaw: Flaw,
        failing: Arc<AtomicBool>,
    }

    impl Flaky {
        fn fails(&self, flaw: impl Fn(Flaw) -> bool) -> bool {
            flaw(self.flaw) && self.failing.load(Ordering::SeqCst)
        }

        fn result(&self, flaw: impl Fn(Flaw) -> bool) -> Result<(), IndexFault> {
            if self.fails(flaw) { Err(IndexFault::new("flaky")) } else { Ok(()) }
        }
    }

    impl Index for Flaky {
        fn apply(&self, writes: &[Write<'_>]) -> Result<(), IndexFault> {
            self.result(|flaw| matches!(flaw, Flaw::Apply))?;
            self.index.apply(writes)
        }

        fn flush(&self) -> Result<(), IndexFault> {
            Ok(())
        }

        fn get(&self, tree: &str, key: &[u8]) -> Result<Option<Vec<u8>>, IndexFault> {
            self.result(|flaw| matches!(flaw, Flaw::Get))?;
            let mut found = self.index.get(tree, key)?;
            if let Some(bytes) = &mut found
                && self.fails(|flaw| matches!(flaw, Flaw::Corrupt))
            {
                bytes[2] ^= 1;
            }
            Ok(found)
        }

        fn scan(&self, tree: &str, prefix: &[u8], visit: Visitor<'_>) -> Result<(), IndexFault> {
            self.result(|flaw| matches!(flaw, Flaw::Scan))?;
            let forgets = self.fails(|flaw| matches!(flaw, Flaw::Forget));
            self.index.scan(tree, prefix, &mut |key, bytes| {
                if forgets && key == b"b" { ControlFlow::Continue(()) } else { visit(key, bytes) }
            })
        }

        fn trees(&self) -> Result<Vec<String>, IndexFault> {
            self.index.trees()
        }
    }

    /// A store with records `a` and `b`, whose index then begins to fail.
    fn flaky(flaw: Flaw) -> (TempDir, Shared) {
        let dir = tempdir().unwrap();
        let failing = Arc::new(AtomicBool::new(false));
        let index = Flaky { index: MemoryIndex::default(), flaw, failing: failing.clone() };
        let shared = shared(dir.path(), Box::new(index), Arc::new(OsDisk));
        shared.commit(vec![put("a", "1"), put("b", "2")]).unwrap();
        failing.store(true, Ordering::SeqCst);
        (dir, shared)
    }

    fn all(shared: &Shared) -> Vec<String> {
        shared.scan("show", b"", |_, _, json| Ok(json.to_owned())).unwrap()
    }

    #[track_caller]
    fn check_replaced(shared: &Shared, flaw: Flaw) {
        assert_eq!(shared.health().index, IndexPlace::Memory, "{flaw:?}");
        assert_eq!(shared.get("show", b"b").unwrap(), Some((1, "2".into())), "{flaw:?}");
    }

    #[test]
    fn an_index_that_fails_a_reader_is_replaced_unseen() {
        for flaw in [Flaw::Get, Flaw::Corrupt, Flaw::Scan] {
            let (_dir, shared) = flaky(flaw);
            match flaw {
                Flaw::Scan => assert_eq!(all(&shared).len(), 2),
                _ => assert_eq!(shared.get("show", b"a").unwrap(), Some((1, "1".into()))),
            }
            check_replaced(&shared, flaw);
        }
    }

    #[test]
    fn an_index_that_fails_a_writer_is_replaced_unseen() {
        for flaw in [Flaw::Get, Flaw::Corrupt, Flaw::Apply] {
            let (_dir, shared) = flaky(flaw);
            shared.commit(vec![put("a", "3")]).unwrap();
            assert_eq!(shared.get("show", b"a").unwrap(), Some((1, "3".into())), "{flaw:?}");
            check_replaced(&shared, flaw);
            assert_eq!(shared.health().records, 2);
        }
    }

    #[test]
    fn a_snapshot_is_never_made_from_an_index_that_forgot() {
        for flaw in [Flaw::Forget, Flaw::Scan, Flaw::Apply] {
            let (_dir, shared) = flaky(flaw);
            shared.compact().unwrap();
            check_replaced(&shared, flaw);
            assert_eq!(all(&shared).len(), 2, "{flaw:?}");
            let journal = shared.writer().journal.take().unwrap();
            let rebuilt = MemoryIndex::default();
            assert_eq!(rebuild(&rebuilt, &journal).ok().unwrap().records(), 2, "{flaw:?}");
        }
    }
}
