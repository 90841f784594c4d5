//! How a crowd finds itself: with a tracker that says little, or dies.

use std::time::Duration;

use podswarm_tests::sim::{Report, Tracker, World};

use crate::{HOME, MIB, PUBLISHER, minutes};

/// How long a rush of 40 takes whose tracker names one peer to each and dies.
fn with_one_name_each(exchange: bool) -> Report {
    let mut world = World::new(3, 16 * MIB);
    world.set_tracker(Tracker { gives: 1, dies: Duration::from_secs(1) });
    world.config_mut().exchange = exchange;
    let publisher = world.add_seed(PUBLISHER);
    let leechers = world.add_leechers(40, HOME, Duration::from_millis(100));
    assert!(world.run_until_complete(&leechers, minutes(30)), "{}", world.report(publisher, &leechers));
    world.report(publisher, &leechers)
}

#[test]
fn a_crowd_whose_tracker_names_one_peer_each_and_dies_finds_itself() {
    let (with, without) = (with_one_name_each(true), with_one_name_each(false));
    println!("with peer exchange: {with}\nwithout: {without}");
    assert!(with.last * 2 < without.last, "with peer exchange: {with}; without: {without}");
}

#[test]
fn a_crowd_whose_tracker_dies_after_the_first_announce_completes_without_its_publisher_too() {
    for seed in 0..3 {
        let mut world = World::new(seed, 8 * MIB);
        world.set_tracker(Tracker { gives: 2, dies: Duration::from_secs(1) });
        let publisher = world.add_seed(PUBLISHER);
        let first = world.add_leechers(12, HOME, Duration::from_millis(100));
        assert!(world.run_until_complete(&first, minutes(10)), "{}", world.report(publisher, &first));
        assert_eq!(world.report(publisher, &first).unfinished(), 0);
    }
}
