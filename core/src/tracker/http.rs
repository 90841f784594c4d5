//! The tracker protocol over HTTP, both ends: query strings one way, bencode the other.
//!
//! Strict in what could hurt (a wrong info-hash, a port that no peer can have, a peer list that does not add up),
//! lenient in what clients and trackers have always got wrong (missing counters, odd numbers, unknown events).
//!
//! Knows nothing of sockets: a query string or a body comes in, another goes out.
//! Laws: no input panics; text for people comes out short and printable; only addresses that some host can have, with
//! a port, come out of a peer list.
//! Sources: BEP 3, BEP 7 (`peers6`), BEP 23 (compact), BEP 24 (`external ip`), BEP 31 (`retry in`), BEP 48 (scrape).

mod query;
mod reply;

pub use query::{announce_url, parse_announce_query, parse_scrape_query, scrape_url};
pub use reply::{
    encode_announce_response, encode_failure, encode_scrape_response, parse_announce_response, parse_scrape_response,
};

/// The longest answer that a client reads, in bytes.
pub const MAX_REPLY_BYTES: usize = 1024 * 1024;

/// Swarms answered for in one scrape; more are left out.
pub const MAX_SCRAPE: usize = 100;

/// Peers kept of one answer.
pub const MAX_PEERS: usize = 1000;

/// Foreign text for people: cut to [`MAX_TEXT_CHARS`], without controls, line breaks and direction marks.
///
/// What is left is still foreign: a page must escape it like any other text.
pub(super) fn printable(bytes: &[u8]) -> String {
    // Even if every character is dropped but the last few, no more than this is looked at.
    let bytes = &bytes[..bytes.len().min(4 * MAX_TEXT_CHARS)];
    let harmless = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    String::from_utf8_lossy(bytes).chars().filter(harmless).take(MAX_TEXT_CHARS).collect::<String>().trim().to_owned()
}

/// The longest reason or warning shown.
const MAX_TEXT_CHARS: usize = 200;
