//! The engine as programs use it: real sockets on loopback, real files, real threads.
//!
//! Nothing here sleeps or looks at a wall clock: tests wait for what they want to see, and a test that waits in vain is
//! ended by the runner. [`world`] makes content and engines, [`peer`] is a peer and [`server`] a web server whose every
//! byte a test decides.

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests have files and sockets, and panic")]

mod world;
mod peer;
mod transfer;
mod v2;
mod runs;
mod files;
mod reading;
mod resume;
mod control;
mod limits;
mod udp;
mod utp;
mod hostile;
mod encryption;
mod magnet;
mod table;
mod server;
mod web;
