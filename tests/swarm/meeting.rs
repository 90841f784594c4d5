//! How a crowd finds itself: with a tracker that says little, or dies.

use std::collections::BTreeSet;
use std::time::Duration;

use podswarm_tests::sim::{HostId, Report, Tracker, World};

use crate::{HOME, MIB, PUBLISHER, minutes};

/// How long a rush of 40 takes whose tracker names one peer to each and dies.
fn with_one_name_each(exchange: bool) -> Report {
    let mut world = World::new(3, 16 * MIB);
    world.set_tracker(Tracker { gives: 1, dies: Duration::from_secs(1), ..Tracker::default() });
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
        world.set_tracker(Tracker { gives: 2, dies: Duration::from_secs(1), ..Tracker::default() });
        let publisher = world.add_seed(PUBLISHER);
        let first = world.add_leechers(12, HOME, Duration::from_millis(100));
        assert!(world.run_until_complete(&first, minutes(10)), "{}", world.report(publisher, &first));
        assert_eq!(world.report(publisher, &first).unfinished(), 0);
    }
}

#[test]
fn who_comes_late_to_a_crowd_of_full_places_finds_some() {
    for seed in 1..=2 {
        let mut world = World::new(seed, 32 * MIB);
        world.config_mut().max_connections = 20;
        let publisher = world.add_seed(PUBLISHER);
        world.set_tracker(Tracker { names_first: Some(publisher), ..Tracker::default() });
        let first = world.add_leechers(40, HOME, Duration::ZERO);
        let late = world.add_leechers(100, HOME, Duration::from_secs(20));
        assert!(!world.run_until(Duration::from_secs(25), |world| world.host(first[0]).completed.is_some()));
        let fewest = late.iter().map(|id| neighbours(&world, *id).len()).min();
        let across = first.iter().flat_map(|id| neighbours(&world, *id)).filter(|id| late.contains(id)).count();
        let ways = distances(&world, publisher);
        println!("seed {seed}: {fewest:?} places at least, {across} of the first ones' 800, distances {ways:?}");
        assert!(fewest >= Some(8) && across >= 200 && ways.len() <= 5 && ways.iter().sum::<usize>() == 141);
        let all: Vec<HostId> = first.iter().chain(&late).copied().collect();
        assert!(world.run_until_complete(&all, minutes(10)), "{}", world.report(publisher, &all));
        let report = world.report(publisher, &late);
        println!("late comers: {report}");
        // All have the file within what it would take had they come together.
        assert!(report.last < report.bound, "{report}");
    }
}

/// Those whom a host is connected with.
fn neighbours(world: &World, id: HostId) -> Vec<HostId> {
    let Some(swarm) = world.host(id).swarm() else { return Vec::new() };
    swarm.connections().values().filter_map(|peer| world.host_at(peer.addr.ip())).collect()
}

/// How many hosts are so many connections away from this one, itself first.
fn distances(world: &World, from: HostId) -> Vec<usize> {
    let (mut seen, mut ring, mut counts) = (BTreeSet::from([from]), vec![from], Vec::new());
    while !ring.is_empty() {
        counts.push(ring.len());
        let next = ring.iter().flat_map(|id| neighbours(world, *id)).filter(|id| seen.insert(*id));
        ring = next.collect();
    }
    counts
}
