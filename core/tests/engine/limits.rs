//! The owner's limits hold, and are used.

use podswarm_core::net::{Engine, EngineConfig};
use podswarm_core::rate::Rate;
use podswarm_core::swarm::SwarmDetail;
use podswarm_core::timetable::{LimitStatus, RateLimits};
use tokio::time::Instant;

use crate::world::{Content, addr, config, when};

/// Bytes a second.
const LIMIT: u64 = 768 * 1024;
/// What may go at once, before the limit is felt.
const BURST: u64 = 64 * 1024;

/// Panics unless content passes from one engine to another at the limit, within 15 %.
async fn check_limit(seeder: EngineConfig, leecher: EngineConfig) {
    let content = Content::file(48);
    let (seeder, leecher) = (Engine::start(seeder).await.unwrap(), Engine::start(leecher).await.unwrap());
    let seed = seeder.add(content.seed()).await.unwrap();
    seed.wait_complete().await.unwrap();
    let began = Instant::now();
    let torrent = leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap();
    torrent.wait_complete().await.unwrap();
    let took = u64::try_from(began.elapsed().as_millis()).unwrap();
    let rate = (torrent.status().downloaded - BURST) * 1000 / took;
    assert!((LIMIT * 85 / 100..=LIMIT * 115 / 100).contains(&rate), "{} in {took} ms", Rate(rate));
    content.assert_arrived("target");
}

#[tokio::test]
async fn the_upload_limit_holds() {
    check_limit(EngineConfig { up: Some(Rate(LIMIT)), ..config() }, config()).await;
}

#[tokio::test]
async fn the_limit_of_the_hour_holds() {
    // Whatever the hour is, one of these windows is open.
    let windows = ["00:00-12:00 up=768KiB/s", "12:00-24:00 up=768KiB/s"].map(|window| window.parse().unwrap());
    let seeder = EngineConfig { up: Some(Rate(100)), windows: windows.to_vec(), ..config() };
    check_limit(seeder, config()).await;
}

#[tokio::test]
async fn the_download_limit_holds() {
    check_limit(config(), EngineConfig { down: Some(Rate(LIMIT)), ..config() }).await;
}

#[tokio::test]
async fn other_limits_hold_from_the_moment_they_are_set_and_a_close_look_tells_of_peers_and_pieces() {
    let content = Content::file(48);
    let slow = EngineConfig { up: Some(Rate(1)), ..config() };
    let (seeder, leecher) = (Engine::start(slow).await.unwrap(), Engine::start(config()).await.unwrap());
    assert_eq!(seeder.limits().now, RateLimits { up: Some(Rate(1)), down: None });
    seeder.add(content.seed()).await.unwrap().wait_complete().await.unwrap();
    let torrent = leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap();
    when(&torrent, |status| status.pieces_have > 0).await;
    let look = torrent.look().await;
    let [peer] = &look.peers[..] else { panic!("{look:?}") };
    assert_eq!((peer.addr, peer.have_permille, peer.is_incoming), (addr(&seeder), 1000, false));
    assert!(peer.client.starts_with("Podswarm") && peer.downloaded > 0 && peer.am_interested, "{peer:?}");
    assert!(look.pieces.have.contains(&100) && look.pieces.have.contains(&0), "{look:?}");
    assert!(look.pieces.copies.iter().all(|copies| *copies == 1), "{look:?}");

    seeder.limit(RateLimits::default()).await;
    assert_eq!(seeder.limits(), LimitStatus::default());
    torrent.wait_complete().await.unwrap();
    torrent.remove().await;
    assert_eq!(torrent.look().await, SwarmDetail::default());
}
