//! Downloads as they run, and what the agent is told of them.

use std::time::Duration;

use podswarm_core::metainfo::{InfoHash, Magnet};
use podswarm_core::time::Instant;
use podswarm_subscriber::agent::plan::{Plan, Prepared, TorrentFacts};
use podswarm_subscriber::agent::queue::{Fault, Progress};
use podswarm_subscriber::agent::{Input, Whole};
use podswarm_subscriber::records::{EpisodeId, Source};
use url::Url;

use super::host::Flaw;
use super::show::Content;
use super::world::{Event, World};

/// Bytes a second that one download moves.
pub(super) const RATE: u64 = 4_000_000;
/// A download is looked at this often.
const REPORT_EVERY: Duration = Duration::from_secs(10);
/// A connection on which nothing comes is given up.
const STILL: Duration = Duration::from_mins(1);
/// So long it takes to find out what every third magnet link's torrent is; a plain file is begun meanwhile.
const HUNT: Duration = Duration::from_secs(8);

/// What a host says that sends nothing.
pub(super) struct Refusal {
    attempt: u64,
    url: String,
    reason: String,
    /// How long it wants to be left alone.
    patience: Option<Duration>,
}

/// A download that runs.
pub(super) struct Download {
    pub(super) attempt: u64,
    content: Content,
    url: String,
    plan: Plan,
    torrent: Option<InfoHash>,
    /// Bytes that were there when it began to move.
    base: u64,
    since: Instant,
    /// It comes no further.
    stops_at: u64,
    /// What is there.
    have: u64,
    /// It stood still, and gave up its place.
    pub(super) was_still: bool,
}

impl Download {
    /// The host that sends a plain file.
    pub(super) fn host(&self) -> Option<String> {
        let url = Url::parse(&self.url).ok().filter(|_| self.torrent.is_none())?;
        url.host_str().map(str::to_owned)
    }

    fn have_at(&self, now: Instant) -> u64 {
        let came = (now - self.since).as_millis().saturating_mul(u128::from(RATE)) / 1000;
        self.base.saturating_add(u64::try_from(came).unwrap_or(u64::MAX)).min(self.stops_at)
    }

    /// Bytes come in.
    pub(super) fn is_moving(&self, now: Instant) -> bool {
        self.have_at(now) < self.stops_at
    }

    /// Bytes that are yet to be written, as far as the agent's rim knows.
    pub(super) fn outstanding(&self) -> u64 {
        self.plan.length.unwrap_or(0).saturating_sub(self.have)
    }
}

impl World {
    /// Brings the disk up to what has come in.
    pub(super) fn settle(&mut self) {
        let now = self.now;
        let mut grown = 0;
        for download in self.downloads.values_mut() {
            let have = download.have_at(now);
            grown += have - download.have;
            download.have = have;
            self.disk.write(&download.plan.file, have);
        }
        let limits = self.settings.limits;
        let space = self.disk.space();
        let is_tight = space.available < limits.leave_free.unwrap_or(space.reserve());
        // What nobody could know of is measured every ten seconds.
        let slack = RATE * 12 * self.settings.downloads as u64;
        let quota = limits.quota.unwrap_or(u64::MAX).saturating_add(slack);
        self.laws.disk(now, self.disk.known(), quota, is_tight, grown > 0);
    }

    /// What is wrong with the host of some media.
    fn silence_at(&self, address: &str) -> Option<(String, Option<Duration>)> {
        let url = Url::parse(address).ok()?;
        let trouble = self.hosts[self.host_of(&url, 0)]?;
        match trouble.silence() {
            Some(reason) => Some((reason.to_owned(), None)),
            None => Some(("the host asks for patience".to_owned(), trouble.patience())),
        }
    }

    fn media_of(&self, source: &Source) -> Option<Content> {
        match source {
            Source::Http(url) | Source::Torrent(url) => self.media.at(url),
            Source::Magnet(link) => self.media.of(link.parse::<Magnet>().ok()?.info_hash),
        }
    }

    pub(super) fn prepare(&mut self, id: EpisodeId, attempt: u64, source: &Source, folder: &str, file: Option<&str>) {
        let wait = Duration::from_millis(50 + self.rng.below(500) as u64);
        let fault = |reason: &str| Input::Failed { id, attempt, fault: Fault::Source(reason.to_owned()) };
        let content = self.media_of(source);
        let is_hunt = |content: &Content| matches!(source, Source::Magnet(_)) && content.is_multiple_of(3);
        // Who has found it keeps a copy.
        let is_hunted = content.filter(is_hunt).is_some_and(|content| self.hunted.insert(content));
        let wait = if is_hunted { wait + HUNT } else { wait };
        let torrent = match source {
            Source::Http(_) => None,
            Source::Magnet(_) | Source::Torrent(_) => {
                let is_torrent = matches!(source, Source::Torrent(_));
                if is_torrent {
                    self.laws.ask_media(self.now, source.address());
                }
                let is_missing = |content: &Content| self.media.recordings[*content].flaw == Some(Flaw::Missing);
                let silence = self.silence_at(source.address()).filter(|_| is_torrent).map(|(reason, _)| reason);
                let Some(content) = content.filter(|it| silence.is_none() && !is_missing(it)) else {
                    if is_torrent {
                        self.laws.had_media(self.now, source.address(), false, None);
                    }
                    return self.answer(wait, fault(silence.as_deref().unwrap_or("404")));
                };
                self.laws.had_media(self.now, source.address(), true, None);
                let (info_hash, length) = (self.media.hash(content), self.media.recordings[content].length);
                Some(TorrentFacts { info_hash, length, name: "episode.mp3".to_owned(), is_single_file: true })
            }
        };
        let present = file.map_or(0, |file| self.disk.present(file));
        let prepared = Prepared { torrent, listing: self.disk.listing(folder), present };
        self.answer(wait, Input::Prepared { id, attempt, prepared });
    }

    pub(super) fn start(&mut self, id: EpisodeId, attempt: u64, source: &Source, plan: Plan) {
        self.settle();
        let wait = Duration::from_millis(100 + self.rng.below(900) as u64);
        if let Some(length) = self.disk.file(&plan.file) {
            // An earlier agent had finished it, and was killed.
            let whole = Whole { length, info_hash: plan.info_hash, print: None };
            return self.answer(wait, Input::Done { id, attempt, whole });
        }
        let url = source.address().to_owned();
        let is_http = matches!(source, Source::Http(_));
        let content = self.media_of(source);
        if is_http {
            self.laws.ask_media(self.now, &url);
        }
        let flaw = content.and_then(|content| self.media.recordings[content].flaw);
        let silence = self.silence_at(&url).filter(|_| is_http);
        let missing = (flaw == Some(Flaw::Missing) || content.is_none()) && is_http;
        if let Some((reason, patience)) = silence.or(missing.then(|| ("404".to_owned(), None))) {
            self.refusals.insert(id, Refusal { attempt, url, reason, patience });
            return self.after(wait, Event::Refused { run: self.run, id, attempt });
        }
        let content = content.expect("a torrent that was prepared is one of ours");
        let length = self.media.recordings[content].length;
        let base = self.disk.part(&plan.file).min(length);
        let stops_at = match flaw {
            Some(Flaw::BreaksOff(_)) if is_http => base.max(length / 2),
            Some(Flaw::Stalls) => base.max(length / 2),
            Some(Flaw::BreaksOff(_) | Flaw::Missing) | None => length,
        };
        let torrent = plan.info_hash;
        let download = Download {
            attempt,
            content,
            url,
            plan,
            torrent,
            base,
            since: self.now,
            stops_at,
            have: base,
            was_still: false,
        };
        self.downloads.insert(id, download);
        self.report_later(id);
    }

    pub(super) fn refused(&mut self, id: EpisodeId, attempt: u64) {
        if self.refusals.get(&id).is_none_or(|refusal| refusal.attempt != attempt) {
            return;
        }
        let Some(Refusal { url, reason, patience, .. }) = self.refusals.remove(&id) else { return };
        self.laws.had_media(self.now, &url, false, patience);
        self.figures.failed += 1;
        let fault = match patience {
            Some(patience) => Fault::Busy { reason, patience },
            None => Fault::Source(reason),
        };
        self.input(Input::Failed { id, attempt, fault });
    }

    /// Has a download be looked at when it comes to its end, or in a while.
    fn report_later(&mut self, id: EpisodeId) {
        let Some(download) = self.downloads.get(&id) else { return };
        let left = download.stops_at - download.have_at(self.now);
        let end = Duration::from_millis(left * 1000 / RATE + 1);
        let wait = if left == 0 { Duration::from_secs(20) } else { end.min(REPORT_EVERY) };
        let attempt = download.attempt;
        self.after(wait, Event::Report { run: self.run, id, attempt });
    }

    pub(super) fn report(&mut self, id: EpisodeId, attempt: u64) {
        self.settle();
        let now = self.now;
        let Some(download) = self.downloads.get_mut(&id).filter(|it| it.attempt == attempt) else { return };
        let recording = &mut self.media.recordings[download.content];
        let is_http = download.torrent.is_none();
        if download.have == recording.length {
            return self.finish(id);
        }
        let is_still = download.have == download.stops_at;
        download.was_still |= is_still;
        if is_still && !matches!(recording.flaw, Some(Flaw::Stalls)) && !is_http {
            // Peers have come back.
            (download.base, download.since, download.stops_at) = (download.have, now, recording.length);
        }
        let moved = download.since + Duration::from_millis((download.stops_at - download.base) * 1000 / RATE);
        let gives_up = match recording.flaw {
            Some(Flaw::BreaksOff(_)) => true,
            _ => now - moved >= STILL,
        };
        if is_still && is_http && gives_up {
            if let Some(Flaw::BreaksOff(times)) = &mut recording.flaw {
                *times = times.saturating_sub(1);
                if *times == 0 {
                    recording.flaw = None;
                }
            }
            let url = download.url.clone();
            self.downloads.remove(&id);
            self.laws.had_media(now, &url, false, None);
            self.figures.failed += 1;
            let fault = Fault::Source("the connection broke off".to_owned());
            return self.input(Input::Failed { id, attempt, fault });
        }
        let peers = u32::from(is_http || !is_still);
        let whole = is_http.then_some(recording.length);
        let progress = Progress { have: download.have, peers, whole, ..Progress::default() };
        self.report_later(id);
        self.input(Input::Progress { id, attempt, progress });
    }

    fn finish(&mut self, id: EpisodeId) {
        let Some(download) = self.downloads.remove(&id) else { return };
        let length = download.have;
        let print = self.disk.finish(&download.plan.file, length);
        self.laws.fetched(download.content, id);
        self.laws.had_media(self.now, &download.url, true, None);
        self.figures.downloads += 1;
        let whole = Whole { length, info_hash: download.torrent, print: Some(print) };
        self.input(Input::Done { id, attempt: download.attempt, whole });
    }
}
