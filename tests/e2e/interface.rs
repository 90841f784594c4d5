//! A listener with two interfaces who is to speak by one of them, which goes and comes back. What leaves by the other
//! one is counted.

use std::path::Path;
use std::time::Instant;

use podswarm_tests::audio::{Format, long_episode};
use podswarm_tests::figure;
use podswarm_tests::files::{assert_same_bytes, scratch};
use podswarm_tests::net::Net;
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, Way, await_status, complete, get_over, podsub_on};
use serde_json::Value;

#[test]
fn what_is_bound_to_an_interface_waits_for_it_and_goes_by_no_other() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, listener] = ["publisher", "listener"].map(|name| net.host(name));
    listener.plug_in_eth1();
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), Some(home.v4()));
    let episode = long_episode(Format::Mp3).path;
    let release = publisher.publish(&episode);
    listener.watch_eth0_for_strays();
    let data = folder.path().join("agent");
    let mut command = podsub_on(&listener, &Way::ALL);
    command.args(["run", "-v", "--json", "--bind", "eth1", "--down", "1MB/s", "--dht-node", "198.18.0.77:6881"]);
    command.arg("--data-dir").arg(&data).arg(&release.feed);
    let mut agent = Program::start("podsub run", command);
    let has_begun = |status: &Value| status["downloads"][0]["transfer"]["have"].as_u64().is_some_and(|have| have > 0);
    let status = await_status(&listener, &data, has_begun);
    assert_eq!(status["interface"]["is_up"], true, "{status}");

    listener.take_eth1_away();
    let status = await_status(&listener, &data, |status| status["interface"]["is_up"] == false);
    assert_eq!(status["interface"]["name"], "eth1");
    // Long enough that trackers, peers and the web seed are tried in vain.
    agent.go_on(std::time::Duration::from_secs(8));
    assert_eq!(listener.strays(), 0, "packets left by the other interface");

    let back = Instant::now();
    listener.plug_in_eth1();
    let (_, file) = complete(&mut agent, PATIENCE);
    figure(&format!("an interface is back: complete {:.1} s later", back.elapsed().as_secs_f64()));
    assert_same_bytes(&episode, &file);
    assert_eq!(listener.strays(), 0, "packets left by the other interface");
    let said = agent.stop(PATIENCE).stderr;
    assert!(said.contains("the interface is gone") && said.contains("the interface is back"), "{said}");
    assert_eq!(listener.strays(), 0, "packets left by the other interface");
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, listener] = ["publisher", "listener"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), Some(home.v4()));
    let release = publisher.publish(&long_episode(Format::Mp3).path);
    listener.watch_eth0_for_strays();
    let torrent = podswarm_tests::programs::without_web_seeds(&home, &release.torrent, folder.path());
    for (source, says) in [
        (torrent.as_path(), "there is no interface `wg7`, or it is down or has no address"),
        (Path::new(&release.media), "No such device"),
    ] {
        let ended =
            get_over(&listener, &Way::ALL, source, &folder.path().join("got"), &["--bind", "wg7"]).end(PATIENCE);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains(says), "want {says:?} in {}", ended.stderr);
    }
    assert_eq!(listener.strays(), 0);
}
