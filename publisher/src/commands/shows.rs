//! `init`, `edit` of a show, and `shows`.

use std::path::Path;

use chrono::Utc;
use podswarm_core::app::{Explain as _, Failure, system_zone};

use super::{Context, Reach, companions, likely_urls};
use crate::cli::{FieldArgs, InitArgs};
use crate::control::unavailable;
use crate::cover::Cover;
use crate::host::blocking;
use crate::library::{Library, LibraryError};
use crate::record::ShowRecord;
use crate::rhythm::Rhythm;
use crate::shows::ShowFields;
use crate::wire::{EditShow, NewShow, ShowInfo};

pub(super) async fn init(context: &Context, args: InitArgs) -> Result<(), Failure> {
    let Some(title) = args.fields.title.clone() else {
        return Err(Failure::usage("a show needs a title").with_hint("give one with --title TITLE"));
    };
    let new = NewShow { slug: args.show, fields: fields(context, args.fields)?, history: None, private: args.private };
    let show = create(&context.reach().await?, new).await?;
    let kind = if show.is_private { "private show" } else { "show" };
    context.out.line(format!("made the {kind} `{}`: {title}", show.slug))?;
    if show.is_private {
        note_door(context, &show);
    }
    print_show(context, &show)
}

/// Says how somebody is let in to a private show.
pub(super) fn note_door(context: &Context, show: &ShowInfo) {
    context.out.note(format!("let somebody in with `podpub subscriber add --show {} NAME`", show.slug));
}

pub(super) async fn edit(context: &Context, show: Option<String>, args: FieldArgs) -> Result<(), Failure> {
    let fields = fields(context, args)?;
    if fields.is_empty() {
        return Err(Failure::usage("nothing is to be changed").with_hint("say what, such as --title or --image"));
    }
    let edit = EditShow { show, fields };
    let show: ShowInfo = match context.reach().await? {
        Reach::Daemon(client) => {
            let request = client.request(reqwest::Method::PATCH, "shows")?.json(&edit);
            client.answer(client.send(request).await?).await?
        }
        Reach::Own(library, _lock) => {
            change(library, move |library| library.edit_show(edit.show.as_deref(), edit.fields)).await?
        }
    };
    context.out.line(format!("changed the show `{}`", show.slug))?;
    print_show(context, &show)
}

pub(super) async fn shows(context: &Context) -> Result<(), Failure> {
    let shows = all(&context.reach().await?).await?;
    if shows.is_empty() {
        context.out.note("there is no show yet; make one with `podpub init`, or just publish a file");
    }
    for show in &shows {
        let count = if show.episodes == 1 { "1 episode".to_owned() } else { format!("{} episodes", show.episodes) };
        context.out.line(format!("{}  {} ({count})\n  {}", show.slug, show.title, show.found_at()))?;
        if let Some(to) = &show.moved_to {
            context.out.line(format!("  moved to {to}"))?;
        }
        context.out.json(show)?;
    }
    Ok(())
}

/// All shows, as they are told.
pub(super) async fn all(reach: &Reach) -> Result<Vec<ShowInfo>, Failure> {
    let library = match reach {
        Reach::Daemon(client) => return client.get("shows").await,
        Reach::Own(library, _lock) => library,
    };
    ShowInfo::all(library, &likely_urls(library)?).map_err(unavailable)
}

fn print_show(context: &Context, show: &ShowInfo) -> Result<(), Failure> {
    print_addresses(context, show)?;
    context.out.json(show)
}

/// Prints where it is, for people; of a private show, that each subscriber has an address of his own.
pub(super) fn print_addresses(context: &Context, show: &ShowInfo) -> Result<(), Failure> {
    context.out.line(format!("feed  {}", show.found_at()))?;
    if show.is_private { Ok(()) } else { context.out.line(format!("page  {}", show.page)) }
}

/// Makes a show, with or without a running publisher.
pub(super) async fn create(reach: &Reach, new: NewShow) -> Result<ShowInfo, Failure> {
    match reach {
        Reach::Daemon(client) => client.post("shows", &new).await,
        Reach::Own(library, _lock) => {
            let create = move |library: &Library| {
                library.create_show(new.slug, new.fields, new.history, new.private, Utc::now())
            };
            change(library.clone(), create).await
        }
    }
}

/// Changes the library without a running publisher.
async fn change(
    library: Library,
    work: impl FnOnce(&Library) -> Result<ShowRecord, LibraryError> + Send + 'static,
) -> Result<ShowInfo, Failure> {
    let urls = likely_urls(&library)?;
    let changed = blocking(move || {
        let show = work(&library)?;
        Ok(ShowInfo::new(&show, library.episodes(&show.slug)?.len(), &urls))
    });
    changed.await.map_err(unavailable)
}

/// A rhythm with its zone: this machine's, where none is named.
fn rhythm(text: String) -> Result<String, Failure> {
    if text.trim().is_empty() {
        return Ok(text);
    }
    let rhythm = Rhythm::parse(&text, system_zone()).map_err(|error| Failure::usage(error.to_string()))?;
    Ok(rhythm.to_string())
}

/// What the flags say of a show; the cover is read here, where its path means something.
fn fields(context: &Context, args: FieldArgs) -> Result<ShowFields, Failure> {
    let mut fields = ShowFields {
        title: args.title,
        author: args.author,
        description: args.description,
        language: args.language,
        category: args.category,
        link: args.link,
        email: args.email,
        explicit: args.explicit,
        copyright: args.copyright,
        locked: args.locked,
        complete: args.complete,
        blocked: args.tags.block,
        listed: args.listed,
        tags: companions::tags(&args.tags)?,
        image: None,
        rhythm: args.rhythm.map(rhythm).transpose()?,
        feed_length: args.feed_length,
        episode_up: args.episode_up,
        find_peers: args.find_peers,
    };
    match args.image.as_deref() {
        None => {}
        Some(path) if path == Path::new("") => fields.image = Some(String::new()),
        Some(path) => {
            let bytes = std::fs::read(path).explain(|| format!("read the image `{}`", path.display()))?;
            let cover = Cover::from_bytes(bytes).explain(|| format!("take the image `{}`", path.display()))?;
            if let Some(complaint) = cover.complaint() {
                context.out.warn(complaint);
            }
            fields.set_image(&cover.bytes);
        }
    }
    Ok(fields)
}
