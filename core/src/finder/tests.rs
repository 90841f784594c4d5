//! The finder among peers that the test plays.

use super::*;
use crate::peer::exchange::{Contact, ContactFlags};
use crate::peer::metadata::{METADATA_PIECE, piece_count, piece_length};
use crate::peer::{Reserved, Transport};

const THEIR_ID: u8 = 3;

fn info() -> Bytes {
    (0..3 * METADATA_PIECE + 5).map(|n| n.to_be_bytes()[2]).collect()
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn addr(n: u8) -> SocketAddr {
    SocketAddr::from(([198, 18, n, 1], 6881))
}

struct Lab {
    finder: Finder,
    now: Instant,
    out: Vec<Output>,
}

impl Lab {
    fn new() -> Self {
        let setup = FinderSetup {
            info_hash: InfoHash::of_v1_info(&info()),
            discovery: Discovery::ALL,
            trackers: vec![vec!["http://tracker.invalid/announce".to_owned()]],
            peer_id: PeerId([1; 20]),
            port: 6881,
            client: "lab".to_owned(),
            private_peers: false,
            exchange: true,
            encryption: Encryption::default(),
            blocklist: Arc::default(),
            dht: false,
            rng: Rng::from_seed_u64(1),
        };
        let mut lab = Self { finder: Finder::new(SwarmId(0), setup, at(0)), now: at(0), out: Vec::new() };
        lab.give(Input::Tick);
        lab
    }

    fn give(&mut self, input: Input) {
        self.finder.handle(self.now, input, &mut Limits::default());
        self.out.extend(std::iter::from_fn(|| self.finder.poll()));
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now += TICK;
            self.give(Input::Tick);
        }
    }

    /// A peer joins that has metadata of `size` bytes.
    fn join(&mut self, n: u8, size: u32) -> ConnId {
        let conn = ConnId(1 << 40 | u64::from(n));
        let handshake =
            Handshake { reserved: Reserved::OURS, info_hash: self.finder.info_hash().wire(), peer_id: PeerId([n; 20]) };
        let addr = SocketAddr::new(addr(n).ip(), 50_000);
        self.give(Input::Joined { conn, addr, direction: Direction::Incoming, transport: Transport::Tcp, handshake });
        let hello = ExtensionHandshake {
            port: Some(6881),
            metadata: Some(THEIR_ID),
            metadata_size: Some(size),
            ..ExtensionHandshake::default()
        };
        self.say(conn, 0, hello.encode());
        conn
    }

    fn say(&mut self, conn: ConnId, id: u8, payload: Bytes) {
        self.give(Input::Received(conn, Message::Extended { id, payload }));
    }

    /// What the peer was asked for since this was last asked.
    fn asked(&mut self, conn: ConnId) -> Vec<u32> {
        let asked = |output: &Output| match output {
            Output::Send(to, Message::Extended { id: THEIR_ID, payload }) if *to == conn => {
                match MetadataMessage::decode(payload) {
                    Some(MetadataMessage::Request(piece)) => Some(piece),
                    _ => None,
                }
            }
            _ => None,
        };
        let pieces = self.out.iter().filter_map(asked).collect();
        self.out.retain(|output| asked(output).is_none());
        pieces
    }

    fn give_piece(&mut self, conn: ConnId, piece: u32, right: bool) {
        let size = u32::try_from(info().len()).unwrap();
        let begin = (piece * METADATA_PIECE) as usize;
        let data = info().slice(begin..begin + piece_length(size, piece) as usize);
        let data = if right { data } else { data.iter().map(|byte| !byte).collect() };
        self.say(conn, OUR_METADATA_ID, MetadataMessage::Data { piece, total: size, data }.encode());
    }

    fn found(&self) -> Option<&Bytes> {
        self.out.iter().find_map(|output| match output {
            Output::Event(_, Event::Metadata { info, .. }) => Some(info),
            _ => None,
        })
    }

    fn closed(&self) -> Vec<(ConnId, CloseReason)> {
        let close = |output: &Output| match output {
            Output::Close(conn, reason) => Some((*conn, reason.clone())),
            _ => None,
        };
        self.out.iter().filter_map(close).collect()
    }

    fn dialled(&self) -> Vec<SocketAddr> {
        let dial = |output: &Output| if let Output::Dial { addr, .. } = output { Some(*addr) } else { None };
        self.out.iter().filter_map(dial).collect()
    }
}

fn size() -> u32 {
    info().len().try_into().unwrap()
}

#[test]
fn trackers_are_asked_and_peers_dialled_and_the_metadata_comes_out() {
    let mut lab = Lab::new();
    assert!(matches!(&lab.out[0], Output::Announce { request, .. } if request.left > 0));
    lab.give(Input::AddPeers(vec![addr(1), addr(2)], PeerSource::Owner));
    assert_eq!(lab.dialled().len(), 2);
    let (first, second) = (lab.join(5, size()), lab.join(6, size()));
    for conn in [first, second] {
        for piece in lab.asked(conn) {
            lab.give_piece(conn, piece, true);
        }
    }
    assert_eq!(lab.found(), Some(&info()));
    assert!(lab.finder.known_peers().contains(&addr(5)));
    lab.give(Input::Stop);
    assert_eq!(lab.closed().len(), 2);
    let announces = lab.out.iter().filter(|output| matches!(output, Output::Announce { .. })).count();
    assert_eq!(announces, 1, "the swarm goes on: trackers hear of no end");
    assert_eq!(lab.finder.deadline().filter(|at| *at < self::at(100)), lab.finder.announcers.deadline());
}

#[test]
fn a_liar_is_banned_and_the_next_peer_asked() {
    let mut lab = Lab::new();
    let liar = lab.join(5, size());
    for piece in lab.asked(liar) {
        lab.give_piece(liar, piece, false);
    }
    assert_eq!(lab.closed(), [(liar, CloseReason::Banned)]);
    assert!(lab.finder.accepts(SocketAddr::new(addr(5).ip(), 50_000)).is_err());
    let honest = lab.join(6, size());
    for piece in lab.asked(honest) {
        lab.give_piece(honest, piece, true);
    }
    assert_eq!(lab.found(), Some(&info()));
}

#[test]
fn who_gives_nothing_makes_room() {
    let mut lab = Lab::new();
    let (silent, lying) = (lab.join(5, size()), lab.join(6, u32::MAX));
    lab.pass(40);
    let closed = lab.closed();
    assert_eq!(closed.len(), 2);
    assert!([silent, lying].iter().all(|conn| closed.contains(&(*conn, CloseReason::NoMetadata))));
    assert!(lab.asked(silent).len() >= piece_count(size()) as usize && lab.asked(lying).is_empty());
}

#[test]
fn peers_that_peers_name_are_dialled_but_not_passed_on() {
    let mut lab = Lab::new();
    let conn = lab.join(5, size());
    let contact = |n| Contact { addr: addr(n), flags: ContactFlags::default() };
    let message = ExchangeMessage { added: (100..110).map(contact).collect(), dropped: Vec::new() };
    lab.say(conn, OUR_EXCHANGE_ID, message.encode());
    lab.pass(1);
    assert_eq!(lab.dialled().len(), 10);
    assert_eq!(lab.finder.known_peers(), [addr(5)]);
}

#[test]
fn ourselves_twins_and_those_without_extensions_are_left() {
    let mut lab = Lab::new();
    lab.join(5, size());
    for (n, peer_id, reserved) in
        [(6, [1; 20], Reserved::OURS), (7, [5; 20], Reserved::OURS), (8, [8; 20], Reserved::default())]
    {
        let handshake = Handshake { reserved, info_hash: lab.finder.info_hash().wire(), peer_id: PeerId(peer_id) };
        let (conn, direction) = (ConnId(n), Direction::Incoming);
        lab.give(Input::Joined { conn, addr: addr(9), direction, transport: Transport::Tcp, handshake });
    }
    let reasons: Vec<_> = lab.closed().into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons, [CloseReason::Ourselves, CloseReason::Duplicate, CloseReason::NoMetadata]);
}
