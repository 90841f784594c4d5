//! The extension handshake: what a client is called, how many requests it queues, where it listens, and by which
//! numbers it knows the messages of extensions. BEP 10.
//!
//! Every value is a stranger's claim: lengths are cut, numbers are clamped, the rest is ignored.

use std::net::IpAddr;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::bencode;

/// How many requests we answer without dropping any; told to peers as `reqq`.
pub const OUR_REQUEST_QUEUE: u32 = 2000;
/// What a peer that says nothing is assumed to queue.
pub const DEFAULT_REQUEST_QUEUE: u32 = 250;

/// Our number for messages of peer exchange. BEP 11.
pub const OUR_EXCHANGE_ID: u8 = 1;
/// Our number for messages about the metadata. BEP 9.
pub const OUR_METADATA_ID: u8 = 2;
/// Our number for messages of hole punching. BEP 55.
pub const OUR_HOLEPUNCH_ID: u8 = 3;

/// Our number for messages about how long messages take; see [`super::way`].
pub const OUR_WAY_ID: u8 = 4;

const MAX_CLIENT_LENGTH: usize = 64;

/// What one side tells the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionHandshake {
    /// The client's name and version; at most 64 characters, none of them control characters.
    pub client: Option<String>,
    /// The TCP port on which the sender listens; never 0.
    pub port: Option<u16>,
    /// How many requests the sender queues; 1 to 2000.
    pub request_queue: Option<u32>,
    /// The receiver's address as the sender sees it.
    pub your_ip: Option<IpAddr>,
    /// The sender will not download any more. BEP 21.
    pub upload_only: bool,
    /// The sender's number for messages of peer exchange; 0 if it takes none any more. BEP 11.
    pub exchange: Option<u8>,
    /// The sender's number for messages of hole punching; 0 if it takes none any more. BEP 55.
    pub holepunch: Option<u8>,
    /// The sender's number for messages about the metadata; 0 if it takes none any more. BEP 9.
    pub metadata: Option<u8>,
    /// The sender's number for messages about how long messages take; 0 if it takes none. Our own extension, see
    /// [`super::way`].
    pub way: Option<u8>,
    /// The longest run of blocks that the sender takes in one message, in bytes. Our own extension, see
    /// [`super::message`].
    pub run: Option<u32>,
    /// The length of the metadata that the sender has, in bytes. Any claim but 0. BEP 9.
    pub metadata_size: Option<u32>,
}

/// The sender's numbers for messages of extensions.
#[derive(Default, Deserialize, Serialize)]
struct Ids {
    #[serde(default, rename = "pod_way", skip_serializing_if = "Option::is_none")]
    way: Option<i64>,
    #[serde(default, rename = "ut_holepunch", skip_serializing_if = "Option::is_none")]
    holepunch: Option<i64>,
    #[serde(default, rename = "ut_metadata", skip_serializing_if = "Option::is_none")]
    metadata: Option<i64>,
    #[serde(default, rename = "ut_pex", skip_serializing_if = "Option::is_none")]
    exchange: Option<i64>,
}

#[derive(Default, Deserialize, Serialize)]
struct Wire {
    #[serde(default)]
    m: Ids,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata_size: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    p: Option<i64>,
    #[serde(default, rename = "pod_run", skip_serializing_if = "Option::is_none")]
    run: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reqq: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upload_only: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v: Option<ByteBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    yourip: Option<ByteBuf>,
}

impl ExtensionHandshake {
    /// The payload of extended message 0.
    pub fn encode(&self) -> Bytes {
        let wire = Wire {
            m: Ids {
                way: self.way.map(i64::from),
                holepunch: self.holepunch.map(i64::from),
                metadata: self.metadata.map(i64::from),
                exchange: self.exchange.map(i64::from),
            },
            metadata_size: self.metadata_size.map(i64::from),
            p: self.port.map(i64::from),
            run: self.run.map(i64::from),
            reqq: self.request_queue.map(i64::from),
            upload_only: self.upload_only.then_some(1),
            v: self.client.clone().map(|client| ByteBuf::from(client.into_bytes())),
            yourip: self.your_ip.map(|ip| match ip.to_canonical() {
                IpAddr::V4(ip) => ByteBuf::from(ip.octets()),
                IpAddr::V6(ip) => ByteBuf::from(ip.octets()),
            }),
        };
        Bytes::from(bencode::encode(&wire))
    }

    /// Reads a peer's; `None` if it is no dictionary of the expected kinds.
    pub fn decode(payload: &[u8]) -> Option<Self> {
        let wire: Wire = bencode::decode(payload, bencode::Limits::MESSAGE).ok()?;
        Some(Self {
            client: wire.v.map(|bytes| clean(&bytes)),
            port: wire.p.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0),
            request_queue: wire.reqq.map(|reqq| {
                u32::try_from(reqq.clamp(1, i64::from(OUR_REQUEST_QUEUE))).expect("clamped to a small number")
            }),
            your_ip: wire.yourip.and_then(|bytes| ip_of(&bytes)),
            upload_only: wire.upload_only.is_some_and(|flag| flag != 0),
            exchange: wire.m.exchange.and_then(|id| u8::try_from(id).ok()),
            holepunch: wire.m.holepunch.and_then(|id| u8::try_from(id).ok()),
            metadata: wire.m.metadata.and_then(|id| u8::try_from(id).ok()),
            way: wire.m.way.and_then(|id| u8::try_from(id).ok()),
            run: wire.run.and_then(|length| u32::try_from(length).ok()),
            metadata_size: wire.metadata_size.and_then(|size| u32::try_from(size).ok()).filter(|size| *size > 0),
        })
    }
}

fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

fn clean(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).take(MAX_CLIENT_LENGTH).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_survives_the_wire() {
        let ours = ExtensionHandshake {
            client: Some("Podswarm 0.1.0".to_owned()),
            port: Some(6881),
            request_queue: Some(OUR_REQUEST_QUEUE),
            your_ip: Some("2001:db8::1".parse().unwrap()),
            upload_only: true,
            exchange: Some(OUR_EXCHANGE_ID),
            holepunch: Some(OUR_HOLEPUNCH_ID),
            metadata: Some(OUR_METADATA_ID),
            way: Some(OUR_WAY_ID),
            run: Some(262_144),
            metadata_size: Some(31_235),
        };
        assert_eq!(ExtensionHandshake::decode(&ours.encode()), Some(ours));
    }

    #[test]
    fn absurd_claims_are_clamped_or_dropped() {
        let read = |text: &str| ExtensionHandshake::decode(text.as_bytes());
        assert_eq!(read("d4:reqqi-1ee").unwrap().request_queue, Some(1));
        assert_eq!(read("d4:reqqi999999999ee").unwrap().request_queue, Some(2000));
        assert_eq!(read("d1:pi0ee").unwrap().port, None);
        assert_eq!(read("d1:pi70000ee").unwrap().port, None);
        assert_eq!(read("d6:yourip3:abce").unwrap().your_ip, None);
        assert_eq!(read("d1:v5:a\u{1b}b\ncee").map(|h| h.client), None);
        assert_eq!(read("d1:v5:a\u{1b}b\nce").unwrap().client.as_deref(), Some("abc"));
        assert_eq!(read(&format!("d1:v1000:{}e", "x".repeat(1000))).unwrap().client.unwrap().len(), 64);
        assert_eq!(read("d1:md6:ut_pexi300eee").unwrap().exchange, None);
        assert_eq!(read("d7:pod_runi-1ee").unwrap().run, None);
        assert_eq!(read("d13:metadata_sizei0ee").unwrap().metadata_size, None);
        assert_eq!(read("d13:metadata_sizei-5ee").unwrap().metadata_size, None);
        assert_eq!(read("d1:md4:xxxxi9e6:ut_pexi0eee").unwrap().exchange, Some(0));
        assert_eq!(read(&"d1:a".repeat(20_000)), None);
        assert_eq!(read(""), None);
        assert_eq!(read("le"), None);
    }
}
