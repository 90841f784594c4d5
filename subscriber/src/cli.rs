//! The command line of `podsub`.

use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use clap::{Args, Parser, Subcommand};
use podswarm_core::app::{EngineArgs, GlobalArgs, RouteArgs};

use crate::agent::share::{SeedRatio, SeedTime};
use crate::records::Backlog;
use crate::web::WebAddr;
use podswarm_feeds::schedule::Schedule;

/// Follow podcasts, fetch their episodes through the swarm, keep them and seed them on.
#[derive(Debug, Parser)]
#[command(name = "podsub", version, arg_required_else_help = true)]
pub struct Cli {
    /// The flags of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl AsRef<GlobalArgs> for Cli {
    fn as_ref(&self) -> &GlobalArgs {
        &self.global
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Follow feeds: each is read once to see that it is one, then its newest episode is wanted.
    Add(AddArgs),
    /// Print a configuration file with every setting, to start from.
    Config,
    /// Fetch episodes that the agent would not take by itself, such as older ones.
    Download(DownloadArgs),
    /// List episodes, the newest last.
    Episodes {
        /// Only of this feed: its number, URL, title or a part of the title.
        feed: Option<String>,
        /// All of them, not only what was taken and the ten newest others of each feed.
        #[arg(long)]
        all: bool,
    },
    /// List the feeds that are followed.
    Feeds,
    /// Fetch single things now: `.torrent` files, http(s) URLs of `.torrent` files or of media.
    Get(GetArgs),
    /// Tell all that is known of a feed or an episode.
    Info {
        /// A feed (number, URL, title or a part of it) or an episode (`FEED/NUMBER`, guid, info-hash or title).
        what: String,
    },
    /// Let feeds or episodes rest: no polling, no fetching, no seeding.
    Pause {
        /// Feeds, episodes, or `all`.
        #[arg(required = true, value_name = "FEED|EPISODE|all")]
        what: Vec<String>,
    },
    /// Play an episode while it is fetched: an episode of a feed, a `.torrent` file, a magnet link, or a URL.
    Play(PlayArgs),
    /// Follow feeds no longer. Their files are kept.
    Remove {
        /// Number, URL, title or a part of the title.
        #[arg(required = true, value_name = "FEED")]
        feeds: Vec<String>,
        /// Delete their episodes from the library, too.
        #[arg(long)]
        delete_files: bool,
    },
    /// Let what was paused go on.
    Resume {
        /// Feeds, episodes, or `all`.
        #[arg(required = true, value_name = "FEED|EPISODE|all")]
        what: Vec<String>,
    },
    /// Run the agent: poll, be told of releases, fetch, seed.
    Run(RunArgs),
    /// Tell how feeds, downloads and seeding stand.
    Status,
    /// Poll feeds now.
    Update {
        /// Only these: number, URL, title or a part of the title.
        #[arg(value_name = "FEED")]
        feeds: Vec<String>,
        /// How to reach the feeds' hosts, where no agent runs.
        #[command(flatten)]
        route: RouteArgs,
    },
}

/// The arguments of `add`.
#[derive(Args, Debug)]
pub struct AddArgs {
    /// The feeds' addresses.
    #[arg(required = true, value_name = "URL")]
    pub urls: Vec<String>,
    /// Take so many episodes that are there already: a number, or `all`. [default: 1]
    #[arg(long, value_name = "N|all")]
    pub backlog: Option<Backlog>,
    /// Poll at these times instead of by the agent's own judgement: a cron expression of five fields, or six with
    /// seconds first, such as `*/15 * * * *`.
    #[arg(long, value_name = "CRON")]
    pub schedule: Option<Schedule>,
    /// How to reach the feeds' hosts, where no agent runs.
    #[command(flatten)]
    pub route: RouteArgs,
}

/// The arguments of `download`.
#[derive(Args, Debug)]
pub struct DownloadArgs {
    /// `FEED/NUMBER` as `podsub episodes` shows it, a guid, an info-hash, or a title.
    #[arg(required = true, value_name = "EPISODE")]
    pub episodes: Vec<String>,
    /// Where episodes are kept, where no agent runs.
    #[command(flatten)]
    pub library: LibraryArgs,
    /// What may be fetched from where.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// How to speak to peers.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// The arguments of `get`.
#[derive(Args, Debug)]
pub struct GetArgs {
    /// `.torrent` files, magnet links, http(s) URLs of `.torrent` files, or http(s) URLs of media.
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// Put what is fetched into this folder. [default: the current one]
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Fetch only these files of a torrent: numbers as --list shows them, names, folders or patterns, such as `1,3-5`
    /// or `*.mp3`. May be given several times. [default: all, or those that a magnet link selects]
    #[arg(long, value_name = "FILES")]
    pub files: Vec<String>,
    /// Show the files of the torrents with their numbers, and fetch none.
    #[arg(long)]
    pub list: bool,
    /// Fetch the pieces of a torrent in their order, for a file that is read while it comes. Of less use to the crowd
    /// than the usual order.
    #[arg(long)]
    pub sequential: bool,
    /// Stay and seed once everything is there, until stopped.
    #[arg(long)]
    pub seed: bool,
    /// With --seed, stay until so many times its length was sent of everything.
    #[arg(long, value_name = "RATIO", default_value = "none")]
    pub seed_ratio: SeedRatio,
    /// With --seed, stay for so long at most, such as `90m` or `2d`.
    #[arg(long, value_name = "TIME", default_value = "none")]
    pub seed_time: SeedTime,
    /// How to speak to peers.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// The arguments of `play`.
#[derive(Args, Debug)]
pub struct PlayArgs {
    /// `FEED/NUMBER` as `podsub episodes` shows it, a guid, an info-hash, or a title; a `.torrent` file, a magnet link,
    /// or an http(s) URL.
    #[arg(value_name = "EPISODE|SOURCE")]
    pub what: String,
    /// The program to play with. [default: the first of mpv, vlc and ffplay that is there]
    #[arg(long, value_name = "PROGRAM")]
    pub player: Option<PathBuf>,
    /// Print the address for a player, and play nothing. Where no agent runs it is served until Ctrl-C.
    #[arg(long, conflicts_with = "player")]
    pub url: bool,
    /// Put what is fetched of a source into this folder. [default: the current one]
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Arguments for the player, before the address.
    #[arg(last = true, value_name = "ARGUMENT")]
    pub arguments: Vec<String>,
    /// Where episodes are kept, where no agent runs.
    #[command(flatten)]
    pub library: LibraryArgs,
    /// How to speak to peers.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// The arguments of `run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// Follow these feeds, too.
    #[arg(value_name = "URL")]
    pub urls: Vec<String>,
    /// Poll every feed once, fetch what is new, and end.
    #[arg(long)]
    pub once: bool,
    /// Do not seed what is complete. Peers still get what is being fetched.
    #[arg(long)]
    pub no_seed: bool,
    /// Seed an episode until so many times its length was sent, but for an hour at least; `none` for no such limit.
    #[arg(long, value_name = "RATIO", default_value = "2")]
    pub seed_ratio: SeedRatio,
    /// Seed an episode for so long at most, such as `12h` or `14d`; `none` for no such limit.
    #[arg(long, value_name = "TIME", default_value = "14d")]
    pub seed_time: SeedTime,
    /// So many downloads move data at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub downloads: u16,
    /// Poll a feed this often if it has no schedule and does not ask for less.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = interval)]
    pub interval: Duration,
    /// Serve players at this loopback address. [default: 127.0.0.1:6970, or the next free port]
    #[arg(long, value_name = "IP:PORT")]
    pub web: Option<WebAddr>,
    /// Serve nothing to players.
    #[arg(long, conflicts_with = "web")]
    pub no_web: bool,
    /// The time zone in which schedules are read, such as `Europe/Berlin`. [default: the system's]
    #[arg(long, value_name = "ZONE", value_parser = time_zone)]
    pub timezone: Option<Tz>,
    /// Where episodes are kept.
    #[command(flatten)]
    pub library: LibraryArgs,
    /// What may be fetched from where.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// How to speak to peers.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Where episodes are kept.
#[derive(Args, Clone, Debug)]
pub struct LibraryArgs {
    /// Keep episodes in this folder. It is remembered. [default: `library` in a --data-dir that was given, else
    /// `Podcasts` in the home folder]
    #[arg(long, value_name = "DIR")]
    pub library: Option<PathBuf>,
}

/// What may be fetched from where.
#[derive(Args, Clone, Copy, Debug)]
pub struct SourceArgs {
    /// Take part in no swarm: fetch plain files only. No peer sees this machine's address.
    #[arg(long)]
    pub http_only: bool,
}

/// The least time between two polls of a feed that the owner may ask for without a schedule.
const MIN_INTERVAL: Duration = Duration::from_mins(1);

/// Reads a time such as `90s`, `30m`, `2h` or `1d`.
fn interval(text: &str) -> Result<Duration, String> {
    let fault = || format!("`{text}` is no time; want one like `90s`, `30m`, `2h` or `1d`");
    let unit = text.chars().last().ok_or_else(fault)?;
    let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| fault())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(fault()),
    };
    let interval = number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(fault)?;
    if interval < MIN_INTERVAL {
        return Err(format!("`{text}` is too often; want a minute or more, or give the feed a --schedule"));
    }
    Ok(interval)
}

fn time_zone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| format!("`{text}` is no time zone; want one like `Europe/Berlin` or `UTC`"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_time_has_a_unit_and_is_not_too_short() {
        assert_eq!(interval("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(interval("2h"), Ok(Duration::from_hours(2)));
        for text in ["", "30", "m", "-5m", "5w", "59s", "99999999999999999999d", "5\u{e9}"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_schedule_and_a_backlog_are_checked_before_anything_happens() {
        for args in [["--schedule", "every day"], ["--backlog", "-1"], ["--backlog", "some"]] {
            let line = ["podsub", "add", "http://host.example/"].into_iter().chain(args);
            assert_eq!(Cli::try_parse_from(line).unwrap_err().exit_code(), 2);
        }
    }
}
