//! A program that is killed loses nothing that it had told of, and fetches nothing twice that it had checked.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use podswarm_core::rate::ByteCount;
use podswarm_core::rng::Rng;
use podswarm_tests::files::{MIB, assert_same_bytes, only_file_below, random_file, scratch};
use podswarm_tests::http;
use podswarm_tests::net::{Link, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, Release, agent, complete, get, release, without_web_seeds};

#[test]
fn a_killed_subscriber_finishes_and_fetches_no_piece_twice() {
    const LENGTH: u64 = 24 * MIB;
    const KILLS: u32 = 5;
    // What one kill may cost: pieces that were not yet whole, and what was on its way through a full queue.
    const PER_KILL: u64 = MIB;
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    // 24 MiB take ten seconds, so that kills come before the end.
    let away = net.host_behind("subscriber", Link { up_mbit: 20, down_mbit: 20 });
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let episode = random_file(&folder.path().join("A cut episode.mp3"), LENGTH, 3);
    let release = publisher.publish(&episode);

    let start = || agent(&away, &folder.path().join("podsub"), &release.feed);
    let mut rng = Rng::from_seed_u64(11);
    for _ in 0..KILLS {
        let mut agent = start();
        agent.event("downloading", PATIENCE);
        agent.go_on(Duration::from_millis(rng.next_u64() % 2000));
        agent.kill();
    }
    let (_, file) = complete(&mut start(), PATIENCE);
    assert_same_bytes(&episode, &file);

    // 1,448 bytes of each frame of 1,514 are payload.
    let payload = away.received_bytes() / 1514 * 1448;
    let extra = payload.saturating_sub(LENGTH);
    podswarm_tests::figure(&format!(
        "{KILLS} kills of a subscriber cost {} of {}",
        ByteCount(extra),
        ByteCount(LENGTH)
    ));
    assert!(extra <= u64::from(KILLS) * PER_KILL, "{payload} bytes came for {LENGTH}");
}

#[test]
fn a_killed_publisher_still_serves_all_that_it_reported() {
    const KILLS: u64 = 8;
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let data = folder.path().join("podpub");
    let mut rng = Rng::from_seed_u64(13);
    let mut reported = Vec::new();
    for kill in 0..KILLS {
        let publisher = Publisher::serve(&home, &data, None);
        let episode = random_file(&folder.path().join(format!("Episode {kill}.mp3")), 8 * MIB, kill);
        let mut command = publisher.command("publish");
        command.arg(&episode);
        let mut publish = Program::start("podpub publish", command);
        // The first two are reported before the kill, the others as chance has it.
        if kill > 1 {
            publish.go_on(Duration::from_millis(rng.next_u64() % 250));
            publisher.program.kill();
            reported.extend(release(&publish.end(PATIENCE)).map(|release| (release, episode)));
        } else {
            reported.extend(release(&publish.end(PATIENCE)).map(|release| (release, episode)));
            publisher.program.kill();
        }
    }
    assert!(reported.len() >= 2, "a publish that nothing disturbs reports its release");
    podswarm_tests::figure(&format!("{} of {KILLS} publishes had reported when the publisher died", reported.len()));
    let publisher = Publisher::serve(&home, &data, None);
    for (release, episode) in &reported {
        check_served(&publisher, release, episode, folder.path());
    }
    let feed = http::get(&home, &reported[0].0.feed, &[]).text();
    let guids: BTreeSet<_> = feed.split("<guid").skip(1).map(|rest| rest.split("</guid>").next()).collect();
    assert_eq!(guids.len(), feed.matches("<item>").count(), "no item stands twice");
}

/// Panics unless the feed names the episode, and its media and its swarm give its bytes.
#[track_caller]
fn check_served(publisher: &Publisher, release: &Release, episode: &Path, folder: &Path) {
    let home = &publisher.host;
    let feed = http::get(home, &release.feed, &[]).text();
    let guid = &release.guid;
    assert!(feed.contains(guid), "{guid} is not in the feed");
    let media = http::get(home, &release.media, &[]);
    assert!(media.body == std::fs::read(episode).expect("the episode is there"), "the media of {guid} differ");
    let output = folder.join(guid);
    let torrent = without_web_seeds(home, &release.torrent, folder);
    assert_eq!(get(home, &torrent, &output).end(PATIENCE).code, Some(0));
    assert_same_bytes(episode, &only_file_below(&output));
}
