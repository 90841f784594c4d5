//! The answering half: bencoded bodies, written by a server and read by a client.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;
use serde_bencode::value::Value;
use serde_bytes::ByteBuf;

use super::{MAX_PEERS, MAX_REPLY_BYTES, printable};
use crate::bencode::{self, Limits};
use crate::tracker::announce::DEFAULT_INTERVAL;
use crate::tracker::{AnnounceFailure, AnnounceResponse, Scope, ScrapeResponse, SwarmCounts};

/// The body that answers an announce.
///
/// With `compact`, IPv4 peers go into `peers` and IPv6 peers into `peers6`, 6 and 18 bytes each; otherwise each peer is
/// a dictionary in `peers`. Peer ids are never given: the table does not keep them.
pub fn encode_announce_response(response: &AnnounceResponse, compact: bool) -> Vec<u8> {
    let mut body = Dictionary::with_capacity(160 + response.peers.len() * if compact { 18 } else { 64 });
    if let Some(complete) = response.complete {
        body.integer("complete", complete.into());
    }
    if let Some(downloaded) = response.downloaded {
        body.integer("downloaded", downloaded.into());
    }
    if let Some(ip) = response.external_ip {
        body.bytes("external ip", &ip_bytes(ip));
    }
    if let Some(incomplete) = response.incomplete {
        body.integer("incomplete", incomplete.into());
    }
    body.integer("interval", response.interval.as_secs());
    if let Some(min_interval) = response.min_interval {
        body.integer("min interval", min_interval.as_secs());
    }
    if compact {
        let v4_count = response.peers.iter().filter(|peer| peer.is_ipv4()).count();
        let v6_count = response.peers.len() - v4_count;
        body.compact_peers("peers", 6 * v4_count, response.peers.iter().filter(|peer| peer.is_ipv4()));
        if v6_count > 0 {
            body.compact_peers("peers6", 18 * v6_count, response.peers.iter().filter(|peer| peer.is_ipv6()));
        }
    } else {
        body.key("peers");
        body.out.push(b'l');
        for peer in &response.peers {
            body.out.push(b'd');
            body.bytes("ip", peer.ip().to_string().as_bytes());
            body.integer("port", peer.port().into());
            body.out.push(b'e');
        }
        body.out.push(b'e');
    }
    if let Some(id) = &response.tracker_id {
        body.bytes("tracker id", id);
    }
    if let Some(warning) = &response.warning {
        body.bytes("warning message", warning.as_bytes());
    }
    body.finish()
}

/// The body that refuses an announce or a scrape.
///
/// The time to wait is given in minutes, rounded up. BEP 31.
pub fn encode_failure(failure: &AnnounceFailure) -> Vec<u8> {
    let mut body = Dictionary::with_capacity(64 + failure.reason.len());
    body.bytes("failure reason", failure.reason.as_bytes());
    match failure.retry_in {
        None => {}
        Some(Duration::MAX) => body.bytes("retry in", b"never"),
        Some(wait) => body.integer("retry in", wait.as_secs().div_ceil(60)),
    }
    body.finish()
}

/// The body that answers a scrape. BEP 48.
pub fn encode_scrape_response(response: &ScrapeResponse) -> Vec<u8> {
    let mut body = Dictionary::with_capacity(16 + response.files.len() * 80);
    body.key("files");
    body.out.push(b'd');
    for (info_hash, counts) in &response.files {
        bencode::write_string(&mut body.out, info_hash);
        body.out.push(b'd');
        body.integer("complete", counts.complete.into());
        body.integer("downloaded", counts.downloaded.into());
        body.integer("incomplete", counts.incomplete.into());
        body.out.push(b'e');
    }
    body.out.push(b'e');
    body.finish()
}

/// Reads the body that answers an announce.
///
/// Peers come as compact strings or as dictionaries, in `peers` and `peers6`; the first [`MAX_PEERS`] that some host
/// can have are kept. An interval that is missing or not positive becomes [`DEFAULT_INTERVAL`].
///
/// # Errors
///
/// The tracker's `failure reason`, or what is wrong with its answer.
pub fn parse_announce_response(body: &[u8]) -> Result<AnnounceResponse, AnnounceFailure> {
    let reply: AnnounceReply = decode(body)?;
    if let Some(reason) = reply.failure_reason {
        return Err(AnnounceFailure { reason: failure_text(&reason), retry_in: reply.retry_in.and_then(retry_in) });
    }
    let mut peers = Vec::new();
    for (name, list, width) in [("peers", reply.peers, 6), ("peers6", reply.peers6, 18)] {
        match list {
            None => {}
            Some(Value::Bytes(bytes)) => read_compact(name, &bytes, width, &mut peers)?,
            Some(Value::List(entries)) => peers.extend(entries.iter().filter_map(read_dictionary)),
            Some(_) => return Err(AnnounceFailure::new(format!("`{name}` is neither a string nor a list"))),
        }
    }
    peers.retain(|peer| peer.port() != 0 && Scope::of(peer.ip()) != Scope::Nowhere);
    peers.truncate(MAX_PEERS);
    let seconds = |value: Option<i64>| {
        value.and_then(|value| u64::try_from(value).ok()).filter(|&value| value > 0).map(Duration::from_secs)
    };
    Ok(AnnounceResponse {
        interval: seconds(reply.interval).unwrap_or(DEFAULT_INTERVAL),
        min_interval: seconds(reply.min_interval),
        complete: reply.complete.and_then(count),
        incomplete: reply.incomplete.and_then(count),
        downloaded: reply.downloaded.and_then(count),
        peers,
        external_ip: reply.external_ip.and_then(|bytes| ip_from(&bytes)),
        tracker_id: reply.tracker_id.map(ByteBuf::into_vec).filter(|id| id.len() <= MAX_TRACKER_ID_BYTES),
        warning: reply.warning.map(|text| printable(&text)).filter(|text| !text.is_empty()),
    })
}

/// Reads the body that answers a scrape. Counts that are missing or senseless become 0.
///
/// # Errors
///
/// The tracker's `failure reason`, or what is wrong with its answer.
pub fn parse_scrape_response(body: &[u8]) -> Result<ScrapeResponse, AnnounceFailure> {
    let reply: ScrapeReply = decode(body)?;
    if let Some(reason) = reply.failure_reason {
        return Err(AnnounceFailure::new(failure_text(&reason)));
    }
    let known = |value: Option<i64>| value.and_then(count).unwrap_or(0);
    let files = reply.files.into_iter().filter_map(|(info_hash, counts)| {
        let counts = SwarmCounts {
            complete: known(counts.complete),
            incomplete: known(counts.incomplete),
            downloaded: known(counts.downloaded),
        };
        Some((info_hash.as_slice().try_into().ok()?, counts))
    });
    Ok(ScrapeResponse { files: files.collect() })
}

#[derive(Deserialize)]
struct AnnounceReply {
    #[serde(rename = "failure reason")]
    failure_reason: Option<ByteBuf>,
    /// Minutes, or `never`.
    #[serde(rename = "retry in")]
    retry_in: Option<Value>,
    #[serde(rename = "warning message")]
    warning: Option<ByteBuf>,
    interval: Option<i64>,
    #[serde(rename = "min interval")]
    min_interval: Option<i64>,
    #[serde(rename = "tracker id")]
    tracker_id: Option<ByteBuf>,
    complete: Option<i64>,
    incomplete: Option<i64>,
    downloaded: Option<i64>,
    peers: Option<Value>,
    peers6: Option<Value>,
    #[serde(rename = "external ip")]
    external_ip: Option<ByteBuf>,
}

#[derive(Deserialize)]
struct ScrapeReply {
    #[serde(rename = "failure reason")]
    failure_reason: Option<ByteBuf>,
    #[serde(default)]
    files: BTreeMap<ByteBuf, Counts>,
}

#[derive(Deserialize)]
struct Counts {
    complete: Option<i64>,
    incomplete: Option<i64>,
    downloaded: Option<i64>,
}

fn decode<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, AnnounceFailure> {
    let limits = Limits { bytes: MAX_REPLY_BYTES, ..Limits::MESSAGE };
    bencode::decode(body, limits)
        .map_err(|error| AnnounceFailure::new(format!("the tracker's answer is malformed: {error}")))
}

/// A tracker may refuse without a word.
fn failure_text(reason: &[u8]) -> String {
    let text = printable(reason);
    if text.is_empty() { "the tracker refused without a reason".to_owned() } else { text }
}

fn retry_in(value: Value) -> Option<Duration> {
    match value {
        Value::Int(minutes) => {
            u64::try_from(minutes).ok().map(|minutes| Duration::from_secs(minutes.saturating_mul(60)))
        }
        Value::Bytes(word) if word == b"never" => Some(Duration::MAX),
        _ => None,
    }
}

fn count(value: i64) -> Option<u32> {
    u64::try_from(value).ok().map(|value| u32::try_from(value).unwrap_or(u32::MAX))
}

/// Reads entries of `width` bytes, address then port. A list that does not add up is not one to dial from.
fn read_compact(name: &str, bytes: &[u8], width: usize, peers: &mut Vec<SocketAddr>) -> Result<(), AnnounceFailure> {
    if !bytes.len().is_multiple_of(width) {
        let length = bytes.len();
        return Err(AnnounceFailure::new(format!("`{name}` has {length} bytes; want a multiple of {width}")));
    }
    for entry in bytes.chunks_exact(width) {
        let (ip, port) = entry.split_at(width - 2);
        let port = u16::from_be_bytes([port[0], port[1]]);
        let ip = ip_from(ip).expect("an entry without its port is 4 or 16 bytes");
        peers.push(SocketAddr::new(ip, port));
    }
    Ok(())
}

/// One peer of the original, long form. A host name in place of the address is passed over.
fn read_dictionary(entry: &Value) -> Option<SocketAddr> {
    let Value::Dict(entry) = entry else { return None };
    let (Value::Bytes(ip), Value::Int(port)) = (entry.get(&b"ip"[..])?, entry.get(&b"port"[..])?) else { return None };
    let ip: IpAddr = std::str::from_utf8(ip).ok()?.parse().ok()?;
    Some(SocketAddr::new(ip.to_canonical(), u16::try_from(*port).ok()?))
}

fn ip_bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

fn ip_from(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(bytes).ok()?;
    Some(IpAddr::from(Ipv6Addr::from(octets)).to_canonical())
}

/// A tracker id longer than this is forgotten: it would have to be sent back each time.
const MAX_TRACKER_ID_BYTES: usize = 256;

/// A bencoded dictionary in the making. The caller names the keys in their order, as bencode wants them.
struct Dictionary {
    out: Vec<u8>,
}

impl Dictionary {
    fn with_capacity(bytes: usize) -> Self {
        let mut out = Vec::with_capacity(bytes);
        out.push(b'd');
        Self { out }
    }

    fn key(&mut self, key: &str) {
        bencode::write_string(&mut self.out, key.as_bytes());
    }

    fn bytes(&mut self, key: &str, value: &[u8]) {
        self.key(key);
        bencode::write_string(&mut self.out, value);
    }

    fn integer(&mut self, key: &str, value: u64) {
        self.key(key);
        self.out.push(b'i');
        self.out.extend_from_slice(value.to_string().as_bytes());
        self.out.push(b'e');
    }

    /// A string of `length` bytes: each peer's address, then its port.
    fn compact_peers<'a>(&mut self, key: &str, length: usize, peers: impl Iterator<Item = &'a SocketAddr>) {
        self.key(key);
        self.out.extend_from_slice(length.to_string().as_bytes());
        self.out.push(b':');
        for peer in peers {
            match peer.ip() {
                IpAddr::V4(ip) => self.out.extend_from_slice(&ip.octets()),
                IpAddr::V6(ip) => self.out.extend_from_slice(&ip.octets()),
            }
            self.out.extend_from_slice(&peer.port().to_be_bytes());
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.out.push(b'e');
        self.out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &str) -> Result<AnnounceResponse, AnnounceFailure> {
        parse_announce_response(body.as_bytes())
    }

    #[track_caller]
    fn refused(body: impl AsRef<[u8]>) -> String {
        parse_announce_response(body.as_ref()).unwrap_err().reason
    }

    fn addresses(peers: &[&str]) -> Vec<SocketAddr> {
        peers.iter().map(|peer| peer.parse().unwrap()).collect()
    }

    fn full() -> AnnounceResponse {
        AnnounceResponse {
            interval: Duration::from_mins(30),
            min_interval: Some(Duration::from_mins(1)),
            complete: Some(3),
            incomplete: Some(4),
            downloaded: None,
            peers: addresses(&["192.0.2.1:6881", "[2001:db8::2]:6882"]),
            external_ip: Some("192.0.2.9".parse().unwrap()),
            tracker_id: Some(b"\xff1".to_vec()),
            warning: Some("old client".to_owned()),
        }
    }

    #[test]
    fn a_compact_answer_has_the_bytes_that_the_beps_name() {
        let mut want = b"d8:completei3e11:external ip4:\xc0\0\x02\t10:incompletei4e8:intervali1800e12:min intervali60e\
            5:peers6:\xc0\0\x02\x01\x1a\xe16:peers618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x1a\xe2"
            .to_vec();
        want.extend_from_slice(b"10:tracker id2:\xff115:warning message10:old cliente");
        assert_eq!(encode_announce_response(&full(), true), want);
        assert_eq!(parse_announce_response(&want), Ok(full()));
    }

    #[test]
    fn an_answer_without_peers_still_has_the_key() {
        let body = encode_announce_response(&AnnounceResponse::new(Duration::from_secs(2)), true);
        assert_eq!(body, b"d8:intervali2e5:peers0:e");
    }

    #[test]
    fn an_answer_in_dictionaries_says_the_same() {
        let body = encode_announce_response(&full(), false);
        let list = b"5:peersld2:ip9:192.0.2.14:porti6881eed2:ip11:2001:db8::24:porti6882eee";
        assert!(body.windows(list.len()).any(|window| window == list));
        assert_eq!(parse_announce_response(&body), Ok(full()));
    }

    #[test]
    fn dictionaries_with_ids_names_and_nonsense_yield_the_peers_that_can_be_dialled() {
        let long =
            |ip: &str, port: &str| format!("d2:ip{}:{ip}7:peer id20:aaaaaaaaaaaaaaaaaaaa4:port{port}e", ip.len());
        let body = format!(
            "d8:intervali9e5:peersl{}{}{}{}{}i1e1:xdeee",
            long("192.0.2.1", "i1e"),
            long("::ffff:192.0.2.2", "i2e"),
            long("peer.example", "i3e"),
            long("192.0.2.3", "i65536e"),
            long("192.0.2.4", "3:abc"),
        );
        assert_eq!(read(&body).unwrap().peers, addresses(&["192.0.2.1:1", "192.0.2.2:2"]));
    }

    #[test]
    fn a_peer_list_that_does_not_add_up_is_refused() {
        assert_eq!(refused("d5:peers5:abcdee"), "`peers` has 5 bytes; want a multiple of 6");
        assert_eq!(refused("d5:peers0:6:peers66:abcdefe"), "`peers6` has 6 bytes; want a multiple of 18");
        assert_eq!(refused("d5:peersi1ee"), "`peers` is neither a string nor a list");
    }

    #[test]
    fn peers_that_no_host_can_be_are_dropped_and_too_many_are_cut() {
        let mut body = b"d5:peers24:\0\0\0\0\0\x01\x7f\0\0\x01\0\0\xe0\0\0\x01\0\x01\x7f\0\0\x01\0\x01e".to_vec();
        assert_eq!(parse_announce_response(&body).unwrap().peers, addresses(&["127.0.0.1:1"]));
        body = format!("d5:peers{}:{}e", 600_000, "abcdef".repeat(100_000)).into_bytes();
        assert_eq!(parse_announce_response(&body).unwrap().peers.len(), MAX_PEERS);
    }

    #[test]
    fn senseless_intervals_and_counts_count_as_absent() {
        for interval in ["i0e", "i-1e", "i-9223372036854775808e"] {
            let answer =
                read(&format!("d8:completei-5e8:interval{interval}12:min interval{interval}5:peers0:e")).unwrap();
            assert_eq!(answer, AnnounceResponse::new(DEFAULT_INTERVAL), "{interval}");
        }
        let answer = read("d8:completei99999999999e8:intervali2147483648e5:peers0:e").unwrap();
        assert_eq!(answer.interval, Duration::from_secs(1 << 31));
        assert_eq!(answer.complete, Some(u32::MAX));
    }

    #[test]
    fn a_failure_reason_is_short_and_printable() {
        let hostile = format!("\x1b[31m<b>no\r\n\u{202e}{}", "x".repeat(500_000));
        let body = format!("d14:failure reason{}:{hostile}e", hostile.len());
        assert_eq!(refused(&body), format!("[31m<b>no{}", "x".repeat(191)));
        assert_eq!(refused("d14:failure reason0:e"), "the tracker refused without a reason");
        assert_eq!(refused(b"d14:failure reason2:\xff\0e"), "\u{fffd}");
    }

    #[test]
    fn a_refusal_may_say_when_to_come_back() {
        for (wait, encoded) in [
            (None, "d14:failure reason2:noe"),
            (Some(Duration::from_secs(61)), "d14:failure reason2:no8:retry ini2ee"),
            (Some(Duration::MAX), "d14:failure reason2:no8:retry in5:nevere"),
        ] {
            assert_eq!(
                encode_failure(&AnnounceFailure { retry_in: wait, ..AnnounceFailure::new("no") }),
                encoded.as_bytes()
            );
            let minutes = wait.map(|wait| if wait == Duration::MAX { wait } else { Duration::from_mins(2) });
            assert_eq!(read(encoded).unwrap_err().retry_in, minutes);
        }
        assert_eq!(read("d14:failure reason2:no8:retry in4:soone").unwrap_err().retry_in, None);
        assert_eq!(read("d14:failure reason2:no8:retry ini-3ee").unwrap_err().retry_in, None);
    }

    #[test]
    fn an_answer_that_is_not_one_dictionary_is_refused() {
        for body in ["", "<html>", "le", "i1e", "d8:interval", "d8:intervali1800e5:peers0:", "d8:interval4:1800e"] {
            assert!(refused(body).starts_with("the tracker's answer is malformed: "), "{body}");
        }
        assert!(refused("d8:intervali1e8:intervali2e5:peers0:e").contains("malformed"));
        let deep = format!("d5:peers{}{}e", "l".repeat(100_000), "e".repeat(100_000));
        assert!(refused(deep).contains("malformed"));
        assert!(refused(format!("d5:peers{}:{}e", 6_000_000, "x".repeat(6_000_000))).contains("malformed"));
    }

    #[test]
    fn scrapes_survive_the_way_to_the_client() {
        let counts = SwarmCounts { complete: 1, incomplete: 2, downloaded: 3 };
        let response = ScrapeResponse { files: [([0xff; 20], counts), ([b'a'; 20], SwarmCounts::default())].into() };
        let body = encode_scrape_response(&response);
        assert!(
            body.starts_with(b"d5:filesd20:aaaaaaaaaaaaaaaaaaaad8:completei0e10:downloadedi0e10:incompletei0ee20:\xff")
        );
        assert_eq!(parse_scrape_response(&body), Ok(response));
    }

    #[test]
    fn a_scrape_may_be_refused_or_hold_nonsense() {
        assert_eq!(parse_scrape_response(b"d14:failure reason2:noe").unwrap_err().reason, "no");
        let files = b"d5:filesd3:abcd8:completei1ee20:aaaaaaaaaaaaaaaaaaaad8:completei-1e4:name1:xeee";
        assert_eq!(parse_scrape_response(files).unwrap().files, BTreeMap::from([([b'a'; 20], SwarmCounts::default())]));
        assert_eq!(parse_scrape_response(b"de"), Ok(ScrapeResponse::default()));
    }

    proptest! {
        #[test]
        fn no_body_panics(body: Vec<u8>, peers in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse_announce_response(&body);
            let _ = parse_scrape_response(&body);
            let mut body = format!("d8:intervali1e5:peers{}:", peers.len()).into_bytes();
            body.extend_from_slice(&peers);
            body.push(b'e');
            prop_assert_eq!(parse_announce_response(&body).is_ok(), peers.len() % 6 == 0);
        }

        #[test]
        fn every_list_of_peers_survives_both_forms(
            v4 in proptest::collection::vec((1..=223_u8, any::<[u8; 3]>(), 1..=u16::MAX), 0..50),
            v6 in proptest::collection::vec((any::<[u16; 7]>(), 1..=u16::MAX), 0..50),
        ) {
            let v4 = v4.into_iter().map(|(a, [b, c, d], port)| SocketAddr::from(([a, b, c, d], port)));
            let v6 = v6.into_iter().map(|([b, c, d, e, f, g, h], port)| SocketAddr::from(([0x2001, b, c, d, e, f, g, h], port)));
            let response = AnnounceResponse { peers: v4.chain(v6).collect(), ..full() };
            for compact in [true, false] {
                let body = encode_announce_response(&response, compact);
                prop_assert_eq!(parse_announce_response(&body), Ok(response.clone()));
            }
        }
    }
}
