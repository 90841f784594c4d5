//! Peer exchange on the wire: whom the sender has met since its last message, and whom it has lost. BEP 11.
//!
//! Every address is a stranger's claim: what is no address is passed over, and of a long list only the beginning is
//! read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::bencode;

/// The most peers of one family that are read of one list; some clients name 100 where the BEP allows 50.
const MAX_READ: usize = 100;

/// What the sender knows of a peer that it names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContactFlags(u8);

impl ContactFlags {
    const SEED: u8 = 0x02;
    const UTP: u8 = 0x04;
    const HOLEPUNCH: u8 = 0x08;
    const REACHABLE: u8 = 0x10;

    /// The flags of a peer that wants nothing any more, or does, and that the sender itself has dialled, or has not.
    pub const fn new(wants_nothing: bool, reachable: bool) -> Self {
        let seed = if wants_nothing { Self::SEED } else { 0 };
        Self(if reachable { seed | Self::REACHABLE } else { seed })
    }

    /// The same of a peer that speaks uTP and hole punching, or does not.
    #[must_use]
    pub const fn speaking(self, utp: bool, holepunch: bool) -> Self {
        let utp = if utp { Self::UTP } else { 0 };
        Self(self.0 | utp | if holepunch { Self::HOLEPUNCH } else { 0 })
    }

    /// The peer speaks hole punching. BEP 55.
    pub const fn holepunch(self) -> bool {
        self.0 & Self::HOLEPUNCH != 0
    }

    /// The peer has everything or will not download any more.
    pub const fn wants_nothing(self) -> bool {
        self.0 & Self::SEED != 0
    }

    /// The sender has reached the peer at this address.
    pub const fn reachable(self) -> bool {
        self.0 & Self::REACHABLE != 0
    }
}

/// A peer that somebody names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What is said of it.
    pub flags: ContactFlags,
}

/// One message of peer exchange.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExchangeMessage {
    /// Peers that the sender has met; of each family in the order of the message.
    pub added: Vec<Contact>,
    /// Peers that the sender has lost.
    pub dropped: Vec<SocketAddr>,
}

#[derive(Default, Deserialize, Serialize)]
struct Wire {
    #[serde(default)]
    added: ByteBuf,
    #[serde(default, rename = "added.f")]
    added_flags: ByteBuf,
    #[serde(default, skip_serializing_if = "is_empty")]
    added6: ByteBuf,
    #[serde(default, rename = "added6.f", skip_serializing_if = "is_empty")]
    added6_flags: ByteBuf,
    #[serde(default)]
    dropped: ByteBuf,
    #[serde(default, skip_serializing_if = "is_empty")]
    dropped6: ByteBuf,
}

impl ExchangeMessage {
    /// Whether it says nothing.
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.dropped.is_empty()
    }

    /// The payload of the extended message.
    pub fn encode(&self) -> Bytes {
        let mut wire = Wire::default();
        for Contact { addr, flags } in &self.added {
            let (list, flag_list) = match addr.ip().to_canonical() {
                IpAddr::V4(_) => (&mut wire.added, &mut wire.added_flags),
                IpAddr::V6(_) => (&mut wire.added6, &mut wire.added6_flags),
            };
            push(list, *addr);
            flag_list.push(flags.0);
        }
        for addr in &self.dropped {
            push(if addr.ip().to_canonical().is_ipv4() { &mut wire.dropped } else { &mut wire.dropped6 }, *addr);
        }
        Bytes::from(bencode::encode(&wire))
    }

    /// Reads a peer's; `None` if it is no dictionary of the expected kinds.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let wire: Wire = bencode::decode(payload, bencode::Limits::MESSAGE).ok()?;
        let mut added = contacts(v4(&wire.added), &wire.added_flags);
        added.extend(contacts(v6(&wire.added6), &wire.added6_flags));
        let dropped = v4(&wire.dropped).chain(v6(&wire.dropped6)).collect();
        Some(Self { added, dropped })
    }
}

fn push(list: &mut ByteBuf, addr: SocketAddr) {
    match addr.ip().to_canonical() {
        IpAddr::V4(ip) => list.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => list.extend_from_slice(&ip.octets()),
    }
    list.extend_from_slice(&addr.port().to_be_bytes());
}

fn v4(bytes: &[u8]) -> impl Iterator<Item = SocketAddr> + '_ {
    let addr = |[a, b, c, d, high, low]: [u8; 6]| (Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into();
    bytes.as_chunks::<6>().0.iter().take(MAX_READ).copied().map(addr)
}

fn v6(bytes: &[u8]) -> impl Iterator<Item = SocketAddr> + '_ {
    let addr = |entry: &[u8; 18]| {
        let (ip, port) = entry.split_first_chunk::<16>().expect("18 bytes are more than 16");
        (Ipv6Addr::from(*ip), u16::from_be_bytes([port[0], port[1]])).into()
    };
    bytes.as_chunks::<18>().0.iter().take(MAX_READ).map(addr)
}

/// Flags that are missing say nothing.
fn contacts(addrs: impl Iterator<Item = SocketAddr>, flags: &[u8]) -> Vec<Contact> {
    let flags = flags.iter().copied().chain(std::iter::repeat(0));
    addrs.zip(flags).map(|(addr, flags)| Contact { addr, flags: ContactFlags(flags) }).collect()
}

fn is_empty(bytes: &ByteBuf) -> bool {
    bytes.is_empty()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contact(addr: &str, flags: ContactFlags) -> Contact {
        Contact { addr: addr.parse().unwrap(), flags }
    }

    #[test]
    fn a_message_survives_the_wire() {
        let message = ExchangeMessage {
            added: vec![
                contact("198.18.0.1:6881", ContactFlags::new(true, false)),
                contact("198.18.0.2:1", ContactFlags::new(false, true)),
                contact("[2001:db8::1]:65535", ContactFlags::new(true, true)),
            ],
            dropped: vec!["198.18.0.3:6881".parse().unwrap(), "[2001:db8::2]:6881".parse().unwrap()],
        };
        assert_eq!(ExchangeMessage::decode(&message.encode()), Some(message));
    }

    #[test]
    fn the_bytes_are_those_of_the_bep() {
        let message = ExchangeMessage {
            added: vec![contact("1.2.3.4:258", ContactFlags::new(true, true))],
            dropped: vec!["5.6.7.8:1".parse().unwrap()],
        };
        let want = b"d5:added6:\x01\x02\x03\x04\x01\x027:added.f1:\x127:dropped6:\x05\x06\x07\x08\x00\x01e";
        assert_eq!(&message.encode()[..], want);
    }

    #[test]
    fn an_address_in_disguise_is_told_plainly() {
        let message =
            ExchangeMessage { dropped: vec!["[::ffff:5.6.7.8]:1".parse().unwrap()], ..ExchangeMessage::default() };
        let read = ExchangeMessage::decode(&message.encode()).unwrap();
        assert_eq!(read.dropped, ["5.6.7.8:1".parse().unwrap()]);
    }

    #[test]
    fn half_an_address_missing_flags_and_strange_keys_are_passed_over() {
        let read = |bytes: &[u8]| ExchangeMessage::decode(bytes).unwrap();
        let message = read(b"d5:added8:\x01\x02\x03\x04\x01\x02\x05\x061:xi1ee");
        assert_eq!(message.added, [contact("1.2.3.4:258", ContactFlags::default())]);
        assert!(read(b"de").is_empty());
        assert_eq!(ExchangeMessage::decode(b"d5:addedi1ee"), None);
        assert_eq!(ExchangeMessage::decode(b"le"), None);
    }

    #[test]
    fn of_a_long_list_only_the_beginning_is_read() {
        let added = (0..50_000).map(|_| contact("1.2.3.4:5", ContactFlags::default())).collect();
        let message = ExchangeMessage { added, dropped: Vec::new() };
        assert_eq!(ExchangeMessage::decode(&message.encode()).unwrap().added.len(), MAX_READ);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ExchangeMessage::decode(&bytes);
        }
    }
}
