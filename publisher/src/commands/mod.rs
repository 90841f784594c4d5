//! What each command does, with and without a running publisher.
//!
//! A command asks the publisher that holds the data directory, or opens the library itself if none does; what it prints
//! is the same.

mod check;
mod companions;
mod doctor;
mod episodes;
mod export;
mod import;
mod publish;
mod relocate;
mod serve;
mod shows;
mod stats;
mod status;
mod tokens;
mod subscribers;
mod torrent;
mod watched;

use std::path::Path;

use clap::CommandFactory as _;
use podswarm_core::app::upgrade::admit;
use podswarm_core::app::{Access, ControlClient, DataDir, DataDirLock, Failure, Out, acquire};

use crate::cli::{Cli, Command, EditArgs, ServeArgs};
use crate::control::unavailable;
use crate::host::blocking;
use crate::library::{self, Library};
use crate::urls::Urls;

/// The program's name.
pub(crate) const NAME: &str = "podpub";

/// Runs one command to its end.
pub(crate) async fn run(cli: Cli, out: Out) -> Result<(), Failure> {
    let context =
        Context { dir: DataDir::resolve(cli.global.data_dir.as_deref(), NAME)?, remote: cli.global.remote()?, out };
    match cli.command {
        Command::Check { show } => check::check(&context, show).await,
        Command::Completions(args) => podswarm_core::app::completions(Cli::command(), args, &context.out),
        Command::Config => {
            if context.out.is_json() {
                return Err(Failure::usage("`config` prints TOML; it has no JSON form"));
            }
            context.out.line(podswarm_core::app::config::sample(&Cli::command()).trim_end())
        }
        Command::Doctor => doctor::doctor(&context).await,
        Command::Edit(args) => match *args {
            EditArgs { episode: None, show, fields, .. } => shows::edit(&context, show, fields).await,
            args => episodes::edit(&context, args).await,
        },
        Command::Episodes { show } => episodes::episodes(&context, show).await,
        Command::Export(args) => export::export(&context, args).await,
        Command::Import(args) => Box::pin(import::import(&context, args)).await,
        Command::Init(args) => shows::init(&context, *args).await,
        Command::Man(args) => podswarm_core::app::man(Cli::command(), &args, &context.out),
        Command::Move(args) => relocate::relocate(&context, args).await,
        Command::Publish(args) => publish::publish(&context, *args).await,
        Command::Release(args) => episodes::release(&context, args).await,
        Command::Replace(args) => publish::replace(&context, args).await,
        Command::Serve(args) => serve::serve(&context, &args).await,
        Command::Service(command) => {
            let kept = async |data: Option<&Path>| Ok(serve::kept(&DataDir::resolve(data, NAME)?));
            podswarm_core::app::service(command, &serve::SERVICE, &cli.global, &context.out, kept).await
        }
        Command::Shows => shows::shows(&context).await,
        Command::Stats(args) => stats::stats(&context, args).await,
        Command::Status => status::status(&context).await,
        Command::Token(command) => tokens::run(&context, command).await,
        Command::Subscriber(command) => subscribers::run(&context, command).await,
        Command::Torrent(command) => torrent::run(&context.out, command).await,
        Command::Unpublish(args) => episodes::unpublish(&context, args).await,
    }
}

/// What every command needs.
#[derive(Clone)]
struct Context {
    dir: DataDir,
    /// The publisher elsewhere that `--server` names.
    remote: Option<ControlClient>,
    out: Out,
}

/// How a command reaches the library.
enum Reach {
    /// Through the publisher that runs on it.
    Daemon(ControlClient),
    /// Itself. The lock is held as long as the library is used.
    Own(Library, DataDirLock),
}

impl Context {
    /// Finds the running publisher, or opens the library.
    async fn reach(&self) -> Result<Reach, Failure> {
        if let Some(client) = &self.remote {
            return Ok(Reach::Daemon(client.clone()));
        }
        match acquire(&self.dir).await? {
            Access::Daemon(client) => Ok(Reach::Daemon(client)),
            Access::Owner(lock) => Ok(Reach::Own(self.open().await?, lock)),
        }
    }

    /// Opens the library; the data directory's lock is held.
    async fn open(&self) -> Result<Library, Failure> {
        let dir = self.dir.clone();
        if let Some(upgrade) = blocking(move || admit(&dir, &library::shape(&dir))).await? {
            self.out.note(upgrade.notice());
        }
        let root = self.dir.path().to_owned();
        let (library, report) = blocking(move || Library::open(&root)).await.map_err(unavailable)?;
        if let Some(notice) = report.for_the_owner(self.dir.path()) {
            self.out.warn(notice);
        }
        Ok(library)
    }
}

/// The public URL that the owner gives, which the library remembers, or gave before.
fn public_url(library: &Library, args: &ServeArgs) -> Result<Option<Urls>, Failure> {
    let given = args.public_url.as_deref().map(Urls::parse).transpose().map_err(|error| {
        Failure::usage(error.to_string()).with_hint("give it like --public-url https://pods.example")
    })?;
    if let Some(urls) = given {
        library.set_public_url(urls.base().as_str()).map_err(unavailable)?;
        return Ok(Some(urls));
    }
    let stored = library.public_url().map_err(unavailable)?;
    Ok(stored.and_then(|url| Urls::parse(&url).ok()))
}

/// The addresses that would be told if the library was served with the flags' defaults.
fn likely_urls(library: &Library) -> Result<Urls, Failure> {
    let stored = library.public_url().map_err(unavailable)?.and_then(|url| Urls::parse(&url).ok());
    let likely = crate::bind::Listen::default().likely_addr();
    Ok(stored.unwrap_or_else(|| Urls::guess(likely)).with_udp_tracker(Some(likely.port())))
}
