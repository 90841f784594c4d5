//! A whole publisher on loopback, and real subscribers beside it.

use std::collections::VecDeque;
use std::path::PathBuf;

use axum::Router;
use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::routing::get;
use podswarm_core::net::{EngineConfig, PeerPort};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::fixture;
use crate::host::{Host, HostConfig};
use crate::library::Library;
use crate::publish::{Draft, Follow, Intake, Said};

struct World {
    dir: tempfile::TempDir,
    http: reqwest::Client,
}

/// What a subscriber hears.
#[derive(Debug)]
enum Heard {
    /// A question whether he wants it: its mode and lease.
    Asked { mode: String, lease: Option<u64> },
    /// A feed.
    Sent { headers: HeaderMap, body: Bytes },
}

/// A subscriber who answers feeds with `statuses` in turn, then 200, and challenges rightly unless he lies.
async fn subscriber(statuses: &[u16], lies: bool) -> (String, mpsc::UnboundedReceiver<Heard>) {
    let (say, heard) = mpsc::unbounded_channel();
    let (asked, statuses) = (say.clone(), Arc::new(Mutex::new(VecDeque::from(statuses.to_vec()))));
    let verify = move |RawQuery(query): RawQuery| async move {
        let query = query.unwrap_or_default();
        let field = |name: &str| {
            form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        assert_eq!(field("own").as_deref(), Some("kept"), "the callback's own query stays");
        let lease = field("hub.lease_seconds").and_then(|lease| lease.parse().ok());
        asked.send(Heard::Asked { mode: field("hub.mode").unwrap(), lease }).unwrap();
        if lies { "yes, please".to_owned() } else { field("hub.challenge").unwrap() }
    };
    let take = move |headers: HeaderMap, body: Bytes| async move {
        say.send(Heard::Sent { headers, body }).unwrap();
        StatusCode::from_u16(statuses.lock().unwrap().pop_front().unwrap_or(200)).unwrap()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/told?own=kept", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/told", get(verify).post(take))).await });
    (url, heard)
}

impl World {
    fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { dir: tempfile::tempdir().unwrap(), http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    async fn start_at(&self, listen: &str) -> Arc<Host> {
        let (library, _) = Library::open(&self.dir.path().join("data")).unwrap();
        let bind = Some(std::net::Ipv4Addr::LOCALHOST.into());
        let engine = EngineConfig { peer_port: PeerPort::Exactly(0), bind, ..EngineConfig::default() };
        let config = HostConfig { listen: listen.parse().unwrap(), hub: true, engine, ..HostConfig::default() };
        Host::start(library, config).await.unwrap().0
    }

    async fn start(&self) -> Arc<Host> {
        self.start_at("127.0.0.1:0").await
    }

    /// Publishes something, and returns the feed's address.
    async fn publish(&self, host: &Arc<Host>, seed: u8) -> String {
        let path: PathBuf = self.dir.path().join(format!("{seed}.wav"));
        std::fs::write(&path, fixture::wav(1, seed)).unwrap();
        let said = Said { title: Some(format!("Episode {seed}")), ..Said::default() };
        let draft = Draft { path, name: None, intake: Intake::Copy, said, replaces: None, anyway: false };
        host.publish(draft, Follow::default()).await.unwrap().show.feed.to_string()
    }

    /// Asks the hub that the feed names, as a subscriber does.
    async fn ask(&self, mode: &str, feed: &str, callback: &str) -> u16 {
        let answer = self.http.get(feed).send().await.unwrap();
        let link = answer.headers()["link"].to_str().unwrap().to_owned();
        let hub = link.split_once(">; rel=\"hub\"").unwrap().0.trim_start_matches('<').to_owned();
        assert!(link.contains(&format!("<{feed}>; rel=\"self\"")), "{link}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(&format!("href=\"{hub}\"")) && text.contains("rel=\"hub\""), "{text}");
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("hub.mode", mode).append_pair("hub.topic", feed).append_pair("hub.callback", callback);
        let body = form.append_pair("hub.secret", "s3cret").append_pair("hub.lease_seconds", "86400").finish();
        let request = self.http.post(hub).header("content-type", "application/x-www-form-urlencoded").body(body);
        request.send().await.unwrap().status().as_u16()
    }
}

/// The feed that a subscriber is sent next, whose signature is right.
#[track_caller]
fn sent(heard: Option<Heard>) -> String {
    let Some(Heard::Sent { headers, body }) = heard else { panic!("{heard:?}") };
    assert_eq!(headers["x-hub-signature"], signature(b"s3cret", &body));
    assert_eq!(headers["content-type"], "application/rss+xml; charset=utf-8");
    assert!(headers["link"].to_str().unwrap().contains("rel=\"hub\""));
    String::from_utf8(body.to_vec()).unwrap()
}

/// Waits until the store has so many subscriptions.
async fn subscriptions(host: &Host, want: usize) {
    while host.library().store().scan::<SubscriptionRecord>("").unwrap().len() != want {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_subscriber_is_verified_sent_each_change_over_restarts_and_let_go() {
    let world = World::new();
    let host = world.start().await;
    let feed = world.publish(&host, 1).await;
    let (callback, mut heard) = subscriber(&[503], false).await;
    assert_eq!(world.ask("subscribe", &feed, &callback).await, 202);
    assert!(matches!(heard.recv().await, Some(Heard::Asked { mode, lease: Some(86_400) }) if mode == "subscribe"));
    subscriptions(&host, 1).await;

    world.publish(&host, 2).await;
    let first = sent(heard.recv().await);
    assert!(first.contains("Episode 2"));
    assert_eq!(sent(heard.recv().await), first, "what was not taken is sent again");

    let listen = Url::parse(&feed).unwrap().port().unwrap();
    host.shutdown().await;
    drop(host);
    let host = world.start_at(&format!("127.0.0.1:{listen}")).await;
    world.publish(&host, 3).await;
    assert!(sent(heard.recv().await).contains("Episode 3"));

    assert_eq!(world.ask("unsubscribe", &feed, &callback).await, 202);
    assert!(matches!(heard.recv().await, Some(Heard::Asked { mode, lease: None }) if mode == "unsubscribe"));
    subscriptions(&host, 0).await;
    host.shutdown().await;
}

#[tokio::test]
async fn who_lies_is_not_subscribed_who_is_gone_is_dropped_and_who_is_dead_holds_nobody_up() {
    let world = World::new();
    let host = world.start().await;
    let feed = world.publish(&host, 1).await;
    let (liar, mut heard_by_liar) = subscriber(&[], true).await;
    assert_eq!(world.ask("subscribe", &feed, &liar).await, 202);
    assert!(matches!(heard_by_liar.recv().await, Some(Heard::Asked { .. })));
    let (gone, mut heard_by_gone) = subscriber(&[410], false).await;
    let (alive, mut heard_by_alive) = subscriber(&[], false).await;
    for callback in [&gone, &alive] {
        assert_eq!(world.ask("subscribe", &feed, callback).await, 202);
    }
    subscriptions(&host, 2).await;
    // One that was verified, and does not listen any more.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let record = SubscriptionRecord {
        topic: feed.clone(),
        callback: format!("http://{dead}/").parse().unwrap(),
        protocol: Protocol::WebSub,
        secret: None,
        until: Utc::now() + Duration::from_hours(1),
        network: dead.ip(),
    };
    host.library().store().put(&record).unwrap();
    world.publish(&host, 2).await;
    assert!(matches!(heard_by_alive.recv().await, Some(Heard::Asked { .. })));
    assert!(matches!(heard_by_gone.recv().await, Some(Heard::Asked { .. })));
    sent(heard_by_alive.recv().await);
    sent(heard_by_gone.recv().await);
    subscriptions(&host, 2).await;
    world.publish(&host, 3).await;
    sent(heard_by_alive.recv().await);
    assert!(heard_by_liar.try_recv().is_err() && heard_by_gone.try_recv().is_err());
    host.shutdown().await;
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused() {
    let world = World::new();
    let host = world.start().await;
    let feed = world.publish(&host, 1).await;
    assert_eq!(world.ask("subscribe", &feed, "nowhere").await, 400);
    assert_eq!(world.ask("become", &feed, "http://127.0.0.1:1/").await, 400);
    let hub = feed.split("/shows/").next().unwrap().to_owned() + "/hub";
    let body = "hub.mode=subscribe&hub.topic=http%3A%2F%2Felsewhere%2F&hub.callback=http%3A%2F%2F127.0.0.1%3A1%2F";
    let answer = world.http.post(&hub).body(body).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.text().await.unwrap().as_str()),
        (404, "hub.topic is no feed of this hub\n")
    );
    assert_eq!(world.http.get(&hub).send().await.unwrap().status(), 405);
    assert_eq!(world.http.post(&hub).body("x".repeat(100_000)).send().await.unwrap().status(), 413);
    host.shutdown().await;
}

#[test]
fn subscriptions_are_bounded_by_network_and_leases_that_are_over_make_way() {
    let store = Store::in_memory();
    let record = |n: usize, network: [u8; 4], hours: i64| SubscriptionRecord {
        topic: "http://a/".to_owned(),
        callback: format!("http://b/{n}").parse().unwrap(),
        protocol: Protocol::WebSub,
        secret: None,
        until: Utc::now() + chrono::TimeDelta::hours(hours),
        network: network.into(),
    };
    for n in 0..MOST_OF_NETWORK {
        subscribe(&store, &record(n, [192, 0, 2, 1], 1)).unwrap();
    }
    assert!(subscribe(&store, &record(999, [192, 0, 2, 1], 1)).is_err());
    subscribe(&store, &record(0, [192, 0, 2, 1], 2)).unwrap();
    subscribe(&store, &record(999, [192, 0, 2, 2], 1)).unwrap();
    store.put(&record(1, [192, 0, 2, 1], -1)).unwrap();
    subscribe(&store, &record(1000, [192, 0, 2, 1], 1)).unwrap();
}
