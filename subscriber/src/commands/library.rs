//! Commands that change what is followed: `add`, `remove`, `update`, `pause`, `resume`.

use podswarm_core::app::{Failure, GlobalArgs, Out};
use podswarm_core::net::Route;
use serde_json::json;

use super::misunderstood;
use crate::address::feed_url;
use crate::ask::{Added, Ask, Reply, Updated};
use crate::cli::{AddArgs, EditArgs};
use crate::desk::Desk;
use crate::rules::Rules;
use crate::view::count;

pub(super) async fn add(global: &GlobalArgs, out: &Out, args: AddArgs) -> Result<(), Failure> {
    let urls: Vec<_> = args.urls.iter().map(|url| feed_url(url)).collect::<Result<_, _>>()?;
    let desk = Desk::open_with(global, out, &args.route.route(), args.rules.all).await?;
    let mut failures = Vec::new();
    for url in &urls {
        let (backlog, schedule) = (args.backlog, args.schedule.clone());
        let (url, rules) = (url.to_string(), args.rules.typed.clone());
        let unreachable = args.anyway;
        match desk.ask(Ask::Add { url, title: None, backlog, schedule, unreachable, rules }).await {
            Ok(Reply::Added(added)) => tell_added(out, &added)?,
            Ok(_) => return Err(misunderstood()),
            Err(failure) => failures.push(failure),
        }
    }
    if !desk.has_agent() && failures.len() < urls.len() {
        out.note("no agent runs: nothing is downloaded until `podsub run`");
    }
    desk.close().await?;
    all_or_failure(out, failures, urls.len(), "feeds could not be followed")
}

/// Says what following a feed has found.
pub(super) fn tell_added(out: &Out, added: &Added) -> Result<(), Failure> {
    out.json(&json!({
        "event": "added",
        "feed_id": added.feed.id,
        "feed": added.feed.url,
        "title": added.feed.title,
        "episodes": added.feed.episodes,
        "wanted": added.wanted,
        "torrents": added.torrents,
        "unfetchable": added.unfetchable,
        "known": added.is_known,
        "problem": added.problem,
    }))?;
    let feed = &added.feed;
    let verb = if added.is_known { "followed already" } else { "following" };
    if let Some(problem) = &added.problem {
        out.warn(format!("{} cannot be read yet: {problem}", feed.name()));
        return out.line(format!("{verb}: {} {}", feed.id, feed.name()));
    }
    let mut found = vec![count(feed.episodes, "episode")];
    found.extend((added.torrents > 0).then(|| format!("{} by torrent", added.torrents)));
    found.extend((added.unfetchable > 0).then(|| format!("{} that cannot be fetched", added.unfetchable)));
    found.extend(feed.events_url.is_some().then(|| "tells of news at once".to_owned()));
    out.line(format!("{verb}: {} {}, {}", feed.id, feed.name(), found.join(", ")))?;
    match &added.wanted[..] {
        [] => out.line("  nothing is to be fetched"),
        titles if titles.len() <= 3 => {
            titles.iter().try_for_each(|title| out.line(format!("  to be fetched: {title}")))
        }
        titles => out.line(format!("  to be fetched: {}", count(titles.len(), "episode"))),
    }
}

pub(super) async fn remove(
    global: &GlobalArgs,
    out: &Out,
    feeds: Vec<String>,
    delete_files: bool,
) -> Result<(), Failure> {
    let desk = Desk::open(global, out, &Route::default()).await?;
    let answer = desk.ask(Ask::Remove { feeds, delete_files }).await;
    desk.close().await?;
    let Reply::Removed(removed) = answer? else { return Err(misunderstood()) };
    for one in removed {
        out.json(&one)?;
        let files = count(one.files, "file");
        out.line(match (one.files, one.is_deleted) {
            (0, _) => format!("removed: {}", one.title),
            (_, true) => format!("removed: {}, {files} deleted", one.title),
            (_, false) => format!("removed: {}; {files} kept in `{}`", one.title, one.folder.display()),
        })?;
    }
    Ok(())
}

/// Changes what is wanted of feeds, and says what that is now.
pub(super) async fn edit(global: &GlobalArgs, out: &Out, args: EditArgs) -> Result<(), Failure> {
    let EditArgs { feeds, forget, schedule, rules, url, route } = args;
    let url = url.map(|url| feed_url(&url).map(String::from)).transpose()?;
    let has_moved = url.is_some();
    let desk = Desk::open_with(global, out, &route.route(), rules.all).await?;
    let answer = desk.ask(Ask::Edit { feeds, rules: rules.typed, forget, schedule, url }).await;
    // Where it is said to be now it is looked for at once.
    let polled = match &answer {
        Ok(Reply::Feeds(feeds)) if has_moved => {
            let feeds = feeds.iter().map(|feed| feed.id.to_string()).collect();
            Some(desk.ask(Ask::Update { feeds }).await)
        }
        _ => None,
    };
    desk.close().await?;
    let Reply::Feeds(feeds) = answer? else { return Err(misunderstood()) };
    if let Some(polled) = polled {
        let Reply::Updated(polled) = polled? else { return Err(misunderstood()) };
        for (one, feed) in polled.iter().zip(&feeds) {
            match &one.error {
                None => out.line(format!("{} is polled at {}; {}", feed.id, feed.url, tell_updated(one)))?,
                Some(error) => out.warn(format!(
                    "{} is polled at {} from now on, which fails: {error}; `podsub edit {} --url URL` names another address",
                    feed.id, feed.url, feed.id
                )),
            }
        }
    }
    for feed in feeds {
        out.json(&feed)?;
        let mut words = feed.rules.words();
        words.extend(feed.schedule.iter().map(|schedule| format!("polled by the schedule `{schedule}`")));
        let words = if words.is_empty() { "the rules of all feeds".to_owned() } else { words.join("; ") };
        out.line(format!("{} {}: {words}", feed.id, feed.name()))?;
    }
    Ok(())
}

pub(super) async fn update(
    global: &GlobalArgs,
    out: &Out,
    feeds: Vec<String>,
    rules: Rules,
    route: &Route,
) -> Result<(), Failure> {
    let desk = Desk::open_with(global, out, route, rules).await?;
    let answer = desk.ask(Ask::Update { feeds }).await;
    let has_agent = desk.has_agent();
    desk.close().await?;
    let Reply::Updated(updated) = answer? else { return Err(misunderstood()) };
    let mut failures = Vec::new();
    for one in &updated {
        out.json(one)?;
        match &one.error {
            None => out.line(tell_updated(one))?,
            Some(error) => failures.push(Failure::new(format!("{} cannot be polled: {error}", one.title))),
        }
    }
    if updated.is_empty() {
        out.note("no feeds are followed; `podsub add URL` follows one");
    }
    if !has_agent && updated.iter().any(|one| one.wanted > 0) {
        out.note("no agent runs: nothing is downloaded until `podsub run`");
    }
    all_or_failure(out, failures, updated.len(), "feeds could not be polled")
}

fn tell_updated(one: &Updated) -> String {
    match one {
        Updated { status: Some(304), title, .. } => format!("{title}: no change"),
        Updated { title, new, wanted, .. } => format!("{title}: {new} new, {wanted} to be fetched"),
    }
}

pub(super) async fn pause(global: &GlobalArgs, out: &Out, what: Vec<String>) -> Result<(), Failure> {
    turn(global, out, Ask::Pause { what }, "paused").await
}

pub(super) async fn resume(global: &GlobalArgs, out: &Out, what: Vec<String>) -> Result<(), Failure> {
    turn(global, out, Ask::Resume { what }, "resumed").await
}

async fn turn(global: &GlobalArgs, out: &Out, ask: Ask, verb: &str) -> Result<(), Failure> {
    let desk = Desk::open(global, out, &Route::default()).await?;
    let answer = desk.ask(ask).await;
    desk.close().await?;
    let Reply::Done(done) = answer? else { return Err(misunderstood()) };
    for what in done {
        out.json(&json!({ "event": verb, "what": what }))?;
        out.line(format!("{verb}: {what}"))?;
    }
    Ok(())
}

/// One failure is the command's; of several each is told and all are counted.
pub(super) fn all_or_failure(out: &Out, mut failures: Vec<Failure>, of: usize, what: &str) -> Result<(), Failure> {
    match failures.len() {
        0 => Ok(()),
        1 if of == 1 => Err(failures.remove(0)),
        failed => {
            for failure in &failures {
                out.warn(failure.to_string());
            }
            Err(Failure::new(format!("{failed} of {of} {what}")))
        }
    }
}
