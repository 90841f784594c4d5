//! Memory does not grow with the file nor with the peers.

use std::time::Duration;

use podswarm_core::rate::ByteCount;
use podswarm_tests::files::{MIB, assert_same_bytes, random_file, scratch};
use podswarm_tests::net::Net;
use podswarm_tests::process::Program;
use podswarm_tests::programs::{Publisher, agent, complete};

#[test]
fn a_gibibyte_to_eight_peers_takes_little_memory_anywhere() {
    const PEERS: usize = 8;
    const LIMIT: Duration = Duration::from_mins(5);
    const MOST: ByteCount = ByteCount(48 * MIB);
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let episode = random_file(&folder.path().join("A long episode.mp3"), 1024 * MIB, 1);
    let release = publisher.publish(&episode);

    let hosts: Vec<_> = (1..=PEERS).map(|n| net.host(&format!("subscriber {n}"))).collect();
    let start = |host| agent(host, &folder.path().join(host.name()), &release.feed);
    let mut agents: Vec<_> = hosts.iter().map(start).collect();
    let files: Vec<_> = agents.iter_mut().map(|agent| complete(agent, LIMIT).1).collect();

    let most = agents.iter().map(Program::own_peak_memory).max().expect("there are agents");
    let own = publisher.program.own_peak_memory();
    podswarm_tests::figure(&format!(
        "1 GiB to {PEERS} peers: publisher {own} at most, subscribers {most}, besides their text"
    ));
    assert_same_bytes(&episode, &files[0]);
    assert!(own < MOST, "the publisher took {own}");
    assert!(most < MOST, "a subscriber took {most}");
}
