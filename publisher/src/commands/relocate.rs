//! `move`: a show's feeds lead to where it is from now on.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::Utc;
use podswarm_core::app::{Failure, api_path};
use podswarm_core::net::http::{HttpClient, Reach as HttpReach};
use podswarm_feeds::read::{Channel, MAX_FEED_BYTES, parse};
use url::Url;

use super::{Context, Reach, likely_urls, shows};
use crate::cli::MoveArgs;
use crate::control::unavailable;
use crate::host::blocking;
use crate::import::USER_AGENT;
use crate::library::is_named;
use crate::record::Moved;
use crate::wire::{MoveShow, ShowInfo};

/// The longest that the new feed may take.
const PATIENCE: Duration = Duration::from_mins(2);

pub(super) async fn relocate(context: &Context, args: MoveArgs) -> Result<(), Failure> {
    let reach = context.reach().await?;
    let show = the_show(&reach, args.show.as_deref()).await?;
    let moved = match &args.new_url {
        None => None,
        Some(url) => Some(destination(context, &reach, &show, url, &args).await?),
    };
    let wanted = MoveShow { show: show.slug.to_string(), moved };
    let now: ShowInfo = match &reach {
        Reach::Daemon(client) => client.post("shows/move", &wanted).await?,
        Reach::Own(library, _lock) => {
            let (library, urls) = (library.clone(), likely_urls(library)?);
            let work = blocking(move || {
                let show = library.move_show(&wanted.show, wanted.moved)?;
                Ok(ShowInfo::new(&show, library.episodes(&show.slug)?.len(), &urls))
            });
            work.await.map_err(unavailable)?
        }
    };
    match &now.moved_to {
        Some(to) => {
            context.out.line(format!("“{}” has moved: {} leads to {to} for good", now.title, now.feed))?;
            context.out.note(
                "serve on for four weeks at least, so that every app asks once; files, torrents and pages are served as \
                 before. `podpub move --back` undoes it",
            );
        }
        None => context.out.line(format!("“{}” is here again: {}", now.title, now.feed))?,
    }
    context.out.json(&now)
}

async fn the_show(reach: &Reach, wanted: Option<&str>) -> Result<ShowInfo, Failure> {
    let mut shows = shows::all(reach).await?;
    let is_it = |show: &ShowInfo| wanted.is_none_or(|wanted| is_named(&show.slug, &show.title, wanted));
    let known: Vec<String> = shows.iter().map(|show| show.slug.to_string()).collect();
    shows.retain(is_it);
    match (shows.len(), wanted) {
        (1, _) => Ok(shows.remove(0)),
        (0, Some(wanted)) => Err(Failure::new(format!("there is no show `{wanted}`; there are: {}", known.join(", ")))),
        (0, None) => Err(Failure::new("there is no show yet")),
        _ => {
            Err(Failure::new(format!("there are several shows: {}", known.join(", ")))
                .with_hint("say which with --show"))
        }
    }
}

/// Where the show's documents are from now on, after a look whether they are the same show's.
async fn destination(
    context: &Context,
    reach: &Reach,
    show: &ShowInfo,
    url: &Url,
    args: &MoveArgs,
) -> Result<Moved, Failure> {
    if *url == show.feed {
        return Err(Failure::usage("the show is there already").with_hint("give the address at its new host"));
    }
    let mut moved = Moved { feed: url.clone(), torrents: None, json: None, atom: None, since: Utc::now() };
    if args.unchecked {
        return Ok(moved);
    }
    // The address is the owner's word.
    let client = HttpClient::new(HttpReach::Any, USER_AGENT, &args.route.route())?;
    let feed = fetch(&client, url).await.map_err(|why| {
        Failure::new(format!("there is no feed at {url}: {why}"))
            .with_hint("have the show at its new host first, or say --unchecked")
    })?;
    let ours: BTreeSet<String> = guids(reach, show).await?.into_iter().collect();
    let known = feed.items.iter().filter(|item| ours.contains(&item.guid)).count();
    let is_same = match (feed.podcast_guid, show.podcast_guid) {
        (Some(theirs), Some(ours)) => theirs == ours,
        _ => known > 0,
    };
    if !is_same {
        let failure = Failure::new(format!("the feed at {url} is of another show: its podcast:guid is not this one's"));
        return Err(failure.with_hint("bring the show there with `podpub import`, or say --unchecked"));
    }
    context.out.note(format!("the feed there is this show's; it has {known} of {} episodes", show.episodes));
    // A host of our own kind has the other forms beside it.
    if let Some(beside) = url.path().strip_suffix("feed.xml") {
        let forms =
            [("torrents.xml", &mut moved.torrents), ("feed.json", &mut moved.json), ("feed.atom", &mut moved.atom)];
        for (name, place) in forms {
            let mut form = url.clone();
            form.set_path(&format!("{beside}{name}"));
            *place = fetch(&client, &form).await.ok().map(|_| form);
        }
    }
    Ok(moved)
}

async fn fetch(client: &HttpClient, url: &Url) -> Result<Channel, String> {
    let fetched = client.get_limited(url.as_str(), &[], MAX_FEED_BYTES as u64, PATIENCE).await;
    let fetched = fetched.map_err(|error| Failure::from(error).to_string())?;
    if fetched.status != 200 {
        return Err(format!("it answers with status {}", fetched.status));
    }
    parse(&fetched.body, &fetched.final_url, fetched.header("content-type")).map_err(|error| error.to_string())
}

/// Every guid that the show has or had.
pub(super) async fn guids(reach: &Reach, show: &ShowInfo) -> Result<Vec<String>, Failure> {
    match reach {
        Reach::Daemon(client) => client.get(&api_path(&["shows", "guids"], &[("show", show.slug.as_str())])).await,
        Reach::Own(library, _lock) => library.guids(show.slug.as_str()).map_err(unavailable),
    }
}
