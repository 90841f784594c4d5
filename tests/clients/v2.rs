//! Hybrid torrents of ours by half of their name, where [the matrix](crate::matrix) does not look.

use podswarm_core::metainfo::{InfoHash, TorrentVersion};
use podswarm_tests::clients::Client;

use crate::meeting::{Meeting, Source};

const fn hybrid(client: Client) -> Meeting {
    Meeting { version: TorrentVersion::Hybrid, ..Meeting::with(client) }
}

fn v1_half(hash: InfoHash) -> InfoHash {
    InfoHash::from_v1(hash.v1().expect("it is a hybrid"))
}

fn v2_half(hash: InfoHash) -> InfoHash {
    InfoHash::from_v2(hash.v2().expect("it is a hybrid"))
}

#[test]
fn libtorrent_gives_and_takes_a_hybrid_by_its_v1_hash() {
    Meeting { source: Source::Link, named: v1_half, ..hybrid(Client::Libtorrent) }.succeeds();
}

#[test]
fn rtorrent_gives_and_takes_a_hybrid_by_its_v1_hash() {
    Meeting { source: Source::Link, named: v1_half, ..hybrid(Client::Rtorrent) }.succeeds();
}

#[test]
fn libtorrent_gives_and_takes_a_hybrid_by_its_v2_hash() {
    Meeting { source: Source::Link, named: v2_half, ..hybrid(Client::Libtorrent) }.succeeds();
}

#[test]
fn libtorrent_gives_and_takes_a_hybrid_over_utp_and_encrypted() {
    Meeting { tcp: false, encrypted: true, ..hybrid(Client::Libtorrent) }.succeeds();
}
