//! Encrypted connections: what they hide, with whom they come about, and who is cut off.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use podswarm_core::layout::{BlockInfo, PieceIndex};
use podswarm_core::net::{Engine, EngineConfig};
use podswarm_core::peer::Encryption;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use crate::peer::Peer;
use crate::world::{Content, PIECE, addr, config, engine, seeder, when};

async fn engine_with(encryption: Encryption) -> Engine {
    Engine::start(EngineConfig { encryption, ..config() }).await.unwrap()
}

async fn seeder_with(content: &Content, encryption: Encryption) -> Engine {
    let engine = engine_with(encryption).await;
    engine.add(content.seed()).await.unwrap().wait_complete().await.unwrap();
    engine
}

/// A line between two engines, and what goes over it.
struct Line {
    addr: SocketAddr,
    /// From whoever connects.
    asked: Heard,
    /// To whoever connects.
    answered: Heard,
}

type Heard = Arc<Mutex<Vec<u8>>>;

impl Line {
    /// Whoever connects is connected to `to`.
    async fn to(to: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let line = Self { addr: listener.local_addr().unwrap(), asked: Heard::default(), answered: Heard::default() };
        let (asked, answered) = (Arc::clone(&line.asked), Arc::clone(&line.answered));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(to).await.unwrap();
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::spawn(pass_on(near_in, far_out, Arc::clone(&asked)));
                tokio::spawn(pass_on(far_in, near_out, Arc::clone(&answered)));
            }
        });
        line
    }
}

async fn carried(heard: &Heard, what: &[u8]) -> bool {
    heard.lock().await.windows(what.len()).any(|part| part == what)
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, heard: Heard) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        heard.lock().await.extend_from_slice(&bytes[..count]);
        if to.write_all(&bytes[..count]).await.is_err() {
            break;
        }
    }
}

/// Fetches over a line; tells whether the beginning and whether the content could be read on it.
async fn what_a_line_hears(seeds: Encryption, fetches: Encryption) -> (bool, bool) {
    let content = Content::file(30);
    let seeder = seeder_with(&content, seeds).await;
    let line = Line::to(addr(&seeder)).await;
    let leecher = engine_with(fetches).await;
    leecher.add(content.fetch("target", &[line.addr])).await.unwrap().wait_complete().await.unwrap();
    content.assert_arrived("target");
    let some = content.block(BlockInfo { piece: PieceIndex(7), begin: PIECE / 4, length: 32 });
    (carried(&line.asked, b"BitTorrent protocol").await, carried(&line.answered, &some).await)
}

#[tokio::test]
async fn the_beginning_is_hidden_by_default_and_nothing_else() {
    assert_eq!(what_a_line_hears(Encryption::Prefer, Encryption::Prefer).await, (false, true));
}

#[tokio::test]
async fn everything_is_hidden_if_either_side_requires_it() {
    assert_eq!(what_a_line_hears(Encryption::Require, Encryption::Prefer).await, (false, false));
    assert_eq!(what_a_line_hears(Encryption::Prefer, Encryption::Require).await, (false, false));
    assert_eq!(what_a_line_hears(Encryption::Require, Encryption::Require).await, (false, false));
}

#[tokio::test]
async fn whoever_knows_no_encryption_is_spoken_to_without() {
    assert_eq!(what_a_line_hears(Encryption::Off, Encryption::Prefer).await, (true, true));
    assert_eq!(what_a_line_hears(Encryption::Prefer, Encryption::Off).await, (true, true));
}

#[tokio::test]
async fn whoever_requires_encryption_lets_nobody_in_without() {
    let content = Content::file(10);
    let seeder = seeder_with(&content, Encryption::Require).await;
    let mut opening = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec();
    opening.extend_from_slice(&content.metainfo.info_hash.wire());
    opening.extend_from_slice(b"-XX0001-000000000000");
    let mut peer = Peer::dial(addr(&seeder)).await;
    peer.write(&opening).await;
    peer.see_cut_off().await;
}

#[tokio::test]
async fn whoever_shows_a_key_and_no_knowledge_of_a_torrent_is_cut_off() {
    let content = Content::file(10);
    let seeder = seeder(&content).await;
    // No key at all; a key with padding that never ends.
    for opening in [[0xff; 96].to_vec(), [&[0x40; 96][..], &[0; 4000]].concat()] {
        let mut peer = Peer::dial(addr(&seeder)).await;
        peer.write(&opening).await;
        peer.see_cut_off().await;
    }
    // A key for a torrent that is not there, from one who would be served otherwise.
    let other = Content::file(11);
    let leecher = engine_with(Encryption::Require).await;
    let torrent = leecher.add(other.fetch("other", &[addr(&seeder)])).await.unwrap();
    let honest = engine().await;
    honest.add(content.fetch("target", &[addr(&seeder)])).await.unwrap().wait_complete().await.unwrap();
    content.assert_arrived("target");
    assert_eq!(when(&torrent, |status| status.known_peers == 1).await.peers, 0);
}
