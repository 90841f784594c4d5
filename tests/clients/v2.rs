//! Hybrid torrents of ours and v2 alone, with libtorrent: of the clients here, the one that takes part in such swarms.
//!
//! Every hybrid has an empty key in its file tree, and aria2 1.36 and transmission 3.00 stumble over it. aria2 drops the key and takes
//! part in a swarm of another name, where nobody else is; it has our media as a web seed, at least. transmission refuses the file,
//! and never makes anything of what peers give it for a link. aria2 1.37 and transmission 4.0 are said to be mended.
//!
//! libtorrent 2.0.8 looks for the only file of a v2 torrent in a folder of its name on the web seed, and so finds none.

use podswarm_core::metainfo::{InfoHash, TorrentVersion};
use podswarm_tests::clients::Client;

use crate::meeting::{Meeting, Source};

const fn hybrid(client: Client) -> Meeting {
    Meeting { version: TorrentVersion::Hybrid, ..Meeting::with(client) }
}

const fn v2(client: Client) -> Meeting {
    Meeting { version: TorrentVersion::V2, ..Meeting::with(client) }
}

fn v1_half(hash: InfoHash) -> InfoHash {
    InfoHash::from_v1(hash.v1().expect("it is a hybrid"))
}

fn v2_half(hash: InfoHash) -> InfoHash {
    InfoHash::from_v2(hash.v2().expect("it is a hybrid"))
}

#[test]
fn libtorrent_leeches_a_hybrid_from_us_and_seeds_it_to_us() {
    hybrid(Client::Libtorrent).succeeds();
}

#[test]
fn libtorrent_gives_and_takes_a_hybrid_by_a_link_with_both_hashes() {
    Meeting { source: Source::Link, ..hybrid(Client::Libtorrent) }.succeeds();
}

#[test]
fn libtorrent_gives_and_takes_a_hybrid_by_its_v1_hash() {
    Meeting { source: Source::Link, named: v1_half, ..hybrid(Client::Libtorrent) }.succeeds();
}

#[test]
fn libtorrent_gives_and_takes_a_hybrid_by_its_v2_hash() {
    Meeting { source: Source::Link, named: v2_half, ..hybrid(Client::Libtorrent) }.succeeds();
}

#[test]
fn libtorrent_gives_and_takes_a_hybrid_over_utp_and_encrypted() {
    Meeting { tcp: false, ..hybrid(Client::LibtorrentEncrypted) }.succeeds();
}

#[test]
fn libtorrent_leeches_v2_from_us_and_seeds_it_to_us() {
    v2(Client::Libtorrent).succeeds();
}

#[test]
fn libtorrent_gives_and_takes_v2_by_magnet_link() {
    Meeting { source: Source::Link, ..v2(Client::Libtorrent) }.succeeds();
}
