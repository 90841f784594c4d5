//! Shows and their episodes as feeds: reads any, writes strict ones, asks for them politely.
//!
//! [`poll`] decides when to ask a feed again.
//!
//! Everything here is pure: it reads no clock, opens no file or socket, and draws no randomness of its own. Bytes from
//! outside never panic and never cost more than in proportion to their length.

pub mod date;
mod guid;
pub mod poll;

pub use guid::podcast_guid;
