//! A server that has itself told by rssCloud when a feed changes.

use std::collections::BTreeSet;
use std::net::TcpListener;

use podswarm_tests::audio::short_episode;
use podswarm_tests::files::scratch;
use podswarm_tests::http;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::Publisher;
use podswarm_tests::web::Request;

/// Where the feed says that servers ask, if it does.
fn cloud_of(feed: &str) -> Option<String> {
    let element = feed.split("<cloud ").nth(1)?.split("/>").next()?;
    let value = |name: &str| element.split(&format!("{name}=\"")).nth(1)?.split('"').next();
    assert_eq!(value("protocol"), Some("http-post"));
    Some(format!("http://{}:{}{}", value("domain")?, value("port")?, value("path")?))
}

/// Begins to ask `cloud` from `host` for word of `feed`.
fn ask(host: &Host, cloud: &str, feed: &str, fields: &str) -> Program {
    let mut command = host.command("curl");
    command.args(["--silent", "--data", fields, "--data-urlencode", &format!("url1={feed}"), cloud]);
    Program::start("curl", command)
}

/// Whether the answer says that it was done, and what it says besides.
#[track_caller]
fn result(asking: Program) -> (bool, String) {
    let ended = asking.end(PATIENCE);
    let text: String = ended.lines.iter().map(|line| line.text.as_str()).collect();
    assert!(text.contains("<notifyResult success="), "{text} {}", ended.stderr);
    (text.contains("success=\"true\""), text)
}

#[test]
fn a_server_asks_to_be_told_and_is_told_of_each_change_over_a_kill() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, one, two] = ["publisher", "one", "two"].map(|name| net.host(name));
    let data = folder.path().join("podpub");
    let publisher = Publisher::serve(&home, &data, Some(home.v4()));
    let feed = publisher.publish(&short_episode("One").path).feed;
    let cloud = cloud_of(&http::get(&one, &feed, &[]).text()).expect("the feed names it");
    let listener = one.within(|| TcpListener::bind((one.v4(), 0))).expect("a host has free ports");
    let port = listener.local_addr().expect("it listens").port();

    // At the address that it asks from, it is told at once whether that works.
    let notice = |request: &Request| {
        assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
        String::from_utf8(request.body.clone()).expect("a form is text").replace("%3A", ":").replace("%2F", "/")
    };
    let own = format!("port={port}&path=/own&protocol=http-post&notifyProcedure=");
    let asking = ask(&one, &cloud, &feed, &own);
    let request = Request::accept(&listener);
    assert_eq!((request.target(), notice(&request)), ("/own", format!("url={feed}")));
    request.answer("200 OK", "");
    assert!(result(asking).0);

    // Another domain has to say that it wants it.
    let other = format!("port={port}&path=/other&protocol=http-post&domain={}", one.v4());
    for knows in [false, true] {
        let asking = ask(&two, &cloud, &feed, &other);
        let request = Request::accept(&listener);
        let challenge = request.target().split("challenge=").nth(1).expect("it is asked").to_owned();
        assert!(request.head.starts_with("GET /other?url="), "{}", request.head);
        request.answer("200 OK", if knows { &challenge } else { "yes, please" });
        assert_eq!(result(asking).0, knows);
    }
    for (wrong, part) in [(&own.replace("http-post", "soap"), "soap"), (&"port=80&path=/".to_owned(), "protocol is")] {
        let (done, text) = result(ask(&one, &cloud, &feed, wrong));
        assert!(!done && text.contains(part), "{text}");
    }
    let (done, text) = result(ask(&one, &cloud, "http://elsewhere.example/feed.xml", &own));
    assert!(!done && text.contains("no feed of this hub"), "{text}");

    let told = || {
        let both = [(); 2].map(|()| {
            let request = Request::accept(&listener);
            let heard = (request.target().to_owned(), notice(&request));
            request.answer("200 OK", "");
            heard
        });
        BTreeSet::from(both)
    };
    let want = BTreeSet::from(["/other", "/own"].map(|path| (path.to_owned(), format!("url={feed}"))));
    publisher.publish(&short_episode("Two").path);
    assert_eq!(told(), want);
    publisher.program.kill();
    let publisher = Publisher::serve(&home, &data, Some(home.v4()));
    publisher.publish(&short_episode("Three").path);
    assert_eq!(told(), want);
    publisher.program.kill();

    // Who is no hub is none for these, either.
    let _publisher = Publisher::serve_with(&home, &data, Some(home.v4()), &["--no-hub"]);
    assert_eq!(cloud_of(&http::get(&one, &feed, &[]).text()), None);
    let answered = ask(&one, &cloud, &feed, &own).end(PATIENCE);
    assert!(answered.lines.iter().all(|line| !line.text.contains("notifyResult")), "{:?}", answered.lines);
}
