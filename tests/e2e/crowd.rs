//! Eight subscribers behind ordinary links start together.

use std::time::{Duration, Instant};

use podswarm_tests::crowd::{Crowd, Kind, Plan};
use podswarm_tests::figure;
use podswarm_tests::process::PATIENCE;

const PEERS: usize = 8;
const MIB: u64 = 60;
/// Five times what it takes.
const LIMIT: Duration = Duration::from_mins(4);

#[test]
fn the_crowd_serves_itself_and_the_publisher_sends_few_copies() {
    let outcome = Crowd::gather(&Plan::new(Kind::Podswarm, PEERS, MIB)).finish(LIMIT);
    figure(&format!("flash crowd of {MIB} MiB, {outcome}"));
    assert!(outcome.copies_sent < 2.5, "{outcome}");
}

#[test]
fn the_crowd_finishes_without_the_publisher_once_one_copy_is_out() {
    let crowd = Crowd::gather(&Plan::new(Kind::Podswarm, PEERS, MIB));
    let limit = Instant::now() + LIMIT;
    while crowd.publisher().status().copies_milli < 1000 {
        assert!(Instant::now() < limit, "no full copy is out after {LIMIT:?}");
    }
    // More than the peer port and the media: the tracker and the feed are gone too.
    crowd.publisher().host.unplug();
    let after = crowd.began.elapsed();
    let outcome = crowd.finish(LIMIT + PATIENCE);
    figure(&format!("publisher gone after {after:.1?}, {outcome}"));
}
