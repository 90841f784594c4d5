//! Web servers that have the content: sources of pieces beside the peers, asked when the swarm is not enough. BEP 19.
//!
//! A server is asked for a run of pieces, a long range, and may send as much of it as was granted; what lies ahead
//! stays free for peers. `need` decides whether servers are asked at all, this module whom for what, and what becomes
//! of it.
//!
//! Every listener of a rush would otherwise pull a whole copy from the publisher. So a server is not asked while peers
//! bring enough; whoever asks one begins at a random place, so that those who do so at once have something to trade;
//! and a run ends where a peer was quicker. Pieces that nobody connected has come first.
//!
//! Where a reader had to wait, a server is asked for what that needs, from there on and beside the peers, and granted
//! it as it becomes urgent.
//!
//! A server that sent a bad piece, proven, or has another file, is not asked again; one that fails is left alone for
//! longer each time.
//!
//! Laws: what a server is granted is asked for in the picker, as of a peer, and given back when the run ends; at most
//! [`MOST_AT_ONCE`] servers are asked at once, and one where there are peers.
//!
//! Source: BEP 19.

mod need;
mod seed;

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::conduct::ready;
use super::io::{Event, Output};
use super::{Limits, Swarm};
use crate::layout::{BLOCK_LENGTH, BlockInfo, PieceIndex};
use crate::peer::ConnId;
use crate::piece::{Sender, Wanted, WebSeedId};
use crate::rate::Rate;
use crate::rng::Rng;
use crate::time::{Instant, earliest};
use need::Need;
use seed::{Rest, Run, WebSeed};

/// The most servers of one swarm; more are left out.
const MOST: usize = 16;
/// The most servers asked at once.
pub const MOST_AT_ONCE: usize = 4;
/// A server that sends nothing for so long leaves its work to others, if they have none.
const SILENCE: Duration = Duration::from_secs(3);
/// The least and the most bytes of a run while there are peers; in between, half a second of what the server gives.
///
/// Those who ask one server at once get the less of the same the sooner each looks again what others have by now.
const RUN: Range<u64> = 512 << 10..2 << 20;
/// The same where no peer is connected, with eight seconds.
const LONE_RUN: Range<u64> = 1 << 20..64 << 20;

/// A server did not bring what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct WebSeedFault {
    /// What happened, in words.
    pub reason: String,
    /// What is to be done about it.
    pub remedy: Remedy,
}

/// What is to be done about a server that did not bring what it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It is asked again later; it may have said when.
    Wait(Option<Duration>),
    /// It sends a file from its start or not at all.
    FromTheStart,
    /// It has another file.
    Never,
}

/// A range that a server is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebFetch {
    /// The server.
    pub seed: WebSeedId,
    /// The fetch's number, for what belongs to it.
    pub number: u32,
    /// Its URL, as the metainfo has it.
    pub url: String,
    /// Bytes of the torrent, from a block's first to a block's last.
    pub range: Range<u64>,
    /// Up to which byte of the torrent the server may send for now.
    pub granted: u64,
    /// Whether a server that sends files from their starts only is to be read up to where the range begins.
    pub from_the_start: bool,
}

/// What a server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WebSeedState {
    /// It is not needed.
    Idle,
    /// It is sending.
    Active,
    /// It failed and is tried again later.
    Waiting,
    /// It is not asked any more.
    Dropped,
}

/// A web seed's figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WebSeedStatus {
    /// Its URL, as the metainfo has it.
    pub url: String,
    /// What it is doing.
    pub state: WebSeedState,
    /// Bytes that it sent since the swarm was joined.
    pub downloaded: u64,
    /// Bytes a second.
    pub rate: Rate,
    /// Why it waits or was dropped.
    pub error: Option<String>,
}

/// The web seeds of one swarm.
#[derive(Debug)]
pub(super) struct WebSeeds {
    seeds: Vec<WebSeed>,
    need: Need,
    /// Blocks that were granted and have not come.
    asked: usize,
    /// Bytes that all of them sent.
    downloaded: u64,
    /// Something has changed that may let a run begin.
    may_begin: bool,
    next_fetch: u32,
}

impl WebSeeds {
    pub(super) fn new(urls: Vec<String>) -> Self {
        let mut seeds: Vec<WebSeed> = Vec::new();
        for url in urls {
            if seeds.len() < MOST && seeds.iter().all(|seed| seed.url != url) {
                seeds.push(WebSeed::new(url));
            }
        }
        // Most have one, and no more ever come.
        seeds.shrink_to_fit();
        Self { seeds, need: Need::default(), asked: 0, downloaded: 0, may_begin: false, next_fetch: 0 }
    }

    /// Whether there is a server that may be needed.
    pub(super) fn is_any_usable(&self) -> bool {
        self.seeds.iter().any(|seed| !matches!(seed.rest, Rest::Dropped))
    }

    /// Blocks that were granted and have not come.
    pub(super) const fn asked(&self) -> usize {
        self.asked
    }

    /// A connected peer got something that nobody else had.
    pub(super) const fn peers_have_news(&mut self) {
        self.need.peers_have_news();
    }

    pub(super) fn status(&mut self, now: Instant) -> Vec<WebSeedStatus> {
        self.seeds.iter_mut().map(|seed| seed.status(now)).collect()
    }

    fn running(&self) -> usize {
        self.seeds.iter().filter(|seed| seed.run.is_some()).count()
    }

    fn run(&mut self, id: WebSeedId, fetch: u32) -> Option<&mut Run> {
        self.seeds.get_mut(usize::from(id.0))?.run.as_mut().filter(|run| run.fetch == fetch)
    }

    fn ids(&self) -> impl Iterator<Item = WebSeedId> + use<> {
        (0..u16::try_from(self.seeds.len()).expect("there are few")).map(WebSeedId)
    }

    fn at(&mut self, id: WebSeedId) -> &mut WebSeed {
        &mut self.seeds[usize::from(id.0)]
    }

    /// The quickest that rests and may be asked, any of those that are alike; `None` if none may.
    fn choose(&mut self, now: Instant, rng: &mut Rng) -> Option<WebSeedId> {
        // One that has not been measured may be the quickest.
        let rank = |seed: &WebSeed| if seed.downloaded == 0 { u64::MAX } else { seed.best_rate };
        // What one that has no ranges sends from the start, peers may have.
        let is_offered_some = self.need.is_offered_some();
        let may_run = |seed: &WebSeed| seed.may_run(now) && (seed.has_ranges || !is_offered_some);
        let best = self.seeds.iter().filter(|seed| may_run(seed)).map(rank).max()?;
        let is_best = |id: &WebSeedId| {
            let seed = &self.seeds[usize::from(id.0)];
            may_run(seed) && rank(seed) == best
        };
        rng.choose(&self.ids().filter(is_best).collect::<Vec<_>>()).copied()
    }
}

impl Swarm {
    /// Whether web seeds are or may be asked, so that they must be looked after.
    pub(super) fn minds_web_seeds(&self) -> bool {
        self.is_fetching() && self.web_seeds.is_any_usable()
    }

    /// Looks whether web seeds are needed, and lets those go that are not.
    pub(super) fn tick_web_seeds(&mut self, now: Instant, limits: &mut Limits) {
        if !self.minds_web_seeds() {
            return self.rest_web_seeds(now);
        }
        self.update_need(now, limits);
        self.web_seeds.may_begin = true;
        if self.web_seeds.need.wanted().is_none() {
            let helps = self.wants_help(now);
            for id in self.web_seeds.ids() {
                if let Some(run) = self.web_seeds.at(id).run.as_mut().filter(|run| !(helps && run.is_urgent)) {
                    run.is_cut = true;
                }
                self.close_if_done(now, id);
            }
        }
    }

    /// A reader has to wait: servers are looked at.
    pub(super) const fn call_web_seeds(&mut self) {
        self.web_seeds.may_begin = true;
    }

    /// The pieces that servers bring to readers; peers are asked for others.
    pub(super) fn pieces_for_readers(&self) -> Vec<PieceIndex> {
        let runs = self.web_seeds.seeds.iter().filter_map(|seed| seed.run.as_ref()).filter(|run| run.is_urgent);
        let pieces =
            runs.flat_map(|run| run.waiting.iter().map(|(block, _)| block.piece).chain(self.goes_on_with(run)));
        pieces.collect()
    }

    /// The piece that a run is in the middle of.
    fn goes_on_with(&self, run: &Run) -> Option<PieceIndex> {
        let (block, _) = block_at(self.layout(), run.granted).filter(|_| !run.is_over())?;
        (block.begin > 0).then_some(block.piece)
    }

    /// Has a server bring what a reader needs, from the first block on that nobody is asked for. If none rests, one
    /// that brings something else is to end that.
    fn help_reader(&mut self, now: Instant, limits: &mut Limits) {
        let Some(first) = self.picker.first_urgent().filter(|_| self.wants_help(now)) else { return };
        let at = self.layout().range_of(first).start;
        let runs = || self.web_seeds.seeds.iter().filter_map(|seed| seed.run.as_ref());
        if runs().any(|run| run.is_urgent && !run.is_over() && run.granted == at) {
            return;
        }
        let choice = self.web_seeds.choose(now, &mut self.rng).filter(|id| self.web_seeds.at(*id).has_ranges);
        if let Some(id) = choice.filter(|_| self.web_seeds.running() < MOST_AT_ONCE) {
            self.begin_urgent_run(now, id, first);
            return self.grant(now, id, limits);
        }
        for id in self.web_seeds.ids() {
            let seed = self.web_seeds.at(id);
            if let Some(run) = seed.run.as_mut().filter(|_| seed.has_ranges) {
                run.is_cut = true;
                return self.close_if_done(now, id);
            }
        }
    }

    fn begin_urgent_run(&mut self, now: Instant, id: WebSeedId, first: BlockInfo) {
        let start = self.layout().range_of(first).start;
        let range = start..self.picker.end_of_urgent_run(first, LONE_RUN.end);
        self.start_run(id, Run { is_urgent: true, ..Run::new(range, u32::MAX, now) });
    }

    /// Asks a server for a run.
    fn start_run(&mut self, id: WebSeedId, run: Run) {
        let number = self.web_seeds.next_fetch;
        self.web_seeds.next_fetch += 1;
        let seed = &mut self.web_seeds.seeds[usize::from(id.0)];
        let (url, range, granted, from_the_start) =
            (seed.url.clone(), run.range.clone(), run.range.start, !seed.has_ranges);
        seed.run = Some(Run { fetch: number, ..run });
        let fetch = WebFetch { seed: id, number, url, range, granted, from_the_start };
        self.out.push_back(Output::FetchWeb { swarm: self.id, fetch });
    }

    /// Grants what there is room for, and begins runs where servers rest.
    pub(super) fn fill_web_seeds(&mut self, now: Instant, limits: &mut Limits) {
        if self.web_seeds.seeds.is_empty() || !self.is_fetching() || self.waits_for_disk() {
            return;
        }
        for id in self.web_seeds.ids() {
            if self.web_seeds.at(id).run.is_some() {
                self.grant(now, id, limits);
            }
        }
        if !std::mem::take(&mut self.web_seeds.may_begin) {
            return;
        }
        self.help_reader(now, limits);
        let Some(wanted) = self.web_seeds.need.wanted() else { return };
        let is_alone = self.web_seeds.need.is_alone();
        let most = if is_alone { MOST_AT_ONCE } else { 1 };
        while self.web_seeds.running() < most {
            let Some(id) = self.web_seeds.choose(now, &mut self.rng) else { return };
            if !self.begin_run(now, id, wanted) {
                // What becomes whole may make room.
                self.web_seeds.may_begin = self.picker.is_full();
                return self.give_up_the_silent(now);
            }
            self.grant(now, id, limits);
        }
    }

    /// A server has nothing to do: what one that sends nothing was to bring is left to it.
    fn give_up_the_silent(&mut self, now: Instant) {
        for id in self.web_seeds.ids() {
            let is_silent = |run: &Run| run.awaits_any() && now - run.came_at >= SILENCE;
            if self.web_seeds.at(id).run.as_ref().is_some_and(is_silent) {
                self.close_run(id);
                let seed = &mut self.web_seeds.seeds[usize::from(id.0)];
                seed.failed(now, "it sends nothing".to_owned(), None, &mut self.rng);
                self.web_seeds.may_begin = true;
            }
        }
    }

    /// Begins a run; false if nothing is left to ask for.
    fn begin_run(&mut self, now: Instant, id: WebSeedId, wanted: Wanted) -> bool {
        let is_alone = self.web_seeds.need.is_alone();
        let seed = &mut self.web_seeds.seeds[usize::from(id.0)];
        let Some(first) = self.picker.begin_run(wanted, seed.after, &mut self.rng) else { return false };
        let layout = self.picker.layout();
        let range = if seed.has_ranges {
            let rate = seed.rate.rate(now).0;
            let (bounds, most) = if is_alone { (LONE_RUN, rate * 8) } else { (RUN, rate / 2) };
            let most = most.clamp(bounds.start, bounds.end);
            layout.range_of(first).start..self.picker.end_of_run(first, most)
        } else {
            let mut missing = layout.pieces().filter(|piece| self.picker.lacks(*piece));
            let begin = missing.next().unwrap_or(first.piece);
            let last = missing.last().unwrap_or(begin);
            let end = layout.start_of(last) + u64::from(layout.piece_length());
            layout.start_of(begin)..end.min(layout.length())
        };
        // A stream is read through, whatever peers have of it.
        let rarity = if seed.has_ranges { self.picker.availability.of(first.piece) } else { u32::MAX };
        self.start_run(id, Run::new(range, rarity, now));
        true
    }

    /// Lets a server send more of its run, as much as there is room for.
    fn grant(&mut self, now: Instant, id: WebSeedId, limits: &mut Limits) {
        let budget = self.config.request_budget / u64::from(BLOCK_LENGTH);
        let conn = self.web_conn(id);
        let window = self.web_seeds.at(id).window(now);
        let mut grown = false;
        loop {
            let seed = &mut self.web_seeds.seeds[usize::from(id.0)];
            let Some(run) = seed.run.as_mut().filter(|run| !run.is_over() && run.waiting_bytes < window) else { break };
            if (self.asked + self.web_seeds.asked) as u64 >= budget {
                break;
            }
            if let Err(until) = ready(limits.all.down.iter_mut().chain(&mut self.own.down), now) {
                self.limited_until = earliest(self.limited_until, until);
                break;
            }
            let Some((block, number)) = block_at(self.picker.layout(), run.granted) else { break };
            if run.is_urgent && self.web_seeds.need.wanted().is_none() && !self.picker.is_urgent(block.piece) {
                // It waits until the reader has come nearer.
                break;
            }
            // A peer that has got the piece meanwhile is the better source.
            let is_wanted = block.begin > 0 || self.picker.availability.of(block.piece) <= run.rarity;
            let asked = if is_wanted { self.picker.ask_for(conn, block) } else { None };
            if asked.is_none() {
                let lacks_room = is_wanted && self.picker.is_free(block, number);
                if lacks_room && (!run.waiting.is_empty() || !self.picker.has_open()) {
                    // A piece on its way that becomes whole makes room for the next.
                    break;
                }
                if seed.has_ranges {
                    run.is_cut = true;
                    break;
                }
                if lacks_room {
                    // What peers left behind must not keep a stream from going on.
                    let Some(piece) = self.picker.stranded(|_| false) else { break };
                    self.picker.discard(piece);
                    continue;
                }
            }
            for bucket in limits.all.down.iter_mut().chain(&mut self.own.down) {
                bucket.take(now, u64::from(block.length));
            }
            run.grant(block, self.picker.layout().end_of(block), asked.is_some());
            self.web_seeds.asked += usize::from(asked.is_some());
            grown = true;
        }
        if let Some(run) = self.web_seeds.at(id).run.as_ref().filter(|_| grown) {
            let (fetch, until) = (run.fetch, run.granted);
            self.out.push_back(Output::GrantWeb { swarm: self.id, seed: id, fetch, until });
        }
        self.close_if_done(now, id);
    }

    /// Blocks came, the next ones of the run.
    pub(super) fn web_seed_sent(&mut self, now: Instant, id: WebSeedId, fetch: u32, blocks: Vec<Bytes>) {
        for data in blocks {
            let length = data.len() as u64;
            let Some(Some((block, is_wanted))) = self.web_seeds.run(id, fetch).map(|run| run.came(now)) else {
                // The run was ended meanwhile.
                self.wasted += length;
                continue;
            };
            self.down.add(now, length);
            self.web_seeds.downloaded += length;
            self.web_seeds.at(id).received(now, length);
            self.web_seeds.asked -= usize::from(is_wanted);
            let taken = if is_wanted { self.picker.take(block, data, Sender::WebSeed(id)) } else { None };
            match taken {
                None => self.wasted += length,
                Some(requests) => {
                    if requests > 1 {
                        let conn = self.web_conn(id);
                        self.cancel_elsewhere(now, conn, block);
                    }
                    self.store_if_whole(now, block.piece);
                }
            }
        }
        self.close_if_done(now, id);
    }

    /// A fetch is over.
    pub(super) fn web_seed_ended(&mut self, now: Instant, id: WebSeedId, fetch: u32, fault: &WebSeedFault) {
        if self.web_seeds.run(id, fetch).is_none() {
            return;
        }
        self.end_run(id);
        match fault.remedy {
            Remedy::Never => self.drop_web_seed(now, id, fault.reason.clone()),
            Remedy::FromTheStart => {
                let seed = self.web_seeds.at(id);
                if std::mem::replace(&mut seed.has_ranges, false) {
                    self.web_seeds.may_begin = true;
                } else {
                    seed.failed(now, fault.reason.clone(), None, &mut self.rng);
                }
            }
            Remedy::Wait(wait) => {
                let seed = &mut self.web_seeds.seeds[usize::from(id.0)];
                seed.failed(now, fault.reason.clone(), wait, &mut self.rng);
                // Others may go on with what it leaves.
                self.web_seeds.may_begin = true;
            }
        }
    }

    /// The server sent bad data, proven, or has another file: it is not asked again.
    pub(super) fn drop_web_seed(&mut self, now: Instant, id: WebSeedId, reason: String) {
        self.close_run(id);
        let seed = self.web_seeds.at(id);
        if !matches!(seed.rest, Rest::Dropped) {
            seed.rest = Rest::Dropped;
            seed.error = Some(reason.clone());
            let url = seed.url.clone();
            self.out.push_back(Output::Event(self.id, Event::WebSeedDropped { url, reason }));
        }
        self.web_seeds.may_begin = true;
        self.tick_at = earliest(self.tick_at, Some(now + super::TICK));
    }

    /// A peer was quicker with a block that a server may have been asked for, too.
    pub(super) fn cancel_web_seeds(&mut self, now: Instant, block: BlockInfo) {
        for id in self.web_seeds.ids() {
            if let Some(run) = &mut self.web_seeds.seeds[usize::from(id.0)].run
                && run.cancel(block)
            {
                self.web_seeds.asked -= 1;
                self.close_if_done(now, id);
            }
        }
    }

    /// Asks no server for anything any more, for now.
    pub(super) fn rest_web_seeds(&mut self, now: Instant) {
        for id in self.web_seeds.ids() {
            self.close_run(id);
        }
        self.web_seeds.need.rest(now);
    }

    /// Ends a run of which nothing more is to come.
    fn close_if_done(&mut self, now: Instant, id: WebSeedId) {
        let seed = self.web_seeds.at(id);
        let Some(run) = seed.run.as_ref().filter(|run| run.is_over() && !run.awaits_any()) else { return };
        if run.is_whole() {
            // The fetch ends by itself.
            let layout = self.picker.layout();
            let behind = if run.range.end < layout.length() { block_at(layout, run.range.end) } else { None };
            let after = behind.map_or(PieceIndex(0), |(block, _)| block.piece);
            seed.done(now, after);
            self.end_run(id);
        } else {
            self.close_run(id);
        }
        self.web_seeds.may_begin = true;
    }

    /// Ends a run before its time.
    fn close_run(&mut self, id: WebSeedId) {
        if let Some(run) = &self.web_seeds.at(id).run {
            let fetch = run.fetch;
            self.out.push_back(Output::CloseWeb { swarm: self.id, seed: id, fetch });
            self.end_run(id);
        }
    }

    /// Forgets a run and gives back what it was to bring.
    fn end_run(&mut self, id: WebSeedId) {
        let conn = self.web_conn(id);
        let Some(run) = self.web_seeds.at(id).run.take() else { return };
        for (block, _) in run.waiting.iter().filter(|(_, is_wanted)| *is_wanted) {
            self.web_seeds.asked -= 1;
            self.picker.unask(*block);
        }
        self.picker.disown(conn);
    }

    /// The number under which a web seed owns pieces.
    const fn web_conn(&self, id: WebSeedId) -> ConnId {
        ConnId(1 << 62 | (self.id.0 as u64) << 16 | id.0 as u64)
    }
}

/// The block that begins at this byte of the torrent, and its number within its piece; `None` beyond the last piece.
fn block_at(layout: &crate::layout::Layout, offset: u64) -> Option<(BlockInfo, u32)> {
    let piece = layout.piece(u32::try_from(offset / u64::from(layout.piece_length())).ok()?)?;
    let number = u32::try_from((offset - layout.start_of(piece)) / u64::from(BLOCK_LENGTH)).ok()?;
    Some((layout.block(piece, number)?, number))
}
