//! A hub tells a subscriber of news that no event stream tells of.

use std::net::TcpListener;
use std::path::Path;

use podswarm_core::app::hook::signature;
use podswarm_tests::audio::short_episode;
use podswarm_tests::files::scratch;
use podswarm_tests::http;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, agent, podsub_on};
use podswarm_tests::web::{Request, Site};
use serde_json::Value;

/// A feed without events, with these guids in it, that names a hub and says that it is `topic`.
fn feed(site: &Site, hub: &str, topic: &str, guids: &[&str]) -> String {
    let item = |guid: &&str| {
        let url = site.url(&format!("/{guid}.mp3"));
        format!(
            "<item><title>{guid}</title><guid isPermaLink=\"false\">{guid}</guid>\
             <enclosure url=\"{url}\" type=\"audio/mpeg\" length=\"9\"/></item>"
        )
    };
    let items: String = guids.iter().map(item).collect();
    format!(
        "<?xml version=\"1.0\"?><rss version=\"2.0\" xmlns:atom=\"http://www.w3.org/2005/Atom\"><channel>\
         <title>Told</title><link>{topic}</link><description>d</description><atom:link rel=\"hub\" href=\"{hub}\"/>\
         <atom:link rel=\"self\" href=\"{topic}\"/>{items}</channel></rss>"
    )
}

/// What `podsub COMMAND` says of its only feed, or does to it.
#[track_caller]
fn podsub(host: &Host, data: &Path, command: &[&str]) -> Value {
    let mut program = podsub_on(host, &[]);
    program.args(command).args(["--json", "--data-dir"]).arg(data);
    let ended = Program::start("podsub", program).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{command:?}: {}", ended.stderr);
    ended.lines.first().expect("it says something").json()
}

#[test]
fn a_publisher_s_hub_tells_of_a_release_long_before_the_next_poll() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["publisher", "subscriber"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), Some(home.v4()));
    let topic = publisher.publish(&short_episode("One").path).feed;
    let told = http::get(&away, &topic, &[]).text();
    let hub = told.split("rel=\"hub\"").next().and_then(|text| text.rsplit("href=\"").next()?.split('"').next());
    let hub = hub.expect("it names its hub");
    // The same show at another address, which has no events.
    let site = Site::start(&home);
    site.put("/feed.xml", "application/rss+xml", feed(&site, hub, &topic, &["one"]));
    for guid in ["one", "two", "three"] {
        site.put(&format!("/{guid}.mp3"), "audio/mpeg", *b"ID3 audio");
    }

    let data = folder.path().join("podsub");
    let mut listener = agent(&away, &data, &site.url("/feed.xml"));
    listener.events(&["hub_open", "complete"], PATIENCE);
    let state = podsub(&away, &data, &["info", "1"])["hub"].clone();
    assert!(state["until"].is_string() && state["trouble"].is_null(), "{state}");
    assert_eq!(state["host"], home.v4().to_string());

    site.put("/feed.xml", "application/rss+xml", feed(&site, hub, &topic, &["two", "one"]));
    publisher.publish(&short_episode("Two").path);
    let (_, complete) = listener.event("complete", PATIENCE);
    assert_eq!(complete["guid"], "two");

    // A restart keeps the subscription, at the port where the hub knows us.
    listener.stop(PATIENCE);
    let mut listener = agent(&away, &data, &site.url("/feed.xml"));
    // The address on the command line is polled at once.
    listener.event("polled", PATIENCE);
    assert_eq!(podsub(&away, &data, &["info", "1"])["hub"], state);
    site.put("/feed.xml", "application/rss+xml", feed(&site, hub, &topic, &["three", "two", "one"]));
    publisher.publish(&short_episode("Three").path);
    let (_, complete) = listener.event("complete", PATIENCE);
    assert_eq!(complete["guid"], "three");
}

/// What a hub is asked: a field of a form.
fn field(request: &Request, name: &str) -> String {
    let fields = url::form_urlencoded::parse(&request.body);
    let mut values = fields.filter(|(field, _)| field == name).map(|(_, value)| value.into_owned());
    values.next().unwrap_or_else(|| panic!("no {name} in {:?}", String::from_utf8_lossy(&request.body)))
}

/// The status of what is sent by POST with this signature.
#[track_caller]
fn tell(host: &Host, callback: &str, signature: &str) -> String {
    let mut command = host.command("curl");
    command.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--data", "news"]);
    command.args(["--header", &format!("x-hub-signature: {signature}"), callback]);
    let ended = Program::start("curl", command).end(PATIENCE);
    ended.lines.first().map(|line| line.text.clone()).unwrap_or_default()
}

#[test]
fn whoever_is_not_the_hub_learns_nothing_and_causes_nothing() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["hub", "subscriber"].map(|name| net.host(name));
    let site = Site::start(&home);
    let listener = home.within(|| TcpListener::bind((home.v4(), 0))).expect("a host has free ports");
    let hub = format!("http://{}/hub", listener.local_addr().expect("it listens"));
    let topic = site.url("/topic");
    site.put("/feed.xml", "application/rss+xml", feed(&site, &hub, &topic, &[]));
    let data = folder.path().join("podsub");
    let mut subscriber = agent(&away, &data, &site.url("/feed.xml"));
    let asked = Request::accept(&listener);
    assert_eq!((field(&asked, "hub.mode"), field(&asked, "hub.topic")), ("subscribe".to_owned(), topic.clone()));
    let (callback, secret) = (field(&asked, "hub.callback"), field(&asked, "hub.secret"));
    asked.answer("202 Accepted", "");
    assert!(callback.starts_with(&format!("http://{}:", away.v4())), "{callback}");
    let ask = |callback: &str, topic: &str, mode: &str| {
        let query = [("hub.mode", mode), ("hub.topic", topic), ("hub.challenge", "echo"), ("hub.lease_seconds", "600")];
        let question = url::Url::parse_with_params(callback, query).expect("it is a URL");
        let answer = http::get(&home, question.as_str(), &[]);
        (answer.status, answer.text())
    };
    let (nothing, origin) = ((404, String::new()), callback.rsplit_once('/').expect("it has a path").0);
    let strange = format!("{origin}/{}", "0123456789abcdef".repeat(2));
    assert_eq!(ask(&strange, &topic, "subscribe"), nothing);
    assert_eq!(ask(&callback, "http://other.example/", "subscribe"), nothing);
    assert_eq!(ask(&callback, &topic, "unsubscribe"), nothing);
    for path in ["", "/", "/feed.xml", "/?hub.mode=subscribe"] {
        let answer = http::get(&home, &format!("{origin}{path}"), &[]);
        assert_eq!((answer.status, answer.text(), answer.header("server")), (404, String::new(), ""), "{path}");
    }
    assert_eq!(podsub(&away, &data, &["info", "1"])["hub"]["until"], Value::Null);
    assert_eq!(ask(&callback, &topic, "subscribe"), (200, "echo".to_owned()));
    subscriber.event("hub_open", PATIENCE);

    // What is signed by somebody else is taken and forgotten.
    let polls = site.asked("/feed.xml");
    let right = signature(secret.as_bytes(), b"news");
    for wrong in ["", "sha256=00", "md5=00", &signature(b"another", b"news"), &signature(secret.as_bytes(), b"other")] {
        assert_eq!(tell(&home, &callback, wrong), "202", "{wrong}");
    }
    assert_eq!(tell(&home, &strange, &right), "410");
    assert_eq!(tell(&home, &callback, &right), "202");
    subscriber.event("polled", PATIENCE);
    assert_eq!(site.asked("/feed.xml"), polls + 1);

    // Who leaves says so, and means it.
    let mut leaving = podsub_on(&away, &[]);
    leaving.args(["remove", "1", "--data-dir"]).arg(&data);
    assert_eq!(Program::start("podsub remove", leaving).end(PATIENCE).code, Some(0));
    let left = Request::accept(&listener);
    assert_eq!((field(&left, "hub.mode"), field(&left, "hub.callback")), ("unsubscribe".to_owned(), callback.clone()));
    left.answer("202 Accepted", "");
    assert_eq!(ask(&callback, &topic, "unsubscribe"), (200, "echo".to_owned()));
    assert_eq!(tell(&home, &callback, &right), "410");
}

#[test]
fn who_has_forwarded_the_port_by_hand_is_reached_where_he_says() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["hub", "subscriber"].map(|name| net.host(name));
    let site = Site::start(&home);
    let listener = home.within(|| TcpListener::bind((home.v4(), 0))).expect("a host has free ports");
    let hub = format!("http://{}/hub", listener.local_addr().expect("it listens"));
    site.put("/feed.xml", "application/rss+xml", feed(&site, &hub, &site.url("/topic"), &[]));
    let mut command = podsub_on(&away, &[]);
    command
        .args(["run", "--json", "--peer-address", "203.0.113.7:7000", "--data-dir"])
        .arg(folder.path().join("podsub"));
    command.arg(site.url("/feed.xml"));
    let _subscriber = Program::start("podsub run", command);
    let asked = Request::accept(&listener);
    assert!(field(&asked, "hub.callback").starts_with("http://203.0.113.7:7000/"), "{}", field(&asked, "hub.callback"));
    asked.answer("202 Accepted", "");
}
