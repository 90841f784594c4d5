//! A torrent that is treated apart from the others.

use std::time::Duration;

use super::lab::Lab;
use crate::layout::BLOCK_LENGTH;
use crate::rate::Rate;
use crate::swarm::{Conduct, Discovery, Input};
use crate::timetable::RateLimits;
use crate::tracker::AnnounceEvent;

const TEN: Duration = Duration::from_secs(10);

fn limited(up: Option<u64>, down: Option<u64>) -> Input {
    let limits = RateLimits { up: up.map(Rate), down: down.map(Rate) };
    Input::Treat(Conduct { limits, ..Conduct::default() })
}

fn found_by(discovery: Discovery) -> Input {
    Input::Treat(Conduct { discovery, ..Conduct::default() })
}

/// What comes in ten seconds if this host is treated so.
fn come_in_ten(of_leecher: Input, of_seed: Input) -> (Lab, usize, usize, u64) {
    let mut lab = Lab::new(64, 2);
    let (seed, leecher) = (lab.seed(), lab.leecher());
    lab.give(leecher, of_leecher);
    lab.give(seed, of_seed);
    lab.connect(leecher, seed);
    lab.pass(TEN);
    let got = lab.status(leecher).downloaded;
    (lab, seed, leecher, got)
}

#[test]
fn its_own_limits_are_kept_until_they_are_lifted() {
    let free = || limited(None, None);
    let burst = 65_536 + 2 * u64::from(BLOCK_LENGTH);
    for (of_leecher, of_seed) in [(limited(None, Some(100_000)), free()), (free(), limited(Some(100_000), None))] {
        let (mut lab, seed, leecher, got) = come_in_ten(of_leecher, of_seed);
        assert!((950_000..=1_000_000 + burst).contains(&got), "{got}");
        lab.give(leecher, free());
        lab.give(seed, free());
        lab.pass(Duration::from_secs(1));
        assert!(lab.status(leecher).complete);
    }
}

#[test]
fn a_limit_of_nothing_lets_nothing_through() {
    let (_, _, _, got) = come_in_ten(limited(None, Some(0)), limited(None, None));
    assert!(got <= 65_536 + u64::from(BLOCK_LENGTH), "{got}");
}

#[test]
fn peers_are_found_in_the_ways_that_are_open_to_it() {
    let mut lab = Lab::new(4, 1);
    let host = lab.leecher();
    let announces = |lab: &Lab| lab.hosts[host].announced.len();
    assert_eq!(lab.hosts[host].seeks, Some(Discovery::ALL));
    assert_eq!(announces(&lab), 1);
    lab.answer_tracker(host);

    let untracked = Discovery { trackers: false, lsd: false, ..Discovery::ALL };
    lab.give(host, found_by(untracked));
    assert_eq!(lab.hosts[host].seeks, Some(untracked));
    assert_eq!(lab.hosts[host].announced.last().unwrap().event, Some(AnnounceEvent::Stopped), "the tracker is told");
    lab.answer_tracker(host);
    assert!(lab.status(host).trackers.is_empty());
    let so_far = announces(&lab);
    lab.pass(Duration::from_hours(2));
    assert_eq!(announces(&lab), so_far);

    lab.give(host, found_by("trackers".parse().unwrap()));
    assert_eq!(lab.hosts[host].seeks, None);
    assert_eq!(lab.hosts[host].announced.last().unwrap().event, Some(AnnounceEvent::Started));
    lab.answer_tracker(host);

    // What is decided while it rests holds when it goes on.
    let so_far = announces(&lab);
    lab.give(host, Input::Pause);
    lab.give(host, found_by(untracked));
    assert_eq!((lab.hosts[host].seeks, announces(&lab)), (None, so_far + 1));
    lab.answer_tracker(host);
    lab.give(host, Input::Unpause);
    assert_eq!((lab.hosts[host].seeks, announces(&lab)), (Some(untracked), so_far + 1));
}
