//! A published episode arrives: bit for bit, at once, and stays to be had from whoever has it.

use std::time::Duration;

use podswarm_tests::audio::{Format, long_episode, short_episode};
use podswarm_tests::files::{assert_same_bytes, only_file_below, scratch};
use podswarm_tests::http;
use podswarm_tests::net::Net;
use podswarm_tests::process::PATIENCE;
use podswarm_tests::programs::{Publisher, agent, complete, get, metainfo, over_udp_only, without_web_seeds};

#[track_caller]
fn arrives_and_is_seeded_on(format: Format) {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, first, second] = ["publisher", "first", "second"].map(|name| net.host(name));
    let audio = long_episode(format);
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let release = publisher.publish(&audio.path);

    let feed = http::get(&first, &release.feed, &[]);
    assert_eq!(feed.status, 200);
    assert!(feed.text().contains(&audio.title), "the feed names the title that the file's tags carry");

    let mut agent = agent(&first, &folder.path().join("first"), &release.feed);
    let (_, file) = complete(&mut agent, PATIENCE);
    assert_same_bytes(&audio.path, &file);
    let name = file.with_extension("").file_name().expect("a file has a name").to_string_lossy().into_owned();
    assert!(name.ends_with(&format!(" {}", audio.title)), "{name}");
    assert_eq!(file.extension(), audio.path.extension());

    // From now on the publisher is a tracker and nothing else.
    let torrent = without_web_seeds(&second, &release.torrent, folder.path());
    home.close_all_but(publisher.http_port);
    let output = folder.path().join("second");
    get(&second, &torrent, &output).end(PATIENCE);
    assert_same_bytes(&audio.path, &only_file_below(&output));
}

#[test]
fn an_mp3_arrives_bit_for_bit_and_is_seeded_on() {
    arrives_and_is_seeded_on(Format::Mp3);
}

#[test]
fn an_m4a_arrives_bit_for_bit_and_is_seeded_on() {
    arrives_and_is_seeded_on(Format::M4a);
}

#[test]
fn waiting_agents_start_within_a_second_of_a_publish() {
    const AGENTS: usize = 8;
    // Asserted with room for a busy machine.
    const ENOUGH: Duration = Duration::from_secs(5);
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let first = publisher.publish(&short_episode("The First of Two").path);

    let hosts: Vec<_> = (1..=AGENTS).map(|n| net.host(&format!("agent {n}"))).collect();
    let mut agents: Vec<_> =
        hosts.iter().map(|host| agent(host, &folder.path().join(host.name()), &first.feed)).collect();
    for agent in &mut agents {
        agent.events(&["stream_open", "complete"], PATIENCE);
    }

    let audio = long_episode(Format::Mp3);
    let began = std::time::Instant::now();
    let second = publisher.publish(&audio.path);
    let took = second.at - began;
    let mut slowest = Duration::ZERO;
    let mut files = Vec::new();
    for agent in &mut agents {
        let (at, _) = agent.event("downloading", PATIENCE);
        slowest = slowest.max(at.saturating_duration_since(second.at));
    }
    for agent in &mut agents {
        files.push(complete(agent, PATIENCE).1);
    }
    podswarm_tests::figure(&format!(
        "publish of {} MB took {took:.2?}; the last of {AGENTS} waiting agents had started {slowest:.2?} after it",
        std::fs::metadata(&audio.path).unwrap().len() / 1_000_000,
    ));
    assert!(took < ENOUGH, "publish took {took:?}");
    assert!(slowest < ENOUGH, "the last agent started {slowest:?} after publish had returned");
    for file in files {
        assert_same_bytes(&audio.path, &file);
    }
}

#[test]
fn a_torrent_names_the_tracker_over_udp_and_a_swarm_forms_through_it_alone() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["publisher", "subscriber"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), Some(home.v4()));
    let audio = short_episode("Over UDP");
    let release = publisher.publish(&audio.path);
    let tracker = std::net::SocketAddr::new(home.v4(), publisher.http_port);
    let named = metainfo(&away, &release.torrent).trackers;
    assert_eq!(named, [[format!("http://{tracker}/announce"), format!("udp://{tracker}/announce")]]);
    let torrent = over_udp_only(&away, &release.torrent, folder.path(), tracker);
    let output = folder.path().join("subscriber");
    let ended = get(&away, &torrent, &output).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_same_bytes(&audio.path, &only_file_below(&output));
    let status = publisher.full_status();
    let kinds: Vec<_> = status["listening"].as_array().unwrap().iter().map(|port| port["kind"].clone()).collect();
    assert!(kinds.contains(&"udp-tracker".into()), "{kinds:?}");
}

/// It is done within a moment and gone at once, and its tracker hears of both in the right order.
#[test]
fn a_listener_who_leaves_when_he_has_all_counts_as_a_copy() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["publisher", "subscriber"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let release = publisher.publish(&short_episode("Here and Gone").path);
    let torrent = without_web_seeds(&away, &release.torrent, folder.path());
    let ended = get(&away, &torrent, &folder.path().join("subscriber")).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let swarm = &publisher.full_status()["episodes"][0]["swarm"];
    let told = ["downloaded", "complete", "incomplete"].map(|count| swarm[count].as_u64());
    // The one who is left is the publisher.
    assert_eq!(told, [Some(1), Some(1), Some(0)], "{swarm}");
}

#[test]
fn a_tracker_that_udp_does_not_reach_costs_a_moment_only() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["publisher", "subscriber"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), Some(home.v4()));
    let audio = short_episode("No Way for Datagrams");
    let release = publisher.publish(&audio.path);
    let torrent = without_web_seeds(&away, &release.torrent, folder.path());
    home.swallow_udp();
    let output = folder.path().join("subscriber");
    let began = std::time::Instant::now();
    assert_eq!(get(&away, &torrent, &output).end(PATIENCE).code, Some(0));
    let took = began.elapsed();
    podswarm_tests::figure(&format!("without UDP, a swarm that is asked over UDP first delivers within {took:.1?}"));
    // Asserted with room for a busy machine; a tracker that is waited for takes 30 s.
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_same_bytes(&audio.path, &only_file_below(&output));
}
