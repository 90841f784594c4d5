//! `download`: episodes that the agent would not take by itself.

use podswarm_core::app::{
    Access, DataDir, DataDirLock, Failure, GlobalArgs, Out, first_run_notice, shutdown_signal, system_zone,
};

use super::library::all_or_failure;
use super::misunderstood;
use super::run::{NOTICE, not_had, wait_for};
use super::show::{Show, until};
use crate::agent::{Duty, Settings};
use crate::ask::{Ask, EpisodeView, Reply, StageName};
use crate::cli::DownloadArgs;
use crate::desk::{Contact, Following, default_library, find, settings};
use crate::hub::HubOptions;
use crate::session::{Session, engine_config};

pub(super) async fn download(global: &GlobalArgs, out: &Out, args: DownloadArgs) -> Result<(), Failure> {
    match find(global).await? {
        (dir, Access::Owner(lock)) => here(out, &dir, lock, args).await,
        (_, Access::Daemon(client)) => {
            let contact = Contact::There(client);
            let following = contact.follow().await?;
            let asked = ask(&contact, args.episodes).await?;
            tell_complete(out, &asked)?;
            let ids = asked.iter().filter(|view| view.stage == StageName::Wanted).map(|view| view.id).collect();
            let failed = wait_for(out, &contact, following, ids).await?.unwrap_or_default();
            finish(out, failed, asked.len())
        }
    }
}

/// Downloads in this process.
async fn here(out: &Out, dir: &DataDir, lock: DataDirLock, args: DownloadArgs) -> Result<(), Failure> {
    let is_plain = args.sources.is_http_only();
    let settings =
        Settings { rules: args.sources.rules(), ..settings(Duty::Fetch, default_library(dir)?, system_zone()) };
    let engine = (!is_plain).then(|| engine_config(&args.engine, dir));
    let route = args.engine.route.route();
    let library = args.library.library.as_deref().map(std::path::absolute).transpose()?;
    let (session, events) = Session::start(
        |lock, web| HubOptions { lock, settings, library, engine, greeting: None, route, web, out: out.clone() },
        lock,
        None,
    )
    .await?;
    let contact = Contact::Here(session.handle());
    let asked = match ask(&contact, args.episodes).await {
        Ok(asked) => asked,
        Err(failure) => {
            session.stop().await?;
            return Err(failure);
        }
    };
    if session.is_to_be_told() {
        first_run_notice(dir, out, NOTICE)?;
    }
    tell_complete(out, &asked)?;
    let handle = session.handle();
    let end = async {
        tokio::select! {
            left = handle.settled() => left.map(Some),
            () = shutdown_signal() => Ok(None),
        }
    };
    let mut following = Following::Here(events);
    let ended = until(&mut Show::new(out), &contact, &mut following, |_| None, end).await;
    session.stop().await?;
    let Some(left) = ended?.ok_or_else(|| Failure::new("the agent ended by itself"))?? else {
        let stopped = Failure::new("stopped before everything was there");
        return Err(stopped.with_hint("the same command goes on where it was"));
    };
    let left = left.iter().filter(|view| asked.iter().any(|one| one.id == view.id));
    finish(out, left.map(not_had).collect(), asked.len())
}

async fn ask(contact: &Contact, episodes: Vec<String>) -> Result<Vec<EpisodeView>, Failure> {
    match contact.ask(Ask::Download { episodes }).await? {
        Reply::Episodes(asked) => Ok(asked),
        _ => Err(misunderstood()),
    }
}

/// Names those that were there before they were asked for.
fn tell_complete(out: &Out, asked: &[EpisodeView]) -> Result<(), Failure> {
    for view in asked.iter().filter(|view| view.stage == StageName::Complete) {
        out.json(view)?;
        let path = view.path.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
        out.line(format!("there already: {}, `{path}`", view.title))?;
    }
    Ok(())
}

fn finish(out: &Out, failed: Vec<String>, of: usize) -> Result<(), Failure> {
    all_or_failure(out, failed.into_iter().map(Failure::new).collect(), of, "episodes could not be had")
}
