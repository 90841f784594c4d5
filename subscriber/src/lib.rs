//! The listener's agent: it follows feeds, fetches new episodes through the swarm, keeps them and seeds them on.
//!
//! The decisions are pure and come first: [`agent`] is one state machine that is told what happened and says what to
//! do; [`records`] is what it remembers, [`rules`] what its owner wants, [`consent`] whether that is swarms, [`names`]
//! how files are called, [`sse`] what an event stream says. Around it lies the rim: [`hub`] does what the agent
//! decides, [`keep`] remembers it in the store, [`library`] is the disk, [`integrity`] tells whether a file is what its
//! feed says, [`tags`] what files say, [`extras`] covers and chapters beside them, [`dot_torrent`] and [`address`] what
//! comes from elsewhere, [`web`] serves players, and `metrics` those who watch over it; [`view`] and [`top`] are what
//! people see of it in a terminal.
//! Commands ([`cli`], [`commands`]) ask an agent ([`ask`]) wherever it runs ([`desk`]): in a [`session`] of this
//! process, or in another one, over its [`control`] port.

pub mod address;
pub mod agent;
pub mod ask;
pub mod cli;
pub mod commands;
pub mod consent;
pub mod control;
pub mod desk;
pub mod dot_torrent;
pub mod extras;
pub mod hub;
pub mod integrity;
pub mod keep;
pub mod library;
mod metrics;
pub mod names;
pub mod records;
pub mod rules;
pub mod session;
pub mod sse;
pub mod tags;
pub mod top;
pub mod view;
pub mod web;

use std::process::ExitCode;

use podswarm_core::app::run_main;

/// Runs `podsub` with the arguments of this process.
pub fn run() -> ExitCode {
    run_main(desk::PROGRAM, commands::run)
}
