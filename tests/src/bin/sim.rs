//! Simulates a release rush and shows how it went: `cargo run --release -p podswarm-tests --bin sim -- --peers 1000`.
//!
//! The engine is the real one; the world around it is simulated in virtual time, so that a run is repeated exactly by
//! its command line.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use podswarm_core::rate::Rate;
use podswarm_tests::sim::timeline::Sample;
use podswarm_tests::sim::{Outcome, Plot, Scenario, plot};

/// Simulates a release rush with the real engine, in virtual time.
#[derive(Debug, Parser)]
struct Args {
    /// What is special about the run: rush, mixed, poisson, poisoners, free-riders, leavers, players
    #[arg(long, default_value_t = Plot::Rush)]
    scenario: Plot,
    /// How many honest subscribers there are
    #[arg(long, default_value_t = 8)]
    peers: usize,
    /// How long the episode is
    #[arg(long, default_value = "60MiB", value_parser = parse_size)]
    size: u64,
    /// What a subscriber sends at most
    #[arg(long, default_value = "10Mbit/s")]
    up: Rate,
    /// What a subscriber receives at most
    #[arg(long, default_value = "50Mbit/s")]
    down: Rate,
    /// What the publisher sends at most
    #[arg(long, default_value = "20Mbit/s")]
    publisher_up: Rate,
    /// How long a packet takes from one host to the middle of the net, in milliseconds
    #[arg(long, default_value_t = 10)]
    latency_ms: u64,
    /// Where all randomness comes from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many seeds are run, one after the other
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Draw the run into this file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl Args {
    fn scenario(&self, seed: u64) -> Scenario {
        let mut scenario =
            Scenario { plot: self.scenario, seed, peers: self.peers, length: self.size, ..Scenario::default() };
        let latency = Duration::from_millis(self.latency_ms);
        (scenario.home.up, scenario.home.down, scenario.home.latency) = (self.up.0, self.down.0, latency);
        (scenario.publisher.up, scenario.publisher.latency) = (self.publisher_up.0, latency);
        scenario
    }
}

fn parse_size(text: &str) -> Result<u64, String> {
    let rate: Result<Rate, _> = format!("{text}/s").parse();
    rate.map(|rate| rate.0).map_err(|_| format!("size `{text}` is not a number with a unit; want one like `60MiB`"))
}

fn main() -> std::io::Result<ExitCode> {
    let args = Args::parse();
    let mut all_complete = true;
    for seed in args.seed..args.seed + args.runs {
        let began = Instant::now();
        let outcome = args.scenario(seed).run();
        all_complete &= outcome.report.unfinished() == 0;
        show(&outcome, args.runs == 1)?;
        writeln!(std::io::stdout(), "simulated in {:.1?}", began.elapsed())?;
        if let Some(file) = &args.svg {
            std::fs::write(file, plot::svg(&outcome))?;
        }
    }
    Ok(if all_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints a run's figures, and its course if `in_full`.
fn show(outcome: &Outcome, in_full: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", outcome.scenario)?;
    if in_full {
        let samples = &outcome.timeline.samples;
        writeln!(
            out,
            "{:>8}  {:<32}{:>9}{:>13}{:>15}{:>9}",
            "time", "complete", "", "publisher", "subscribers", "copies"
        )?;
        for sample in samples.iter().step_by(samples.len().div_ceil(40).max(1)) {
            show_sample(&mut out, sample, outcome.report.subscribers)?;
        }
    }
    writeln!(out, "{}", outcome.report)?;
    if outcome.report.unfinished() > 0 {
        writeln!(out, "to repeat: {}", outcome.scenario.command())?;
    }
    Ok(())
}

fn show_sample(out: &mut impl std::io::Write, sample: &Sample, subscribers: usize) -> std::io::Result<()> {
    let full = |of: usize| sample.complete * of / subscribers.max(1);
    writeln!(
        out,
        "{:>6.1} s  {:<32}{:>7} %{:>11.0} %{:>13.0} %{:>9.2}",
        sample.at.as_secs_f64(),
        "█".repeat(full(32)),
        full(100),
        100.0 * sample.publisher_use,
        100.0 * sample.crowd_use,
        sample.copies
    )
}
