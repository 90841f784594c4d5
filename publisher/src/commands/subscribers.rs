//! `subscriber`: who is let in to a private show.

use chrono::Utc;
use podswarm_core::app::{Failure, api_path, new_token};

use super::{Context, Reach, likely_urls};
use crate::cli::SubscriberCommand;
use crate::control::unavailable;
use crate::wire::{MadeSubscriber, NewSubscriber, SubscriberInfo};

pub(super) async fn run(context: &Context, command: SubscriberCommand) -> Result<(), Failure> {
    match command {
        SubscriberCommand::Add { name, show } => add(context, NewSubscriber { show, name }).await,
        SubscriberCommand::List { show } => list(context, show.as_deref()).await,
        SubscriberCommand::Revoke { name, show } => revoke(context, show.as_deref(), &name).await,
    }
}

async fn add(context: &Context, new: NewSubscriber) -> Result<(), Failure> {
    let made: MadeSubscriber = match context.reach().await? {
        Reach::Daemon(client) => client.post("subscribers", &new).await?,
        Reach::Own(library, _lock) => {
            let (urls, token) = (likely_urls(&library)?, new_token()?);
            let added = library.add_subscriber(new.show.as_deref(), &new.name, &token, Utc::now());
            MadeSubscriber::new(added.map_err(unavailable)?, &token, &urls)
        }
    };
    context.out.line(format!("{} is let in to `{}`", made.info.name, made.info.show))?;
    context.out.line(format!("feed  {}\npage  {}", made.feed, made.page))?;
    context.out.note("pass it on to nobody else: it is not shown again");
    if made.feed.scheme() == "http" {
        context.out.warn("it is an address of plain http, which everybody on the way can read and use; see --tls-cert");
    }
    context.out.json(&made)
}

async fn list(context: &Context, show: Option<&str>) -> Result<(), Failure> {
    let subscribers: Vec<SubscriberInfo> = match context.reach().await? {
        Reach::Daemon(client) => client.get(&api_path(&["subscribers"], &query(show))).await?,
        Reach::Own(library, _lock) => {
            let found = library.private_show(show).and_then(|show| library.subscribers(&show));
            found.map_err(unavailable)?.into_iter().map(SubscriberInfo::from).collect()
        }
    };
    if subscribers.is_empty() {
        context.out.note("nobody is let in; let somebody in with `podpub subscriber add NAME`");
    }
    for subscriber in &subscribers {
        context.out.line(format!("{}  since {}", subscriber.name, subscriber.created.format("%Y-%m-%d")))?;
        context.out.json(subscriber)?;
    }
    Ok(())
}

async fn revoke(context: &Context, show: Option<&str>, name: &str) -> Result<(), Failure> {
    let revoked: SubscriberInfo = match context.reach().await? {
        Reach::Daemon(client) => client.delete(&api_path(&["subscribers", name], &query(show))).await?,
        Reach::Own(library, _lock) => library.revoke_subscriber(show, name).map_err(unavailable)?.into(),
    };
    context.out.line(format!("{} is let in to `{}` no more", revoked.name, revoked.show))?;
    context.out.json(&revoked)
}

/// The show that was named, if one was.
fn query(show: Option<&str>) -> Vec<(&str, &str)> {
    show.map(|show| ("show", show)).into_iter().collect()
}
