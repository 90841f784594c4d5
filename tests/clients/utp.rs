//! The clients that people have, where no TCP leads from peer to peer: all goes over uTP.

use podswarm_tests::clients::Client;

use crate::meeting::Meeting;

#[track_caller]
fn meets_us_over_utp_alone(client: Client) {
    Meeting { tcp: false, ..Meeting::with(client) }.succeeds();
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
