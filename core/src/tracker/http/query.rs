//! The asking half: the URL that a client fetches, and what a server reads from its query string.

use std::fmt::Write as _;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::{MAX_SCRAPE, printable};
use crate::tracker::{AnnounceEvent, AnnounceFailure, AnnounceRequest, ScrapeRequest};

/// The URL of one announce: `base`, as the metainfo has it, with the request in its query.
///
/// A query that `base` already has is kept: private trackers put their passkey there.
///
/// # Errors
///
/// If the tracker does not speak HTTP; such a one need not be tried again.
pub fn announce_url(
    base: &str,
    request: &AnnounceRequest,
    tracker_id: Option<&[u8]>,
) -> Result<String, AnnounceFailure> {
    check_scheme(base)?;
    let mut url = with_query(base);
    let AnnounceRequest { port, uploaded, downloaded, .. } = request;
    // Some trackers read signed numbers.
    let left = request.left.min(i64::MAX.unsigned_abs());
    let info_hash = percent_encode(&request.info_hash, ESCAPED);
    let peer_id = percent_encode(&request.peer_id, ESCAPED);
    push(&mut url, format_args!("info_hash={info_hash}&peer_id={peer_id}&port={port}"));
    push(&mut url, format_args!("&uploaded={uploaded}&downloaded={downloaded}&left={left}"));
    push(&mut url, format_args!("&compact={}", u8::from(request.compact)));
    if request.no_peer_id {
        url.push_str("&no_peer_id=1");
    }
    if let Some(event) = request.event {
        push(&mut url, format_args!("&event={event}"));
    }
    if let Some(numwant) = request.numwant {
        push(&mut url, format_args!("&numwant={numwant}"));
    }
    if let Some(key) = request.key {
        push(&mut url, format_args!("&key={key:08x}"));
    }
    if let Some(id) = tracker_id {
        push(&mut url, format_args!("&trackerid={}", percent_encode(id, ESCAPED)));
    }
    Ok(url)
}

/// The URL that asks for the figures of `request`, or `None` if the tracker at `announce` has none.
///
/// BEP 48: the last part of the path must begin with `announce`, which becomes `scrape`.
pub fn scrape_url(announce: &str, request: &ScrapeRequest) -> Option<String> {
    let path_end = announce.find(['?', '#']).unwrap_or(announce.len());
    let (path, query) = announce.split_at(path_end);
    let (parent, rest) = path.rsplit_once('/')?;
    let rest = rest.strip_prefix("announce")?;
    let mut url = with_query(&format!("{parent}/scrape{rest}{query}"));
    for (index, info_hash) in request.info_hashes.iter().take(MAX_SCRAPE).enumerate() {
        let separator = if index == 0 { "" } else { "&" };
        push(&mut url, format_args!("{separator}info_hash={}", percent_encode(info_hash, ESCAPED)));
    }
    Some(url)
}

/// Reads an announce from the query string of its URL, without the question mark.
///
/// `info_hash` and `port` must be there and right; a missing `left` means that the peer does not know; other
/// senseless values count as absent. The addresses that a client may claim (`ip`, `ipv4`, `ipv6`) are not read.
///
/// # Errors
///
/// One sentence for the client, to be sent with [`encode_failure`](super::encode_failure).
pub fn parse_announce_query(query: &str) -> Result<AnnounceRequest, AnnounceFailure> {
    let mut fields = Fields::default();
    for (name, value) in pairs(query) {
        fields.take(name, value)?;
    }
    let Fields { info_hash: Some(info_hash), port: Some(port), .. } = fields else {
        let missing = if fields.info_hash.is_none() { "info_hash" } else { "port" };
        return Err(AnnounceFailure::new(format!("`{missing}` is missing")));
    };
    Ok(AnnounceRequest {
        info_hash,
        peer_id: fields.peer_id.unwrap_or_default(),
        port,
        uploaded: fields.uploaded.unwrap_or(0),
        downloaded: fields.downloaded.unwrap_or(0),
        left: fields.left.unwrap_or(u64::MAX),
        event: fields.event,
        numwant: fields.numwant,
        key: fields.key,
        compact: fields.compact.unwrap_or(true),
        no_peer_id: fields.no_peer_id.unwrap_or(false),
    })
}

/// Reads a scrape from the query string of its URL, without the question mark.
///
/// # Errors
///
/// One sentence for the client if an info-hash is malformed, or none is named: a tracker's whole list is not given out.
pub fn parse_scrape_query(query: &str) -> Result<ScrapeRequest, AnnounceFailure> {
    let mut info_hashes = Vec::new();
    for (_, value) in pairs(query).filter(|(name, _)| *name == "info_hash").take(MAX_SCRAPE) {
        info_hashes.push(twenty_bytes("info_hash", value)?);
    }
    if info_hashes.is_empty() {
        return Err(AnnounceFailure::new("`info_hash` is missing"));
    }
    Ok(ScrapeRequest { info_hashes })
}

/// What has been read of a query so far.
#[derive(Default)]
struct Fields {
    info_hash: Option<[u8; 20]>,
    peer_id: Option<[u8; 20]>,
    port: Option<u16>,
    uploaded: Option<u64>,
    downloaded: Option<u64>,
    left: Option<u64>,
    event: Option<AnnounceEvent>,
    numwant: Option<i64>,
    key: Option<u32>,
    compact: Option<bool>,
    no_peer_id: Option<bool>,
}

impl Fields {
    fn take(&mut self, name: &str, value: &str) -> Result<(), AnnounceFailure> {
        match name {
            "info_hash" => once(name, &mut self.info_hash, twenty_bytes(name, value)?)?,
            "peer_id" => once(name, &mut self.peer_id, twenty_bytes(name, value)?)?,
            "port" => once(name, &mut self.port, port(value)?)?,
            "uploaded" => self.uploaded = value.parse().ok(),
            "downloaded" => self.downloaded = value.parse().ok(),
            "left" => self.left = value.parse().ok(),
            "event" => self.event = event(value),
            "numwant" => self.numwant = value.parse().ok(),
            "key" => self.key = u32::from_str_radix(value, 16).ok(),
            "compact" => self.compact = Some(value != "0"),
            "no_peer_id" => self.no_peer_id = Some(value == "1"),
            _ => {}
        }
        Ok(())
    }
}

/// Who sends a field twice may mean either; what decides about other peers must be clear.
fn once<T>(name: &str, field: &mut Option<T>, value: T) -> Result<(), AnnounceFailure> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(AnnounceFailure::new(format!("`{name}` is given twice"))),
    }
}

fn port(value: &str) -> Result<u16, AnnounceFailure> {
    match value.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(AnnounceFailure::new("`port` is not a number from 1 to 65535")),
    }
}

fn event(value: &str) -> Option<AnnounceEvent> {
    [AnnounceEvent::Completed, AnnounceEvent::Started, AnnounceEvent::Stopped]
        .into_iter()
        .find(|event| event.as_str() == value)
}

fn pairs(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Undoes percent-encoding; `+` is a space, as form encoders write it.
fn twenty_bytes(name: &str, value: &str) -> Result<[u8; 20], AnnounceFailure> {
    let mut bytes = [0; 20];
    let mut length = 0;
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let (byte, tail) = match (first, tail) {
            (b'%', [high, low, tail @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_digit(*high) << 4 | hex_digit(*low), tail)
            }
            (b'%', _) => {
                return Err(AnnounceFailure::new(format!("`{name}` holds a `%` that two hex digits do not follow")));
            }
            (b'+', tail) => (b' ', tail),
            (byte, tail) => (*byte, tail),
        };
        if let Some(slot) = bytes.get_mut(length) {
            *slot = byte;
        }
        length += 1;
        rest = tail;
    }
    if length == 20 { Ok(bytes) } else { Err(AnnounceFailure::new(format!("`{name}` has {length} bytes; want 20"))) }
}

fn hex_digit(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

fn check_scheme(url: &str) -> Result<(), AnnounceFailure> {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    if ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http)) {
        return Ok(());
    }
    let reason =
        format!("only trackers over http, https and udp are supported, not {:?}", printable(scheme.as_bytes()));
    Err(AnnounceFailure { retry_in: Some(Duration::MAX), ..AnnounceFailure::new(reason) })
}

/// `base` without its fragment, ready for further parameters.
fn with_query(base: &str) -> String {
    let base = base.split('#').next().unwrap_or_default();
    let separator = match base.split_once('?') {
        None => "?",
        Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{base}{separator}")
}

fn push(url: &mut String, text: std::fmt::Arguments<'_>) {
    url.write_fmt(text).expect("writing to a string cannot fail");
}

/// All that RFC 3986 does not call unreserved.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH: &str = "%124Vx%9A%BC%DE%F1%23Eg%89%AB%CD%EF%124Vx%9A";

    fn hash() -> [u8; 20] {
        let mut hash = [0; 20];
        data_encoding::HEXLOWER.decode_mut(b"123456789abcdef123456789abcdef123456789a", &mut hash).unwrap();
        hash
    }

    #[track_caller]
    fn refused(query: &str) -> String {
        parse_announce_query(query).unwrap_err().reason
    }

    #[test]
    fn the_spec_s_own_example_of_an_info_hash_is_read() {
        let request = parse_announce_query(&format!("info_hash={HASH}&port=6881")).unwrap();
        assert_eq!(request.info_hash, hash());
        let bare = AnnounceRequest::new(hash(), [0; 20], 6881);
        assert_eq!(request, AnnounceRequest { left: u64::MAX, no_peer_id: false, ..bare });
    }

    #[test]
    fn an_announce_url_carries_what_the_request_says() {
        let request = AnnounceRequest {
            uploaded: 1,
            downloaded: 2,
            left: u64::MAX,
            event: Some(AnnounceEvent::Started),
            numwant: Some(50),
            key: Some(0xbeef),
            ..AnnounceRequest::new(hash(), *b"-PS0100-0123456789ab", 6881)
        };
        assert_eq!(
            announce_url("http://t.example/announce?passkey=x#y", &request, Some(b"\0&")).unwrap(),
            format!(
                "http://t.example/announce?passkey=x&info_hash={HASH}&peer_id=-PS0100-0123456789ab&port=6881&uploaded=1\
                 &downloaded=2&left=9223372036854775807&compact=1&no_peer_id=1&event=started&numwant=50&key=0000beef\
                 &trackerid=%00%26"
            )
        );
    }

    #[test]
    fn a_tracker_that_does_not_speak_http_is_left_alone() {
        for base in ["udp://t.example:80/announce", "wss://t.example", "//t.example/announce", ""] {
            let failure = announce_url(base, &AnnounceRequest::new(hash(), [0; 20], 1), None).unwrap_err();
            assert_eq!(failure.retry_in, Some(Duration::MAX), "{base}");
            assert!(failure.reason.starts_with("only trackers over http, https and udp"), "{}", failure.reason);
        }
    }

    #[test]
    fn addresses_that_a_client_claims_are_not_read() {
        let plain = format!("info_hash={HASH}&port=6881");
        let claimed = format!("{plain}&ip=8.8.8.8&ipv4=8.8.8.8&ipv6=%5B2001%3A%3A1%5D%3A1&ipv6=::1");
        assert_eq!(parse_announce_query(&claimed), parse_announce_query(&plain));
    }

    #[test]
    fn an_info_hash_that_is_not_twenty_bytes_is_refused() {
        assert_eq!(refused("port=1"), "`info_hash` is missing");
        assert_eq!(refused("info_hash=&port=1"), "`info_hash` has 0 bytes; want 20");
        assert_eq!(refused(&format!("info_hash={HASH}x&port=1")), "`info_hash` has 21 bytes; want 20");
        assert_eq!(refused(&format!("info_hash={}&port=1", "é".repeat(9))), "`info_hash` has 18 bytes; want 20");
        let broken = "`info_hash` holds a `%` that two hex digits do not follow";
        for end in ["%", "%4", "%4g", "%é", "%%41"] {
            assert_eq!(refused(&format!("info_hash=0123456789012345678{end}&port=1")), broken);
        }
        assert_eq!(refused(&format!("info_hash={HASH}&port=1&info_hash={HASH}")), "`info_hash` is given twice");
    }

    #[test]
    fn a_port_that_no_peer_can_have_is_refused() {
        assert_eq!(refused(&format!("info_hash={HASH}")), "`port` is missing");
        for port in ["0", "65536", "-1", "", "x", "6881%20"] {
            let reason = refused(&format!("info_hash={HASH}&port={port}"));
            assert_eq!(reason, "`port` is not a number from 1 to 65535", "{port}");
        }
    }

    #[test]
    fn senseless_numbers_count_as_absent() {
        let read = |more: &str| parse_announce_query(&format!("info_hash={HASH}&port=1&{more}")).unwrap();
        assert_eq!(read("left=-1").left, u64::MAX);
        assert_eq!(read("uploaded=1e9&downloaded=").uploaded, 0);
        assert_eq!(read("numwant=-2147483648").numwant, Some(-2_147_483_648));
        assert_eq!(read("numwant=1000000000000000000000").numwant, None);
        assert_eq!(read("event=paused").event, None);
        assert_eq!(read("event=stopped").event, Some(AnnounceEvent::Stopped));
        assert_eq!(read("key=1234567890").key, None);
        assert!(!read("compact=0").compact);
        assert!(read("compact=").compact);
    }

    #[test]
    fn only_an_announce_url_has_a_scrape_url() {
        let url = |announce: &str| scrape_url(announce, &ScrapeRequest { info_hashes: vec![hash(), [b'a'; 20]] });
        let tail = format!("info_hash={HASH}&info_hash=aaaaaaaaaaaaaaaaaaaa");
        assert_eq!(url("http://t/announce"), Some(format!("http://t/scrape?{tail}")));
        assert_eq!(url("http://t/x/announce.php?k=/y"), Some(format!("http://t/x/scrape.php?k=/y&{tail}")));
        assert_eq!(url("http://t/a"), None);
        assert_eq!(url("http://t/announce/x"), None);
        assert_eq!(url("announce"), None);
    }

    #[test]
    fn a_scrape_is_read_up_to_its_cap_and_never_means_everything() {
        let query = vec![format!("info_hash={HASH}"); 1000].join("&");
        assert_eq!(parse_scrape_query(&query).unwrap().info_hashes, vec![hash(); MAX_SCRAPE]);
        assert_eq!(parse_scrape_query("").unwrap_err().reason, "`info_hash` is missing");
        assert!(parse_scrape_query("info_hash=short").is_err());
    }

    proptest! {
        #[test]
        fn every_request_survives_the_way_to_the_tracker(
            info_hash: [u8; 20], peer_id: [u8; 20], port in 1..=u16::MAX, uploaded: u64, downloaded: u64,
            left in 0..=i64::MAX.unsigned_abs(), event in 0..4_usize, numwant: Option<i64>, key: Option<u32>,
            compact: bool, no_peer_id: bool,
        ) {
            let events = [None, Some(AnnounceEvent::Completed), Some(AnnounceEvent::Started), Some(AnnounceEvent::Stopped)];
            let request = AnnounceRequest {
                info_hash, peer_id, port, uploaded, downloaded, left, event: events[event], numwant, key, compact, no_peer_id,
            };
            let url = announce_url("HTTPS://t/announce", &request, None).unwrap();
            prop_assert_eq!(parse_announce_query(url.split_once('?').unwrap().1), Ok(request));
        }

        #[test]
        fn no_query_panics(query in ".*", known in "(info_hash|peer_id|port|left|key)=[%+0-9a-fé]{0,60}") {
            let _ = parse_announce_query(&query);
            let _ = parse_announce_query(&known);
            let _ = parse_scrape_query(&known);
        }
    }
}
