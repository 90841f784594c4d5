//! What a listener gives back: so much or for so long as its owner wants, and it is remembered.

use podswarm_tests::audio::{Format, long_episode, short_episode};
use podswarm_tests::files::scratch;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, get, get_with, podsub_on, without_web_seeds};
use serde_json::Value;

/// The first line that a command of `podsub` prints.
#[track_caller]
fn ask(host: &Host, data: &std::path::Path, command: &str) -> Value {
    let mut asking = podsub_on(host, &[]);
    asking.args([command, "--json", "--data-dir"]).arg(data);
    let ended = Program::start(&format!("podsub {command}"), asking).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.lines.first().expect("there is a line").json()
}

#[test]
fn an_agent_seeds_for_its_time_and_not_again_after_a_restart() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["publisher", "listener"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let release = publisher.publish(&short_episode("Given Back").path);
    let data = folder.path().join("listener");
    let run = || {
        let mut command = podsub_on(&away, &[]);
        command.args(["run", "--json", "--seed-time", "1s", "--data-dir"]).arg(&data).arg(&release.feed);
        Program::start("podsub run", command)
    };
    let mut agent = run();
    let (_, seeded) = agent.event("seeded", PATIENCE);
    assert_eq!(seeded["reason"], "seeded for 1s");
    agent.stop(PATIENCE);
    let seconds = ask(&away, &data, "episodes")["shared"]["seconds"].as_u64();
    assert!(seconds >= Some(1), "{seconds:?}");

    let mut agent = run();
    agent.event("polled", PATIENCE);
    assert_eq!(ask(&away, &data, "episodes")["seeded"], "seeded for 1s");
    let status = ask(&away, &data, "status");
    assert_eq!((&status["seeding"]["torrents"], &status["enough"]), (&0.into(), &"until ratio 2 or for 1s".into()));
    agent.stop(PATIENCE);
}

#[test]
fn a_listener_who_gives_back_one_copy_ends_when_it_is_out() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, first, second] = ["publisher", "first", "second"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let release = publisher.publish(&long_episode(Format::Mp3).path);
    let torrent = without_web_seeds(&first, &release.torrent, folder.path());
    let flags = ["--seed", "--seed-ratio", "1"];
    let mut giver = get_with(&first, &torrent, &folder.path().join("first"), &flags);
    giver.event("complete", PATIENCE);
    home.close_all_but(publisher.http_port);
    assert_eq!(get(&second, &torrent, &folder.path().join("second")).end(PATIENCE).code, Some(0));
    let ended = giver.end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let seeded = ended.lines.iter().find(|line| line.event().as_deref() == Some("seeded")).expect("it says why");
    assert_eq!(seeded.json()["reason"], "ratio 1 reached");
}
