//! Encryption that one side insists on, where [the matrix](crate::matrix) does not look.

use podswarm_tests::audio::{Format, long_episode};
use podswarm_tests::clients::Client;
use podswarm_tests::files::scratch;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::programs::{Publisher, get_with, without_web_seeds};

use crate::LIMIT;
use crate::meeting::Meeting;

#[test]
fn libtorrent_meets_us_encrypted_over_v6() {
    Meeting { encrypted: true, address: Host::v6, ..Meeting::with(Client::Libtorrent) }.succeeds();
}

#[test]
fn libtorrent_meets_us_encrypted_over_utp() {
    Meeting { encrypted: true, tcp: false, ..Meeting::with(Client::Libtorrent) }.succeeds();
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
