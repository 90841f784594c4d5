//! What nodes say to one another: bencoded dictionaries, one in a datagram.
//!
//! A query names what is asked and is answered with a reply or an error that repeats its transaction id. Keys that are
//! not known are passed over.
//!
//! Laws: no input panics; what is written is read back. Sources: BEP 5, 32 (`want`, `nodes6`), 33 (`scrape`,
//! `seed`, `noseed`, `BFsd`, `BFpe`), 42 (`ip`), 43 (`ro`), 44 (`get`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::item::Signed;
use super::node_id::NodeId;
use super::scrape::{Filter, Filters};
use crate::bencode::reader::{Raw, read};
use crate::bencode::{Limits, write_string};

/// The bounds of a message.
pub const LIMITS: Limits = Limits { bytes: 2048, depth: 6, values: 400 };
/// The longest transaction id that is repeated to its sender, in bytes.
const LONGEST_ID: usize = 16;
/// The longest token that is kept.
const LONGEST_TOKEN: usize = 64;
/// Under which key a reply has the filter of those who have everything.
const SEEDS: &[u8] = b"BFsd";
/// And that of the others.
const PEERS: &[u8] = b"BFpe";
/// What we say that we are.
const VERSION: &[u8; 4] = b"PS\x00\x01";

/// One of the two networks that share nothing but their rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// The nodes with IPv4 addresses.
    V4,
    /// The nodes with IPv6 addresses.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// That of an address.
    pub fn of(addr: SocketAddr) -> Self {
        if addr.ip().to_canonical().is_ipv4() { Self::V4 } else { Self::V6 }
    }

    const fn ip_length(self) -> usize {
        match self {
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }

    const fn key(self) -> &'static [u8] {
        match self {
            Self::V4 => b"nodes",
            Self::V6 => b"nodes6",
        }
    }
}

/// Somebody who may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contact {
    /// The number it says it has.
    pub id: NodeId,
    /// Where it is.
    pub addr: SocketAddr,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Whether somebody is there.
    Ping,
    /// Who is nearest to a number.
    FindNode(NodeId),
    /// Who takes part in a torrent, or is nearest to it.
    GetPeers {
        /// The torrent.
        info_hash: NodeId,
        /// Seeds are of no use to the asker.
        noseed: bool,
        /// How many there are is asked as well.
        scrape: bool,
    },
    /// To be noted as taking part.
    AnnouncePeer {
        /// The torrent.
        info_hash: NodeId,
        /// Where the asker listens; `None` is the port from which the query came.
        port: Option<u16>,
        /// What was given with the answer to [`Question::GetPeers`].
        token: Vec<u8>,
        /// The asker has everything.
        seed: bool,
    },
    /// What is kept at a number, or who is nearest to it.
    GetItem(NodeId),
}

/// A query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Who asks.
    pub id: NodeId,
    /// What.
    pub question: Question,
    /// The networks from which it wants nodes; empty is that from which it asks.
    pub want: Vec<Family>,
    /// It answers no queries itself, and is not to be told of.
    pub read_only: bool,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Who answers; `None` never leaves us.
    pub id: Option<NodeId>,
    /// Nodes, of either network.
    pub nodes: Vec<Contact>,
    /// Peers.
    pub values: Vec<SocketAddr>,
    /// Who takes part; of nodes that were asked for it and know of the torrent.
    pub filters: Option<Box<Filters>>,
    /// To be shown with an announce.
    pub token: Option<Vec<u8>>,
    /// What is kept.
    pub item: Option<Box<Signed>>,
    /// Where the answerer sees the asker.
    pub ip: Option<SocketAddr>,
}

/// What is not granted. BEP 5 "errors".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 203: malformed arguments, a bad token.
    Protocol,
    /// 204.
    UnknownMethod,
}

/// What a message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A query.
    Query(Query),
    /// Something that is asked and that we do not know, or asked wrongly.
    Unanswerable(Refusal),
    /// An answer.
    Reply(Box<Reply>),
    /// The other side does not grant what we asked.
    Refused,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What an answer repeats of its query.
    pub transaction: Vec<u8>,
    /// What it is.
    pub body: Body,
}

impl Message {
    /// Reads a datagram; `None` if it is no message.
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        let root = read(datagram, LIMITS).ok()?;
        let transaction = root.get(b"t")?.string().filter(|id| id.len() <= LONGEST_ID)?.to_vec();
        let body = match root.get(b"y")?.string()? {
            b"q" => Query::decode(root).map_or_else(Body::Unanswerable, Body::Query),
            b"r" => Body::Reply(Box::new(Reply::decode(root)?)),
            b"e" => Body::Refused,
            _ => return None,
        };
        Some(Self { transaction, body })
    }
}

impl Query {
    fn decode(root: Raw<'_>) -> Result<Self, Refusal> {
        let name = root.get(b"q").and_then(Raw::string).ok_or(Refusal::Protocol)?;
        let arguments = root.get(b"a").ok_or(Refusal::Protocol)?;
        let number = |key| arguments.get(key).and_then(node_id).ok_or(Refusal::Protocol);
        let is_set = |key| arguments.get(key).and_then(Raw::integer) == Some(1);
        let id = number(b"id")?;
        let question = match name {
            b"ping" => Question::Ping,
            b"find_node" => Question::FindNode(number(b"target")?),
            b"get_peers" => Question::GetPeers {
                info_hash: number(b"info_hash")?,
                noseed: is_set(b"noseed"),
                scrape: is_set(b"scrape"),
            },
            b"announce_peer" => {
                let is_implied = arguments.get(b"implied_port").and_then(Raw::integer).is_some_and(|n| n != 0);
                let port = arguments.get(b"port").and_then(Raw::integer).and_then(|port| u16::try_from(port).ok());
                let port =
                    if is_implied { None } else { Some(port.filter(|port| *port != 0).ok_or(Refusal::Protocol)?) };
                let token = arguments.get(b"token").and_then(Raw::string).ok_or(Refusal::Protocol)?.to_vec();
                Question::AnnouncePeer { info_hash: number(b"info_hash")?, port, token, seed: is_set(b"seed") }
            }
            b"get" => Question::GetItem(number(b"target")?),
            // Some ask for what is near a target by names of their own, and can use an answer.
            _ => arguments.get(b"target").and_then(node_id).map(Question::FindNode).ok_or(Refusal::UnknownMethod)?,
        };
        let wanted = |family: Raw<'_>| match family.string() {
            Some(b"n4") => Some(Family::V4),
            Some(b"n6") => Some(Family::V6),
            _ => None,
        };
        let want = arguments.get(b"want").and_then(Raw::list).into_iter().flatten().filter_map(wanted);
        let read_only = root.get(b"ro").and_then(Raw::integer) == Some(1);
        Ok(Self { id, question, want: want.take(2).collect(), read_only })
    }

    /// The datagram that asks this under `transaction`.
    pub fn encode(&self, transaction: &[u8]) -> Vec<u8> {
        let mut out = b"d1:ad2:id20:".to_vec();
        out.extend_from_slice(&self.id.0);
        let name: &[u8] = match &self.question {
            Question::Ping => b"ping",
            Question::FindNode(target) => {
                write_entry(&mut out, b"target", &target.0);
                b"find_node"
            }
            Question::GetPeers { info_hash, noseed, scrape } => {
                write_entry(&mut out, b"info_hash", &info_hash.0);
                for (key, is_set) in [(&b"6:noseedi1e"[..], noseed), (&b"6:scrapei1e"[..], scrape)] {
                    out.extend_from_slice(if *is_set { key } else { b"" });
                }
                b"get_peers"
            }
            Question::AnnouncePeer { info_hash, port, token, seed } => {
                out.extend_from_slice(if port.is_some() { b"12:implied_porti0e" } else { b"12:implied_porti1e" });
                write_entry(&mut out, b"info_hash", &info_hash.0);
                out.extend_from_slice(format!("4:porti{}e", port.unwrap_or(0)).as_bytes());
                out.extend_from_slice(if *seed { b"4:seedi1e" } else { b"" });
                write_entry(&mut out, b"token", token);
                b"announce_peer"
            }
            Question::GetItem(target) => {
                write_entry(&mut out, b"target", &target.0);
                b"get"
            }
        };
        if !self.want.is_empty() {
            out.extend_from_slice(b"4:wantl");
            for family in &self.want {
                out.extend_from_slice(if *family == Family::V4 { b"2:n4" } else { b"2:n6" });
            }
            out.push(b'e');
        }
        out.push(b'e');
        write_entry(&mut out, b"q", name);
        if self.read_only {
            out.extend_from_slice(b"2:roi1e");
        }
        finish(out, transaction, b'q')
    }
}

impl Reply {
    fn decode(root: Raw<'_>) -> Option<Self> {
        let values = root.get(b"r")?;
        let id = Some(values.get(b"id").and_then(node_id)?);
        let nodes = Family::ALL
            .into_iter()
            .flat_map(|family| nodes_of(family, values.get(family.key()).and_then(Raw::string).unwrap_or_default()));
        let peers = values.get(b"values").and_then(Raw::list).into_iter().flatten();
        let peers = peers.filter_map(Raw::string).filter(|peer| matches!(peer.len(), 6 | 18)).map(socket_addr);
        let token = values.get(b"token").and_then(Raw::string).filter(|token| token.len() <= LONGEST_TOKEN);
        let filter = |key| values.get(key).and_then(Raw::string).and_then(Filter::read);
        // One without the other tells nothing that can be shown.
        let filters = filter(SEEDS).zip(filter(PEERS)).map(|(seeds, peers)| Box::new(Filters { seeds, peers }));
        let ip = root.get(b"ip").and_then(Raw::string).filter(|ip| matches!(ip.len(), 6 | 18)).map(socket_addr);
        let token = token.map(<[u8]>::to_vec);
        let item = item_of(values).map(Box::new);
        Some(Self { id, nodes: nodes.collect(), values: peers.collect(), filters, token, item, ip })
    }

    /// The datagram that answers `transaction` as the node `id`.
    pub fn encode(&self, id: NodeId, transaction: &[u8]) -> Vec<u8> {
        let mut out = b"d".to_vec();
        if let Some(ip) = self.ip {
            write_entry(&mut out, b"ip", &compact(ip));
        }
        out.extend_from_slice(b"1:rd");
        if let Some(filters) = &self.filters {
            write_entry(&mut out, PEERS, filters.peers.bytes());
            write_entry(&mut out, SEEDS, filters.seeds.bytes());
        }
        out.extend_from_slice(b"2:id20:");
        out.extend_from_slice(&id.0);
        if let Some(item) = &self.item {
            write_entry(&mut out, b"k", &item.key);
        }
        for family in Family::ALL {
            let of_family = self.nodes.iter().filter(|node| Family::of(node.addr) == family);
            let bytes = compact_nodes(of_family);
            if !bytes.is_empty() {
                write_entry(&mut out, family.key(), &bytes);
            }
        }
        if let Some(item) = &self.item {
            out.extend_from_slice(format!("3:seqi{}e", item.seq).as_bytes());
            write_entry(&mut out, b"sig", &item.signature);
        }
        if let Some(token) = &self.token {
            write_entry(&mut out, b"token", token);
        }
        if let Some(item) = &self.item {
            out.extend_from_slice(b"1:v");
            out.extend_from_slice(&item.value);
        }
        if !self.values.is_empty() {
            out.extend_from_slice(b"6:valuesl");
            for peer in &self.values {
                write_string(&mut out, &compact(*peer));
            }
            out.push(b'e');
        }
        out.push(b'e');
        finish(out, transaction, b'r')
    }
}

impl Refusal {
    /// The datagram that refuses `transaction`.
    pub fn encode(self, transaction: &[u8]) -> Vec<u8> {
        let text: &[u8] = match self {
            Self::Protocol => b"d1:eli203e14:Protocol Errore",
            Self::UnknownMethod => b"d1:eli204e14:Method Unknowne",
        };
        finish(text.to_vec(), transaction, b'e')
    }
}

/// Writes what ends each message.
fn finish(mut out: Vec<u8>, transaction: &[u8], kind: u8) -> Vec<u8> {
    write_entry(&mut out, b"t", transaction);
    write_entry(&mut out, b"v", VERSION);
    write_entry(&mut out, b"y", &[kind]);
    out.push(b'e');
    out
}

fn write_entry(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    write_string(out, key);
    write_string(out, value);
}

fn node_id(raw: Raw<'_>) -> Option<NodeId> {
    raw.string()?.try_into().ok().map(NodeId)
}

fn item_of(values: Raw<'_>) -> Option<Signed> {
    Some(Signed {
        key: values.get(b"k").and_then(Raw::string)?.try_into().ok()?,
        signature: values.get(b"sig").and_then(Raw::string)?.try_into().ok()?,
        seq: values.get(b"seq").and_then(Raw::integer)?,
        value: values.get(b"v")?.as_bytes().to_vec(),
    })
}

/// Nodes as they stand in messages and in files.
pub fn compact_nodes<'a>(nodes: impl IntoIterator<Item = &'a Contact>) -> Vec<u8> {
    nodes.into_iter().flat_map(|node| [&node.id.0[..], &compact(node.addr)].concat()).collect()
}

/// Reads what [`compact_nodes`] writes, for nodes of one network.
pub fn nodes_of(family: Family, bytes: &[u8]) -> impl Iterator<Item = Contact> {
    bytes.chunks_exact(20 + family.ip_length() + 2).map(|entry| {
        let (id, addr) = entry.split_at(20);
        Contact { id: NodeId(id.try_into().expect("it is twenty bytes")), addr: socket_addr(addr) }
    })
}

/// An address in 6 or 18 bytes.
fn compact(addr: SocketAddr) -> Vec<u8> {
    let mut bytes = match addr.ip().to_canonical() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    bytes.extend_from_slice(&addr.port().to_be_bytes());
    bytes
}

/// An address of 6 or 18 bytes.
fn socket_addr(bytes: &[u8]) -> SocketAddr {
    let (ip, port) = bytes.split_at(bytes.len() - 2);
    let ip = match <[u8; 4]>::try_from(ip) {
        Ok(v4) => IpAddr::V4(Ipv4Addr::from(v4)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(ip).expect("it is sixteen bytes"))),
    };
    SocketAddr::new(ip, u16::from_be_bytes(port.try_into().expect("it is two bytes")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ASKER: NodeId = NodeId(*b"abcdefghij0123456789");
    const OTHER: NodeId = NodeId(*b"mnopqrstuvwxyz123456");

    fn query(question: Question) -> Query {
        Query { id: ASKER, question, want: Vec::new(), read_only: false }
    }

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// The examples of BEP 5, which have no version, and what BEP 33 adds.
    #[test]
    fn queries_are_as_the_specification_has_them() {
        for (question, want) in [
            (Question::Ping, "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"),
            (
                Question::FindNode(OTHER),
                "d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe",
            ),
            (
                Question::GetPeers { info_hash: OTHER, noseed: false, scrape: false },
                "d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe",
            ),
            (
                Question::GetPeers { info_hash: OTHER, noseed: true, scrape: true },
                "d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234566:noseedi1e6:scrapei1ee1:q9:get_\
                 peers1:t2:aa1:y1:qe",
            ),
            (
                Question::AnnouncePeer { info_hash: OTHER, port: None, token: b"aoeusnth".to_vec(), seed: false },
                "d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e5:token\
                 8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe",
            ),
        ] {
            let read = Message::decode(want.as_bytes()).unwrap();
            assert_eq!(read, Message { transaction: b"aa".to_vec(), body: Body::Query(query(question.clone())) });
            let written = String::from_utf8(query(question).encode(b"aa")).unwrap();
            assert_eq!(written.replace("1:v4:PS\0\u{1}", "").replace("4:porti0e", "4:porti6881e"), want);
        }
    }

    #[test]
    fn replies_are_as_the_specification_has_them() {
        let reply = |text: &[u8]| match Message::decode(text).unwrap().body {
            Body::Reply(reply) => *reply,
            other => panic!("{other:?}"),
        };
        let ping = reply(b"d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re");
        assert_eq!(ping, Reply { id: Some(OTHER), ..Reply::default() });
        let peers =
            reply(b"d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re");
        assert_eq!(peers.values, [addr("97.120.106.101:11893"), addr("105.100.104.116:28269")]);
        assert_eq!(peers.token.as_deref(), Some(&b"aoeusnth"[..]));
        assert_eq!(
            Message::decode(b"d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee").unwrap().body,
            Body::Refused
        );
    }

    /// An answer as BEP 44 has it.
    #[test]
    fn what_is_kept_is_read_as_it_stands() {
        let text = format!(
            "d1:rd2:id20:mnopqrstuvwxyz1234561:k32:{}3:seqi4e3:sig64:{}1:vd2:ih20:aaaaaaaaaaaaaaaaaaaaee1:t2:aa1:y1:re",
            "k".repeat(32),
            "s".repeat(64)
        );
        let item = |text: &str| match Message::decode(text.as_bytes()).unwrap().body {
            Body::Reply(reply) => reply.item,
            other => panic!("{other:?}"),
        };
        let value = b"d2:ih20:aaaaaaaaaaaaaaaaaaaae".to_vec();
        let want = Signed { key: [b'k'; 32], signature: [b's'; 64], seq: 4, value };
        assert_eq!(item(&text), Some(Box::new(want)));
        assert_eq!(item(&text.replace("3:seqi4e", "")), None);
    }

    #[test]
    fn filters_come_in_pairs_of_the_right_length() {
        let read = |sd: Option<usize>, pe: Option<usize>| {
            let mut text = b"d1:rd".to_vec();
            for (key, length) in [(PEERS, pe), (SEEDS, sd)] {
                if let Some(length) = length {
                    write_entry(&mut text, key, &vec![1; length]);
                }
            }
            text.extend_from_slice(b"2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re");
            match Message::decode(&text).unwrap().body {
                Body::Reply(reply) => reply.filters,
                other => panic!("{other:?}"),
            }
        };
        let ones = Filter::read(&[1; 256]).unwrap();
        assert_eq!(read(Some(256), Some(256)), Some(Box::new(Filters { seeds: ones.clone(), peers: ones })));
        for (sd, pe) in
            [(None, Some(256)), (Some(256), None), (Some(255), Some(256)), (Some(256), Some(257)), (None, None)]
        {
            assert_eq!(read(sd, pe), None, "{sd:?} {pe:?}");
        }
        let list = Message::decode(b"d1:rd4:BFpele4:BFsdi1e2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re").unwrap();
        assert!(matches!(list.body, Body::Reply(reply) if reply.filters.is_none()));
    }

    #[test]
    fn what_is_asked_wrongly_is_told_so_and_what_is_no_message_is_not() {
        for (text, want) in [
            ("d1:ad2:id20:abcdefghij0123456789e1:q4:juno1:t1:a1:y1:qe", Refusal::UnknownMethod),
            ("d1:ad2:id3:abce1:q4:ping1:t1:a1:y1:qe", Refusal::Protocol),
            ("d1:q4:ping1:t1:a1:y1:qe", Refusal::Protocol),
            ("d1:ad2:id20:abcdefghij0123456789e1:q9:get_peers1:t1:a1:y1:qe", Refusal::Protocol),
            (
                "d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz1234564:porti0e5:token1:ae1:q13:announce_\
                 peer1:t1:a1:y1:qe",
                Refusal::Protocol,
            ),
        ] {
            assert_eq!(Message::decode(text.as_bytes()).unwrap().body, Body::Unanswerable(want), "{text}");
        }
        for text in
            ["", "d", "de", "d1:t1:ae", "d1:t1:a1:y1:re", "d1:rd2:id2:abe1:t1:a1:y1:re", "i1e", "d1:t1:a1:y1:xe"]
        {
            assert_eq!(Message::decode(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Message::decode(&[b'd'; 4000]), None);
    }

    proptest! {
        #[test]
        fn what_was_asked_is_read(kind in 0..5, want in 0..4_usize, read_only: bool, port in prop::option::of(1..u16::MAX), flags: [bool; 2]) {
            let [seed, scrape] = flags;
            let question = match kind {
                0 => Question::Ping,
                1 => Question::FindNode(OTHER),
                2 => Question::GetPeers { info_hash: OTHER, noseed: seed, scrape },
                3 => Question::GetItem(OTHER),
                _ => Question::AnnouncePeer { info_hash: OTHER, port, token: vec![0, 255], seed },
            };
            let want = [vec![], vec![Family::V4], vec![Family::V6], Family::ALL.to_vec()][want].clone();
            let query = Query { want, read_only, ..query(question) };
            let read = Message::decode(&query.encode(&[1, 2])).unwrap();
            prop_assert_eq!(read, Message { transaction: vec![1, 2], body: Body::Query(query) });
        }

        #[test]
        fn what_was_answered_is_read(v4 in prop::collection::vec(any::<(u32, u16)>(), 0..9), v6 in prop::collection::vec(any::<(u64, u16)>(), 0..9), token: bool, ip: bool, scrape: bool, seq in prop::option::of(any::<i64>())) {
            let v4 = v4.into_iter().map(|(ip, port)| SocketAddr::from((Ipv4Addr::from(ip), port)));
            let v6 = v6.into_iter().map(|(ip, port)| SocketAddr::from((Ipv6Addr::from(0x2001_u128 << 112 | u128::from(ip)), port)));
            let values: Vec<_> = v4.chain(v6).collect();
            let nodes = values.iter().map(|addr| Contact { id: OTHER, addr: *addr }).collect();
            let ip = ip.then(|| addr("[2001:db8::1]:7"));
            let mut filters = Filters::default();
            for addr in &values {
                filters.seeds.insert(addr.ip());
            }
            let filters = scrape.then(|| Box::new(filters));
            let item = |seq| Signed { key: [1; 32], signature: [2; 64], seq, value: b"d2:ihi0ee".to_vec() };
            let item = seq.map(|seq| Box::new(item(seq)));
            let reply = Reply { id: Some(ASKER), nodes, values, filters, token: token.then(|| vec![7; 8]), item, ip };
            let read = Message::decode(&reply.encode(ASKER, b"xy")).unwrap();
            prop_assert_eq!(read, Message { transaction: b"xy".to_vec(), body: Body::Reply(Box::new(reply)) });
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::decode(&bytes);
            let _ = Message::decode(&[b"d1:rd2:id20:abcdefghij01234567895:nodes".as_slice(), &bytes].concat());
        }
    }
}
