//! Several people drive one publisher, from other machines, each as far as the owner lets him.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use podswarm_tests::audio::short_episode;
use podswarm_tests::files::scratch;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{Ended, PATIENCE, Program};
use podswarm_tests::programs::{Publisher, podpub};
use serde_json::Value;

/// Makes a token with that role, and gives a file that holds it.
#[track_caller]
fn token(publisher: &Publisher, folder: &Path, role: &str) -> PathBuf {
    let mut command = publisher.command("token");
    command.args(["add", role, "--role", role]);
    let ended = Program::start("podpub token", command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let made: Value = ended.lines.last().expect("a token is told").json();
    let path = folder.join(role);
    std::fs::write(&path, made["token"].as_str().expect("a token is text")).expect("the file is written");
    path
}

/// Runs `podpub` on `host`, with a data directory of its own, against the publisher at `ip` with that token.
#[track_caller]
fn from(host: &Host, ip: IpAddr, publisher: &Publisher, token: &Path, args: &[&str]) -> Ended {
    let mut command = host.command(podpub());
    command.arg("--json").arg("--data-dir").arg(token.with_extension("data"));
    command.args(["--server", &format!("http://{}", SocketAddr::new(ip, publisher.http_port))]);
    command.arg("--token-file").arg(token).args(args);
    Program::start("podpub elsewhere", command).end(PATIENCE)
}

#[test]
fn an_editor_publishes_from_elsewhere_and_a_reader_only_looks() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, desk] = ["publisher", "desk"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let [reader, editor] = ["read-only", "editor"].map(|role| token(&publisher, folder.path(), role));
    let audio = short_episode("From Afar");
    let path = audio.path.to_str().expect("a path is text");

    let refused = from(&desk, home.v4(), &publisher, &editor, &["publish", path]);
    assert!(refused.code == Some(1) && refused.stderr.contains("https"), "the line can be read: {}", refused.stderr);

    // As through `ssh -L`, which comes out on the publisher's machine.
    let tunnel = |token: &Path, args: &[&str]| from(&home, Ipv4Addr::LOCALHOST.into(), &publisher, token, args);
    let refused = tunnel(&reader, &["publish", path]);
    assert!(refused.code == Some(1) && refused.stderr.contains("role editor"), "{}", refused.stderr);
    let done = tunnel(&editor, &["publish", path]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let told: Value = done.lines.last().expect("an episode is told").json();
    assert_eq!((&told["live"], &told["episode"]["title"]), (&true.into(), &audio.title.as_str().into()));

    let listed = tunnel(&reader, &["episodes"]);
    assert!(listed.code == Some(0) && listed.lines.len() == 1, "{}", listed.stderr);
    let refused = tunnel(&editor, &["edit", "--title", "Mine"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("role owner"), "{}", refused.stderr);

    let mut revoke = publisher.command("token");
    revoke.args(["revoke", "editor"]);
    assert_eq!(Program::start("podpub token", revoke).end(PATIENCE).code, Some(0));
    let refused = tunnel(&editor, &["episodes"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("token"), "{}", refused.stderr);
}
