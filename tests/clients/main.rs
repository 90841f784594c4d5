//! The torrent clients that people have: each downloads from our seed and seeds to our subscriber.
//!
//! In reading order: [`meeting`] is how one of them meets ours, [`matrix`] all clients by all ways, and the others what
//! is worth a look beside. [`podcatchers`] is of programs that know podcasts and no torrents, [`downloader`] of one
//! that reads feeds for their torrents.

mod meeting;
mod matrix;
mod downloader;
mod encryption;
mod magnet;
mod mutable;
mod podcatchers;
mod v2;
mod web;

use std::time::Duration;

/// transmission waits some ten seconds before it asks for its first byte, and aria2 more than a minute before it looks
/// into the distributed hash table again.
const LIMIT: Duration = Duration::from_mins(4);
