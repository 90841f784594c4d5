//! With nothing but a magnet link that names one peer: what the torrent is comes from him, and other peers, too.

use std::net::SocketAddr;
use std::path::Path;

use podswarm_core::metainfo::{Magnet, Metainfo};
use podswarm_tests::audio::{Format, long_episode};
use podswarm_tests::clients::Client;
use podswarm_tests::files::{assert_same_bytes, only_file_below, scratch};
use podswarm_tests::net::{Host, Net};
use podswarm_tests::programs::{Publisher, get, get_with, metainfo, without_web_seeds};

use crate::LIMIT;

/// The link that names the torrent and one peer.
fn link_to(metainfo: &Metainfo, peer: &Host) -> String {
    let peers = vec![SocketAddr::new(peer.v4(), 6881)];
    Magnet { peers, ..Magnet::new(metainfo.info_hash) }.to_string()
}

/// A publisher that listens to nobody who names peers: whoever is to find it must be told of it.
#[track_caller]
fn deaf_publisher(home: &Host, folder: &Path) -> Publisher {
    Publisher::serve_with(home, &folder.join("podpub"), Some(home.v4()), &["--no-pex"])
}

/// A slow client in the middle has little of the episode, but knows the publisher, and what the torrent is.
#[test]
fn libtorrent_tells_us_of_a_peer() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, middle, away] = ["publisher", "client", "subscriber"].map(|name| net.host(name));
    let publisher = deaf_publisher(&home, folder.path());
    let episode = long_episode(Format::Mp3).path;
    let release = publisher.publish(&episode);
    let torrent = without_web_seeds(&middle, &release.torrent, folder.path());
    let _slow = Client::LibtorrentSlow.join(&middle, &torrent, &folder.path().join("client"));
    let ours = folder.path().join("subscriber");
    let link = link_to(&metainfo(&middle, &release.torrent), &middle);
    let ended = get(&away, Path::new(&link), &ours).end(LIMIT);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_same_bytes(&episode, &only_file_below(&ours));
}

#[test]
fn we_tell_libtorrent_of_a_peer() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, middle, away] = ["publisher", "subscriber", "client"].map(|name| net.host(name));
    let publisher = deaf_publisher(&home, folder.path());
    let episode = long_episode(Format::Mp3).path;
    let release = publisher.publish(&episode);
    let torrent = without_web_seeds(&middle, &release.torrent, folder.path());
    let mut slow = get_with(&middle, &torrent, &folder.path().join("subscriber"), &["--down", "20kB/s"]);
    slow.event("downloading", LIMIT);
    let theirs = folder.path().join("client");
    let link = link_to(&metainfo(&middle, &release.torrent), &middle);
    Client::Libtorrent.download(&away, Path::new(&link), &theirs, LIMIT);
    assert_same_bytes(&episode, &only_file_below(&theirs));
}
