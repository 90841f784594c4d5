//! What the two programs share: their command line's common half, the folder they keep, how they find each other's
//! daemon, how they speak to people and programs, and how their pages look.
//!
//! A program is one type of arguments and one function; [`run_main`] is all around them. Reading order: from the
//! arguments ([`args`], [`config`]) over the data directory and who holds it ([`acquire`], [`ControlFile`],
//! [`ControlClient`]) to what comes out ([`Out`], [`Progress`], [`Failure`], [`web`]).
//!
//! Part of the rim: it reads the environment, the disk and the terminal. Knows nothing of torrents or feeds.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the rim: files are opened here, and output is shared between tasks"
)]

pub mod args;
pub mod config;
pub mod control;
pub mod hook;
pub mod metrics;

#[cfg(test)]
mod canned;
mod client;
mod data_dir;
mod failure;
mod heap;
mod lock;
mod manual;
mod out;
mod places;
mod progress;
pub mod range;
mod run;
mod sample;
mod service;
mod serving;
mod signal;
mod space;
mod supervisor;
mod text;
pub mod upgrade;
pub mod web;

pub use crate::net::durable::{sync_folder_of, write_atomic};
pub use crate::net::zone::{local_time, system_zone, time_of_local};
pub use args::{EngineArgs, GlobalArgs, RouteArgs};
pub use client::{ControlClient, Lines, api_path};
pub use control::{
    ControlFile, Ping, is_loopback_host, new_token, read_live as live_daemon, secret_matches, token_matches,
};
pub use data_dir::{DataDir, first_run_notice};
pub use failure::{ApiError, Explain, Failure};
pub use heap::in_one_heap;
pub use lock::{Access, DataDirLock, acquire};
pub use manual::{CompletionsArgs, ManArgs, completions, man};
pub use out::{Captured, Format, Out};
pub use places::{Places, WithPlaces};
pub use progress::{Progress, Reading};
pub use run::{init_tracing, parse, run_main};
pub use service::{Kept, ServiceCommand, ServiceProgram, service};
pub use serving::{Guarded, Place, Quota};
pub use signal::shutdown_signal;
pub use space::{Space, free_space, require_space};
pub use supervisor::{tell_ready, tell_stopping};
pub use text::{human_duration, printable};
