//! A run that can be named: who is in the world, and when they come.
//!
//! Law: a scenario's [`Scenario::command`] repeats the run, event by event. A run that breaks a law prints it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use podswarm_core::rate::ByteCount;
use podswarm_core::rng::Rng;

use super::timeline::{Timeline, ratio};
use super::{Character, HostId, Kind, Line, MBIT, Report, Tracker, World};

/// What is special about a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plot {
    /// All subscribers come at once, with equal lines.
    #[default]
    Rush,
    /// Their uplinks are between 1 and 100 Mbit/s.
    Mixed,
    /// They come one by one over two minutes.
    Poisson,
    /// A tenth more hosts claim to have everything and send a bad block now and then.
    Poisoners,
    /// A quarter more hosts take and never give: a fifth of all.
    FreeRiders,
    /// Whoever has everything leaves two seconds later; the publisher stays.
    Leavers,
    /// Every second subscriber plays the episode while it comes.
    Players,
}

impl Plot {
    /// Every one, with its name on the command line.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Rush, "rush"),
        (Self::Mixed, "mixed"),
        (Self::Poisson, "poisson"),
        (Self::Poisoners, "poisoners"),
        (Self::FreeRiders, "free-riders"),
        (Self::Leavers, "leavers"),
        (Self::Players, "players"),
    ];
}

impl fmt::Display for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(plot, _)| plot == self).map_or("", |(_, name)| name);
        f.pad(name)
    }
}

impl FromStr for Plot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text).map(|(plot, _)| *plot);
        let names = || Self::ALL.map(|(_, name)| name).join(", ");
        found.ok_or_else(|| format!("no scenario is called `{text}`; there are {}", names()))
    }
}

/// A run to be made.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What is special about it.
    pub plot: Plot,
    /// Where all randomness comes from.
    pub seed: u64,
    /// Honest subscribers.
    pub peers: usize,
    /// The episode's length, in bytes.
    pub length: u64,
    /// The publisher's line.
    pub publisher: Line,
    /// A subscriber's line.
    pub home: Line,
}

/// A run that was made.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was run.
    pub scenario: Scenario,
    /// Its figures.
    pub report: Report,
    /// How it went.
    pub timeline: Timeline,
}

impl Default for Scenario {
    /// Eight subscribers, 60 MiB, and the lines of the benches: 20 Mbit/s up, and 10 up and 50 down.
    fn default() -> Self {
        let latency = Duration::from_millis(10);
        Self {
            plot: Plot::Rush,
            seed: 1,
            peers: 8,
            length: 60 << 20,
            publisher: Line { up: 20 * MBIT, down: 50 * MBIT, latency },
            home: Line { up: 10 * MBIT, down: 50 * MBIT, latency },
        }
    }
}

impl Scenario {
    /// The longest that a run may take, in virtual time.
    pub const LIMIT: Duration = Duration::from_hours(1);

    /// Runs until every honest subscriber is complete, or [`Self::LIMIT`] has passed.
    ///
    /// # Panics
    /// If a law is broken; what repeats the run is printed before.
    pub fn run(&self) -> Outcome {
        let repeat = Repeat(self);
        let (mut world, publisher, subscribers) = self.world();
        world.run_until_complete(&subscribers, Self::LIMIT);
        let report = world.report(publisher, &subscribers);
        drop(repeat);
        Outcome { scenario: self.clone(), report, timeline: world.take_timeline() }
    }

    /// The world at its beginning, with its publisher and its honest subscribers.
    pub fn world(&self) -> (World, HostId, Vec<HostId>) {
        let mut world = World::new(self.seed, self.length);
        let mut rng = Rng::from_seed_u64(self.seed).fork(2);
        let publisher = world.add_seed(self.publisher);
        // The tracker is the publisher's own.
        world.set_tracker(Tracker { names_first: Some(publisher), ..Tracker::default() });
        let subscribers = (0..self.peers).map(|number| self.subscriber(&mut world, number, &mut rng)).collect();
        let others = match self.plot {
            Plot::Poisoners => (self.peers.div_ceil(10), Kind::Poisoner(20)),
            Plot::FreeRiders => (self.peers.div_ceil(4), Kind::FreeRider),
            Plot::Rush | Plot::Mixed | Plot::Poisson | Plot::Leavers | Plot::Players => (0, Kind::Honest),
        };
        for _ in 0..others.0 {
            let is_seed = self.plot == Plot::Poisoners;
            world.add(Character { kind: others.1, is_seed, ..Character::on(self.home) });
        }
        (world, publisher, subscribers)
    }

    fn subscriber(&self, world: &mut World, number: usize, rng: &mut Rng) -> HostId {
        let mut line = self.home;
        if self.plot == Plot::Mixed {
            let up = *rng.choose(&UPLINKS).expect("there are some");
            (line.up, line.down) = (up * MBIT, line.down.max(up * MBIT));
        }
        let spread = if self.plot == Plot::Poisson { Duration::from_mins(2) } else { Duration::from_millis(100) };
        // Arrivals of a Poisson process, given their number, are independent and even.
        let arrival = Duration::from_micros(rng.below(usize::try_from(spread.as_micros()).unwrap_or(0)) as u64);
        let leaves_after = (self.plot == Plot::Leavers).then_some(Duration::from_secs(2));
        let plays = (self.plot == Plot::Players && number.is_multiple_of(2)).then_some(PLAYED);
        world.add(Character { arrival, leaves_after, plays, ..Character::on(line) })
    }

    /// The command line that repeats the run.
    pub fn command(&self) -> String {
        let rate = |bytes: u64| format!("{}kbit/s", bytes / 125);
        let (up, down) = (rate(self.home.up), rate(self.home.down));
        format!(
            "cargo run --release -p podswarm-tests --bin sim -- --scenario {} --seed {} --peers {} --size {}B --up {up} --down {down} \
             --publisher-up {} --latency-ms {}",
            self.plot,
            self.seed,
            self.peers,
            self.length,
            rate(self.publisher.up),
            self.home.latency.as_millis()
        )
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mbit = |bytes: u64| ratio(bytes, MBIT);
        write!(
            f,
            "{}: {} subscribers with {} up and {} down (Mbit/s), {} from a publisher with {} up, seed {}",
            self.plot,
            self.peers,
            mbit(self.home.up),
            mbit(self.home.down),
            ByteCount(self.length),
            mbit(self.publisher.up),
            self.seed
        )
    }
}

/// Tells how a run is repeated that did not come to its end.
struct Repeat<'a>(&'a Scenario);

impl Drop for Repeat<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to repeat: {}", self.0.command());
        }
    }
}

/// What players play, in bytes a second: 256 kbit/s.
const PLAYED: u64 = 32_000;

/// Uplinks of a mixed crowd, in Mbit/s.
const UPLINKS: [u64; 7] = [1, 2, 5, 10, 20, 50, 100];
