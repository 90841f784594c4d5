//! Peers that break the rules are cut off, and everybody else is served.

use std::cell::Cell;

use bytes::Bytes;
use podswarm_core::layout::{BLOCK_LENGTH, BlockInfo, PieceIndex};
use podswarm_core::metainfo::TorrentVersion;
use podswarm_core::net::{AddTorrent, Engine, EngineConfig, Visitor};
use podswarm_core::peer::{Encryption, Message, PeerId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::peer::{Door, Peer};
use crate::world::{Content, PIECE, addr, config, engine, seeder, when};

/// Panics unless the seeder still serves an honest peer.
async fn check_goes_on(content: &Content, seeder: &Engine) {
    let leecher = engine().await;
    leecher.add(content.fetch("target", &[addr(seeder)])).await.unwrap().wait_complete().await.unwrap();
    content.assert_arrived("target");
}

#[tokio::test]
async fn whoever_opens_with_anything_but_the_handshake_is_cut_off() {
    let content = Content::file(10);
    // What is none may be a key unless keys are not answered.
    let seeder = Engine::start(EngineConfig { encryption: Encryption::Off, ..config() }).await.unwrap();
    seeder.add(content.seed()).await.unwrap().wait_complete().await.unwrap();
    let mut unknown = b"\x13BitTorrent protocol".to_vec();
    unknown.resize(68, 7);
    for opening in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\0", &[0xff; 5000], b"\x13BitTorrent protocoL", &unknown] {
        let mut peer = Peer::dial(addr(&seeder)).await;
        peer.write(opening).await;
        peer.see_cut_off().await;
    }
    check_goes_on(&content, &seeder).await;
}

/// Connects and begins to ask, by these parts one after another; what comes back then, to the end.
async fn visit(to: &Engine, parts: &[&[u8]]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr(to)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for part in parts {
        // Whoever is full closes before the last one.
        let _ = stream.write_all(part).await;
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

#[tokio::test]
async fn whoever_asks_by_http_is_handed_over_whole_and_peers_are_served_as_ever() {
    for encryption in Encryption::ALL {
        let content = Content::file(10);
        let (visitors, mut visits) = mpsc::channel(1);
        let seeder = EngineConfig { encryption, visitors: Some(visitors), ..config() };
        let seeder = Engine::start(seeder).await.unwrap();
        seeder.add(content.seed()).await.unwrap().wait_complete().await.unwrap();
        for parts in [&[&b"GET /a HTTP/1.0\r\n\r\n"[..]][..], &[b"P", b"OST /", b"b HTTP/1.1\r\n\r\n", &[0; 200]]] {
            let whole = parts.concat();
            let receive = async {
                let Visitor { mut stream, mut begun } = visits.recv().await.unwrap();
                while begun.len() < whole.len() {
                    assert_ne!(stream.read_buf(&mut begun).await.unwrap(), 0);
                }
                stream.write_all(b"seen").await.unwrap();
                begun
            };
            let (answer, begun) = tokio::join!(visit(&seeder, parts), receive);
            assert_eq!((&answer[..], begun), (&b"seen"[..], whole));
        }
        // One too many is closed, and nobody waits for it.
        let full = TcpStream::connect(addr(&seeder)).await.unwrap();
        full.writable().await.unwrap();
        full.try_write(b"GET /").unwrap();
        while visits.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(visit(&seeder, &[b"GET /"]).await, b"");
        // What only begins like a request may be a key.
        visit(&seeder, &[b"GET", &[7; 2000]]).await;
        assert_eq!(visits.len(), 1);
        let leecher = Engine::start(EngineConfig { encryption, ..config() }).await.unwrap();
        leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap().wait_complete().await.unwrap();
        content.assert_arrived("target");
    }
}

#[tokio::test]
async fn who_reaches_us_from_our_own_network_does_so_at_our_address_there() {
    let engine = engine().await;
    assert_eq!(engine.reached_by("127.0.0.1".parse().unwrap()), Some(addr(&engine)));
    assert_eq!(engine.reached_by("::ffff:127.0.0.1".parse().unwrap()), Some(addr(&engine)));
    // It is bound to loopback, where nobody outside gets.
    assert_eq!((engine.outside(), engine.reached_by("192.0.2.1".parse().unwrap())), (None, None));
    assert_eq!(engine.reached_by("::1".parse().unwrap()), None);
}

#[tokio::test]
async fn a_message_that_cannot_be_right_cuts_its_sender_off() {
    let content = Content::file(10);
    let seeder = seeder(&content).await;
    let messages: [&[u8]; 9] = [
        // Longer than any message may be: of no id that is known, a bitfield, a run of blocks, an extension message.
        &[0xff, 0xff, 0xff, 0xff, 99],
        &[0x7f, 0, 0, 0, 5],
        &[0, 9, 0, 0, 7],
        &[0x10, 0, 0, 0, 20],
        // Of the wrong length: choke, have, request, port, all with a byte too many or too few.
        &[0, 0, 0, 2, 0],
        &[0, 0, 0, 4, 4],
        &[0, 0, 0, 14, 6],
        &[0, 0, 0, 4, 9],
        &[0, 0, 0, 1, 20],
    ];
    for message in messages {
        let mut peer = Peer::join(addr(&seeder), &content).await;
        peer.write(message).await;
        peer.see_cut_off().await;
    }
    check_goes_on(&content, &seeder).await;
}

#[tokio::test]
async fn a_message_that_does_not_fit_the_torrent_cuts_its_sender_off() {
    let content = Content::file(10);
    let seeder = seeder(&content).await;
    let request = |piece, begin, length| Message::Request(BlockInfo { piece: PieceIndex(piece), begin, length });
    let messages = [
        // Ten pieces are two bytes, the last six bits of them zero.
        Message::Bitfield(Bytes::from_static(&[0xff])),
        Message::Bitfield(Bytes::from_static(&[0xff, 0, 0])),
        Message::Bitfield(Bytes::from_static(&[0xff, 0xff])),
        Message::Bitfield(Bytes::new()),
        Message::Have(PieceIndex(10)),
        Message::AllowedFast(PieceIndex(u32::MAX)),
        request(10, 0, BLOCK_LENGTH),
        request(u32::MAX, u32::MAX, u32::MAX),
        request(0, PIECE, 1),
        request(0, PIECE - 1, 2),
        request(0, 0, 0),
        // The last piece is shorter.
        request(9, BLOCK_LENGTH, BLOCK_LENGTH),
    ];
    for message in messages {
        let mut peer = Peer::join(addr(&seeder), &content).await;
        peer.send(&message).await;
        peer.see_cut_off().await;
    }
    check_goes_on(&content, &seeder).await;
}

#[tokio::test]
async fn whoever_sends_blocks_that_nobody_asked_for_is_cut_off() {
    let content = Content::file(10);
    let seeder = seeder(&content).await;
    let peer = Peer::join(addr(&seeder), &content).await;
    let mut block = vec![0, 0, 0x40, 9, 7, 0, 0, 0, 1, 0, 0, 0, 0];
    block.resize(13 + BLOCK_LENGTH as usize, 7);
    peer.flood_until_cut_off(&block).await;
    check_goes_on(&content, &seeder).await;
}

#[tokio::test]
async fn whoever_asks_without_end_and_reads_nothing_is_cut_off() {
    let content = Content::file(10);
    let seeder = engine().await;
    let seed = seeder.add(content.seed()).await.unwrap();
    seed.wait_complete().await.unwrap();
    let mut peer = Peer::join(addr(&seeder), &content).await;
    peer.send(&Message::Interested).await;
    peer.until(|message| *message == Message::Unchoke).await;
    let requests: Vec<u8> =
        (0..10).flat_map(|piece| [0, 0, 0, 13, 6, 0, 0, 0, piece, 0, 0, 0, 0, 0, 0, 0x40, 0]).collect();
    peer.flood_until_cut_off(&requests.repeat(100)).await;
    check_goes_on(&content, &seeder).await;
    seed.pause().await;
    let served = seed.status().uploaded - content.layout.length();
    assert!(served < 8 << 20, "{served} bytes were read for a peer that takes nothing");
}

#[tokio::test]
async fn a_flood_of_requests_is_answered_in_part_and_harms_nobody() {
    const ASKED: u32 = 5000;
    let content = Content::file(10);
    let seeder = seeder(&content).await;
    let mut peer = Peer::join(addr(&seeder), &content).await;
    peer.send(&Message::Interested).await;
    peer.until(|message| *message == Message::Unchoke).await;
    let mut requests = Vec::new();
    for number in 0..ASKED {
        let piece = (number % 9).to_be_bytes();
        requests.extend([&[0, 0, 0, 13, 6][..], &piece, &[0; 4], &BLOCK_LENGTH.to_be_bytes()].concat());
    }
    peer.write(&requests).await;
    let (mut blocks, mut refused) = (0, 0);
    while blocks + refused < ASKED {
        match peer.next().await.expect("whoever reads stays") {
            Message::Piece { .. } => blocks += 1,
            Message::RejectRequest(_) => refused += 1,
            _ => {}
        }
    }
    assert!(blocks > 0 && refused > 0, "{blocks} blocks, {refused} refused");
    check_goes_on(&content, &seeder).await;
}

#[tokio::test]
async fn a_request_that_is_odd_and_right_is_answered_with_its_bytes() {
    let content = Content::file(10);
    let seeder = seeder(&content).await;
    let mut peer = Peer::join(addr(&seeder), &content).await;
    peer.send(&Message::Interested).await;
    peer.until(|message| *message == Message::Unchoke).await;
    let last = PIECE - 100;
    for (piece, begin, length) in
        [(0, 0, 1), (3, 5, 20_000), (4, BLOCK_LENGTH - 1, 2), (5, 1, PIECE - 1), (9, last - 7, 7), (9, 0, last)]
    {
        let block = BlockInfo { piece: PieceIndex(piece), begin, length };
        peer.send(&Message::Request(block)).await;
        assert!(peer.block().await == (block, content.block(block)), "{block:?}");
    }
    // Such as follow one another may be read at once, and may overtake others.
    let halves = [(0, 100), (100, 20_000), (20_100, PIECE - 20_100)];
    let halves = halves.map(|(begin, length)| BlockInfo { piece: PieceIndex(6), begin, length });
    for block in halves {
        peer.send(&Message::Request(block)).await;
    }
    let mut answers = Vec::new();
    for _ in halves {
        answers.push(peer.block().await);
    }
    for block in halves {
        assert!(answers.contains(&(block, content.block(block))), "{block:?}");
    }
}

#[tokio::test]
async fn whoever_comes_as_ourselves_or_twice_is_cut_off() {
    let content = Content::file(10);
    let seeder = seeder(&content).await;
    let first = Peer::join(addr(&seeder), &content).await;
    let twin = Peer::join_as(addr(&seeder), &content, first.id).await;
    twin.see_cut_off().await;
    let mirror = Peer::join_as(addr(&seeder), &content, first.engine_id).await;
    mirror.see_cut_off().await;
    assert_ne!(first.engine_id, PeerId([0; 20]));
    check_goes_on(&content, &seeder).await;
}

#[tokio::test]
async fn a_poisoner_is_banned_and_the_download_is_right() {
    let content = Content::file(10);
    let door = Door::open().await;
    let (seeder, leecher) = (engine().await, engine().await);
    let torrent = leecher.add(content.fetch("target", &[door.addr])).await.unwrap();
    let poisoner = door.answer(&content).await;
    let asked = poisoner.give(&content, 0..10, |block| Some(vec![7; block.length as usize])).await;
    assert!(!asked.is_empty());
    let banned = when(&torrent, |status| status.wasted > 0).await;
    assert_eq!(banned.pieces_have, 0);

    seeder.add(AddTorrent { peers: vec![addr(&leecher)], ..content.seed() }).await.unwrap();
    torrent.wait_complete().await.unwrap();
    content.assert_arrived("target");
    // Whatever is due is dialled now; the poisoner is not.
    torrent.pause().await;
    torrent.unpause().await;
    assert_eq!(torrent.status().known_peers, 1);
}

#[tokio::test]
async fn a_poisoner_among_honest_peers_is_found_by_its_blocks() {
    let content = Content::file(30);
    let (liar, honest) = (Door::open().await, Door::open().await);
    let leecher = engine().await;
    let torrent = leecher.add(content.fetch("target", &[liar.addr, honest.addr])).await.unwrap();
    let lying =
        async { liar.answer(&content).await.give(&content, 0..30, |block| Some(vec![7; block.length as usize])).await };
    let giving =
        async { honest.answer(&content).await.give(&content, 0..30, |block| Some(content.block(block))).await };
    let waiting = async {
        torrent.wait_complete().await.unwrap();
        torrent.remove().await;
    };
    tokio::join!(lying, giving, waiting);
    content.assert_arrived("target");
}

/// The peer sends one bad block and nothing more; an honest one brings the rest, and tells the hashes of the piece's
/// blocks.
#[tokio::test]
async fn a_poisoner_of_v2_is_banned_after_its_first_bad_block() {
    for version in [TorrentVersion::Hybrid, TorrentVersion::V2] {
        let content = Content::file_of(version, 10);
        let door = Door::open().await;
        let (seeder, leecher) = (engine().await, engine().await);
        let torrent = leecher.add(content.fetch("target", &[door.addr])).await.unwrap();
        let poisoner = door.answer(&content).await;
        let (sent, waits) = tokio::sync::oneshot::channel();
        let once = Cell::new(Some(sent));
        let poison = |block: BlockInfo| {
            once.take()?.send(block.piece).unwrap();
            Some(vec![7; block.length as usize])
        };
        let poisoning = poisoner.give(&content, 0..10, poison);
        let seeding = async {
            let first = waits.await.unwrap();
            seeder.add(AddTorrent { peers: vec![addr(&leecher)], ..content.seed() }).await.unwrap();
            torrent.wait_complete().await.unwrap();
            first
        };
        let (_, first) = tokio::join!(poisoning, seeding);
        let wasted = if first == PieceIndex(9) { PIECE - 100 } else { PIECE };
        content.assert_arrived("target");
        assert_eq!(torrent.status().wasted, u64::from(wasted), "{version:?}");
        torrent.pause().await;
        torrent.unpause().await;
        assert_eq!(torrent.status().known_peers, 1, "{version:?}");
    }
}
