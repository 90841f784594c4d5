//! What the tests of this module share: short ways to say what a feed brings.

use chrono::{DateTime, Utc};
use ed25519_dalek::SigningKey;
use podswarm_core::metainfo::InfoHash;
use podswarm_core::time::Instant;
use podswarm_feeds::poll::Now;
use podswarm_feeds::{ShowKey, Withdrawal};
use std::time::Duration;

use super::found::Found;
use crate::records::{Offer, Source};

/// 2026-11-20 12:00 UTC, and so many seconds.
pub(crate) fn wall(secs: u64) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-11-20T12:00:00Z").unwrap().to_utc() + Duration::from_secs(secs)
}

/// [`wall`] with the engine's clock beside it.
pub(crate) fn now(secs: u64) -> Now {
    Now { instant: Instant::ZERO + Duration::from_secs(secs), wall: wall(secs) }
}

/// The info-hash of twenty `n`s.
pub(crate) fn hash(n: u8) -> InfoHash {
    InfoHash::from_v1([n; 20])
}

/// The public key of the show `seed`.
pub(crate) fn show_key(seed: u8) -> ShowKey {
    ShowKey::of(&SigningKey::from_bytes(&[seed; 32]))
}

/// What the show `seed` signs when it takes an episode back so many seconds after [`wall`]'s beginning.
pub(crate) fn withdrawal(seed: u8, guid: &str, secs: u64) -> Withdrawal {
    Withdrawal::sign(&SigningKey::from_bytes(&[seed; 32]), guid, wall(secs))
}

/// An item that is a plain file, released `day` days before [`wall`]'s beginning.
pub(crate) fn http(guid: &str, day: u64) -> Found {
    let published = Some(wall(0) - Duration::from_hours(24 * day));
    let sources = vec![Source::Http(format!("http://host.example/{guid}.mp3"))];
    let offer = Offer { sources, length: Some(1000), ..Offer::default() };
    Found { guid: guid.to_owned(), title: format!("Title {guid}"), published, offer, ..Found::default() }
}

/// An item with a torrent and a plain file.
pub(crate) fn torrent(guid: &str, day: u64, info_hash: InfoHash) -> Found {
    let mut item = http(guid, day);
    item.offer.sources.insert(0, Source::Torrent(format!("http://host.example/{guid}.torrent")));
    item.offer.info_hash = Some(info_hash);
    item
}
