//! The publisher's media as a web seed of other clients: alone, and in a crowd.
//!
//! Where libtorrent 2.0.8 has nothing but v2, it looks for the only file in a folder of its name, and finds none.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use podswarm_core::metainfo::TorrentVersion;
use podswarm_tests::audio::{Format, long_episode};
use podswarm_tests::clients::Client;
use podswarm_tests::figure;
use podswarm_tests::files::{assert_same_bytes, only_file_below, scratch};
use podswarm_tests::net::{Host, Link, Net};
use podswarm_tests::process::Program;
use podswarm_tests::programs::{Publisher, metainfo};

use crate::LIMIT;
use crate::meeting::flag_of;

/// A cheap server, and homes.
const SERVER: Link = Link { up_mbit: 50, down_mbit: 50 };
const HOME: Link = Link { up_mbit: 20, down_mbit: 100 };
const CROWD: usize = 8;

/// The torrent as the publisher serves it.
fn as_served(host: &Host, url: &str, folder: &Path) -> PathBuf {
    let path = folder.join("served.torrent");
    std::fs::write(&path, metainfo(host, url).encode()).expect("the test's folder is ours");
    path
}

/// Thousandths of a copy of `episode` that the publisher has sent over HTTP.
fn copies_over_http(publisher: &Publisher, episode: &Path) -> u64 {
    let sent = publisher.full_status()["sent_over_http"].as_u64().expect("it is a count");
    sent * 1000 / std::fs::metadata(episode).expect("it is there").len()
}

#[track_caller]
fn takes_our_media(client: Client, version: TorrentVersion) {
    let (folder, mut net) = (scratch(), Net::new());
    let (home, away) = (net.host("publisher"), net.host("client"));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let episode = long_episode(Format::Mp3).path;
    let release = publisher.publish_with(&[flag_of(version)], &[&episode]);
    let torrent = as_served(&away, &release.torrent, folder.path());
    home.close_all_but(publisher.http_port);
    let theirs = folder.path().join("client");
    client.download(&away, &torrent, &theirs, LIMIT);
    assert_same_bytes(&episode, &only_file_below(&theirs));
    let copies = copies_over_http(&publisher, &episode);
    assert!(copies >= 1000, "{copies}");
}

#[test]
fn aria2_takes_our_media_as_a_web_seed() {
    takes_our_media(Client::Aria2, TorrentVersion::V1);
}

#[test]
fn aria2_takes_our_media_as_a_web_seed_of_a_hybrid() {
    takes_our_media(Client::Aria2, TorrentVersion::Hybrid);
}

#[test]
fn libtorrent_takes_our_media_as_a_web_seed() {
    takes_our_media(Client::Libtorrent, TorrentVersion::V1);
}

#[test]
fn libtorrent_takes_our_media_as_a_web_seed_of_a_hybrid() {
    takes_our_media(Client::Libtorrent, TorrentVersion::Hybrid);
}

#[test]
fn transmission_takes_our_media_as_a_web_seed() {
    takes_our_media(Client::Transmission, TorrentVersion::V1);
}

/// Eight of a kind fetch what we seed, with our media as its web seed or not; tells how long the last took and what was
/// sent.
///
/// They ask a web seed however many peers they have, and are done sooner for it: that is why torrents name it.
#[track_caller]
fn a_crowd_fetches(client: Client) {
    for is_named in [true, false] {
        let (folder, mut net) = (scratch(), Net::new());
        let home = net.host_behind("publisher", SERVER);
        let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
        let episode = long_episode(Format::Mp3).path;
        let release = publisher.publish(&episode);
        let hosts: Vec<Host> = (1..=CROWD).map(|n| net.host_behind(&format!("client {n}"), HOME)).collect();
        let torrent = if is_named {
            as_served(&hosts[0], &release.torrent, folder.path())
        } else {
            podswarm_tests::programs::without_web_seeds(&hosts[0], &release.torrent, folder.path())
        };
        let began = Instant::now();
        let join = |host: &Host| client.join(host, &torrent, &folder.path().join(host.name().replace(' ', "-")));
        let mut programs: Vec<Program> = hosts.iter().map(join).collect();
        let done = programs.iter_mut().map(|program| Client::wait_seeding(program, LIMIT)).max();
        let took: Duration = done.map_or(Duration::ZERO, |done| done.saturating_duration_since(began));
        let copies = copies_over_http(&publisher, &episode);
        let named = if is_named { "that names its web seed" } else { "without a web seed" };
        figure(&format!(
            "{CROWD} of {client:?}, a torrent {named}: {took:.1?}, {copies} thousandths of a copy by HTTP"
        ));
        programs.into_iter().for_each(Program::kill);
    }
}

#[test]
fn a_crowd_of_libtorrent_fetches_with_and_without_a_web_seed() {
    a_crowd_fetches(Client::Libtorrent);
}
