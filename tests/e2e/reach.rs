//! `doctor`: whether the outside reaches a home, and what mends it if not.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use podswarm_tests::audio::sample;
use podswarm_tests::files::scratch;
use podswarm_tests::http;
use podswarm_tests::net::{Host, Net, Offer, Router};
use podswarm_tests::process::{Ended, PATIENCE, Program};
use podswarm_tests::programs::{Publisher, Way, podpub_on, podsub_on};
use serde_json::Value;

/// A home behind a router, and somebody outside.
struct Home {
    folder: tempfile::TempDir,
    net: Net,
    router: Router,
    inside: Host,
    outside: Host,
}

impl Home {
    fn new() -> Self {
        let (folder, mut net) = (scratch(), Net::new());
        let outside = net.host("outside");
        let mut router = net.router("router");
        let inside = router.host("inside");
        Self { folder, net, router, inside, outside }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A publisher that asks the router, whose feeds name `ip`, or whatever it guesses.
    #[track_caller]
    fn serve(&self, ip: Option<IpAddr>) -> Publisher {
        Publisher::serve_over(&self.inside, &self.data(), ip, &[Way::Mapping], &[])
    }

    /// What `podpub doctor` finds, and its exit code.
    #[track_caller]
    fn doctor(&self) -> (Option<i32>, Value) {
        let mut command = podpub_on(&self.inside, &[]);
        command.args(["doctor", "--json", "--data-dir"]).arg(self.data());
        let Ended { code, lines, stderr } = Program::start("podpub doctor", command).end(PATIENCE);
        (code, lines.first().unwrap_or_else(|| panic!("{stderr}")).json())
    }

    #[track_caller]
    fn assert_verdict(&self, code: i32, verdict: &str, says: &str) {
        let (ended, found) = self.doctor();
        assert_eq!((found["verdict"].as_str(), ended), (Some(verdict), Some(code)), "{found}");
        assert!(found.to_string().contains(says), "want {says:?} in {found}");
    }
}

#[test]
fn a_home_whose_router_maps_is_public_once_its_feeds_say_where() {
    let home = Home::new();
    let daemon = home.router.offer(&[Offer::Upnp], home.folder.path());
    let publisher = home.serve(None);
    let address = format!("http://{}:{}", home.router.v4(), publisher.http_port);
    home.assert_verdict(1, "house_only", &format!("podpub serve --public-url {address}"));
    publisher.program.stop(PATIENCE);
    home.router.await_mapped(&[], PATIENCE);

    let publisher = home.serve(Some(home.router.v4()));
    home.assert_verdict(0, "public", "nobody from outside has come in yet");
    let mut command = podpub_on(&home.inside, &[]);
    command.args(["publish", "--data-dir"]).arg(home.data()).arg(sample());
    let ended = Program::start("podpub publish", command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("\nPUBLIC: the router lets others in"), "{}", ended.stderr);
    assert_eq!(http::get(&home.outside, &address, &[]).status, 200);
    home.assert_verdict(0, "public", "somebody from outside has come in");
    publisher.program.stop(PATIENCE);
    daemon.stop(PATIENCE);
}

/// Starts an agent that follows `feed`, and waits until it is told of releases.
#[track_caller]
fn listener(host: &Host, data: &Path, feed: &str, flags: &[&str]) -> Program {
    let mut command = podsub_on(host, &[]);
    command.args(["run", "--json", "--data-dir"]).arg(data).args(flags).arg(feed);
    let mut agent = Program::start(&format!("podsub on {}", host.name()), command);
    agent.event("stream_open", PATIENCE);
    agent
}

#[test]
fn an_agent_outside_that_is_asked_connects_back_and_finds_the_port_that_is_closed() {
    let mut home = Home::new();
    let far = home.net.host("far");
    let daemon = home.router.offer(&[Offer::Upnp], home.folder.path());
    let publisher = home.serve(Some(home.router.v4()));
    home.router.await_mapped(&["tcp 6881", "tcp 6969", "udp 6881", "udp 6969"], PATIENCE);
    let feed = publisher.publish(&sample()).feed;
    let data = |name: &str| home.folder.path().join(name);

    let unwilling = listener(&far, &data("far"), &feed, &["--no-connect-back"]);
    home.assert_verdict(0, "public", "somebody from outside has come in\"");
    assert_eq!(unwilling.stop(PATIENCE).code, Some(0));

    let agent = listener(&home.outside, &data("outside"), &feed, &[]);
    let back = format!("connected back to http://{}:6969/ and to the port for peers, 6881", home.router.v4());
    home.assert_verdict(0, "public", &back);

    home.inside.close_tcp_all_but(publisher.http_port);
    let other = listener(&far, &data("far"), &feed, &[]);
    let shut = format!("an agent outside was not let in at the port for peers, {}:6881 (refused)", home.router.v4());
    home.assert_verdict(0, "public", &shut);
    home.assert_verdict(0, "public", "open port 6881, TCP and UDP, at the router");
    for agent in [agent, other] {
        assert_eq!(agent.stop(PATIENCE).code, Some(0));
    }
    publisher.program.stop(PATIENCE);
    daemon.stop(PATIENCE);
}

#[test]
fn a_home_whose_router_does_not_answer_is_told_to_forward_the_port() {
    let home = Home::new();
    let publisher = home.serve(None);
    home.assert_verdict(1, "house_only", "forward port 6969");
    publisher.program.stop(PATIENCE);
    let publisher = home.serve(Some(home.router.v4()));
    home.assert_verdict(0, "unknown", "no router answers over UPnP, NAT-PMP or PCP");
    publisher.program.stop(PATIENCE);
    home.assert_verdict(0, "unknown", "nothing is served");
}

#[test]
fn a_home_whose_provider_has_customers_share_addresses_is_told_so() {
    let home = Home::new();
    home.router.pretend("100.64.0.7".parse().expect("it is an address"));
    let publisher = home.serve(None);
    home.assert_verdict(1, "house_only", "shared by customers of the provider (CGNAT)");
    publisher.program.stop(PATIENCE);
}

/// What `podsub doctor` finds of each thing.
#[track_caller]
fn listeners_doctor(host: &Host, data: &Path) -> (Option<i32>, Vec<Value>) {
    let mut command = podsub_on(host, &[]);
    command.args(["doctor", "--json", "--data-dir"]).arg(data);
    let ended = Program::start("podsub doctor", command).end(PATIENCE);
    (ended.code, ended.lines.iter().map(podswarm_tests::process::Line::json).collect())
}

#[test]
fn a_listener_is_told_what_fails_and_what_mends_it() {
    let (folder, mut net) = (scratch(), Net::new());
    let [away, home] = ["away", "home"].map(|name| net.host(name));
    let data = folder.path().join("data");
    let publisher = Publisher::serve(&away, &folder.path().join("podpub"), Some(away.v4()));
    let feed = publisher.publish(&sample()).feed;
    let found = |of: &[Value], what: &str| -> Vec<Value> {
        of.iter().filter(|finding| finding["what"] == what).cloned().collect()
    };

    let mut command = podsub_on(&home, &[]);
    command.args(["add", &feed, "--data-dir"]).arg(&data);
    assert_eq!(Program::start("podsub add", command).end(PATIENCE).code, Some(0));
    let (code, findings) = listeners_doctor(&home, &data);
    assert_eq!(code, Some(1), "{findings:?}");
    let agent = &found(&findings, "agent")[0];
    assert_eq!(agent["is_well"], false);
    assert!(agent["mend"].as_str().is_some_and(|mend| mend.contains("podsub run")), "{agent}");

    let mut command = podsub_on(&home, &[]);
    command.args(["run", "--json", "--data-dir"]).arg(&data).arg(format!("http://{}:1/feed.xml", away.v4()));
    let mut agent = Program::start("podsub run", command);
    agent.event("poll_failed", PATIENCE);
    let (code, findings) = listeners_doctor(&home, &data);
    assert_eq!(code, Some(1), "{findings:?}");
    for what in ["agent", "disk", "clock"] {
        assert_eq!(found(&findings, what)[0]["is_well"], true, "{findings:?}");
    }
    let feeds = found(&findings, "feeds");
    assert_eq!((feeds.len(), &feeds[0]["how"]), (2, &"1 feed without trouble".into()), "{feeds:?}");
    assert!(feeds[1]["how"].as_str().is_some_and(|how| how.contains(":1/feed.xml")), "{feeds:?}");
    assert!(feeds[1]["mend"].as_str().is_some_and(|mend| mend.contains("podsub update")), "{feeds:?}");
    assert_eq!(agent.stop(PATIENCE).code, Some(0));
    publisher.program.stop(PATIENCE);
}
