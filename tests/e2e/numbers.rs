//! How often an episode was downloaded: asked for by real clients in every way, and told by `podpub stats`.

use std::path::Path;

use podswarm_tests::audio::{Format, long_episode, short_episode};
use podswarm_tests::files::scratch;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, agent, complete, podpub_on};
use serde_json::Value;

const PLAYER: &str = "AntennaPod/3.2.0";

/// Fetches `url` from `host` with curl, as `player` and with `flags`.
#[track_caller]
fn curl(host: &Host, player: &str, url: &str, flags: &[&str]) {
    let mut command = host.command("curl");
    command.args(["--silent", "--fail", "--output", "/dev/null", "--user-agent", player]).args(flags).arg(url);
    let ended = Program::start("curl", command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{player} {flags:?}: {}", ended.stderr);
}

/// The downloads of the only episode, over HTTP and in swarms.
#[track_caller]
fn downloads(publisher: &Publisher) -> (u64, u64) {
    let numbers = numbers(publisher);
    let count = |kind: &str| numbers[kind].as_u64().unwrap_or_else(|| panic!("no {kind} in {numbers}"));
    (count("http"), count("swarm"))
}

#[track_caller]
fn numbers(publisher: &Publisher) -> Value {
    let ended = Program::start("podpub stats", publisher.command("stats")).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.lines.first().expect("an episode is a line").json()
}

/// What `podpub stats` prints for people, with `flags`.
#[track_caller]
fn printed(host: &Host, data: &Path, flags: &[&str]) -> Vec<String> {
    let mut command = podpub_on(host, &[]);
    command.args(["stats", "--data-dir"]).arg(data).args(flags);
    let ended = Program::start("podpub stats", command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.lines.into_iter().map(|line| line.text).collect()
}

#[test]
fn downloads_are_counted_as_the_iab_wants_it_and_those_of_swarms_apart() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, one, two] = ["publisher", "one", "two"].map(|name| net.host(name));
    let data = folder.path().join("podpub");
    let publisher = Publisher::serve_with(&home, &data, None, &["--not-counted", "NeighboursMonitor"]);
    let audio = long_episode(Format::Mp3);
    let release = publisher.publish(&audio.path);
    let media = release.media.as_str();
    assert_eq!(downloads(&publisher), (0, 0));

    for (player, flags) in [
        (PLAYER, &["--head"][..]),
        ("AppleCoreMedia/1.0.0.21A329 (iPhone)", &["--range", "0-1"]),
        ("Mozilla/5.0 (compatible; Googlebot/2.1)", &[]),
        ("NeighboursMonitor/2.0", &[]),
        ("atc/1.0 watchOS/7.0 model/Watch5,4", &[]),
        ("qBittorrent/4.6.0", &["--range", "0-9999999"]),
        (PLAYER, &["--range", "0-99999"]),
    ] {
        curl(&one, player, media, flags);
    }
    assert_eq!(downloads(&publisher), (0, 0), "none of these is a download");

    // The pieces of a player that together are a minute and more; then all of it again, the same day.
    curl(&one, PLAYER, media, &["--range", "100000-3999999"]);
    assert_eq!(downloads(&publisher), (1, 0));
    curl(&one, PLAYER, media, &[]);
    assert_eq!(downloads(&publisher), (1, 0));
    curl(&one, "Overcast/3.0 (+http://overcast.fm/; iOS podcast app)", media, &[]);
    curl(&two, PLAYER, media, &[]);
    assert_eq!(downloads(&publisher), (3, 0));

    let mut listener = agent(&two, &folder.path().join("podsub"), &release.feed);
    complete(&mut listener, PATIENCE);
    listener.stop(PATIENCE);
    assert_eq!(downloads(&publisher), (3, 1), "a download in the swarm");

    // What was told outlives a kill, and so does who was counted.
    publisher.program.kill();
    assert!(printed(&home, &data, &[])[1].trim().starts_with("3         1  "), "without a publisher, too");
    let publisher = Publisher::serve(&home, &data, None);
    curl(&one, PLAYER, media, &[]);
    assert_eq!(downloads(&publisher), (3, 1));
    assert_eq!(numbers(&publisher)["players"]["AntennaPod"], 2);

    let day = numbers(&publisher)["days"][0]["date"].as_str().unwrap().to_owned();
    let table = printed(&home, &data, &["--csv", "--since", &day]);
    assert_eq!(table[0], "date,show,guid,title,http,swarm");
    let sum = |column: usize| {
        table[1..].iter().map(|row| row.rsplit(',').nth(column).unwrap().parse::<u64>().unwrap()).sum::<u64>()
    };
    assert_eq!((sum(1), sum(0)), (3, 1), "{table:?}");
    let one_day = printed(&home, &data, &["--episode", &audio.title]);
    assert!(one_day.iter().any(|line| line == "players: AntennaPod 2, Overcast 1"), "{one_day:?}");
}

#[test]
fn behind_a_proxy_listeners_are_told_apart_and_nobody_else_is_believed() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, proxy, liar] = ["publisher", "proxy", "liar"].map(|name| net.host(name));
    let flags = ["--trusted-proxy", &proxy.v4().to_string()];
    let publisher = Publisher::serve_with(&home, &folder.path().join("podpub"), Some(home.v4()), &flags);
    let release = publisher.publish(&short_episode("From Behind a Proxy").path);
    for asker in ["203.0.113.1", "203.0.113.2", "203.0.113.2", "198.51.100.9, 203.0.113.1"] {
        curl(&proxy, PLAYER, &release.media, &["--header", &format!("X-Forwarded-For: {asker}")]);
    }
    curl(&proxy, PLAYER, &release.media, &["--header", "Forwarded: for=203.0.113.2;proto=https"]);
    assert_eq!(downloads(&publisher).0, 2);
    for asker in ["203.0.113.3", "203.0.113.4"] {
        curl(&liar, PLAYER, &release.media, &["--header", &format!("X-Forwarded-For: {asker}")]);
    }
    assert_eq!(downloads(&publisher).0, 3, "who says so himself is one");

    // The tracker, too, is told who it is. What is behind the proxy is never given to the next as the proxy's own
    // address.
    let info_hash = podswarm_tests::programs::metainfo(&home, &release.torrent).info_hash;
    let query = info_hash.wire().iter().fold(String::new(), |query, byte| format!("{query}%{byte:02x}"));
    let announce = |host: &Host, asker: &str, peer: u8| {
        let base = release.media.split("/media/").next().unwrap();
        let url = format!(
            "{base}/announce?info_hash={query}&peer_id=-XX0001-12345678901{peer}&port=700{peer}&left=1&compact=1"
        );
        podswarm_tests::http::get(host, &url, &[("x-forwarded-for", asker)]).body
    };
    announce(&proxy, "198.18.200.1", 1);
    announce(&liar, "198.18.200.2", 2);
    let peers = announce(&home, "198.18.200.3", 3);
    let has = |part: &[u8]| peers.windows(part.len()).any(|window| window == part);
    assert!(has(&[198, 18, 200, 1]) && !has(&[198, 18, 200, 2]), "{}", String::from_utf8_lossy(&peers));
}
