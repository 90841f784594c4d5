//! `publish`: through the running publisher, in the foreground, or only into the library.

use std::io::{IsTerminal as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use podswarm_core::app::{
    Access, ControlClient, DataDirLock, Explain as _, Failure, Progress, acquire, api_path, local_time, shutdown_signal,
};
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::serve::Running;
use super::{Context, companions, doctor, likely_urls, public_url};
use crate::cli::{EpisodeArgs, PublishArgs, ReplaceArgs, ServeArgs};
use crate::control::{refused, unavailable};
use crate::copies;
use crate::hooks::Wanted;
use crate::host::blocking;
use crate::library::Library;
use crate::publish::{self, Draft, Follow, Intake, Outcome, PublishError, Recorded, Said};
use crate::record::{EpisodeRecord, ShowRecord};
use crate::slug::page_name;
use crate::urls::Urls;
use crate::wire::{EpisodeName, PublishLine, PublishRequest, Published, RequestSource, Upload};

/// What is to become of each path.
struct Wish {
    said: Said,
    intake: Intake,
    /// The episode whose content it replaces, if it is not a new one.
    replaces: Option<EpisodeName>,
    /// Whether it is published though directories would refuse it.
    anyway: bool,
}

pub(super) async fn publish(context: &Context, args: PublishArgs) -> Result<(), Failure> {
    if args.paths.len() > 1 {
        let of_one = [
            (args.title.is_some(), "--title"),
            (args.number.is_some(), "--number"),
            (args.chapters.is_some(), "--chapters"),
            (!args.transcript.is_empty(), "--transcript"),
        ];
        for (given, flag) in of_one {
            if given {
                let failure = Failure::usage(format!("{flag} is for one episode, and {} are given", args.paths.len()));
                return Err(failure.with_hint("publish them one by one, or let their tags say it"));
            }
        }
    }
    let said = Said {
        show: args.show.clone(),
        title: args.title.clone(),
        notes: args.notes.clone().map(notes).transpose()?,
        season: args.season,
        number: args.number,
        season_name: args.season_name.clone(),
        number_name: args.number_name.clone(),
        blocked: args.tags.block,
        tags: companions::tags(&args.tags)?,
        at: args.at,
        next: args.next,
        draft: args.draft,
        chapters: args.chapters.as_deref().map(companions::chapters).transpose()?,
        transcripts: companions::transcripts(&args.transcript)?,
        version: args.intake.version.chosen(),
        origin: None,
    };
    let wish = Wish { said, intake: args.intake.intake(), replaces: None, anyway: args.intake.anyway };
    if serves(&args)
        && context.remote.is_none()
        && let Access::Owner(lock) = acquire(&context.dir).await?
    {
        return in_foreground(context, &args, &wish, lock).await;
    }
    bring(context, &wish, &args.paths, &args.serving).await
}

pub(super) async fn replace(context: &Context, args: ReplaceArgs) -> Result<(), Failure> {
    let EpisodeArgs { episode, show } = args.name;
    let said = Said {
        show: show.clone(),
        title: args.title,
        notes: args.notes.map(notes).transpose()?,
        version: args.intake.version.chosen(),
        ..Said::default()
    };
    let replaces = Some(EpisodeName { show, episode });
    let wish = Wish { said, intake: args.intake.intake(), replaces, anyway: args.intake.anyway };
    bring(context, &wish, &[args.path], &ServeArgs::default()).await
}

/// Brings the paths to the publisher that runs, or else only into the library.
async fn bring(context: &Context, wish: &Wish, paths: &[PathBuf], serving: &ServeArgs) -> Result<(), Failure> {
    if let Some(client) = context.remote.clone() {
        all(context, paths, |path| through_daemon(context, &client, wish, path, true)).await?;
        doctor::tell(context, &client).await;
        return Ok(());
    }
    match acquire(&context.dir).await? {
        Access::Daemon(client) => {
            all(context, paths, |path| through_daemon(context, &client, wish, path, false)).await?;
            doctor::tell(context, &client).await;
            Ok(())
        }
        Access::Owner(_lock) => {
            let library = context.open().await?;
            let urls = match public_url(&library, serving)? {
                Some(urls) => urls,
                None => likely_urls(&library)?,
            };
            all(context, paths, |path| record_only(context, &library, &urls, wish, path)).await?;
            context.out.note("recorded only: nothing is served until you run `podpub serve`");
            Ok(())
        }
    }
}

/// Whether to stay and serve: when told to, or when somebody sits at the terminal who can end it.
fn serves(args: &PublishArgs) -> bool {
    args.serve || !args.no_serve && std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// The notes themselves, read from a file if they are `@FILE`.
pub(super) fn notes(text: String) -> Result<String, Failure> {
    let Some(file) = text.strip_prefix('@') else { return Ok(text) };
    std::fs::read_to_string(file).explain(|| format!("read the notes `{file}`"))
}

/// Publishes every path. One that fails is told at once and does not keep the others back.
async fn all<F>(context: &Context, paths: &[PathBuf], one: impl Fn(PathBuf) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<Published, Failure>>,
{
    let mut failed = 0;
    for path in paths {
        match one(std::path::absolute(path).explain(|| format!("find `{}`", path.display()))?).await {
            Ok(published) => print(context, &published)?,
            Err(failure) if paths.len() == 1 => return Err(failure),
            Err(failure) => {
                failed += 1;
                failure.report(super::NAME);
            }
        }
    }
    match failed {
        0 => Ok(()),
        n => Err(Failure::new(format!("{n} of {} were not published", paths.len()))),
    }
}

fn draft(context: &Context, library: &Library, wish: &Wish, path: PathBuf) -> Result<Draft, Failure> {
    let replaces = wish.replaces.as_ref().map(|name| library.episode(name.show.as_deref(), &name.episode)).transpose();
    let said = companions::beside(&|text| context.out.note(text), &path, &wish.said)?;
    let replaces = replaces.map_err(unavailable)?;
    Ok(Draft { path, name: None, intake: wish.intake, said, replaces, anyway: wish.anyway })
}

/// Shows how the hashing of `path` proceeds.
fn follow(context: &Context, path: &Path) -> Follow {
    let progress = progress_of(context, path);
    let cancel = Arc::new(AtomicBool::new(false));
    Follow { progress: Arc::new(move |done, total| progress.bytes(Instant::now(), "hashing", done, total)), cancel }
}

fn progress_of(context: &Context, path: &Path) -> Progress {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    context.out.progress(name)
}

/// Records an episode that nobody serves yet.
async fn record_only(
    context: &Context,
    library: &Library,
    urls: &Urls,
    wish: &Wish,
    path: PathBuf,
) -> Result<Published, Failure> {
    let follow = follow(context, &path);
    let draft = draft(context, library, wish, path)?;
    let (cancel, library, urls) = (Arc::clone(&follow.cancel), library.clone(), urls.clone());
    let work = blocking(move || record(&library, &urls, draft, &follow));
    interruptible(context, work, &cancel).await
}

/// Brings what `draft` names into the library.
pub(super) fn record(library: &Library, urls: &Urls, draft: Draft, follow: &Follow) -> Result<Published, PublishError> {
    let now = Utc::now();
    let tell = |show: &ShowRecord, episode: &EpisodeRecord| {
        let episodes = library.episodes(&show.slug)?.len();
        Ok::<_, PublishError>(Published::new(show, episodes, episode, urls))
    };
    match publish::settle(library, publish::stage(library, draft, follow)?, now)? {
        Outcome::Already { show, episode } => Ok(Published { already: true, ..tell(&show, &episode)? }),
        Outcome::New(settled) => {
            let (is_new_show, warnings) = (settled.is_new_show, settled.warnings.clone());
            let revised = settled.replaced.is_some();
            let Recorded { show, episode, .. } = settled.record(library, now, &Wanted::default())?;
            Ok(Published { revised, is_new_show, warnings, ..tell(&show, &episode)? })
        }
    }
}

/// Waits for `work`, and gives it up when the process is asked to stop.
async fn interruptible(
    context: &Context,
    work: impl Future<Output = Result<Published, PublishError>>,
    cancel: &AtomicBool,
) -> Result<Published, Failure> {
    tokio::pin!(work);
    tokio::select! {
        result = &mut work => return result.map_err(|error| kept_out(context, error)),
        () = shutdown_signal() => cancel.store(true, Ordering::Relaxed),
    }
    // What was promised before the signal came is kept.
    work.await.map_err(|error| kept_out(context, error))
}

/// Says why nothing is published; to programs, each thing for which directories would refuse it.
fn kept_out(context: &Context, error: PublishError) -> Failure {
    if let PublishError::Refused(findings) = &error
        && let Err(failure) = findings.iter().try_for_each(|finding| context.out.json(finding))
    {
        return failure;
    }
    refused(error)
}

/// Publishes and serves until the process is asked to stop.
async fn in_foreground(context: &Context, args: &PublishArgs, wish: &Wish, lock: DataDirLock) -> Result<(), Failure> {
    let library = context.open().await?;
    let running = Running::start(context, library, lock, &args.serving).await?;
    let host = &running.host;
    let published = all(context, &args.paths, |path| async {
        let follow = follow(context, &path);
        let cancel = Arc::clone(&follow.cancel);
        let draft = draft(context, host.library(), wish, path)?;
        interruptible(context, host.publish(draft, follow), &cancel).await
    });
    if let Err(failure) = published.await {
        running.stop().await;
        return Err(failure);
    }
    context.out.note("serving until you press Ctrl-C");
    let (told, reached) = (context.clone(), Arc::clone(host));
    let verdict = tokio::spawn(async move { doctor::tell_own(&told, &reached).await });
    let copies = tokio::spawn(Running::tell_when_safe(Arc::clone(host), context.out.clone()));
    let stopped = running.until_stopped(context).await;
    copies.abort();
    verdict.abort();
    stopped
}

/// Has the running publisher do it. It is told the path; where it cannot read that, it is sent the bytes.
async fn through_daemon(
    context: &Context,
    client: &ControlClient,
    wish: &Wish,
    path: PathBuf,
    is_remote: bool,
) -> Result<Published, Failure> {
    let progress = progress_of(context, &path);
    let said = companions::beside(&|text| context.out.note(text), &path, &wish.said)?;
    let request = |source| PublishRequest {
        source,
        name: None,
        in_place: wish.intake == Intake::InPlace,
        said: said.clone(),
        replaces: wish.replaces.clone(),
        anyway: wish.anyway,
    };
    if let Some(text) = path.to_str().filter(|_| !is_remote) {
        match ask(client, Some(&progress), &request(RequestSource::Path(text.to_owned()))).await? {
            PublishLine::Published(published) => return Ok(*published),
            PublishLine::Refused { findings } => return Err(kept_out(context, PublishError::Refused(findings))),
            PublishLine::Unreadable(error) if !path.is_file() => return Err(error.into()),
            _ => {}
        }
    }
    if wish.intake == Intake::InPlace {
        let failure = Failure::new(format!("the publisher cannot read `{}` where it is", path.display()));
        return Err(failure.with_hint("leave out --in-place, and it is sent a copy"));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    send(context, client, Some(&progress), &path, |source| PublishRequest { name, ..request(source) }).await
}

/// Sends the bytes of the file at `path`, and has them published as `request` says.
pub(super) async fn send(
    context: &Context,
    client: &ControlClient,
    progress: Option<&Progress>,
    path: &Path,
    request: impl FnOnce(RequestSource) -> PublishRequest,
) -> Result<Published, Failure> {
    let Upload { upload } = upload(client, progress, path).await?;
    match ask(client, progress, &request(RequestSource::Upload(upload))).await? {
        PublishLine::Published(published) => Ok(*published),
        PublishLine::Refused { findings } => {
            // Whoever asks again sends it again. What is not deleted goes by itself, some time.
            let there = api_path(&["uploads", &upload.to_string()], &[]);
            drop(client.send(client.request(Method::DELETE, &there)?).await);
            Err(kept_out(context, PublishError::Refused(findings)))
        }
        PublishLine::Unreadable(error) => Err(error.into()),
        PublishLine::Hashing { .. } => Err(broken_off()),
    }
}

/// Sends one request and follows it to its last line.
pub(super) async fn ask(
    client: &ControlClient,
    progress: Option<&Progress>,
    request: &PublishRequest,
) -> Result<PublishLine, Failure> {
    let mut lines = client.post_stream::<_, PublishLine>("publish", request).await?;
    while let Some(line) = lines.next().await? {
        match line {
            PublishLine::Hashing { done, total } => {
                progress.inspect(|progress| progress.bytes(Instant::now(), "hashing", done, total));
            }
            last => return Ok(last),
        }
    }
    Err(broken_off())
}

fn broken_off() -> Failure {
    let failure = Failure::new("the publisher broke off before it said whether the episode is published");
    failure.with_hint("see `podpub episodes`; publishing the file again makes no second episode")
}

/// Sends the bytes of the file at `path`. Where the line breaks, it goes on from where it was.
async fn upload(client: &ControlClient, progress: Option<&Progress>, path: &Path) -> Result<Upload, Failure> {
    let saying = || format!("read `{}`", path.display());
    let metadata = tokio::fs::metadata(path).await.explain(saying)?;
    if !metadata.is_file() {
        let failure = Failure::new(format!("`{}` is not a file, and only files can be sent", path.display()));
        return Err(failure.with_hint("run the command where the publisher runs"));
    }
    let total = metadata.len();
    let request = client.request(Method::POST, "uploads")?.header("upload-length", total);
    let upload: Upload = client.answer(client.send(request).await?).await?;
    let there = api_path(&["uploads", &upload.upload.to_string()], &[]);
    let (mut offset, mut fruitless) = (0, 0);
    loop {
        let mut file = tokio::fs::File::open(path).await.explain(saying)?;
        file.seek(SeekFrom::Start(offset)).await.explain(saying)?;
        let Err(failure) = send_rest(client, progress, file, &there, offset..total).await else { return Ok(upload) };
        match extent(client, &there).await {
            Some(now) if now > offset => (offset, fruitless) = (now, 0),
            // It answers, and takes nothing.
            Some(_) if fruitless > 0 => return Err(failure),
            _ if fruitless == MOST_FRUITLESS => return Err(failure),
            _ => {
                tokio::time::sleep(Duration::from_secs(1 << fruitless)).await;
                fruitless += 1;
            }
        }
    }
}

/// So often a broken upload is gone on with though nothing more got through, after 1, 2, 4, 8 and 16 seconds.
const MOST_FRUITLESS: u32 = 5;

/// How many bytes of an upload are there, if the daemon can be asked.
async fn extent(client: &ControlClient, upload: &str) -> Option<u64> {
    let answer = client.send(client.request(Method::GET, upload).ok()?).await.ok()?;
    answer.headers().get("upload-offset")?.to_str().ok()?.parse().ok()
}

/// Sends what is left of a file; `rest` is of its bytes.
async fn send_rest(
    client: &ControlClient,
    progress: Option<&Progress>,
    file: tokio::fs::File,
    there: &str,
    rest: std::ops::Range<u64>,
) -> Result<(), Failure> {
    let (mut done, total) = (rest.start, rest.end);
    let (sender, mut receiver) = tokio::sync::mpsc::channel::<u64>(64);
    let stream = tokio_util::io::ReaderStream::with_capacity(file.take(total - done), 256 << 10);
    let counted = futures_util::StreamExt::inspect(stream, move |chunk| {
        if let Ok(chunk) = chunk {
            // A count that does not fit is only progress that is shown later.
            let _ = sender.try_send(chunk.len() as u64);
        }
    });
    let request = client
        .request(Method::PATCH, there)?
        .header("upload-offset", rest.start)
        .header("content-type", "application/offset+octet-stream")
        .body(reqwest::Body::wrap_stream(counted));
    let sending = client.send(request);
    tokio::pin!(sending);
    loop {
        tokio::select! {
            answer = &mut sending => return answer.map(|_| ()),
            Some(bytes) = receiver.recv() => {
                done += bytes;
                progress.inspect(|progress| progress.bytes(Instant::now(), "sending", done.min(total), total));
            }
        }
    }
}

fn print(context: &Context, published: &Published) -> Result<(), Failure> {
    let out = &context.out;
    let episode = &published.episode;
    for warning in &published.warnings {
        out.warn(warning);
    }
    if published.is_new_show {
        out.note(format!(
            "made the show `{}`; `podpub edit` says more of it, and `podpub check` tells what directories want",
            episode.show
        ));
    }
    let what = match published {
        Published { already: true, .. } => "published already",
        Published { revised: true, .. } => "revised",
        _ => "published",
    };
    out.line(format!("{what}: “{}” in “{}”", episode.title, published.show.title))?;
    if episode.draft {
        out.line(format!("a draft: `podpub release {}` lets it out", page_name(&episode.file)))?;
    } else if !episode.released {
        let at = local_time(episode.published).format("%Y-%m-%d %H:%M");
        out.line(format!("appears on {at}"))?;
    }
    out.line(format!("feed     {}", published.show.found_at()))?;
    if !published.show.is_private {
        out.line(format!("page     {}", episode.page))?;
        out.line(format!("torrent  {}", episode.torrent))?;
    }
    if let Some(magnet) = &episode.magnet {
        out.line(format!("magnet   {magnet}"))?;
    }
    if published.live {
        out.line(copies::sentence(published.copies_milli))?;
    }
    out.json(published)
}
