//! From a feed to a show: what was published elsewhere comes here as it was.
//!
//! [`feed`] fetches the feed with all its pages and says whether it may be taken. [`show`] and [`item`] are pure: they
//! say in the words of this library what the feed says. [`media`] fetches files so that none is fetched twice. What is
//! done with all of it, and in which order, is the command's.
//!
//! Law: guids and dates are what they were, and nobody who knows the episodes is told of them again.
//! Source: RFC 5005 for feeds of several pages; the podcast namespace's `locked` and `guid`.

pub(crate) mod feed;
pub(crate) mod item;
pub(crate) mod media;
pub(crate) mod show;

/// What we call ourselves to other hosts.
pub(crate) const USER_AGENT: &str = concat!("Podswarm/", env!("CARGO_PKG_VERSION"));
