//! A file that grows while it is downloaded, for those who read it meanwhile.
//!
//! The download says which bytes are there, readers say where they are, and wait. What is fetched next is decided here:
//! what a reader comes to soon, else what he comes to later, else the first bytes that are missing.
//!
//! Laws: a reader is given no byte that is not in the file, and none of another version than the first that he was
//! given. Readers never wait for a download that has ended.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, SeekFrom};
use tokio::sync::watch;

/// While somebody reads, so many bytes are asked for at once: what is asked for is brought to its end, and a jump
/// leaves nothing behind that was sent in vain.
pub(super) const STEP: u64 = 4 << 20;

/// A reader who has so many bytes before him can wait for others.
const AHEAD: u64 = 1 << 20;

/// Bytes so near to those that are coming are waited for, and not asked for elsewhere.
const NEAR: u64 = 128 << 10;

/// A file in more parts than this is filled from its beginning.
const MOST_RUNS: usize = 128;

/// The most bytes that a reader is given at once.
const AT_ONCE: u64 = 64 << 10;

/// A file as it grows while it is downloaded. Clones are the same file.
#[derive(Clone, Debug, Default)]
pub struct Growing(watch::Sender<State>);

#[derive(Debug, Default)]
struct State {
    /// What its server says of it, once that has answered.
    about: Option<About>,
    runs: Runs,
    /// How often it was begun anew.
    version: u64,
    /// What each reader is yet to read.
    wishes: BTreeMap<u64, Wish>,
    /// How many readers there have been.
    readers: u64,
    /// How often it was a reader's turn.
    turns: u64,
    /// Somebody will read, who has not come yet.
    is_awaited: bool,
    has_ended: bool,
}

/// A file as its server describes it.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// Where its bytes are while it grows.
    pub(super) part: PathBuf,
    /// Where they are when it is whole.
    pub(super) path: PathBuf,
    /// How many it will be, if that is known.
    pub(super) length: Option<u64>,
    /// Whether its server sends any part of this version.
    pub(super) can_jump: bool,
    /// Whether its server says that it sends any part, of whatever version.
    pub(super) has_parts: bool,
}

/// What a reader is yet to read.
#[derive(Clone, Copy, Debug)]
struct Wish {
    next: u64,
    end: u64,
    /// The reader has told that nothing is there.
    waits: bool,
    /// When it was his turn; 0 if it never was.
    turn: u64,
}

/// Bytes that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) start: u64,
    /// `None` if nobody knows where the file ends.
    pub(super) end: Option<u64>,
}

/// The download's side.
impl Growing {
    /// An attempt begins, which knows nothing yet. When what is returned is dropped the readers are told that it has
    /// ended, however it did.
    pub(super) fn attempt(&self) -> Attempt {
        self.0.send_modify(|state| {
            (state.about, state.has_ended) = (None, false);
            state.begin_anew();
        });
        Attempt(self.clone())
    }

    /// These bytes are there of what an earlier attempt began.
    pub(super) fn found(&self, runs: Runs) {
        self.0.send_modify(|state| state.runs = runs);
    }

    /// What its server says of it. What is there is of that version.
    pub(super) fn described(&self, about: About) {
        self.0.send_modify(|state| state.about = Some(about));
    }

    /// Nothing is there any more: what is there from now on is of another version.
    pub(super) fn begin_anew(&self) {
        self.0.send_modify(State::begin_anew);
    }

    /// Its server sends no parts of it after all.
    pub(super) fn fill_in_order(&self) {
        self.0.send_modify(|state| {
            if let Some(about) = &mut state.about {
                (about.can_jump, about.has_parts) = (false, false);
            }
        });
    }

    /// These bytes are there now.
    pub(super) fn add(&self, run: Range<u64>) {
        self.0.send_modify(|state| state.runs.add(run));
    }

    /// It ends here.
    pub(super) fn ends_at(&self, length: u64) {
        self.0.send_modify(|state| {
            if let Some(about) = &mut state.about {
                about.length = Some(length);
            }
        });
    }

    /// What to fetch next; `None` if all is there.
    pub(super) fn next_hole(&self) -> Option<Hole> {
        let mut hole = None;
        self.0.send_if_modified(|state| {
            // Who waits comes before who will soon, and he before who has enough for now.
            let reader = [1, AHEAD, u64::MAX].into_iter().find_map(|within| state.needy(within));
            let reader = reader.filter(|_| state.jumps());
            let turn = state.turns + 1;
            let place = reader.and_then(|reader| state.wishes.get_mut(&reader)).map_or(0, |wish| {
                (state.turns, wish.turn) = (turn, turn);
                wish.next
            });
            hole = state.hole(place);
            // That changes nothing for those who wait.
            false
        });
        hole
    }

    /// Where the hole ends that begins at `start`, or that this is in; `None` if nobody knows.
    pub(super) fn end_of_hole(&self, start: u64) -> Option<u64> {
        self.0.borrow().hole(start)?.end
    }

    /// Whether a reader waits whom what comes in at `at` does not serve soon. One whom it does serve is left for
    /// another only when a step is over.
    pub(super) fn is_wanted_elsewhere(&self, at: u64, is_step_over: bool) -> bool {
        let state = self.0.borrow();
        if !state.jumps() {
            return false;
        }
        let is_served = |wish: &Wish| wish.next >= at && wish.next - at <= NEAR;
        let waiting = || state.wishes.values().filter(|wish| state.is_missing(wish));
        waiting().any(|wish| !is_served(wish)) && (is_step_over || !waiting().any(is_served))
    }

    /// Whether somebody reads, or is about to.
    pub(super) fn is_read(&self) -> bool {
        let state = self.0.borrow();
        state.is_awaited || !state.wishes.is_empty()
    }

    /// How many bytes are there.
    pub fn bytes(&self) -> u64 {
        self.0.borrow().runs.bytes()
    }

    /// All that is there.
    pub(super) fn runs(&self) -> Runs {
        self.0.borrow().runs.clone()
    }

    /// Wakes whenever something changes.
    pub(super) fn watch(&self) -> watch::Receiver<impl Sized + use<>> {
        self.0.subscribe()
    }
}

/// The readers' side.
impl Growing {
    /// Somebody will read soon.
    pub fn expect_reader(&self) {
        self.0.send_modify(|state| state.is_awaited = true);
    }

    /// How many bytes it will have; nothing while its server has not answered, `None` within if that does not say.
    pub fn length(&self) -> Option<Option<u64>> {
        self.0.borrow().about.as_ref().map(|about| about.length)
    }

    /// How many bytes it will have, where its server says so, which version it is, and sends any part of that.
    pub fn length_in_parts(&self) -> Option<u64> {
        self.0.borrow().about.as_ref().filter(|about| about.can_jump)?.length
    }

    /// Waits until its server has answered, and tells what [`Growing::length`] does; nothing if the download has ended
    /// without.
    pub async fn described_length(&self) -> Option<Option<u64>> {
        let mut changes = self.0.subscribe();
        // The file itself keeps a sender.
        let state = changes.wait_for(|state| state.about.is_some() || state.has_ended).await.ok()?;
        state.about.as_ref().map(|about| about.length)
    }

    /// Whether who begins to read here has it no sooner from its server: that sends parts, but does not name its
    /// versions, so that they cannot be put together.
    pub fn reaches(&self, start: u64) -> bool {
        let state = self.0.borrow();
        let has_parts = state.about.as_ref().is_some_and(|about| about.has_parts);
        state.jumps() || !has_parts || start <= state.runs.end_from(0).saturating_add(NEAR)
    }

    /// Begins to read a range of its bytes; what it goes on with is fetched first, until the reader is dropped.
    ///
    /// # Errors
    ///
    /// If nobody knows the file yet, or it is there no more.
    pub async fn read(&self, range: Range<u64>) -> io::Result<GrowingReader> {
        let (about, version) = {
            let state = self.0.borrow();
            (state.about.clone().ok_or(io::ErrorKind::NotFound)?, state.version)
        };
        let mut file = match File::open(&about.part).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => File::open(&about.path).await?,
            opened => opened?,
        };
        file.seek(SeekFrom::Start(range.start)).await?;
        let mut number = 0;
        self.0.send_modify(|state| {
            state.readers += 1;
            number = state.readers;
            state.is_awaited = false;
            state.wishes.insert(number, Wish { next: range.start, end: range.end, waits: false, turn: 0 });
        });
        let growing = self.clone();
        Ok(GrowingReader { changes: self.0.subscribe(), growing, number, version, file, range })
    }
}

/// One attempt to download.
pub(super) struct Attempt(Growing);

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.has_ended = true);
    }
}

/// Reads a range of a growing file from its start to its end.
#[derive(Debug)]
pub struct GrowingReader {
    growing: Growing,
    changes: watch::Receiver<State>,
    number: u64,
    version: u64,
    file: File,
    range: Range<u64>,
}

impl GrowingReader {
    /// The next bytes; `None` at the end of the range or of the file. Waits until they are there, as long as the
    /// download goes on.
    ///
    /// # Errors
    ///
    /// If the download has ended without them, the file has another version by now, or the disk does not give them.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            self.changes.mark_unchanged();
            let there = self.look()?;
            if there.is_some_and(|there| there == 0) {
                return Ok(None);
            }
            if let Some(there) = there {
                let most = usize::try_from(there.min(AT_ONCE)).expect("a chunk fits into memory");
                let mut bytes = vec![0; most];
                let length = self.file.read(&mut bytes).await?;
                bytes.truncate(length);
                self.range.start += length as u64;
                // What was begun anew while it was read is not what it was read for.
                let is_same = self.growing.0.borrow().version == self.version;
                return if is_same && length > 0 {
                    Ok(Some(bytes.into()))
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
            // The file itself keeps a sender.
            let _ = self.changes.changed().await;
        }
    }

    /// How many bytes are there to go on with, 0 at the end; tells the download where this reader is, and if he waits.
    fn look(&self) -> io::Result<Option<u64>> {
        let Range { start, end } = self.range;
        let mut there = Ok(None);
        self.growing.0.send_if_modified(|state| {
            if state.version != self.version {
                there = Err(io::Error::other("the file was begun anew"));
                return false;
            }
            let end = state.length().map_or(end, |length| end.min(length));
            let has = state.runs.end_from(start).min(end).saturating_sub(start);
            let waits = has == 0 && start < end;
            there = match (waits, state.has_ended) {
                (true, true) => Err(io::Error::other("its download has ended before that")),
                (true, false) => Ok(None),
                (false, _) => Ok(Some(has)),
            };
            let Some(wish) = state.wishes.get_mut(&self.number) else { return false };
            let is_news = waits && !(wish.waits && wish.next == start);
            (wish.next, wish.waits) = (start, waits);
            is_news
        });
        there
    }
}

impl Drop for GrowingReader {
    fn drop(&mut self) {
        self.growing.0.send_modify(|state| {
            state.wishes.remove(&self.number);
        });
    }
}

impl State {
    fn begin_anew(&mut self) {
        self.runs = Runs::default();
        self.version += 1;
    }

    fn jumps(&self) -> bool {
        self.about.as_ref().is_some_and(|about| about.can_jump) && self.runs.0.len() < MOST_RUNS
    }

    fn length(&self) -> Option<u64> {
        self.about.as_ref().and_then(|about| about.length)
    }

    /// The first hole from `place` on, else the first of all.
    fn hole(&self, place: u64) -> Option<Hole> {
        let is_inside = |start: &u64| self.length().is_none_or(|length| *start < length);
        let from = |place| Some(self.runs.end_from(place)).filter(is_inside);
        let start = from(place).or_else(|| from(0))?;
        Some(Hole { start, end: self.runs.next_start(start).or(self.length()) })
    }

    /// Of the readers to whom a byte is missing within `within` bytes, the one whose turn is longest ago; of those who
    /// had none yet, the last who came.
    fn needy(&self, within: u64) -> Option<u64> {
        let needy = self.wishes.iter().filter(|(_, wish)| {
            let missing = self.runs.end_from(wish.next);
            missing < self.end(wish) && missing - wish.next < within
        });
        needy.min_by_key(|(number, wish)| (wish.turn, Reverse(**number))).map(|(number, _)| *number)
    }

    fn is_missing(&self, wish: &Wish) -> bool {
        wish.next < self.end(wish) && self.runs.end_from(wish.next) == wish.next
    }

    fn end(&self, wish: &Wish) -> u64 {
        self.length().map_or(wish.end, |length| wish.end.min(length))
    }
}

/// Runs of bytes in their order, none of which touches another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Runs(Vec<Range<u64>>);

impl Runs {
    /// The same as pairs of start and end.
    pub(super) fn pairs(&self) -> Vec<[u64; 2]> {
        self.0.iter().map(|run| [run.start, run.end]).collect()
    }

    fn add(&mut self, run: Range<u64>) {
        if run.is_empty() {
            return;
        }
        let first = self.0.partition_point(|it| it.end < run.start);
        let behind = self.0.partition_point(|it| it.start <= run.end);
        let touched = &self.0[first..behind];
        let start = touched.first().map_or(run.start, |it| it.start.min(run.start));
        let end = touched.last().map_or(run.end, |it| it.end.max(run.end));
        self.0.splice(first..behind, std::iter::once(start..end));
    }

    /// Where what is there from `at` on ends; `at` itself if nothing is.
    pub(super) fn end_from(&self, at: u64) -> u64 {
        let run = self.0.get(self.0.partition_point(|it| it.end <= at));
        run.filter(|it| it.start <= at).map_or(at, |it| it.end)
    }

    /// Where the first run behind `at` begins.
    fn next_start(&self, at: u64) -> Option<u64> {
        self.0.get(self.0.partition_point(|it| it.start <= at)).map(|it| it.start)
    }

    /// How many bytes are there.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|run| run.end - run.start).sum()
    }
}

impl FromIterator<[u64; 2]> for Runs {
    fn from_iter<I: IntoIterator<Item = [u64; 2]>>(pairs: I) -> Self {
        let mut runs = Self::default();
        pairs.into_iter().for_each(|[start, end]| runs.add(start..end));
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn runs(pairs: &[[u64; 2]]) -> Runs {
        pairs.iter().copied().collect()
    }

    #[test]
    fn runs_that_touch_become_one() {
        let mut some = runs(&[[10, 20], [30, 40]]);
        assert_eq!((some.end_from(10), some.end_from(20), some.end_from(0), some.bytes()), (20, 20, 0, 20));
        assert_eq!((some.next_start(0), some.next_start(10), some.next_start(30)), (Some(10), Some(30), None));
        some.add(20..25);
        assert_eq!(some, runs(&[[10, 25], [30, 40]]));
        some.add(25..30);
        assert_eq!(some, runs(&[[10, 40]]));
        some.add(0..50);
        some.add(7..7);
        assert_eq!(some.pairs(), [[0, 50]]);
    }

    /// A file of 100 MiB with these runs, in MiB, and readers in MiB.
    fn growing(runs_there: &[[u64; 2]], readers: &[[u64; 2]]) -> Growing {
        let growing = Growing::default();
        growing.found(runs_there.iter().map(|run| run.map(|at| at * MIB)).collect());
        growing.described(About {
            part: "x".into(),
            path: "y".into(),
            length: Some(100 * MIB),
            can_jump: true,
            has_parts: true,
        });
        growing.0.send_modify(|state| {
            for (number, [next, end]) in (1..).zip(readers) {
                state.wishes.insert(number, Wish { next: next * MIB, end: end * MIB, waits: false, turn: 0 });
            }
        });
        growing
    }

    #[track_caller]
    fn check(runs: &[[u64; 2]], readers: &[[u64; 2]], want: Option<[u64; 2]>) {
        let hole = growing(runs, readers).next_hole();
        let want = want.map(|[start, end]| Hole { start: start * MIB, end: Some(end * MIB) });
        assert_eq!(hole, want, "{runs:?} {readers:?}");
    }

    #[test]
    fn what_is_read_comes_first_and_then_what_is_missing_before() {
        check(&[[0, 5]], &[], Some([5, 100]));
        check(&[[0, 5]], &[[0, 100]], Some([5, 100]));
        check(&[[0, 5]], &[[0, 100], [60, 100]], Some([60, 100]));
        check(&[[0, 5], [60, 70]], &[[60, 100]], Some([70, 100]));
        // The first reader has nothing left, the second has ten MiB before him.
        check(&[[0, 5], [60, 70]], &[[5, 100], [60, 100]], Some([5, 60]));
        check(&[[0, 5], [60, 100]], &[[60, 100]], Some([5, 60]));
        check(&[[0, 5], [60, 70]], &[[60, 65]], Some([5, 60]));
        check(&[[0, 100]], &[[0, 100]], None);
    }

    #[test]
    fn who_waits_has_his_turn() {
        let growing = growing(&[[0, 5]], &[[5, 100], [60, 100]]);
        let starts: Vec<_> = (0..4).filter_map(|_| Some(growing.next_hole()?.start / MIB)).collect();
        assert_eq!(starts, [60, 5, 60, 5]);
    }

    #[test]
    fn where_the_server_sends_no_parts_all_comes_in_order() {
        let growing = growing(&[[0, 5]], &[[60, 100]]);
        assert!(growing.reaches(60 * MIB) && growing.is_wanted_elsewhere(5 * MIB, true));
        growing.0.send_modify(|state| state.about.as_mut().unwrap().can_jump = false);
        assert!(growing.reaches(5 * MIB + 1) && !growing.reaches(60 * MIB), "its server has it sooner");
        growing.fill_in_order();
        assert_eq!(growing.next_hole(), Some(Hole { start: 5 * MIB, end: Some(100 * MIB) }));
        assert!(!growing.is_wanted_elsewhere(5 * MIB, true));
        assert!(growing.reaches(60 * MIB), "nobody has it sooner");
    }

    #[test]
    fn who_is_served_is_left_only_when_a_step_is_over() {
        let both = growing(&[[0, 5]], &[[5, 100], [60, 100]]);
        assert!(!both.is_wanted_elsewhere(5 * MIB, false) && both.is_wanted_elsewhere(5 * MIB, true));
        let jumped = growing(&[[0, 5]], &[[60, 100]]);
        assert!(jumped.is_wanted_elsewhere(5 * MIB, false));
        assert!(!jumped.is_wanted_elsewhere(60 * MIB - NEAR, false), "it comes soon");
    }
}
