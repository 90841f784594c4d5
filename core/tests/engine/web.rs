//! Web seeds over real sockets: servers that do well, badly, or nothing.

use podswarm_core::metainfo::Metainfo;
use podswarm_core::net::{AddTorrent, Engine, EngineConfig, TorrentStatus};
use podswarm_core::rate::Rate;
use podswarm_core::swarm::{WebSeedState, WebSeedStatus};
use tokio::time::Instant;

use crate::server::{Manner, Server};
use crate::world::{Content, addr, config, engine, seeder, when};

async fn server(content: &Content, manner: Manner) -> Server {
    Server::start(content.path(""), manner).await
}

/// Fetches the content from these web seeds alone.
async fn fetch(content: &Content, urls: &[String]) -> TorrentStatus {
    let engine = engine().await;
    let torrent = AddTorrent { web_seeds: urls.to_vec(), ..content.fetch("target", &[]) };
    let torrent = engine.add(torrent).await.unwrap();
    torrent.wait_complete().await.unwrap();
    content.assert_arrived("target");
    torrent.status()
}

fn seed_at<'a>(status: &'a TorrentStatus, url: &str) -> &'a WebSeedStatus {
    status.web_seeds.iter().find(|seed| seed.url == url).unwrap()
}

#[tokio::test]
async fn a_web_seed_alone_brings_a_file_over_one_connection() {
    let content = Content::file(200);
    let server = server(&content, Manner::Ranges).await;
    let status = fetch(&content, &[server.url("source")]).await;
    assert_eq!((status.downloaded, status.wasted), (status.length, 0));
    assert_eq!(server.bytes(), status.length);
    assert_eq!(server.connections(), 1);
    assert!(server.requests() <= 3, "{} requests", server.requests());
}

#[tokio::test]
async fn the_torrent_names_its_web_seed_itself() {
    let content = Content::file(20);
    let server = server(&content, Manner::Ranges).await;
    let engine = engine().await;
    let mut metainfo: Metainfo = (*content.metainfo).clone();
    metainfo.web_seeds = vec![server.url("")];
    let torrent = AddTorrent { metainfo: metainfo.into(), ..content.fetch("target", &[]) };
    engine.add(torrent).await.unwrap().wait_complete().await.unwrap();
    content.assert_arrived("target");
}

#[tokio::test]
async fn a_folder_comes_file_by_file_across_pieces() {
    let files = [("a/one.mp3", 100_000), ("a/empty.txt", 0), ("a/two words.mp3", 5), ("b/three.mp3", 200_000)];
    let content = Content::files(&files);
    let server = server(&content, Manner::Ranges).await;
    let status = fetch(&content, &[server.url("")]).await;
    assert_eq!((server.bytes(), status.wasted), (300_005, 0));
}

#[tokio::test]
async fn a_server_without_ranges_is_read_as_one_stream() {
    let content = Content::file(60);
    let server = server(&content, Manner::Whole).await;
    let status = fetch(&content, &[server.url("source")]).await;
    assert_eq!(status.wasted, 0);
    assert!(server.requests() <= 2, "{} requests", server.requests());
}

#[tokio::test]
async fn a_server_that_lies_is_dropped_and_named() {
    let content = Content::file(60);
    let (liar, honest) = (server(&content, Manner::Lies).await, server(&content, Manner::Ranges).await);
    let status = fetch(&content, &[liar.url("source"), honest.url("source")]).await;
    let dropped = seed_at(&status, &liar.url("source"));
    assert_eq!((dropped.state, dropped.error.as_deref()), (WebSeedState::Dropped, Some("it sent bad data")));
    assert_ne!(seed_at(&status, &honest.url("source")).state, WebSeedState::Dropped);
}

#[tokio::test]
async fn a_server_with_another_file_is_dropped_before_a_byte_is_taken() {
    let content = Content::file(60);
    let (other, honest) = (server(&content, Manner::Longer).await, server(&content, Manner::Ranges).await);
    let status = fetch(&content, &[other.url("source"), honest.url("source")]).await;
    let dropped = seed_at(&status, &other.url("source"));
    assert_eq!((dropped.state, dropped.downloaded, status.wasted), (WebSeedState::Dropped, 0, 0));
    assert!(dropped.error.as_ref().is_some_and(|error| error.contains("bytes; want")), "{dropped:?}");
}

#[tokio::test]
async fn dead_and_broken_mirrors_leave_the_work_to_others() {
    let content = Content::file(200);
    let gone = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}/source", listener.local_addr().unwrap())
    };
    let (refuses, missing) = (server(&content, Manner::Refuses(503)).await, server(&content, Manner::Ranges).await);
    let (silent, honest) = (server(&content, Manner::Silent).await, server(&content, Manner::Ranges).await);
    let urls = [gone, refuses.url("source"), missing.url("nothing"), silent.url("source"), honest.url("source")];
    let status = fetch(&content, &urls).await;
    for url in &urls[..3] {
        let failed = seed_at(&status, url);
        assert!(failed.state != WebSeedState::Dropped && failed.error.is_some(), "{failed:?}");
    }
    assert_eq!((seed_at(&status, &honest.url("source")).downloaded, status.wasted), (status.length, 0));
}

#[tokio::test]
async fn a_server_that_breaks_off_is_asked_for_the_rest_at_once() {
    let content = Content::file(60);
    let server = server(&content, Manner::BreaksOff(300_000)).await;
    let began = Instant::now();
    let status = fetch(&content, &[server.url("source")]).await;
    assert!(began.elapsed().as_secs() < 4, "it is not left alone");
    assert!(server.bytes() < status.length + status.length / 10, "{} bytes", server.bytes());
}

#[tokio::test]
async fn redirects_are_followed() {
    let content = Content::file(60);
    let honest = server(&content, Manner::Ranges).await;
    let first = server(&content, Manner::Redirects(honest.url(""))).await;
    let status = fetch(&content, &[first.url("source")]).await;
    assert_eq!((first.bytes(), honest.bytes()), (0, status.length));
}

#[tokio::test]
async fn several_servers_share_the_work() {
    let content = Content::file(1500);
    let servers = [server(&content, Manner::Ranges).await, server(&content, Manner::Ranges).await];
    let status = fetch(&content, &servers.each_ref().map(|server| server.url("source"))).await;
    assert!(servers.iter().all(|server| server.bytes() > status.length / 20), "{:?}", status.web_seeds);
    assert!(status.wasted < status.length / 20, "{status:?}");
}

#[tokio::test]
async fn a_public_torrents_web_seed_does_not_lead_into_the_owners_network() {
    let content = Content::file(60);
    let server = server(&content, Manner::Ranges).await;
    let engine = engine().await;
    let mut torrent = AddTorrent { web_seeds: vec![server.url("source")], ..content.fetch("target", &[]) };
    torrent.reach = podswarm_core::net::http::Reach::Public;
    let torrent = engine.add(torrent).await.unwrap();
    let status = when(&torrent, |status| status.web_seeds.iter().any(|seed| seed.error.is_some())).await;
    assert_eq!(status.web_seeds[0].state, WebSeedState::Dropped);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_peer_that_serves_leaves_a_web_seed_unasked() {
    let content = Content::file(200);
    let server = server(&content, Manner::Ranges).await;
    let (seeder, leecher) = (seeder(&content).await, engine().await);
    let torrent = AddTorrent { web_seeds: vec![server.url("source")], ..content.fetch("target", &[addr(&seeder)]) };
    leecher.add(torrent).await.unwrap().wait_complete().await.unwrap();
    content.assert_arrived("target");
    assert_eq!(server.requests(), 0);
}

#[tokio::test]
async fn the_download_limit_holds_for_web_seeds() {
    const LIMIT: u64 = 768 << 10;
    let content = Content::file(48);
    let server = server(&content, Manner::Ranges).await;
    let engine = Engine::start(EngineConfig { down: Some(Rate(LIMIT)), ..config() }).await.unwrap();
    let torrent = AddTorrent { web_seeds: vec![server.url("source")], ..content.fetch("target", &[]) };
    let added = Instant::now();
    let torrent = engine.add(torrent).await.unwrap();
    when(&torrent, |status| status.web_seeds.iter().any(|seed| seed.state == WebSeedState::Active)).await;
    // The figures are half a second old.
    let active = Instant::now();
    torrent.wait_complete().await.unwrap();
    let rate = |since: Instant| {
        let took = u64::try_from(since.elapsed().as_millis()).unwrap();
        (torrent.status().downloaded - (64 << 10)) * 1000 / took
    };
    let (least, most) = (rate(added), rate(active));
    assert!(least <= LIMIT * 115 / 100 && most >= LIMIT * 85 / 100, "{} to {}", Rate(least), Rate(most));
}

#[tokio::test]
async fn what_a_web_seed_brought_is_served_to_peers() {
    let content = Content::file(60);
    let server = server(&content, Manner::Ranges).await;
    let (first, second) = (engine().await, engine().await);
    let torrent = AddTorrent { web_seeds: vec![server.url("source")], ..content.fetch("first", &[]) };
    first.add(torrent).await.unwrap().wait_complete().await.unwrap();
    second.add(content.fetch("second", &[addr(&first)])).await.unwrap().wait_complete().await.unwrap();
    content.assert_arrived("second");
}

#[tokio::test]
async fn a_version_that_changes_its_name_and_not_its_bytes_is_taken_in_the_end() {
    let content = Content::file(600);
    let (renames, other) = (server(&content, Manner::Renames).await, server(&content, Manner::Ranges).await);
    let status = fetch(&content, &[renames.url("source"), other.url("source")]).await;
    assert_ne!(seed_at(&status, &renames.url("source")).state, WebSeedState::Dropped);
}
