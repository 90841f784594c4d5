//! A show moves to another host, and its listeners with it.

use podswarm_tests::audio::short_episode;
use podswarm_tests::files::scratch;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{Ended, PATIENCE, Program};
use podswarm_tests::programs::{Publisher, podsub_on};

/// `podsub NAME` on `host`, run to its end.
#[track_caller]
fn podsub(host: &Host, data: &std::path::Path, args: &[&str]) -> Ended {
    let mut command = podsub_on(host, &[]);
    command.args(args).args(["--json", "--data-dir"]).arg(data);
    let ended = Program::start("podsub", command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "podsub {args:?}: {}", ended.stderr);
    ended
}

/// How often an episode became complete.
fn completed(ended: &Ended) -> usize {
    ended.lines.iter().filter(|line| line.event().as_deref() == Some("complete")).count()
}

#[test]
fn listeners_follow_a_show_to_its_new_host_and_fetch_nothing_twice() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, there, away] = ["old host", "new host", "listener"].map(|name| net.host(name));
    let old = Publisher::serve(&home, &folder.path().join("old"), None);
    let release = old.publish_with(&["--show", "walks"], &[&short_episode("Before").path]);
    let data = folder.path().join("podsub");
    assert_eq!(completed(&podsub(&away, &data, &["run", "--once", &release.feed])), 1);

    let new = Publisher::serve(&there, &folder.path().join("new"), None);
    let mut import = new.command("import");
    import.arg(&release.feed);
    let ended = Program::start("podpub import", import).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let summary = ended.lines.last().expect("it ends with a summary").json();
    let feed = summary["show"]["feed"].as_str().expect("a show has a feed").to_owned();
    let mut relocate = old.command("move");
    relocate.arg(&feed);
    let ended = Program::start("podpub move", relocate).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);

    // Two answers in a row say so; then it is believed.
    for _ in 0..2 {
        podsub(&away, &data, &["update"]);
        assert_eq!(completed(&podsub(&away, &data, &["run", "--once"])), 0, "nothing is new");
    }
    drop(old);
    new.publish_with(&[], &[&short_episode("After").path]);
    podsub(&away, &data, &["update"]);
    let after = podsub(&away, &data, &["run", "--once"]);
    assert_eq!(completed(&after), 1, "{}", after.stderr);
    let feeds = podsub(&away, &data, &["feeds"]);
    assert_eq!(feeds.lines[0].json()["url"], feed.as_str());
}
