//! The command line of `podpub`.

use std::path::PathBuf;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use podswarm_core::app::metrics::MetricsAddr;
use podswarm_core::app::{CompletionsArgs, EngineArgs, GlobalArgs, ManArgs, RouteArgs, ServiceCommand, time_of_local};
use podswarm_core::metainfo::TorrentVersion;
use podswarm_core::net::{BlocklistFile, Discovery};
use podswarm_core::rate::Limit;
use url::Url;

use crate::bind::Listen;
use crate::feed_length::FeedLength;
use crate::hooks::Hook;
use crate::http::{HttpShare, TrustedProxy};
use crate::numbers::Countries;
use crate::publish::Intake;
use crate::slug::Slug;
use crate::tls::parse_domain;
use crate::tokens::Role;
use crate::urls::Urls;

/// Publish a podcast from your own machine: seed it, host its feed and its tracker, and let the listeners pass it on.
#[derive(Debug, Parser)]
#[command(name = "podpub", version, arg_required_else_help = true)]
pub struct Cli {
    /// The flags of every command.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl AsRef<GlobalArgs> for Cli {
    fn as_ref(&self) -> &GlobalArgs {
        &self.global
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Tell what podcast directories would say against a show and its episodes, and what mends it.
    ///
    /// Held against Apple's rules, PSP-1 and Spotify's. Exit code 1 if something would be refused.
    Check {
        /// Only this show: its short name or its title.
        show: Option<String>,
    },
    /// Print what has a shell complete commands and flags.
    Completions(CompletionsArgs),
    /// Print a configuration file with every setting, to start from.
    Config,
    /// Tell whether listeners outside the house reach the publisher, and what mends it if not.
    ///
    /// A few agents outside, if any listen, are asked to connect back, which takes ten seconds at most. Ends in PUBLIC,
    /// HOUSE ONLY or UNKNOWN. Exit code 1 if something is to be mended that keeps listeners out.
    Doctor,
    /// Change what is said of a show, or of an episode; an empty value takes back what was said.
    Edit(Box<EditArgs>),
    /// List the episodes of all shows or of one.
    Episodes {
        /// Only of this show: its short name or its title.
        show: Option<String>,
    },
    /// Write shows into a folder or a tar file, with all that it takes to have the same elsewhere.
    ///
    /// Records, media, torrents, covers, transcripts and the shows' keys: keep it to yourself. `podpub import` brings
    /// it in. Into a folder of an earlier export only what is new is written.
    Export(ExportArgs),
    /// Bring a show here from another host, with all its episodes, by its feed; or from an export.
    ///
    /// Of a feed, text, cover, guids, dates, notes, chapters, transcripts and files come as they are, oldest first, and
    /// nobody who knows the episodes is told of them again. Cut off, it goes on when it is run again; run later, it
    /// brings what is new. Exit code 1 if a file could not be had.
    Import(ImportArgs),
    /// Make a show.
    Init(Box<InitArgs>),
    /// Print the manual as a man page, or write the pages of all commands into a folder.
    Man(ManArgs),
    /// Have a show's feeds lead to another host for good, which has the show already.
    ///
    /// They answer 301 from now on, and name the new address in `itunes:new-feed-url`. Serve on for four weeks at
    /// least, so that every app asks once; files, torrents and pages are served and seeded as before.
    Move(MoveArgs),
    /// Publish files and folders as episodes: the one command.
    ///
    /// With `podpub serve` running on the same data directory it hands them over and returns once they are live. With
    /// none running it serves until Ctrl-C; off a terminal it only records them. What is not said is taken from the
    /// file's own tags. With no show yet, one is made. In a show that is for podcast directories (`podpub edit
    /// --listed`), what they would refuse is refused.
    Publish(Box<PublishArgs>),
    /// Let an episode out now that is a draft, or that was to appear later.
    Release(EpisodeArgs),
    /// Put another file in an episode's place: the guid stays, and listeners are told that it was revised.
    ///
    /// Listeners' agents fetch the new file, and the old torrent ends. What is not said stays as it was; the old file
    /// stays in the library.
    Replace(ReplaceArgs),
    /// Run the publisher: feeds, pages, media, tracker and seed.
    Serve(Box<ServeArgs>),
    /// Have systemd run the publisher as a service.
    #[command(subcommand)]
    Service(ServiceCommand),
    /// List the shows.
    Shows,
    /// Tell how often episodes were downloaded: over HTTP and, apart, in swarms.
    ///
    /// Over HTTP it is counted as the IAB's guidelines (2.2) want it: who gets a minute of an episode, in one request
    /// or several, has downloaded it, once in 24 hours for each address and player; crawlers, monitors and probes do
    /// not count. In swarms each peer counts that tells the tracker it has everything. Days are those of UTC.
    Stats(StatsArgs),
    /// Tell how episodes, peers and copies stand.
    Status,
    /// Say who is let in to a private show.
    #[command(subcommand)]
    Subscriber(SubscriberCommand),
    /// Plain work on `.torrent` files.
    #[command(subcommand)]
    Torrent(TorrentCommand),
    /// Let people and programs elsewhere drive this publisher, by tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Take an episode back: feeds, pages and tracker have it no more, and listeners' agents stop passing it on.
    ///
    /// What listeners have, they keep. The word is signed with the show's key, so that nobody else can give it. An
    /// episode that is not out yet is just forgotten.
    Unpublish(UnpublishArgs),
}

/// The arguments of `init`.
#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    /// The show's short name in addresses, such as `night-walks`; it can never be changed. [default: made of the title]
    #[arg(long, value_name = "SLUG")]
    pub(crate) show: Option<Slug>,
    /// Let in only those whom `podpub subscriber add` gives an address of their own: nobody else finds anything of the
    /// show, and its torrents are for its subscribers alone. It can never be changed.
    #[arg(long)]
    pub(crate) private: bool,
    /// What is said of it.
    #[command(flatten)]
    pub(crate) fields: FieldArgs,
}

/// The arguments of `export`.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// The folder, or a file whose name ends in `.tar`.
    #[arg(value_name = "DIR|FILE.tar", required_unless_present = "site")]
    pub(crate) path: Option<PathBuf>,
    /// Only this show: its short name or its title.
    #[arg(long, value_name = "SHOW")]
    pub(crate) show: Option<String>,
    /// Write feeds, pages, torrents and files into this folder, for any web server or object storage to serve as they
    /// are. Written again, only what has changed is touched.
    #[arg(long, value_name = "DIR", conflicts_with = "path", requires = "base_url")]
    pub(crate) site: Option<PathBuf>,
    /// The address at which the site will stand.
    #[arg(long, value_name = "URL", requires = "site")]
    pub(crate) base_url: Option<String>,
    /// A tracker that the site's torrents name; may be given more than once. Without one, peers are found in the hash
    /// table, and the file over HTTP.
    #[arg(long, value_name = "URL", requires = "site")]
    pub(crate) tracker: Vec<Url>,
    /// Remove from the site what the shows do not have any more.
    #[arg(long, requires = "site")]
    pub(crate) delete: bool,
}

/// The arguments of `move`.
#[derive(Args, Debug)]
pub(crate) struct MoveArgs {
    /// The address of the show's feed at its new host. It must be the same show's: that is looked at.
    #[arg(value_name = "NEW_URL", required_unless_present = "back")]
    pub(crate) new_url: Option<Url>,
    /// The show: its short name or its title; need not be said while there is one show only.
    #[arg(long, value_name = "SHOW")]
    pub(crate) show: Option<String>,
    /// The show is here again.
    #[arg(long, conflicts_with = "new_url")]
    pub(crate) back: bool,
    /// Do not look at the feed there.
    #[arg(long, conflicts_with = "back")]
    pub(crate) unchecked: bool,
    /// How to reach the new host.
    #[command(flatten)]
    pub(crate) route: RouteArgs,
}

/// The arguments of `import`.
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// The feed's URL, a file that it was saved in, or the folder or tar file of `podpub export`.
    #[arg(value_name = "FEED_URL|PATH")]
    pub(crate) source: String,
    /// The short name that the show gets in addresses. [default: made of its title]
    #[arg(long, value_name = "SLUG")]
    pub(crate) show: Option<Slug>,
    /// Make it a private show, for those alone whom `podpub subscriber add` gives an address of their own; it can never
    /// be changed.
    #[arg(long)]
    pub(crate) private: bool,
    /// Only this many episodes, the newest.
    #[arg(long, value_name = "N")]
    pub(crate) newest: Option<usize>,
    /// Take a feed that is locked (podcast:locked), as its owner: the mail address that it names.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) i_am: Option<String>,
    /// Take files that are others each time that they are asked for, as they come.
    #[arg(long)]
    pub(crate) allow_changing: bool,
    /// Only list what would be brought.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How to reach the old host.
    #[command(flatten)]
    pub(crate) route: RouteArgs,
}

/// The arguments of `edit`.
#[derive(Args, Debug)]
pub(crate) struct EditArgs {
    /// The episode: its title, its page or its guid. Without one the show is meant.
    #[arg(value_name = "EPISODE")]
    pub(crate) episode: Option<String>,
    /// The show: its short name or its title; need not be said while there is one show only.
    #[arg(long, value_name = "SHOW")]
    pub(crate) show: Option<String>,
    /// What is said of it.
    #[command(flatten)]
    pub(crate) fields: FieldArgs,
    /// An episode's show notes, as plain text, or `@FILE` to read them from a file.
    #[arg(long, value_name = "TEXT|@FILE", requires = "episode")]
    pub(crate) notes: Option<String>,
    /// The season an episode belongs to.
    #[arg(long, value_name = "N", requires = "episode")]
    pub(crate) season: Option<u32>,
    /// An episode's number.
    #[arg(long, value_name = "N", requires = "episode")]
    pub(crate) number: Option<u32>,
    /// What the season is called.
    #[arg(long, value_name = "TEXT", requires = "episode")]
    pub(crate) season_name: Option<String>,
    /// What is shown in the place of an episode's number, such as `Part two`.
    #[arg(long, value_name = "TEXT", requires = "episode")]
    pub(crate) number_name: Option<String>,
    /// An episode's chapters: the podcast namespace's JSON, or lines such as `00:12:30 The river`; an empty value takes
    /// them back.
    #[arg(long, value_name = "FILE", requires = "episode", value_parser = path_or_nothing())]
    pub(crate) chapters: Option<PathBuf>,
    /// What is said in an episode: a .vtt, .srt, .json or .txt file; may be given once for each. An empty value takes
    /// them back.
    #[arg(long, value_name = "FILE", requires = "episode", value_parser = path_or_nothing())]
    pub(crate) transcript: Vec<PathBuf>,
    /// When an episode is to appear; of one that is out, the date it bears.
    #[arg(long, value_name = "TIME", value_parser = parse_time, requires = "episode")]
    pub(crate) at: Option<DateTime<Utc>>,
}

/// Names an episode.
#[derive(Args, Debug)]
pub(crate) struct EpisodeArgs {
    /// The episode: its title, its page or its guid.
    #[arg(value_name = "EPISODE")]
    pub(crate) episode: String,
    /// The show it is in, if another has one of that title.
    #[arg(long, value_name = "SHOW")]
    pub(crate) show: Option<String>,
}

/// The arguments of `replace`.
#[derive(Args, Debug)]
pub(crate) struct ReplaceArgs {
    /// Which one.
    #[command(flatten)]
    pub(crate) name: EpisodeArgs,
    /// The file or folder that takes its place.
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// Another title.
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// Other show notes, as plain text, or `@FILE` to read them from a file.
    #[arg(long, value_name = "TEXT|@FILE")]
    pub(crate) notes: Option<String>,
    /// How it is taken in.
    #[command(flatten)]
    pub(crate) intake: IntakeArgs,
}

/// How a file or folder becomes an episode.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct IntakeArgs {
    /// What its torrent is.
    #[command(flatten)]
    pub(crate) version: VersionArgs,
    /// Serve the file where it is instead of a copy of it. It must stay there, unchanged.
    #[arg(long)]
    pub(crate) in_place: bool,
    /// Publish what podcast directories would refuse, too. `podpub edit --listed=false` says so of a show for good.
    #[arg(long)]
    pub(crate) anyway: bool,
}

impl IntakeArgs {
    /// What was asked for.
    pub(crate) const fn intake(self) -> Intake {
        if self.in_place { Intake::InPlace } else { Intake::Copy }
    }
}

/// The arguments of `unpublish`.
#[derive(Args, Debug)]
pub(crate) struct UnpublishArgs {
    /// Which one.
    #[command(flatten)]
    pub(crate) name: EpisodeArgs,
    /// Delete the library's copy of its file, too.
    #[arg(long)]
    pub(crate) delete_file: bool,
}

/// The arguments of `stats`.
#[derive(Args, Debug)]
pub(crate) struct StatsArgs {
    /// Only this show: its short name or its title.
    #[arg(long, value_name = "SHOW")]
    pub(crate) show: Option<String>,
    /// Only this episode, day by day: its title, its page or its guid.
    #[arg(long, value_name = "EPISODE")]
    pub(crate) episode: Option<String>,
    /// Only from this day on, such as `2026-11-20`.
    #[arg(long, value_name = "DATE")]
    pub(crate) since: Option<NaiveDate>,
    /// Print a table for spreadsheets, with a row for each episode and day.
    #[arg(long)]
    pub(crate) csv: bool,
}

/// What can be said of a show.
#[derive(Args, Debug)]
pub(crate) struct FieldArgs {
    /// The show's name.
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// Who makes it.
    #[arg(long, value_name = "TEXT")]
    pub(crate) author: Option<String>,
    /// What it is about.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// The language it is in: a code such as `en` or `pt-br`.
    #[arg(long, value_name = "CODE")]
    pub(crate) language: Option<String>,
    /// A category of the podcast directories, such as `Arts` or `Arts > Books`.
    #[arg(long, value_name = "NAME")]
    pub(crate) category: Option<String>,
    /// The cover: a square JPEG or PNG of 1400 to 3000 pixels.
    #[arg(long, value_name = "FILE", value_parser = path_or_nothing())]
    pub(crate) image: Option<PathBuf>,
    /// The show's own site.
    #[arg(long, value_name = "URL")]
    pub(crate) link: Option<String>,
    /// Where podcast directories write to you. It stands in the feed for all to read.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: Option<String>,
    /// When its episodes appear: a cron expression such as `0 6 * * mon` for Mondays at six, and a time zone behind it,
    /// if not this machine's. `podpub publish --next` goes by it.
    #[arg(long, value_name = "CRON")]
    pub(crate) rhythm: Option<String>,
    /// Have feeds hold the newest N to 2N episodes, and the older ones in pages of N behind (RFC 5005), so that what
    /// apps fetch again and again stays short. Apps that read no pages show only the newest. [default: 1000]
    #[arg(long, value_name = "N|all", value_parser = spelt::<FeedLength>)]
    pub(crate) feed_length: Option<String>,
    /// Send each of its episodes to peers no faster than this, whatever --up allows all together; `none` takes it back.
    #[arg(long, value_name = "RATE|none", value_parser = spelt::<Limit>)]
    pub(crate) episode_up: Option<String>,
    /// Have peers of its episodes find one another only in these ways: some of `trackers`, `dht`, `lsd` and `pex`, such
    /// as `trackers,pex`; `all` takes it back. Torrents name the tracker all the same.
    #[arg(long, value_name = "WAYS", value_parser = spelt::<Discovery>)]
    pub(crate) find_peers: Option<String>,
    /// Mark the show as being for adults only; `--explicit=false` takes it back.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) explicit: Option<bool>,
    /// Whose it is, such as `© 2026 Ann Lee`.
    #[arg(long, value_name = "TEXT")]
    pub(crate) copyright: Option<String>,
    /// Have other hosts not take the show over, but for whoever has its `--email`; `--locked=false` takes it back.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) locked: Option<bool>,
    /// Say that no episode comes any more, so that apps ask seldom; `--complete=false` takes it back.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) complete: Option<bool>,
    /// Have `publish` refuse what podcast directories would; `--listed=false` has it publish whatever comes. [default:
    /// once the show has a cover, a category and a description]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) listed: Option<bool>,
    /// What it says beyond that.
    #[command(flatten)]
    pub(crate) tags: TagArgs,
}

/// Takes a text as it is, if it is that of a `T`.
fn spelt<T: FromStr>(text: &str) -> Result<String, T::Err> {
    text.parse::<T>().map(|_| text.to_owned())
}

/// What can be said of a show or of an episode in the podcast namespace, as `TEXT; attribute=value`.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Podcast namespace")]
pub(crate) struct TagArgs {
    /// Who is heard or had a hand in it: `Ann Lee; role=guest; href=https://ann.example`. Without a role it is the
    /// host; those of an episode stand in the place of the show's. May be given more than once, as all of these but
    /// license and medium; it takes the place of what was said before, and an empty value takes that back.
    #[arg(long, value_name = "TEXT")]
    pub(crate) person: Vec<String>,
    /// Where it plays or is made: `Berlin; geo=geo:52.52,13.40; osm=R62422; country=DE; rel=creator`.
    #[arg(long, value_name = "TEXT")]
    pub(crate) location: Vec<String>,
    /// How to support it: `Support us; url=https://…`.
    #[arg(long, value_name = "TEXT")]
    pub(crate) funding: Vec<String>,
    /// What may be done with it: `cc-by-4.0`, or a licence of your own with its text, `ours; url=https://…`.
    #[arg(long, value_name = "TEXT")]
    pub(crate) license: Option<String>,
    /// What a show is: podcast, music, video, film, audiobook, newsletter, blog or course.
    #[arg(long, value_name = "TEXT")]
    pub(crate) medium: Option<String>,
    /// A part of an episode that tells what it is like: `A good line; start=1:13; duration=30`, in seconds or as a
    /// time.
    #[arg(long, value_name = "TEXT")]
    pub(crate) soundbite: Vec<String>,
    /// Where it is talked about: `https://social.example/@ann/1; protocol=activitypub; accountId=@ann`.
    #[arg(long, value_name = "TEXT")]
    pub(crate) social: Vec<String>,
    /// Any tag of the podcast namespace, such as `value`, `txt` or `podping`: as `NAME: TEXT; attribute=value`, as XML,
    /// or `@FILE` to read that. An empty element, `<podcast:value/>`, takes back what was said before.
    #[arg(long, value_name = "TEXT|@FILE")]
    pub(crate) tag: Vec<String>,
    /// Ask directories not to show it (`itunes:block`); `--block=false` takes it back.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) block: Option<bool>,
}

/// The arguments of `publish`.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub(crate) struct PublishArgs {
    /// Files, of which each is an episode, and folders, of which each is one episode of several files.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// The show: its short name or its title. [default: what the tags say, or the only show]
    #[arg(long, value_name = "SHOW")]
    pub(crate) show: Option<String>,
    /// The episode's title. [default: from its tags, else from its name]
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,
    /// Show notes, as plain text, or `@FILE` to read them from a file.
    #[arg(long, value_name = "TEXT|@FILE")]
    pub(crate) notes: Option<String>,
    /// The season it belongs to.
    #[arg(long, value_name = "N")]
    pub(crate) season: Option<u32>,
    /// Its number.
    #[arg(long, value_name = "N")]
    pub(crate) number: Option<u32>,
    /// What the season is called.
    #[arg(long, value_name = "TEXT")]
    pub(crate) season_name: Option<String>,
    /// What is shown in the place of its number, such as `Part two`.
    #[arg(long, value_name = "TEXT")]
    pub(crate) number_name: Option<String>,
    /// When it is to appear, such as `2026-11-20T18:00:00Z` or, in local time, `2026-11-20 18:00`. A date in the past
    /// is only the date it bears.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) at: Option<DateTime<Utc>>,
    /// Its chapters: the podcast namespace's JSON, or lines such as `00:12:30 The river`. [default: its own, or those
    /// of a file beside it, `NAME.chapters.json` or `NAME.chapters.txt`]
    #[arg(long, value_name = "FILE")]
    pub(crate) chapters: Option<PathBuf>,
    /// What is said in it: a .vtt, .srt, .json or .txt file; may be given once for each. [default: the .vtt and the
    /// .srt file beside it of its name]
    #[arg(long, value_name = "FILE")]
    pub(crate) transcript: Vec<PathBuf>,
    /// Have it appear at the next time of the show's rhythm for which no other episode waits.
    #[arg(long, conflicts_with = "at")]
    pub(crate) next: bool,
    /// Keep it back until `podpub release`.
    #[arg(long, conflicts_with_all = ["at", "next"])]
    pub(crate) draft: bool,
    /// How it is taken in.
    #[command(flatten)]
    pub(crate) intake: IntakeArgs,
    /// What it says beyond that.
    #[command(flatten)]
    pub(crate) tags: TagArgs,
    /// Only record it, and serve nothing.
    #[arg(long, conflicts_with = "serve")]
    pub(crate) no_serve: bool,
    /// Serve until stopped even where there is no terminal.
    #[arg(long)]
    pub(crate) serve: bool,
    /// How to serve, where no publisher runs yet.
    #[command(flatten)]
    pub(crate) serving: ServeArgs,
}

/// The arguments of `serve`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeArgs {
    /// Listen here for listeners, apps and announces: IP:PORT, an IP or a port; port 0 takes any free one. [default:
    /// all addresses, port 6969 or the next free one]
    #[arg(long, value_name = "ADDR", help_heading = "Serving")]
    pub(crate) listen: Option<Listen>,
    /// The address that feeds and torrents name, such as `https://pods.example`. It is remembered. [default: the last
    /// one given, else this machine's address]
    #[arg(long, value_name = "URL", help_heading = "Serving")]
    pub(crate) public_url: Option<String>,
    /// Serve https, too, with the certificate in this file, in PEM form and followed by those between it and the
    /// authority, such as certbot's `fullchain.pem`. When it is another, it is shown from then on. Feeds, torrents and
    /// pages name https then.
    #[arg(long, value_name = "FILE", help_heading = "Serving")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM form. [default: it is in the certificate's file, too]
    #[arg(long, value_name = "FILE", help_heading = "Serving")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Serve https with a certificate for this name that an authority makes (ACME), and makes anew before it ends. It
    /// looks whether the name leads here, at port 443 or at port 80; to ask for one is to agree to its terms. May be
    /// given more than once: the first is the public URL's, unless that is given.
    #[arg(long, value_name = "DOMAIN", value_parser = parse_domain, help_heading = "Serving")]
    pub(crate) acme: Vec<String>,
    /// Where that authority can write to if something is wrong with the certificate.
    #[arg(long, value_name = "ADDRESS", help_heading = "Serving")]
    pub(crate) acme_email: Option<String>,
    /// Where that authority is asked: the URL of its directory. [default: that of Let's Encrypt]
    #[arg(long, value_name = "URL", help_heading = "Serving")]
    pub(crate) acme_directory: Option<Url>,
    /// Serve https here: IP:PORT, an IP or a port; port 0 takes any free one. [default: all addresses, port 443, or
    /// 8443 or the next free one where that cannot be had]
    #[arg(long, value_name = "ADDR", help_heading = "Serving")]
    pub(crate) https_listen: Option<Listen>,
    /// Believe the reverse proxy at this address or in this network about who asks (`X-Forwarded-For`, `Forwarded`):
    /// for the numbers, the tracker and the limits on connections. Nobody else's word is taken. May be given more than
    /// once.
    #[arg(long, value_name = "ADDR|NETWORK", help_heading = "Serving")]
    pub(crate) trusted_proxy: Vec<TrustedProxy>,
    /// While peers want more than the line carries, leave so much of it to plain downloads over HTTP, in percent, and
    /// half of that until somebody else has a whole copy. What peers leave free they have besides.
    #[arg(long, value_name = "PERCENT", default_value_t, help_heading = "Serving")]
    pub(crate) http_share: HttpShare,
    /// Lead downloads over HTTP that the line has no room for to the same file at this address, where the files of
    /// `podpub export --site` stand. They are counted as ours.
    ///
    /// Nobody is led to a file before the mirror has shown that it has it; one that is down or out of date is left
    /// alone for five minutes. What is sent to peers and to web seeds' clients is not led anywhere.
    #[arg(long, value_name = "URL", value_parser = parse_mirror, help_heading = "Serving")]
    pub(crate) mirror: Option<Urls>,
    /// Count nobody who calls himself something with this text in it: a monitor of yours, or a crawler that is not
    /// known yet. May be given more than once.
    #[arg(long, value_name = "TEXT", help_heading = "Numbers")]
    pub(crate) not_counted: Vec<String>,
    /// Count nobody at the addresses that this file names, such as your own or those of data centres: in the forms of a
    /// block list.
    #[arg(long, value_name = "FILE", value_parser = |path: &str| BlocklistFile::read(path.as_ref()), help_heading = "Numbers")]
    pub(crate) not_counted_from: Option<BlocklistFile>,
    /// Count downloads by country, too, with this database of countries, a file such as `GeoLite2-Country.mmdb`.
    #[arg(long, value_name = "FILE", value_parser = Countries::open, help_heading = "Numbers")]
    pub(crate) geo_database: Option<Countries>,
    /// Do this when something happens: `{ on = ["published"], run = ["program", "argument"] }`, or `url = "https://…"`
    /// in the place of `run`. In config.toml it is a table, `[[hook]]`. May be given more than once.
    ///
    /// Occasions are published, first-copy (somebody else holds all of an episode), replaced, withdrawn and disk-low. A
    /// program gets what happened as JSON on its standard input and in variables such as `PODPUB_EVENT` and
    /// `PODPUB_TITLE`, and is ended after `time = 60` seconds; no shell reads its arguments. A server gets the JSON by
    /// POST, signed with `secret = "…"` in `X-Hub-Signature-256`, again until it answers 2xx, also after a restart, for
    /// three days at most.
    #[arg(long, value_name = "HOOK", hide_default_value = true, help_heading = "Serving")]
    pub(crate) hook: Vec<Hook>,
    /// Publish what lands in this folder, as soon as it is whole, to the only show; and what lands in a folder in it,
    /// to the show of that name. What is published goes to `published` beside it; what cannot be gets a note beside
    /// it.
    #[arg(long, value_name = "DIR", help_heading = "Serving")]
    pub(crate) watch: Option<PathBuf>,
    /// Tell this hub (WebSub), too, when a feed has changed, and name it in feeds. May be given more than once.
    #[arg(long, value_name = "URL", value_parser = parse_hub, help_heading = "Serving")]
    pub(crate) hub: Vec<Url>,
    /// Be no hub, to which other servers subscribe (WebSub, rssCloud), and name none of ours in feeds.
    #[arg(long, help_heading = "Serving")]
    pub(crate) no_hub: bool,
    /// Serve figures for Prometheus (`/metrics`, and `/healthz`) here, and nowhere else: IP:PORT, or a port of this
    /// machine alone.
    #[arg(long, value_name = "ADDR", help_heading = "Serving")]
    pub(crate) metrics: Option<MetricsAddr>,
    /// Do not track over UDP, and name no tracker over UDP in torrents: for a host that UDP does not reach. Without it,
    /// the tracker listens on the UDP port of the same number, too.
    #[arg(long, help_heading = "Serving")]
    pub(crate) no_udp_tracker: bool,
    /// How to speak to peers.
    #[command(flatten)]
    pub(crate) engine: EngineArgs,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, and show it this once, with the address of the dashboard.
    ///
    /// It is taken under `/api/v1` of the public address: by the dashboard, by `podpub --server URL --token-file FILE`,
    /// by programs. From outside the house only over https.
    Add {
        /// Whose it is: your own words.
        name: String,
        /// What it may be used for: seeing all, also publishing and changing episodes, or everything.
        #[arg(long, value_enum, default_value_t = Role::Editor)]
        role: Role,
    },
    /// List the tokens that are good.
    List,
    /// Have a token open nothing any more.
    Revoke {
        /// Its name.
        name: String,
    },
}

/// What to do with the subscribers of a private show.
#[derive(Debug, Subcommand)]
pub(crate) enum SubscriberCommand {
    /// Let somebody in: show, this once, his own address of the feed, for any podcast app, torrent client or agent.
    Add {
        /// Who it is: your own words.
        name: String,
        /// The show: its short name or its title. [default: the only one]
        #[arg(long, value_name = "SHOW")]
        show: Option<String>,
    },
    /// List who is let in.
    List {
        /// The show: its short name or its title. [default: the only one]
        #[arg(long, value_name = "SHOW")]
        show: Option<String>,
    },
    /// Let somebody in no more: his feed, files, torrents and tracker are not found from now on.
    Revoke {
        /// The name.
        name: String,
        /// The show: its short name or its title. [default: the only one]
        #[arg(long, value_name = "SHOW")]
        show: Option<String>,
    },
}

/// What to do with `.torrent` files.
#[derive(Debug, Subcommand)]
pub(crate) enum TorrentCommand {
    /// Make a `.torrent` file of a file or folder.
    Create(CreateArgs),
    /// Show what a `.torrent` file says.
    Show {
        /// The `.torrent` file.
        #[arg(value_name = "TORRENT")]
        torrent: PathBuf,
    },
    /// Check files against a `.torrent` file; exit code 1 if a byte is wrong or missing.
    Verify {
        /// The `.torrent` file.
        #[arg(value_name = "TORRENT")]
        torrent: PathBuf,
        /// The file or folder. [default: what the torrent names, beside the `.torrent` file]
        #[arg(value_name = "PATH")]
        path: Option<PathBuf>,
    },
}

/// Which versions of the protocol a torrent speaks.
#[derive(Args, Clone, Copy, Debug)]
#[group(multiple = false)]
pub(crate) struct VersionArgs {
    /// Make a torrent that is v1 alone. [default]
    #[arg(long)]
    pub(crate) v1: bool,
    /// Make a torrent that is v1 and v2 (BEP 52), which aria2 before 1.37 and transmission before 4.0 cannot fetch; in
    /// a folder, clients that know v1 alone keep its padding as files.
    #[arg(long)]
    pub(crate) hybrid: bool,
    /// Make a torrent that is v2 alone, which many clients cannot read.
    #[arg(long)]
    pub(crate) v2: bool,
}

impl VersionArgs {
    /// What was asked for; `None` leaves it to the content.
    pub(crate) fn chosen(self) -> Option<TorrentVersion> {
        let chosen =
            [(self.v1, TorrentVersion::V1), (self.hybrid, TorrentVersion::Hybrid), (self.v2, TorrentVersion::V2)];
        chosen.into_iter().find(|(is_asked, _)| *is_asked).map(|(_, version)| version)
    }
}

/// The arguments of `torrent create`.
#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// The file or folder.
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,
    /// Where to write the torrent. [default: NAME.torrent in the current folder]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Announce URL; may be repeated, each is a tier of its own.
    #[arg(long, short, value_name = "URL")]
    pub(crate) tracker: Vec<String>,
    /// URL of a web server that has the content; may be repeated.
    #[arg(long, short, value_name = "URL")]
    pub(crate) web_seed: Vec<String>,
    /// What it speaks.
    #[command(flatten)]
    pub(crate) version: VersionArgs,
    /// Bytes to a piece: a power of two from 16384. [default: by the size of the content]
    #[arg(long, value_name = "BYTES")]
    pub(crate) piece_length: Option<u32>,
    /// The torrent's name. [default: the file's or folder's]
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// A word to whoever reads the torrent.
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// Let clients find peers through the trackers only.
    #[arg(long)]
    pub(crate) private: bool,
    /// Write over the output if it exists.
    #[arg(long)]
    pub(crate) force: bool,
}

/// Reads a path, or the empty value that takes back what was said.
fn path_or_nothing() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// Reads a hub's address.
fn parse_hub(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.fragment().is_none());
    url.ok_or_else(|| "want an address such as https://pubsubhubbub.appspot.com/".to_owned())
}

fn parse_mirror(text: &str) -> Result<Urls, String> {
    let urls = Urls::parse(text).ok();
    urls.ok_or_else(|| "want an address such as https://mirror.example/, with at most a port and a path".to_owned())
}

/// Reads a time: RFC 3339, or a date with or without a time of day in local time.
fn parse_time(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let formats = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"];
    let local = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let local = local.or_else(|| Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN)));
    let local = local.ok_or("want a time like `2026-11-20T18:00:00Z`, `2026-11-20 18:00` or `2026-11-20`")?;
    time_of_local(local).ok_or_else(|| "there is no such time here: clocks are put forward then".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _};
    use podswarm_core::app::local_time;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_time_is_read_with_or_without_its_zone() {
        assert_eq!(parse_time("2026-11-20T18:00:00+01:00").unwrap().to_rfc3339(), "2026-11-20T17:00:00+00:00");
        let local = local_time(parse_time("2026-11-20 18:00").unwrap());
        assert_eq!(local.format("%F %T").to_string(), "2026-11-20 18:00:00");
        assert!(parse_time("2026-11-20").is_ok());
        for bad in ["", "tomorrow", "2026-13-01", "18:00", "2026-11-20 25:00"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hooks_stand_in_the_file_as_tables() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let command = podswarm_core::app::config::with_file(Cli::command(), Some(&path), "PODTEST_HOOKS_")?;
            let matches = command.try_get_matches_from(["podpub", "serve"])?;
            let Command::Serve(args) = Cli::from_arg_matches(&matches)?.command else { panic!("not serve") };
            Ok::<_, podswarm_core::app::Failure>(args.hook)
        };
        let hook = "[[hook]]\non = ['published']\nrun = ['tell', 'a \"quoted\" word']\n";
        let hooks = read(&format!("listen = '127.0.0.1:1'\n{hook}{hook}time = 5\n")).unwrap();
        assert_eq!(hooks[0], r#"{ on = ["published"], run = ["tell", 'a "quoted" word'] }"#.parse().unwrap());
        assert_eq!(hooks[1].time, std::time::Duration::from_secs(5));
        let refused = read("[[hook]]\non = ['full-moon']\nrun = ['x']").unwrap_err().to_string();
        assert!(refused.contains("config.toml") && refused.contains("full-moon"), "{refused}");
    }

    #[test]
    fn explicit_is_a_switch_that_can_be_taken_back() {
        let explicit = |flags: &[&str]| {
            let cli = Cli::try_parse_from(["podpub", "edit"].iter().chain(flags)).unwrap();
            let Command::Edit(args) = cli.command else { panic!("not edit") };
            args.fields.explicit
        };
        assert_eq!(explicit(&[]), None);
        assert_eq!(explicit(&["--explicit"]), Some(true));
        assert_eq!(explicit(&["--explicit=false"]), Some(false));
    }
}
