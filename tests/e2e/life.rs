//! What becomes of an episode after it was published: it appears at its time, gets another file, is taken back.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Europe;
use podswarm_tests::audio::short_episode;
use podswarm_tests::figure;
use podswarm_tests::files::{assert_same_bytes, scratch};
use podswarm_tests::http;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{Line, PATIENCE, Program};
use podswarm_tests::programs::{Publisher, agent, complete, podsub_on};
use serde_json::Value;

/// Runs a command of `podpub` or `podsub` to its end, and gives its last line of JSON.
#[track_caller]
fn run(name: &str, mut command: Command, args: &[&str]) -> Value {
    command.args(args);
    let ended = Program::start(name, command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{name} {args:?}: {}", ended.stderr);
    ended.lines.last().unwrap_or_else(|| panic!("{name} {args:?} said nothing")).json()
}

/// How the only episode stands with the agent on `data`.
#[track_caller]
fn episode(host: &Host, data: &Path) -> Value {
    let mut command = podsub_on(host, &[]);
    command.args(["episodes", "--json", "--data-dir"]).arg(data);
    run("podsub episodes", command, &[])
}

#[test]
fn a_revised_episode_reaches_agents_and_apps_under_its_guid() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, first, second] = ["publisher", "first", "second"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let (before, after) = (short_episode("With a Slip of the Tongue"), short_episode("Without It"));
    let release = publisher.publish(&before.path);
    let mut agents = [&first, &second].map(|host| agent(host, &folder.path().join(host.name()), &release.feed));
    let old: Vec<_> = agents.iter_mut().map(|agent| complete(agent, PATIENCE).1).collect();

    let path = after.path.to_str().unwrap();
    let revised = run("podpub", publisher.command("replace"), &[&before.title, path, "--notes", "Mended"]);
    assert_eq!((&revised["revised"], &revised["episode"]["guid"]), (&true.into(), &release.guid.as_str().into()));
    assert_eq!(revised["episode"]["title"], before.title.as_str(), "what is not said stays");
    for (agent, old) in agents.iter_mut().zip(&old) {
        agent.event("revised", PATIENCE);
        let (_, new) = complete(agent, PATIENCE);
        assert_same_bytes(&after.path, &new);
        assert_same_bytes(&before.path, old);
    }
    // An app that has not looked at the feed since gets the new file at the old address, and nothing that is half of
    // each.
    let media = http::get(&first, &release.media, &[]);
    assert_eq!((media.status, media.body), (200, std::fs::read(&after.path).unwrap()));
    assert_eq!(http::get(&first, &release.media, &[("range", "bytes=1000-")]).status, 410);
    let feed = http::get(&first, &release.feed, &[]).text();
    assert_eq!((feed.matches("<item>").count(), feed.matches(&release.guid).count()), (1, 1), "{feed}");
    assert!(feed.contains("Mended"), "{feed}");
}

#[test]
fn episodes_of_a_show_with_a_rhythm_queue_up_for_its_times() {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    publisher.publish(&short_episode("The First").path);
    let audio = ["The Second", "The Third"].map(short_episode);
    let paths: Vec<&str> = audio.iter().map(|audio| audio.path.to_str().expect("a path of ours")).collect();

    let mut early = publisher.command("publish");
    early.args(["--next", paths[0]]);
    let refused = Program::start("podpub publish", early).end(PATIENCE);
    assert!(refused.code == Some(1) && refused.stderr.contains("--rhythm"), "{}", refused.stderr);

    run("podpub", publisher.command("edit"), &["--rhythm", "0 6 * * mon Europe/Berlin"]);
    let due = paths.iter().map(|path| {
        let told = run("podpub", publisher.command("publish"), &["--next", path]);
        assert_eq!(told["live"], false);
        let at = told["episode"]["published"].as_str().expect("a date is told");
        DateTime::parse_from_rfc3339(at).expect("a date is RFC 3339").with_timezone(&Europe::Berlin)
    });
    let due: Vec<_> = due.collect();
    for at in &due {
        assert_eq!(at.format("%a %H:%M:%S").to_string(), "Mon 06:00:00");
    }
    assert_eq!((due[1].date_naive() - due[0].date_naive()).num_days(), 7);
}

#[test]
fn an_episode_taken_back_is_passed_on_by_nobody() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["publisher", "subscriber"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let audio = short_episode("Better Left Unsaid");
    let release = publisher.publish(&audio.path);
    let data = folder.path().join("subscriber");
    let mut listener = agent(&away, &data, &release.feed);
    let (_, file) = complete(&mut listener, PATIENCE);

    let taken = run("podpub", publisher.command("unpublish"), &[&audio.title]);
    assert_eq!(taken["episode"]["guid"], release.guid.as_str());
    assert!(Path::new(taken["kept"].as_str().unwrap()).exists(), "the file is the owner's");
    listener.event("withdrawn", PATIENCE);
    assert_same_bytes(&audio.path, &file);
    let kept = episode(&away, &data);
    assert!(kept["withdrawn"].is_string() && kept["stage"] == "complete" && kept["transfer"].is_null(), "{kept}");
    for gone in [&release.media, &release.torrent, &release.page] {
        assert_eq!(http::get(&away, gone, &[]).status, 410, "{gone}");
    }
    assert!(!http::get(&away, &release.feed, &[]).text().contains("<item>"));

    // A restart of either changes nothing.
    listener.stop(PATIENCE);
    let mut listener = agent(&away, &data, &release.feed);
    listener.event("stream_open", PATIENCE);
    assert!(episode(&away, &data)["transfer"].is_null());
    // Whoever still has the torrent is told by the tracker.
    let info_hash = taken["episode"]["info_hash"].as_str().unwrap();
    let bytes = info_hash.as_bytes().chunks(2).map(|byte| str::from_utf8(byte).unwrap());
    let info_hash: String = bytes.flat_map(|byte| ["%", byte]).collect();
    let query = format!("info_hash={info_hash}&peer_id=-XX0001-123456789012&port=6999&left=1&compact=1");
    let announce = http::get(&away, &format!("{}/announce?{query}", origin(&release.feed)), &[]);
    assert!(announce.text().contains("failure reason"), "{}", announce.text());
}

#[test]
fn a_scheduled_episode_appears_at_its_time_though_the_publisher_was_restarted() {
    // Asserted with room for a busy machine.
    const ENOUGH: Duration = Duration::from_secs(5);
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["publisher", "subscriber"].map(|name| net.host(name));
    let data = folder.path().join("podpub");
    let publisher = Publisher::serve(&home, &data, None);
    let first = publisher.publish(&short_episode("On Air Now").path);
    let mut listener = agent(&away, &folder.path().join("podsub"), &first.feed);
    listener.events(&["stream_open", "complete"], PATIENCE);

    let due = DateTime::from_timestamp(Utc::now().timestamp() + 6, 0).unwrap();
    let later = publisher.publish_with(&["--at", &due.to_rfc3339()], &[short_episode("On Air Soon").path]);
    assert_eq!(http::get(&away, &later.media, &[]).status, 404);
    publisher.program.stop(PATIENCE);
    let _publisher = Publisher::serve(&home, &data, None);
    listener.event("downloading", PATIENCE);
    let late = (Utc::now() - due).to_std().expect("it does not appear before its time");
    assert!(late < ENOUGH, "{late:?}");
    complete(&mut listener, PATIENCE);
    figure(&format!(
        "an episode put off to a second was fetched {late:.2?} after it, the publisher restarted meanwhile"
    ));
}

/// The scheme and host of a URL.
fn origin(url: &str) -> String {
    url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
}

#[test]
fn a_show_is_checked_as_directories_would() {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    publisher.publish(&short_episode("Fit to Be Heard").path);
    let check = || Program::start("podpub check", publisher.command("check")).end(PATIENCE);
    let refused = check();
    assert_eq!(refused.code, Some(1), "a show without a category is refused");
    let errors: Vec<Value> =
        refused.lines.iter().map(Line::json).filter(|finding| finding["severity"] == "error").collect();
    let mend = |what: &str| {
        let error = errors.iter().find(|error| error["what"].as_str().unwrap().contains(what));
        error.unwrap_or_else(|| panic!("{what}: {errors:?}"))["mend"].as_str().unwrap().to_owned()
    };
    assert!(mend("category").starts_with("podpub edit --show the-swarm-hour --category"));
    // What it says mends it, does.
    let edit = ["--category", "Arts", "--description", "Of swarms"];
    run("podpub", publisher.command("edit"), &edit);
    let left = check();
    assert!(left.lines.iter().all(|line| !line.text.contains("category") && !line.text.contains("description")));
}
