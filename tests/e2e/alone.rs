//! Publisher and tracker are gone, and all that a listener has is a magnet link: each way to the crowd, alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use podswarm_core::metainfo::{Magnet, Metainfo};
use podswarm_tests::audio::{Format, long_episode};
use podswarm_tests::figure;
use podswarm_tests::files::{assert_same_bytes, only_file_below, scratch};
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, Way, get_over, metainfo, without_web_seeds};

/// Whoever finds the crowd is done after seconds, on a busy machine later; by the slow peer alone it took twenty
/// minutes.
const LIMIT: Duration = Duration::from_mins(2);

/// An episode that its publisher has left to others.
struct Left {
    folder: tempfile::TempDir,
    episode: PathBuf,
    metainfo: Metainfo,
    net: Net,
    _crowd: Vec<Program>,
}

fn texts(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

/// The node of the distributed hash table that a program on this host is.
fn node_at(host: &Host) -> String {
    SocketAddr::new(host.v4(), 6881).to_string()
}

/// A publisher that is gone once a subscriber seeds, who goes these ways; a second one has begun, and is slow.
#[track_caller]
fn left_by_the_publisher(ways: &[Way], flags: &[&str]) -> (Left, Host) {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, first, second] = ["publisher", "seed", "slow"].map(|name| net.host(name));
    // Each begins with the one before, since whoever is left must be reached from there when the publisher is gone.
    let begin =
        |with: &Host| if ways.contains(&Way::Table) { vec!["--dht-node".to_owned(), node_at(with)] } else { vec![] };
    let flags = |with: &Host, more: &[&str]| -> Vec<String> {
        let given = flags.iter().chain(more).map(|flag| (*flag).to_owned());
        given.chain(begin(with)).collect()
    };
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), Some(home.v4()));
    let episode = long_episode(Format::Mp3).path;
    let release = publisher.publish(&episode);
    let torrent = without_web_seeds(&first, &release.torrent, folder.path());
    let mut seed = get_over(&first, ways, &torrent, &folder.path().join("seed"), &texts(&flags(&home, &["--seed"])));
    seed.event("complete", PATIENCE);
    let mut slow = get_over(
        &second,
        ways,
        &torrent,
        &folder.path().join("slow"),
        &texts(&flags(&first, &["--seed", "--down", "20kB/s"])),
    );
    // The publisher and the seed.
    slow.wait_for("both to be met", PATIENCE, |line| (line.json()["peers"].as_u64()? == 2).then_some(()));
    let metainfo = metainfo(&first, &release.torrent);
    publisher.program.stop(PATIENCE);
    home.unplug();
    (Left { folder, episode, metainfo, net, _crowd: vec![seed, slow] }, second)
}

impl Left {
    /// Somebody new is told in the end of the one who has everything, and of the slow one and perhaps himself.
    #[track_caller]
    fn assert_counted(&mut self, link: &Magnet, flags: &[&str]) {
        let (away, ours) = (self.net.host("curious"), self.folder.path().join("curious"));
        let mut curious = get_over(&away, &[Way::Table], Path::new(&link.to_string()), &ours, flags);
        curious.wait_for("count", PATIENCE, |line| {
            let told = line.json()["dht"].clone();
            let is_right = told["seeds"] == 1 && (1..=2).contains(&told["peers"].as_u64()?);
            (line.event().as_deref() == Some("counted") && is_right).then_some(())
        });
    }

    #[track_caller]
    fn assert_found(mut self, ways: &[Way], link: &Magnet, flags: &[&str]) {
        let (away, ours) = (self.net.host("listener"), self.folder.path().join("listener"));
        let began = std::time::Instant::now();
        let ended = get_over(&away, ways, Path::new(&link.to_string()), &ours, flags).end(LIMIT);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        figure(&format!("by {ways:?} and {link}: {:.1} s", began.elapsed().as_secs_f64()));
        assert_same_bytes(&self.episode, &only_file_below(&ours));
    }
}

#[test]
fn by_local_discovery() {
    let (left, _) = left_by_the_publisher(&[Way::Neighbours], &["--no-pex"]);
    let link = Magnet::new(left.metainfo.info_hash);
    left.assert_found(&[Way::Neighbours], &link, &["--no-pex"]);
}

/// He is told of one node, that of the slow one, and finds the other. No tracker tells how many there are, but the
/// nodes do, to another who is in no hurry.
#[test]
fn by_the_distributed_hash_table() {
    let (mut left, slow) = left_by_the_publisher(&[Way::Table], &["--no-pex"]);
    let link = Magnet::new(left.metainfo.info_hash);
    let node = node_at(&slow);
    let flags = ["--no-pex", "--dht-node", &node];
    left.assert_counted(&link, &[&flags[..], &["--down", "50kB/s"]].concat());
    left.assert_found(&[Way::Table], &link, &flags);
}

#[test]
fn by_peer_exchange() {
    let (left, slow) = left_by_the_publisher(&[], &[]);
    let link = Magnet { peers: vec![(slow.v4(), 6881).into()], ..Magnet::new(left.metainfo.info_hash) };
    left.assert_found(&[], &link, &[]);
}
