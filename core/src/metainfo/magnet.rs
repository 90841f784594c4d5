//! Magnet links: a torrent's name and where to ask for it, in one line.
//!
//! Source: BEP 9 (`xt`, `dn`, `tr`, `x.pe`), BEP 19 (`ws`), BEP 52 (`urn:btmh`), BEP 53 (`so`).

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_with::{DeserializeFromStr, SerializeDisplay};

use super::parse::{MAX_URLS, is_url};
use super::{InfoHash, printable};

/// A magnet link.
///
/// The text and serde form is the link. Parameters that are not known, and known ones that make no sense, are passed
/// over: the info-hash alone makes a link.
#[derive(Clone, Debug, PartialEq, Eq, DeserializeFromStr, SerializeDisplay)]
pub struct Magnet {
    /// The torrent's name among all torrents.
    pub info_hash: InfoHash,
    /// What to call it until its metainfo is known, without control characters. Not safe as a file name.
    pub name: Option<String>,
    /// Announce URLs. At most 100.
    pub trackers: Vec<String>,
    /// URLs of HTTP servers that have the content. At most 100.
    pub web_seeds: Vec<String>,
    /// Addresses of peers; those given by host name are passed over. At most 100.
    pub peers: Vec<SocketAddr>,
    /// The files to fetch, as ranges of their numbers from 0; empty for all. At most 100 ranges.
    pub selected: Vec<RangeInclusive<u32>>,
}

/// Why a text is no magnet link that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MagnetError {
    /// Another kind of link.
    #[error("a magnet link begins with \"magnet:?\"")]
    Scheme,
    /// Longer than anybody's link.
    #[error("a magnet link of {got} bytes; at most {MAX_BYTES} are read")]
    TooLong {
        /// Its length, in bytes.
        got: usize,
    },
    /// No BitTorrent topic.
    #[error("the magnet link names no torrent: it has no \"xt=urn:btih:\" or \"xt=urn:btmh:\"")]
    NoTopic,
    /// An info-hash that is none.
    #[error("the magnet link's \"btih\" is not 40 hex digits or 32 base32 letters")]
    V1,
    /// A multihash that is none, or not of SHA-256.
    #[error("the magnet link's \"btmh\" is not \"1220\" and 64 hex digits")]
    V2,
    /// Two different torrents in one link.
    #[error("the magnet link names two torrents")]
    TwoTopics,
}

impl Magnet {
    /// The link that has nothing but the info-hash.
    pub const fn new(info_hash: InfoHash) -> Self {
        Self {
            info_hash,
            name: None,
            trackers: Vec::new(),
            web_seeds: Vec::new(),
            peers: Vec::new(),
            selected: Vec::new(),
        }
    }

    fn add(&mut self, key: &str, value: String) {
        match key {
            "dn" if self.name.is_none() => self.name = Some(printable(&value).replace(['\n', '\t'], " ")),
            "tr" if is_url(&value) => add_once(&mut self.trackers, value),
            "ws" if is_url(&value) => add_once(&mut self.web_seeds, value),
            "x.pe" => value.parse().into_iter().for_each(|peer| add_once(&mut self.peers, peer)),
            "so" => self.selected.extend(value.split(',').filter_map(parse_range).take(MAX_URLS)),
            _ => {}
        }
    }
}

impl FromStr for Magnet {
    type Err = MagnetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_BYTES {
            return Err(MagnetError::TooLong { got: text.len() });
        }
        let query = strip_prefix_ignore_case(text.trim(), "magnet:?").ok_or(MagnetError::Scheme)?;
        let info_hash = parse_topics(parameters(query).filter(|(key, _)| *key == "xt").map(|(_, topic)| topic))?;
        let mut magnet = Self::new(info_hash);
        parameters(query).for_each(|(key, value)| magnet.add(key, value));
        Ok(magnet)
    }
}

impl fmt::Display for Magnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "magnet:?";
        let mut put = |key: &str, value: &dyn fmt::Display| {
            write!(f, "{separator}{key}={value}")?;
            separator = "&";
            Ok(())
        };
        if let Some(v1) = self.info_hash.v1() {
            put("xt", &format_args!("urn:btih:{}", HEXLOWER.encode(&v1)))?;
        }
        if let Some(v2) = self.info_hash.v2() {
            put("xt", &format_args!("urn:btmh:1220{}", HEXLOWER.encode(&v2)))?;
        }
        if let Some(name) = &self.name {
            put("dn", &escaped(name))?;
        }
        for url in &self.trackers {
            put("tr", &escaped(url))?;
        }
        for url in &self.web_seeds {
            put("ws", &escaped(url))?;
        }
        for peer in &self.peers {
            put("x.pe", peer)?;
        }
        if !self.selected.is_empty() {
            let ranges: Vec<String> = self.selected.iter().map(range_text).collect();
            put("so", &ranges.join(","))?;
        }
        Ok(())
    }
}

/// The info-hash that the topics name together: one v1 hash, one v2 hash, or one of each.
fn parse_topics(topics: impl Iterator<Item = String>) -> Result<InfoHash, MagnetError> {
    let (mut v1, mut v2) = (None, None);
    for topic in topics {
        if let Some(text) = strip_prefix_ignore_case(&topic, "urn:btih:") {
            let hash = text.parse().ok().and_then(|hash: InfoHash| hash.v1()).ok_or(MagnetError::V1)?;
            if *v1.get_or_insert(hash) != hash {
                return Err(MagnetError::TwoTopics);
            }
        } else if let Some(text) = strip_prefix_ignore_case(&topic, "urn:btmh:") {
            let hash = parse_multihash(text).ok_or(MagnetError::V2)?;
            if *v2.get_or_insert(hash) != hash {
                return Err(MagnetError::TwoTopics);
            }
        }
    }
    match (v1, v2) {
        (Some(v1), Some(v2)) => Ok(InfoHash::hybrid(v1, v2)),
        (Some(v1), None) => Ok(InfoHash::from_v1(v1)),
        (None, Some(v2)) => Ok(InfoHash::from_v2(v2)),
        (None, None) => Err(MagnetError::NoTopic),
    }
}

/// The parameters in order: keys without the `.1` that tells several of a kind apart, values decoded.
pub(super) fn parameters(query: &str) -> impl Iterator<Item = (&str, String)> {
    query.split('&').filter_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        let key = match key.rsplit_once('.') {
            Some((kind, number)) if number.bytes().all(|b| b.is_ascii_digit()) => kind,
            _ => key,
        };
        // Spaces are written as `+` in names; in URLs a plus is itself.
        let value = if key == "dn" { value.replace('+', " ") } else { value.to_owned() };
        Some((key, percent_decode_str(&value).decode_utf8().ok()?.into_owned()))
    })
}

pub(super) fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// The digest of a multihash: function 0x12 (SHA-256), length 0x20, 32 bytes.
fn parse_multihash(text: &str) -> Option<[u8; 32]> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
    bytes.strip_prefix(&[0x12, 0x20])?.try_into().ok()
}

fn parse_range(text: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = first.parse().ok()?..=last.parse().ok()?;
    (!range.is_empty()).then_some(range)
}

fn range_text(range: &RangeInclusive<u32>) -> String {
    let (first, last) = (range.start(), range.end());
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn add_once<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if list.len() < MAX_URLS && !list.contains(&item) {
        list.push(item);
    }
}

/// The text as it stands in a link.
pub(super) fn escaped(text: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(text, ESCAPED)
}

/// The longest link that is read, in bytes.
pub(super) const MAX_BYTES: usize = 64 * 1024;

/// Everything but RFC 3986's unreserved characters.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef01234567";
    const V2: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn every_parameter_is_read_whatever_its_case_number_or_escapes() {
        let magnet: Magnet = format!(
            "MAGNET:?dn=Folge+1%20%26%0amehr&tr=http%3A%2F%2Ft.example%2Fannounce&tr.1=udp://t.example:6969&tr=nonsense\
             &xt.1=URN:BTIH:{}&xt.2=urn:btmh:1220{V2}&ws=http://w.example/a+b&x.pe=10.0.0.1:6881&x.pe=[2001:db8::1]:1\
             &x.pe=peer.example:7&so=0,2,4-6,9-8,x&xl=10&&novalue",
            HASH.to_uppercase()
        )
        .parse()
        .unwrap();
        assert_eq!(magnet.info_hash.to_string(), HASH);
        assert_eq!(HEXLOWER.encode(&magnet.info_hash.v2().unwrap()), V2);
        assert_eq!(magnet.name.as_deref(), Some("Folge 1 & mehr"));
        assert_eq!(magnet.trackers, ["http://t.example/announce", "udp://t.example:6969"]);
        assert_eq!(magnet.web_seeds, ["http://w.example/a+b"]);
        assert_eq!(magnet.peers, ["10.0.0.1:6881".parse().unwrap(), "[2001:db8::1]:1".parse().unwrap()]);
        assert_eq!(magnet.selected, [0..=0, 2..=2, 4..=6]);
    }

    #[test]
    fn base32_links_are_read() {
        let link = "magnet:?xt=urn:btih:AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH";
        assert_eq!(link.parse::<Magnet>().unwrap().info_hash.to_string(), HASH);
    }

    #[test]
    fn a_link_shows_the_hash_first_and_escapes_the_rest() {
        let magnet = Magnet {
            name: Some("Öl & Brot".into()),
            trackers: vec!["http://t.example/announce?k=v".into()],
            selected: vec![0..=0, 4..=6],
            ..Magnet::new(HASH.parse().unwrap())
        };
        let link = format!(
            "magnet:?xt=urn:btih:{HASH}&dn=%C3%96l%20%26%20Brot&tr=http%3A%2F%2Ft.example%2Fannounce%3Fk%3Dv&so=0,4-6"
        );
        assert_eq!(magnet.to_string(), link);
    }

    #[test]
    fn links_without_one_torrent_are_refused() {
        let refusal = |link: &str| link.parse::<Magnet>().unwrap_err();
        assert_eq!(refusal("http://example.org/"), MagnetError::Scheme);
        assert_eq!(refusal(""), MagnetError::Scheme);
        assert_eq!(refusal("magnet:?dn=a"), MagnetError::NoTopic);
        assert_eq!(refusal("magnet:?xt=urn:sha1:abc"), MagnetError::NoTopic);
        assert_eq!(refusal("magnet:?xt=urn:btih:abc"), MagnetError::V1);
        assert_eq!(refusal(&format!("magnet:?xt=urn:btih:{V2}")), MagnetError::V1);
        assert_eq!(refusal(&format!("magnet:?xt=urn:btmh:{V2}")), MagnetError::V2);
        let two = format!("magnet:?xt=urn:btih:{HASH}&xt=urn:btih:{}", HASH.replace('0', "1"));
        assert_eq!(refusal(&two), MagnetError::TwoTopics);
        let long = format!("magnet:?xt=urn:btih:{HASH}&dn={}", "x".repeat(MAX_BYTES));
        assert!(matches!(refusal(&long), MagnetError::TooLong { .. }));
    }

    #[test]
    fn lists_are_bounded() {
        let link =
            (0..200).fold(format!("magnet:?xt=urn:btih:{HASH}"), |link, n| link + &format!("&tr=http://t{n}.example/"));
        let magnet: Magnet = link.parse().unwrap();
        assert_eq!(magnet.trackers.len(), MAX_URLS);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            v1 in any::<[u8; 20]>(),
            v2 in any::<Option<[u8; 32]>>(),
            name in any::<Option<String>>(),
            path in "[a-z?&=%+ä]{0,9}",
            peers in prop::collection::btree_set(any::<SocketAddr>(), 0..4),
            selected in prop::collection::vec((0..9_u32, 9..20_u32), 0..3),
        ) {
            let magnet = Magnet {
                info_hash: v2.map_or(InfoHash::from_v1(v1), |v2| InfoHash::hybrid(v1, v2)),
                name: name.map(|name| printable(&name).replace(['\n', '\t'], " ")),
                trackers: vec![format!("udp://t.example:1/{path}")],
                web_seeds: vec![format!("https://w.example/{path}")],
                peers: peers.into_iter().map(without_scope).collect(),
                selected: selected.into_iter().map(|(first, last)| first..=last).collect(),
            };
            prop_assert_eq!(magnet.to_string().parse::<Magnet>(), Ok(magnet));
        }

        #[test]
        fn no_text_panics(text in "(magnet:\\?)?(xt=urn:bt[im]h:)?\\PC{0,40}") {
            let _ = text.parse::<Magnet>();
        }
    }

    /// An address as text has it: without flow label.
    fn without_scope(addr: SocketAddr) -> SocketAddr {
        SocketAddr::new(addr.ip(), addr.port())
    }
}
