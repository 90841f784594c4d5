//! Opens a store: the journal first, then the index in whatever state it is.
//!
//! The index is taken as it is only if it opens, its seal belongs to this journal, and its records add up to what the
//! seal says. It is then rolled forward to the journal's end. Otherwise it is set aside and built again. If even that
//! cannot be done, for want of space say, the records are held in memory, so that a store whose journal can be read
//! always opens.
//!
//! The other way round, an index that has proven whole heals the journal: if all that the journal lost is older than
//! the index, a snapshot made from the index takes the damaged segments' place, and nothing is lost.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::Disk;
use super::error::Trouble;
use super::index::memory::MemoryIndex;
use super::index::seal::Seal;
use super::index::sled::{OPEN_LIMIT, SledIndex};
use super::index::{Index, IndexFault, tally};
use super::journal::{Damage, Found, Journal, Origin, Position};
use super::plan::Plan;
use super::shared::{Shared, Slot, index_path, rebuild};
use super::totals::Totals;
use super::{IndexPlace, JournalDamage, OpenReport, RebuildReason, StoreError, aside};

/// Opens the store in `dir`, with the journal's files on `disk`.
pub(super) fn open(dir: &Path, disk: Arc<dyn Disk>) -> Result<(Shared, OpenReport), StoreError> {
    let (mut journal, found) = Journal::open(&dir.join("journal"), disk)?;
    let path = index_path(journal.dir());
    let (slot, totals, verdict) = match accept(&path, &mut journal, &found) {
        Ok(accepted) => accepted,
        Err(Doubt::Store(error)) => return Err(error),
        Err(Doubt::Index(doubt)) => build(&path, &journal, &found, doubt)?,
    };
    let records = usize::try_from(totals.records()).expect("records are addressable");
    let mut report = OpenReport {
        rebuilt: verdict.rebuilt,
        set_aside: verdict.set_aside,
        records,
        journal_tail_dropped: found.tail_dropped,
        damage: None,
        index: slot.place,
    };
    let shared = Shared::new(slot, Some(journal), totals);
    if let Some(damage) = verdict.damage {
        report.damage = Some(put_right(&shared, &damage, verdict.whole_upto));
    }
    report.log(dir);
    Ok((shared, report))
}

/// How the index came to be what it is.
struct Verdict {
    rebuilt: Option<RebuildReason>,
    set_aside: Option<PathBuf>,
    /// The index had every change up to this sequence number before the journal was read for it.
    whole_upto: u64,
    /// What the journal lacks.
    damage: Option<Damage>,
}

type Ready = (Slot, Totals, Verdict);

/// Why an index is not taken as it is.
enum Doubt {
    Index(RebuildReason),
    Store(StoreError),
}

impl From<IndexFault> for Doubt {
    fn from(fault: IndexFault) -> Self {
        Self::Index(RebuildReason::Failed { what: fault.to_string(), is_full: fault.is_full })
    }
}

impl From<RebuildReason> for Doubt {
    fn from(reason: RebuildReason) -> Self {
        Self::Index(reason)
    }
}

impl From<StoreError> for Doubt {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Takes the index at `path` and brings it to the journal's end.
fn accept(path: &Path, journal: &mut Journal, found: &Found) -> Result<Ready, Doubt> {
    if !path.exists() {
        return if journal.is_new() { Ok(first(path, journal)?) } else { Err(RebuildReason::Missing.into()) };
    }
    let index = SledIndex::open(path, OPEN_LIMIT)?;
    match examine(&index, journal, found) {
        Ok((totals, verdict)) => Ok((Slot { index: Box::new(index), place: IndexPlace::Disk }, totals, verdict)),
        Err(doubt) => {
            if let Doubt::Index(RebuildReason::Failed { .. }) = doubt {
                // After a panic nobody knows what dropping it would do or wait for.
                std::mem::forget(index);
            }
            Err(doubt)
        }
    }
}

/// An empty index for a new store.
fn first(path: &Path, journal: &Journal) -> Result<Ready, IndexFault> {
    let index = SledIndex::open(path, OPEN_LIMIT)?;
    let seal = Seal { origin: journal.origin(), from: 0, at: Position::default(), totals: Totals::default() };
    index.apply(&[seal.write()])?;
    index.flush()?;
    let verdict = Verdict { rebuilt: None, set_aside: None, whole_upto: 0, damage: None };
    Ok((Slot { index: Box::new(index), place: IndexPlace::Disk }, seal.totals, verdict))
}

/// Compares an index with its seal and with the journal, and rolls it forward.
fn examine(index: &SledIndex, journal: &mut Journal, found: &Found) -> Result<(Totals, Verdict), Doubt> {
    let seal = Seal::read(index)?.ok_or(RebuildReason::Unsealed)?;
    let end = journal.end();
    let is_ahead = seal.at.seq > end.seq;
    let another = |o: Origin| seal.origin.journal != o.journal || seal.origin.generation > o.generation;
    if found.origin.is_some_and(another) {
        return Err(RebuildReason::Foreign.into());
    }
    if seal.at.seq < journal.base() {
        return Err(RebuildReason::Behind.into());
    }
    if !is_ahead && !found.passed(seal.at) {
        return Err(RebuildReason::Foreign.into());
    }
    if tally(index)? != seal.totals {
        // A crash may have come between the seal and the changes it announces.
        journal.replay(seal.from + 1..=seal.at.seq, |_, ops| {
            let writes: Vec<_> = ops.iter().map(super::op::Op::to_write).collect();
            index.apply(&writes).map_err(Doubt::from)
        })?;
        if tally(index)? != seal.totals {
            return Err(RebuildReason::Mismatch.into());
        }
    }
    let live = seal.totals.bytes();
    let bytes = index.bytes_on_disk()?;
    if is_bloated(bytes, live) {
        return Err(RebuildReason::Bloated { bytes, live }.into());
    }
    let mut damage = found.damage.clone();
    if is_ahead {
        let known = damage.get_or_insert_default();
        // A damaged last record was counted already.
        known.missing += seal.at.seq - end.seq.max(known.upto);
        known.upto = seal.at.seq;
        journal.skip_to(seal.at);
    }
    if found.origin.is_none() {
        journal.adopt(seal.origin);
    }
    let whole_upto = seal.at.seq;
    let totals = roll_forward(index, journal, seal)?;
    Ok((totals, Verdict { rebuilt: None, set_aside: None, whole_upto, damage }))
}

/// Makes the changes that the journal has and the index lacks, each sealed like a new one.
fn roll_forward(index: &SledIndex, journal: &Journal, mut seal: Seal) -> Result<Totals, Doubt> {
    journal.replay(seal.at.seq + 1..=u64::MAX, |at, ops| {
        let plan = Plan::new(index, &seal.totals, &[&ops])?;
        let totals = plan.totals.clone();
        seal = Seal { origin: journal.origin(), from: seal.at.seq, at, totals };
        plan.apply(index, Some(&seal)).map_err(Doubt::from)
    })?;
    Ok(seal.totals)
}

/// Builds the index from the journal, on disk if that can be done, else in memory.
fn build(path: &Path, journal: &Journal, found: &Found, reason: RebuildReason) -> Result<Ready, StoreError> {
    let mut verdict = Verdict { rebuilt: None, set_aside: None, whole_upto: 0, damage: found.damage.clone() };
    let room = match &reason {
        // The files are as good as they were, and a copy needs space that is not there.
        RebuildReason::Failed { is_full: true, .. } => Err(IndexFault::new("no space")),
        RebuildReason::Bloated { .. } => aside::remove(path).map_err(|error| IndexFault::io(&error)),
        _ if std::fs::symlink_metadata(path).is_ok() => {
            aside::set_aside(path).map(|kept| verdict.set_aside = Some(kept)).map_err(|error| IndexFault::io(&error))
        }
        _ => Ok(()),
    };
    verdict.rebuilt = Some(reason);
    match room.map_err(Trouble::Index).and_then(|()| build_on_disk(path, journal)) {
        Ok((index, totals)) => Ok((Slot { index: Box::new(index), place: IndexPlace::Disk }, totals, verdict)),
        Err(Trouble::Store(error)) => Err(error),
        Err(Trouble::Index(fault)) => {
            tracing::warn!(%fault, "no index on disk, records are held in memory");
            let index = MemoryIndex::default();
            let totals = rebuild(&index, journal).map_err(Trouble::into_error)?;
            Ok((Slot { index: Box::new(index), place: IndexPlace::Memory }, totals, verdict))
        }
    }
}

fn build_on_disk(path: &Path, journal: &Journal) -> Result<(SledIndex, Totals), Trouble> {
    let index = SledIndex::open(path, OPEN_LIMIT)?;
    let fill = || {
        let totals = rebuild(&index, journal)?;
        let (origin, at) = (journal.origin(), journal.end());
        let seal = Seal { origin, from: at.seq, at, totals };
        index.apply(&[seal.write()])?;
        index.flush()?;
        Ok(seal.totals)
    };
    match fill() {
        Ok(totals) => Ok((index, totals)),
        Err(trouble) => {
            std::mem::forget(index);
            // Half an index is worth nothing and may be what fills the disk.
            drop(aside::remove(path));
            Err(trouble)
        }
    }
}

/// Writes a snapshot of what is left, so that damaged segments can be set aside, and tells what was lost.
fn put_right(shared: &Shared, damage: &Damage, whole_upto: u64) -> JournalDamage {
    let set_aside = shared.compact().unwrap_or_else(|error| {
        tracing::warn!(%error, "damaged journal stays as it is for now");
        Vec::new()
    });
    let is_recovered = damage.upto <= whole_upto;
    JournalDamage { bytes: damage.bytes, missing: damage.missing, is_recovered, set_aside }
}

/// Whether an index of `bytes` has leaked so much that building it again is worth the time.
fn is_bloated(bytes: u64, live: u64) -> bool {
    bytes > BLOATED_FROM && bytes / BLOAT > live
}

/// An index below 64 MiB is never bloated.
const BLOATED_FROM: u64 = 64 * 1024 * 1024;

/// sled needs two to four times the bytes it holds; beyond this it has leaked.
const BLOAT: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_index_that_leaked_much_is_bloated() {
        let mib = 1024 * 1024;
        assert!(!is_bloated(64 * mib, 0));
        assert!(is_bloated(65 * mib, 0));
        assert!(!is_bloated(800 * mib, 100 * mib));
        assert!(is_bloated(810 * mib, 100 * mib));
    }
}
