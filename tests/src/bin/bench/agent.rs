//! A thousand feeds and five thousand seeded episodes on one agent, and what it costs to poll those feeds, beside
//! others that only poll.
//!
//! The agent makes its records itself: it imports the feeds, and fetches the newest episodes of each from the web
//! server that their torrents name. Only then do the torrents get a tracker, with which it would first wait for peers.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use podswarm_core::metainfo::{Metainfo, MetainfoBuilder, TorrentPath};
use podswarm_core::net::create::{HashOptions, Watch, hash_pieces};
use podswarm_core::rng::Rng;
use podswarm_feeds::model::{Episode, EpisodeKind, FeedPage, FeedUrls, Media, Show, TorrentRef};
use podswarm_feeds::tags::Tags;
use podswarm_feeds::write::podcast_feed;
use podswarm_tests::crowd::opentracker;
use podswarm_tests::files::{random_file, scratch};
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{Ended, Program, cpu_time_of_ended};
use podswarm_tests::programs::{open_only, podsub, podsub_on};

use crate::report::{Section, median, short};

/// Feeds that are followed.
const FEEDS: usize = 1000;
/// Items of each.
const ITEMS: usize = 50;
/// Episodes of each that are kept and seeded, the newest.
const KEPT: usize = 5;
/// Bytes of an episode, and of a piece: as many pieces as an hour of talk has, so that their hashes weigh the same.
const LENGTH: u64 = 64 << 10;
const PIECE_LENGTH: u32 = 1 << 10;
/// So many files may the agent have open, where nobody has raised what systems allow.
const OPEN_FILES: &str = "--nofile=1024:1024";
/// Trackers have heard of everything after this time.
const SETTLE: Duration = Duration::from_mins(1);
/// How long the agent is looked at.
const WATCH: Duration = Duration::from_mins(1);
/// The slowest step takes minutes.
const LIMIT: Duration = Duration::from_mins(30);
/// Items that tell of the next season begin so; the agent is told not to take them.
const TRAILER: &str = "Trailer";

/// Who polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Poller {
    Podswarm,
    Newsboat,
    Gpodder,
}

impl Poller {
    const ALL: [Self; 3] = [Self::Podswarm, Self::Newsboat, Self::Gpodder];

    const fn name(self) -> &'static str {
        match self {
            Self::Podswarm => "Podswarm",
            Self::Newsboat => "newsboat",
            Self::Gpodder => "gPodder",
        }
    }
}

/// What one run has shown of the agent.
struct Agent {
    started: Duration,
    resident: f64,
    idle: Duration,
    open_files: f64,
}

/// What polling everything costs in processor time, where everything has changed and where nothing has.
#[derive(Default)]
struct Polls {
    changed: Vec<f64>,
    same: Vec<f64>,
}

pub(crate) fn measure(runs: usize) -> Section {
    let mut section = Section {
        name: "agent",
        title: "A thousand feeds, five thousand episodes".to_owned(),
        text: format!(
            "One agent follows {FEEDS} feeds of {ITEMS} items at one nginx, and seeds the {KEPT} newest episodes of each, every one a torrent \
             of {} pieces at one opentracker; it may have 1024 files open. From the start of `podsub run` until it has looked at the \
             files of all and seeds them; memory, open files and processor after a minute, over one minute between polls. Then \
             `podsub update`, `newsboat -x reload` and `gpo update` poll all of them: first each feed has one item more, then none \
             has. The agent's time is that of the command and of all that the agent does meanwhile.",
            LENGTH / u64::from(PIECE_LENGTH),
        ),
        columns: vec![
            "",
            "every feed changed, processor",
            "none changed, processor",
            "seeds all after",
            "resident",
            "processor in an idle minute",
            "open files",
        ],
        rows: Vec::new(),
        bars: Vec::new(),
        bars_say: "seconds of processor for a poll of every feed".to_owned(),
        limit: None,
    };
    let (folder, mut net) = (scratch(), Net::new());
    let (server, home) = (net.host("server"), net.host("home"));
    let mut site = Site::make(&server, folder.path());
    let _nginx = site.serve(&server);
    let _tracker = opentracker(&server, folder.path(), &site.torrents);
    let clients = Clients::subscribe(&home, folder.path(), &site);
    let mut polls = Poller::ALL.map(|_| Polls::default());
    let mut agents = Vec::new();
    for _ in 0..runs {
        let (mut agent, started) = clients.start_agent();
        agents.push(watch(&mut agent, started));
        site.add_an_item();
        for (poller, polls) in Poller::ALL.into_iter().zip(&mut polls) {
            polls.changed.push(clients.poll(poller, &agent, &site, 200));
            polls.same.push(clients.poll(poller, &agent, &site, 304));
        }
        agent.stop(LIMIT);
    }
    for (poller, polls) in Poller::ALL.into_iter().zip(polls) {
        let [changed, same] = [polls.changed, polls.same].map(median);
        let mut row = vec![poller.name().to_owned(), format!("{} s", short(changed)), format!("{} s", short(same))];
        if poller == Poller::Podswarm {
            let figure = |pick: fn(&Agent) -> f64| short(median(agents.iter().map(pick).collect()));
            row.push(format!("{} s", figure(|agent| agent.started.as_secs_f64())));
            row.push(format!("{} MiB", figure(|agent| agent.resident)));
            row.push(format!("{} s", figure(|agent| agent.idle.as_secs_f64())));
            row.push(figure(|agent| agent.open_files));
        } else {
            row.extend(std::iter::repeat_n("-".to_owned(), 4));
        }
        section.rows.push(row);
        section.bars.push((format!("{}, changed", poller.name()), changed));
        section.bars.push((format!("{}, unchanged", poller.name()), same));
    }
    section
}

/// What the agent uses while nothing happens.
fn watch(agent: &mut Program, started: Duration) -> Agent {
    agent.go_on(SETTLE);
    let before = agent.cpu_time();
    agent.go_on(WATCH);
    let idle = agent.cpu_time().saturating_sub(before);
    let kib = f64::from(u32::try_from(agent.memory().0 / 1024).expect("less than 4 TiB"));
    let open = f64::from(u32::try_from(agent.open_files()).expect("a process has few open files"));
    Agent { started, resident: kib / 1024.0, idle, open_files: open }
}

/// The feeds, torrents and files on the web server.
struct Site {
    root: PathBuf,
    at: SocketAddr,
    /// The torrents of what is kept, on the disk.
    torrents: Vec<PathBuf>,
    /// Each show's, the newest first.
    kept: Vec<Vec<TorrentRef>>,
    /// Items that each feed has besides the first.
    more: usize,
}

impl Site {
    /// Makes everything below `folder`.
    fn make(server: &Host, folder: &Path) -> Self {
        let root = folder.join("site");
        fs::create_dir(&root).expect("the run's folder is ours");
        let at = SocketAddr::new(server.v4(), 8080);
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let shows: Vec<usize> = (0..FEEDS).collect();
        let made: Vec<(Vec<PathBuf>, Vec<TorrentRef>)> = thread::scope(|scope| {
            let root = &root;
            let some =
                |some: Vec<usize>| some.into_iter().map(|show| make_torrents(root, at, show)).collect::<Vec<_>>();
            let crew: Vec<_> = shows
                .chunks(FEEDS.div_ceil(threads))
                .map(<[usize]>::to_vec)
                .map(|chunk| scope.spawn(move || some(chunk)))
                .collect();
            crew.into_iter().flat_map(|thread| thread.join().expect("it makes files only")).collect()
        });
        let (torrents, kept): (Vec<Vec<PathBuf>>, Vec<Vec<TorrentRef>>) = made.into_iter().unzip();
        let site = Self { root, at, torrents: torrents.concat(), kept, more: 0 };
        site.write_feeds();
        site
    }

    fn serve(&self, server: &Host) -> Program {
        let text = format!(
            "daemon off; user root; worker_processes 1; pid {0}/nginx.pid; error_log stderr;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ sendfile on; tcp_nopush on; keepalive_requests 100000;\n\
             types {{ application/rss+xml xml; audio/mpeg mp3; application/x-bittorrent torrent; }}\n\
             gzip on; gzip_types application/rss+xml; log_format told '$status $uri'; access_log {1} told;\n\
             server {{ listen 8080; root {0}; }} }}\n",
            self.root.display(),
            self.log().display(),
        );
        let config = self.root.with_extension("conf");
        fs::write(&config, text).expect("the run's folder is ours");
        let mut command = server.command("nginx");
        command.arg("-c").arg(config);
        let program = Program::start("nginx", command);
        server.wait_for_port(8080);
        program
    }

    fn log(&self) -> PathBuf {
        self.root.with_extension("log")
    }

    /// How many requests for feeds were answered with `status` so far.
    fn answers(&self, status: u16) -> usize {
        let begin = format!("{status} /feeds/");
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        log.lines().filter(|line| line.starts_with(&begin)).count()
    }

    fn feeds(&self) -> impl Iterator<Item = String> {
        (0..FEEDS).map(|show| format!("http://{}/feeds/{show}.xml", self.at))
    }

    /// Gives every feed one item more.
    fn add_an_item(&mut self) {
        self.more += 1;
        self.write_feeds();
    }

    fn write_feeds(&self) {
        let folder = self.root.join("feeds");
        fs::create_dir_all(&folder).expect("the run's folder is ours");
        for (show, kept) in self.kept.iter().enumerate() {
            let feed = feed(self.at, show, kept, self.more);
            fs::write(folder.join(format!("{show}.xml")), feed).expect("the run's folder is ours");
        }
    }

    /// The same list for every client.
    fn opml(&self) -> String {
        let outline = |url| format!("<outline type=\"rss\" text=\"{url}\" xmlUrl=\"{url}\"/>\n");
        let outlines: String = self.feeds().map(outline).collect();
        format!("<?xml version=\"1.0\"?>\n<opml version=\"2.0\"><head/><body>\n{outlines}</body></opml>\n")
    }
}

/// Makes the files that are kept of a show, and their torrents.
fn make_torrents(root: &Path, at: SocketAddr, show: usize) -> (Vec<PathBuf>, Vec<TorrentRef>) {
    let folder = root.join(format!("media/{show}"));
    fs::create_dir_all(&folder).expect("the run's folder is ours");
    let one = |number: usize| {
        let name = format!("episode-{number}.mp3");
        let path = random_file(&folder.join(&name), LENGTH, (show * ITEMS + number) as u64);
        let hashed = hash_pieces(&[(path.clone(), LENGTH)], PIECE_LENGTH, HashOptions::default(), Watch::default());
        let pieces = hashed.expect("the file was just made").hashes.pieces.expect("a torrent is v1 by default");
        let file = TorrentPath::new([name.as_str()]).expect("the name is plain");
        let media = format!("http://{at}/media/{show}/{name}");
        let made = MetainfoBuilder::file(file, LENGTH, PIECE_LENGTH, pieces).web_seeds(vec![media]).build();
        let metainfo = made.expect("its parts are good");
        let bytes = metainfo.encode();
        let torrent = path.with_extension("torrent");
        fs::write(&torrent, &bytes).expect("the run's folder is ours");
        let told = TorrentRef {
            url: url(at, &format!("media/{show}/episode-{number}.torrent")),
            length: bytes.len() as u64,
            info_hash: metainfo.info_hash,
            magnet: Some(metainfo.magnet().to_string()),
            info_name: name,
            folder_length: None,
        };
        (torrent, told)
    };
    (0..KEPT).map(|place| one(ITEMS - 1 - place)).unzip()
}

fn url(at: SocketAddr, path: &str) -> url::Url {
    format!("http://{at}/{path}").parse().expect("it is a URL")
}

/// A show's feed with `more` trailers before everything else.
fn feed(at: SocketAddr, show: usize, kept: &[TorrentRef], more: usize) -> String {
    let own = |file: &str| url(at, &format!("feeds/{show}{file}"));
    let urls = FeedUrls {
        feed: own(".xml"),
        torrents: own("-torrents.xml"),
        json: own(".json"),
        atom: own(".atom"),
        events: None,
        hubs: Vec::new(),
        cloud: None,
        page: own(".html"),
        at: FeedPage::default(),
    };
    let mut rng = Rng::from_seed_u64(show as u64);
    let head = Show {
        slug: format!("show-{show}"),
        title: format!("The Show Number {show}"),
        author: Some("Somebody".to_owned()),
        description: prose(&mut rng, 60),
        language: "en".to_owned(),
        categories: vec!["Society & Culture".to_owned()],
        ..Show::default()
    };
    let episodes: Vec<Episode> = (0..ITEMS + more)
        .map(|number| {
            let what = if number < ITEMS { "Episode" } else { TRAILER };
            let torrent = (ITEMS.checked_sub(number + 1)).and_then(|place| kept.get(place)).cloned();
            episode(at, show, number, what, torrent, prose(&mut rng, 220))
        })
        .collect();
    podcast_feed(&head, &episodes, &urls)
}

fn episode(
    at: SocketAddr,
    show: usize,
    number: usize,
    what: &str,
    torrent: Option<TorrentRef>,
    notes: String,
) -> Episode {
    let file_name = format!("episode-{number}.mp3");
    let first: DateTime<Utc> = DateTime::from_timestamp(1_700_000_000, 0).expect("it is a time");
    let weeks = TimeDelta::weeks(i64::try_from(number).expect("there are few"));
    Episode {
        guid: format!("a1b2c3d4-{show:04}-{number:04}-{:012x}", show * 7919 + number),
        guid_is_link: false,
        title: format!("{what} {number}: what was said about number {number} of {show}"),
        notes,
        published: first + weeks,
        season: Some(1),
        number: u32::try_from(number + 1).ok(),
        season_name: None,
        number_name: None,
        kind: EpisodeKind::Full,
        duration: Some(Duration::from_hours(1)),
        explicit: false,
        is_blocked: false,
        tags: Tags::default(),
        media: Media {
            url: url(at, &format!("media/{show}/{file_name}")),
            length: LENGTH,
            mime: "audio/mpeg".to_owned(),
            file_name,
            sri: None,
        },
        torrent,
        image_url: None,
        page_url: Some(url(at, &format!("shows/{show}/{number}"))),
        chapters_url: None,
        transcripts: Vec::new(),
    }
}

/// So many words of show notes.
fn prose(rng: &mut Rng, words: usize) -> String {
    const WORDS: [&str; 16] = [
        "evening", "harbour", "listener", "the", "of", "and", "a", "river", "machine", "question", "people", "winter",
        "about", "station", "small", "light",
    ];
    let said: Vec<&str> = (0..words).map(|_| WORDS[rng.below(WORDS.len())]).collect();
    format!("<p>{}.</p>", said.join(" "))
}

/// The three clients, each with its own records of the same feeds.
struct Clients {
    home: Host,
    folder: PathBuf,
}

impl Clients {
    /// Has each follow every feed, and the agent fetch what it is to seed.
    fn subscribe(home: &Host, folder: &Path, site: &Site) -> Self {
        let clients = Self { home: home.clone(), folder: folder.to_owned() };
        for name in ["newsboat", "gpodder"] {
            fs::create_dir(folder.join(name)).expect("the run's folder is ours");
        }
        fs::write(clients.list(), site.opml()).expect("the run's folder is ours");
        fs::write(folder.join("newsboat/urls"), site.feeds().map(|url| url + "\n").collect::<String>())
            .expect("the run's folder is ours");
        fs::write(folder.join("newsboat/config"), "").expect("the run's folder is ours");
        let newsboat = Program::start("newsboat", clients.newsboat());
        let gpodder = Program::start("gpo import", clients.gpodder(&["import".as_ref(), clients.list().as_os_str()]));
        let backlog = KEPT.to_string();
        let mut import = clients.podsub(&["import", "--quiet", "--backlog", &backlog, "--skip", TRAILER]);
        import.arg(clients.list());
        must_end("podsub import", Program::start("podsub import", import));
        // All of it comes from one host.
        let at_once = ["--downloads", "64", "--downloads-per-host", "64"];
        let mut fetch = clients.podsub(&["run", "--once", "--quiet", "--leave-free", "1MB"]);
        fetch.args(at_once);
        must_end("podsub run --once", Program::start("podsub run --once", fetch));
        clients.name_tracker(SocketAddr::new(site.at.ip(), 6969));
        must_end("newsboat", newsboat);
        must_end("gpo import", gpodder);
        clients
    }

    fn list(&self) -> PathBuf {
        self.folder.join("feeds.opml")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("podsub")
    }

    /// Has the agent announce what it has to this tracker.
    fn name_tracker(&self, tracker: SocketAddr) {
        let copies = fs::read_dir(self.data().join("torrents")).expect("the agent keeps its torrents there");
        for copy in copies {
            let path = copy.expect("the folder reads").path();
            let bytes = fs::read(&path).expect("the copy is there");
            let mut metainfo = Metainfo::parse(&bytes).expect("our own metainfo is good");
            metainfo.trackers = vec![vec![format!("http://{tracker}/announce")]];
            fs::write(path, metainfo.encode()).expect("the run's folder is ours");
        }
    }

    /// `podsub` with these arguments, on the agent's records.
    fn podsub(&self, args: &[&str]) -> Command {
        let mut command = podsub_on(&self.home, &[]);
        command.args(args).arg("--data-dir").arg(self.data());
        command
    }

    fn newsboat(&self) -> Command {
        let own = self.folder.join("newsboat");
        let mut command = self.home.command("newsboat");
        command.arg("-u").arg(own.join("urls")).arg("-c").arg(own.join("cache.db")).arg("-C").arg(own.join("config"));
        command.args(["-x", "reload"]).env("HOME", own);
        command
    }

    fn gpodder(&self, args: &[&std::ffi::OsStr]) -> Command {
        let own = self.folder.join("gpodder");
        let mut command = self.home.command("gpo");
        command
            .args(args)
            .env("GPODDER_HOME", &own)
            .env("GPODDER_DOWNLOAD_DIR", own.join("downloads"))
            .env("HOME", own);
        command
    }

    /// Starts the agent; returns how long it took until it seeded everything.
    fn start_agent(&self) -> (Program, Duration) {
        let began = Instant::now();
        let mut command = self.home.command("prlimit");
        command.arg(OPEN_FILES).arg(podsub());
        // Nothing is to be polled while it is looked at.
        command.args(["run", "--json", "--interval", "12h", "--data-dir"]).arg(self.data());
        open_only(&mut command, &[]);
        let mut agent = Program::start("podsub run", command);
        agent.event("listening", LIMIT);
        loop {
            let status = must_end("podsub status", Program::start("podsub status", self.podsub(&["status", "--json"])));
            let status = status.lines.first().map(podswarm_tests::process::Line::json).unwrap_or_default();
            let seeds = status["seeding"]["torrents"].as_u64().unwrap_or_default();
            if seeds == (FEEDS * KEPT) as u64 {
                return (agent, began.elapsed());
            }
            assert!(began.elapsed() < LIMIT, "the agent seeds {seeds} torrents: {}", agent.stderr());
            agent.go_on(Duration::from_millis(50));
        }
    }

    /// Polls every feed, each of which is to answer with `status`; returns the seconds of processor that it took.
    fn poll(&self, poller: Poller, agent: &Program, site: &Site, status: u16) -> f64 {
        let used = || match poller {
            Poller::Podswarm => cpu_time_of_ended() + agent.cpu_time(),
            Poller::Newsboat | Poller::Gpodder => cpu_time_of_ended(),
        };
        let command = match poller {
            Poller::Podswarm => self.podsub(&["update", "--json"]),
            Poller::Newsboat => self.newsboat(),
            Poller::Gpodder => self.gpodder(&["update".as_ref()]),
        };
        let (before, answers) = (used(), site.answers(status));
        let ended = must_end(poller.name(), Program::start(poller.name(), command));
        let used = used().saturating_sub(before);
        let answers = site.answers(status) - answers;
        assert_eq!(answers, FEEDS, "{} got {answers} answers with {status}: {}", poller.name(), ended.stderr);
        if poller == Poller::Podswarm {
            let told = ended.lines.iter().map(|line| line.json()["status"].clone());
            assert_eq!(told.filter(|told| *told == status).count(), FEEDS, "{}", ended.stderr);
        }
        used.as_secs_f64()
    }
}

#[track_caller]
fn must_end(name: &str, program: Program) -> Ended {
    let ended = program.end(LIMIT);
    assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
    ended
}
