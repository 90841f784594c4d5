//! The session, driven by hand under virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::background::Background;
use crate::bitfield::Bitfield;
use crate::layout::{BlockInfo, PieceIndex};
use crate::metainfo::{Metainfo, MetainfoBuilder, TorrentPath};
use crate::peer::{Encryption, PeerId, Reserved, Transport};
use crate::rng::Rng;
use crate::swarm::{Conduct, Discovery, PeerSource, StoreOutcome, SwarmConfig, WholePiece};

const PIECES: u32 = 64;
const PIECE: u32 = 16 * 1024;

fn metainfo(name: &str) -> Arc<Metainfo> {
    let name = TorrentPath::new([name]).unwrap();
    let hashes = (0..PIECES).map(|_| [0; 20]).collect();
    Arc::new(MetainfoBuilder::file(name, u64::from(PIECES * PIECE), PIECE, hashes).build().unwrap())
}

fn setup(name: &str, have: Bitfield) -> SwarmSetup {
    SwarmSetup {
        metainfo: metainfo(name),
        choice: None,
        placed: have.is_all(),
        have,
        paused: false,
        peer_id: PeerId([1; 20]),
        port: 6881,
        outer_port: None,
        client: "test".to_owned(),
        conduct: Conduct { discovery: Discovery { trackers: false, ..Discovery::ALL }, ..Conduct::default() },
        web_seeds: Vec::new(),
        private_peers: true,
        announce_at: Instant::ZERO,
        rng: Rng::from_seed_u64(1),
        config: SwarmConfig::default(),
    }
}

/// What the session wants done; what it has noted of its swarms is what these say.
fn outputs(session: &mut Session) -> Vec<Output> {
    let soonest = session.swarms.values().chain(session.leaving.values()).filter_map(|swarm| swarm.deadline()).min();
    assert_eq!(session.wakes.next(), soonest);
    assert_eq!(session.busy.len(), session.swarms.values().filter(|swarm| swarm.knows_peers()).count());
    std::iter::from_fn(|| session.poll()).collect()
}

fn give(session: &mut Session, now: Instant, input: Input) -> Vec<Output> {
    session.handle(now, input);
    outputs(session)
}

fn closed(outputs: &[Output]) -> Vec<(u64, CloseReason)> {
    let closes =
        |output: &Output| if let Output::Close(conn, why) = output { Some((conn.0, why.clone())) } else { None };
    outputs.iter().filter_map(closes).collect()
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn addr(n: u64) -> SocketAddr {
    let [.., a, b] = n.to_be_bytes();
    SocketAddr::from(([198, 18, a, b], 50_000))
}

fn session() -> (Session, SwarmId) {
    let mut session = Session::new(None, None, at(0));
    let id = session.add(at(0), setup("a", Bitfield::all(PIECES))).unwrap();
    outputs(&mut session);
    (session, id)
}

/// A peer on another machine has dialled us.
fn came(conn: ConnId, addr: SocketAddr) -> Input {
    Input::Accepted(conn, addr, Transport::Tcp, Origin::Elsewhere)
}

fn hello(session: &Session, id: SwarmId, n: u64) -> Handshake {
    let mut peer_id = [9; 20];
    peer_id[..8].copy_from_slice(&n.to_be_bytes());
    Handshake {
        reserved: Reserved::OURS,
        info_hash: session.swarm(id).unwrap().info_hash().wire(),
        peer_id: PeerId(peer_id),
    }
}

#[test]
fn strangers_are_few_and_leave_after_ten_seconds() {
    let (mut session, id) = session();
    for n in 0..10_000 {
        let refused = closed(&give(&mut session, at(0), came(ConnId(n), addr(n))));
        assert_eq!(refused.len(), usize::from(n >= MAX_STRANGERS as u64), "stranger {n}");
    }
    // One of them shows its handshake in time.
    let hello = hello(&session, id, 1);
    give(&mut session, at(9), Input::Handshake(ConnId(7), hello));
    let late = closed(&give(&mut session, at(10), Input::Tick));
    assert_eq!(late.len(), MAX_STRANGERS - 1);
    assert!(late.iter().all(|(conn, why)| *conn != 7 && *why == CloseReason::Handshake));
    assert!(closed(&give(&mut session, at(10), came(ConnId(10_001), addr(1)))).is_empty());
}

#[test]
fn only_who_comes_from_another_machine_over_tcp_proves_that_the_outside_gets_in() {
    let (mut session, id) = session();
    let home: SocketAddr = "192.168.1.5:50000".parse().unwrap();
    for (n, from, transport, origin, is_proof) in [
        (1, home, Transport::Tcp, Origin::Elsewhere, false),
        (2, addr(2), Transport::Utp, Origin::Elsewhere, false),
        (3, addr(3), Transport::Tcp, Origin::Here, false),
        (4, addr(4), Transport::Tcp, Origin::Elsewhere, true),
    ] {
        let conn = ConnId(1 << 63 | n);
        give(&mut session, at(0), Input::Accepted(conn, from, transport, origin));
        let hello = hello(&session, id, n);
        assert!(closed(&give(&mut session, at(0), Input::Handshake(conn, hello))).is_empty());
        assert_eq!(session.is_reached(), is_proof, "{from} {transport:?} {origin:?}");
    }
}

#[test]
fn one_network_cannot_keep_all_others_waiting() {
    let (mut session, _) = session();
    let from = |port| SocketAddr::from(([198, 18, 3, 3], port));
    for (n, port) in (0..100).zip(1..) {
        let refused = closed(&give(&mut session, at(0), came(ConnId(n), from(port))));
        assert_eq!(refused.is_empty(), n < MAX_STRANGERS_OF_ONE as u64);
    }
    assert!(closed(&give(&mut session, at(0), came(ConnId(500), addr(9)))).is_empty());
}

#[test]
fn who_asks_for_another_torrent_hears_nothing() {
    let (mut session, id) = session();
    give(&mut session, at(0), came(ConnId(1), addr(1)));
    let mut hello = hello(&session, id, 1);
    hello.info_hash = [3; 20];
    let outputs = give(&mut session, at(0), Input::Handshake(ConnId(1), hello));
    assert!(matches!(outputs[..], [Output::Close(_, CloseReason::UnknownTorrent)]), "{outputs:?}");
}

#[test]
fn a_dial_that_comes_through_too_late_is_closed() {
    let mut session = Session::new(None, None, at(0));
    let id = session.add(at(0), setup("a", Bitfield::none(PIECES))).unwrap();
    outputs(&mut session);
    let peers = swarm::Input::AddPeers(vec![addr(1)], PeerSource::Owner);
    let dialled = give(&mut session, at(0), Input::Swarm(id, peers));
    let [Output::Dial { conn, .. }] = dialled[..] else { panic!("{dialled:?}") };
    give(&mut session, at(10), Input::Tick);
    let answer = give(&mut session, at(11), Input::Dialled(conn, Transport::Tcp));
    assert_eq!(closed(&answer), [(conn.0, CloseReason::Handshake)]);
    assert_eq!(session.dials, 0);
}

#[test]
fn however_many_torrents_there_are_the_dials_are_bounded_and_shared() {
    let mut session = Session::new(None, None, at(0));
    let mut dials: BTreeMap<SwarmId, Vec<ConnId>> = BTreeMap::new();
    let mut ids = Vec::new();
    for n in 0..40 {
        ids.push(session.add(at(0), setup(&format!("torrent {n}"), Bitfield::none(PIECES))).unwrap());
        outputs(&mut session);
    }
    // First one peer each, so that every torrent counts when the rush comes; then a hundred each.
    let each = |peers: std::ops::Range<u64>| ids.iter().zip(0_u64..).map(move |(id, n)| (*id, n, peers.clone()));
    for (id, n, peers) in each(0..1).chain(each(1..100)) {
        let peers = peers.map(|peer| addr(n * 100 + peer + 1)).collect();
        session.handle(at(0), Input::Swarm(id, swarm::Input::AddPeers(peers, PeerSource::Owner)));
        for output in outputs(&mut session) {
            if let Output::Dial { conn, swarm, .. } = output {
                dials.entry(swarm).or_default().push(conn);
            }
        }
    }
    let under_way: usize = dials.values().map(Vec::len).sum();
    assert_eq!(under_way, Places::default().dials);
    // All come through, and more are dialled every second.
    let mut queue: Vec<(SwarmId, ConnId)> =
        dials.into_iter().flat_map(|(id, conns)| conns.into_iter().map(move |conn| (id, conn))).collect();
    let mut joined: BTreeMap<SwarmId, usize> = BTreeMap::new();
    for second in 1..60 {
        for (id, conn) in std::mem::take(&mut queue) {
            let hello = hello(&session, id, conn.0);
            give(&mut session, at(second), Input::Handshake(conn, hello));
            *joined.entry(id).or_default() += 1;
        }
        for output in give(&mut session, at(second), Input::Tick) {
            if let Output::Dial { conn, swarm, .. } = output {
                queue.push((swarm, conn));
            }
        }
        assert!(session.conns.len() <= Places::default().connections);
    }
    assert_eq!(joined.len(), 40, "each torrent has its share: {joined:?}");
    assert!(joined.values().all(|peers| *peers >= FAIR_SHARE), "{joined:?}");
}

/// A peer that has everything and answers every request at once.
fn serve(session: &mut Session, now: Instant, first: Vec<Output>) -> BTreeMap<SwarmId, u32> {
    let mut pieces = BTreeMap::new();
    let mut queue: VecDeque<Output> = first.into();
    while let Some(output) = queue.pop_front() {
        let input = match output {
            Output::Send(conn, Message::Request(BlockInfo { piece, begin, length })) => {
                let data = Bytes::from(vec![0; length as usize]);
                Input::Received(conn, Message::Piece { piece, begin, data })
            }
            Output::Store { swarm, whole } => {
                let [WholePiece { piece, .. }] = whole[..] else { panic!("they come slowly") };
                *pieces.entry(swarm).or_default() += 1;
                let (outcome, bytes) = (StoreOutcome::Stored(None), u64::from(PIECE));
                Input::Swarm(swarm, swarm::Input::Stored { piece, outcome, bytes })
            }
            _ => continue,
        };
        queue.extend(give(session, now, input));
    }
    pieces
}

#[test]
fn of_seeds_that_come_together_a_few_announce_at_once_and_a_hundred_in_each_second() {
    let mut session = Session::new(None, None, at(0));
    let turns: Vec<Instant> = (0..265).map(|_| session.announce_in_turn(at(5))).collect();
    assert_eq!((turns[0], turns[64], turns[264]), (at(5), at(5), at(7)));
    assert_eq!(session.announce_in_turn(at(60)), at(60), "who comes alone does not wait");
}

#[test]
fn torrents_share_a_limit_evenly() {
    let mut session = Session::new(None, Some(Rate(160 * 1024)), at(0));
    let mut ids = Vec::new();
    let mut first = Vec::new();
    for n in 0..3 {
        let id = session.add(at(0), setup(&format!("torrent {n}"), Bitfield::none(PIECES))).unwrap();
        first.extend(outputs(&mut session));
        let conn = ConnId(1 << 63 | n);
        first.extend(give(&mut session, at(0), came(conn, addr(n))));
        let hello = hello(&session, id, n);
        first.extend(give(&mut session, at(0), Input::Handshake(conn, hello)));
        for message in [Message::HaveAll, Message::Unchoke] {
            first.extend(give(&mut session, at(0), Input::Received(conn, message)));
        }
        ids.push(id);
    }
    let mut pieces = serve(&mut session, at(0), first);
    let mut now = at(0);
    while now < at(8) {
        now = session.deadline().expect("there is a limit to wait for").max(now);
        let more = give(&mut session, now, Input::Tick);
        for (id, count) in serve(&mut session, now, more) {
            *pieces.entry(id).or_default() += count;
        }
    }
    let counts: Vec<u32> = ids.iter().map(|id| pieces.get(id).copied().unwrap_or_default()).collect();
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(*least >= 20 && most - least <= 8, "{counts:?}");
}

#[test]
fn the_system_is_asked_of_what_is_sent_in_the_background_and_not_again_before_it_answers() {
    let mut session = Session::new(None, None, at(0));
    session.give_way(at(0));
    let config = SwarmConfig { background: Background::Seeding, ..SwarmConfig::default() };
    let id = session.add(at(0), SwarmSetup { config, ..setup("a", Bitfield::all(PIECES)) }).unwrap();
    outputs(&mut session);
    let (conn, block) = (ConnId(1 << 63), BlockInfo { piece: PieceIndex(3), begin: 0, length: PIECE });
    give(&mut session, at(0), came(conn, addr(1)));
    let hello = hello(&session, id, 1);
    give(&mut session, at(0), Input::Handshake(conn, hello));
    let said = vec![Message::HaveNone, Message::Interested, Message::Request(block)];
    let read = give(&mut session, at(0), Input::ReceivedTogether(conn, said));
    assert!(read.iter().any(|output| matches!(output, Output::Read { .. })), "{read:?}");
    assert!(session.is_in_background(conn));
    let data = Ok(vec![Bytes::from(vec![0; PIECE as usize])]);
    give(&mut session, at(0), Input::Swarm(id, swarm::Input::Read { conn, span: block, result: data }));
    give(&mut session, at(0), Input::Sent(conn, u64::from(PIECE)));

    let step = session.pace_deadline().unwrap();
    let asked = give(&mut session, step, Input::Tick);
    assert!(asked.iter().any(|output| matches!(output, Output::Trips(conns) if *conns == [conn])), "{asked:?}");
    assert_eq!(session.pace_deadline(), None);
    let trip = Trip { trip_us: 30_000, acknowledged: 16_384, repeated: 0 };
    give(&mut session, step, Input::Trips(vec![(conn, trip)]));
    assert!(session.pace_deadline().is_some_and(|next| next > step));
    give(&mut session, at(1), Input::Closed(conn));
    let alone = give(&mut session, at(2), Input::Tick);
    assert!(!alone.iter().any(|output| matches!(output, Output::Trips(_))), "nobody is there to ask of");
}

/// The one dial among what a session wants done.
#[track_caller]
fn the_dial(outputs: &[Output]) -> (ConnId, Opening) {
    let [Output::Dial { conn, opening, .. }] = outputs[..] else { panic!("{outputs:?}") };
    (conn, opening)
}

/// A session that fetches and has dialled a peer, with what it has dialled.
fn dialling(encryption: Encryption) -> (Session, SwarmId, ConnId, Opening) {
    let mut session = Session::new(None, None, at(0));
    let config = SwarmConfig { encryption, ..SwarmConfig::default() };
    let id = session.add(at(0), SwarmSetup { config, ..setup("a", Bitfield::none(PIECES)) }).unwrap();
    outputs(&mut session);
    let peers = swarm::Input::AddPeers(vec![addr(1)], PeerSource::Tracker);
    let (conn, opening) = the_dial(&give(&mut session, at(0), Input::Swarm(id, peers)));
    (session, id, conn, opening)
}

#[test]
fn a_peer_that_refuses_a_key_is_spoken_to_without() {
    let (mut session, id, conn, opening) = dialling(Encryption::Prefer);
    assert_eq!(opening, Opening::Encrypted);
    assert!(matches!(give(&mut session, at(1), Input::Dialled(conn, Transport::Tcp))[..], [Output::SendEncrypted(..)]));
    let (conn, opening) = the_dial(&give(&mut session, at(1), Input::KeyRefused(conn)));
    assert_eq!(opening, Opening::Plain);
    assert!(matches!(give(&mut session, at(1), Input::Dialled(conn, Transport::Tcp))[..], [Output::SendHandshake(..)]));
    let hello = hello(&session, id, 1);
    give(&mut session, at(1), Input::Handshake(conn, hello));
    // It is remembered while it works, and forgotten when that fails, too.
    let mut opening_after = |conn, end: fn(ConnId) -> Input, from| {
        give(&mut session, at(from), end(conn));
        let soon = (from..from + 2000).find_map(|second| {
            let dialled = give(&mut session, at(second), Input::Tick);
            (!dialled.is_empty()).then(|| the_dial(&dialled))
        });
        soon.expect("it is tried again")
    };
    let (conn, opening) = opening_after(conn, Input::Closed, 2);
    assert_eq!(opening, Opening::Plain);
    assert_eq!(opening_after(conn, Input::DialFailed, 3000).1, Opening::Encrypted);
}

#[test]
fn a_peer_that_understands_no_key_may_wait_for_more() {
    let (mut session, _, conn, _) = dialling(Encryption::Prefer);
    give(&mut session, at(1), Input::Dialled(conn, Transport::Tcp));
    let late = give(&mut session, at(10), Input::Tick);
    assert_eq!(closed(&late), [(conn.0, CloseReason::Handshake)]);
    assert_eq!(the_dial(&late[1..]).1, Opening::Plain);
}

#[test]
fn nobody_is_spoken_to_without_a_key_if_the_owner_forbids_it() {
    let (mut session, _, conn, opening) = dialling(Encryption::Require);
    assert_eq!(opening, Opening::Encrypted);
    give(&mut session, at(1), Input::Dialled(conn, Transport::Tcp));
    assert!(give(&mut session, at(1), Input::KeyRefused(conn)).is_empty());
    assert_eq!(session.dials, 0);
    let again = (2..100).find_map(|second| {
        let dialled = give(&mut session, at(second), Input::Tick);
        (!dialled.is_empty()).then(|| the_dial(&dialled))
    });
    assert_eq!(again.map(|(_, opening)| opening), Some(Opening::Encrypted));
    assert_eq!(dialling(Encryption::Off).3, Opening::Plain);
}

#[test]
fn keys_are_answered_for_all_torrents_and_not_without_end() {
    let (mut session, _) = session();
    let other = session.add(at(0), setup("b", Bitfield::all(PIECES))).unwrap();
    outputs(&mut session);
    let mut answered = Vec::new();
    for n in 0..100 {
        give(&mut session, at(0), came(ConnId(n), addr(9)));
        let answer = give(&mut session, at(0), Input::KeyShown(ConnId(n)));
        match &answer[..] {
            [Output::AnswerKey(conn, skeys)] => {
                answered.push(Arc::clone(skeys));
                session.handle(at(0), Input::Closed(*conn));
            }
            refused => assert_eq!(closed(refused), [(n, CloseReason::KeyFlood)]),
        }
    }
    assert!((10..90).contains(&answered.len()), "{}", answered.len());
    let hash = |name: &str| metainfo(name).info_hash.wire();
    assert_eq!(*answered[0], Skeys::of([hash("a"), hash("b")]));
    give(&mut session, at(0), Input::Swarm(other, swarm::Input::Stop));
    session.remove(other);
    give(&mut session, at(1), came(ConnId(200), addr(9)));
    let later = give(&mut session, at(1), Input::KeyShown(ConnId(200)));
    let [Output::AnswerKey(_, skeys)] = &later[..] else { panic!("{later:?}") };
    assert_eq!(**skeys, Skeys::of([hash("a")]));
    // Whoever has said more already, or is not there, is not answered.
    assert!(give(&mut session, at(1), Input::KeyShown(ConnId(999))).is_empty());
}

#[test]
fn whoever_is_on_the_owners_list_is_not_let_in() {
    let (mut session, _) = session();
    session.handle(at(0), Input::KeepOut(Arc::new(Blocklist::parse(b"198.18.0.0/24"))));
    let refused = closed(&give(&mut session, at(0), came(ConnId(1), addr(1))));
    assert_eq!(refused, [(1, CloseReason::Blocked)]);
    assert_eq!(session.strangers, 0);
    assert!(closed(&give(&mut session, at(0), came(ConnId(2), addr(300)))).is_empty());
}

#[test]
fn a_limit_that_is_lifted_is_not_waited_for() {
    // A byte a second: what goes at once is all that goes for long.
    let mut session = Session::new(None, Some(Rate(1)), at(0));
    let id = session.add(at(0), setup("a", Bitfield::none(PIECES))).unwrap();
    outputs(&mut session);
    let peers = swarm::Input::AddPeers(vec![addr(1)], PeerSource::Owner);
    let (conn, _) = the_dial(&give(&mut session, at(0), Input::Swarm(id, peers)));
    give(&mut session, at(0), Input::Dialled(conn, Transport::Tcp));
    let hello = hello(&session, id, 1);
    give(&mut session, at(0), Input::Handshake(conn, hello));
    let asked = |outputs: Vec<Output>| {
        let request = |output| if let Output::Send(_, Message::Request(block)) = output { Some(block) } else { None };
        outputs.into_iter().filter_map(request).collect::<VecDeque<BlockInfo>>()
    };
    give(&mut session, at(0), Input::Received(conn, Message::HaveAll));
    let mut waiting = asked(give(&mut session, at(0), Input::Received(conn, Message::Unchoke)));
    let mut answered = 0;
    while let Some(BlockInfo { piece, begin, length }) = waiting.pop_front() {
        answered += 1;
        let data = Bytes::from(vec![0; length as usize]);
        let block = Message::Piece { piece, begin, data };
        waiting.append(&mut asked(give(&mut session, at(0), Input::Received(conn, block))));
    }
    assert!((1..=5).contains(&answered), "{answered}");
    assert!(asked(give(&mut session, at(0), Input::Tick)).is_empty());
    assert!(!asked(give(&mut session, at(0), Input::Limit(RateLimits::default()))).is_empty());
}

#[test]
fn the_owner_says_how_many_are_let_in_and_dialled() {
    let (mut session, id) = session();
    session.bound(Places { connections: 3, dials: 2 });
    let peers = (1..9).map(addr).collect();
    let dialled = give(&mut session, at(1), Input::Swarm(id, swarm::Input::AddPeers(peers, PeerSource::Owner)));
    assert_eq!(dialled.iter().filter(|output| matches!(output, Output::Dial { .. })).count(), 2);
    assert!(give(&mut session, at(1), came(ConnId(1 << 63), addr(20))).is_empty());
    let refused = closed(&give(&mut session, at(1), came(ConnId(1 << 63 | 1), addr(21))));
    assert_eq!(refused, [(1 << 63 | 1, CloseReason::Full)]);
}
