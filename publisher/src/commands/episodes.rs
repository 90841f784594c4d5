//! What becomes of an episode after it was published: `episodes`, `edit`, `release` and `unpublish`.

use std::time::Duration;

use chrono::Utc;
use podswarm_core::app::{Failure, api_path, human_duration, local_time};
use podswarm_core::rate::ByteCount;
use reqwest::Method;

use super::companions::transcripts;
use super::publish::notes;
use super::{Context, Reach, companions, likely_urls};
use crate::cli::{EditArgs, EpisodeArgs, FieldArgs, UnpublishArgs};
use crate::control::unavailable;
use crate::hooks::Wanted;
use crate::host::{blocking, unpublished};
use crate::library::{Library, LibraryError};
use crate::publish::EpisodeFields;
use crate::record::EpisodeRecord;
use crate::slug::page_name;
use crate::wire::{EditEpisode, EpisodeInfo, EpisodeName, Unpublish, Unpublished};

pub(super) async fn episodes(context: &Context, show: Option<String>) -> Result<(), Failure> {
    let episodes: Vec<EpisodeInfo> = match context.reach().await? {
        Reach::Daemon(client) => client.get(&episodes_path(show.as_deref())).await?,
        Reach::Own(library, _lock) => {
            let urls = likely_urls(&library)?;
            let found = library.episodes_of(show.as_deref()).map_err(unavailable)?;
            found.iter().map(|episode| EpisodeInfo::new(episode, &urls)).collect()
        }
    };
    if episodes.is_empty() {
        context.out.note("there is no episode yet; publish one with `podpub publish FILE`");
    }
    for episode in &episodes {
        context.out.line(describe(episode))?;
        context.out.json(episode)?;
    }
    Ok(())
}

fn episodes_path(show: Option<&str>) -> String {
    show.map_or_else(|| "episodes".to_owned(), |show| api_path(&["episodes"], &[("show", show)]))
}

/// For people: show, date, title, length, size, and the name of its page.
fn describe(episode: &EpisodeInfo) -> String {
    let when = local_time(episode.published).format("%Y-%m-%d");
    let plays = episode.duration_ms.map(|millis| format!(", {}", human_duration(Duration::from_millis(millis))));
    let at = local_time(episode.published).format("%Y-%m-%d %H:%M");
    let appears = match episode {
        EpisodeInfo { released: true, .. } => String::new(),
        EpisodeInfo { draft: true, .. } => "; a draft".to_owned(),
        _ => format!("; appears on {at}"),
    };
    let (plays, size) = (plays.unwrap_or_default(), ByteCount(episode.length));
    let page = page_name(&episode.file);
    format!("{}  {when}  {}{plays}, {size}{appears}\n  {page}", episode.show, episode.title)
}

pub(super) async fn edit(context: &Context, args: EditArgs) -> Result<(), Failure> {
    let Some(episode) = args.episode else { return Err(Failure::usage("no episode is named")) };
    let FieldArgs {
        title,
        author,
        description,
        language,
        category,
        image,
        link,
        email,
        explicit,
        rhythm,
        feed_length,
        episode_up,
        find_peers,
        copyright,
        locked,
        complete,
        listed,
        tags,
    } = args.fields;
    let of_shows = [
        (author.is_some(), "--author"),
        (description.is_some(), "--description"),
        (language.is_some(), "--language"),
        (category.is_some(), "--category"),
        (image.is_some(), "--image"),
        (link.is_some(), "--link"),
        (email.is_some(), "--email"),
        (explicit.is_some(), "--explicit"),
        (rhythm.is_some(), "--rhythm"),
        (feed_length.is_some(), "--feed-length"),
        (episode_up.is_some(), "--episode-up"),
        (find_peers.is_some(), "--find-peers"),
        (copyright.is_some(), "--copyright"),
        (locked.is_some(), "--locked"),
        (complete.is_some(), "--complete"),
        (listed.is_some(), "--listed"),
    ];
    if let Some((_, flag)) = of_shows.into_iter().find(|(is_given, _)| *is_given) {
        let failure = Failure::usage(format!("{flag} is said of a show, not of an episode"));
        return Err(failure.with_hint("leave the episode out to change the show"));
    }
    let notes = args.notes.map(notes).transpose()?;
    let fields = EpisodeFields {
        title,
        notes,
        season: args.season,
        number: args.number,
        season_name: args.season_name,
        number_name: args.number_name,
        blocked: tags.block,
        tags: companions::tags(&tags)?,
        at: args.at,
        chapters: args.chapters.as_deref().map(companions::chapters).transpose()?,
        transcripts: Some(args.transcript).filter(|it| !it.is_empty()).map(|it| transcripts(&it)).transpose()?,
    };
    if fields.is_empty() {
        return Err(Failure::usage("nothing is to be changed").with_hint("say what, such as --title or --notes"));
    }
    let edit = EditEpisode { name: EpisodeName { show: args.show, episode }, fields };
    let changed: EpisodeInfo = match context.reach().await? {
        Reach::Daemon(client) => {
            let request = client.request(Method::PATCH, "episodes")?.json(&edit);
            client.answer(client.send(request).await?).await?
        }
        Reach::Own(library, _lock) => {
            let EditEpisode { name, fields } = edit;
            let change =
                move |library: &Library| library.edit_episode(name.show.as_deref(), &name.episode, fields, Utc::now());
            change_own(library, change).await?
        }
    };
    tell(context, "changed", &changed)
}

pub(super) async fn release(context: &Context, args: EpisodeArgs) -> Result<(), Failure> {
    let name = name_of(args);
    let released: EpisodeInfo = match context.reach().await? {
        Reach::Daemon(client) => client.post("episodes/release", &name).await?,
        Reach::Own(library, _lock) => {
            let change = move |library: &Library| {
                let episode = library.make_due(name.show.as_deref(), &name.episode, Utc::now())?;
                if episode.released {
                    return Ok(episode);
                }
                let show = library.show(Some(episode.show.as_str()))?;
                Ok(library.release(&show, &episode, Utc::now(), &Wanted::default())?.0)
            };
            let released = change_own(library, change).await?;
            context.out.note("recorded only: nothing is served until you run `podpub serve`");
            released
        }
    };
    tell(context, "released", &released)
}

pub(super) async fn unpublish(context: &Context, args: UnpublishArgs) -> Result<(), Failure> {
    let unpublish = Unpublish { name: name_of(args.name), delete_file: args.delete_file };
    let taken: Unpublished = match context.reach().await? {
        Reach::Daemon(client) => client.post("episodes/unpublish", &unpublish).await?,
        Reach::Own(library, _lock) => {
            let (urls, Unpublish { name, delete_file }) = (likely_urls(&library)?, unpublish);
            let work = blocking(move || {
                let (episode, _event) =
                    library.unpublish(name.show.as_deref(), &name.episode, Utc::now(), &Wanted::default())?;
                unpublished(&library, &episode, &urls, delete_file)
            });
            let taken = work.await.map_err(unavailable)?;
            context.out.note("recorded only: listeners are told once you run `podpub serve`");
            taken
        }
    };
    let episode = &taken.episode;
    let what = if episode.released { "taken back" } else { "forgotten before it was out" };
    context.out.line(format!("{what}: “{}”", episode.title))?;
    if let Some(kept) = &taken.kept {
        context.out.line(format!("its file stays: {kept}"))?;
    }
    context.out.json(&taken)
}

fn name_of(args: EpisodeArgs) -> EpisodeName {
    EpisodeName { show: args.show, episode: args.episode }
}

fn tell(context: &Context, what: &str, episode: &EpisodeInfo) -> Result<(), Failure> {
    context.out.line(format!("{what}: “{}”\n{}", episode.title, describe(episode)))?;
    context.out.json(episode)
}

/// Changes the library without a running publisher.
async fn change_own(
    library: Library,
    work: impl FnOnce(&Library) -> Result<EpisodeRecord, LibraryError> + Send + 'static,
) -> Result<EpisodeInfo, Failure> {
    let urls = likely_urls(&library)?;
    blocking(move || work(&library).map(|episode| EpisodeInfo::new(&episode, &urls))).await.map_err(unavailable)
}
