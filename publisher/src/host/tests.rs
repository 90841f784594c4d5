//! A whole host on loopback: engine, tracker and public port.

use std::path::{Path, PathBuf};

use podswarm_core::net::PeerPort;

use super::*;
use crate::fixture;
use crate::hooks::UntoldRecord;
use crate::library::touched;
use crate::publish::{EpisodeFields, Intake, Said};

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
        self.start_with(Vec::new()).await
    }

    async fn start_with(&self, hooks: Vec<Hook>) -> Arc<Host> {
        let (library, _) = Library::open(&self.root()).unwrap();
        let engine = EngineConfig {
            peer_port: PeerPort::Exactly(0),
            bind: Some(std::net::Ipv4Addr::LOCALHOST.into()),
            ..EngineConfig::default()
        };
        let listen = "127.0.0.1:0".parse().unwrap();
        let config = HostConfig { listen, engine, udp_tracker: true, hooks, ..HostConfig::default() };
        Host::start(library, config).await.unwrap().0
    }

    fn draft(&self, name: &str, seed: u8) -> Draft {
        let path = self.dir.path().join(name);
        std::fs::write(&path, fixture::wav(1, seed)).unwrap();
        Draft { path, name: None, intake: Intake::Copy, said: Said::default(), replaces: None, anyway: false }
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
    assert!(world.get(published.show.feed.as_str()).await.1.contains(&published.episode.guid));
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
    let show = host
        .create_show(NewShow { slug: None, fields: fields("Before"), history: None, private: false })
        .await
        .unwrap();
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

fn name(episode: &str) -> EpisodeName {
    EpisodeName { show: None, episode: episode.to_owned() }
}

#[tokio::test]
async fn a_replaced_episode_keeps_its_guid_and_its_old_addresses_lead_to_the_new_file() {
    let world = World::new();
    let host = world.start().await;
    let old = host.publish(world.draft("a.wav", 1), Follow::default()).await.unwrap().episode;
    let replaces = Some(host.library.episode(None, "a").unwrap());
    let new = host.publish(Draft { replaces, ..world.draft("b.wav", 2) }, Follow::default()).await.unwrap();
    assert!(new.revised && new.live && !new.already);
    let (guid, new) = (new.episode.guid.clone(), new.episode);
    assert_eq!((&guid, &new.title, new.published), (&old.guid, &old.title, old.published), "only the file is another");
    assert!(new.file != old.file && new.info_hash != old.info_hash);
    let feed = world.get(host.urls().document(&old.show, "feed.xml").as_str()).await.1;
    assert_eq!((feed.matches("<item>").count(), feed.matches(&guid).count()), (1, 1), "{feed}");
    // The client follows where it is led.
    for (url, now) in [(&old.media, &new.media), (&old.torrent, &new.torrent), (&old.page, &new.page)] {
        assert_eq!(world.get(url.as_str()).await, world.get(now.as_str()).await, "{url}");
    }
    let rest = world.http.get(old.media.clone()).header("range", "bytes=100-").send().await.unwrap();
    assert_eq!(rest.status(), 410, "half of one file does not go with half of another");
    assert!(host.torrent(old.info_hash).is_none() && host.torrent(new.info_hash).is_some());
    assert_eq!(host.tracker.swarm(old.info_hash).complete, 0);
    let kinds: Vec<_> = host.library.events(&old.show).unwrap().iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["episode", "revised"]);
    // The same file once more is nothing new.
    let replaces = Some(host.library.episode(None, "a").unwrap());
    assert!(host.publish(Draft { replaces, ..world.draft("b.wav", 2) }, Follow::default()).await.unwrap().already);
    host.shutdown().await;
    drop(host);
    let host = world.start().await;
    assert_eq!(world.get(host.urls().media(&old.show, &old.file).as_str()).await.0, 200, "over a restart, too");
    host.shutdown().await;
}

#[tokio::test]
async fn an_episode_taken_back_is_gone_and_its_show_signs_that() {
    let world = World::new();
    let host = world.start().await;
    let kept = host.publish(world.draft("a.wav", 1), Follow::default()).await.unwrap().episode;
    let gone = host.publish(world.draft("b.wav", 2), Follow::default()).await.unwrap().episode;
    let taken = host.unpublish(Unpublish { name: name("b"), delete_file: false }).await.unwrap();
    assert!(Path::new(&taken.kept.unwrap()).exists(), "what is the owner's stays");
    for url in [&gone.media, &gone.torrent, &gone.page] {
        assert_eq!(world.get(url.as_str()).await.0, 410, "{url}");
    }
    for document in ["feed.xml", "torrents.xml"] {
        let url = host.urls().document(&kept.show, document);
        let feed = podswarm_feeds::read::parse(world.get(url.as_str()).await.1.as_bytes(), &url, None).unwrap();
        assert_eq!(feed.items.iter().map(|item| &item.guid).collect::<Vec<_>>(), [&kept.guid]);
        let [withdrawal] = &feed.withdrawn[..] else { panic!("one was taken back") };
        assert!(withdrawal.guid == gone.guid && withdrawal.is_by(&feed.key.unwrap()));
    }
    assert!(host.torrent(gone.info_hash).is_none());
    let again = host.unpublish(Unpublish { name: name("b"), delete_file: false }).await.unwrap_err();
    assert_eq!(again.to_string(), "there is no episode `b`");
    // The same content is another episode now.
    let back = host.publish(world.draft("b.wav", 2), Follow::default()).await.unwrap();
    assert!(!back.already && back.episode.guid != gone.guid && back.episode.file != gone.file);
    let taken = host.unpublish(Unpublish { name: name(&back.episode.guid), delete_file: true }).await.unwrap();
    assert_eq!(taken.kept, None);
    host.shutdown().await;
}

#[tokio::test]
async fn a_draft_waits_for_its_owners_word_and_can_be_forgotten_untold() {
    let world = World::new();
    let host = world.start().await;
    let said = Said { draft: true, ..Said::default() };
    let draft = Draft { said: said.clone(), ..world.draft("a.wav", 1) };
    let draft = host.publish(draft, Follow::default()).await.unwrap();
    assert!(!draft.live && draft.episode.draft);
    assert_eq!(host.release_due().await.unwrap(), None);
    assert_eq!(world.get(draft.episode.media.as_str()).await.0, 404);
    let released = host.release(name("a")).await.unwrap();
    assert!(released.released && !released.draft);
    assert_eq!(world.get(draft.episode.media.as_str()).await.0, 200);
    host.publish(Draft { said, ..world.draft("b.wav", 2) }, Follow::default()).await.unwrap();
    host.unpublish(Unpublish { name: name("b"), delete_file: true }).await.unwrap();
    assert_eq!(host.library.all_episodes(&released.show).unwrap().len(), 1, "nobody was told of it");
    host.shutdown().await;
}

#[tokio::test]
async fn what_is_said_of_an_episode_can_be_changed_but_not_that_it_is_out() {
    let world = World::new();
    let host = world.start().await;
    let published = host.publish(world.draft("a.wav", 1), Follow::default()).await.unwrap();
    let fields = EpisodeFields {
        title: Some(" Another  title ".to_owned()),
        notes: Some("more".to_owned()),
        number: Some(7),
        at: Some("2020-01-02T03:04:05Z".parse().unwrap()),
        ..EpisodeFields::default()
    };
    let edited = host.edit_episode(EditEpisode { name: name("a"), fields }).await.unwrap();
    assert_eq!((edited.title.as_str(), edited.guid), ("Another title", published.episode.guid));
    let feed = world.get(published.show.feed.as_str()).await.1;
    for said in ["Another title", "more", "<itunes:episode>7<", "Thu, 2 Jan 2020 03:04:05"] {
        assert!(feed.contains(said), "{said}: {feed}");
    }
    let later = EpisodeFields { at: Some(Utc::now() + chrono::Duration::hours(1)), ..EpisodeFields::default() };
    let error = host.edit_episode(EditEpisode { name: name("another title"), fields: later }).await.unwrap_err();
    assert_eq!(error.to_string(), "“Another title” is out already; it cannot appear later");
    host.shutdown().await;
}

#[tokio::test]
async fn what_was_stored_just_before_a_kill_is_told_to_hooks_after_it() {
    let world = World::new();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let hear = move |body: axum::Json<serde_json::Value>| async move { tell.send(body.0).unwrap() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let server = axum::Router::new().route("/", axum::routing::post(hear));
    tokio::spawn(async move { axum::serve(listener, server).await });
    let hook = |on: &str| format!(r#"{{ on = ["{on}"], url = "{url}" }}"#).parse::<Hook>().unwrap();

    // As far as a publisher comes that is killed before it has told anybody.
    let (draft, root, at) = (world.draft("a.wav", 1), world.root(), Utc::now());
    let stored = blocking(move || {
        let (library, _) = Library::open(&root).unwrap();
        let staged = publish::stage(&library, draft, &Follow::default()).unwrap();
        let Outcome::New(settled) = publish::settle(&library, staged, at).unwrap() else { panic!("it is new") };
        let Recorded { episode, .. } =
            settled.record(&library, at, &[Occasion::Published].into_iter().collect()).unwrap();
        let wanted = [Occasion::Withdrawn].into_iter().collect();
        library.unpublish(None, &episode.guid, at + chrono::Duration::seconds(1), &wanted).unwrap().0
    });
    let stored = stored.await;
    let host = world.start_with(vec![hook("published")]).await;
    let said = told.recv().await.unwrap();
    assert_eq!((&said["event"], &said["episode"]["guid"]), (&"published".into(), &stored.guid.as_str().into()));
    let untold = || host.library.store().scan::<UntoldRecord>("").unwrap();
    assert!(untold().is_empty(), "of what no hook wants to be told any more nothing is kept");
    host.publish(world.draft("b.wav", 2), Follow::default()).await.unwrap();
    assert_eq!(told.recv().await.unwrap()["episode"]["title"], "b");
    assert!(untold().is_empty());
    host.shutdown().await;
    drop(host);

    // It is told once.
    let host = world.start_with(vec![hook("published")]).await;
    host.publish(world.draft("c.wav", 3), Follow::default()).await.unwrap();
    assert_eq!(told.recv().await.unwrap()["episode"]["title"], "c");
    host.shutdown().await;
}
