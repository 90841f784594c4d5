//! Runs of blocks: sent to who takes them, by whatever way the connection allows.

use podswarm_core::layout::{BLOCK_LENGTH, BlockInfo, PieceIndex};
use podswarm_core::net::{Engine, EngineConfig, TorrentState};
use podswarm_core::peer::{Encryption, ExtensionHandshake, Message};
use podswarm_core::rate::Rate;

use crate::peer::Peer;
use crate::utp::by_datagrams_only;
use crate::v2::TORRENTS;
use crate::world::{Content, PIECE, addr, config, when};

/// An engine that sends runs at any speed.
async fn engine(encryption: Encryption) -> Engine {
    Engine::start(EngineConfig { encryption, run_rate: Rate(0), ..config() }).await.unwrap()
}

async fn seeder(content: &Content, encryption: Encryption) -> Engine {
    let engine = engine(encryption).await;
    engine.add(content.seed()).await.unwrap().wait_complete().await.unwrap();
    engine
}

/// A peer that takes runs of so many bytes, is served, and asks for both blocks of a piece at once.
async fn asks_for_a_piece(seeder: &Engine, content: &Content, longest: Option<u32>) -> Peer {
    let mut peer = Peer::join_extended(addr(seeder), content).await;
    let hello = ExtensionHandshake { run: longest, ..ExtensionHandshake::default() };
    peer.send(&Message::Extended { id: 0, payload: hello.encode() }).await;
    peer.send(&Message::HaveNone).await;
    peer.send(&Message::Interested).await;
    peer.until(|message| *message == Message::Unchoke).await;
    let requests = content.blocks([3]).into_iter().map(Message::Request);
    peer.send_together(&requests.collect::<Vec<_>>()).await;
    peer
}

#[tokio::test]
async fn who_takes_runs_is_sent_a_piece_under_one_head() {
    let content = Content::file(10);
    let seeder = seeder(&content, Encryption::Prefer).await;
    let mut peer = asks_for_a_piece(&seeder, &content, Some(PIECE)).await;
    let piece = BlockInfo { piece: PieceIndex(3), begin: 0, length: PIECE };
    assert!(peer.block().await == (piece, content.block(piece)));
}

#[tokio::test]
async fn who_says_nothing_of_runs_is_sent_blocks() {
    let content = Content::file(10);
    let seeder = seeder(&content, Encryption::Prefer).await;
    for longest in [None, Some(PIECE - 1)] {
        let mut peer = asks_for_a_piece(&seeder, &content, longest).await;
        for block in content.blocks([3]) {
            assert_eq!(block.length, BLOCK_LENGTH);
            assert!(peer.block().await == (block, content.block(block)), "{longest:?}");
        }
    }
}

#[tokio::test]
async fn runs_arrive_bit_for_bit_in_the_clear_and_encrypted() {
    for encryption in [Encryption::Prefer, Encryption::Require] {
        let content = Content::file(60);
        let (seeder, leecher) = (seeder(&content, encryption).await, engine(encryption).await);
        let torrent = leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap();
        torrent.wait_complete().await.unwrap();
        content.assert_arrived("target");
        assert_eq!((torrent.status().downloaded, torrent.status().wasted), (content.layout.length(), 0));
    }
}

#[tokio::test]
async fn runs_arrive_over_utp() {
    let content = Content::file(60);
    let (seeder, leecher) = (seeder(&content, Encryption::Prefer).await, engine(Encryption::Prefer).await);
    let peer = by_datagrams_only(addr(&seeder)).await;
    leecher.add(content.fetch("target", &[peer])).await.unwrap().wait_complete().await.unwrap();
    content.assert_arrived("target");
}

#[tokio::test]
async fn runs_cross_files_and_padding() {
    let small = Content::files(&[("a", 5), ("b", 100_000), ("c", 1), ("d", 70_000), ("e", 0), ("f", 3)]);
    for content in TORRENTS.iter().map(|name| Content::of_libtorrent(name)).chain([small]) {
        let (seeder, leecher) = (seeder(&content, Encryption::Prefer).await, engine(Encryption::Prefer).await);
        leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap().wait_complete().await.unwrap();
        content.assert_arrived("target");
    }
}

#[tokio::test]
async fn a_file_that_is_cut_short_is_told_of_and_served_again_when_it_is_whole() {
    let content = Content::file(10);
    let seeder = seeder(&content, Encryption::Prefer).await;
    let seed = seeder.torrents().remove(0);
    let whole = std::fs::read(content.path("source")).unwrap();
    std::fs::File::options().write(true).open(content.path("source")).unwrap().set_len(3 * u64::from(PIECE)).unwrap();
    asks_for_a_piece(&seeder, &content, Some(PIECE)).await.see_cut_off().await;
    let status = when(&seed, |status| status.state == TorrentState::Failed).await;
    assert!(status.error.unwrap().starts_with("read `"));

    std::fs::write(content.path("source"), &whole).unwrap();
    seed.pause().await;
    seed.unpause().await;
    when(&seed, |status| status.state == TorrentState::Seeding).await;
    let mut peer = asks_for_a_piece(&seeder, &content, Some(PIECE)).await;
    let piece = BlockInfo { piece: PieceIndex(3), begin: 0, length: PIECE };
    assert!(peer.block().await == (piece, content.block(piece)));
}
