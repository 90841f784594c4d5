//! Reads any feed: bytes of unknown honesty in, a [`Channel`] out.
//!
//! Feeds are broken in every way that XML can be, so a document passes stages that each make the next one's life
//! simple. `decode` makes text of bytes; what is JSON Feed then, `json` says in the words of RSS. `lex` cuts the text
//! into tags and text and takes offence at nothing. `tidy` writes from these the RSS 2.0 that was meant, well-formed,
//! bounded and under known names, whether it was RSS 0.9x, 1.0, 2.0 or Atom. The `rss` crate reads that, item by item.
//! `convert` makes a [`Channel`] of it, `header` adds what its answer's head says, `sources` finds each item's ways to
//! its bytes, and `versions` the same in other qualities.
//!
//! Knows nothing of where the bytes came from, and judges no address: whether a link may be followed is decided when
//! it is. A description is HTML as it came; whoever shows it cleans it.
//!
//! Laws: arbitrary bytes never panic. Time and memory are in proportion to their length. No document type is obeyed
//! and no entity of its own is expanded. Each item has a source, or a reason why not.
//!
//! Source: RSS 0.9x to 2.0, RSS 1.0, RFC 4287, JSON Feed; for the sources BEP 36, the podcast namespace, Media RSS,
//! ezRSS, torznab.

mod channel;
mod convert;
mod decode;
mod header;
mod json;
pub(crate) mod lex;
mod link;
mod names;
pub mod opml;
mod sources;
mod tidy;
mod versions;

use std::collections::BTreeSet;

use url::Url;

pub use channel::{Channel, Item, Locked, Quality, Source, TranscriptLink, Version, WhyNone};

/// A longer document is not read. The longest real feed that was seen has 4 MB.
pub const MAX_FEED_BYTES: usize = 16 * 1024 * 1024;

/// Further items are not read: a feed has them newest first.
pub const MAX_ITEMS: usize = 10_000;

/// Further hubs of one feed are not read.
pub const MOST_HUBS: usize = 4;

/// Why a document is no feed that can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing but blanks.
    #[error("the document is empty")]
    Empty,
    /// Longer than [`MAX_FEED_BYTES`].
    #[error("the document has {got} bytes; at most {MAX_FEED_BYTES} are read")]
    TooLong {
        /// Its length, in bytes.
        got: usize,
    },
    /// A web page, as hosts send it with their excuses.
    #[error("the document is a web page, not a feed")]
    Html,
    /// JSON that is no feed.
    #[error("the document is JSON, but not JSON Feed")]
    Json,
    /// Anything else.
    #[error("the document is neither RSS nor Atom nor JSON Feed; it begins with {begin:?}")]
    NotAFeed {
        /// Its root element, or its first characters.
        begin: String,
    },
    /// A feed that the RSS model cannot hold.
    #[error("the feed does not fit the RSS model")]
    Model(#[from] rss::Error),
}

/// Reads the feed in `bytes`, which came from `base_url` with the header `Content-Type: content_type`.
///
/// Relative links are resolved against `base_url`. A document that ends in the middle gives the items that are whole,
/// and [`Channel::is_whole`] says so.
pub fn parse(bytes: &[u8], base_url: &Url, content_type: Option<&str>) -> Result<Channel, ReadError> {
    if bytes.len() > MAX_FEED_BYTES {
        return Err(ReadError::TooLong { got: bytes.len() });
    }
    let text = decode::decode(bytes, content_type);
    if text.trim_start_matches(tidy::is_blank).starts_with('{') {
        return of_json(&text, base_url);
    }
    let tidied = tidy::tidy(&text)?;
    drop(text);
    let base = tidied.base.as_ref().and_then(|base| base_url.join(base).ok());
    let base = base.as_ref().unwrap_or(base_url);
    let mut channel = convert::channel(&rss::Channel::read_from(tidied.head())?, base);
    channel.is_whole = tidied.is_whole;
    for (item, own) in tidied.items() {
        let own = own.and_then(|own| base.join(own).ok());
        let base = own.as_ref().unwrap_or(base);
        let model = rss::Channel::read_from(item)?;
        channel.items.extend(model.items.iter().filter_map(|item| convert::item(item, base)));
    }
    drop_twins(&mut channel.items);
    Ok(channel)
}

/// Reads JSON Feed.
fn of_json(text: &str, base: &Url) -> Result<Channel, ReadError> {
    let (model, is_whole) = json::read(text.trim_matches(tidy::is_blank))?;
    let mut channel = convert::channel(&model, base);
    channel.is_whole = is_whole;
    channel.items = model.items.iter().filter_map(|item| convert::item(item, base)).collect();
    drop_twins(&mut channel.items);
    Ok(channel)
}

/// Of the items with one guid the first is meant.
fn drop_twins(items: &mut Vec<Item>) {
    let mut guids = BTreeSet::new();
    items.retain(|item| guids.insert(item.guid.clone()));
}

#[cfg(test)]
mod tests;
