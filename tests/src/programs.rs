//! The two programs of Podswarm, as a test runs them on a host.
//!
//! The programs are built, if they are not up to date, in the profile that the test itself was built in.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use podswarm_core::metainfo::Metainfo;
use serde_json::Value;

use crate::http;
use crate::net::Host;
use crate::process::{Ended, Line, PATIENCE, Program};

/// Where `podpub` lies.
pub fn podpub() -> PathBuf {
    built().join("podpub")
}

/// Where `podsub` lies.
pub fn podsub() -> PathBuf {
    built().join("podsub")
}

/// A way to peers, or for them to us, that needs no tracker. The programs of tests go none of them but those that a
/// test names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Local service discovery.
    Neighbours,
    /// The distributed hash table.
    Table,
    /// A port that the router maps.
    Mapping,
}

impl Way {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Neighbours, Self::Table, Self::Mapping];

    /// The setting of our programs that closes it.
    const fn closed_by(self) -> &'static str {
        match self {
            Self::Neighbours => "PODSWARM_NO_LSD",
            Self::Table => "PODSWARM_NO_DHT",
            Self::Mapping => "PODSWARM_NO_PORT_MAP",
        }
    }
}

/// Has a program of ours go these ways to peers and no others.
pub fn open_only<'a>(command: &'a mut Command, ways: &[Way]) -> &'a mut Command {
    for way in Way::ALL.into_iter().filter(|way| !ways.contains(way)) {
        command.env(way.closed_by(), "1");
    }
    command
}

/// `podpub` on `host`.
pub fn podpub_on(host: &Host, ways: &[Way]) -> Command {
    let mut command = host.command(podpub());
    open_only(&mut command, ways);
    command
}

/// `podsub` on `host`, whatever the machine below calls its line and however little room it has.
pub fn podsub_on(host: &Host, ways: &[Way]) -> Command {
    let mut command = host.command(podsub());
    open_only(&mut command, ways).env("PODSWARM_ON_METERED", "everything").env("PODSWARM_LEAVE_FREE", "1MB");
    command
}

/// A running `podpub serve`.
#[derive(Debug)]
pub struct Publisher {
    /// Where it runs.
    pub host: Host,
    /// The program, for its events and its memory.
    pub program: Program,
    /// The port of the feeds, the media and the tracker.
    pub http_port: u16,
    data: PathBuf,
}

/// What `podpub publish` reported.
#[derive(Clone, Debug)]
pub struct Release {
    /// When it was reported.
    pub at: Instant,
    /// The URL of the show's podcast feed.
    pub feed: String,
    /// What names the episode for ever.
    pub guid: String,
    /// The URL of the metainfo.
    pub torrent: String,
    /// The URL of the file.
    pub media: String,
    /// The URL of the episode's page.
    pub page: String,
}

/// What the daemon says of its only episode.
#[derive(Clone, Copy, Debug)]
pub struct Seeding {
    /// Full copies that others hold, in thousandths.
    pub copies_milli: u64,
    /// Bytes of content that left the daemon, to peers and over HTTP.
    pub sent: u64,
}

impl Publisher {
    /// Starts the daemon on `host` with the data directory `data`, and waits until it listens.
    ///
    /// URLs name the host's address of `family`, or whatever `podpub` chooses.
    #[track_caller]
    pub fn serve(host: &Host, data: &Path, address: Option<IpAddr>) -> Self {
        Self::serve_with(host, data, address, &[])
    }

    /// The same with some flags.
    #[track_caller]
    pub fn serve_with(host: &Host, data: &Path, address: Option<IpAddr>, flags: &[&str]) -> Self {
        Self::serve_over(host, data, address, &[], flags)
    }

    /// The same by some ways to peers that need no tracker.
    #[track_caller]
    pub fn serve_over(host: &Host, data: &Path, address: Option<IpAddr>, ways: &[Way], flags: &[&str]) -> Self {
        let mut command = podpub_on(host, ways);
        command.args(["serve", "--json", "--data-dir"]).arg(data).args(flags);
        if let Some(address) = address {
            command.arg("--public-url").arg(format!("http://{}", SocketAddr::new(address, 6969)));
        }
        let mut program = Program::start(&format!("podpub on {}", host.name()), command);
        let (_, http_port) = program.wait_for("HTTP address", PATIENCE, |line| {
            let event = line.json();
            let addr: SocketAddr = event["addr"].as_str()?.parse().ok()?;
            (event["event"] == "listening" && event["kind"] == "http").then_some(addr.port())
        });
        Self { host: host.clone(), program, http_port, data: data.to_owned() }
    }

    /// Publishes `path` through the running daemon.
    #[track_caller]
    pub fn publish(&self, path: &Path) -> Release {
        self.publish_with(&[], &[path])
    }

    /// Publishes `paths` through the running daemon with some flags, and returns what it says of the first.
    #[track_caller]
    pub fn publish_with(&self, flags: &[&str], paths: &[impl AsRef<Path>]) -> Release {
        let mut command = self.command("publish");
        command.args(flags).args(paths.iter().map(AsRef::as_ref));
        let ended = Program::start("podpub publish", command).end(PATIENCE);
        assert_eq!(ended.code, Some(0), "podpub publish: {}", ended.stderr);
        release(&ended).unwrap_or_else(|| panic!("podpub publish reported nothing: {:?}", ended.lines))
    }

    /// A `podpub` command on the daemon's host and data directory, with `--json`.
    pub fn command(&self, name: &str) -> Command {
        let mut command = podpub_on(&self.host, &[]);
        command.args([name, "--json", "--data-dir"]).arg(&self.data);
        command
    }

    /// All that `podpub status` says.
    #[track_caller]
    pub fn full_status(&self) -> Value {
        let ended = Program::start("podpub status", self.command("status")).end(PATIENCE);
        assert_eq!(ended.code, Some(0), "podpub status: {}", ended.stderr);
        ended.lines.first().expect("a status is a line").json()
    }

    /// Asks `podpub status` until `pick` is content with what it says.
    #[track_caller]
    pub fn await_status(&self, pick: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let status = self.full_status();
            if pick(&status) {
                return status;
            }
            assert!(Instant::now() < end, "{status}");
        }
    }

    /// What `podpub status` says of the only episode.
    #[track_caller]
    pub fn status(&self) -> Seeding {
        let status = self.full_status();
        let count = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("a count is missing in {status}"));
        Seeding {
            copies_milli: count(&status["episodes"][0]["swarm"]["copies_milli"]),
            sent: count(&status["uploaded"]) + count(&status["sent_over_http"]),
        }
    }
}

/// What a `podpub publish` that has ended reported, if it reported a release.
pub fn release(ended: &Ended) -> Option<Release> {
    let line = ended.lines.iter().find(|line| line.event().as_deref() == Some("published"))?;
    let report = line.json();
    let text = |part: &str, key: &str| {
        report[part][key].as_str().unwrap_or_else(|| panic!("no {key:?} of the {part} in {report}")).to_owned()
    };
    Some(Release {
        at: line.at,
        feed: text("show", "feed"),
        guid: text("episode", "guid"),
        torrent: text("episode", "torrent"),
        media: text("episode", "media"),
        page: text("episode", "page"),
    })
}

/// Starts `podsub run FEED` on `host` with the data directory `data`; episodes land in its `library`.
#[track_caller]
pub fn agent(host: &Host, data: &Path, feed: &str) -> Program {
    agent_over(host, &[], data, feed)
}

/// The same by some ways to peers that need no tracker.
#[track_caller]
pub fn agent_over(host: &Host, ways: &[Way], data: &Path, feed: &str) -> Program {
    let mut command = podsub_on(host, ways);
    command.args(["run", "--json", "--data-dir"]).arg(data).arg(feed);
    Program::start(&format!("podsub on {}", host.name()), command)
}

/// Asks the agent on `host` with the data directory `data` for its status until `pick` is content with it.
#[track_caller]
pub fn await_status(host: &Host, data: &Path, pick: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let mut command = podsub_on(host, &[]);
        command.args(["status", "--json", "--data-dir"]).arg(data);
        let ended = Program::start("podsub status", command).end(PATIENCE);
        let status = ended.lines.first().map(Line::json).unwrap_or_default();
        if pick(&status) {
            return status;
        }
        assert!(Instant::now() < end, "{status} {}", ended.stderr);
    }
}

/// Waits until `agent` has an episode and returns when it had, and where it is.
#[track_caller]
pub fn complete(agent: &mut Program, limit: std::time::Duration) -> (Instant, PathBuf) {
    let (at, event) = agent.event("complete", limit);
    (at, event["path"].as_str().expect("a complete episode has a path").into())
}

/// Starts `podsub get SOURCE` on `host`; the file lands in the folder `output`.
#[track_caller]
pub fn get(host: &Host, source: &Path, output: &Path) -> Program {
    get_with(host, source, output, &[])
}

/// The same with some flags.
#[track_caller]
pub fn get_with(host: &Host, source: &Path, output: &Path, flags: &[&str]) -> Program {
    get_over(host, &[], source, output, flags)
}

/// The same by some ways to peers that need no tracker.
#[track_caller]
pub fn get_over(host: &Host, ways: &[Way], source: &Path, output: &Path, flags: &[&str]) -> Program {
    let mut command = podsub_on(host, ways);
    command.args(["get", "-vv", "--json", "--data-dir"]).arg(output.with_extension("data"));
    command.args(flags).arg("--output").arg(output).arg(source);
    Program::start(&format!("podsub get on {}", host.name()), command)
}

/// Starts `podsub get --seed SOURCE` on `host`, which goes on running; the file lands in the folder `output`.
#[track_caller]
pub fn get_and_seed(host: &Host, source: &str, output: &Path) -> Program {
    let mut command = podsub_on(host, &[]);
    command.args(["get", "--seed", "--json", "--data-dir"]).arg(output.with_extension("data"));
    command.arg("--output").arg(output).arg(source);
    Program::start(&format!("podsub get on {}", host.name()), command)
}

/// Fetches the metainfo at `url` and writes it into `folder` without its web seeds: what is left is the swarm.
#[track_caller]
pub fn without_web_seeds(host: &Host, url: &str, folder: &Path) -> PathBuf {
    let mut metainfo = metainfo(host, url);
    metainfo.web_seeds.clear();
    write(&metainfo, folder)
}

/// The same with no tracker but that at `tracker`, over UDP.
#[track_caller]
pub fn over_udp_only(host: &Host, url: &str, folder: &Path, tracker: SocketAddr) -> PathBuf {
    let mut metainfo = metainfo(host, url);
    metainfo.web_seeds.clear();
    metainfo.trackers = vec![vec![format!("udp://{tracker}/announce")]];
    write(&metainfo, folder)
}

/// Fetches the metainfo at `url`.
#[track_caller]
pub fn metainfo(host: &Host, url: &str) -> Metainfo {
    let answer = http::get(host, url, &[]);
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/x-bittorrent"));
    Metainfo::parse(&answer.body).expect("our own metainfo is good")
}

fn write(metainfo: &Metainfo, folder: &Path) -> PathBuf {
    let path = folder.join("swarm only.torrent");
    std::fs::write(&path, metainfo.encode()).expect("the test's folder is ours");
    path
}

fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = crate::target_dir();
        let profile = match folder.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(other) => other,
        };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let what: &[&str] = match profile {
            // With a test among the targets they have the features that tests of the workspace are built with, so what
            // both are made of is built once.
            "dev" => &["--workspace", "--bin", "podpub", "--bin", "podsub", "--test", "tidy"],
            // And here those that `cargo build --release` gives everybody.
            _ => &["--workspace", "--bins"],
        };
        // What cargo tells a test of its own package would be news to build scripts, and have them run again.
        let told = std::env::vars_os().map(|(name, _)| name);
        let told = told.filter(|name| {
            name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        });
        let mut build = Command::new(cargo);
        told.for_each(|name| _ = build.env_remove(name));
        let output = build
            .args(["build", "--quiet", "--profile", profile])
            .args(what)
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .output()
            .expect("cargo starts");
        assert!(output.status.success(), "cargo build: {}", String::from_utf8_lossy(&output.stderr));
        folder
    })
}
