//! Measures how fast a flash crowd is served: `cargo run -p podswarm-tests --bin crowd -- --peers 8 --runs 3`.
//!
//! Build with `--release` for figures to publish. Needs the right to make network namespaces.

use std::io::Write as _;
use std::time::Duration;

use clap::Parser;
use podswarm_tests::crowd::Crowd;

/// Measures how fast subscribers that start together all have an episode.
#[derive(Debug, Parser)]
struct Args {
    /// How many subscribers there are
    #[arg(long, default_value_t = 8)]
    peers: usize,
    /// How large the episode is, in MiB
    #[arg(long, default_value_t = 60)]
    mib: u64,
    /// How often it is measured
    #[arg(long, default_value_t = 1)]
    runs: usize,
}

fn main() -> std::io::Result<()> {
    let args = Args::parse();
    for _ in 0..args.runs {
        let outcome = Crowd::gather(args.peers, args.mib).finish(Duration::from_mins(10));
        writeln!(std::io::stdout(), "{outcome}")?;
    }
    Ok(())
}
