//! A flash crowd: one publisher, N subscribers, links of fixed rates, programs of ours or of others.
//!
//! How fast it can be at best is known (Kumar and Ross, "Peer-assisted file distribution: the minimum distribution
//! time", 2006): `max(F/u_s, F/d_min, N·F/(u_s + Σu_i))`. What a run reaches is told as a ratio to that bound, so
//! that figures of different machines and crowds compare.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use podswarm_core::metainfo::Metainfo;
use podswarm_core::rng::Rng;
use tempfile::TempDir;

use crate::clients::Client;
use crate::files::{MIB, assert_same_bytes, only_file_like, random_file, scratch};
use crate::net::{Host, Link, Net};
use crate::process::{PATIENCE, Program};
use crate::programs::{Publisher, Release, agent, complete, podpub, without_web_seeds};
use crate::web::Nginx;

/// The publisher's link.
pub const PUBLISHER: Link = Link { up_mbit: 20, down_mbit: 50 };
/// A subscriber's link.
pub const SUBSCRIBER: Link = Link { up_mbit: 10, down_mbit: 50 };
/// What one TCP stream carries of a link's rate.
const PAYLOAD_ONE_WAY: f64 = 19.13 / 20.0;
/// What TCP carries of a link's rate while the acknowledgements of what comes the other way share it.
const PAYLOAD_BOTH_WAYS: f64 = 9.12 / 10.0;

/// Who a crowd is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Our publisher and our agents, who learn of the episode by its feed.
    Podswarm,
    /// A client of others on both sides, with Debian's opentracker.
    Others(Client),
    /// A client of others, served by our publisher and its tracker.
    Served(Client),
    /// nginx and curl.
    Http,
}

/// What a crowd is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Who it is made of.
    pub kind: Kind,
    /// How large the episode is, in MiB.
    pub mib: u64,
    /// Each subscriber's link.
    pub links: Vec<Link>,
    /// When each is started, from the start of the first; ascending.
    pub starts: Vec<Duration>,
    /// How many fetch the episode over HTTP at the same time, from our publisher, by a link faster than his.
    pub downloads: usize,
}

impl Plan {
    /// `peers` equal subscribers that start together.
    pub fn new(kind: Kind, peers: usize, mib: u64) -> Self {
        Self { kind, mib, links: vec![SUBSCRIBER; peers], starts: vec![Duration::ZERO; peers], downloads: 0 }
    }

    /// Gives the subscribers uplinks from 1 to 100 Mbit/s, evenly spread on a scale of ratios.
    #[must_use]
    pub fn with_mixed_uplinks(mut self) -> Self {
        let count = self.links.len();
        for (link, at) in self.links.iter_mut().zip(0_u32..) {
            let place = f64::from(at) / f64::from(u32::try_from(count.max(2) - 1).expect("a crowd fits the machine"));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 100")]
            let up_mbit = 100_f64.powf(place).round() as u32;
            *link = Link { up_mbit, down_mbit: SUBSCRIBER.down_mbit.max(up_mbit) };
        }
        Rng::from_seed_u64(7).shuffle(&mut self.links);
        self
    }

    /// Lets the subscribers come one by one at random moments (a Poisson process's) of `span`.
    #[must_use]
    pub fn with_arrivals_over(mut self, span: Duration) -> Self {
        let mut rng = Rng::from_seed_u64(11);
        for start in self.starts.iter_mut().skip(1) {
            *start = span.mul_f64(f64::from(rng.next_u32()) / f64::from(u32::MAX));
        }
        self.starts.sort();
        self
    }

    /// Lets so many fetch the episode over HTTP beside the subscribers.
    #[must_use]
    pub fn with_downloads(self, downloads: usize) -> Self {
        Self { downloads, ..self }
    }

    /// The least time in which all have the episode if all start together.
    pub fn bound(&self) -> Duration {
        let length = megabit(self.mib * MIB);
        let own = f64::from(PUBLISHER.up_mbit) * PAYLOAD_ONE_WAY;
        let theirs: f64 = self.links.iter().map(|link| f64::from(link.up_mbit) * PAYLOAD_BOTH_WAYS).sum();
        let slowest = self.links.iter().map(|link| link.down_mbit).min().expect("a crowd has a subscriber");
        let down = f64::from(slowest) * PAYLOAD_ONE_WAY;
        let count = f64::from(u32::try_from(self.links.len()).expect("a crowd fits the machine"));
        Duration::from_secs_f64((length / own).max(length / down).max(count * length / (own + theirs)))
    }
}

/// An episode that is served, and subscribers that have been started for it.
#[derive(Debug)]
pub struct Crowd {
    /// When the first subscriber was started.
    pub began: Instant,
    plan: Plan,
    episode: PathBuf,
    home: Host,
    hosts: Vec<Host>,
    server: Server,
    members: Vec<Member>,
    downloads: Option<Downloads>,
    sent_before: u64,
    // Holds every file of the run.
    _folder: TempDir,
}

/// What serves the episode.
#[derive(Debug)]
enum Server {
    Ours(Box<Publisher>),
    Theirs { _programs: Vec<Program> },
}

/// Those who fetch over HTTP what the crowd fetches.
#[derive(Debug)]
struct Downloads {
    _host: Host,
    curl: Program,
    folder: PathBuf,
}

impl Downloads {
    /// So many of them, in one process.
    fn start(host: Host, url: &str, count: usize, folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).expect("the run's folder is ours");
        let mut curl = host.command("curl");
        curl.args(["--silent", "--show-error", "--fail", "--no-buffer", "--parallel", "--parallel-immediate"]);
        // No more than 300 go at once.
        curl.arg("--parallel-max").arg(count.to_string()).args(["--output", "#1"]);
        curl.arg(format!("{url}?[1-{count}]")).current_dir(&folder);
        let curl = Program::start("curl of many", curl);
        Self { _host: host, curl, folder }
    }

    /// Ends them; the bytes that each has got, ascending.
    fn end(self, count: usize) -> Vec<u64> {
        drop(self.curl);
        let length =
            |number: usize| std::fs::metadata(self.folder.join(number.to_string())).map_or(0, |file| file.len());
        let mut got: Vec<u64> = (1..=count).map(length).collect();
        got.sort_unstable();
        got
    }
}

/// One subscriber.
#[derive(Debug)]
struct Member {
    program: Program,
    started: Instant,
    folder: PathBuf,
}

/// What subscribers are given.
enum Source {
    Feed(Release),
    Torrent(PathBuf),
    Url(String),
}

impl Source {
    /// The episode's URL, if our publisher serves it.
    fn media(&self) -> Option<&str> {
        match self {
            Self::Feed(release) => Some(&release.media),
            Self::Torrent(_) | Self::Url(_) => None,
        }
    }
}

/// What a finished run measured.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How long each subscriber took from its own start, soonest first.
    pub times: Vec<Duration>,
    /// When the last had the episode, from the start of the first.
    pub last: Duration,
    /// The least time that is possible where all start together.
    pub bound: Duration,
    /// Copies of the episode that left the publisher.
    pub copies_sent: f64,
    /// The bytes that those had got over HTTP who fetched beside the subscribers, when the last of these had all;
    /// ascending.
    pub downloaded: Vec<u64>,
    /// The congestion control of the hosts' TCP.
    pub congestion_control: String,
}

impl Crowd {
    /// Publishes an episode and starts the subscribers.
    pub fn gather(plan: &Plan) -> Self {
        let folder = scratch();
        let mut net = Net::new();
        let home = net.host_behind("publisher", PUBLISHER);
        let names = (1..).map(|number| format!("subscriber {number}"));
        let hosts: Vec<Host> = names.zip(&plan.links).map(|(name, link)| net.host_behind(&name, *link)).collect();
        let episode = random_file(&folder.path().join("A crowded episode.mp3"), plan.mib * MIB, 42);
        let (server, source) = serve(plan.kind, &home, folder.path(), &episode);
        let reader = (plan.downloads > 0).then(|| net.host("readers"));
        let sent_before = home.sent_bytes();
        let began = Instant::now();
        let downloads = reader
            .zip(source.media())
            .map(|(host, url)| Downloads::start(host, url, plan.downloads, folder.path().join("downloads")));
        let mut members = Vec::new();
        for (host, start) in hosts.iter().zip(&plan.starts) {
            while let Some(left) = start.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
                thread::park_timeout(left);
            }
            let folder = folder.path().join(host.name());
            members.push(Member {
                program: subscribe(plan.kind, host, &folder, &source),
                started: Instant::now(),
                folder,
            });
        }
        Self {
            began,
            plan: plan.clone(),
            episode,
            home,
            hosts,
            server,
            members,
            downloads,
            sent_before,
            _folder: folder,
        }
    }

    /// Our publisher; only in crowds that it serves.
    pub fn publisher(&self) -> &Publisher {
        match &self.server {
            Server::Ours(publisher) => publisher,
            Server::Theirs { .. } => panic!("{:?} has no publisher of ours", self.plan.kind),
        }
    }

    /// Waits until every subscriber has the episode, bit for bit.
    #[track_caller]
    pub fn finish(self, limit: Duration) -> Outcome {
        let end = self.began + limit;
        let (mut times, mut last) = (Vec::new(), Duration::ZERO);
        // All stay until the last has it, as listeners do.
        let mut stay = Vec::new();
        for Member { program, started, folder } in self.members {
            let left = end.saturating_duration_since(Instant::now());
            let (at, program, file) = wait(self.plan.kind, program, &self.episode, &folder, left);
            times.push(at - started);
            last = last.max(at - self.began);
            stay.push((program, file));
        }
        let sent = self.home.sent_bytes() - self.sent_before;
        let downloaded = self.downloads.map(|downloads| downloads.end(self.plan.downloads)).unwrap_or_default();
        for (_, file) in stay {
            assert_same_bytes(&self.episode, &file);
        }
        times.sort();
        Outcome {
            bound: self.plan.bound(),
            times,
            last,
            downloaded,
            copies_sent: megabit(sent) / megabit(self.plan.mib * MIB) * PAYLOAD_ONE_WAY,
            congestion_control: self.hosts[0].congestion_control(),
        }
    }
}

/// Serves the episode from `home`, and tells what subscribers need to be given.
fn serve(kind: Kind, home: &Host, folder: &Path, episode: &Path) -> (Server, Source) {
    match kind {
        Kind::Podswarm => {
            let publisher = Publisher::serve(home, &folder.join("podpub"), None);
            let release = publisher.publish(episode);
            (Server::Ours(Box::new(publisher)), Source::Feed(release))
        }
        Kind::Served(_) => {
            let publisher = Publisher::serve(home, &folder.join("podpub"), None);
            let release = publisher.publish(episode);
            let torrent = without_web_seeds(home, &release.torrent, folder);
            (Server::Ours(Box::new(publisher)), Source::Torrent(torrent))
        }
        Kind::Others(client) => {
            let torrent = make_torrent(episode, &format!("http://{}/announce", SocketAddr::new(home.v4(), 6969)));
            let tracker = opentracker(home, folder, std::slice::from_ref(&torrent));
            let seed = client.seed(home, &torrent, folder);
            (Server::Theirs { _programs: vec![tracker, seed] }, Source::Torrent(torrent))
        }
        Kind::Http => {
            let url = format!("http://{}/{}", SocketAddr::new(home.v4(), 8080), "A%20crowded%20episode.mp3");
            let nginx = Nginx { main: "worker_processes 2;", http: "sendfile on; tcp_nopush on;", ..Nginx::default() };
            (Server::Theirs { _programs: vec![nginx.serve(home, folder, folder)] }, Source::Url(url))
        }
    }
}

fn subscribe(kind: Kind, host: &Host, folder: &Path, source: &Source) -> Program {
    match (kind, source) {
        (Kind::Others(client) | Kind::Served(client), Source::Torrent(torrent)) => client.join(host, torrent, folder),
        (_, Source::Feed(release)) => agent(host, folder, &release.feed),
        (_, Source::Url(url)) => {
            std::fs::create_dir_all(folder).expect("the run's folder is ours");
            let mut command = host.command("curl");
            command
                .args([
                    "--silent",
                    "--show-error",
                    "--fail",
                    "--remote-name",
                    "--write-out",
                    "exit code %{exitcode}\\n",
                ])
                .arg(url)
                .current_dir(folder);
            Program::start(&format!("curl on {}", host.name()), command)
        }
        (kind, Source::Torrent(_)) => unreachable!("{kind:?} takes no torrent"),
    }
}

/// Waits until a subscriber has the episode: when, the program, and the file.
fn wait(
    kind: Kind,
    mut program: Program,
    episode: &Path,
    folder: &Path,
    limit: Duration,
) -> (Instant, Program, PathBuf) {
    match kind {
        Kind::Podswarm => {
            let (at, file) = complete(&mut program, limit);
            (at, program, file)
        }
        Kind::Others(_) | Kind::Served(_) => {
            let at = Client::wait_seeding(&mut program, limit);
            (at, program, only_file_like(episode, folder))
        }
        Kind::Http => {
            let (at, ()) = program.wait_for("end", limit, |line| (line.text == "exit code 0").then_some(()));
            (at, program, only_file_like(episode, folder))
        }
    }
}

/// Starts Debian's tracker on `host`, on port 6969, for `torrents`; it keeps its list of them in `folder`.
pub fn opentracker(host: &Host, folder: &Path, torrents: &[PathBuf]) -> Program {
    use std::os::unix::fs::PermissionsExt as _;
    // It makes the folder its root and reads the list as nobody.
    let root = folder.join("opentracker");
    std::fs::create_dir_all(&root).expect("the run's folder is ours");
    std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o755)).expect("the run's folder is ours");
    let info_hash = |torrent: &PathBuf| {
        let bytes = std::fs::read(torrent).expect("the run's torrent is there");
        Metainfo::parse(&bytes).expect("our own metainfo is good").info_hash.to_string()
    };
    let allowed = torrents.iter().map(|torrent| info_hash(torrent) + "\n").collect::<String>();
    std::fs::write(root.join("allowed"), allowed).expect("the run's folder is ours");
    let mut command = host.command("opentracker");
    command.args(["-i", &host.v4().to_string(), "-p", "6969", "-P", "6969", "-w", "allowed", "-d"]).arg(&root);
    let tracker = Program::start(&format!("opentracker on {}", host.name()), command);
    host.wait_for_port(6969);
    tracker
}

/// Makes a `.torrent` of a file beside it, with the pieces that we would choose.
pub fn make_torrent(file: &Path, tracker: &str) -> PathBuf {
    let torrent = file.with_extension("torrent");
    let mut command = Command::new(podpub());
    command.args(["torrent", "create", "--quiet", "--force", "--tracker", tracker, "--output"]).arg(&torrent).arg(file);
    let ended = Program::start("podpub torrent create", command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "podpub torrent create: {}", ended.stderr);
    torrent
}

impl Outcome {
    /// The time of the last subscriber over the least that is possible.
    pub fn last_over_bound(&self) -> f64 {
        self.last.as_secs_f64() / self.bound.as_secs_f64()
    }

    /// The time that half of the subscribers needed.
    pub fn median(&self) -> Duration {
        self.times[self.times.len() / 2]
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "N = {}: first {:.1} s, median {:.1} s, last {:.1} s; bound {:.1} s, last over bound {:.2}; \
             publisher sent {:.2} copies; {}",
            self.times.len(),
            self.times[0].as_secs_f64(),
            self.median().as_secs_f64(),
            self.last.as_secs_f64(),
            self.bound.as_secs_f64(),
            self.last_over_bound(),
            self.copies_sent,
            self.congestion_control,
        )
    }
}

/// A count of bytes in millions of bits.
fn megabit(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1024).expect("a run moves less than 4 TiB")) * 1024.0 * 8.0 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_that_of_the_published_figures() {
        for (peers, tenths) in [(1, 263), (4, 362), (8, 437), (16, 488), (32, 518)] {
            let bound = Plan::new(Kind::Podswarm, peers, 60).bound();
            assert_eq!((bound.as_millis() + 50) / 100, tenths, "N = {peers}");
        }
    }

    #[test]
    fn mixed_uplinks_and_arrivals_are_spread() {
        let plan = Plan::new(Kind::Podswarm, 9, 60).with_mixed_uplinks().with_arrivals_over(Duration::from_mins(2));
        let mut uplinks: Vec<u32> = plan.links.iter().map(|link| link.up_mbit).collect();
        uplinks.sort_unstable();
        assert_eq!(uplinks, [1, 2, 3, 6, 10, 18, 32, 56, 100]);
        assert!(plan.starts.is_sorted() && plan.starts[8] > Duration::from_mins(1), "{:?}", plan.starts);
    }
}
