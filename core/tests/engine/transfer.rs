//! What is seeded arrives.

use std::net::{IpAddr, Ipv6Addr};

use podswarm_core::net::{Engine, EngineConfig, TorrentState};
use podswarm_core::peer::{ExtensionHandshake, Message};
use podswarm_core::rate::Rate;

use crate::peer::Peer;
use crate::world::{Content, addr, config, engine, seeder, when};

#[tokio::test]
async fn a_file_arrives_bit_for_bit_and_leaves_no_working_file() {
    let content = Content::file(40);
    let (seeder, leecher) = (seeder(&content).await, engine().await);
    let torrent = leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap();
    torrent.wait_complete().await.unwrap();
    content.assert_arrived("target");
    assert_eq!(content.names(".target"), [] as [&str; 0]);
    let status = torrent.status();
    assert_eq!((status.state, status.pieces_have, status.have), (TorrentState::Seeding, 40, content.layout.length()));
    assert_eq!((status.downloaded, status.wasted), (content.layout.length(), 0));
}

#[tokio::test]
async fn a_folder_arrives_with_its_empty_and_its_small_files() {
    let content = Content::files(&[
        ("a empty", 0),
        ("b small", 10),
        ("c/deep/small", 1),
        ("c/empty", 0),
        ("d large", 200_000),
        ("e small", 70),
        ("z empty", 0),
    ]);
    let (seeder, leecher) = (seeder(&content).await, engine().await);
    leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap().wait_complete().await.unwrap();
    content.assert_arrived("target");
    assert_eq!(content.names(".target"), [] as [&str; 0]);
}

#[tokio::test]
async fn whoever_has_fetched_it_seeds_it() {
    let content = Content::file(12);
    let (first, second, third) = (seeder(&content).await, engine().await, engine().await);
    second.add(content.fetch("second", &[addr(&first)])).await.unwrap().wait_complete().await.unwrap();
    first.shutdown().await;
    third.add(content.fetch("third", &[addr(&second)])).await.unwrap().wait_complete().await.unwrap();
    content.assert_arrived("third");
}

#[tokio::test]
async fn what_was_sent_is_told_once_nobody_is_there_any_more() {
    let content = Content::file(12);
    let (seeder, leecher) = (seeder(&content).await, engine().await);
    let seed = seeder.torrents().remove(0);
    leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap().wait_complete().await.unwrap();
    leecher.shutdown().await;
    let length = content.layout.length();
    when(&seed, |status| status.uploaded == length && status.peers == 0 && status.up_rate == Rate(0)).await;
}

#[tokio::test]
async fn whoever_is_not_to_seed_leaves_once_it_is_complete() {
    let content = Content::file(12);
    let (seeder, leecher) = (seeder(&content).await, engine().await);
    let mut fetch = content.fetch("target", &[addr(&seeder)]);
    fetch.seed_after = false;
    let torrent = leecher.add(fetch.clone()).await.unwrap();
    torrent.wait_complete().await.unwrap();
    when(&torrent, |status| status.state == TorrentState::Paused && status.peers == 0).await;
    // It is there now, which changes nothing.
    torrent.remove().await;
    let torrent = leecher.add(fetch).await.unwrap();
    torrent.wait_complete().await.unwrap();
    assert_eq!(torrent.status().state, TorrentState::Paused);
}

#[tokio::test]
async fn peers_reach_each_other_over_ipv6() {
    let content = Content::file(12);
    let start = async || {
        Engine::start(EngineConfig { bind: Some(IpAddr::V6(Ipv6Addr::LOCALHOST).into()), ..config() }).await.unwrap()
    };
    let (seeder, leecher) = (start().await, start().await);
    seeder.add(content.seed()).await.unwrap().wait_complete().await.unwrap();
    assert!(addr(&seeder).is_ipv6());
    leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap().wait_complete().await.unwrap();
    content.assert_arrived("target");
}

#[tokio::test]
async fn one_port_serves_both_families() {
    let content = Content::file(12);
    let both = Engine::start(EngineConfig { bind: None, ..config() }).await.unwrap();
    both.add(content.seed()).await.unwrap().wait_complete().await.unwrap();
    let leecher = Engine::start(EngineConfig { bind: None, ..config() }).await.unwrap();
    for (name, ip) in [("over v4", "127.0.0.1"), ("over v6", "::1")] {
        let peer = (ip.parse::<IpAddr>().unwrap(), both.port().unwrap()).into();
        let torrent = leecher.add(content.fetch(name, &[peer])).await.unwrap();
        torrent.wait_complete().await.unwrap();
        torrent.remove().await;
        content.assert_arrived(name);
    }
}

#[tokio::test]
async fn a_peer_that_knows_one_other_is_told_of_the_rest() {
    let content = Content::file(40);
    // It has told of everybody before it has served everybody.
    let slow = Engine::start(EngineConfig { up: Some(Rate(100_000)), ..config() }).await.unwrap();
    slow.add(content.seed()).await.unwrap().wait_complete().await.unwrap();
    let (first, second) = (engine().await, engine().await);
    first.add(content.fetch("first", &[addr(&slow)])).await.unwrap();
    let torrent = second.add(content.fetch("second", &[addr(&slow)])).await.unwrap();
    when(&torrent, |status| status.peers == 2).await;
}

#[tokio::test]
async fn where_peer_exchange_is_off_nobody_is_told() {
    let content = Content::file(4);
    let seeder = Engine::start(EngineConfig { exchange: false, ..config() }).await.unwrap();
    seeder.add(content.seed()).await.unwrap().wait_complete().await.unwrap();
    let hello = ExtensionHandshake { port: Some(6881), exchange: Some(9), ..ExtensionHandshake::default() };
    let mut peer = Peer::join_extended(addr(&seeder), &content).await;
    peer.send(&Message::Extended { id: 0, payload: hello.encode() }).await;
    let Message::Extended { payload, .. } = peer.until(|message| matches!(message, Message::Extended { .. })).await
    else {
        unreachable!("it is what was waited for")
    };
    assert_eq!(ExtensionHandshake::decode(&payload).unwrap().exchange, None);
}
