//! Commands that only look: `feeds`, `episodes`, `info`, `status`.

use std::collections::BTreeMap;

use chrono::Utc;
use podswarm_core::app::{DataDir, Failure, GlobalArgs, Out, Places, WithPlaces};
use podswarm_core::net::Route;

use super::misunderstood;
use crate::ask::{Ask, EpisodeView, Reply, StageName};
use crate::desk::{Desk, PROGRAM};
use crate::records::FeedId;
use crate::view;

/// Episodes that nobody took are listed up to this number for each feed.
const OTHERS: usize = 10;

/// What is said where there is nothing to list.
const NONE_KNOWN: &str = "no episodes are known; `podsub update` looks for them";

/// Asks one question and ends.
pub(super) async fn once(global: &GlobalArgs, out: &Out, ask: Ask) -> Result<Reply, Failure> {
    let desk = Desk::open(global, out, &Route::default()).await?;
    let answer = desk.ask(ask).await;
    desk.close().await?;
    answer
}

pub(super) async fn feeds(global: &GlobalArgs, out: &Out) -> Result<(), Failure> {
    let Reply::Feeds(feeds) = once(global, out, Ask::Feeds).await? else { return Err(misunderstood()) };
    feeds.iter().try_for_each(|feed| out.json(feed))?;
    out.line(view::feeds(&feeds, Utc::now()))
}

pub(super) async fn episodes(
    global: &GlobalArgs,
    out: &Out,
    feed: Option<String>,
    all: bool,
    why: bool,
) -> Result<(), Failure> {
    let with_show = feed.is_none();
    let Reply::Episodes(episodes) = once(global, out, Ask::Episodes { feed }).await? else {
        return Err(misunderstood());
    };
    if why {
        return reasons(out, episodes, with_show);
    }
    let count = episodes.len();
    let listed = if all { episodes } else { worth_a_look(episodes) };
    listed.iter().try_for_each(|episode| out.json(episode))?;
    if listed.is_empty() {
        out.note(NONE_KNOWN);
    } else {
        out.line(view::episodes(&listed, with_show))?;
    }
    if listed.len() < count {
        out.note(format!("{} older ones are not listed; --all lists them", count - listed.len()));
    }
    Ok(())
}

/// What is not there and not wanted, or cannot be had, each with its reason.
fn reasons(out: &Out, episodes: Vec<EpisodeView>, with_show: bool) -> Result<(), Failure> {
    let is_out = |episode: &EpisodeView| match episode.stage {
        StageName::Seen | StageName::Gone => true,
        StageName::Wanted => episode.why.is_some(),
        StageName::Complete => false,
    };
    let (listed, rest): (Vec<_>, Vec<_>) = episodes.into_iter().partition(is_out);
    listed.iter().try_for_each(|episode| out.json(episode))?;
    if listed.is_empty() && rest.is_empty() {
        out.note(NONE_KNOWN);
        return Ok(());
    }
    if listed.is_empty() {
        out.note(format!("of {} nothing was left out", view::count(rest.len(), "episode")));
        return Ok(());
    }
    out.line(view::reasons(&listed, with_show))
}

/// What was taken, and the newest others of each feed.
fn worth_a_look(episodes: Vec<EpisodeView>) -> Vec<EpisodeView> {
    let mut others: BTreeMap<FeedId, usize> = BTreeMap::new();
    let mut listed: Vec<_> = episodes
        .into_iter()
        .rev()
        .filter(|episode| {
            let seen = others.entry(episode.id.feed).or_default();
            *seen += usize::from(episode.stage == StageName::Seen);
            episode.stage != StageName::Seen || *seen <= OTHERS
        })
        .collect();
    listed.reverse();
    listed
}

pub(super) async fn info(global: &GlobalArgs, out: &Out, what: String) -> Result<(), Failure> {
    match once(global, out, Ask::Info { what }).await? {
        Reply::Feed(feed) => {
            out.json(&feed)?;
            out.line(view::feed(&feed, Utc::now()))
        }
        Reply::Episode(episode) => {
            out.json(&episode)?;
            out.line(view::episode(&episode))
        }
        _ => Err(misunderstood()),
    }
}

pub(super) async fn status(global: &GlobalArgs, out: &Out) -> Result<(), Failure> {
    let Reply::Status(status) = once(global, out, Ask::Status).await? else { return Err(misunderstood()) };
    let places = match global.server {
        Some(_) => None,
        None => Some(Places::find(&DataDir::resolve(global.data_dir.as_deref(), PROGRAM)?)),
    };
    out.json(&WithPlaces { status: &status, places: places.as_ref() })?;
    for (what, place) in places.iter().flat_map(Places::lines) {
        out.line(format!("{what:<10} {place}"))?;
    }
    out.line(view::status(&status, Utc::now()))
}
