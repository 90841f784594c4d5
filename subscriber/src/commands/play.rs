//! `play`: an episode is heard while it is fetched.
//!
//! With an agent that runs, that fetches it now, before what the player reads next, and goes on when the player has
//! ended. Else this command is the agent, for as long as the player runs. A `.torrent`, a magnet link or a URL is
//! fetched as `get` does.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use podswarm_core::app::{
    Access, DataDir, DataDirLock, Failure, GlobalArgs, Out, first_run_notice, shutdown_signal, system_zone,
};
use serde_json::json;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use super::get::{Playable, get_to_play, is_source};
use super::misunderstood;
use super::player::{self, Listening};
use super::run::NOTICE;
use crate::agent::share::{SeedRatio, SeedTime};
use crate::agent::{Duty, Settings};
use crate::ask::{Ask, Playing, Reply};
use crate::cli::{GetArgs, PlayArgs};
use crate::desk::{Contact, PROGRAM, default_library, find, settings};
use crate::hub::HubOptions;
use crate::session::{Session, engine_config};
use crate::web::{Piece, Shelf, WebAddr, WebPort};

/// Players that are looked for, with what makes them end when the episode does.
const PLAYERS: [(&str, &[&str]); 3] = [("mpv", &[]), ("vlc", &["--play-and-exit"]), ("ffplay", &["-autoexit"])];

pub(super) async fn play(global: &GlobalArgs, out: &Out, args: PlayArgs) -> Result<(), Failure> {
    if is_source(&args.what) {
        let dir = DataDir::resolve(global.data_dir.as_deref(), PROGRAM)?;
        return source(dir, out, args).await;
    }
    match find(global).await? {
        (_, Access::Daemon(client)) => {
            let contact = Contact::There(client);
            let playing = ask(&contact, &args.what).await?;
            tell(out, &playing)?;
            // The agent serves it: there is nothing to stay for.
            hand_over(out, &args, &playing.url, Stay::No, Some(listening(contact, &playing))).await
        }
        (dir, Access::Owner(lock)) => here(out, &dir, lock, args).await,
    }
}

/// Plays an episode that this process fetches.
async fn here(out: &Out, dir: &DataDir, lock: DataDirLock, args: PlayArgs) -> Result<(), Failure> {
    let is_plain = args.sources.is_http_only();
    let settings =
        Settings { rules: args.sources.rules(), ..settings(Duty::Fetch, default_library(dir)?, system_zone()) };
    let engine = (!is_plain).then(|| engine_config(&args.engine, dir));
    let library = args.library.library.as_deref().map(std::path::absolute).transpose()?;
    let port = WebPort::bind(WebAddr::ANY, dir, out).await?;
    let route = args.engine.route.route();
    let options =
        |lock, web| HubOptions { lock, settings, library, engine, greeting: None, route, web, out: out.clone() };
    let (session, _events) = Session::start(options, lock, Some(port)).await?;
    let played = async {
        let contact = Contact::Here(session.handle());
        let playing = ask(&contact, &args.what).await?;
        if session.is_to_be_told() {
            first_run_notice(dir, out, NOTICE)?;
        }
        tell(out, &playing)?;
        hand_over(out, &args, &playing.url, Stay::Yes, Some(listening(contact, &playing))).await
    };
    let played = tokio::select! {
        played = played => played,
        () = shutdown_signal() => Ok(()),
    };
    session.stop().await?;
    played
}

/// Plays something that is fetched as `get` does.
async fn source(dir: DataDir, out: &Out, args: PlayArgs) -> Result<(), Failure> {
    let get = GetArgs {
        sources: vec![args.what.clone()],
        output: args.output.clone(),
        files: Vec::new(),
        list: false,
        sequential: false,
        // It stays as long as the player does.
        seed: true,
        seed_ratio: SeedRatio(None),
        seed_time: SeedTime(None),
        engine: args.engine.clone(),
    };
    let web_dir = dir.clone();
    get_to_play(dir, out, get, args.sources.is_http_only(), async |mut playable| {
        let found = playable.wait_for(|playable| !matches!(playable, Playable::Nothing)).await;
        let found = found.map_err(|_| Failure::new("nothing that can be played was found"))?.clone();
        let torrent = match found {
            Playable::Torrent(torrent) => torrent,
            Playable::Plain(url) => return hand_over(out, &args, url.as_str(), Stay::No, None).await,
            Playable::Nothing => unreachable!("it was waited for"),
        };
        let info = &torrent.metainfo().info;
        if !info.is_single_file {
            return Err(Failure::new(format!("`{}` is a folder, of which no single file is played", info.name)));
        }
        let port = WebPort::bind(WebAddr::ANY, &web_dir, out).await?;
        let url = port.site().media_url(&torrent.info_hash().to_string(), info.name.as_str());
        let range = 0..info.content_length();
        let stop = CancellationToken::new();
        let _guard = stop.clone().drop_guard();
        tokio::spawn(port.serve(Shelf::One(Box::new(Piece { torrent, range })), stop));
        out.json(&json!({ "event": "playing", "title": args.what, "url": url }))?;
        hand_over(out, &args, &url, Stay::Yes, None).await
    })
    .await
}

async fn ask(contact: &Contact, episode: &str) -> Result<Playing, Failure> {
    match contact.ask(Ask::Play { episode: episode.to_owned() }).await? {
        Reply::Playing(playing) => Ok(*playing),
        _ => Err(misunderstood()),
    }
}

fn tell(out: &Out, playing: &Playing) -> Result<(), Failure> {
    let Playing { episode, url } = playing;
    out.json(&json!({ "event": "playing", "episode": episode.id, "title": episode.title, "url": url }))?;
    out.note(format!("{}: {}", episode.show, episode.title));
    Ok(())
}

fn listening(contact: Contact, playing: &Playing) -> Listening {
    Listening { contact, episode: playing.episode.id, heard: playing.episode.heard.clone() }
}

/// Whether what serves the address lives as long as this command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stay {
    Yes,
    No,
}

/// Has a player play what is at `url`, from where listening stopped, or prints that where there is none.
async fn hand_over(
    out: &Out,
    args: &PlayArgs,
    url: &str,
    stay: Stay,
    listening: Option<Listening>,
) -> Result<(), Failure> {
    let Some((program, own)) = chosen_player(args.player.clone()).filter(|_| !args.url) else {
        out.line(url)?;
        if stay == Stay::Yes {
            out.note("it is served until Ctrl-C");
            std::future::pending::<()>().await;
        }
        return Ok(());
    };
    let mut command = Command::new(&program);
    let begin = listening.as_ref().map(|listening| listening.begin(&program)).unwrap_or_default();
    // What players print is no data of ours.
    command
        .args(own)
        .args(begin)
        .args(&args.arguments)
        .arg(url)
        .stdout(Stdio::from(std::io::stderr()))
        .kill_on_drop(true);
    let name = program.display();
    let status = player::run(command, &program, listening).await.map_err(|error| {
        Failure::new(format!("start the player `{name}`"))
            .with_hint("--player PROGRAM names another, --url prints the address for one")
            .because(error)
    })?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("the player `{name}` failed: {status}"))) }
}

/// The program to play with, and what makes it end when the episode does: the one that was `chosen`, else one that is
/// installed.
pub(super) fn chosen_player(chosen: Option<PathBuf>) -> Option<(PathBuf, Vec<OsString>)> {
    chosen.map(|program| (program, Vec::new())).or_else(found)
}

/// The first of the usual players that is installed, and its arguments.
fn found() -> Option<(PathBuf, Vec<OsString>)> {
    let folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    PLAYERS.iter().find_map(|(name, arguments)| {
        let is_there = |folder: &PathBuf| is_program(&folder.join(name));
        folders.iter().any(is_there).then(|| (PathBuf::from(name), arguments.iter().map(OsString::from).collect()))
    })
}

fn is_program(path: &Path) -> bool {
    path.is_file() || path.with_extension("exe").is_file()
}
