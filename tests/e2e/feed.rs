//! A feed is asked politely, and an episode is fetched once.

use podswarm_tests::audio::short_episode;
use podswarm_tests::files::scratch;
use podswarm_tests::http;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, agent, complete, podsub_on};
use podswarm_tests::web::Site;

/// Has the agent with the data directory `data` poll its feeds now.
#[track_caller]
fn update(host: &Host, data: &std::path::Path) {
    let mut command = podsub_on(host, &[]);
    command.args(["update", "--json", "--data-dir"]).arg(data);
    let ended = Program::start("podsub update", command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "podsub update: {}", ended.stderr);
}

#[test]
fn a_second_poll_of_an_unchanged_feed_costs_a_304() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["publisher", "subscriber"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let release = publisher.publish(&short_episode("Nothing New").path);

    let first = http::get(&away, &release.feed, &[]);
    for (asks, says) in [("if-none-match", first.header("etag")), ("if-modified-since", first.header("last-modified"))]
    {
        let second = http::get(&away, &release.feed, &[(asks, says)]);
        assert_eq!((second.status, second.body.len()), (304, 0), "{asks}: {says}");
    }

    let data = folder.path().join("podsub");
    let mut agent = agent(&away, &data, &release.feed);
    let (_, polled) = agent.event("polled", PATIENCE);
    assert_eq!(polled["status"], 200);
    complete(&mut agent, PATIENCE);
    update(&away, &data);
    let (_, polled) = agent.event("polled", PATIENCE);
    assert_eq!(polled["status"], 304);
}

#[test]
fn the_same_guid_at_another_url_is_not_fetched_again() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["web server", "subscriber"].map(|name| net.host(name));
    let site = Site::start(&home);
    let audio = std::fs::read(short_episode("Moved About").path).unwrap();
    let serve = |file: &str| {
        site.put(file, "audio/mpeg", audio.clone());
        let feed = format!(
            "<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>Moves</title><link>{home}</link>\
             <description>d</description><item><title>One</title><guid isPermaLink=\"false\">one</guid>\
             <pubDate>Fri, 20 Nov 2026 10:00:00 +0000</pubDate>\
             <enclosure url=\"{url}\" type=\"audio/mpeg\" length=\"{length}\"/></item></channel></rss>",
            home = site.url("/"),
            url = site.url(file),
            length = audio.len(),
        );
        site.put("/feed.xml", "application/rss+xml", feed);
    };
    serve("/first.mp3");
    let data = folder.path().join("podsub");
    let mut agent = agent(&away, &data, &site.url("/feed.xml"));
    let (_, file) = complete(&mut agent, PATIENCE);
    assert!(std::fs::read(file).unwrap() == audio);
    serve("/second.mp3");
    update(&away, &data);
    let (_, polled) = agent.event("polled", PATIENCE);
    assert_eq!((&polled["status"], &polled["wanted"]), (&200.into(), &0.into()));
    agent.stop(PATIENCE);
    assert_eq!((site.asked("/feed.xml"), site.asked("/second.mp3")), (2, 0));
}

#[test]
fn every_form_of_a_feed_brings_the_episode() {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let audio = short_episode("In Every Form");
    let release = publisher.publish(&audio.path);
    for form in ["feed.xml", "torrents.xml", "feed.json", "feed.atom"] {
        let away = net.host(form);
        let feed = release.feed.replace("feed.xml", form);
        let mut agent = agent(&away, &folder.path().join(form), &feed);
        let (_, event) = agent.event("complete", PATIENCE);
        let guid = event["guid"].as_str().expect("an episode has a guid");
        assert!(guid.ends_with(&release.guid), "{form}: {guid}");
        assert!(event["info_hash"].is_string(), "{form}: it came as a torrent: {event}");
    }
}
