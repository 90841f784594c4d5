//! `token`: who else may drive the publisher.

use chrono::Utc;
use podswarm_core::app::{Failure, api_path, new_token};

use super::{Context, Reach, likely_urls};
use crate::cli::TokenCommand;
use crate::control::unavailable;
use crate::wire::{MadeToken, NewToken, TokenInfo};

pub(super) async fn run(context: &Context, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Add { name, role } => add(context, NewToken { name, role }).await,
        TokenCommand::List => list(context).await,
        TokenCommand::Revoke { name } => revoke(context, &name).await,
    }
}

async fn add(context: &Context, new: NewToken) -> Result<(), Failure> {
    let made: MadeToken = match context.reach().await? {
        Reach::Daemon(client) => client.post("tokens", &new).await?,
        Reach::Own(library, _lock) => {
            let (urls, text) = (likely_urls(&library)?, new_token()?);
            let record = library.add_token(&new.name, new.role, &text, Utc::now()).map_err(unavailable)?;
            MadeToken::new(record, text, &urls)
        }
    };
    context.out.line(format!("{}, {}", made.info.name, made.info.role))?;
    context.out.line(format!("token      {}\ndashboard  {}", made.token, made.dashboard))?;
    context.out.note("keep it: it is not shown again");
    context.out.json(&made)
}

async fn list(context: &Context) -> Result<(), Failure> {
    let tokens: Vec<TokenInfo> = match context.reach().await? {
        Reach::Daemon(client) => client.get("tokens").await?,
        Reach::Own(library, _lock) => library.tokens().map_err(unavailable)?.into_iter().map(TokenInfo::from).collect(),
    };
    if tokens.is_empty() {
        context.out.note("there is no token; make one with `podpub token add NAME`");
    }
    for token in &tokens {
        context.out.line(format!("{}  {}, made on {}", token.name, token.role, token.created.format("%Y-%m-%d")))?;
        context.out.json(token)?;
    }
    Ok(())
}

async fn revoke(context: &Context, name: &str) -> Result<(), Failure> {
    let revoked: TokenInfo = match context.reach().await? {
        Reach::Daemon(client) => client.delete(&api_path(&["tokens", name], &[])).await?,
        Reach::Own(library, _lock) => library.revoke_token(name).map_err(unavailable)?.into(),
    };
    context.out.line(format!("revoked: {}", revoked.name))?;
    context.out.json(&revoked)
}
