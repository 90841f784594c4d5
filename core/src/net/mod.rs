//! The rim: sockets, disk, hashing threads and tracker requests around the pure engine.

pub mod create;
pub mod http;
