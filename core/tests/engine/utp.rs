//! Transfers over uTP.

use std::net::SocketAddr;
use std::sync::Arc;

use podswarm_core::net::{Engine, EngineConfig};
use tokio::net::UdpSocket;

use crate::world::{Content, addr, config, engine, seeder};

/// An address at which only datagrams reach `target`: nobody listens there for TCP.
pub(crate) async fn by_datagrams_only(target: SocketAddr) -> SocketAddr {
    let outside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let addr = outside.local_addr().unwrap();
    tokio::spawn(async move {
        let inside = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        inside.connect(target).await.unwrap();
        let (mut there, mut back) = ([0; 2048], [0; 2048]);
        let mut dialler = None;
        loop {
            tokio::select! {
                Ok((length, from)) = outside.recv_from(&mut there) => {
                    dialler = Some(from);
                    inside.send(&there[..length]).await.ok();
                }
                Ok(length) = inside.recv(&mut back) => {
                    outside.send_to(&back[..length], dialler.unwrap()).await.ok();
                }
            }
        }
    });
    addr
}

/// Fetches the content from a seed to which no TCP leads.
async fn fetch_over_utp(content: &Content, leecher: &Engine) {
    let seeder = seeder(content).await;
    let peer = by_datagrams_only(addr(&seeder)).await;
    let torrent = leecher.add(content.fetch("got", &[peer])).await.unwrap();
    torrent.wait_complete().await.unwrap();
    content.assert_arrived("got");
}

#[tokio::test]
async fn where_no_tcp_leads_a_file_comes_over_utp() {
    let content = Content::file(100);
    let leecher = engine().await;
    fetch_over_utp(&content, &leecher).await;
    // And goes on over it.
    let (third, peer) = (engine().await, by_datagrams_only(addr(&leecher)).await);
    let torrent = third.add(content.fetch("third", &[peer])).await.unwrap();
    torrent.wait_complete().await.unwrap();
    content.assert_arrived("third");
}

#[tokio::test]
async fn many_streams_share_one_port() {
    let content = Arc::new(Content::file(60));
    let seeder = seeder(&content).await;
    let mut leechers = tokio::task::JoinSet::new();
    for number in 0..6 {
        let (content, peer) = (Arc::clone(&content), by_datagrams_only(addr(&seeder)).await);
        leechers.spawn(async move {
            let (engine, name) = (engine().await, format!("got-{number}"));
            engine.add(content.fetch(&name, &[peer])).await.unwrap().wait_complete().await.unwrap();
            content.assert_arrived(&name);
        });
    }
    while let Some(ended) = leechers.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn who_wants_no_utp_takes_none() {
    let content = Content::file(2);
    let seeder = Engine::start(EngineConfig { utp: false, ..config() }).await.unwrap();
    seeder.add(content.seed()).await.unwrap().wait_complete().await.unwrap();
    let (leecher, other) = (engine().await, engine().await);
    let peer = by_datagrams_only(addr(&seeder)).await;
    let torrent = leecher.add(content.fetch("got", &[peer])).await.unwrap();
    // The port itself is open, to TCP.
    let direct = other.add(content.fetch("direct", &[addr(&seeder)])).await.unwrap();
    direct.wait_complete().await.unwrap();
    assert_eq!(torrent.status().have, 0);
}
