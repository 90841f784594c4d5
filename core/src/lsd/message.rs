//! What hosts of one network shout to one another: which torrents they take part in, and on which port.
//!
//! ```text
//! BT-SEARCH * HTTP/1.1
//! Host: 239.192.152.143:6771
//! Port: 6881
//! Infohash: 0123456789abcdef0123456789abcdef01234567     as often as fits
//! cookie: what the sender knows its own messages by
//! ```
//!
//! It looks like HTTP, and clients differ in how it is written: headers may come in any order and case, lines may end
//! as they like.
//!
//! Laws: no input panics; what is written is at most [`LONGEST`] bytes, and is read back. Source: BEP 14.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use data_encoding::{HEXLOWER_PERMISSIVE, HEXUPPER};

/// The longest message, in bytes; what is longer might be cut on its way. BEP 14.
pub const LONGEST: usize = 1400;
/// The most torrents that one message names.
pub const MOST_TORRENTS: usize = 24;

/// To whom it is shouted: the multicast group of each address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// 239.192.152.143.
    V4,
    /// `ff15::efc0:988f`.
    V6,
}

impl Group {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// Its address, with the port on which everybody listens.
    pub const fn addr(self) -> SocketAddr {
        let ip = match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::new(239, 192, 152, 143)),
            Self::V6 => IpAddr::V6(Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0xefc0, 0x988f)),
        };
        SocketAddr::new(ip, 6771)
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// The port on which the sender listens for peers.
    pub port: u16,
    /// The torrents that it takes part in.
    pub info_hashes: Vec<[u8; 20]>,
    /// What it knows its own messages by.
    pub cookie: Option<String>,
}

impl Search {
    /// The message as it is sent to `group`; torrents beyond [`MOST_TORRENTS`] are left out.
    pub fn encode(&self, group: Group) -> Vec<u8> {
        let mut text = format!("BT-SEARCH * HTTP/1.1\r\nHost: {}\r\nPort: {}\r\n", group.addr(), self.port);
        for info_hash in self.info_hashes.iter().take(MOST_TORRENTS) {
            let _ = write!(text, "Infohash: {}\r\n", HEXUPPER.encode(info_hash));
        }
        if let Some(cookie) = &self.cookie {
            let _ = write!(text, "cookie: {cookie}\r\n");
        }
        text.push_str("\r\n\r\n");
        text.into_bytes()
    }

    /// Reads a message; `None` if it is none, or names no port or no torrent.
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(datagram).ok()?;
        let mut lines = text.lines();
        let mut first = lines.next()?.split_ascii_whitespace();
        if !(first.next()?.eq_ignore_ascii_case("BT-SEARCH") && first.next()? == "*") {
            return None;
        }
        let (mut port, mut info_hashes, mut cookie) = (None, Vec::new(), None);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let (name, value) = (name.trim(), value.trim());
            if name.eq_ignore_ascii_case("port") {
                port = Some(value.parse().ok().filter(|port| *port != 0)?);
            } else if name.eq_ignore_ascii_case("infohash") && info_hashes.len() < MOST_READ {
                let bytes = HEXLOWER_PERMISSIVE.decode(value.as_bytes()).ok();
                info_hashes.extend(bytes.and_then(|bytes| <[u8; 20]>::try_from(bytes).ok()));
            } else if name.eq_ignore_ascii_case("cookie") {
                cookie = Some(value.to_owned());
            }
        }
        (!info_hashes.is_empty()).then_some(Self { port: port?, info_hashes, cookie })
    }
}

/// The most torrents that are read of one message; some clients fill longer ones.
const MOST_READ: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn search(torrents: u8) -> Search {
        let info_hashes = (0..torrents).map(|n| [n; 20]).collect();
        Search { port: 6881, info_hashes, cookie: Some("0123456789abcdef".to_owned()) }
    }

    #[test]
    fn a_message_is_as_the_specification_has_it() {
        let written = String::from_utf8(search(2).encode(Group::V4)).unwrap();
        let want = "BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\n\
                    Infohash: 0000000000000000000000000000000000000000\r\n\
                    Infohash: 0101010101010101010101010101010101010101\r\n\
                    cookie: 0123456789abcdef\r\n\r\n\r\n";
        assert_eq!(written, want);
        let v6 = String::from_utf8(search(1).encode(Group::V6)).unwrap();
        assert!(v6.contains("Host: [ff15::efc0:988f]:6771\r\n"), "{v6}");
    }

    #[test]
    fn the_fullest_message_fits_and_is_read_back() {
        for group in Group::ALL {
            let full = Search { port: u16::MAX, ..search(u8::try_from(MOST_TORRENTS).unwrap()) };
            let written = full.encode(group);
            assert!(written.len() <= LONGEST, "{}", written.len());
            assert_eq!(Search::decode(&written), Some(full));
            assert_eq!(Search::decode(&search(200).encode(group)).unwrap().info_hashes.len(), MOST_TORRENTS);
        }
    }

    #[test]
    fn other_ways_of_writing_it_are_read() {
        let hash = "abCDef0123456789abcdef0123456789abcdef01";
        for text in [
            format!("BT-SEARCH * HTTP/1.1\nport:7000\nINFOHASH:{hash}\n"),
            format!("bt-search * HTTP/1.0\r\nInfohash:  {hash} \r\nX-Other: a:b\r\nPort: 7000"),
        ] {
            let read = Search::decode(text.as_bytes()).unwrap();
            assert_eq!((read.port, read.info_hashes.len(), read.cookie), (7000, 1, None), "{text}");
            assert_eq!(read.info_hashes[0][..3], [0xab, 0xcd, 0xef]);
        }
    }

    #[test]
    fn what_names_no_port_or_no_torrent_is_no_message() {
        let hash = "ab".repeat(20);
        for text in [
            String::new(),
            "BT-SEARCH * HTTP/1.1\r\nPort: 1\r\n\r\n".to_owned(),
            format!("BT-SEARCH * HTTP/1.1\r\nInfohash: {hash}\r\n\r\n"),
            format!("BT-SEARCH * HTTP/1.1\r\nPort: 0\r\nInfohash: {hash}\r\n"),
            format!("BT-SEARCH * HTTP/1.1\r\nPort: 70000\r\nInfohash: {hash}\r\n"),
            format!("M-SEARCH * HTTP/1.1\r\nPort: 1\r\nInfohash: {hash}\r\n"),
            "BT-SEARCH * HTTP/1.1\r\nPort: 1\r\nInfohash: abcd\r\nInfohash: \u{e9}\r\n".to_owned(),
        ] {
            assert_eq!(Search::decode(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Search::decode(&bytes);
            let _ = Search::decode(&[b"BT-SEARCH * HTTP/1.1\r\n", bytes.as_slice()].concat());
        }
    }
}
