//! Hole punching on the wire: whoever is connected to two peers that cannot reach each other introduces them, and both
//! dial at once. BEP 55.
//!
//! Every message is of binary form: its kind, the kind of address, the address, the port, and a number that says what
//! went wrong.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{BufMut as _, Bytes, BytesMut};

/// Why nobody is introduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PunchError {
    /// There can be no such peer.
    NoSuchPeer,
    /// The relay is not connected to it.
    NotConnected,
    /// It does not speak this extension.
    NoSupport,
    /// It is the one that asks.
    NoSelf,
    /// A number that the BEP does not name.
    Unknown(u32),
}

impl PunchError {
    const fn number(self) -> u32 {
        match self {
            Self::NoSuchPeer => 1,
            Self::NotConnected => 2,
            Self::NoSupport => 3,
            Self::NoSelf => 4,
            Self::Unknown(number) => number,
        }
    }

    const fn from_number(number: u32) -> Self {
        match number {
            1 => Self::NoSuchPeer,
            2 => Self::NotConnected,
            3 => Self::NoSupport,
            4 => Self::NoSelf,
            other => Self::Unknown(other),
        }
    }
}

/// One message of hole punching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PunchMessage {
    /// To a relay: introduce me to this peer.
    Rendezvous(SocketAddr),
    /// From a relay: this peer is about to dial you; dial it over uTP now.
    Connect(SocketAddr),
    /// From a relay: you are not introduced to this peer.
    Refused(SocketAddr, PunchError),
}

const RENDEZVOUS: u8 = 0;
const CONNECT: u8 = 1;
const REFUSED: u8 = 2;
const V4: u8 = 0;
const V6: u8 = 1;

impl PunchMessage {
    /// The payload of the extended message.
    pub fn encode(&self) -> Bytes {
        let (kind, addr, error) = match *self {
            Self::Rendezvous(addr) => (RENDEZVOUS, addr, 0),
            Self::Connect(addr) => (CONNECT, addr, 0),
            Self::Refused(addr, error) => (REFUSED, addr, error.number()),
        };
        let mut bytes = BytesMut::with_capacity(24);
        bytes.put_u8(kind);
        match addr.ip().to_canonical() {
            IpAddr::V4(ip) => {
                bytes.put_u8(V4);
                bytes.put_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                bytes.put_u8(V6);
                bytes.put_slice(&ip.octets());
            }
        }
        bytes.put_u16(addr.port());
        bytes.put_u32(error);
        bytes.freeze()
    }

    /// Reads a peer's; `None` if it is none. The last number may be missing where it means nothing.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let ([kind, family], rest) = payload.split_first_chunk::<2>()?;
        let (ip, rest) = match *family {
            V4 => {
                let (ip, rest) = rest.split_first_chunk::<4>()?;
                (IpAddr::V4(Ipv4Addr::from(*ip)), rest)
            }
            V6 => {
                let (ip, rest) = rest.split_first_chunk::<16>()?;
                (IpAddr::V6(Ipv6Addr::from(*ip)).to_canonical(), rest)
            }
            _ => return None,
        };
        let (port, rest) = rest.split_first_chunk::<2>()?;
        let addr = SocketAddr::new(ip, u16::from_be_bytes(*port));
        let error = rest.first_chunk::<4>().map_or(0, |number| u32::from_be_bytes(*number));
        match *kind {
            RENDEZVOUS => Some(Self::Rendezvous(addr)),
            CONNECT => Some(Self::Connect(addr)),
            REFUSED => Some(Self::Refused(addr, PunchError::from_number(error))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_bep() {
        let addr = "1.2.3.4:258".parse().unwrap();
        assert_eq!(&PunchMessage::Rendezvous(addr).encode()[..], b"\0\0\x01\x02\x03\x04\x01\x02\0\0\0\0");
        assert_eq!(&PunchMessage::Connect(addr).encode()[..], b"\x01\0\x01\x02\x03\x04\x01\x02\0\0\0\0");
        let refused = PunchMessage::Refused("[::2]:1".parse().unwrap(), PunchError::NoSupport);
        assert_eq!(&refused.encode()[..], b"\x02\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\x01\0\0\0\x03");
        assert_eq!(PunchMessage::decode(b"\x01\0\x01\x02\x03\x04\x01\x02"), Some(PunchMessage::Connect(addr)));
        let disguised = "[::ffff:1.2.3.4]:258".parse().unwrap();
        assert_eq!(PunchMessage::Connect(disguised).encode(), PunchMessage::Connect(addr).encode());
    }

    proptest! {
        #[test]
        fn a_message_survives_the_wire(kind in 0..3, v4: bool, ip: u128, port: u16, error: u32) {
            let ip = if v4 { IpAddr::V4(Ipv4Addr::from((ip >> 96) as u32)) } else { IpAddr::V6(Ipv6Addr::from(ip)).to_canonical() };
            let addr = SocketAddr::new(ip, port);
            let message = match kind {
                0 => PunchMessage::Rendezvous(addr),
                1 => PunchMessage::Connect(addr),
                _ => PunchMessage::Refused(addr, PunchError::from_number(error)),
            };
            prop_assert_eq!(PunchMessage::decode(&message.encode()), Some(message));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = PunchMessage::decode(&bytes);
        }
    }
}
