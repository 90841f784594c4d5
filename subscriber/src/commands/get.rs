//! `get`: single things, fetched now, without any agent.
//!
//! Works beside an agent that runs: it has an engine of its own and touches no data directory but to remember that the
//! privacy notice was shown. What is unfinished stays in hidden files beside its final name, so that the same command
//! goes on where it was.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use percent_encoding::percent_decode_str;
use podswarm_core::app::{
    DataDir, Explain, Failure, GlobalArgs, Out, Reading, first_run_notice, free_space, in_one_heap, require_space,
    shutdown_signal, write_atomic,
};
use podswarm_core::metainfo::{FileChoice, InfoHash, Magnet, Metainfo, MutableLink};
use podswarm_core::net::http::{DownloadOptions, HttpClient, Reach};
use podswarm_core::net::{AddTorrent, Conduct, Discovery, Engine, Files, FindTorrent, Torrent, TorrentStatus};
use podswarm_core::rate::ByteCount;
use serde_json::json;
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::files::{choose, listed};
use super::library::all_or_failure;
use crate::address::reach_of_typed;
use crate::agent::share::Enough;
use crate::cli::GetArgs;
use crate::desk::PROGRAM;
use crate::dot_torrent;
use crate::hub::{USER_AGENT, transfer_of};
use crate::library::{download_part, engine_part, occupied, resume_beside, torrent_beside};
use crate::names;
use crate::records::Shared;
use crate::session::engine_config;
use crate::view::{by_table, count};

/// What everybody should know before taking part in a swarm.
const NOTICE: &str = "note: others in a swarm see this machine's address and what it fetches. \
    Plain http(s) media are fetched without one.";

/// Bars are drawn this often.
const DRAW_EVERY: Duration = Duration::from_millis(250);

/// What a SOURCE is.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// A `.torrent` file on this machine.
    File(PathBuf),
    /// A magnet link.
    Magnet(Box<Magnet>),
    /// A link that names a key whose owner says which torrent is meant.
    Mutable(Box<MutableLink>),
    /// Something over HTTP.
    Web(Url),
}

/// A torrent that is there.
struct Got {
    torrent: Torrent,
    title: String,
    path: PathBuf,
    /// Whether files were left out: what is remembered of it serves to fetch them later.
    is_part: bool,
}

/// One run of the command.
struct Getter {
    out: Out,
    args: GetArgs,
    folder: PathBuf,
    dir: DataDir,
    engine: OnceCell<Engine>,
    /// Whether no part may be taken in a swarm.
    is_plain: bool,
    stop: CancellationToken,
    /// Where somebody who plays it waits for it.
    player: Option<watch::Sender<Playable>>,
}

/// What a player can be given.
#[derive(Clone, Debug)]
pub(super) enum Playable {
    /// Nothing yet.
    Nothing,
    /// A plain file at this address, which players fetch themselves.
    Plain(Url),
    /// A torrent that is being fetched.
    Torrent(Torrent),
}

pub(super) async fn get(global: &GlobalArgs, out: &Out, args: GetArgs) -> Result<(), Failure> {
    in_one_heap();
    let kinds: Vec<Vec<Kind>> = args.sources.iter().map(|source| kinds_of(source)).collect::<Result<_, Failure>>()?;
    let kinds: Vec<Kind> = kinds.into_iter().flatten().collect();
    let folder = std::path::absolute(args.output.as_deref().unwrap_or(Path::new(".")))?;
    std::fs::create_dir_all(&folder).explain(|| format!("make the folder `{}`", folder.display()))?;
    let dir = DataDir::resolve(global.data_dir.as_deref(), PROGRAM)?;
    let stop = CancellationToken::new();
    let engine = OnceCell::new();
    let getter = Getter { out: out.clone(), args, folder, dir, engine, is_plain: false, stop, player: None };
    let all = async {
        let results = join_all(kinds.iter().map(|kind| getter.get(kind))).await;
        let is_stopped = getter.stop.is_cancelled();
        let (done, failures): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        let failures: Vec<_> = failures.into_iter().filter_map(Result::err).collect();
        let torrents: Vec<_> = done.into_iter().filter_map(Result::ok).flatten().collect();
        if getter.args.seed && !torrents.is_empty() && !is_stopped {
            out.note(format!("seeding {} {}", count(torrents.len(), "torrent"), getter.enough()));
            tokio::select! {
                _ = join_all(torrents.iter().map(|got| getter.seed(got))) => {}
                () = getter.stop.cancelled() => {}
            }
        }
        (torrents, failures)
    };
    let mut all = std::pin::pin!(all);
    let (torrents, failures) = tokio::select! {
        ended = &mut all => ended,
        () = shutdown_signal() => {
            getter.stop.cancel();
            all.await
        }
    };
    if let Some(engine) = getter.engine.get() {
        engine.shutdown().await;
    }
    for got in torrents.iter().filter(|got| !got.is_part) {
        // It served to go on after a stop; a finished file speaks for itself.
        let _ = std::fs::remove_file(resume_beside(&got.path));
    }
    all_or_failure(out, failures, kinds.len(), "things could not be had")
}

/// Fetches one thing while `play` has it played; `play` is given the way to what can be played.
pub(super) async fn get_to_play<P: Future<Output = Result<(), Failure>>>(
    dir: DataDir,
    out: &Out,
    args: GetArgs,
    is_plain: bool,
    play: impl FnOnce(watch::Receiver<Playable>) -> P,
) -> Result<(), Failure> {
    let [source] = &args.sources[..] else { return Err(Failure::usage("one thing is played at a time")) };
    let kind = kind_of(source)?;
    let folder = std::path::absolute(args.output.as_deref().unwrap_or(Path::new(".")))?;
    std::fs::create_dir_all(&folder).explain(|| format!("make the folder `{}`", folder.display()))?;
    let (player, playable) = watch::channel(Playable::Nothing);
    let (engine, stop) = (OnceCell::new(), CancellationToken::new());
    let getter = Getter { out: out.clone(), args, folder, dir, engine, is_plain, stop, player: Some(player) };
    let fetching = async {
        match getter.get(&kind).await {
            // It is played for as long as the player wants.
            Ok(_) => std::future::pending().await,
            Err(failure) => Err(failure),
        }
    };
    let ended = tokio::select! {
        failed = fetching => failed,
        ended = play(playable) => ended,
        () = shutdown_signal() => Ok(()),
    };
    if let Some(engine) = getter.engine.get() {
        engine.shutdown().await;
    }
    ended
}

impl Getter {
    /// Fetches one thing, and tells where it is if it is a torrent.
    async fn get(&self, kind: &Kind) -> Result<Option<Got>, Failure> {
        match kind {
            Kind::File(path) => {
                let bytes = read_bounded(path)?;
                let metainfo = dot_torrent::read(&bytes)
                    .map_err(|reason| Failure::new(format!("`{}` is refused: {reason}", path.display())))?;
                // The owner has chosen the file; what it names is trusted with it.
                self.get_torrent(metainfo, Reach::Any, Vec::new(), &[]).await
            }
            Kind::Magnet(magnet) => self.get_magnet(magnet).await,
            Kind::Mutable(link) => self.get_magnet(&self.resolve(link).await?).await,
            Kind::Web(url) => self.get_web(url).await,
        }
    }

    async fn get_web(&self, url: &Url) -> Result<Option<Got>, Failure> {
        let route = self.args.engine.route.route();
        let reach = reach_of_typed(url, &route).await;
        let http = HttpClient::new(reach, USER_AGENT, &route)?;
        // Only the head of the answer is wanted; dropping it closes the connection.
        let answer = http.stream(url.as_str(), &[]).await.explain(|| format!("fetch `{url}`"))?;
        if !answer.status().is_success() {
            return Err(Failure::new(format!("`{url}` answers with status {}", answer.status())));
        }
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let is_torrent = header("content-type").is_some_and(|kind| kind.starts_with("application/x-bittorrent"))
            || has_torrent_name(answer.url().path());
        let length = header("content-length").and_then(|length| length.parse().ok());
        let name = file_name(answer.url(), header("content-type"));
        drop(answer);
        if !is_torrent {
            if self.args.list {
                return Err(Failure::new(format!("`{url}` is no torrent, but one file: `{name}`")));
            }
            if self.player.is_some() {
                self.can_play(Playable::Plain(url.clone()));
                return Ok(None);
            }
            return self.get_media(&http, url, &name, length).await.map(|()| None);
        }
        let (_, metainfo) = dot_torrent::download(&http, url.as_str())
            .await
            .map_err(|reason| Failure::new(format!("`{url}`: {reason}")))?;
        self.get_torrent(metainfo, reach, Vec::new(), &[]).await
    }

    async fn get_magnet(&self, magnet: &Magnet) -> Result<Option<Got>, Failure> {
        let copy = torrent_beside(&self.folder, magnet.info_hash);
        let known = read_bounded(&copy).ok().and_then(|bytes| dot_torrent::read(&bytes).ok());
        let known = known.filter(|metainfo| metainfo.info_hash.matches(&magnet.info_hash));
        let metainfo = if let Some(metainfo) = known {
            metainfo
        } else {
            let metainfo = self.find(magnet).await?;
            // The same command, if this one is stopped, does not look for it again.
            write_atomic(&copy, &metainfo.encode(), 0o644).explain(|| format!("keep `{}`", copy.display()))?;
            Metainfo::clone(&metainfo)
        };
        // The owner has chosen the link; what it names is trusted with it.
        let got = self.get_torrent(metainfo, Reach::Any, magnet.peers.clone(), &magnet.selected).await?;
        if got.is_some() {
            let _ = std::fs::remove_file(copy);
        }
        Ok(got)
    }

    /// Asks the distributed hash table which torrent the owner of a key means now.
    async fn resolve(&self, link: &MutableLink) -> Result<Magnet, Failure> {
        let title = link.to_string();
        self.out.note(format!("{title}: asking the distributed hash table which torrent is meant"));
        let engine = self.engine().await?;
        tokio::select! {
            named = engine.resolve(link.item.clone()) => {
                let named = named.ok_or_else(|| {
                    Failure::new(format!("`{title}` can be looked up in the distributed hash table alone"))
                        .with_hint("do without --no-dht")
                })?;
                Ok(link.magnet(InfoHash::from_v1(named)))
            }
            () = self.stop.cancelled() => {
                Err(Failure::new(format!("stopped before the distributed hash table had told which torrent `{title}` means"))
                    .with_hint("its owner has to tell it every hour or so"))
            }
        }
    }

    /// Asks peers what the torrent of a magnet link is.
    async fn find(&self, magnet: &Magnet) -> Result<Arc<Metainfo>, Failure> {
        let title = magnet.name.clone().unwrap_or_else(|| magnet.info_hash.to_string());
        self.out.json(&json!({ "event": "finding", "title": title, "info_hash": magnet.info_hash }))?;
        self.out.note(format!("{title}: asking peers what the torrent is"));
        let find = FindTorrent { magnet: magnet.clone(), reach: Reach::Any, discovery: Discovery::ALL };
        let engine = self.engine().await?;
        tokio::select! {
            found = engine.find(find) => found.map_err(|error| Failure::new(format!("{title}: {error}"))),
            () = self.stop.cancelled() => {
                Err(Failure::new(format!("stopped before any peer had told what `{title}` is"))
                    .with_hint("the link names its trackers (tr) and perhaps peers (x.pe); one of them must have the torrent"))
            }
        }
    }

    /// Fetches the files of a torrent that the owner wants, or else those that its link selects; tells nothing if they
    /// are only to be listed.
    async fn get_torrent(
        &self,
        metainfo: Metainfo,
        reach: Reach,
        peers: Vec<SocketAddr>,
        selected: &[RangeInclusive<u32>],
    ) -> Result<Option<Got>, Failure> {
        let name = metainfo.info.name.to_path_buf();
        let is_too_long = name.as_os_str().len() > names::MAX_NAME;
        let name = if is_too_long { names::plain(metainfo.info.name.as_str()).into() } else { name };
        let title = name.display().to_string();
        let choice = self.choice(&metainfo, &title, selected)?;
        if self.args.list {
            return self.list(&metainfo, choice.as_ref()).map(|()| None);
        }
        let path = self.folder.join(&name);
        let was_there = path.symlink_metadata().is_ok();
        let (info_hash, files) = (metainfo.info_hash, listed(&metainfo.info).count());
        let length =
            choice.as_ref().map_or_else(|| metainfo.info.content_length(), |choice| choice.length(&metainfo.info));
        if !was_there {
            let present = occupied(&engine_part(&path));
            require_space(&self.folder, length.saturating_sub(present))?;
        }
        if let Some(choice) = &choice {
            self.out.note(format!("{title}: {} of {}", choice.count(), count(files, "file")));
        }
        let engine = self.engine().await?;
        let torrent = AddTorrent {
            metainfo: Arc::new(metainfo),
            files: Files::Fetch(path.clone()),
            choice: choice.clone(),
            resume: resume_beside(&path),
            reach,
            conduct: Conduct::default(),
            peers,
            web_seeds: Vec::new(),
            seed_after: self.args.seed,
            in_order: self.args.sequential,
        };
        let torrent = engine.add(torrent).await?;
        self.can_play(Playable::Torrent(torrent.clone()));
        let event = if was_there { "checking" } else { "downloading" };
        self.out.json(&json!({
            "event": event, "title": title, "info_hash": info_hash, "length": length, "path": path,
            "files": files, "chosen_files": choice.as_ref().map_or(files, FileChoice::count),
        }))?;
        self.watch(&torrent, &title).await?;
        let status = torrent.status();
        if !self.args.seed {
            torrent.remove().await;
        }
        self.tell_complete(&path, length, Some(info_hash), was_there && status.downloaded == 0)?;
        Ok(Some(Got { torrent, title, path, is_part: status.chosen_files.is_some() }))
    }

    /// Tells who waits to play it.
    fn can_play(&self, what: Playable) {
        if let Some(player) = &self.player {
            // Who has gone needs no word.
            let _ = player.send(what);
        }
    }

    /// How much is given back.
    fn enough(&self) -> Enough {
        Enough { ratio: self.args.seed_ratio, time: self.args.seed_time }
    }

    /// Seeds what is there until it is enough.
    async fn seed(&self, got: &Got) -> Result<(), Failure> {
        let Enough { ratio, time } = self.enough();
        let mut status = got.torrent.watch();
        let is_given = |status: &TorrentStatus| {
            let shared = Shared { sent: status.uploaded, seconds: 0 };
            ratio.0.is_some_and(|ratio| shared.ratio_milli(status.length) >= ratio)
        };
        let over = async {
            match time.0 {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        let reason = tokio::select! {
            // An engine that has stopped seeds nothing.
            _ = status.wait_for(is_given) => format!("ratio {ratio} reached"),
            () = over => format!("seeded for {time}"),
        };
        let sent = got.torrent.status().uploaded;
        got.torrent.remove().await;
        let info_hash = got.torrent.info_hash();
        self.out.json(&json!({ "event": "seeded", "info_hash": info_hash, "sent": sent, "reason": reason }))?;
        self.out.note(format!("{}: {} sent: {reason}", got.title, ByteCount(sent)));
        Ok(())
    }

    /// The files to fetch; all if `None`.
    fn choice(
        &self,
        metainfo: &Metainfo,
        title: &str,
        selected: &[RangeInclusive<u32>],
    ) -> Result<Option<FileChoice>, Failure> {
        if self.args.files.is_empty() {
            let selected = FileChoice::selected(&metainfo.info, selected);
            return selected.map_err(|error| Failure::new(format!("the magnet link of `{title}`: {error}")));
        }
        choose(&metainfo.info, &self.args.files).map_err(|word| {
            let files = count(listed(&metainfo.info).count(), "file");
            Failure::usage(format!("`{word}` is none of the {files} of `{title}`"))
                .with_hint("--list shows them with their numbers")
        })
    }

    /// Shows a torrent's files.
    fn list(&self, metainfo: &Metainfo, choice: Option<&FileChoice>) -> Result<(), Failure> {
        for (number, place, file) in listed(&metainfo.info) {
            let is_chosen = choice.is_none_or(|choice| choice.contains(place));
            self.out.json(&json!({
                "event": "file", "number": number, "path": file.path.as_str(), "length": file.length,
                "chosen": is_chosen, "info_hash": metainfo.info_hash,
            }))?;
            let mark = if choice.is_some() && is_chosen { '*' } else { ' ' };
            self.out.line(format!("{number:>5}{mark} {:>9}  {}", ByteCount(file.length).to_string(), file.path))?;
        }
        Ok(())
    }

    /// Shows a torrent's progress until it is complete.
    async fn watch(&self, torrent: &Torrent, title: &str) -> Result<(), Failure> {
        let bar = self.out.progress(title);
        let mut draw = tokio::time::interval(DRAW_EVERY);
        let mut complete = std::pin::pin!(torrent.wait_complete());
        let (mut told, mut counted) = (None, None);
        loop {
            tokio::select! {
                ended = &mut complete => return ended.map_err(|error| Failure::new(error.to_string())),
                () = self.stop.cancelled() => return Err(stopped(title, &torrent.status())),
                _ = draw.tick() => {
                    let status = torrent.status();
                    bar.update(Instant::now(), &reading(&status));
                    if status.dht.is_some() && status.dht != counted {
                        self.tell_count(title, &status, counted.is_none())?;
                        counted = status.dht;
                    }
                    let trouble = trouble_of(&status);
                    if trouble != told {
                        if let Some(trouble) = &trouble {
                            self.out.note(format!("{title}: {trouble}"));
                        }
                        told = trouble;
                    }
                }
            }
        }
    }

    /// Tells how many take part, which may change: programs each time, people once.
    fn tell_count(&self, title: &str, status: &TorrentStatus, is_first: bool) -> Result<(), Failure> {
        self.out.json(&json!({ "event": "counted", "info_hash": status.info_hash, "dht": status.dht }))?;
        if let Some(told) = status.dht.filter(|_| is_first) {
            self.out.note(format!("{title}: {}", by_table(told)));
        }
        Ok(())
    }

    async fn get_media(&self, http: &HttpClient, url: &Url, name: &str, length: Option<u64>) -> Result<(), Failure> {
        let path = self.folder.join(name);
        if let Ok(metadata) = path.symlink_metadata() {
            let there = metadata.len();
            if length == Some(there) {
                return self.tell_complete(&path, there, None, true);
            }
            let host = length.map_or_else(|| "an unknown number of".to_owned(), |length| length.to_string());
            return Err(Failure::new(format!(
                "`{}` is there already, with {there} bytes; its host has {host}",
                path.display()
            ))
            .with_hint("move it away, or choose another folder with --output"));
        }
        let part = download_part(&path);
        let present = occupied(&part);
        require_space(&self.folder, length.unwrap_or(0).saturating_sub(present))?;
        // A host that does not say how much there is must not fill the disk either.
        let spare = free_space(&self.folder).explain(|| "measure the free space".to_owned())?.spare();
        let bar = Arc::new(self.out.progress(name));
        let total = length.unwrap_or(0);
        let drawn = Arc::clone(&bar);
        let options = DownloadOptions {
            progress: Some(Arc::new(move |done| drawn.bytes(Instant::now(), "downloading", done, total))),
            cancel: self.stop.clone(),
            max_bytes: Some(spare.saturating_add(present)),
            ..DownloadOptions::default()
        };
        self.out.json(&json!({ "event": "downloading", "title": name, "length": length, "path": path }))?;
        let downloaded = http.download(url.as_str(), &part, &path, &options).await;
        drop(bar);
        match downloaded {
            Ok(downloaded) => self.tell_complete(&path, downloaded.bytes, None, false),
            Err(_) if self.stop.is_cancelled() => Err(Failure::new(format!("stopped before `{name}` was complete"))
                .with_hint("what came is kept; the same command goes on with it")),
            Err(error) => Err(Failure::new(format!("fetch `{url}`")).because(error)),
        }
    }

    fn tell_complete(
        &self,
        path: &Path,
        length: u64,
        info_hash: Option<InfoHash>,
        was_there: bool,
    ) -> Result<(), Failure> {
        self.out.json(&json!({
            "event": "complete", "path": path, "length": length, "info_hash": info_hash, "was_there": was_there,
        }))?;
        if was_there {
            let how = if info_hash.is_some() { "every byte of it is right" } else { "it is as long as its host says" };
            self.out.note(format!("`{}` was there already; {how}", path.display()));
        }
        self.out.line(path.display().to_string())
    }

    /// The engine, started for the first torrent.
    async fn engine(&self) -> Result<&Engine, Failure> {
        if self.is_plain {
            return Err(Failure::new("it comes by a torrent, and --http-only takes part in no swarm"));
        }
        let start = async {
            // Where no folder can be made there is no place to remember that it was shown.
            if self.dir.create().and_then(|()| first_run_notice(&self.dir, &self.out, NOTICE)).is_err() {
                self.out.note(NOTICE);
            }
            let mut config = engine_config(&self.args.engine, &self.dir);
            if let Some(dht) = &mut config.dht {
                // Who is gone as soon as he has what he wants is no use to others.
                dht.read_only = !self.args.seed;
            }
            let engine = Engine::start(config).await?;
            for addr in engine.addrs() {
                self.out.json(&json!({ "event": "listening", "kind": "peer", "addr": addr }))?;
            }
            Ok(engine)
        };
        self.engine.get_or_try_init(|| start).await
    }
}

/// Whether this names something that can be fetched by itself, and no episode of a feed.
pub(super) fn is_source(text: &str) -> bool {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("magnet" | "http" | "https")) || Path::new(text).is_file()
}

/// What a SOURCE stands for: a folder for every `.torrent` file in it, by their names.
fn kinds_of(source: &str) -> Result<Vec<Kind>, Failure> {
    let folder = Path::new(source);
    if !folder.is_dir() {
        return Ok(vec![kind_of(source)?]);
    }
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let paths = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
        let mut paths = paths.collect::<std::io::Result<Vec<_>>>()?;
        paths.retain(|path| path.is_file() && has_torrent_name(&path.to_string_lossy()));
        paths.sort();
        Ok(paths)
    };
    let paths = read().explain(|| format!("read the folder `{source}`"))?;
    if paths.is_empty() {
        return Err(Failure::new(format!("the folder `{source}` has no `.torrent` file in it")));
    }
    Ok(paths.into_iter().map(Kind::File).collect())
}

/// What a SOURCE is, as far as its text tells.
fn kind_of(source: &str) -> Result<Kind, Failure> {
    let scheme = source.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("magnet") => {
            if let Ok(link) = source.parse() {
                return Ok(Kind::Mutable(Box::new(link)));
            }
            let magnet: Magnet = source.parse().map_err(|error| Failure::usage(format!("`{source}`: {error}")))?;
            Ok(Kind::Magnet(Box::new(magnet)))
        }
        Some("http" | "https") => match Url::parse(source) {
            Ok(url) if url.has_host() => Ok(Kind::Web(url)),
            _ => Err(Failure::usage(format!("`{source}` is no URL that can be read"))),
        },
        _ if Path::new(source).is_file() => Ok(Kind::File(PathBuf::from(source))),
        _ => Err(Failure::new(format!("`{source}` is neither a file nor an http(s) URL nor a magnet link")).with_hint(
            "give a .torrent file or a folder of them, a magnet link, or the http(s) URL of a .torrent or of media",
        )),
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, Failure> {
    let length = std::fs::metadata(path).explain(|| format!("read `{}`", path.display()))?.len();
    if length > dot_torrent::MAX_TORRENT_BYTES {
        let most = dot_torrent::MAX_TORRENT_BYTES;
        return Err(Failure::new(format!("`{}` has {length} bytes; a torrent has {most} at most", path.display())));
    }
    std::fs::read(path).explain(|| format!("read `{}`", path.display()))
}

fn has_torrent_name(path: &str) -> bool {
    names::extension(path).is_some_and(|extension| extension.eq_ignore_ascii_case("torrent"))
}

/// The name under which media from `url` are kept.
fn file_name(url: &Url, content_type: Option<&str>) -> String {
    let last = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
    let name = percent_decode_str(last).decode_utf8_lossy();
    let name =
        if name.trim().is_empty() { url.host_str().unwrap_or("download").replace('.', "-") } else { name.into_owned() };
    let name = names::plain(&name);
    match (names::extension(&name), content_type.and_then(names::extension_of_mime)) {
        (None, Some(extension)) => format!("{name}.{extension}"),
        _ => name,
    }
}

fn reading(status: &TorrentStatus) -> Reading<'static> {
    let transfer = transfer_of(status);
    Reading {
        state: match transfer.state.as_str() {
            "checking" => "checking",
            "seeding" => "seeding",
            "failed" => "waiting for the disk",
            _ => "downloading",
        },
        done: status.have,
        total: status.length,
        rate: Some(status.down_rate),
        peers: Some(status.peers),
        web_seeds: transfer.web_seeds,
        eta: status.eta,
    }
}

/// What is in the way of a torrent, in words.
fn trouble_of(status: &TorrentStatus) -> Option<String> {
    let tracker = || {
        let failing = status.trackers.iter().find_map(|tracker| Some((&tracker.url, tracker.last_error.as_ref()?)));
        failing.filter(|_| status.peers == 0).map(|(url, error)| format!("the tracker {url} says: {error}"))
    };
    status.error.clone().or_else(tracker)
}

fn stopped(title: &str, status: &TorrentStatus) -> Failure {
    let percent = u128::from(status.have) * 100 / u128::from(status.length.max(1));
    Failure::new(format!("stopped when {percent} % of `{title}` was there"))
        .with_hint("what came is kept; the same command goes on with it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_file_or_an_address() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(kind_of(path).unwrap(), Kind::File(file.path().to_owned()));
        assert!(matches!(kind_of("HTTP://host.example/x.torrent").unwrap(), Kind::Web(_)));
        let hex = "0123456789abcdef0123456789abcdef01234567";
        for topic in [format!("urn:btih:{hex}"), "urn:btih:AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH".to_owned()] {
            let Kind::Magnet(magnet) = kind_of(&format!("MAGNET:?xt={topic}&so=0-1")).unwrap() else {
                panic!("it is a magnet link")
            };
            assert_eq!(magnet.info_hash.to_string(), hex);
        }
        assert!(kind_of("magnet:?xt=urn:btih:x").unwrap_err().to_string().contains("40 hex digits"));
        let v2 = format!("{hex}{}", &hex[..24]);
        let Kind::Magnet(magnet) = kind_of(&format!("magnet:?xt=urn:btmh:1220{v2}")).unwrap() else {
            panic!("it is a magnet link")
        };
        assert_eq!(magnet.info_hash.to_string(), v2);
        for source in ["", "nothing.torrent", "ftp://host.example/x", "file:///etc/passwd", "http://"] {
            assert!(kind_of(source).is_err(), "{source}");
        }
    }

    #[track_caller]
    fn check_name(url: &str, content_type: Option<&str>, want: &str) {
        assert_eq!(file_name(&url.parse().unwrap(), content_type), want);
    }

    #[test]
    fn media_are_named_after_their_address_and_stay_in_the_folder() {
        check_name("http://h.example/a/Ep%201.mp3?x=y", None, "Ep 1.mp3");
        check_name("http://h.example/get", Some("audio/mpeg"), "get.mp3");
        check_name("http://h.example/", Some("audio/ogg"), "h-example.ogg");
        check_name("http://h.example/..%2f..%2fetc%2fpasswd", None, "-..-etc-passwd");
        check_name("http://h.example/%00%1b.mp3", None, "Untitled.mp3");
    }
}
