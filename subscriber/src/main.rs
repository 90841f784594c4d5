//! `podsub`, the listener's agent.

use std::process::ExitCode;

fn main() -> ExitCode {
    podswarm_subscriber::run()
}
