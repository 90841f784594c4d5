//! The publisher: one command makes a file an episode, seeds it, and hosts the feed and the tracker it is found by.
//!
//! ```text
//! podpub publish ep.mp3 ──► publish: copy, hash, settle ──► library: store, media, torrents
//!                                        │
//!          listeners ◄── http ◄── site ◄─┴─► host: engine (seed), tracker
//! ```
//!
//! In reading order: [`cli`] is what can be typed, `commands` what is done about it. `publish` turns a path into an
//! episode; it knows `kind`, `tags`, `timeline`, `transcript`, `cover`, `slug` and `notes`. `library` keeps it, in the
//! shapes of `record`; `check` holds it against the rules of podcast directories. `site` is everything that
//! is shown at one moment, made by `render` under the addresses of `urls`; `http` serves it, over https with what `tls`
//! shows, and `tracker` answers announces, `hub` sends feeds to who subscribed to them; `numbers` counts what was
//! downloaded. `host` runs all of it and keeps the order in which things become visible, `reach` judges who gets there,
//! and `hooks` does what the owner wants done then; `control` is how commands drive a host in another process, in the
//! shapes of `wire`.
//!
//! Shows come and go whole: `import` reads what another host published, `archive` writes and reads all that a show is,
//! `still` writes it as plain files for any web server.
//!
//! Law: an episode answers before it is named, and is stored before it is promised.

pub mod cli;
mod commands;

mod publish;
mod kind;
mod tags;
mod timeline;
mod transcript;
mod cover;
mod notes;
mod slug;

mod library;
mod record;
mod shows;
mod rhythm;
mod feed_length;
mod keys;
mod tokens;
mod subscribers;

mod import;
mod archive;
mod still;
mod check;

mod site;
mod render;
mod urls;

mod http;
mod bind;
mod tls;
mod numbers;
mod tracker;
mod udp;

mod host;
mod reach;
mod hooks;
mod hub;
mod metrics;
mod copies;
mod control;
mod wire;

#[cfg(test)]
mod fixture;

use podswarm_core::app::{Failure, Out};

/// What servers are told that we are.
const USER_AGENT: &str = concat!("podpub/", env!("CARGO_PKG_VERSION"));

/// Runs one command of `podpub` to its end.
pub async fn run(cli: cli::Cli, out: Out) -> Result<(), Failure> {
    commands::run(cli, out).await
}
