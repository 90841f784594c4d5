//! Shows and their episodes as feeds: reads any, writes strict ones, asks for them politely.
//!
//! A publisher fills in the [`model`] and lets [`mod@write`] make its two documents. A subscriber gives what it fetched
//! to [`read`] and gets, for each item, the ways to its bytes, best first; [`poll`] decides when it asks again. Both
//! ends know of dates what [`date`] knows and of recurring times what [`schedule`] does, and what a show has taken back
//! is a [`withdrawal`]; [`chapters`] are the parts of an episode. Lists of feeds, OPML, are read by [`read::opml`] and
//! written by [`mod@write`], too.
//!
//! Everything here is pure: it reads no clock, opens no file or socket, and draws no randomness of its own. Bytes from
//! outside never panic and never cost more than in proportion to their length.

pub mod chapters;
pub mod date;
mod guid;
pub mod model;
pub mod poll;
pub mod read;
pub mod schedule;
pub mod tags;
pub mod withdrawal;
pub mod write;

pub use guid::podcast_guid;
pub use model::{Episode, EpisodeKind, FeedPage, FeedUrls, Media, Show, TorrentRef, Transcript, sri_sha256};
pub use tags::{Place, Tag, TagError, Tags};
pub use withdrawal::{ShowKey, Withdrawal};
