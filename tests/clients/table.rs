//! The clients that people have in the distributed hash table: they find us there by a magnet link, and we them.

use podswarm_tests::clients::Client;

use crate::meeting::{Finding, Meeting, Source};

#[track_caller]
fn finds_us_and_is_found(client: Client) {
    Meeting { finding: Finding::Table, source: Source::Link, ..Meeting::with(client) }.succeeds();
}

#[test]
fn libtorrent_finds_us_and_is_found_without_a_tracker() {
    finds_us_and_is_found(Client::Libtorrent);
}

#[test]
fn aria2_finds_us_and_is_found_without_a_tracker() {
    finds_us_and_is_found(Client::Aria2);
}
