//! `podpub`, the publisher.

use std::process::ExitCode;

fn main() -> ExitCode {
    podswarm_core::app::run_main("podpub", podswarm_publisher::run)
}
