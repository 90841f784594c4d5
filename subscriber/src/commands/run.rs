//! `run`: the agent itself, or a look at the one that runs already.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use podswarm_core::app::{
    Access, ControlClient, DataDir, DataDirLock, Failure, GlobalArgs, Out, first_run_notice, in_one_heap,
    shutdown_signal, system_zone, tell_ready, tell_stopping,
};

use super::library::tell_added;
use super::misunderstood;
use super::show::{Show, until};
use crate::address::feed_url;
use crate::agent::event::Event;
use crate::agent::share::Enough;
use crate::agent::{Duty, Limits, Seeding, Settings};
use crate::ask::{Ask, EpisodeView, PhoneWish, Reply, SyncWish};
use crate::cli::RunArgs;
use crate::consent::{self, DecidedBy};
use crate::desk::{Contact, Following, default_library, find};
use crate::hub::{Greeting, HubOptions};
use crate::metrics::MetricsPort;
use crate::records::{EpisodeId, FeedId};
use crate::rules::Rules;
use crate::session::{Session, engine_config};
use crate::view::count;
use crate::web::{WebAddr, WebPort};

/// What everybody should know before taking part in a swarm.
pub(super) const NOTICE: &str = "note: others in a swarm see this machine's address, what it fetches and what it seeds. \
    --no-seed stops seeding when an episode is complete, --http-only takes part in no swarm.";

/// How watching an agent ended.
enum End {
    /// The agent ended.
    AgentGone,
    /// What was asked for is done; so many things could not be had.
    Done(Vec<String>),
    /// The owner wants it to end.
    Stopped,
}

pub(super) async fn run(global: &GlobalArgs, out: &Out, args: RunArgs) -> Result<(), Failure> {
    in_one_heap();
    let urls: Vec<String> =
        args.urls.iter().map(|url| feed_url(url).map(String::from)).collect::<Result<_, Failure>>()?;
    loop {
        let end = match find(global).await? {
            (dir, Access::Owner(lock)) => own(out, &dir, lock, &args, &urls).await?,
            (_, Access::Daemon(client)) => look(out, client, args.once, &urls).await?,
        };
        match end {
            End::Done(failed) => return all_done(&failed),
            End::Stopped => return Ok(()),
            End::AgentGone => out.note("the agent that was running has ended; this one takes its place"),
        }
    }
}

fn all_done(failed: &[String]) -> Result<(), Failure> {
    match failed {
        [] => Ok(()),
        [one] => Err(Failure::new(one).with_hint("it is tried again by the next run")),
        [one, ..] => Err(Failure::new(format!("{} failed, first of them: {one}", count(failed.len(), "thing")))
            .with_hint("they are tried again by the next run")),
    }
}

/// Is the agent.
async fn own(out: &Out, dir: &DataDir, lock: DataDirLock, args: &RunArgs, urls: &[String]) -> Result<End, Failure> {
    let settings = Settings {
        duty: if args.once { Duty::Once } else { Duty::Everything },
        library: default_library(dir)?,
        downloads: args.downloads.into(),
        downloads_per_host: args.downloads_per_host.into(),
        interval: args.interval,
        zone: args.timezone.unwrap_or_else(system_zone),
        seeding: if args.no_seed { Seeding::Off } else { Seeding::On },
        seed_at: args.seed_at.clone(),
        on_metered: args.on_metered,
        enough: Enough { ratio: args.seed_ratio, time: args.seed_time },
        connects_back: !args.no_connect_back,
        asks_hubs: !args.no_hubs,
        rules: args.rules.all.clone(),
        decided_by: if args.no_seed { DecidedBy::Setting } else { DecidedBy::Nobody },
        limits: Limits { quota: args.quota.map(|size| size.0), leave_free: args.leave_free.map(|size| size.0) },
    };
    let engine = (!settings.is_http_only()).then(|| engine_config(&args.engine, dir));
    let library = args.library.library.as_deref().map(std::path::absolute).transpose()?;
    let route = args.engine.route.route();
    let (greeting, to) = (Some(greeting(dir, out)), out.clone());
    let options = |lock, web| HubOptions { lock, settings, library, engine, greeting, route, web, out: to };
    let serves_players = !args.no_web && !args.once;
    let web =
        if serves_players { Some(WebPort::bind(args.web.unwrap_or(WebAddr::DEFAULT), dir, out).await?) } else { None };
    let metrics = match args.metrics {
        Some(addr) => Some(MetricsPort::bind(addr).await?),
        None => None,
    };
    let (mut session, events) = Session::start(options, lock, web).await?;
    if let Some(port) = metrics {
        session.serve_figures(port);
    }
    if serves_players {
        out.note("`podsub web` opens the view of it in a browser, `podsub top` in a terminal");
    }
    let contact = Contact::Here(session.handle());
    if !args.once {
        let wish = match args.phone {
            Some(addr) => PhoneWish::On { addr: Some(addr.to_string()), renew: false, sync: SyncWish::Leave },
            None => PhoneWish::Again,
        };
        if let Err(failure) = contact.ask(Ask::Phone { wish }).await {
            if args.phone.is_some() {
                session.stop().await?;
                return Err(failure);
            }
            out.warn(format!("no phone can ask: {failure}"));
        }
    }
    let mut following = Following::Here(events);
    let mut show = Show::new(out);
    let mut tally = Tally::default();
    tell_ready("follows its feeds");
    let work = async {
        add_all(out, &contact, urls).await?;
        if !args.once {
            std::future::pending::<()>().await;
        }
        let left = session.handle().settled().await?;
        Ok(left.iter().map(not_had).collect())
    };
    let signal = shutdown_signal();
    let end = async {
        tokio::select! {
            done = work => done.map(End::Done),
            () = signal => Ok(End::Stopped),
        }
    };
    let count_in = |event: &Event| {
        tally.count_in(event);
        None
    };
    let ended = until(&mut show, &contact, &mut following, count_in, end).await;
    let end = match ended {
        Ok(Some(Ok(end))) => Ok(end),
        Ok(Some(Err(failure))) | Err(failure) => Err(failure),
        // The hub's events have ended: it says why.
        Ok(None) => return Err(session.failed().await),
    };
    tell_stopping();
    if matches!(end, Ok(End::Stopped)) {
        out.note("stopping");
    }
    session.stop().await?;
    match end? {
        End::Done(failed) => {
            out.note(tally.line());
            Ok(End::Done(tally.failed.into_values().chain(failed).collect()))
        }
        end => Ok(end),
    }
}

/// What is said before swarms are taken part in: who is at a terminal is asked, once, and everybody else is told.
fn greeting(dir: &DataDir, out: &Out) -> Greeting {
    let (dir, out) = (dir.clone(), out.clone());
    Box::new(move |decided_by| {
        let answer = match decided_by {
            DecidedBy::Nobody if consent::can_ask(&out) => consent::ask(&out)?,
            _ => None,
        };
        if answer.is_none() {
            first_run_notice(&dir, &out, NOTICE)?;
        }
        Ok(answer)
    })
}

/// Asks the owner of an agent that runs, if he is at a terminal and was not asked.
async fn ask_owner(out: &Out, contact: &Contact) -> Result<(), Failure> {
    if !consent::can_ask(out) {
        return Ok(());
    }
    let Reply::Status(status) = contact.ask(Ask::Status).await? else { return Err(misunderstood()) };
    if status.swarms.is_none_or(|swarms| swarms.decided_by != DecidedBy::Nobody) {
        return Ok(());
    }
    let asking = out.clone();
    let answer = tokio::task::spawn_blocking(move || consent::ask(&asking)).await??;
    if let Some(takes_part) = answer {
        contact.ask(Ask::Consent { takes_part }).await?;
    }
    Ok(())
}

/// What one run has come to.
#[derive(Default)]
struct Tally {
    polled: BTreeSet<FeedId>,
    complete: usize,
    /// Why feeds could not be polled.
    failed: BTreeMap<FeedId, String>,
}

impl Tally {
    fn count_in(&mut self, event: &Event) {
        match event {
            Event::Complete { .. } => self.complete += 1,
            Event::Polled { feed_id, .. } => {
                self.polled.insert(*feed_id);
                self.failed.remove(feed_id);
            }
            Event::PollFailed { feed_id, feed, reason } => {
                self.failed.insert(*feed_id, format!("{feed} cannot be polled: {reason}"));
            }
            _ => {}
        }
    }

    fn line(&self) -> String {
        match self.complete {
            0 => format!("{} polled, nothing new", count(self.polled.len(), "feed")),
            new => format!("{} polled, {} fetched", count(self.polled.len(), "feed"), count(new, "episode")),
        }
    }
}

/// Follows feeds; what cannot be reached now is followed all the same.
async fn add_all(out: &Out, contact: &Contact, urls: &[String]) -> Result<(), Failure> {
    let add = |url: &String| {
        let url = url.clone();
        contact.ask(Ask::Add {
            url,
            title: None,
            backlog: None,
            schedule: None,
            unreachable: true,
            rules: Rules::default(),
        })
    };
    for answer in join_all(urls.iter().map(add)).await {
        let Reply::Added(added) = answer? else { return Err(misunderstood()) };
        tell_added(out, &added)?;
    }
    Ok(())
}

/// Says of an episode that it is not there, and why.
pub(super) fn not_had(episode: &EpisodeView) -> String {
    let reason = episode.trouble.as_deref().unwrap_or("it was not reached");
    format!("{} `{}` could not be had: {reason}", episode.id, episode.title)
}

/// Looks at the agent that runs, which does the work.
async fn look(out: &Out, client: ControlClient, once: bool, urls: &[String]) -> Result<End, Failure> {
    let pid = client.ping().await?.pid;
    out.note(format!("an agent runs already, as process {pid}; this is what it does, and Ctrl-C does not end it"));
    let contact = Contact::There(client);
    ask_owner(out, &contact).await?;
    let mut following = contact.follow().await?;
    add_all(out, &contact, urls).await?;
    if once {
        return update_once(out, &contact, following).await;
    }
    let stopped = async {
        shutdown_signal().await;
        End::Stopped
    };
    let ended = until(&mut Show::new(out), &contact, &mut following, |_| None, stopped).await;
    // An agent that ends breaks off what it was telling.
    Ok(ended.ok().flatten().unwrap_or(End::AgentGone))
}

/// Lets the agent poll every feed and waits for what is wanted.
async fn update_once(out: &Out, contact: &Contact, following: Following) -> Result<End, Failure> {
    let Reply::Updated(updated) = contact.ask(Ask::Update { feeds: Vec::new() }).await? else {
        return Err(misunderstood());
    };
    let polls = updated.into_iter().filter_map(|one| Some(format!("{} cannot be polled: {}", one.title, one.error?)));
    let mut failed: Vec<String> = polls.collect();
    let Reply::Status(status) = contact.ask(Ask::Status).await? else { return Err(misunderstood()) };
    let (waiting, active): (Vec<_>, Vec<_>) = status.downloads.into_iter().partition(|view| view.trouble.is_some());
    failed.extend(waiting.iter().map(not_had));
    let ids = active.into_iter().filter(|view| !view.is_paused).map(|view| view.id).collect();
    match wait_for(out, contact, following, ids).await? {
        Some(more) => {
            failed.extend(more);
            Ok(End::Done(failed))
        }
        None => Ok(End::Stopped),
    }
}

/// Waits until the running agent has these episodes, or has said why it has not; `None` if the owner does not wait.
pub(super) async fn wait_for(
    out: &Out,
    contact: &Contact,
    mut following: Following,
    mut ids: BTreeSet<EpisodeId>,
) -> Result<Option<Vec<String>>, Failure> {
    let mut failed = Vec::new();
    if ids.is_empty() {
        return Ok(Some(failed));
    }
    let on = |event: &Event| {
        match event {
            Event::Waiting { episode, reason } if ids.remove(&episode.id) => {
                failed.push(format!("{} `{}` could not be had: {reason}", episode.id, episode.title));
            }
            Event::Complete { episode, .. } | Event::Skipped { episode, .. } => {
                ids.remove(&episode.id);
            }
            _ => {}
        }
        ids.is_empty().then_some(true)
    };
    let stopped = async {
        shutdown_signal().await;
        false
    };
    match until(&mut Show::new(out), contact, &mut following, on, stopped).await? {
        Some(true) => Ok(Some(failed)),
        Some(false) => {
            out.note("the agent goes on with it");
            Ok(None)
        }
        None => Err(Failure::new("the agent has ended")),
    }
}
