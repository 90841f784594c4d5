//! `import`: a show with its episodes from another host's feed.
//!
//! The feed is read first, and nothing is changed if it may not be taken. The files are fetched here, several at a
//! time, into `imports/` in the data directory, and brought in one by one in the order in which they came out, through
//! the running publisher or without one. What is brought is known by its guid; so a run that was cut off is made again,
//! and goes on.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use futures_util::StreamExt as _;
use podswarm_core::app::{Explain as _, Failure, Progress, require_space, shutdown_signal};
use podswarm_core::rate::ByteCount;
use podswarm_feeds::chapters;
use podswarm_feeds::read::TranscriptLink;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::publish::{ask, record, send};
use super::relocate::guids;
use super::{Context, Reach, export, likely_urls, shows};
use crate::cli::ImportArgs;
use crate::control::refused;
use crate::cover::Cover;
use crate::host::blocking;
use crate::import::feed::{self, Feed, FeedError, Place};
use crate::import::item::{self, Listed, Wanted};
use crate::import::media::{AT_ONCE, Desk, MediaError};
use crate::import::show::{self, Told};
use crate::publish::{Draft, Follow, Intake, Said};
use crate::slug::Slug;
use crate::transcript::{Transcript, TranscriptKind};
use crate::wire::{EpisodeInfo, NewShow, PublishLine, PublishRequest, Published, RequestSource, ShowInfo, ShowName};

/// The longest chapters and transcripts, in bytes.
const LONGEST_TEXT: u64 = 8 << 20;
/// The largest picture, in bytes.
const LARGEST_IMAGE: u64 = 16 << 20;

/// What became of an item, as `--json` prints it.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Fate<'a> {
    /// It is an episode now.
    Imported { guid: &'a str, title: &'a str, episode: &'a EpisodeInfo },
    /// It is none.
    LeftOut { guid: &'a str, title: &'a str, why: String, may_pass: bool },
}

/// What became of the whole, as `--json` prints it.
#[derive(Serialize)]
struct Summary<'a> {
    /// Always `import`.
    event: &'static str,
    show: &'a ShowInfo,
    /// Episodes that were brought in.
    imported: usize,
    /// Episodes that were there already.
    present: usize,
    /// Episodes whose file was not had.
    left_out: usize,
    /// Items that have no file.
    without_file: usize,
}

/// How the work stands.
#[derive(Default)]
struct Tally {
    imported: usize,
    left_out: usize,
    /// Whether another run may have what this one has not.
    may_pass: bool,
}

pub(super) async fn import(context: &Context, args: ImportArgs) -> Result<(), Failure> {
    let place = place(&args.source);
    if let Place::File(path) = &place
        && export::is_export(path)
    {
        if args.private {
            let failure = Failure::usage("the shows of an export stay as they are, private or public");
            return Err(failure.with_hint("leave out --private"));
        }
        return export::import(context, path).await;
    }
    let feed = feed::read(&place, &args.route.route()).await.map_err(refusal)?;
    feed::admit(&feed.channel, args.i_am.as_deref()).map_err(refusal)?;
    if !feed.channel.is_whole {
        context.out.warn("the feed is cut off: what comes after that cannot be seen");
    }
    let told = show::of(&feed.channel, feed.url.as_ref(), Utc::now());
    let (wanted, without) = sort_out(&feed, args.newest);
    let reach = context.reach().await?;
    let known = existing(&reach, args.show.as_ref(), &told).await?;
    if let Some(public) = known.as_ref().filter(|show| args.private && !show.is_private) {
        let failure = Failure::new(format!("the show `{}` is here already, and is public for ever", public.slug));
        return Err(failure.with_hint("leave out --private, and it is brought what is new"));
    }
    let guids: BTreeSet<String> = match &known {
        Some(show) => guids(&reach, show).await?.into_iter().collect(),
        None => BTreeSet::new(),
    };
    let listed = wanted.len();
    let missing: Vec<Wanted> = wanted.into_iter().filter(|wanted| !guids.contains(&wanted.origin.guid)).collect();
    let present = listed - missing.len();
    context.out.note(outline(&feed, &told, &missing, present, without.len()));
    for (guid, title, why) in &without {
        context.out.note(format!("left out: “{title}”: {why}"));
        context.out.json(&Fate::LeftOut { guid, title, why: why.clone(), may_pass: false })?;
    }
    if args.dry_run {
        for wanted in &missing {
            let date = wanted.said.at.unwrap_or_default().format("%Y-%m-%d");
            context.out.line(format!("{date}  {}", wanted.title()))?;
        }
        return Ok(());
    }
    let folder = Folder::of(context, &told)?;
    let cancel = CancellationToken::new();
    let media = Arc::new(Desk::new(feed.client.clone(), folder.path.clone(), args.allow_changing, cancel.clone()));
    let is_here = |wanted: &&Wanted| media.place(&wanted.origin.guid).exists();
    let bytes: u64 = missing.iter().filter(|it| !is_here(it)).filter_map(|wanted| wanted.length).sum();
    // What comes last is copied into the library while it still lies here.
    let largest = missing.iter().filter_map(|wanted| wanted.length).max().unwrap_or_default();
    require_space(context.dir.path(), bytes + largest)?;
    let show = match known {
        Some(show) => show,
        None => create(context, &reach, &args, &feed, told, &media).await?,
    };
    let work = Work { context, reach: &reach, media: &media, show: &show };
    let tally = {
        let bringing = work.bring(missing);
        tokio::pin!(bringing);
        tokio::select! {
            tally = &mut bringing => tally?,
            () = shutdown_signal() => {
                cancel.cancel();
                let failure = Failure::new("the import was interrupted");
                return Err(failure.with_hint("run the same command again: it goes on where it was"));
            }
        }
    };
    let show = refreshed(&reach, &show).await?;
    if tally.left_out == 0 || !tally.may_pass {
        folder.remove();
    }
    finish(context, &feed, &show, &tally, present, without.len())
}

fn refusal(error: FeedError) -> Failure {
    let hint = error.hint();
    Failure::from(error).with_any_hint(hint)
}

/// What the owner typed, as a URL or a file.
fn place(source: &str) -> Place {
    match Url::parse(source) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Place::Web(url),
        _ => Place::File(PathBuf::from(source)),
    }
}

/// The episodes of the feed, oldest first, and the items that cannot be any: guid, title, reason.
fn sort_out(feed: &Feed, newest: Option<usize>) -> (Vec<Wanted>, Vec<(String, String, String)>) {
    let (mut wanted, mut without) = (Vec::new(), Vec::new());
    for listed in item::oldest_first(&feed.channel.items, Utc::now()) {
        match listed {
            Listed::Episode(it) => wanted.push(*it),
            Listed::Without { guid, title, why } => without.push((guid, title, why)),
        }
    }
    let newest = newest.unwrap_or(usize::MAX);
    wanted.drain(..wanted.len().saturating_sub(newest));
    (wanted, without)
}

fn outline(feed: &Feed, told: &Told, missing: &[Wanted], present: usize, without: usize) -> String {
    let bytes: u64 = missing.iter().filter_map(|wanted| wanted.length).sum();
    let title = told.fields.title.as_deref().unwrap_or_default();
    let size = ByteCount(bytes).to_string();
    let parts = [
        (bytes > 0, format!(", {size}")),
        (present > 0, format!("; {present} here already")),
        (without > 0, format!("; {without} without a file")),
        (feed.pages > 1, format!("; the feed has {} pages", feed.pages)),
    ];
    let said: String = parts.into_iter().filter(|(is_said, _)| *is_said).map(|(_, part)| part).collect();
    format!("“{title}”: {} to bring in{said}", count(missing.len(), "episode"))
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// The show that the feed is of, if it is here already.
async fn existing(reach: &Reach, slug: Option<&Slug>, told: &Told) -> Result<Option<ShowInfo>, Failure> {
    let mut shows = shows::all(reach).await?;
    let guid = told.history.podcast_guid;
    if let Some(there) = shows.iter().position(|show| show.podcast_guid == Some(guid)) {
        return Ok(Some(shows.swap_remove(there)));
    }
    match slug.and_then(|slug| shows.iter().find(|show| show.slug == *slug)) {
        None => Ok(None),
        Some(other) => {
            let failure = Failure::new(format!("there is another show `{}` already: {}", other.slug, other.title));
            Err(failure.with_hint("name the one to be made with another --show"))
        }
    }
}

/// Makes the show, with its cover.
async fn create(
    context: &Context,
    reach: &Reach,
    args: &ImportArgs,
    feed: &Feed,
    told: Told,
    media: &Desk,
) -> Result<ShowInfo, Failure> {
    let Told { mut fields, history, warnings } = told;
    for warning in &warnings {
        context.out.warn(warning);
    }
    if let Some(url) = &feed.channel.image {
        match cover(media, url).await {
            Ok(cover) => fields.set_image(&cover.bytes),
            Err(why) => context.out.warn(format!("left out: the show's cover: {why}")),
        }
    }
    let (slug, history, private) = (args.show.clone(), Some(history), args.private);
    shows::create(reach, NewShow { slug, fields, history, private }).await
}

async fn cover(media: &Desk, url: &Url) -> Result<Cover, String> {
    let bytes = media.small(url, LARGEST_IMAGE).await.map_err(|error| Failure::from(error).to_string())?;
    Cover::from_bytes(bytes).map_err(|error| error.to_string())
}

/// The folder in which the files of one import lie until they are episodes; held by one command at a time.
struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    fn of(context: &Context, told: &Told) -> Result<Self, Failure> {
        context.dir.create()?;
        let path = context.dir.join("imports").join(told.history.podcast_guid.to_string());
        let saying = || format!("make the folder `{}`", path.display());
        std::fs::create_dir_all(&path).explain(saying)?;
        let lock = File::create(path.join("lock")).explain(saying)?;
        if lock.try_lock().is_err() {
            return Err(Failure::new("this show is being imported by another command already"));
        }
        Ok(Self { path, _lock: lock })
    }

    /// All is done.
    fn remove(self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot be removed");
        }
        // Gone if no other import is under way.
        let _ = self.path.parent().map(std::fs::remove_dir);
    }
}

/// Brings episodes in.
struct Work<'a> {
    context: &'a Context,
    reach: &'a Reach,
    media: &'a Arc<Desk>,
    show: &'a ShowInfo,
}

/// An episode whose file is here, or why it is not.
type Fetched = (Wanted, Result<(PathBuf, Said, Vec<String>), MediaError>);

impl Work<'_> {
    /// Fetches several at a time, and brings them in one by one, in order.
    async fn bring(&self, missing: Vec<Wanted>) -> Result<Tally, Failure> {
        let total = missing.len();
        let meter = Arc::new(Meter::new(self.context.out.progress(self.show.title.clone()), &missing));
        let slug = self.show.slug.clone();
        let fetching = futures_util::stream::iter(missing).map(|wanted| {
            let (media, meter, slug) = (Arc::clone(self.media), Arc::clone(&meter), slug.to_string());
            AbortOnDrop(tokio::spawn(async move { fetch(&media, &meter, wanted, slug).await }))
        });
        let mut fetching = fetching.buffered(AT_ONCE);
        let mut tally = Tally::default();
        while let Some((wanted, fetched)) = fetching.next().await {
            let guid = &wanted.origin.guid;
            let title = wanted.title();
            let (path, said, warnings) = match fetched {
                Ok(fetched) => fetched,
                Err(error) => {
                    let may_pass = error.may_pass();
                    let why = with_way_out(error);
                    self.leave_out(&wanted, &why, may_pass, &mut tally)?;
                    continue;
                }
            };
            for warning in warnings {
                self.context.out.warn(format!("“{title}”: left out: {warning}"));
            }
            match self.publish(&wanted, &path, said).await {
                Ok(published) => {
                    tally.imported += 1;
                    self.context.out.line(format!("{} of {total}  {title}", tally.imported + tally.left_out))?;
                    self.context.out.json(&Fate::Imported { guid, title, episode: &published.episode })?;
                    // It lies in the library now.
                    let _ = tokio::fs::remove_file(&path).await;
                }
                Err(failure) => self.leave_out(&wanted, &failure.to_string(), true, &mut tally)?,
            }
        }
        Ok(tally)
    }

    fn leave_out(&self, wanted: &Wanted, why: &str, may_pass: bool, tally: &mut Tally) -> Result<(), Failure> {
        tally.left_out += 1;
        tally.may_pass |= may_pass;
        let title = wanted.title();
        self.context.out.warn(format!("left out: “{title}”: {why}"));
        self.context.out.json(&Fate::LeftOut { guid: &wanted.origin.guid, title, why: why.to_owned(), may_pass })
    }

    /// Has the file at `path` become an episode.
    async fn publish(&self, wanted: &Wanted, path: &Path, said: Said) -> Result<Published, Failure> {
        let name = Some(wanted.file_name.clone());
        let (client, request) = match self.reach {
            Reach::Daemon(client) => {
                let source = RequestSource::Path(path.display().to_string());
                (client, PublishRequest { source, name, in_place: false, said, replaces: None, anyway: false })
            }
            Reach::Own(library, _lock) => {
                let (library, urls) = (library.clone(), likely_urls(library)?);
                let draft =
                    Draft { path: path.to_owned(), name, intake: Intake::Copy, said, replaces: None, anyway: false };
                let work = blocking(move || record(&library, &urls, draft, &Follow::default()));
                return work.await.map_err(refused);
            }
        };
        let is_remote = self.context.remote.is_some();
        if !is_remote && let PublishLine::Published(published) = ask(client, None, &request).await? {
            return Ok(*published);
        }
        send(self.context, client, None, path, |source| PublishRequest { source, ..request }).await
    }
}

/// A task that does not outlive whoever waits for it.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = T;

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<T> {
        std::pin::Pin::new(&mut self.0).poll(context).map(|done| done.expect("fetching does not panic"))
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Why an episode is left out, with what can be done about it.
fn with_way_out(error: MediaError) -> String {
    let way_out = match &error {
        MediaError::Changing { .. } => {
            Some("switch that off at the old host, or take what comes with --allow-changing")
        }
        error if error.may_pass() => Some("run the command again"),
        _ => None,
    };
    let why = Failure::from(error).to_string();
    way_out.map_or(why.clone(), |way_out| format!("{why}; {way_out}"))
}

/// Fetches all that belongs to an episode. What is only beside it may be missing.
async fn fetch(media: &Desk, meter: &Arc<Meter>, wanted: Wanted, show: String) -> Fetched {
    let guid = wanted.origin.guid.clone();
    let told = {
        let (meter, guid) = (Arc::clone(meter), guid.clone());
        Arc::new(move |bytes| meter.fetched(&guid, bytes))
    };
    let path = match media.fetch(&guid, &wanted.media, &wanted.file_name, told).await {
        Ok(path) => path,
        Err(error) => return (wanted, Err(error)),
    };
    meter.whole(&guid, &path);
    let mut said = Said { show: Some(show), ..wanted.said.clone() };
    let (mut origin, mut warnings) = (wanted.origin.clone(), wanted.faults.clone());
    if let Some(url) = &wanted.image {
        match cover(media, url).await {
            Ok(cover) => origin.image = Some(STANDARD.encode(&cover.bytes)),
            Err(why) => warnings.push(format!("its cover: {why}")),
        }
    }
    if let Some(url) = &wanted.chapters {
        match text(media, url).await.and_then(|text| chapters::read(&text).map_err(|error| error.to_string())) {
            Ok(chapters) => said.chapters = Some(chapters),
            Err(why) => warnings.push(format!("its chapters: {why}")),
        }
    }
    for link in &wanted.transcripts {
        match transcript(media, link).await {
            // Of two in one form the first is the main one.
            Ok(transcript) if said.transcripts.iter().any(|it| it.kind == transcript.kind) => {}
            Ok(transcript) => said.transcripts.push(transcript),
            Err(why) => warnings.push(format!("a transcript: {why}")),
        }
    }
    said.origin = Some(origin);
    (wanted, Ok((path, said, warnings)))
}

async fn text(media: &Desk, url: &Url) -> Result<String, String> {
    let bytes = media.small(url, LONGEST_TEXT).await.map_err(|error| Failure::from(error).to_string())?;
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

async fn transcript(media: &Desk, link: &TranscriptLink) -> Result<Transcript, String> {
    let by_type = TranscriptKind::ALL.into_iter().find(|kind| kind.mime() == link.mime);
    let kind = by_type.or(match link.mime.as_str() {
        "application/srt" | "text/srt" | "application/x-srt" => Some(TranscriptKind::Srt),
        "application/vtt" => Some(TranscriptKind::Vtt),
        _ => None,
    });
    let name = match kind {
        Some(kind) => format!("transcript.{}", kind.extension()),
        None => link.url.path().to_owned(),
    };
    let bytes = media.small(&link.url, LONGEST_TEXT).await.map_err(|error| Failure::from(error).to_string())?;
    Transcript::new(Path::new(&name), bytes).map_err(|error| error.to_string())
}

/// Shows how far all files together are.
struct Meter {
    progress: Progress,
    total: AtomicU64,
    /// Bytes of each file by its guid: what is there, and what there should be.
    files: Mutex<std::collections::BTreeMap<String, (u64, u64)>>,
}

impl Meter {
    fn new(progress: Progress, missing: &[Wanted]) -> Self {
        let files = missing.iter().map(|it| (it.origin.guid.clone(), (0, it.length.unwrap_or_default())));
        let total = missing.iter().filter_map(|it| it.length).sum();
        Self { progress, total: AtomicU64::new(total), files: Mutex::new(files.collect()) }
    }

    fn fetched(&self, guid: &str, bytes: u64) {
        self.change(guid, |(done, total)| (bytes, if bytes > total { bytes } else { done.max(total) }));
    }

    /// A file is whole, however long its feed said that it is.
    fn whole(&self, guid: &str, path: &Path) {
        let length = path.metadata().map_or(0, |metadata| metadata.len());
        self.change(guid, |_| (length, length));
    }

    fn change(&self, guid: &str, change: impl FnOnce((u64, u64)) -> (u64, u64)) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = files.get_mut(guid) {
            let before = file.1;
            *file = change(*file);
            self.total.fetch_add(file.1.wrapping_sub(before), Ordering::Relaxed);
        }
        let done = files.values().map(|(done, _)| done).sum();
        drop(files);
        self.progress.bytes(Instant::now(), "fetching", done, self.total.load(Ordering::Relaxed));
    }
}

/// The show with everything that came to it.
async fn refreshed(reach: &Reach, show: &ShowInfo) -> Result<ShowInfo, Failure> {
    if let Reach::Daemon(client) = reach {
        return client.post("shows/refresh", &ShowName { show: show.slug.to_string() }).await;
    }
    let now = shows::all(reach).await?.into_iter().find(|it| it.slug == show.slug);
    now.ok_or_else(|| Failure::new(format!("the show `{}` is gone", show.slug)))
}

fn finish(
    context: &Context,
    feed: &Feed,
    show: &ShowInfo,
    tally: &Tally,
    present: usize,
    without_file: usize,
) -> Result<(), Failure> {
    let out = &context.out;
    let (imported, left_out) = (tally.imported, tally.left_out);
    out.line(format!(
        "imported {} into the show `{}`, which has {} now",
        count(imported, "episode"),
        show.slug,
        show.episodes
    ))?;
    shows::print_addresses(context, show)?;
    out.json(&Summary { event: "import", show, imported, present, left_out, without_file })?;
    if left_out > 0 {
        let failure = Failure::new(format!("{} of the feed could not be had", count(left_out, "episode")));
        let hint = "run the same command again: what is here is not fetched again";
        return Err(if tally.may_pass { failure.with_hint(hint) } else { failure });
    }
    if show.is_private {
        shows::note_door(context, show);
    } else if let Some(old) = &feed.url {
        out.note(format!(
            "once it is served where people reach it, have {old} answer 301 with the new address, for four weeks at \
             least; apps know the episodes by their guids, and nobody gets them twice"
        ));
    }
    Ok(())
}
