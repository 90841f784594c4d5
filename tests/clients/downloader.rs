//! qBittorrent's own reader of feeds, from Debian: by a rule of its owner's it downloads what our torrent feed offers.

use std::fs;
use std::time::Instant;

use podswarm_tests::audio::short_episode;
use podswarm_tests::files::{assert_same_bytes, only_file_below, scratch};
use podswarm_tests::http;
use podswarm_tests::net::Net;
use podswarm_tests::process::Program;
use podswarm_tests::programs::Publisher;
use serde_json::{Value, json};

use crate::LIMIT;

/// What it is told: to read feeds and obey rules, and to let its own machine ask how it stands.
const SETTINGS: &str = "[BitTorrent]\nSession\\DHTEnabled=false\nSession\\LSDEnabled=false\n[LegalNotice]\nAccepted=true\n\
                        [Preferences]\nWebUI\\LocalHostAuth=false\n[RSS]\nAutoDownloader\\EnableProcessing=true\n\
                        Session\\EnableProcessing=true\n";

#[test]
fn qbittorrent_downloads_what_our_torrent_feed_offers() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["publisher", "listener"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let audio = short_episode("Hello");
    let feed = publisher.publish(&audio.path).feed.replace("feed.xml", "torrents.xml");

    let (profile, library) = (folder.path().join("qbittorrent"), folder.path().join("library"));
    let config = profile.join("qBittorrent/config");
    let write = |name: &str, text: String| {
        let path = config.join(name);
        fs::create_dir_all(path.parent().expect("it has a folder")).expect("the folder is ours");
        fs::write(path, text).expect("the folder is ours");
    };
    write("qBittorrent.conf", SETTINGS.to_owned());
    write("rss/feeds.json", json!({ "walks": { "url": feed } }).to_string());
    let rule = json!({ "enabled": true, "mustContain": "Hello", "affectedFeeds": [feed], "savePath": library });
    write("rss/download_rules.json", json!({ "walks": rule }).to_string());
    let mut command = away.command("stdbuf");
    // Into a pipe it would speak when it ends.
    command.args(["-oL", "qbittorrent-nox"]).arg(format!("--profile={}", profile.display()));
    let mut qbittorrent = Program::start("qbittorrent-nox", command);
    // It says where its pages are once they answer, on its port in a network of its own.
    qbittorrent.wait_for("address of its pages", LIMIT, |line| line.text.contains("http://").then_some(()));

    let started = Instant::now();
    loop {
        let torrents: Value =
            serde_json::from_str(&http::get(&away, "http://127.0.0.1:8080/api/v2/torrents/info", &[]).text())
                .expect("it answers in JSON");
        if torrents[0]["progress"] == 1.0 || torrents[0]["progress"] == 1 {
            break;
        }
        assert!(started.elapsed() < LIMIT, "{torrents}");
    }
    assert_same_bytes(&audio.path, &only_file_below(&library));
}
