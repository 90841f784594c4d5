//! Simulates a month of a busy listener and shows what it came to: `cargo run -p podswarm-tests --bin month -- --seed
//! 1`.
//!
//! The agent is the real one; the world around it is simulated in virtual time, so that a run is repeated exactly by
//! its command line.

use std::io::Write as _;
use std::time::Instant;

use clap::Parser;
use podswarm_tests::month::Month;

/// Simulates a month of a busy listener with the real agent, in virtual time.
#[derive(Debug, Parser)]
struct Args {
    /// Where all randomness comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds are run, one after the other
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// How many feeds are followed
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..))]
    feeds: u16,
    /// How many days it has
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(7..))]
    days: u32,
    /// Tell all that happens from this second on
    #[arg(long, value_name = "SECOND")]
    tell_from: Option<u64>,
}

fn main() -> std::io::Result<()> {
    let Args { seed, runs, feeds, days, tell_from } = Args::parse();
    for seed in seed..seed.saturating_add(runs) {
        let began = Instant::now();
        let figures = Month { seed, feeds: feeds.into(), days, tell_from }.run();
        writeln!(std::io::stdout(), "seed {seed}: {figures}; simulated in {:.1?}", began.elapsed())?;
    }
    Ok(())
}
