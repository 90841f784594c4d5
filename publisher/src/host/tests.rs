//! A whole host on loopback: engine, tracker and public port.

use std::path::{Path, PathBuf};

use podswarm_core::net::PeerPort;

use super::*;
use crate::fixture;
use crate::library::touched;
use crate::publish::{Intake, Said};

struct World {
    dir: tempfile::TempDir,
    http: reqwest::Client,
}

impl World {
    fn new() -> Self {
        // Whichever test is first chooses the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { dir: tempfile::tempdir().unwrap(), http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    async fn start(&self) -> Arc<Host> {
        let (library, _) = Library::open(&self.root()).unwrap();
        let engine = EngineConfig {
            peer_port: PeerPort::Exactly(0),
            bind: Some(std::net::Ipv4Addr::LOCALHOST.into()),
            ..EngineConfig::default()
        };
        let listen = "127.0.0.1:0".parse().unwrap();
        let config = HostConfig { listen, public_url: None, udp_tracker: true, peer_addresses: Vec::new(), engine };
        Host::start(library, config).await.unwrap().0
    }

    fn draft(&self, name: &str, seed: u8) -> Draft {
        let path = self.dir.path().join(name);
        std::fs::write(&path, fixture::wav(1, seed)).unwrap();
        Draft { path, name: None, intake: Intake::Copy, said: Said::default() }
    }

    async fn get(&self, url: &str) -> (u16, String) {
        let answer = self.http.get(url).send().await.unwrap();
        (answer.status().as_u16(), String::from_utf8_lossy(&answer.bytes().await.unwrap()).into_owned())
    }
}

/// The figures of the episode in that file.
fn episode(host: &Host, file: &str) -> crate::wire::EpisodeStatus {
    let status = host.status(String::new()).unwrap();
    status.episodes.into_iter().find(|episode| episode.episode.file == file).unwrap()
}

#[tokio::test]
async fn an_episode_answers_and_seeds_when_it_is_published() {
    let world = World::new();
    let host = world.start().await;
    let published = host.publish(world.draft("a.wav", 1), Follow::default()).await.unwrap();
    assert!(published.live && published.is_new_show && !published.already);
    for url in [&published.episode.media, &published.episode.torrent, &published.episode.page] {
        assert_eq!(world.get(url.as_str()).await.0, 200, "{url}");
    }
    assert!(world.get(published.show.feed.as_str()).await.1.contains(&published.episode.guid.to_string()));
    let status = episode(&host, &published.episode.file);
    assert_eq!((status.error, status.swarm.unwrap().complete), (None, 1));
    host.shutdown().await;
}

#[tokio::test]
async fn two_publishes_at_once_are_two_episodes_of_one_show() {
    let world = World::new();
    let host = world.start().await;
    let (a, b) = (world.draft("a.wav", 1), world.draft("b.wav", 2));
    let (a, b) = tokio::join!(host.publish(a, Follow::default()), host.publish(b, Follow::default()));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.episode.show, b.episode.show);
    assert!(a.is_new_show != b.is_new_show);
    let seqs: Vec<u64> = host.library.events(&a.episode.show).unwrap().iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2]);
    host.shutdown().await;
}

#[tokio::test]
async fn an_episode_put_off_is_hidden_until_its_time() {
    let world = World::new();
    let host = world.start().await;
    let at = Utc::now() + chrono::Duration::hours(1);
    let said = Said { at: Some(at), ..Said::default() };
    let published = host.publish(Draft { said, ..world.draft("a.wav", 1) }, Follow::default()).await.unwrap();
    assert!(!published.live);
    for url in [&published.episode.media, &published.episode.torrent, &published.episode.page] {
        assert_eq!(world.get(url.as_str()).await.0, 404, "{url}");
    }
    assert_eq!(host.release_due().await.unwrap(), Some(published.episode.published));
    // Its time comes.
    let key = EpisodeRecord::key_of(&published.episode.show, &published.episode.file);
    let record = host.library.store().get::<EpisodeRecord>(&key).unwrap().unwrap();
    let due = EpisodeRecord { published: Utc::now() - chrono::Duration::seconds(1), ..record };
    host.library.store().put(&due).unwrap();
    assert_eq!(host.release_due().await.unwrap(), None);
    assert_eq!(world.get(published.episode.media.as_str()).await.0, 200);
    assert_eq!(host.library.events(&due.show).unwrap().len(), 1);
    host.shutdown().await;
}

#[tokio::test]
async fn a_restart_serves_what_was_published_and_tells_what_is_lost() {
    let world = World::new();
    let host = world.start().await;
    let kept = host.publish(world.draft("a.wav", 1), Follow::default()).await.unwrap().episode;
    let lost = host.publish(world.draft("b.wav", 2), Follow::default()).await.unwrap().episode;
    host.shutdown().await;
    drop(host);
    std::fs::remove_file(world.root().join("media/a").join(&lost.file)).unwrap();
    let host = world.start().await;
    host.torrent(kept.info_hash).unwrap().wait_complete().await.unwrap();
    host.torrent(lost.info_hash).unwrap().wait_complete().await.unwrap_err();
    assert_eq!(episode(&host, &kept.file).error, None);
    assert!(episode(&host, &lost.file).error.is_some());
    let media = host.urls().media(&lost.show, &lost.file);
    assert_eq!(world.get(media.as_str()).await.0, 503);
    // Publishing it once more mends it.
    let mended = host.publish(world.draft("b.wav", 2), Follow::default()).await.unwrap();
    assert!(mended.already);
    assert_eq!(episode(&host, &lost.file).error, None);
    assert_eq!(world.get(media.as_str()).await.0, 200);
    host.shutdown().await;
}

#[tokio::test]
async fn an_original_that_was_only_touched_is_served_again() {
    let world = World::new();
    let host = world.start().await;
    let draft = Draft { intake: Intake::InPlace, ..world.draft("a.wav", 1) };
    let path = draft.path.clone();
    let published = host.publish(draft, Follow::default()).await.unwrap();
    let media = |host: &Host| host.urls().media(&published.episode.show, &published.episode.file).to_string();
    touch(&path);
    assert_eq!(world.get(&media(&host)).await.0, 503, "nobody knows yet whether it is the same");
    host.shutdown().await;
    drop(host);
    let host = world.start().await;
    let mut site = host.site.subscribe();
    let (show, file) = (published.episode.show.as_str(), published.episode.file.as_str());
    let is_stamped = |site: &Arc<Site>| touched(&site.episode_by_file(show, file).unwrap().record).is_none();
    site.wait_for(is_stamped).await.unwrap();
    assert_eq!(world.get(&media(&host)).await.0, 200);
    host.shutdown().await;
}

/// Gives the file another time of change.
fn touch(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
}

#[tokio::test]
async fn a_show_that_is_changed_is_shown_so() {
    let world = World::new();
    let host = world.start().await;
    let fields = |title: &str| crate::shows::ShowFields { title: Some(title.to_owned()), ..Default::default() };
    let show = host.create_show(NewShow { slug: None, fields: fields("Before") }).await.unwrap();
    assert!(world.get(show.feed.as_str()).await.1.contains("Before"));
    host.edit_show(None, fields("After")).await.unwrap();
    assert!(world.get(show.feed.as_str()).await.1.contains("After"));
    assert_eq!(host.library.show(None).unwrap().podcast_guid, None, "a loopback address is nobody's name");
    host.shutdown().await;
}

#[tokio::test]
async fn an_original_that_was_changed_is_neither_served_nor_seeded() {
    let world = World::new();
    let host = world.start().await;
    let draft = Draft { intake: Intake::InPlace, ..world.draft("a.wav", 1) };
    let path = draft.path.clone();
    let published = host.publish(draft, Follow::default()).await.unwrap();
    std::fs::write(&path, fixture::wav(1, 2)).unwrap();
    touch(&path);
    let record = host.library.episodes_of(None).unwrap().remove(0);
    host.check_again(&record).await;
    assert_eq!(world.get(published.episode.media.as_str()).await.0, 503);
    let status = episode(&host, &published.episode.file);
    assert!(status.error.unwrap().contains("0 of 1 pieces match"), "it says what was found");
    assert_eq!(host.tracker.swarm(record.info_hash).complete, 0);
    host.shutdown().await;
}
