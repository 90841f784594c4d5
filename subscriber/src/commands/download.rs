//! `download`: episodes that the agent would not take by itself.

use podswarm_core::app::{Access, DataDir, DataDirLock, Failure, GlobalArgs, Out, first_run_notice, shutdown_signal};

use super::library::all_or_failure;
use super::misunderstood;
use super::run::{NOTICE, wait_for};
use super::show::{Show, until};
use crate::agent::{Duty, Settings, Sources};
use crate::ask::{Ask, EpisodeView, Reply, StageName};
use crate::cli::DownloadArgs;
use crate::desk::{Contact, Following, default_library, find, settings, system_zone};
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
    let is_plain = args.sources.http_only;
    let settings = Settings {
        sources: if is_plain { Sources::HttpOnly } else { Sources::All },
        ..settings(Duty::Fetch, default_library(dir)?, system_zone())
    };
    let engine = (!is_plain).then(|| engine_config(&args.engine));
    if engine.is_some() {
        first_run_notice(dir, out, NOTICE)?;
    }
    let library = args.library.library.as_deref().map(std::path::absolute).transpose()?;
    let (session, events) = Session::start(|lock| HubOptions { lock, settings, library, engine }, lock).await?;
    let contact = Contact::Here(session.handle());
    let mut following = Following::Here(events);
    let work = async {
        let asked = ask(&contact, args.episodes).await?;
        tell_complete(out, &asked)?;
        let left = session.handle().settled().await?;
        let is_asked = |view: &&EpisodeView| asked.iter().any(|one| one.id == view.id);
        let reason = |view: &EpisodeView| {
            let trouble = view.trouble.as_deref().unwrap_or("it was not reached");
            format!("{} `{}` could not be had: {trouble}", view.id, view.title)
        };
        Ok((left.iter().filter(is_asked).map(reason).collect(), asked.len()))
    };
    let end = async {
        tokio::select! {
            done = work => done.map(Some),
            () = shutdown_signal() => Ok(None),
        }
    };
    let ended = until(&mut Show::new(out), &contact, &mut following, |_| None, end).await;
    session.stop().await?;
    match ended? {
        Some(Ok(Some((failed, of)))) => finish(out, failed, of),
        Some(Ok(None)) => {
            Err(Failure::new("stopped before everything was there").with_hint("the same command goes on where it was"))
        }
        Some(Err(failure)) => Err(failure),
        None => Err(Failure::new("the agent ended by itself")),
    }
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
