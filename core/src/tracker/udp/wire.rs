//! The datagrams as bytes.
//!
//! Every number is big-endian. A request starts with the connection id, the action and the transaction id, a reply with
//! the action and the transaction id. Peers are as wide as the addresses of the family that the datagram travels in.
//!
//! Strict where a datagram is too short for what it says it is, lenient in what follows: bytes after the last field are
//! options as far as they can be read, and unknown events are no events.
//! Source: BEP 15, BEP 41.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::{ConnectionId, MAX_REPLY_BYTES, MAX_SCRAPE};
use crate::tracker::announce::DEFAULT_INTERVAL;
use crate::tracker::http::{MAX_PEERS, printable};
use crate::tracker::{AnnounceEvent, AnnounceFailure, AnnounceRequest, AnnounceResponse, Scope, SwarmCounts};

/// Stands where the connection id would, in the request for one.
pub const PROTOCOL_ID: u64 = 0x0417_2710_1980;

/// Bytes of a request for a connection id, of its reply, and of the head of every other request.
pub const HEAD_BYTES: usize = 16;
/// Bytes of an announce without options.
pub const ANNOUNCE_BYTES: usize = 98;
/// Bytes of the reply to an announce before its peers.
pub const ANNOUNCE_REPLY_BYTES: usize = 20;

const CONNECT: u32 = 0;
const ANNOUNCE: u32 = 1;
const SCRAPE: u32 = 2;
const ERROR: u32 = 3;

const END_OF_OPTIONS: u8 = 0;
const NOTHING: u8 = 1;
const URL_DATA: u8 = 2;

/// Path and query that a client sends along are cut here: the rest of the internet expects whole packets.
const MAX_URL_DATA_BYTES: usize = 1024;

/// The number by which a client knows the reply to its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionId(pub u32);

/// A request as far as it can be read before anybody is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// What the asker shows.
    pub connection: ConnectionId,
    /// The number of the request.
    pub transaction: TransactionId,
    /// What is asked.
    pub query: Query<'a>,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query<'a> {
    /// An announce, still to be [read](announce_of).
    Announce(&'a [u8]),
    /// A connection id.
    Connect,
    /// The info-hashes of a scrape, 20 bytes each.
    Scrape(&'a [[u8; 20]]),
}

impl<'a> Request<'a> {
    /// Reads the head of a datagram; `None` if it is nothing that this protocol knows.
    pub fn read(datagram: &'a [u8]) -> Option<Self> {
        let (connection, rest) = datagram.split_first_chunk()?;
        let (action, rest) = rest.split_first_chunk()?;
        let (transaction, rest) = rest.split_first_chunk()?;
        let connection = u64::from_be_bytes(*connection);
        let query = match u32::from_be_bytes(*action) {
            CONNECT if connection == PROTOCOL_ID => Query::Connect,
            ANNOUNCE if datagram.len() >= ANNOUNCE_BYTES => Query::Announce(datagram),
            SCRAPE if rest.len() >= 20 => Query::Scrape(rest.as_chunks().0),
            _ => return None,
        };
        let transaction = TransactionId(u32::from_be_bytes(*transaction));
        Some(Self { connection: ConnectionId(connection), transaction, query })
    }
}

/// Reads an announce out of its whole datagram.
///
/// The address that it may claim is not read: a tracker that believes it can be turned against others. What the options
/// say is not needed to answer, but they must add up.
///
/// # Errors
///
/// One sentence for the client.
pub fn announce_of(datagram: &[u8]) -> Result<AnnounceRequest, AnnounceFailure> {
    let Some((fields, options)) = datagram.split_first_chunk::<ANNOUNCE_BYTES>() else {
        return Err(AnnounceFailure::new("an announce has 98 bytes"));
    };
    if !UrlData::read(options).all(|part| part.is_some()) {
        return Err(AnnounceFailure::new("an option is cut short"));
    }
    let numwant = i32::from_be_bytes(bytes_at(fields, 92));
    Ok(AnnounceRequest {
        info_hash: bytes_at(fields, 16),
        peer_id: bytes_at(fields, 36),
        downloaded: u64::from_be_bytes(bytes_at(fields, 56)),
        left: u64::from_be_bytes(bytes_at(fields, 64)),
        uploaded: u64::from_be_bytes(bytes_at(fields, 72)),
        event: event_of(u32::from_be_bytes(bytes_at(fields, 80))),
        key: Some(u32::from_be_bytes(bytes_at(fields, 88))),
        numwant: (numwant >= 0).then_some(numwant.into()),
        port: u16::from_be_bytes(bytes_at(fields, 96)),
        compact: true,
        no_peer_id: true,
    })
}

/// The parts of a URL's path and query that an announce carries in its options. BEP 41.
///
/// A part that is longer than the datagram is `None`, and the last.
#[derive(Clone, Debug)]
pub struct UrlData<'a> {
    options: &'a [u8],
}

impl<'a> UrlData<'a> {
    /// The parts in `options`, which are what follows the fields of an announce.
    pub const fn read(options: &'a [u8]) -> Self {
        Self { options }
    }
}

impl<'a> Iterator for UrlData<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (&kind, rest) = self.options.split_first()?;
            self.options = &[];
            if kind == END_OF_OPTIONS {
                return None;
            }
            if kind == NOTHING {
                self.options = rest;
                continue;
            }
            let Some((value, rest)) =
                rest.split_first().and_then(|(&length, rest)| rest.split_at_checked(length.into()))
            else {
                return Some(None);
            };
            self.options = rest;
            if kind == URL_DATA {
                return Some(Some(value));
            }
        }
    }
}

/// Writes the request for a connection id.
pub fn write_connect(transaction: TransactionId, out: &mut Vec<u8>) {
    write_head(PROTOCOL_ID, CONNECT, transaction, out);
}

/// Writes an announce; `url_data` is the path and query of the tracker's URL. BEP 15, BEP 41.
pub fn write_announce(
    connection: ConnectionId,
    transaction: TransactionId,
    request: &AnnounceRequest,
    url_data: &str,
    out: &mut Vec<u8>,
) {
    let signed = |count: u64| count.min(i64::MAX.unsigned_abs()).to_be_bytes();
    write_head(connection.0, ANNOUNCE, transaction, out);
    out.extend_from_slice(&request.info_hash);
    out.extend_from_slice(&request.peer_id);
    // Some trackers read signed numbers.
    out.extend_from_slice(&signed(request.downloaded));
    out.extend_from_slice(&signed(request.left));
    out.extend_from_slice(&signed(request.uploaded));
    out.extend_from_slice(&event_number(request.event).to_be_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&request.key.unwrap_or(0).to_be_bytes());
    let numwant = request.numwant.and_then(|wanted| i32::try_from(wanted).ok()).unwrap_or(-1);
    out.extend_from_slice(&numwant.to_be_bytes());
    out.extend_from_slice(&request.port.to_be_bytes());
    let url_data = &url_data.as_bytes()[..url_data.len().min(MAX_URL_DATA_BYTES)];
    for part in url_data.chunks(u8::MAX.into()) {
        out.extend_from_slice(&[URL_DATA, u8::try_from(part.len()).unwrap_or(u8::MAX)]);
        out.extend_from_slice(part);
    }
}

/// Writes a scrape of at most [`MAX_SCRAPE`] swarms.
pub fn write_scrape(connection: ConnectionId, transaction: TransactionId, info_hashes: &[[u8; 20]], out: &mut Vec<u8>) {
    write_head(connection.0, SCRAPE, transaction, out);
    out.extend_from_slice(info_hashes[..info_hashes.len().min(MAX_SCRAPE)].as_flattened());
}

/// Writes the reply that gives out a connection id.
pub fn write_connect_reply(transaction: TransactionId, connection: ConnectionId, out: &mut Vec<u8>) {
    write_reply_head(CONNECT, transaction, out);
    out.extend_from_slice(&connection.0.to_be_bytes());
}

/// Writes the reply to an announce that came over the address family of `to`, as many `peers` of that family as there
/// is room for.
pub fn write_announce_reply(
    transaction: TransactionId,
    interval: Duration,
    counts: SwarmCounts,
    to: IpAddr,
    peers: &[SocketAddr],
    out: &mut Vec<u8>,
) {
    write_reply_head(ANNOUNCE, transaction, out);
    out.extend_from_slice(&u32::try_from(interval.as_secs()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&counts.incomplete.to_be_bytes());
    out.extend_from_slice(&counts.complete.to_be_bytes());
    for peer in peers {
        let room = MAX_REPLY_BYTES - out.len();
        match (peer.ip(), to) {
            (IpAddr::V4(ip), IpAddr::V4(_)) if room >= 6 => out.extend_from_slice(&ip.octets()),
            (IpAddr::V6(ip), IpAddr::V6(_)) if room >= 18 => out.extend_from_slice(&ip.octets()),
            _ => continue,
        }
        out.extend_from_slice(&peer.port().to_be_bytes());
    }
}

/// Starts the reply to a scrape; each swarm's figures follow with [`write_counts`].
pub fn write_scrape_reply(transaction: TransactionId, out: &mut Vec<u8>) {
    write_reply_head(SCRAPE, transaction, out);
}

/// Writes one swarm's figures into the reply to a scrape.
pub fn write_counts(counts: SwarmCounts, out: &mut Vec<u8>) {
    out.extend_from_slice(&counts.complete.to_be_bytes());
    out.extend_from_slice(&counts.downloaded.to_be_bytes());
    out.extend_from_slice(&counts.incomplete.to_be_bytes());
}

/// Writes the reply that refuses a request; `reason` is cut to what fits.
pub fn write_error(transaction: TransactionId, reason: &str, out: &mut Vec<u8>) {
    write_reply_head(ERROR, transaction, out);
    out.extend_from_slice(&reason.as_bytes()[..reason.len().min(MAX_REPLY_BYTES - 8)]);
}

/// What a tracker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To an announce.
    Announced(AnnounceResponse),
    /// A connection id.
    Connected(ConnectionId),
    /// No; in the tracker's own words, short and printable.
    Refused(String),
    /// To a scrape: a swarm's figures for each info-hash, in the order asked.
    Scraped(Vec<SwarmCounts>),
}

impl Reply {
    /// Reads the reply to the request numbered `transaction`, which went to a tracker at `from`; `None` if it is none.
    ///
    /// Of the peers, the first [`MAX_PEERS`] that some host can have are kept. What is left over after the last whole
    /// one is passed over. An interval of 0 counts as missing.
    pub fn read(datagram: &[u8], transaction: TransactionId, from: IpAddr) -> Option<Self> {
        let (action, rest) = datagram.split_first_chunk()?;
        let (number, body) = rest.split_first_chunk()?;
        if u32::from_be_bytes(*number) != transaction.0 {
            return None;
        }
        match u32::from_be_bytes(*action) {
            CONNECT => Some(Self::Connected(ConnectionId(u64::from_be_bytes(*body.first_chunk()?)))),
            ANNOUNCE => announced(body, from).map(Self::Announced),
            SCRAPE => Some(Self::Scraped(body.as_chunks().0.iter().map(counts_of).collect())),
            ERROR => Some(Self::Refused(printable(body))),
            _ => None,
        }
    }
}

fn announced(body: &[u8], from: IpAddr) -> Option<AnnounceResponse> {
    let (fields, peers) = body.split_first_chunk::<{ ANNOUNCE_REPLY_BYTES - 8 }>()?;
    let number = |at| u32::from_be_bytes(bytes_at(fields, at));
    let interval = Duration::from_secs(number(0).into());
    let width = if from.is_ipv4() { 6 } else { 18 };
    let peers = peers
        .chunks_exact(width)
        .map(peer_of)
        .filter(|peer| peer.port() != 0 && Scope::of(peer.ip()) != Scope::Nowhere);
    Some(AnnounceResponse {
        incomplete: Some(number(4)),
        complete: Some(number(8)),
        peers: peers.take(MAX_PEERS).collect(),
        ..AnnounceResponse::new(if interval.is_zero() { DEFAULT_INTERVAL } else { interval })
    })
}

/// An address of 4 or 16 bytes, then the port.
fn peer_of(entry: &[u8]) -> SocketAddr {
    let (ip, port) = entry.split_at(entry.len() - 2);
    let ip = match <[u8; 4]>::try_from(ip) {
        Ok(ip) => Ipv4Addr::from(ip).into(),
        Err(_) => Ipv6Addr::from(bytes_at::<16>(ip, 0)).to_canonical(),
    };
    SocketAddr::new(ip, u16::from_be_bytes([port[0], port[1]]))
}

fn counts_of(entry: &[u8; 12]) -> SwarmCounts {
    let number = |at| u32::from_be_bytes(bytes_at(entry, at));
    SwarmCounts { complete: number(0), downloaded: number(4), incomplete: number(8) }
}

fn write_head(connection: u64, action: u32, transaction: TransactionId, out: &mut Vec<u8>) {
    out.extend_from_slice(&connection.to_be_bytes());
    write_reply_head(action, transaction, out);
}

fn write_reply_head(action: u32, transaction: TransactionId, out: &mut Vec<u8>) {
    out.extend_from_slice(&action.to_be_bytes());
    out.extend_from_slice(&transaction.0.to_be_bytes());
}

/// `N` bytes from `at` on, where the caller knows that they are there.
fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("the field lies within what was measured")
}

fn event_of(number: u32) -> Option<AnnounceEvent> {
    match number {
        1 => Some(AnnounceEvent::Completed),
        2 => Some(AnnounceEvent::Started),
        3 => Some(AnnounceEvent::Stopped),
        _ => None,
    }
}

const fn event_number(event: Option<AnnounceEvent>) -> u32 {
    match event {
        None => 0,
        Some(AnnounceEvent::Completed) => 1,
        Some(AnnounceEvent::Started) => 2,
        Some(AnnounceEvent::Stopped) => 3,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: ConnectionId = ConnectionId(0x0102_0304_0506_0708);
    const NUMBER: TransactionId = TransactionId(0xa1a2_a3a4);
    const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9));

    fn request() -> AnnounceRequest {
        AnnounceRequest {
            uploaded: 3,
            downloaded: 1,
            left: 2,
            event: Some(AnnounceEvent::Started),
            numwant: Some(50),
            key: Some(0xdead_beef),
            ..AnnounceRequest::new([b'h'; 20], [b'p'; 20], 6881)
        }
    }

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    fn announce(url_data: &str) -> Vec<u8> {
        written(|out| write_announce(ID, NUMBER, &request(), url_data, out))
    }

    fn url_data(datagram: &[u8]) -> Option<Vec<u8>> {
        UrlData::read(&datagram[ANNOUNCE_BYTES..])
            .map(|part| part.map(<[u8]>::to_vec))
            .collect::<Option<Vec<_>>>()
            .map(|parts| parts.concat())
    }

    #[test]
    fn requests_have_the_bytes_that_bep_15_names() {
        let connect = written(|out| write_connect(NUMBER, out));
        assert_eq!(connect, b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0\xa1\xa2\xa3\xa4");
        let mut want = b"\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\x01\xa1\xa2\xa3\xa4".to_vec();
        want.extend_from_slice(b"hhhhhhhhhhhhhhhhhhhhpppppppppppppppppppp");
        want.extend_from_slice(b"\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\x02");
        want.extend_from_slice(b"\0\0\0\0\xde\xad\xbe\xef\0\0\0\x32\x1a\xe1");
        assert_eq!(announce(""), want);
        assert_eq!(want.len(), ANNOUNCE_BYTES);
        let scrape = written(|out| write_scrape(ID, NUMBER, &[[b'a'; 20], [b'b'; 20]], out));
        assert_eq!(&scrape[..HEAD_BYTES], b"\x01\x02\x03\x04\x05\x06\x07\x08\0\0\0\x02\xa1\xa2\xa3\xa4");
        assert_eq!(&scrape[HEAD_BYTES..], b"aaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbb");
    }

    #[test]
    fn replies_have_the_bytes_that_bep_15_names() {
        let connected = written(|out| write_connect_reply(NUMBER, ID, out));
        assert_eq!(connected, b"\0\0\0\0\xa1\xa2\xa3\xa4\x01\x02\x03\x04\x05\x06\x07\x08");
        let counts = SwarmCounts { complete: 5, incomplete: 4, downloaded: 9 };
        let peers = ["192.0.2.1:6881".parse().unwrap(), "[2001:db8::1]:6882".parse().unwrap()];
        let of = |to| written(|out| write_announce_reply(NUMBER, Duration::from_mins(30), counts, to, &peers, out));
        let head = b"\0\0\0\x01\xa1\xa2\xa3\xa4\0\0\x07\x08\0\0\0\x04\0\0\0\x05";
        assert_eq!(of(V4), [&head[..], b"\xc0\0\x02\x01\x1a\xe1"].concat());
        assert_eq!(of(V6), [&head[..], b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe2"].concat());
        let scraped = written(|out| {
            write_scrape_reply(NUMBER, out);
            write_counts(counts, out);
        });
        assert_eq!(scraped, b"\0\0\0\x02\xa1\xa2\xa3\xa4\0\0\0\x05\0\0\0\x09\0\0\0\x04");
        assert_eq!(Reply::read(&scraped, NUMBER, V4), Some(Reply::Scraped(vec![counts])));
        assert_eq!(written(|out| write_error(NUMBER, "no", out)), b"\0\0\0\x03\xa1\xa2\xa3\xa4no");
    }

    #[test]
    fn an_announce_survives_the_way_to_the_server() {
        let datagram = announce("/announce");
        let read = Request::read(&datagram).unwrap();
        assert_eq!((read.connection, read.transaction), (ID, NUMBER));
        assert!(matches!(read.query, Query::Announce(_)));
        assert_eq!(announce_of(&datagram), Ok(request()));
        assert_eq!(url_data(&datagram).unwrap(), b"/announce");
    }

    #[test]
    fn a_number_of_peers_below_zero_leaves_it_to_the_tracker() {
        let wanted = |numwant| {
            let request = AnnounceRequest { numwant, ..request() };
            announce_of(&written(|out| write_announce(ID, NUMBER, &request, "", out))).unwrap().numwant
        };
        assert_eq!((wanted(None), wanted(Some(-7)), wanted(Some(0))), (None, None, Some(0)));
        assert_eq!((wanted(Some(i64::MAX)), wanted(Some(200))), (None, Some(200)));
    }

    #[test]
    fn a_long_path_is_sent_in_parts_and_read_as_one() {
        let path = format!("/{}", "x".repeat(600));
        let datagram = announce(&path);
        assert_eq!(datagram.len(), ANNOUNCE_BYTES + 601 + 3 * 2);
        assert_eq!(url_data(&datagram).unwrap(), path.as_bytes());
        assert_eq!(announce(&"x".repeat(5000)).len(), ANNOUNCE_BYTES + 1024 + 5 * 2);
    }

    #[test]
    fn options_are_read_up_to_their_end_and_must_add_up() {
        let with = |options: &[u8]| [&announce("")[..], options].concat();
        for (options, want) in [
            (&b"\x02\x01a\x01\x02\x01b\x00\x02\xff"[..], Some(&b"ab"[..])),
            (b"\x00\x00\x00", Some(b"")),
            (b"\x07\x02xx\x02\x00", Some(b"")),
            (b"\x02\x05abcd", None),
            (b"\x02", None),
            (b"\x09\xff", None),
        ] {
            let datagram = with(options);
            assert_eq!(url_data(&datagram).as_deref(), want, "{options:?}");
            assert_eq!(announce_of(&datagram).is_ok(), want.is_some(), "{options:?}");
        }
    }

    #[test]
    fn what_the_protocol_does_not_know_is_no_request() {
        let connect = written(|out| write_connect(NUMBER, out));
        assert!(Request::read(&connect).is_some());
        assert!(Request::read(&connect[..15]).is_none());
        let mut strange = connect.clone();
        strange[7] = 0x81;
        assert!(Request::read(&strange).is_none(), "another protocol");
        strange = announce("");
        assert!(Request::read(&strange[..97]).is_none());
        strange[11] = 99;
        assert!(Request::read(&strange).is_none());
        strange[11] = 0;
        assert!(Request::read(&strange).is_none(), "a connection id where there can be none yet");
        strange[11] = 2;
        assert!(Request::read(&strange[..35]).is_none(), "a scrape of nothing");
    }

    #[test]
    fn a_reply_counts_only_under_the_number_asked() {
        let connected = written(|out| write_connect_reply(NUMBER, ID, out));
        assert_eq!(Reply::read(&connected, NUMBER, V4), Some(Reply::Connected(ID)));
        assert_eq!(Reply::read(&connected, TransactionId(1), V4), None);
        assert_eq!(Reply::read(&connected[..15], NUMBER, V4), None);
        assert_eq!(Reply::read(b"\0\0\0\x09\xa1\xa2\xa3\xa4________________", NUMBER, V4), None);
    }

    #[test]
    fn peers_that_no_host_can_be_and_half_ones_are_passed_over() {
        let mut datagram = b"\0\0\0\x01\xa1\xa2\xa3\xa4\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        datagram.extend_from_slice(b"\0\0\0\0\0\x01\x7f\0\0\x01\0\0\xe0\0\0\x01\0\x01\x7f\0\0\x01\0\x01\x7f\0");
        let Some(Reply::Announced(answer)) = Reply::read(&datagram, NUMBER, V4) else { panic!("no answer") };
        assert_eq!(answer.peers, ["127.0.0.1:1".parse().unwrap()]);
        assert_eq!(answer.interval, DEFAULT_INTERVAL);
    }

    #[test]
    fn a_refusal_is_short_and_printable() {
        let datagram = [&b"\0\0\0\x03\xa1\xa2\xa3\xa4\x1b[31mno\r\n\xff"[..], &[b'x'; 1400]].concat();
        let Some(Reply::Refused(reason)) = Reply::read(&datagram, NUMBER, V4) else { panic!("no refusal") };
        assert!(reason.starts_with("[31mno\u{fffd}xx") && reason.chars().count() == 200, "{reason}");
    }

    #[test]
    fn no_reply_is_longer_than_one_packet_anywhere() {
        let peers: Vec<SocketAddr> = (1..=500).flat_map(|port| [(V4, port).into(), (V6, port).into()]).collect();
        for (to, most) in [(V4, 202), (V6, 67)] {
            let reply = written(|out| {
                write_announce_reply(NUMBER, Duration::from_secs(1), SwarmCounts::default(), to, &peers, out);
            });
            assert!(reply.len() <= MAX_REPLY_BYTES);
            let Some(Reply::Announced(answer)) = Reply::read(&reply, NUMBER, to) else { panic!("no answer") };
            assert_eq!(answer.peers.len(), most);
        }
        assert_eq!(written(|out| write_error(NUMBER, &"x".repeat(9000), out)).len(), MAX_REPLY_BYTES);
        const { assert!(8 + 12 * MAX_SCRAPE <= MAX_REPLY_BYTES) };
    }

    proptest! {
        #[test]
        fn no_datagram_panics(datagram: Vec<u8>, action in 0..5_u8) {
            let mut datagram = datagram;
            for shape in [false, true] {
                if shape {
                    datagram.resize(datagram.len().max(120), 7);
                    datagram[8..12].copy_from_slice(&[0, 0, 0, action]);
                }
                if let Some(Request { query: Query::Announce(announce), .. }) = Request::read(&datagram) {
                    let _ = announce_of(announce);
                }
                let number = datagram.get(4..8).map_or(0, |n| u32::from_be_bytes(n.try_into().unwrap()));
                for from in [V4, V6] {
                    let _ = Reply::read(&datagram, TransactionId(number), from);
                }
            }
        }

        #[test]
        fn every_announce_survives_the_way(
            counts: [u64; 3], port: u16, key: u32, numwant in 0..=i32::MAX, event in 0..4_u32, path in "(/[a-z]{0,300})?",
        ) {
            let [uploaded, downloaded, left] = counts.map(|count| count.min(i64::MAX.unsigned_abs()));
            let request = AnnounceRequest {
                uploaded, downloaded, left, event: event_of(event), numwant: Some(numwant.into()), key: Some(key),
                ..AnnounceRequest::new([7; 20], [8; 20], port)
            };
            let datagram = written(|out| write_announce(ID, NUMBER, &request, &path, out));
            prop_assert_eq!(announce_of(&datagram), Ok(request));
            prop_assert_eq!(url_data(&datagram).unwrap(), path.as_bytes());
        }
    }
}
