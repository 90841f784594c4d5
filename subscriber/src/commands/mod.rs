//! The commands: each asks the agent, or is one, and puts the answer into words.

mod doctor;
mod download;
mod files;
mod get;
mod library;
mod list;
mod opml;
mod phone;
mod play;
mod player;
mod run;
mod service;
mod show;
mod top;
mod web;

use clap::CommandFactory;
use podswarm_core::app::{Failure, Out, completions, config, man};

use crate::cli::{Cli, Command};

/// Does what the command line says.
pub async fn run(cli: Cli, out: Out) -> Result<(), Failure> {
    let global = cli.global;
    match cli.command {
        Command::Add(args) => library::add(&global, &out, args).await,
        Command::Completions(args) => completions(Cli::command(), args, &out),
        Command::Config => out.line(config::sample(&Cli::command()).trim_end()),
        Command::Doctor { route } => doctor::doctor(&global, &out, &route.route()).await,
        Command::Download(args) => download::download(&global, &out, args).await,
        Command::Edit(args) => library::edit(&global, &out, args).await,
        Command::Episodes { feed, all, why } => list::episodes(&global, &out, feed, all, why).await,
        Command::Export { file } => opml::export(&global, &out, &file).await,
        Command::Feeds => list::feeds(&global, &out).await,
        Command::Get(args) => get::get(&global, &out, args).await,
        Command::Import(args) => opml::import(&global, &out, args).await,
        Command::Info { what } => list::info(&global, &out, what).await,
        Command::Man(args) => man(Cli::command(), &args, &out),
        Command::Pause { what } => library::pause(&global, &out, what).await,
        Command::Phone(args) => phone::phone(&global, &out, args).await,
        Command::Play(args) => play::play(&global, &out, args).await,
        Command::Remove { feeds, delete_files } => library::remove(&global, &out, feeds, delete_files).await,
        Command::Resume { what } => library::resume(&global, &out, what).await,
        Command::Run(args) => run::run(&global, &out, *args).await,
        Command::Service(command) => service::run(command, &global, &out).await,
        Command::Status => list::status(&global, &out).await,
        Command::Top(args) => top::top(&global, &out, args).await,
        Command::Web { url } => web::web(&global, &out, url).await,
        Command::Update { feeds, rules, route } => {
            library::update(&global, &out, feeds, rules.all, &route.route()).await
        }
    }
}

/// The failure of an agent that answers another question than was asked: it is of another version.
fn misunderstood() -> Failure {
    Failure::new("the agent gives an answer of another kind")
        .with_hint("stop it and start the same version as this one")
}
