//! A show of its own ways and limits: what its owner, or a listener's, closes to it is closed to it alone, and both may
//! change their minds while everything runs.

use podswarm_tests::audio::{Format, long_episode};
use podswarm_tests::files::scratch;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, Way, await_status, complete, podsub_on};
use serde_json::Value;

/// An agent that is told of `feed` with these flags; it asks no web server.
fn agent(host: &Host, data: &std::path::Path, feed: &str, ways: &[Way], flags: &[&str]) -> Program {
    let mut command = podsub_on(host, ways);
    command.args(["run", "--json", "--no-web-seeds"]).args(flags).arg("--data-dir").arg(data).arg(feed);
    Program::start(&format!("podsub on {}", host.name()), command)
}

/// Runs `podsub edit 1` with these flags beside the agent.
#[track_caller]
fn edit(host: &Host, data: &std::path::Path, flags: &[&str]) {
    let mut command = podsub_on(host, &[]);
    command.args(["edit", "1"]).args(flags).arg("--data-dir").arg(data);
    let ended = Program::start("podsub edit", command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// Runs `podpub edit` with these flags beside the publisher.
#[track_caller]
fn edit_show(publisher: &Publisher, flags: &[&str]) {
    let mut command = publisher.command("edit");
    command.args(flags);
    let ended = Program::start("podpub edit", command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// The listeners of the publisher's only episode that its tracker knows.
fn known_to_tracker(publisher: &Publisher) -> u64 {
    let swarm = &publisher.full_status()["episodes"][0]["swarm"];
    let count = |what: &str| swarm[what].as_u64().unwrap_or_default();
    // One of them is the publisher.
    count("complete") + count("incomplete") - 1
}

#[test]
fn a_listener_keeps_a_show_from_the_tracker_and_holds_it_back_until_he_changes_his_mind() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["publisher", "listener"].map(|name| net.host(name));
    let publisher = Publisher::serve_over(&home, &folder.path().join("podpub"), None, &[Way::Neighbours], &[]);
    let release = publisher.publish(&long_episode(Format::Mp3).path);
    let data = folder.path().join("listener");
    let flags = ["--find-peers", "lsd,pex", "--episode-down", "1kB/s"];
    let mut agent = agent(&away, &data, &release.feed, &[Way::Neighbours], &flags);

    // It has met the publisher as a neighbour, and is held back.
    let moving = |status: &Value| status["traffic"]["peers"].as_u64().is_some_and(|peers| peers > 0);
    await_status(&away, &data, moving);
    assert_eq!(known_to_tracker(&publisher), 0);
    assert!(!agent.has_said(|line| (line.event().as_deref() == Some("complete")).then_some(())));

    // Its owner lets this show go as fast as it can, and then have the tracker, too.
    edit(&away, &data, &["--episode-down", "none"]);
    complete(&mut agent, PATIENCE);
    assert_eq!(known_to_tracker(&publisher), 0);
    edit(&away, &data, &["--find-peers", "all"]);
    publisher.await_status(|status| status["episodes"][0]["swarm"]["complete"] == 2);
    agent.stop(PATIENCE);
}

#[test]
fn a_publisher_holds_one_show_back_until_he_changes_his_mind() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["publisher", "listener"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let release = publisher.publish(&long_episode(Format::Mp3).path);
    edit_show(&publisher, &["--episode-up", "1kB/s"]);
    let data = folder.path().join("listener");
    let mut agent = agent(&away, &data, &release.feed, &[], &[]);
    let has_some = |status: &Value| status["traffic"]["peers"].as_u64().is_some_and(|peers| peers > 0);
    await_status(&away, &data, has_some);
    assert!(!agent.has_said(|line| (line.event().as_deref() == Some("complete")).then_some(())));
    edit_show(&publisher, &["--episode-up", "none"]);
    complete(&mut agent, PATIENCE);
    agent.stop(PATIENCE);
}
