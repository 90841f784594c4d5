//! Peers and plain downloads over HTTP on one uplink.

use std::time::Duration;

use podswarm_tests::crowd::{Crowd, Kind, Plan};
use podswarm_tests::figure;
use podswarm_tests::files::MIB;

const PEERS: usize = 3;
const DOWNLOADS: usize = 60;
const LENGTH_MIB: u64 = 24;
/// Five times what it takes.
const LIMIT: Duration = Duration::from_mins(4);

#[test]
fn downloads_leave_peers_most_of_the_line_and_none_of_them_starves() {
    let crowd = Crowd::gather(&Plan::new(Kind::Podswarm, PEERS, LENGTH_MIB).with_downloads(DOWNLOADS));
    let outcome = crowd.finish(LIMIT);
    let sum: u64 = outcome.downloaded.iter().sum();
    let (least, most) = (outcome.downloaded[0], outcome.downloaded[DOWNLOADS - 1]);
    figure(&format!(
        "{DOWNLOADS} downloads beside a flash crowd of {LENGTH_MIB} MiB had got {sum} bytes, each {least} to {most}; {outcome}"
    ));
    // Left to TCP, twenty times as many connections would have got twenty times as much as three peers.
    assert!(sum < 2 * LENGTH_MIB * MIB, "{sum}");
    assert!(least > 0, "{:?}", outcome.downloaded);
}
