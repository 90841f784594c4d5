//! The command line of `podsub`.

use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, FromArgMatches, Parser, Subcommand};
use podswarm_core::app::metrics::MetricsAddr;
use podswarm_core::app::{CompletionsArgs, EngineArgs, GlobalArgs, ManArgs, RouteArgs, ServiceCommand};
use podswarm_core::net::Discovery;
use podswarm_core::rate::Limit;
use podswarm_core::timetable::Hours;

use crate::agent::OnMetered;
use crate::agent::share::{SeedRatio, SeedTime};
use crate::records::Backlog;
use crate::rules::{Choice, Clause, ClauseError, Hook, Keep, KeepFor, Quality, RuleName, Rules, Size};
use crate::rules::{SizeError, Take, Template};
use crate::web::{PhoneAddr, WebAddr};
use podswarm_feeds::schedule::{Schedule, Timing};

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
    /// Print what has a shell complete commands and flags.
    Completions(CompletionsArgs),
    /// Print a configuration file with every setting, to start from.
    Config,
    /// Tell whether peers outside can dial the agent, whether disk and clock are well, and which feeds fail, each with
    /// what mends it. Exit code 1 if something is to be mended.
    Doctor {
        /// How to reach a feed's host, to compare clocks.
        #[command(flatten)]
        route: RouteArgs,
    },
    /// Fetch episodes that the agent would not take by itself, such as older ones.
    Download(DownloadArgs),
    /// List episodes, the newest last.
    Episodes {
        /// Only of this feed: its number, URL, title or a part of the title.
        feed: Option<String>,
        /// All of them, not only what was taken and the ten newest others of each feed.
        #[arg(long)]
        all: bool,
        /// Those that were not taken or are kept no longer, each with its reason.
        #[arg(long)]
        why: bool,
    },
    /// Change what is wanted of feeds: rules for what is taken and kept, and when to poll.
    Edit(EditArgs),
    /// Write the feeds that are followed as OPML, for another app or another box.
    Export {
        /// The file to write, or `-` for standard output.
        #[arg(value_name = "FILE.opml|-")]
        file: PathBuf,
    },
    /// List the feeds that are followed.
    Feeds,
    /// Fetch single things now: `.torrent` files, http(s) URLs of `.torrent` files or of media.
    Get(GetArgs),
    /// Follow the feeds of another app: an OPML file, as every podcast app and feed reader exports it.
    Import(ImportArgs),
    /// Tell all that is known of a feed or an episode.
    Info {
        /// A feed (number, URL, title or a part of it) or an episode (`FEED/NUMBER`, guid, info-hash or title).
        what: String,
    },
    /// Print the manual as a man page, or write the pages of all commands into a folder.
    Man(ManArgs),
    /// Let feeds or episodes rest: no polling, no fetching, no seeding.
    Pause {
        /// Feeds, episodes, or `all`.
        #[arg(required = true, value_name = "FEED|EPISODE|all")]
        what: Vec<String>,
    },
    /// Let a podcast app in the house play what is kept: print the address of its feed, and open it to the network.
    Phone(PhoneArgs),
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
    Run(Box<RunArgs>),
    /// Have systemd run the agent as a service.
    #[command(subcommand)]
    Service(ServiceCommand),
    /// Tell how feeds, downloads and seeding stand.
    Status,
    /// Show everything that moves in one window, and change it by keys.
    Top(TopArgs),
    /// Poll feeds now.
    Update {
        /// Only these: number, URL, title or a part of the title.
        #[arg(value_name = "FEED")]
        feeds: Vec<String>,
        /// What is wanted of all feeds, where no agent runs.
        #[command(flatten)]
        rules: RuleArgs,
        /// How to reach the feeds' hosts, where no agent runs.
        #[command(flatten)]
        route: RouteArgs,
    },
    /// Open the agent's own page in a browser: podcasts, episodes, a player, transfers.
    Web {
        /// Print the address, and open nothing. It lets one browser in, once and within ten minutes.
        #[arg(long)]
        url: bool,
    },
}

/// The arguments of `add`.
#[derive(Args, Debug)]
pub struct AddArgs {
    /// The feeds' addresses.
    #[arg(required = true, value_name = "URL")]
    pub urls: Vec<String>,
    /// Follow a feed also if it cannot be had now; it is asked again later. What is no feed is refused all the same.
    #[arg(long)]
    pub anyway: bool,
    /// Take so many episodes that are there already: a number, or `all`. [default: 1]
    #[arg(long, value_name = "N|all")]
    pub backlog: Option<Backlog>,
    /// Poll at these times instead of by the agent's own judgement: a cron expression of five fields, or six with
    /// seconds first, such as `*/15 * * * *`.
    #[arg(long, value_name = "CRON")]
    pub schedule: Option<Schedule>,
    /// What is wanted of these feeds alone. From the configuration file: of all, where no agent runs.
    #[command(flatten)]
    pub rules: RuleArgs,
    /// How to reach the feeds' hosts, where no agent runs.
    #[command(flatten)]
    pub route: RouteArgs,
}

/// The arguments of `edit`.
#[derive(Args, Debug)]
pub struct EditArgs {
    /// Number, URL, title or a part of the title.
    #[arg(required = true, value_name = "FEED")]
    pub feeds: Vec<String>,
    /// Poll the feed at this address from now on, where its host does not say itself that it has moved. What is there,
    /// what was heard, rules and folder stay.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Have this rule be the one of all feeds again. May be given several times.
    #[arg(long, value_name = "RULE")]
    pub forget: Vec<RuleName>,
    /// Poll at these times instead of by the agent's own judgement: a cron expression of five fields, or six with
    /// seconds first, such as `*/15 * * * *`; `none` leaves it to the agent again.
    #[arg(long, value_name = "CRON|none")]
    pub schedule: Option<Timing>,
    /// What is wanted of these feeds alone.
    #[command(flatten)]
    pub rules: RuleArgs,
    /// How to reach the host of --url, where no agent runs.
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
    /// `.torrent` files, folders of them, magnet links, http(s) URLs of `.torrent` files, or http(s) URLs of media.
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

/// The arguments of `import`.
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// The file to read, or `-` for standard input.
    #[arg(value_name = "FILE.opml|-")]
    pub file: PathBuf,
    /// Take so many episodes of each feed that are there already: a number, or `all`. [default: 1]
    #[arg(long, value_name = "N|all")]
    pub backlog: Option<Backlog>,
    /// What is wanted of these feeds alone. From the configuration file: of all, where no agent runs.
    #[command(flatten)]
    pub rules: RuleArgs,
    /// How to reach the feeds' hosts, where no agent runs.
    #[command(flatten)]
    pub route: RouteArgs,
}

/// The arguments of `phone`.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
#[derive(Args, Debug)]
pub struct PhoneArgs {
    /// Listen at this address of a private network. It is remembered. [default: all addresses, port 6971 or the next
    /// free one]
    #[arg(long, value_name = "IP:PORT")]
    pub listen: Option<PhoneAddr>,
    /// Make a new address, so that the old one is good for nothing.
    #[arg(long)]
    pub new_token: bool,
    /// Draw the QR code also where no terminal is.
    #[arg(long)]
    pub qr: bool,
    /// Keep apps in step with the agent, as gpodder.net does: what is followed, and how far each episode was heard.
    /// Prints a user name and a new password for them, once.
    #[arg(long)]
    pub sync: bool,
    /// Keep no app in step any more; the feed stays open.
    #[arg(long, conflicts_with = "sync")]
    pub no_sync: bool,
    /// Close it again.
    #[arg(long, conflicts_with_all = ["listen", "new_token", "qr", "sync", "no_sync"])]
    pub off: bool,
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
    /// What may be fetched from where, where no agent runs.
    #[command(flatten)]
    pub sources: SourceArgs,
    /// How to speak to peers.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// The arguments of `run`.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the owner's")]
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
    /// Seed only at these hours, in the time zone of --timezone: `[DAYS] HH:MM-HH:MM`, such as `22:00-07:00` or
    /// `sat,sun 00:00-24:00`. May be given several times. Downloads go on, and their peers get of them. [default: at
    /// all hours]
    #[arg(long, value_name = "HOURS")]
    pub seed_at: Vec<Hours>,
    /// What to do while the system calls the line metered, as `NetworkManager` does with a telephone's: `everything`,
    /// `seed-nothing`, or `nothing`, with which downloads wait, too, but for those that you ask for.
    #[arg(long, value_name = "WHAT", default_value = "seed-nothing", hide_possible_values = true)]
    pub on_metered: OnMetered,
    /// So many downloads move data at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub downloads: u16,
    /// So many of them are plain files of one host; the web servers that help a swarm do not count.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub downloads_per_host: u16,
    /// Poll a feed this often if it has no schedule and does not ask for less.
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = interval)]
    pub interval: Duration,
    /// Serve players at this loopback address. [default: 127.0.0.1:6970, or the next free port]
    #[arg(long, value_name = "IP:PORT")]
    pub web: Option<WebAddr>,
    /// Serve nothing to players.
    #[arg(long, conflicts_with = "web")]
    pub no_web: bool,
    /// Let podcast apps in the house play what is kept, as `podsub phone` does: listen at this address of a private
    /// network, such as `0.0.0.0:6971`. [default: as `podsub phone` left it]
    #[arg(long, value_name = "IP:PORT")]
    pub phone: Option<PhoneAddr>,
    /// Serve figures for Prometheus (`/metrics`, and `/healthz`) here, and nowhere else: IP:PORT, or a port of this
    /// machine alone.
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<MetricsAddr>,
    /// Do not connect back to publishers who ask whether they are reached from outside. Else it is done over HTTP and,
    /// unless --http-only is given, at the port for peers; to a feed's own host alone, every two minutes at most.
    #[arg(long)]
    pub no_connect_back: bool,
    /// Ask no hubs (WebSub) to tell of news, and receive none. Else those that feeds name are asked where no event
    /// stream tells of news, and come to the port for peers.
    #[arg(long)]
    pub no_hubs: bool,
    /// The time zone in which schedules and the hours of --seed-at are read, such as `Europe/Berlin`. [default: the
    /// system's]
    #[arg(long, value_name = "ZONE", value_parser = time_zone)]
    pub timezone: Option<Tz>,
    /// All episodes together take so much of the disk at most, such as `50GB`; the oldest releases make way.
    #[arg(long, value_name = "SIZE", value_parser = quota)]
    pub quota: Option<Size>,
    /// Leave so much of the disk free, such as `20GB`, or `0`. [default: 5 GB or a tenth of it, whichever is less]
    #[arg(long, value_name = "SIZE")]
    pub leave_free: Option<Size>,
    /// What is wanted of all feeds.
    #[command(flatten)]
    pub rules: RuleArgs,
    /// Where episodes are kept.
    #[command(flatten)]
    pub library: LibraryArgs,
    /// How to speak to peers.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// What is wanted of episodes, as flags say it.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Rules")]
pub struct RuleFlags {
    /// Take only episodes for which this holds: a part of the title, `/a regular expression/`, or tests such as
    /// `length>20m and title!=/rerun/`; `all` or `none`. Given several times, one that holds is enough. [default: all]
    #[arg(long, value_name = "RULE")]
    pub take: Vec<TakeWord>,
    /// Take no episode for which this holds, whatever --take says.
    #[arg(long, value_name = "RULE")]
    pub skip: Vec<Clause>,
    /// Keep the newest N episodes of a feed, and delete older ones that podsub itself has fetched; `all` deletes none.
    /// [default: all]
    #[arg(long, value_name = "N|all")]
    pub keep: Option<Keep>,
    /// Keep an episode for so long, such as `30d`; `ever` deletes none. [default: ever]
    #[arg(long, value_name = "TIME|ever")]
    pub keep_for: Option<KeepFor>,
    /// Keep an episode for so long once it was heard to its end, in the browser or in an app that `podsub phone --sync`
    /// keeps in step, such as `2d`; `0s` deletes it then, `ever` never for that. [default: ever]
    #[arg(long, value_name = "TIME|ever")]
    pub keep_played: Option<KeepFor>,
    /// Call files so, below the show's folder, such as `Season {season:02}/{number:02} {title}`.
    /// [default: {date} {title}]
    #[arg(long, value_name = "TEMPLATE")]
    pub name: Option<Template>,
    /// Send each episode to peers no faster than this, whatever --up allows all together; `none` for no such limit.
    /// [default: none]
    #[arg(long, value_name = "RATE|none")]
    pub episode_up: Option<Limit>,
    /// Receive each episode from peers no faster than this, whatever --down allows all together; `none` for no such
    /// limit. [default: none]
    #[arg(long, value_name = "RATE|none")]
    pub episode_down: Option<Limit>,
    /// Find peers only in these ways, and tell only there what is fetched and seeded: some of `trackers`, `dht`, `lsd`
    /// and `pex`, such as `trackers,pex`, or `all`. What a flag such as --no-dht switches off stays off. [default: all]
    #[arg(long, value_name = "WAYS")]
    pub find_peers: Option<Discovery>,
    /// Do this when an episode is there: `{ run = ["program", "argument"] }`, with what came in variables such as
    /// `PODSUB_PATH` and through no shell, or `{ url = "https://…" }`, a POST that is signed if there is a `secret`.
    /// Both may take `time = 60` seconds. In config.toml it is a table, `[[on_complete]]`. May be given more than once;
    /// `none` does nothing. [default: none]
    #[arg(long, value_name = "HOOK|none", hide_default_value = true)]
    pub on_complete: Vec<HookWord>,
    /// Where a feed has an episode in several qualities or formats, take this one: `default` (the feed's own),
    /// `smallest`, `largest`, the best up to a limit such as `720p` or `64kbit/s`; `audio` or `video`, alone or before
    /// it, such as `audio,smallest`. What is taken already stays as it is. [default: default]
    #[arg(long, value_name = "QUALITY")]
    pub quality: Option<Quality>,
    /// Write what the feed tells of an episode into its file: title, show, date, numbers, notes and cover. What is
    /// seeded stays as it is until seeding ends, for peers have the very same bytes. [default: no]
    #[arg(long, value_name = "yes|no", hide_possible_values = true)]
    pub tags: Option<Choice>,
    /// Put the show's cover into its folder as `folder.jpg` or `folder.png`, where Jellyfin, Plex and Kodi look for it.
    /// A picture of yours that is there stays, and is enough. [default: no]
    #[arg(long, value_name = "yes|no", hide_possible_values = true)]
    pub cover: Option<Choice>,
    /// Where from.
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// One word of `--on-complete`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookWord {
    /// `none`
    Nothing,
    /// Something to be done.
    Do(Hook),
}

impl std::str::FromStr for HookWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" { Ok(Self::Nothing) } else { text.parse().map(Self::Do) }
    }
}

/// One word of `--take`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakeWord {
    /// `all`
    All,
    /// `none`
    Nothing,
    /// A condition.
    If(Clause),
}

impl std::str::FromStr for TakeWord {
    type Err = ClauseError;

    fn from_str(text: &str) -> Result<Self, ClauseError> {
        match text {
            "all" => Ok(Self::All),
            "none" => Ok(Self::Nothing),
            text => text.parse().map(Self::If),
        }
    }
}

impl RuleFlags {
    /// What they say.
    fn rules(self) -> Result<Rules, clap::Error> {
        let take = match &self.take[..] {
            [] => None,
            [TakeWord::All] => Some(Take::All),
            [TakeWord::Nothing] => Some(Take::Nothing),
            words => {
                let clause =
                    |word: &TakeWord| if let TakeWord::If(clause) = word { Some(clause.clone()) } else { None };
                let clauses: Option<Vec<_>> = words.iter().map(clause).collect();
                let fault = || {
                    let text = "--take says `all` or `none` beside other rules; want one or the other\n";
                    clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, text)
                };
                Some(Take::Any(clauses.ok_or_else(fault)?))
            }
        };
        let on_complete = match &self.on_complete[..] {
            [] => None,
            [HookWord::Nothing] => Some(Vec::new()),
            words => {
                let hook = |word: &HookWord| if let HookWord::Do(hook) = word { Some(hook.clone()) } else { None };
                let hooks: Option<Vec<_>> = words.iter().map(hook).collect();
                let fault = || {
                    let text = "--on-complete says `none` beside something to be done; want one or the other\n";
                    clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, text)
                };
                Some(hooks.ok_or_else(fault)?)
            }
        };
        let skip = (!self.skip.is_empty()).then_some(self.skip);
        let Self { keep, keep_for, keep_played, name, episode_up, episode_down, .. } = self;
        let Self { find_peers, quality, tags, cover, sources: SourceArgs { http_only }, .. } = self;
        Ok(Rules {
            take,
            skip,
            keep,
            keep_for,
            keep_played,
            name,
            episode_up,
            episode_down,
            find_peers,
            on_complete,
            quality,
            tags,
            cover,
            http_only,
        })
    }
}

/// What is wanted of episodes: by whatever says so, and by the command line alone.
#[derive(Clone, Debug, Default)]
pub struct RuleArgs {
    /// By the command line, a variable or the configuration file.
    pub all: Rules,
    /// By the command line.
    pub typed: Rules,
}

impl Args for RuleArgs {
    fn augment_args(command: clap::Command) -> clap::Command {
        // What comes behind them has its own heading.
        let heading = match command.get_next_help_heading() {
            Some(heading) => Resettable::Value(heading.to_owned().into()),
            None => Resettable::Reset,
        };
        RuleFlags::augment_args(command).next_help_heading(heading)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        RuleFlags::augment_args_for_update(command)
    }
}

impl FromArgMatches for RuleArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let all = RuleFlags::from_arg_matches(matches)?.rules()?;
        let mut typed = all.clone();
        let names = [
            ("take", RuleName::Take),
            ("skip", RuleName::Skip),
            ("keep", RuleName::Keep),
            ("keep_for", RuleName::KeepFor),
            ("keep_played", RuleName::KeepPlayed),
            ("name", RuleName::Name),
            ("episode_up", RuleName::EpisodeUp),
            ("episode_down", RuleName::EpisodeDown),
            ("find_peers", RuleName::FindPeers),
            ("on_complete", RuleName::OnComplete),
            ("quality", RuleName::Quality),
            ("tags", RuleName::Tags),
            ("cover", RuleName::Cover),
            ("http_only", RuleName::HttpOnly),
        ];
        let is_typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
        let others = names.into_iter().filter(|(id, _)| !is_typed(id)).map(|(_, name)| name);
        typed.forget(&others.collect::<Vec<_>>());
        Ok(Self { all, typed })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The arguments of `top`.
#[derive(Args, Debug)]
pub struct TopArgs {
    /// The program to play with. [default: the first of mpv, vlc and ffplay that is there]
    #[arg(long, value_name = "PROGRAM")]
    pub player: Option<PathBuf>,
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
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct SourceArgs {
    /// Take part in no swarm: fetch plain files only, announce and seed nothing. No peer sees this machine's address.
    /// With `run` it is so for all feeds, whatever is said of one. [default: no]
    #[arg(
        long,
        value_name = "yes|no",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "yes",
        hide_possible_values = true
    )]
    pub http_only: Option<Choice>,
}

impl SourceArgs {
    /// Whether no swarm is taken part in.
    pub fn is_http_only(self) -> bool {
        self.http_only == Some(Choice::Yes)
    }

    /// What is said of all feeds.
    pub fn rules(self) -> Rules {
        Rules { http_only: self.http_only, ..Rules::default() }
    }
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

/// Reads how much all episodes may take.
fn quota(text: &str) -> Result<Size, String> {
    match text.parse() {
        Ok(Size(0)) => Err(format!("`{text}` would keep nothing; want one like `50GB`, or leave it out for no quota")),
        Ok(size) => Ok(size),
        Err(error) => Err(SizeError::to_string(&error)),
    }
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
    fn rules_of_the_file_are_those_of_all_feeds_and_those_that_are_typed_of_one() {
        let with_file = Cli::command().mut_subcommand("add", |add| add.mut_arg("take", |arg| arg.default_value("x")));
        let read = |command: &clap::Command, line: &str| {
            let matches = command.clone().try_get_matches_from(line.split(' ')).unwrap();
            let Command::Add(add) = Cli::from_arg_matches(&matches).unwrap().command else { panic!("{line}") };
            (add.rules.all.words(), add.rules.typed.words())
        };
        let typed = read(&with_file, "podsub add http://h.example/ --keep 5 --skip a --skip b");
        let want = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(typed, (want(&["take x", "skip a", "skip b", "keep 5"]), want(&["skip a", "skip b", "keep 5"])));
        let (all, typed) = read(&with_file, "podsub add http://h.example/ --take none");
        assert_eq!((all, typed), (want(&["take none"]), want(&["take none"])));
        for wrong in ["--take all --take x", "--take lenght>5m", "--keep 0", "--name {title", "--keep-for soon"] {
            let line = format!("podsub add http://h.example/ {wrong}");
            assert_eq!(Cli::try_parse_from(line.split(' ')).unwrap_err().exit_code(), 2, "{wrong}");
        }
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
    fn nothing_may_be_left_free_but_not_kept() {
        assert_eq!(quota("50GB"), Ok(Size(50_000_000_000)));
        assert!(quota("0").unwrap_err().contains("would keep nothing") && quota("0MB").is_err());
        assert!(quota("50").unwrap_err().contains("is no size"));
        let line = Cli::try_parse_from(["podsub", "run", "--leave-free", "0"]).unwrap();
        let Command::Run(run) = line.command else { panic!("it is run") };
        assert_eq!(run.leave_free, Some(Size(0)));
    }

    #[test]
    fn a_schedule_and_a_backlog_are_checked_before_anything_happens() {
        for args in [["--schedule", "every day"], ["--backlog", "-1"], ["--backlog", "some"]] {
            let line = ["podsub", "add", "http://host.example/"].into_iter().chain(args);
            assert_eq!(Cli::try_parse_from(line).unwrap_err().exit_code(), 2);
        }
    }
}
