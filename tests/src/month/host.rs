//! A host that serves feeds and media, and what is wrong with it at times.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use podswarm_core::metainfo::InfoHash;
use podswarm_feeds::date;

use super::show::Content;

/// What is wrong with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It asks for patience, with this status: for so many seconds, or until a date if `by_date`.
    Busy { status: u16, seconds: u64, by_date: bool },
    /// Nothing answers.
    Down,
    /// It accepts connections and says nothing.
    Hangs,
    /// Its name is not known.
    Unknown,
}

impl Trouble {
    /// What a request comes to that got no answer; `None` if it gets one.
    pub(super) const fn silence(self) -> Option<&'static str> {
        match self {
            Self::Busy { .. } => None,
            Self::Down => Some("connection refused"),
            Self::Hangs => Some("no answer within 60 s"),
            Self::Unknown => Some("no such host"),
        }
    }

    /// `Retry-After` in seconds, which is all that is understood of media's hosts.
    pub(super) const fn patience(self) -> Option<Duration> {
        match self {
            Self::Busy { seconds, by_date: false, .. } => Some(Duration::from_secs(seconds)),
            Self::Busy { .. } | Self::Down | Self::Hangs | Self::Unknown => None,
        }
    }

    /// `Retry-After` at `wall`.
    pub(super) fn retry_after(self, wall: DateTime<Utc>) -> Option<String> {
        let Self::Busy { seconds, by_date, .. } = self else { return None };
        let at = wall + Duration::from_secs(seconds);
        Some(if by_date { date::rfc2822(at) } else { seconds.to_string() })
    }
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It breaks off in the middle, so many times.
    BreaksOff(u8),
    /// 404.
    Missing,
    /// Nothing comes after the middle, nor from any peer.
    Stalls,
}

/// A recording, as it lies on its host.
#[derive(Clone, Debug)]
pub(super) struct Recording {
    pub(super) show: usize,
    pub(super) length: u64,
    pub(super) flaw: Option<Flaw>,
    /// What it is called in feeds, with all the guids that it ever had there.
    pub(super) names: Vec<(usize, String)>,
    /// The one that it stands in the place of.
    pub(super) replaces: Option<Content>,
}

/// Where recordings are.
#[derive(Default)]
pub(super) struct Media {
    pub(super) recordings: Vec<Recording>,
    by_url: BTreeMap<String, Content>,
    by_hash: BTreeMap<[u8; 20], Content>,
}

impl Media {
    pub(super) fn add(&mut self, recording: Recording) -> Content {
        self.recordings.push(recording);
        self.recordings.len() - 1
    }

    pub(super) fn put(&mut self, url: String, content: Content) {
        self.by_url.insert(url, content);
    }

    pub(super) fn at(&self, url: &str) -> Option<Content> {
        self.by_url.get(url).copied()
    }

    pub(super) fn of(&self, hash: InfoHash) -> Option<Content> {
        self.by_hash.get(&hash.v1()?).copied()
    }

    /// The torrent of a recording.
    pub(super) fn hash(&mut self, content: Content) -> InfoHash {
        let mut hash = [7; 20];
        hash[..8].copy_from_slice(&(content as u64).to_be_bytes());
        self.by_hash.insert(hash, content);
        InfoHash::from_v1(hash)
    }
}
