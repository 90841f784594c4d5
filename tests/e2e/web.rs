//! The publisher's media as a web seed: enough alone, and spared where there is a swarm.

use std::path::Path;
use std::time::{Duration, Instant};

use podswarm_tests::audio::{Format, long_episode, short_episode};
use podswarm_tests::figure;
use podswarm_tests::files::{assert_same_bytes, only_file_below, scratch};
use podswarm_tests::net::{Host, Link, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, agent, complete, get};

/// A cheap server, and homes.
const SERVER: Link = Link { up_mbit: 50, down_mbit: 50 };
const HOME: Link = Link { up_mbit: 20, down_mbit: 100 };
const CROWD: usize = 8;

/// Bytes of media that the publisher has sent over HTTP.
fn sent_over_http(publisher: &Publisher) -> u64 {
    publisher.full_status()["sent_over_http"].as_u64().expect("it is a count")
}

/// The length of a file, in bytes.
fn length(path: &Path) -> u64 {
    std::fs::metadata(path).expect("it is there").len()
}

#[test]
fn without_any_peer_an_episode_comes_at_the_lines_speed() {
    let (folder, mut net) = (scratch(), Net::new());
    let (home, listener) = (net.host_behind("publisher", SERVER), net.host("listener"));
    let audio = long_episode(Format::Mp3);
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let release = publisher.publish(&audio.path);
    // The tracker names the publisher's seed, which nobody reaches.
    home.close_all_but(publisher.http_port);
    let output = folder.path().join("listener");
    let began = Instant::now();
    get(&listener, Path::new(&release.torrent), &output).end(PATIENCE);
    let took = began.elapsed();
    assert_same_bytes(&audio.path, &only_file_below(&output));
    let copies = sent_over_http(&publisher) * 1000 / length(&audio.path);
    // Ethernet, IP and TCP take six hundredths of the link.
    let line = Duration::from_millis(length(&audio.path) * 8 / 47_000);
    figure(&format!(
        "no peers: {took:.2?} by HTTP, of which the line needs {line:.2?}; {copies} thousandths of a copy"
    ));
    assert!((1000..1050).contains(&copies), "{copies}");
    assert!(took < line + Duration::from_secs(8), "{took:?}");
}

/// A crowd waits for a release and fetches it; returns how many thousandths of a copy the publisher sent over HTTP.
fn copies_for_a_crowd(what: &str, before: impl FnOnce(&Host, &Publisher)) -> u64 {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host_behind("publisher", SERVER);
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let first = publisher.publish(&short_episode("Before the Crowd").path);
    let hosts: Vec<Host> = (1..=CROWD).map(|n| net.host_behind(&format!("listener {n}"), HOME)).collect();
    let start = |host: &Host| agent(host, &folder.path().join(host.name()), &first.feed);
    let mut agents: Vec<Program> = hosts.iter().map(start).collect();
    for agent in &mut agents {
        agent.events(&["stream_open", "complete"], PATIENCE);
    }
    before(&home, &publisher);
    let audio = long_episode(Format::Mp3);
    let sent = sent_over_http(&publisher);
    let began = publisher.publish(&audio.path).at;
    let mut last = Duration::ZERO;
    for agent in &mut agents {
        let (at, file) = complete(agent, PATIENCE);
        assert_same_bytes(&audio.path, &file);
        last = last.max(at.saturating_duration_since(began));
    }
    let copies = (sent_over_http(&publisher) - sent) * 1000 / length(&audio.path);
    figure(&format!(
        "{CROWD} listeners, {what}: the last has it after {last:.2?}, {copies} thousandths of a copy by HTTP"
    ));
    // Their goodbyes to a tracker that does not answer over UDP would take their time.
    agents.into_iter().for_each(Program::kill);
    copies
}

#[test]
fn a_crowd_that_the_publisher_seeds_takes_next_to_nothing_by_http() {
    let copies = copies_for_a_crowd("a publisher that seeds", |_, _| {});
    assert!(copies < 200, "{copies}");
}

#[test]
fn a_crowd_that_reaches_the_publisher_by_http_alone_takes_little_more_than_a_copy() {
    let copies = copies_for_a_crowd("a publisher whose peer port is closed", |home, publisher| {
        home.close_all_but(publisher.http_port);
    });
    assert!((1000..1400).contains(&copies), "{copies}");
}
