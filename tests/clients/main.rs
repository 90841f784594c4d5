//! The torrent clients that people have: each downloads from our seed and seeds to our subscriber, through our tracker,
//! over HTTP or over UDP.

mod encryption;
mod magnet;
mod utp;
mod web;

use std::time::Duration;

use podswarm_tests::audio::{Format, long_episode};
use podswarm_tests::clients::Client;
use podswarm_tests::files::{assert_same_bytes, only_file_below, scratch};
use podswarm_tests::net::{Host, Net};
use podswarm_tests::programs::{Publisher, get, over_udp_only, without_web_seeds};

/// transmission waits some ten seconds before it asks for its first byte.
const LIMIT: Duration = Duration::from_mins(2);

/// The protocol between clients and tracker.
#[derive(Clone, Copy)]
enum Over {
    Http,
    Udp,
}

/// Tries `client` both ways. The tracker's URL names the publisher's address of one family, so that peers learn only
/// addresses of that family.
#[track_caller]
fn leeches_from_us_and_seeds_to_us(client: Client, address: impl Fn(&Host) -> std::net::IpAddr) {
    finds_us_and_is_found(client, address, Over::Http);
}

#[track_caller]
fn finds_us_and_is_found(client: Client, address: impl Fn(&Host) -> std::net::IpAddr, over: Over) {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, middle, away] = ["publisher", "client", "subscriber"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), Some(address(&home)));
    let episode = long_episode(Format::Mp3).path;
    let release = publisher.publish(&episode);
    let torrent = match over {
        Over::Http => without_web_seeds(&middle, &release.torrent, folder.path()),
        Over::Udp => {
            let tracker = std::net::SocketAddr::new(address(&home), publisher.http_port);
            over_udp_only(&middle, &release.torrent, folder.path(), tracker)
        }
    };

    let theirs = folder.path().join("client");
    client.download(&middle, &torrent, &theirs, LIMIT);
    assert_same_bytes(&episode, &only_file_below(&theirs));

    // From now on the publisher is a tracker and nothing else.
    home.close_all_but(publisher.http_port);
    let _seed = client.seed(&middle, &torrent, &theirs);
    let ours = folder.path().join("subscriber");
    let ended = get(&away, &torrent, &ours).end(LIMIT);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_same_bytes(&episode, &only_file_below(&ours));
}

#[test]
fn aria2_leeches_from_us_and_seeds_to_us_over_v4() {
    leeches_from_us_and_seeds_to_us(Client::Aria2, Host::v4);
}

#[test]
fn aria2_leeches_from_us_and_seeds_to_us_over_v6() {
    leeches_from_us_and_seeds_to_us(Client::Aria2, Host::v6);
}

#[test]
fn libtorrent_leeches_from_us_and_seeds_to_us_over_v4() {
    leeches_from_us_and_seeds_to_us(Client::Libtorrent, Host::v4);
}

#[test]
fn libtorrent_leeches_from_us_and_seeds_to_us_over_v6() {
    leeches_from_us_and_seeds_to_us(Client::Libtorrent, Host::v6);
}

#[test]
fn transmission_leeches_from_us_and_seeds_to_us_over_v4() {
    leeches_from_us_and_seeds_to_us(Client::Transmission, Host::v4);
}

#[test]
fn transmission_leeches_from_us_and_seeds_to_us_over_v6() {
    leeches_from_us_and_seeds_to_us(Client::Transmission, Host::v6);
}

// aria2 and Debian's transmission ask trackers over UDP by IPv4 only.
#[test]
fn aria2_finds_us_over_udp_and_v4() {
    finds_us_and_is_found(Client::Aria2, Host::v4, Over::Udp);
}

#[test]
fn libtorrent_finds_us_over_udp_and_v4() {
    finds_us_and_is_found(Client::Libtorrent, Host::v4, Over::Udp);
}

#[test]
fn libtorrent_finds_us_over_udp_and_v6() {
    finds_us_and_is_found(Client::Libtorrent, Host::v6, Over::Udp);
}

#[test]
fn transmission_finds_us_over_udp_and_v4() {
    finds_us_and_is_found(Client::Transmission, Host::v4, Over::Udp);
}
