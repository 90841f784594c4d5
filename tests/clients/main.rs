//! The torrent clients that people have: each downloads from our seed and seeds to our subscriber, through our tracker,
//! over HTTP or over UDP.

mod encryption;
mod magnet;
mod meeting;
mod table;
mod utp;
mod v2;
mod web;

use std::time::Duration;

use podswarm_tests::clients::Client;
use podswarm_tests::net::Host;

use crate::meeting::{Finding, Meeting};

/// transmission waits some ten seconds before it asks for its first byte, and aria2 more than a minute before it looks into the distributed hash
/// table again.
const LIMIT: Duration = Duration::from_mins(4);

#[test]
fn aria2_leeches_from_us_and_seeds_to_us_over_v4() {
    Meeting::with(Client::Aria2).succeeds();
}

#[test]
fn aria2_leeches_from_us_and_seeds_to_us_over_v6() {
    Meeting { address: Host::v6, ..Meeting::with(Client::Aria2) }.succeeds();
}

#[test]
fn libtorrent_leeches_from_us_and_seeds_to_us_over_v4() {
    Meeting::with(Client::Libtorrent).succeeds();
}

#[test]
fn libtorrent_leeches_from_us_and_seeds_to_us_over_v6() {
    Meeting { address: Host::v6, ..Meeting::with(Client::Libtorrent) }.succeeds();
}

#[test]
fn transmission_leeches_from_us_and_seeds_to_us_over_v4() {
    Meeting::with(Client::Transmission).succeeds();
}

#[test]
fn transmission_leeches_from_us_and_seeds_to_us_over_v6() {
    Meeting { address: Host::v6, ..Meeting::with(Client::Transmission) }.succeeds();
}

// aria2 and Debian's transmission ask trackers over UDP by IPv4 only.
#[test]
fn aria2_finds_us_over_udp_and_v4() {
    Meeting { finding: Finding::Udp, ..Meeting::with(Client::Aria2) }.succeeds();
}

#[test]
fn libtorrent_finds_us_over_udp_and_v4() {
    Meeting { finding: Finding::Udp, ..Meeting::with(Client::Libtorrent) }.succeeds();
}

#[test]
fn libtorrent_finds_us_over_udp_and_v6() {
    Meeting { finding: Finding::Udp, address: Host::v6, ..Meeting::with(Client::Libtorrent) }.succeeds();
}

#[test]
fn transmission_finds_us_over_udp_and_v4() {
    Meeting { finding: Finding::Udp, ..Meeting::with(Client::Transmission) }.succeeds();
}
