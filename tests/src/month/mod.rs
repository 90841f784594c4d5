//! A month of a busy listener in virtual time: the real agent, and hundreds of feeds that behave as feeds do.
//!
//! Feeds are written as RSS, Atom and JSON Feed and read by the real reader; they move, break, lose and regain what
//! they have, change guids and dates, come twice, are revised and taken back. Hosts go down, hang and ask for patience.
//! Media are missing, break off, stall and are not as long as they say. The disk fills, the clock is set, the agent is
//! ended and killed. What it decides is the product's code, untouched; only what carries it out is made up.
//!
//! Nothing else is random than what one seed gives, so that a seed is one run.
//!
//! In reading order: `show` is a feed, `host` what serves it, `disk` where episodes land, `download` how, `plot` what
//! happens, `world` what holds all of that, and `laws` what must hold.

mod show;
mod host;
mod disk;
mod download;
mod plot;
mod world;
mod laws;

use std::fmt;
use std::time::Duration;

use chrono_tz::Tz;
use podswarm_core::rng::Rng;
use podswarm_core::time::Instant;
use podswarm_subscriber::agent::share::Enough;
use podswarm_subscriber::agent::{Duty, Limits, OnMetered, Seeding, Settings};
use podswarm_subscriber::consent::DecidedBy;
use podswarm_subscriber::rules::Rules;

use disk::Disk;
use world::World;

pub use world::Figures;

/// So long before its end all is well, so that what can be had is there at last.
const CALM: Duration = Duration::from_hours(72);
const GB: u64 = 1_000_000_000;

/// A month to be simulated.
#[derive(Clone, Copy, Debug)]
pub struct Month {
    /// Where all randomness comes from.
    pub seed: u64,
    /// How many feeds are followed.
    pub feeds: usize,
    /// How many days it has.
    pub days: u32,
    /// From which second on all that happens is told; nothing is if `None`.
    pub tell_from: Option<u64>,
}

impl Month {
    /// Thirty days of two hundred feeds.
    pub const fn new(seed: u64) -> Self {
        Self { seed, feeds: 200, days: 30, tell_from: None }
    }

    /// Lets the month pass.
    ///
    /// # Panics
    /// If a law is broken; what repeats the run, and tells of the hour before, is printed.
    pub fn run(&self) -> Figures {
        let limits = Limits { quota: Some(self.feeds as u64 * 60_000_000), leave_free: Some(10 * GB) };
        let settings = Settings {
            duty: Duty::Everything,
            library: "/library".into(),
            downloads: 4,
            downloads_per_host: 2,
            interval: Duration::from_hours(2),
            zone: Tz::UTC,
            seeding: Seeding::Off,
            seed_at: Vec::new(),
            on_metered: OnMetered::Everything,
            enough: Enough::default(),
            rules: Rules::default(),
            decided_by: DecidedBy::Nobody,
            limits,
            connects_back: false,
            asks_hubs: false,
        };
        let disk = Disk::new(400 * GB, 100 * GB);
        let mut repeat = Repeat { month: *self, at: Duration::ZERO };
        let mut world = World::new(settings, disk, Rng::from_seed_u64(self.seed));
        world.tell_from = self.tell_from.map(|seconds| Instant::ZERO + Duration::from_secs(seconds));
        world.start_agent();
        let length = Duration::from_hours(24) * self.days;
        world.plan(self.feeds, length.saturating_sub(CALM));
        // In pieces, so that it is known how far it came.
        while repeat.at < length {
            repeat.at = (repeat.at + Duration::from_mins(10)).min(length);
            world.run_until(Instant::ZERO + repeat.at);
        }
        let agent = world.agent.as_ref().expect("it runs on the last days");
        world.laws.end(agent, &world.media);
        drop(repeat);
        world.figures
    }

    /// The command line that repeats the run.
    pub fn command(&self) -> String {
        let tell = self.tell_from.map(|from| format!(" --tell-from {from}")).unwrap_or_default();
        let Self { seed, feeds, days, .. } = self;
        format!("cargo run -p podswarm-tests --bin month -- --seed {seed} --feeds {feeds} --days {days}{tell}")
    }
}

/// Tells how a run is repeated that did not come to its end.
struct Repeat {
    month: Month,
    at: Duration,
}

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let tell_from = Some(self.at.as_secs().saturating_sub(3600));
            eprintln!("to repeat: {}", Month { tell_from, ..self.month }.command());
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { polls, bodies, released, downloads, failed, deleted, runs, inputs, most_kept, most_wanted } = self;
        write!(
            f,
            "{released} episodes released, {downloads} downloaded ({failed} attempts failed), {deleted} deleted; {polls} \
             requests for feeds, {bodies} of them in full; {} MB at most, {most_wanted} wanted at most; {inputs} inputs in \
             {runs} runs",
            most_kept / 1_000_000
        )
    }
}
