//! Downloads and seeds, each in a task of its own, until it is told to stop.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use podswarm_core::metainfo::{FileChoice, InfoHash, Metainfo};
use podswarm_core::net::clock::Clock;
use podswarm_core::net::create::{Watch, verify};
use podswarm_core::net::http::{Check, DownloadOptions, Growing, HttpError};
use podswarm_core::net::{AddTorrent, Files, Torrent, TorrentState, TorrentStatus};
use podswarm_core::rate::{Rate, RateMeter};
use podswarm_core::swarm::WebSeedState;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::kit::{Kit, Live, Shown};
use super::prepare::{choice_of, length_of, own_copy};
use crate::address::reach_of_links;
use crate::agent::queue::{Fault, Progress};
use crate::agent::{Deletion, Input, Seed, Seeding, Start, Whole};
use crate::ask::{SeedTotals, TrackerFigures, Transfer};
use crate::dot_torrent::sentence;
use crate::integrity::Integrity;
use crate::library::{Library, download_part};
use crate::metrics::Moved;
use crate::records::{EpisodeId, Source};

/// The agent is told this often how a download stands.
const REPORT_EVERY: Duration = Duration::from_secs(2);

/// A host that sends nothing for so long is left for another source that waits.
const SILENCE: Duration = Duration::from_secs(15);

/// Downloads, tells the agent how it goes and how it ended, and seeds on where that is wanted.
pub(super) async fn fetch(kit: Arc<Kit>, order: Start, cancel: CancellationToken, before: Option<JoinHandle<()>>) {
    let_go(before).await;
    let (id, attempt) = (order.id, order.attempt);
    // Boxed, so that only what is needed for days is kept for days: thousands may be seeded.
    match Box::pin(fetch_all(&kit, order, &cancel)).await {
        Err(fault) => Box::pin(kit.tell(Input::Failed { id, attempt, fault })).await,
        Ok(Some((torrent, shown))) => seed_on(&kit, id, torrent, shown, &cancel).await,
        Ok(None) => {}
    }
}

/// Downloads; gives what is to be seeded on, if anything is.
async fn fetch_all(
    kit: &Arc<Kit>,
    order: Start,
    cancel: &CancellationToken,
) -> Result<Option<(Torrent, Shown)>, Fault> {
    match &order.source {
        Source::Torrent(_) | Source::Magnet(_) => from_swarm(kit, &order, cancel).await,
        Source::Http(url) => from_host(kit, &order, url, cancel).await,
    }
}

/// Deletes what is kept no longer, when what ran for it has let go, and tells the agent what came of it.
pub(super) async fn delete(kit: Arc<Kit>, id: EpisodeId, file: String, print: u64, before: Option<JoinHandle<()>>) {
    let_go(before).await;
    let (library, name) = (kit.library.clone(), file.clone());
    let deleted = tokio::task::spawn_blocking(move || library.delete_unchanged(&name, print)).await;
    let outcome = match deleted {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => {
            tracing::warn!(file, %error, "what is kept no longer cannot be deleted");
            Deletion::Failed
        }
        Err(error) => {
            tracing::error!(file, %error, "deleting broke off");
            Deletion::Failed
        }
    };
    kit.tell(Input::Deleted { id, outcome }).await;
}

/// Waits until what ran before has let go of the files. One that broke down has.
pub(super) async fn let_go(before: Option<JoinHandle<()>>) {
    if let Some(before) = before {
        let _ = before.await;
    }
}

async fn from_swarm(
    kit: &Arc<Kit>,
    order: &Start,
    cancel: &CancellationToken,
) -> Result<Option<(Torrent, Shown)>, Fault> {
    let Some(info_hash) = order.plan.info_hash else { return Err(Fault::Source("no torrent is known".to_owned())) };
    let Some(metainfo) = own_copy(kit, info_hash).await else {
        return Err(Fault::Disk("our copy of the torrent cannot be read".to_owned()));
    };
    let path = kit.library.path(&order.plan.file).map_err(|error| Fault::Disk(error.to_string()))?;
    let was_there = tokio::fs::symlink_metadata(&path).await.is_ok();
    // A server of another file is found out by its length, or else by its hashes.
    let mirrors = if metainfo.info.is_single_file { order.mirrors.clone() } else { Vec::new() };
    let choice = choice_of(&order.source, &metainfo.info)?;
    let length = length_of(choice.as_ref(), &metainfo.info);
    make_folder(kit, &order.plan.file).await?;
    if metainfo.info.is_single_file {
        hand_over(kit, &order.plan.file, length).await;
    }
    let files = Files::Fetch(path);
    let joined = Joined { id: order.id, metainfo, files, choice, web_seeds: mirrors, is_local: order.is_local };
    let (torrent, shown) = join(kit, joined).await.map_err(Fault::Source)?;
    let ended = tokio::select! {
        () = cancel.cancelled() => None,
        ended = torrent.wait_complete() => Some(ended),
        () = report(kit, order, || progress_of(&torrent.status())) => None,
    };
    let result = match ended {
        None => Ok(None),
        Some(Err(error)) if was_there => Err(Fault::InTheWay(error.to_string())),
        Some(Err(error)) => Err(Fault::Disk(error.to_string())),
        Some(Ok(())) => {
            tell_done(kit, order, length, Some(torrent.info_hash()), was_there).await;
            if kit.seeding == Seeding::On {
                return Ok(Some((torrent, shown)));
            }
            Ok(None)
        }
    };
    torrent.remove().await;
    drop(shown);
    result
}

async fn from_host(
    kit: &Arc<Kit>,
    order: &Start,
    url: &str,
    cancel: &CancellationToken,
) -> Result<Option<(Torrent, Shown)>, Fault> {
    let path = kit.library.path(&order.plan.file).map_err(|error| Fault::Disk(error.to_string()))?;
    let meter = Arc::new(Meter::new(order.plan.length));
    let shown = kit.show(order.id, Live::Http(Arc::clone(&meter)));
    // A file has its final name only when it is whole. One that is there was finished just before an earlier agent
    // ended.
    let present = tokio::fs::metadata(&path).await;
    let was_there = present.is_ok();
    let length = match present {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        Ok(_) => return Err(Fault::InTheWay(format!("`{}` is not a file", path.display()))),
        Err(_) => match download(kit, order, url, &path, &meter, cancel).await? {
            Some(length) => length,
            None => return Ok(None),
        },
    };
    drop(shown);
    let vouched = vouch(kit, order.info_hash, path.clone()).await;
    let info_hash = vouched.as_ref().map(|metainfo| metainfo.info_hash);
    tell_done(kit, order, length, info_hash, was_there).await;
    if let Some(metainfo) = vouched
        && kit.seeding == Seeding::On
        && kit.engine_for(order.id.feed).is_some()
    {
        return Ok(join(kit, complete(order.id, metainfo, path, order.is_local)).await.ok());
    }
    Ok(None)
}

/// Lets the engine go on with what a plain download has brought of a file of this length.
async fn hand_over(kit: &Kit, file: &str, length: u64) {
    let (library, name) = (kit.library.clone(), file.to_owned());
    let handed = tokio::task::spawn_blocking(move || library.hand_over(&name, length)).await;
    if let Ok(Err(error)) = handed {
        tracing::warn!(file, %error, "what has come of a plain file is fetched again");
    }
}

/// Makes the folder of what is to be downloaded.
async fn make_folder(kit: &Kit, file: &str) -> Result<(), Fault> {
    let (library, name) = (kit.library.clone(), file.to_owned());
    let made = tokio::task::spawn_blocking(move || library.make_folder_of(&name)).await;
    match made.map_err(|error| Fault::Disk(error.to_string()))? {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Fault::NoLibrary(error.to_string())),
        Err(error) => Err(Fault::Disk(format!("the folder of `{file}` cannot be made in the library: {error}"))),
    }
}

/// Downloads a plain file; `None` if it was cancelled.
async fn download(
    kit: &Arc<Kit>,
    order: &Start,
    url: &str,
    path: &Path,
    meter: &Arc<Meter>,
    cancel: &CancellationToken,
) -> Result<Option<u64>, Fault> {
    make_folder(kit, &order.plan.file).await?;
    let counter = Arc::clone(meter);
    let options = DownloadOptions {
        progress: Some(Arc::new(move |bytes| counter.set(bytes))),
        growing: meter.growing.clone(),
        cancel: cancel.clone(),
        check: Some(check(order.integrity.clone())),
        silence: order.gives_way.then_some(SILENCE),
        ..DownloadOptions::default()
    };
    if order.is_played {
        meter.growing.expect_reader();
    }
    let http = kit.http(reach_of_links(order.is_local));
    let part = download_part(path);
    let downloading = http.download(url, &part, path, &options);
    let ended = tokio::select! {
        ended = downloading => ended,
        () = report(kit, order, || meter.progress()) => return Ok(None),
    };
    match ended {
        Ok(downloaded) => Ok(Some(downloaded.bytes)),
        Err(HttpError::Cancelled) => Ok(None),
        Err(error @ HttpError::File { .. }) => Err(Fault::Disk(sentence(error))),
        Err(error) => {
            let patience = if let HttpError::Status { retry_after, .. } = &error { *retry_after } else { None };
            let reason = sentence(error);
            Err(match patience {
                Some(patience) => Fault::Busy { reason, patience },
                None => Fault::Source(reason),
            })
        }
    }
}

/// Looks at a plain file before it has its name: no server means one without a byte, and some feeds name its hash.
fn check(integrity: Option<Integrity>) -> Check {
    Check::new(move |path| match &integrity {
        _ if std::fs::metadata(path)?.len() == 0 => Ok(Some("sends a file without a byte".to_owned())),
        Some(integrity) if !integrity.is_of(path)? => {
            Ok(Some("sends another file than the feed says (`podcast:integrity`)".to_owned()))
        }
        _ => Ok(None),
    })
}

/// The torrent of a plain file, if the feed says that it is one, we have a copy, and every byte is right.
async fn vouch(kit: &Arc<Kit>, info_hash: Option<InfoHash>, path: PathBuf) -> Option<Metainfo> {
    let metainfo = own_copy(kit, info_hash?).await?;
    let checked = tokio::task::spawn_blocking(move || {
        let verified = verify(&metainfo, &path, Watch::default()).ok()?;
        verified.is_complete().then_some(metainfo)
    });
    checked.await.ok().flatten()
}

/// Seeds what is complete until it is told to stop; tells the agent if that cannot be.
pub(super) async fn seed(kit: Arc<Kit>, order: Seed, cancel: CancellationToken, before: Option<JoinHandle<()>>) {
    let_go(before).await;
    let id = order.id;
    let opened = {
        let Some(Ok(_place)) = cancel.run_until_cancelled(kit.opening.acquire()).await else { return };
        // Boxed, so that only what is needed for days is kept for days: thousands may be seeded.
        Box::pin(open(&kit, order)).await
    };
    match opened {
        Err((is_missing, reason)) => Box::pin(kit.tell(Input::SeedFailed { id, is_missing, reason })).await,
        Ok((torrent, shown)) => seed_on(&kit, id, torrent, shown, &cancel).await,
    }
}

/// Takes part in the torrent of a file that is there; else tells whether it was taken away, and why that cannot be.
async fn open(kit: &Arc<Kit>, order: Seed) -> Result<(Torrent, Shown), (bool, String)> {
    let Seed { id, info_hash, file, is_local } = order;
    let path = kit.library.path(&file).map_err(|error| (false, error.to_string()))?;
    if tokio::fs::symlink_metadata(&path).await.is_err() {
        return Err((kit.library.has_folder_of(&file), format!("`{}` is not there", path.display())));
    }
    let metainfo = own_copy(kit, info_hash).await;
    let metainfo = metainfo.ok_or_else(|| (false, "our copy of its torrent is lost".to_owned()))?;
    join(kit, complete(id, metainfo, path, is_local)).await.map_err(|why| (false, why))
}

/// Seeds until told to stop; tells the agent if that cannot be.
async fn seed_on(kit: &Kit, id: EpisodeId, torrent: Torrent, shown: Shown, cancel: &CancellationToken) {
    let mut status = torrent.watch();
    let failed = tokio::select! {
        () = cancel.cancelled() => None,
        // An engine that stops takes the status with it; then there is nothing to tell.
        failed = status.wait_for(|status| status.is_final) => failed.ok().and_then(|status| status.error.clone()),
    };
    let leave = async {
        torrent.remove().await;
        drop(shown);
        if let Some(reason) = failed {
            kit.tell(Input::SeedFailed { id, is_missing: false, reason }).await;
        }
    };
    Box::pin(leave).await;
}

/// A torrent to take part in.
struct Joined {
    id: EpisodeId,
    metainfo: Metainfo,
    files: Files,
    choice: Option<FileChoice>,
    web_seeds: Vec<String>,
    is_local: bool,
}

/// What is complete, to be seeded.
const fn complete(id: EpisodeId, metainfo: Metainfo, path: PathBuf, is_local: bool) -> Joined {
    Joined { id, metainfo, files: Files::Have(path), choice: None, web_seeds: Vec::new(), is_local }
}

/// Joins the swarm, as the owner wants the episodes of this feed to be treated, and shows it.
async fn join(kit: &Arc<Kit>, joined: Joined) -> Result<(Torrent, Shown), String> {
    let Joined { id, metainfo, files, choice, web_seeds, is_local } = joined;
    let Some(engine) = kit.engine_for(id.feed) else { return Err("this agent takes part in no swarm".to_owned()) };
    let resume = kit.resume_file(metainfo.info_hash);
    let torrent = AddTorrent {
        metainfo: Arc::new(metainfo),
        files,
        choice,
        resume,
        reach: reach_of_links(is_local),
        conduct: kit.conduct(id.feed),
        peers: Vec::new(),
        web_seeds,
        seed_after: kit.seeding == Seeding::On,
        in_order: false,
    };
    let torrent = engine.add(torrent).await.map_err(|error| error.to_string())?;
    let shown = kit.show_swarm(id, &torrent).await;
    Ok((torrent, shown))
}

/// Deletes what is not finished of a file, when what ran for it has let go.
pub(super) async fn discard(kit: Arc<Kit>, file: String, before: Option<JoinHandle<()>>) {
    let_go(before).await;
    // One that breaks down leaves it.
    let _ = tokio::task::spawn_blocking(move || delete_parts(&kit.library, &file)).await;
}

/// Deletes what is not finished of a file; if it stays, it is hidden and harmless.
fn delete_parts(library: &Library, file: &str) {
    if let Err(error) = library.delete_parts(file) {
        tracing::warn!(file, %error, "what is left of a download cannot be deleted");
    }
}

async fn tell_done(kit: &Kit, order: &Start, length: u64, info_hash: Option<InfoHash>, was_there: bool) {
    let (library, file) = (kit.library.clone(), order.plan.file.clone());
    let ended = tokio::task::spawn_blocking(move || {
        // What other sources had begun is of no use any more.
        delete_parts(&library, &file);
        library.print(&file).ok()
    });
    let print = ended.await.ok().flatten();
    let whole = Whole { length, info_hash, print: print.filter(|_| !was_there) };
    kit.tell(Input::Done { id: order.id, attempt: order.attempt, whole }).await;
}

/// Tells the agent again and again how a download stands; never returns.
async fn report(kit: &Kit, order: &Start, progress: impl Fn() -> Progress) {
    let mut interval = tokio::time::interval(REPORT_EVERY);
    loop {
        interval.tick().await;
        kit.tell(Input::Progress { id: order.id, attempt: order.attempt, progress: progress() }).await;
    }
}

fn progress_of(status: &TorrentStatus) -> Progress {
    let tracker = status.trackers.iter().find_map(|tracker| Some((&tracker.url, tracker.last_error.as_ref()?)));
    let server = status.web_seeds.iter().find_map(|seed| Some((&seed.url, seed.error.as_ref()?)));
    let trouble = match (&status.error, status.peers, tracker) {
        (Some(error), ..) => Some(error.clone()),
        (None, 0, Some((url, error))) => Some(format!("no peers; the tracker {url} says: {error}")),
        (None, 0, None) => Some(match server {
            Some((url, error)) => format!("no peers; the web seed {url} says: {error}"),
            None => "no peers".to_owned(),
        }),
        (None, ..) => None,
    };
    let busy = matches!(status.state, TorrentState::Checking);
    Progress { have: status.have, peers: status.peers, busy, trouble, ..Progress::default() }
}

/// How a plain download stands.
pub(super) struct Meter {
    /// The file, for those who read it meanwhile.
    pub(super) growing: Growing,
    clock: Clock,
    /// As long as its feed says that it is.
    length: Option<u64>,
    have: AtomicU64,
    /// Bytes that came, those of earlier attempts left out.
    came: AtomicU64,
    rate: Mutex<RateMeter>,
}

impl Meter {
    fn new(length: Option<u64>) -> Self {
        Self {
            growing: Growing::default(),
            clock: Clock::default(),
            length,
            have: AtomicU64::new(0),
            came: AtomicU64::new(0),
            rate: Mutex::default(),
        }
    }

    fn set(&self, have: u64) {
        let before = self.have.swap(have, Ordering::Relaxed);
        // What an earlier attempt had is no speed.
        let before = if before == 0 { self.growing.bytes() } else { before };
        let came = have.saturating_sub(before);
        self.came.fetch_add(came, Ordering::Relaxed);
        self.rate.lock().unwrap_or_else(PoisonError::into_inner).add(self.clock.now(), came);
    }

    /// How long it is, as far as somebody says so; its server knows best.
    fn length(&self) -> Option<u64> {
        self.growing.length().flatten().or(self.length)
    }

    fn have(&self) -> u64 {
        self.have.load(Ordering::Relaxed)
    }

    fn rate(&self) -> Rate {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner).rate(self.clock.now())
    }

    fn progress(&self) -> Progress {
        Progress { have: self.have(), peers: 1, whole: self.growing.length_in_parts(), ..Progress::default() }
    }
}

/// The number of web servers that are sending.
fn active_web_seeds(status: &TorrentStatus) -> u32 {
    let active = status.web_seeds.iter().filter(|seed| seed.state == WebSeedState::Active).count();
    u32::try_from(active).unwrap_or(u32::MAX)
}

/// Bytes that are yet to be written for what moves data.
pub(super) fn outstanding(live: &Live) -> u64 {
    match live {
        Live::Http(meter) => meter.length().unwrap_or(0).saturating_sub(meter.have()),
        Live::Torrent(torrent) => {
            let status = torrent.status();
            status.length.saturating_sub(status.have)
        }
    }
}

/// Bytes that were moved for an episode.
pub(super) fn moved(live: &Live) -> Moved {
    match live {
        Live::Http(meter) => Moved { from_http: meter.came.load(Ordering::Relaxed), ..Moved::default() },
        Live::Torrent(torrent) => {
            let status = torrent.status();
            let from_http = status.web_seeds.iter().map(|seed| seed.downloaded).sum();
            let from_peers = status.downloaded.saturating_sub(from_http);
            Moved { from_http, from_peers, to_peers: status.uploaded }
        }
    }
}

/// What a torrent adds to what is seeded; `None` if it is not complete.
pub(super) fn seed_totals(live: &Live) -> Option<SeedTotals> {
    let Live::Torrent(torrent) = live else { return None };
    let status = torrent.status();
    status.complete.then_some(SeedTotals {
        torrents: 1,
        peers: status.peers,
        up_rate: status.up_rate,
        uploaded: status.uploaded,
    })
}

/// How something stands that moves data, for people and programs.
pub(super) fn transfer(live: &Live) -> Transfer {
    match live {
        Live::Http(meter) => {
            let (have, down_rate) = (meter.have(), meter.rate());
            let length = meter.length();
            let left = length.and_then(|length| length.checked_sub(have));
            let eta_seconds = left.filter(|left| *left > 0).and_then(|left| left.checked_div(down_rate.0));
            let state = "downloading".to_owned();
            Transfer { state, length, have, down_rate, eta_seconds, ..Transfer::default() }
        }
        Live::Torrent(torrent) => transfer_of(&torrent.status()),
    }
}

/// What the tracker tells that knows most of the swarm.
fn figures_of(status: &TorrentStatus) -> Option<TrackerFigures> {
    let told = status.trackers.iter().filter(|tracker| tracker.complete.or(tracker.incomplete).is_some());
    let figures = told.map(|tracker| TrackerFigures {
        seeds: tracker.complete.unwrap_or(0),
        peers: tracker.incomplete.unwrap_or(0),
        downloads: tracker.downloaded,
    });
    figures.max_by_key(|told| (told.seeds.saturating_add(told.peers), told.downloads))
}

/// How a torrent stands, for people and programs.
pub(crate) fn transfer_of(status: &TorrentStatus) -> Transfer {
    let state = match status.state {
        TorrentState::Checking => "checking",
        TorrentState::Downloading => "downloading",
        TorrentState::Seeding => "seeding",
        TorrentState::Paused => "paused",
        TorrentState::Failed => "failed",
    };
    Transfer {
        tracker: figures_of(status),
        dht: status.dht,
        state: state.to_owned(),
        length: Some(status.length),
        have: status.have,
        uploaded: status.uploaded,
        down_rate: status.down_rate,
        up_rate: status.up_rate,
        peers: Some(status.peers),
        web_seeds: active_web_seeds(status),
        eta_seconds: status.eta.map(|eta| eta.as_secs()),
    }
}
