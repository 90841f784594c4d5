//! Torrents of which only the hash is known, and nobody who has them but the distributed hash table.

use std::net::SocketAddr;
use std::path::PathBuf;

use podswarm_core::metainfo::Magnet;
use podswarm_core::net::http::Reach;
use podswarm_core::net::{DhtConfig, Discovery, Engine, EngineConfig, FindTorrent};

use crate::world::{Content, addr, config};

/// An engine with a node that begins with these.
async fn node(begin: &[SocketAddr], file: Option<PathBuf>) -> Engine {
    let nodes = begin.iter().map(|addr| addr.to_string().parse().unwrap()).collect();
    let dht = Some(DhtConfig { nodes, file, ..DhtConfig::default() });
    Engine::start(EngineConfig { dht, ..config() }).await.unwrap()
}

fn find(content: &Content) -> FindTorrent {
    FindTorrent { magnet: Magnet::new(content.metainfo.info_hash), reach: Reach::Any, discovery: Discovery::ALL }
}

#[tokio::test]
async fn a_torrent_is_found_by_its_hash_alone_and_again_by_the_nodes_that_are_remembered() {
    let content = Content::file(8);
    let meeting_place = node(&[], None).await;
    let seeder = node(&[addr(&meeting_place)], None).await;
    seeder.add(content.seed()).await.unwrap();
    let file = content.path("dht.dat");
    for (begin, target) in [(vec![addr(&meeting_place)], "first"), (vec![], "second")] {
        let leecher = node(&begin, Some(file.clone())).await;
        let found = leecher.find(find(&content)).await.unwrap();
        assert_eq!(found.info_bytes(), content.metainfo.info_bytes());
        let torrent = leecher.add(content.fetch(target, &[])).await.unwrap();
        torrent.wait_complete().await.unwrap();
        content.assert_arrived(target);
        assert!(leecher.status().dht_nodes.unwrap() > 0);
        leecher.shutdown().await;
        assert!(file.exists(), "it is written before the engine has stopped");
    }
}

#[tokio::test]
async fn peers_tell_each_other_of_their_nodes() {
    let content = Content::file(8);
    let (seeder, leecher) = (node(&[], None).await, node(&[], None).await);
    seeder.add(content.seed()).await.unwrap();
    let torrent = leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap();
    torrent.wait_complete().await.unwrap();
    // The third knows the first alone, and is told of the second by the table.
    let third = node(&[addr(&leecher)], None).await;
    let found = third.find(find(&content)).await.unwrap();
    assert_eq!(found.info_hash, content.metainfo.info_hash);
}
