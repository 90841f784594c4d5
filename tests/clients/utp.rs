//! The clients that people have, where no TCP leads from peer to peer: each downloads from our seed and seeds to our subscriber over uTP.

use podswarm_tests::audio::{Format, long_episode};
use podswarm_tests::clients::Client;
use podswarm_tests::files::{assert_same_bytes, only_file_below, scratch};
use podswarm_tests::net::Net;
use podswarm_tests::programs::{Publisher, get, without_web_seeds};

use crate::LIMIT;

#[track_caller]
fn meets_us_over_utp_alone(client: Client) {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, middle, away] = ["publisher", "client", "subscriber"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), Some(home.v4()));
    let episode = long_episode(Format::Mp3).path;
    let release = publisher.publish(&episode);
    let torrent = without_web_seeds(&middle, &release.torrent, folder.path());
    // It speaks to the tracker, and to nobody else.
    middle.allow_tcp_only_with(publisher.http_port);
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
fn libtorrent_meets_us_over_utp() {
    meets_us_over_utp_alone(Client::Libtorrent);
}

#[test]
fn libtorrent_meets_us_over_utp_and_encrypted() {
    meets_us_over_utp_alone(Client::LibtorrentEncrypted);
}

#[test]
fn transmission_meets_us_over_utp() {
    meets_us_over_utp_alone(Client::TransmissionUtp);
}
