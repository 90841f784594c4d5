//! Measures Podswarm against its peers and against what is possible: `tests/bench [NAME…]`.
//!
//! Peers and limits are measured in the same run. Every figure is the median of `--runs`. With `--keep` the tables and
//! their drawings go into `BENCHMARKS.md`.

mod agent;
mod background;
mod crowds;
mod feed;
mod hash;
mod idle;
mod raw;
mod report;
mod tracker;
mod uplink;

use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

use clap::{Parser, ValueEnum};
use crowds::Gathering;
use podswarm_tests::clients::Client;
use podswarm_tests::crowd::Kind;
use report::Section;

/// Measures Podswarm against its peers and against what is possible.
#[derive(Debug, Parser)]
struct Args {
    /// What to measure; without a name, everything
    benches: Vec<Bench>,
    /// How often each thing is measured; the median counts
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// The sizes of crowds
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 8, 16, 32])]
    peers: Vec<usize>,
    /// Who is measured; everybody if not given
    #[arg(long, value_delimiter = ',')]
    who: Vec<Who>,
    /// Write the tables into `BENCHMARKS.md`
    #[arg(long)]
    keep: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// Subscribers with equal links that start together
    Crowd,
    /// Subscribers with uplinks from 1 to 100 Mbit/s that start together
    Mixed,
    /// Subscribers that come over two minutes
    Arrivals,
    /// Clients of others, served by us and by their own kind
    Served,
    /// Two hundred plain downloads over HTTP beside a crowd
    Uplink,
    /// One seed and one leech on a fast network
    Raw,
    /// Making a torrent
    Hash,
    /// 200 torrents that nobody asks for
    Idle,
    /// Announces, against opentracker
    Tracker,
    /// Requests for a feed, against nginx
    Feed,
    /// A seed beside another stream on a home's uplink
    Background,
    /// 1,000 feeds and 5,000 seeded episodes on one agent, polled beside newsboat and gPodder
    Agent,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Who {
    Podswarm,
    Libtorrent,
    LibtorrentTuned,
    Aria2,
    Transmission,
    Rqbit,
    Http,
}

impl Who {
    /// What tables call it.
    fn name(self) -> &'static str {
        match self {
            Self::Podswarm => "Podswarm",
            Self::Libtorrent => "libtorrent",
            Self::LibtorrentTuned => "libtorrent, tuned",
            Self::Aria2 => "aria2",
            Self::Transmission => "transmission",
            Self::Rqbit => "rqbit",
            Self::Http => "nginx, plain HTTP",
        }
    }

    /// The client of others that it is.
    fn client(self) -> Option<Client> {
        match self {
            Self::Podswarm | Self::Http => None,
            Self::Libtorrent => Some(Client::Libtorrent),
            Self::LibtorrentTuned => Some(Client::LibtorrentTuned),
            Self::Aria2 => Some(Client::Aria2),
            Self::Transmission => Some(Client::Transmission),
            Self::Rqbit => Some(Client::Rqbit),
        }
    }

    /// Whether its crowds take minutes and next to no processor, so that they can go on beside others'.
    fn idles(self) -> bool {
        matches!(self, Self::Rqbit | Self::Http)
    }

    /// Whether it can be measured here.
    fn is_there(self) -> bool {
        self != Self::Rqbit || on_path("rqbit")
    }

    /// The crowd that it makes.
    fn kind(self) -> Kind {
        match self {
            Self::Podswarm => Kind::Podswarm,
            Self::Http => Kind::Http,
            other => other.client().map_or(Kind::Http, Kind::Others),
        }
    }
}

impl Args {
    fn wants(&self, bench: Bench) -> bool {
        self.benches.is_empty() || self.benches.contains(&bench)
    }

    /// Those of `all` that are to be measured.
    fn who(&self, all: &[Who]) -> Vec<Who> {
        let wanted = |who: &Who| self.who.is_empty() || self.who.contains(who);
        all.iter().copied().filter(|who| wanted(who) && who.is_there()).collect()
    }

    fn measure(&self, bench: Bench) -> Section {
        let all = Who::value_variants();
        let clients: Vec<Who> = self.who(all).into_iter().filter(|who| who.client().is_some()).collect();
        let crowd = |gathering, who: &[Who], peers: &[usize]| crowds::measure(gathering, who, peers, self.runs);
        match bench {
            Bench::Crowd => crowd(Gathering::Together, &self.who(all), &self.peers),
            Bench::Mixed => crowd(Gathering::Mixed, &self.who(all), &[16]),
            Bench::Arrivals => crowd(Gathering::Arrivals, &self.who(all), &[16]),
            Bench::Served => crowd(Gathering::Served, &clients, &[8]),
            Bench::Uplink => uplink::measure(self.runs),
            Bench::Raw => {
                raw::measure(&self.who(&[Who::Podswarm, Who::LibtorrentTuned, Who::Aria2, Who::Rqbit]), self.runs)
            }
            Bench::Hash => hash::measure(self.runs),
            Bench::Tracker => tracker::measure(self.runs),
            Bench::Feed => feed::measure(self.runs),
            Bench::Background => background::measure(self.runs),
            Bench::Agent => agent::measure(self.runs),
            Bench::Idle => idle::measure(&self.who(&[Who::Podswarm, Who::Transmission, Who::Libtorrent])),
        }
    }
}

/// Whether a program is installed.
fn on_path(program: &str) -> bool {
    Command::new(program).arg("--help").output().is_ok()
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let command = ["tests/bench".to_owned()].into_iter().chain(std::env::args().skip(1)).collect::<Vec<_>>().join(" ");
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for bench in Bench::value_variants().iter().filter(|bench| args.wants(**bench)) {
        let section = args.measure(*bench);
        writeln!(io::stdout(), "{}", section.markdown(&command))?;
        if args.keep {
            section.keep(root, &command)?;
        }
    }
    Ok(())
}
