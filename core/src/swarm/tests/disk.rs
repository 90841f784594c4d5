//! A disk that fails and heals.

use std::time::Duration;

use super::lab::{Disk, Lab};
use crate::bitfield::Bitfield;
use crate::swarm::{Event, Input, SwarmConfig, TorrentState};

#[test]
fn a_full_disk_stops_the_download_and_wastes_nothing() {
    let mut lab = Lab::new(40, 2);
    // Room for eight pieces in memory.
    let config = SwarmConfig { partial_budget: 8 * 32 * 1024, ..SwarmConfig::default() };
    let (seed, leecher) = (lab.seed(), lab.add(Bitfield::none(40), config));
    lab.hosts[leecher].disk = Disk::Full;
    lab.connect(leecher, seed);
    lab.pass(Duration::from_mins(5));
    let status = lab.status(leecher);
    assert_eq!((status.state, status.error.as_deref()), (TorrentState::Failed, Some("no space left")));
    assert!(status.downloaded <= 8 * 32 * 1024, "it goes on fetching what it cannot keep: {}", status.downloaded);
    assert!(lab.hosts[leecher].stores <= 8 + 31, "one piece is tried every ten seconds: {}", lab.hosts[leecher].stores);
    let told = lab.hosts[leecher].events.len();
    assert!(matches!(lab.hosts[leecher].events[0], Event::Fault(_)) && told == 1, "{:?}", lab.hosts[leecher].events);

    lab.hosts[leecher].disk = Disk::Works;
    lab.pass(Duration::from_secs(11));
    let status = lab.status(leecher);
    assert!(status.complete && status.error.is_none(), "{status:?}");
    assert_eq!((status.downloaded, status.wasted), (status.length, 0));
    assert_eq!(lab.hosts[leecher].events[1], Event::Recovered);
}

#[test]
fn pieces_that_come_in_quick_succession_are_hashed_together() {
    // In a second that does not pass 32 MiB are quick.
    for (pieces, together) in [(28, 1), (60, 8)] {
        let mut lab = Lab::new(pieces, 64);
        let (seed, leecher) = (lab.seed(), lab.leecher());
        lab.connect(leecher, seed);
        assert!(lab.status(leecher).complete);
        assert_eq!(lab.hosts[leecher].most_together, together, "{pieces} pieces of 1 MiB");
    }
}

#[test]
fn whoever_cannot_write_still_serves_what_it_has() {
    let mut lab = Lab::new(20, 1);
    let (seed, middle, last) = (lab.seed(), lab.leecher(), lab.leecher());
    let mut have = Bitfield::none(20);
    have.insert(crate::layout::PieceIndex(3));
    let partial = lab.add(have, SwarmConfig::default());
    for host in [middle, partial] {
        lab.hosts[host].disk = Disk::Full;
        lab.connect(host, seed);
    }
    lab.connect(last, partial);
    assert_eq!(lab.status(partial).state, TorrentState::Failed);
    assert_eq!(lab.status(last).pieces_have, 1);
}

#[test]
fn files_that_cannot_be_moved_into_place_are_moved_later() {
    let mut lab = Lab::new(4, 1);
    let (seed, leecher) = (lab.seed(), lab.leecher());
    let mut have = Bitfield::all(4);
    have.remove(crate::layout::PieceIndex(2));
    let almost = lab.add(have, SwarmConfig::default());
    lab.connect(leecher, seed);
    lab.connect(almost, seed);
    assert!(lab.status(almost).complete);

    let waiting = lab.add(Bitfield::none(4), SwarmConfig::default());
    lab.connect(waiting, seed);
    // The last piece is stored, then the disk is full: only the move fails.
    lab.give(waiting, Input::Placed(Err(crate::swarm::DiskFault("busy".to_owned()))));
    lab.pass(Duration::from_secs(11));
    let status = lab.status(waiting);
    assert!(status.complete && status.error.is_none(), "{status:?}");
}

#[test]
fn a_pause_while_a_piece_is_on_its_way_to_the_disk_loses_nothing() {
    let mut lab = Lab::new(4, 1);
    let (seed, leecher) = (lab.seed(), lab.leecher());
    lab.hosts[leecher].disk = Disk::Full;
    lab.connect(leecher, seed);
    lab.give(leecher, Input::Pause);
    assert_eq!(lab.status(leecher).state, TorrentState::Paused);
    lab.hosts[leecher].disk = Disk::Works;
    lab.pass(Duration::from_secs(11));
    assert_eq!(lab.status(leecher).pieces_have, 4, "what had come is stored");
    assert!(lab.hosts[leecher].swarm.connections().is_empty());
}
