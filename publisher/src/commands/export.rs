//! `export`: shows into a folder or a tar file, and `import` of those.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use podswarm_core::app::{Explain as _, Failure, Progress, api_path, require_space};
use podswarm_core::rate::ByteCount;
use serde::Serialize;
use url::Url;

use super::{Context, Reach, likely_urls};
use crate::archive::{self, ArchiveError, Parcel};
use crate::cli::ExportArgs;
use crate::control::unavailable;
use crate::host::blocking;
use crate::library::Library;
use crate::still::{self, Outcome};
use crate::urls::Urls;
use crate::wire::{ShowInfo, TakeIn};

/// What was written, as `--json` prints it.
#[derive(Serialize)]
struct Exported {
    /// Always `exported`.
    event: &'static str,
    path: String,
    shows: usize,
    episodes: usize,
    bytes: u64,
}

/// What a site became, as `--json` prints it.
#[derive(Serialize)]
struct SiteWritten {
    /// Always `site`.
    event: &'static str,
    path: String,
    feeds: Vec<Url>,
    written: usize,
    unchanged: usize,
    removed: usize,
    stale: usize,
}

pub(super) async fn export(context: &Context, args: ExportArgs) -> Result<(), Failure> {
    refuse_elsewhere(context, "an export is written")?;
    let urls =
        args.base_url.as_deref().map(Urls::parse).transpose().map_err(|error| {
            Failure::usage(error.to_string()).with_hint("give it like --base-url https://pods.example")
        })?;
    let parcel = match context.reach().await? {
        Reach::Daemon(client) => {
            let show: Vec<(&str, &str)> = args.show.iter().map(|show| ("show", show.as_str())).collect();
            client.get(&api_path(&["export"], &show)).await?
        }
        Reach::Own(library, _lock) => Parcel::of(&library, args.show.as_deref()).map_err(unavailable)?,
    };
    let all = parcel.shows().len();
    let parcel = if args.site.is_some() { parcel.public() } else { parcel };
    match (parcel.shows().len(), all) {
        (0, 0) => return Err(Failure::new("there is no show to export")),
        (0, _) => {
            let failure = Failure::new("a private show does not become plain files, which everybody finds");
            return Err(failure.with_hint("`podpub export` without --site writes it for another publisher"));
        }
        (kept, _) if kept < all => context.out.note("private shows are left out: everybody finds plain files"),
        _ => {}
    }
    let parts = parcel.parts(context.dir.path()).map_err(refused)?;
    let bytes = parts.iter().map(|part| part.length).sum();
    if let (Some(folder), Some(urls)) = (args.site, urls) {
        let trackers = args.tracker.into_iter().map(String::from).collect();
        return site(context, parcel, urls.for_files(trackers), folder, args.delete, bytes).await;
    }
    let (path, (shows, episodes)) = (args.path.unwrap_or_default(), parcel.count());
    require_space(&path, bytes)?;
    let progress = context.out.progress(name_of(&path));
    let target = path.clone();
    let write = blocking(move || {
        let told = |done| progress.bytes(Instant::now(), "exporting", done, bytes);
        if is_named_tar(&target) {
            archive::write_tar(&parcel, &parts, &target, &told)
        } else {
            archive::write_folder(&parcel, &parts, &target, &told)
        }
    });
    write.await.map_err(refused)?;
    let counts = format!("{shows} show{}, {episodes} episode{}", plural(shows), plural(episodes));
    context.out.line(format!("exported {counts}, {} to `{}`", ByteCount(bytes), path.display()))?;
    context.out.warn("it holds the shows' keys: whoever has them can speak for the shows; keep it to yourself");
    let path = path.display().to_string();
    context.out.json(&Exported { event: "exported", path, shows, episodes, bytes })
}

/// Writes the shows as plain files.
async fn site(
    context: &Context,
    parcel: Parcel,
    urls: Urls,
    folder: PathBuf,
    delete: bool,
    bytes: u64,
) -> Result<(), Failure> {
    if !folder.exists() {
        require_space(&folder, bytes)?;
    }
    let feeds: Vec<Url> = parcel.shows().iter().map(|show| urls.document(&show.slug, "feed.xml")).collect();
    let progress = context.out.progress(name_of(&folder));
    let (root, target) = (context.dir.path().to_owned(), folder.clone());
    let write = blocking(move || {
        let told = |done| progress.bytes(Instant::now(), "writing", done, bytes);
        still::write(&parcel, &root, &urls, &target, delete, &told)
    });
    let Outcome { written, unchanged, removed, stale } = write.await.map_err(refused)?;
    let path = folder.display().to_string();
    context.out.line(format!("wrote the site `{path}`: {written} new, {unchanged} unchanged, {removed} removed"))?;
    for feed in &feeds {
        context.out.line(format!("feed  {feed}"))?;
    }
    if stale > 0 {
        context.out.note(format!("{stale} files there belong to nothing any more; --delete removes them"));
    }
    context.out.json(&SiteWritten { event: "site", path, feeds, written, unchanged, removed, stale })
}

/// Brings the export at `path` in, if there is one.
pub(super) async fn import(context: &Context, path: &Path) -> Result<(), Failure> {
    refuse_elsewhere(context, "an export is brought in")?;
    let path = std::path::absolute(path).explain(|| format!("find `{}`", path.display()))?;
    let reach = context.reach().await?;
    let (folder, is_ours, _lock) = if path.is_dir() {
        (path.clone(), false, None)
    } else {
        let length = path.metadata().explain(|| format!("read `{}`", path.display()))?.len();
        require_space(context.dir.path(), length)?;
        let imports = context.dir.join("imports");
        let saying = || format!("make the folder `{}`", imports.display());
        std::fs::create_dir_all(&imports).explain(saying)?;
        let lock = File::create(imports.join("export.lock")).explain(saying)?;
        if lock.try_lock().is_err() {
            return Err(Failure::new("another export is being brought in already"));
        }
        let folder = imports.join("export");
        // Left behind by a run that was cut off.
        let _ = tokio::fs::remove_dir_all(&folder).await;
        let (from, to) = (path.clone(), folder.clone());
        blocking(move || archive::unpack(&from, &to)).await.map_err(refused)?;
        (folder, true, Some(lock))
    };
    let shows: Vec<ShowInfo> = match &reach {
        Reach::Daemon(client) => {
            client.post("import", &TakeIn { folder: folder.display().to_string(), is_ours }).await?
        }
        Reach::Own(library, _lock) => {
            take_in(library.clone(), folder.clone(), is_ours, context.out.progress(name_of(&path))).await?
        }
    };
    if is_ours {
        // What is left of it is only in the way.
        let _ = tokio::fs::remove_dir_all(&folder).await;
        let _ = tokio::fs::remove_file(context.dir.join("imports").join("export.lock")).await;
        let _ = tokio::fs::remove_dir(context.dir.join("imports")).await;
    }
    for show in &shows {
        context.out.line(format!(
            "imported the show `{}` with {} episode{}",
            show.slug,
            show.episodes,
            plural(show.episodes)
        ))?;
        context.out.line(format!("feed  {}\npage  {}", show.feed, show.page))?;
        context.out.json(show)?;
    }
    context.out.note("serve a show from one place only; who listens follows its public address");
    Ok(())
}

async fn take_in(
    library: Library,
    folder: PathBuf,
    is_ours: bool,
    progress: Progress,
) -> Result<Vec<ShowInfo>, Failure> {
    let total = folder_length(&folder);
    let work = {
        let library = library.clone();
        blocking(move || {
            let told = |done| progress.bytes(Instant::now(), "importing", done, total);
            archive::take_in(&library, &folder, is_ours, &told)
        })
    };
    let shows = work.await.map_err(refused)?;
    let urls = likely_urls(&library)?;
    let info = |show| Ok(ShowInfo::new(show, library.episodes(&show.slug)?.len(), &urls));
    shows.iter().map(info).collect::<Result<_, _>>().map_err(unavailable)
}

/// Bytes of all files below `folder`, as far as they can be seen.
fn folder_length(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let length = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_length(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(length).sum()
}

/// Whether `path` is an export in a folder or a tar file.
pub(super) fn is_export(path: &Path) -> bool {
    path.is_dir() || archive::is_tar(path)
}

fn is_named_tar(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("tar"))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

const fn plural(n: usize) -> &'static str {
    if n == 1 { "" } else { "s" }
}

pub(super) fn refuse_elsewhere(context: &Context, what: &str) -> Result<(), Failure> {
    match &context.remote {
        None => Ok(()),
        Some(client) => {
            let failure = Failure::usage(format!("{what} where the publisher runs; {} is elsewhere", client.server()));
            Err(failure.with_hint("leave out --server, and run it there"))
        }
    }
}

fn refused(error: ArchiveError) -> Failure {
    let hint = error.hint();
    Failure::from(error).with_any_hint(hint)
}
