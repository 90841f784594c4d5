//! A deterministic world: the real engine, many peers in one process, virtual time, simulated links.
//!
//! A [`World`] is a heap of events in virtual time. Its hosts run the same [`podswarm_core::session::Session`] as the
//! daemons do; only the rim is simulated: links carry messages one after another at their rates, disks answer after a
//! delay, the tracker is the publisher's own table. Nothing else is random than what one seed gives, so a seed and a
//! scenario are one run, down to the trace.
//!
//! Payloads are virtual: every honest block is a view of one buffer of zeros, a poisoned one of another, and a piece's
//! hash is right if its blocks are honest.
//!
//! In reading order: [`link`] is a line with a rate, [`host`] an engine with its connections, [`queue`] the order of
//! events, [`world`] what holds them, `events` what happens, [`player`] who listens meanwhile, [`laws`] what must hold,
//! [`report`] what came of it and [`timeline`] how, [`scenario`] a run that has a name, [`plot`] its drawing.

pub mod link;
pub mod host;
pub mod queue;
pub mod world;
mod events;
pub mod player;
pub mod laws;
pub mod report;
pub mod timeline;
pub mod scenario;
pub mod plot;

pub use host::{Character, Disk, HostId, Kind, Line};
pub use report::Report;
pub use scenario::{Outcome, Plot, Scenario};
pub use timeline::Timeline;
pub use world::{Tracker, Weather, World};

/// A million bits a second, in bytes.
pub const MBIT: u64 = 125_000;
