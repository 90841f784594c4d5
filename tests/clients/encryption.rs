//! The clients that people have, where one side insists on encryption: theirs, which then encrypts everything, or ours.

use podswarm_tests::audio::{Format, long_episode};
use podswarm_tests::clients::Client;
use podswarm_tests::files::scratch;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::programs::{Publisher, get_with, without_web_seeds};

use crate::LIMIT;
use crate::meeting::Meeting;

#[test]
fn aria2_meets_us_encrypted() {
    Meeting::with(Client::Aria2Encrypted).succeeds();
}

#[test]
fn libtorrent_meets_us_encrypted() {
    Meeting::with(Client::LibtorrentEncrypted).succeeds();
}

#[test]
fn libtorrent_meets_us_encrypted_over_v6() {
    Meeting { address: Host::v6, ..Meeting::with(Client::LibtorrentEncrypted) }.succeeds();
}

#[test]
fn transmission_meets_us_encrypted() {
    Meeting::with(Client::TransmissionEncrypted).succeeds();
}

/// `client`, as it comes, leeches from a publisher that requires encryption, and seeds to a subscriber that does.
#[track_caller]
fn follows_us_into_encryption(client: Client) {
    Meeting { flags: &["--encryption", "require"], ..Meeting::with(client) }.succeeds();
}

#[test]
fn aria2_follows_us_into_encryption() {
    follows_us_into_encryption(Client::Aria2);
}

#[test]
fn libtorrent_follows_us_into_encryption() {
    follows_us_into_encryption(Client::Libtorrent);
}

#[test]
fn transmission_follows_us_into_encryption() {
    follows_us_into_encryption(Client::Transmission);
}

/// Who requires encryption has nothing to do with who has none.
#[test]
fn whoever_requires_encryption_takes_nothing_without() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["publisher", "subscriber"].map(|name| net.host(name));
    let publisher =
        Publisher::serve_with(&home, &folder.path().join("podpub"), Some(home.v4()), &["--encryption", "off"]);
    let release = publisher.publish(&long_episode(Format::Mp3).path);
    let torrent = without_web_seeds(&away, &release.torrent, folder.path());
    let mut strict = get_with(&away, &torrent, &folder.path().join("strict"), &["--encryption", "require"]);
    strict.event("downloading", LIMIT);
    // Another that takes everything in the meantime shows that there was time enough.
    let ended = get_with(&away, &torrent, &folder.path().join("lax"), &["--encryption", "off"]).end(LIMIT);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let ended = strict.stop(LIMIT);
    assert_ne!(ended.code, Some(0), "{:?}", ended.lines);
}
