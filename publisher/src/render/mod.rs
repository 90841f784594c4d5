//! From records to what is served: feeds, pages, torrents.

pub(crate) mod feed;
pub(crate) mod page;
mod said;
