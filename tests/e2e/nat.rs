//! Two subscribers, each behind a router of his own, whose publisher seeds no more: they have nobody but each other.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use podswarm_tests::audio::{Format, long_episode, short_episode};
use podswarm_tests::figure;
use podswarm_tests::files::{assert_same_bytes, only_file_below, scratch};
use podswarm_tests::net::{Host, Net, Offer, Router};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, Way, agent_over, get_over, podsub_on, without_web_seeds};
use serde_json::Value;

/// Whoever is let in is done after seconds, on a busy machine later.
const LIMIT: Duration = Duration::from_mins(2);

/// Two homes behind routers; in the first of them somebody has the episode, and its publisher is a tracker and nothing
/// else.
struct Homes {
    folder: tempfile::TempDir,
    /// Somebody whom all can reach.
    outside: Host,
    episode: PathBuf,
    torrent: PathBuf,
    routers: [Router; 2],
    first: Host,
    second: Host,
    publisher: Publisher,
}

impl Homes {
    #[track_caller]
    fn new() -> Self {
        let (folder, mut net) = (scratch(), Net::new());
        let [home, outside] = ["publisher", "outside"].map(|name| net.host(name));
        let mut routers = ["router 1", "router 2"].map(|name| net.router(name));
        let (first, second) = (routers[0].host("first"), routers[1].host("second"));
        let publisher = Publisher::serve(&home, &folder.path().join("podpub"), Some(home.v4()));
        let episode = long_episode(Format::Mp3).path;
        let release = publisher.publish(&episode);
        let torrent = without_web_seeds(&first, &release.torrent, folder.path());
        Self { folder, outside, episode, torrent, routers, first, second, publisher }
    }

    /// Has the first one fetch the episode by these ways, which he seeds from then on. Then the publisher seeds no
    /// more.
    #[track_caller]
    fn seed(&self, ways: &[Way], flags: &[&str]) -> Program {
        let flags = [&["--seed"], flags].concat();
        let mut seed = get_over(&self.first, ways, &self.torrent, &self.path("first"), &flags);
        seed.event("complete", PATIENCE);
        self.publisher.host.close_all_but(self.publisher.http_port);
        seed
    }

    /// Has the second one fetch the episode, without being let in anywhere.
    #[track_caller]
    fn assert_fetched(&self, how: &str) {
        let began = Instant::now();
        let ended = get_over(&self.second, &[], &self.torrent, &self.path("second"), &[]).end(LIMIT);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        figure(&format!("from one home to another {how}: {:.2} s", began.elapsed().as_secs_f64()));
        assert_same_bytes(&self.episode, &only_file_below(&self.path("second")));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

#[track_caller]
fn by_a_mapping(offers: &[Offer], name: &str) {
    let homes = Homes::new();
    let router = &homes.routers[0];
    let daemon = router.offer(offers, homes.folder.path());
    let seed = homes.seed(&[Way::Mapping], &[]);
    router.await_mapped(&["tcp 6881", "udp 6881"], PATIENCE);
    let reached = homes.publisher.full_status()["reached"].clone();
    assert_eq!(reached["text"], "yes: a peer has come in from outside");
    homes.assert_fetched(&format!("by a port mapped over {name}"));
    seed.stop(PATIENCE);
    router.await_mapped(&[], PATIENCE);
    daemon.stop(PATIENCE);
}

#[test]
fn by_a_port_that_the_router_maps_over_upnp() {
    by_a_mapping(&[Offer::Upnp], "UPnP");
}

#[test]
fn by_a_port_that_the_router_maps_over_pcp() {
    by_a_mapping(&[Offer::Gateway], "PCP");
}

#[test]
fn by_another_port_that_is_forwarded_by_hand() {
    let homes = Homes::new();
    let router = &homes.routers[0];
    router.forward(7000, &homes.first, 6883);
    let outside = format!("{}:7000", router.v4());
    let seed = homes.seed(&[], &["--peer-port", "6883", "--peer-address", &outside]);
    homes.assert_fetched("by a port forwarded by hand");
    seed.stop(PATIENCE);
}

/// What `podsub status` says of the agent on `data`.
#[track_caller]
fn reached(host: &Host, data: &Path) -> Value {
    let mut command = podsub_on(host, &[]);
    command.args(["status", "--json", "--data-dir"]).arg(data);
    let ended = Program::start("podsub status", command).end(PATIENCE);
    ended.lines.first().unwrap_or_else(|| panic!("{}", ended.stderr)).json()["reached"].clone()
}

#[test]
fn status_says_where_the_router_lets_others_in_or_that_none_answers_yet() {
    let homes = Homes::new();
    let release = homes.publisher.publish(&short_episode("Within Four Walls").path);
    let daemon = homes.routers[0].offer(&[Offer::Upnp], homes.folder.path());
    let away = [homes.path("agent 1"), homes.path("agent 2")];
    let hosts = [&homes.first, &homes.second];
    let agents = [0, 1].map(|n| agent_over(hosts[n], &[Way::Mapping], &away[n], &release.feed));
    homes.routers[0].await_mapped(&["tcp 6881", "udp 6881"], PATIENCE);
    let mapped = format!("mapped by UPnP at {}:6881", homes.routers[0].v4());
    let end = Instant::now() + PATIENCE;
    for (n, says) in [(0, &mapped[..]), (1, "no router answers")] {
        loop {
            let now = reached(hosts[n], &away[n]);
            if now["text"].as_str().is_some_and(|text| text.contains(says)) {
                break;
            }
            assert!(Instant::now() < end, "{now}");
        }
    }
    // A router that was just starting is asked again soon.
    let late = homes.routers[1].offer(&[Offer::Upnp], homes.folder.path());
    homes.routers[1].await_mapped(&["tcp 6881", "udp 6881"], LIMIT);
    drop(agents);
    for daemon in [daemon, late] {
        daemon.stop(PATIENCE);
    }
}

/// The only one whom both can reach has next to nothing of the episode, and gets no further. He introduces them.
#[test]
fn by_holes_that_both_routers_take_for_answers() {
    let homes = Homes::new();
    let flags = ["--down", "20kB/s", "--up", "20kB/s"];
    let mut relay = get_over(&homes.outside, &[], &homes.torrent, &homes.path("outside"), &flags);
    relay.event("downloading", PATIENCE);
    let seed = homes.seed(&[], &[]);
    homes.assert_fetched("through two routers that let nobody in");
    assert!(homes.outside.sent_bytes() < 8_000_000, "the relay has served the episode itself");
    assert!(homes.routers.iter().all(|router| router.mapped().is_empty()));
    seed.stop(PATIENCE);
}
