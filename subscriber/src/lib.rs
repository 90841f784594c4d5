//! The listener's agent: it follows feeds, fetches new episodes through the swarm, keeps them and seeds them on.

pub mod agent;
pub mod cli;
pub mod keep;
pub mod library;
pub mod names;
pub mod records;
pub mod schedule;
pub mod sse;
