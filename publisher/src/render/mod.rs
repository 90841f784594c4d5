//! From records to what is served: feeds, pages with what they load, torrents.

pub(crate) mod assets;
pub(crate) mod feed;
pub(crate) mod page;
mod said;
