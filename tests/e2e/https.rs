//! The feed over https, as ordinary programs take it: with a certificate of an authority that they trust, which is
//! renewed while people listen.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use chrono::TimeDelta;
use podswarm_tests::audio::short_episode;
use podswarm_tests::authority::{Authority, Pair};
use podswarm_tests::files::{assert_same_bytes, scratch};
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{Ended, PATIENCE, Program};
use podswarm_tests::programs::{Publisher, complete, podpub_on, podsub_on};

/// Publisher and listener, and who signs for them.
struct World {
    folder: tempfile::TempDir,
    authority: Authority,
    home: Host,
    away: Host,
    _net: Net,
}

impl World {
    fn new() -> Self {
        let (folder, mut net) = (scratch(), Net::new());
        let [home, away] = ["publisher", "listener"].map(|name| net.host(name));
        let authority = Authority::new("authority", folder.path());
        Self { folder, authority, home, away, _net: net }
    }

    /// A certificate for the publisher's address.
    fn pair(&self) -> Pair {
        self.authority.issue(&[&self.home.v4().to_string()])
    }

    /// A publisher that shows this one.
    #[track_caller]
    fn serve(&self, pair: &Pair) -> Publisher {
        let paths = pair.write(self.folder.path());
        let [chain, key] = paths.each_ref().map(|path| path.to_str().expect("a path is text"));
        let flags = ["--tls-cert", chain, "--tls-key", key];
        Publisher::serve_with(&self.home, &self.folder.path().join("podpub"), None, &flags)
    }

    /// `curl` on the listener's host, which trusts `root`.
    fn curl(&self, root: &Path, args: &[&str]) -> Command {
        let mut command = self.away.command("curl");
        command.args(["--silent", "--show-error", "--max-time", "60", "--cacert"]).arg(root).args(args);
        command
    }

    /// What it says of an answer, whose body is not shown: the version of HTTP, the status, and where it leads.
    #[track_caller]
    fn ask(&self, url: &str, version: &str) -> String {
        let told = "%{http_version} %{http_code} %{redirect_url}\n";
        let command = self.curl(self.authority.root(), &[version, "--output", "/dev/null", "--write-out", told, url]);
        let ended = Program::start("curl", command).end(PATIENCE);
        assert_eq!(ended.code, Some(0), "{url}: {}", ended.stderr);
        ended.lines[0].text.trim_end().to_owned()
    }
}

#[test]
fn a_feed_over_https_is_taken_by_agents_and_over_http_2() {
    let world = World::new();
    let publisher = world.serve(&world.pair());
    let audio = short_episode("In Secret");
    let release = publisher.publish(&audio.path);
    let base = format!("https://{}/", world.home.v4());
    for url in [&release.feed, &release.page, &release.media, &release.torrent] {
        assert!(url.starts_with(&base), "{url}");
        assert_eq!(world.ask(url, "--http2"), "2 200");
        assert_eq!(world.ask(url, "--http1.1"), "1.1 200");
    }
    // Over plain http pages lead on, and programs get what they ask for.
    let plain = |url: &str| url.replace(&base, &format!("http://{}:{}/", world.home.v4(), publisher.http_port));
    assert_eq!(world.ask(&plain(&release.page), "--http1.1"), format!("1.1 301 {}", release.page));
    for url in [&release.feed, &release.media, &release.torrent] {
        assert_eq!(world.ask(&plain(url), "--http1.1"), "1.1 200");
    }

    let mut command = podsub_on(&world.away, &[]);
    command.env("SSL_CERT_FILE", world.authority.root());
    command.args(["run", "--json", "--data-dir"]).arg(world.folder.path().join("podsub")).arg(&release.feed);
    let mut agent = Program::start("podsub", command);
    let (_, file) = complete(&mut agent, PATIENCE);
    assert_same_bytes(&audio.path, &file);
}

#[test]
fn a_renewed_certificate_is_shown_and_no_stream_ends() {
    let world = World::new();
    let publisher = world.serve(&world.pair());
    let events = publisher.publish(&short_episode("Before").path).feed.replace("feed.xml", "events");
    let mut streams = ["--http2", "--http1.1"].map(|version| {
        let command = world.curl(world.authority.root(), &[version, "--no-buffer", "--max-time", "120", &events]);
        let mut stream = Program::start("curl", command);
        stream.wait_for("greeting", PATIENCE, |line| line.text.starts_with("retry").then_some(()));
        stream
    });
    // Of another authority, so that who trusts it alone tells one from the other.
    let next = Authority::new("next", world.folder.path());
    next.issue(&[&world.home.v4().to_string()]).write(world.folder.path());
    let end = Instant::now() + PATIENCE;
    while ask_healthz(&world, next.root()).code != Some(0) {
        assert!(Instant::now() < end, "{}", publisher.program.stderr());
    }
    assert_ne!(ask_healthz(&world, world.authority.root()).code, Some(0), "the one before is shown to nobody");
    publisher.publish(&short_episode("After").path);
    for stream in &mut streams {
        stream.wait_for("release", PATIENCE, |line| (line.text == "event: episode").then_some(()));
    }
}

fn ask_healthz(world: &World, root: &Path) -> Ended {
    let url = format!("https://{}/healthz", world.home.v4());
    Program::start("curl", world.curl(root, &[&url])).end(PATIENCE)
}

#[test]
fn a_certificate_that_is_no_good_is_refused_in_a_sentence() {
    let world = World::new();
    let (good, other) = (world.pair(), world.authority.issue(&["other.example"]));
    let serve = |pair: &Pair, more: &[&str]| {
        let [chain, key] = pair.write(world.folder.path());
        let mut command = podpub_on(&world.home, &[]);
        command.arg("serve").arg("--data-dir").arg(world.folder.path().join("podpub"));
        command.arg("--tls-cert").arg(chain).arg("--tls-key").arg(key).args(more);
        Program::start("podpub serve", command)
    };
    let here = format!("https://{}", world.home.v4());
    let cut = Pair { chain: good.chain[..300].to_owned(), ..good.clone() };
    let foreign = Pair { key: other.key.clone(), ..good.clone() };
    let empty = Pair { chain: String::new(), ..good.clone() };
    for (pair, says, way_out) in [
        (cut, "chain.pem` is damaged", "have the authority"),
        (foreign, "is not that of the first certificate in", "belong together"),
        (empty, "chain.pem` holds no certificate", "BEGIN CERTIFICATE"),
        (other, "is for other.example; the public URL's host is", "--public-url"),
    ] {
        let ended = serve(&pair, &["--public-url", &here]).end(PATIENCE);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains(says) && ended.stderr.contains(way_out), "{says}: {}", ended.stderr);
    }
    // One that has ended is shown all the same: plain http, the tracker and the swarm go on.
    let past = world.authority.issue_until(&[&world.home.v4().to_string()], -TimeDelta::days(1));
    let mut serving = serve(&past, &[]);
    serving.wait_for("https", PATIENCE, |line| line.text.starts_with("listening https").then_some(()));
    let ended = serving.stop(PATIENCE);
    assert!(ended.stderr.contains("ended on") && ended.stderr.contains("refuse it"), "{}", ended.stderr);
}
