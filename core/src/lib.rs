#![doc = include_str!("../README.md")]

pub mod time;
pub mod rng;
pub mod rate;
mod effects;
pub mod timetable;
pub mod blocklist;
pub mod bencode;
pub mod metainfo;
pub mod layout;
pub mod bitfield;
pub mod peer;
pub mod utp;
pub mod piece;
pub mod choke;
pub mod tracker;
pub mod lsd;
pub mod dht;
pub mod swarm;
pub mod finder;
pub mod session;
#[cfg(feature = "store")]
pub mod store;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "app")]
pub mod app;
