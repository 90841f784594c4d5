//! What owners tell the engine, it does.

use podswarm_core::net::{AddError, AddTorrent, TorrentError, TorrentState};

use crate::peer::Door;
use crate::world::{Content, PIECE, addr, engine, seeder, when};

#[tokio::test]
async fn a_pause_ends_all_traffic_and_loses_nothing() {
    let content = Content::file(8);
    let door = Door::open().await;
    let engine = engine().await;
    let torrent = engine.add(content.fetch("target", &[door.addr])).await.unwrap();
    let first = door.answer(&content).await;
    let giving = first.give(&content, [1, 2, 6], |block| Some(content.block(block)));
    let pausing = async {
        when(&torrent, |status| status.pieces_have == 3).await;
        torrent.pause().await;
    };
    tokio::join!(giving, pausing);
    let status = torrent.status();
    assert_eq!((status.state, status.peers, status.pieces_have), (TorrentState::Paused, 0, 3));

    torrent.unpause().await;
    let second = door.answer(&content).await;
    let giving = second.give(&content, 0..8, |block| Some(content.block(block)));
    let leaving = async {
        torrent.wait_complete().await.unwrap();
        torrent.pause().await;
    };
    let mut asked = tokio::join!(giving, leaving).0;
    asked.sort();
    assert_eq!(asked, content.blocks([0, 3, 4, 5, 7]));
    content.assert_arrived("target");
}

#[tokio::test]
async fn a_torrent_that_is_paused_while_it_is_checked_stays_paused() {
    let content = Content::file(8);
    let (seeder, leecher) = (seeder(&content).await, engine().await);
    let torrent = leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap();
    torrent.pause().await;
    let status = when(&torrent, |status| status.state != TorrentState::Checking).await;
    assert_eq!((status.state, status.downloaded), (TorrentState::Paused, 0));
    torrent.unpause().await;
    torrent.wait_complete().await.unwrap();
}

#[tokio::test]
async fn a_paused_seed_serves_nobody_and_then_everybody() {
    let content = Content::file(8);
    let (seeder, leecher) = (engine().await, engine().await);
    let torrent = leecher.add(content.fetch("target", &[])).await.unwrap();
    when(&torrent, |status| status.state == TorrentState::Downloading).await;
    let seed = seeder.add(AddTorrent { peers: vec![addr(&leecher)], ..content.seed() }).await.unwrap();
    seed.pause().await;
    when(&seed, |status| status.state == TorrentState::Paused).await;
    assert_eq!((seed.status().peers, torrent.status().peers), (0, 0));
    seed.unpause().await;
    torrent.wait_complete().await.unwrap();
    assert_eq!(seed.status().state, TorrentState::Seeding);
}

#[tokio::test]
async fn a_removed_torrent_is_gone_and_its_peers_are_left() {
    let content = Content::file(8);
    let door = Door::open().await;
    let engine = engine().await;
    let torrent = engine.add(content.fetch("target", &[door.addr])).await.unwrap();
    let peer = door.answer(&content).await;
    let waiting = torrent.wait_complete();
    let removing = torrent.remove();
    let (waited, (), ()) = tokio::join!(waiting, removing, peer.see_cut_off());
    assert_eq!(waited, Err(TorrentError::Removed));
    assert!(engine.torrents().is_empty() && engine.torrent(&torrent.info_hash()).is_none());
    // To tell it once more does nothing.
    torrent.remove().await;
    torrent.unpause().await;
    assert_eq!(content.names(".target"), [".target.part"]);
}

#[tokio::test]
async fn a_torrent_is_in_the_engine_once() {
    let content = Content::file(8);
    let engine = seeder(&content).await;
    let Err(AddError::AlreadyAdded(twin)) = engine.add(content.fetch("target", &[])).await else {
        panic!("it is there already")
    };
    assert_eq!(twin.info_hash(), content.metainfo.info_hash);
    assert!(twin.status().complete);
    assert_eq!(engine.status().torrents, 1);
    assert_eq!(content.names(".target"), [] as [&str; 0]);
}

#[tokio::test]
async fn the_engine_stops_when_its_last_handle_goes() {
    let content = Content::file(8);
    let door = Door::open().await;
    let first = engine().await;
    let torrent = first.add(content.fetch("target", &[door.addr])).await.unwrap();
    let peer = door.answer(&content).await;
    drop(first);
    assert_eq!(torrent.wait_complete().await, Err(TorrentError::Removed));
    peer.see_cut_off().await;
}

#[tokio::test]
async fn an_engine_that_was_shut_down_has_let_go_of_everything() {
    let content = Content::file(8);
    let first = engine().await;
    let door = Door::open().await;
    let torrent = first.add(content.fetch("target", &[door.addr])).await.unwrap();
    let peer = door.answer(&content).await;
    let giving = peer.give(&content, 0..4, |block| Some(content.block(block)));
    let stopping = async {
        when(&torrent, |status| status.downloaded > u64::from(PIECE)).await;
        first.shutdown().await;
        first.shutdown().await;
    };
    tokio::join!(giving, stopping);
    assert!(matches!(first.add(content.seed()).await, Err(AddError::Stopped)));
    assert!(tokio::net::TcpStream::connect(addr(&first)).await.is_err());
    let (seeder, second) = (seeder(&content).await, engine().await);
    second.add(content.fetch("target", &[addr(&seeder)])).await.unwrap().wait_complete().await.unwrap();
    content.assert_arrived("target");
}
