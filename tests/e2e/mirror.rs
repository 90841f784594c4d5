//! A copy of the files elsewhere, to which those are led whom the line has no room for.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use podswarm_tests::files::{MIB, assert_same_bytes, files_below, random_file, scratch};
use podswarm_tests::http;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, podpub_on};
use podswarm_tests::web::Site;

const PLAYER: &str = "AntennaPod/3.2.0";

/// The path of a URL, and what stands before it.
fn parts(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").expect("tests have no certificates");
    let (server, _) = rest.split_once('/').expect("media have a path");
    (server, &rest[server.len()..])
}

/// Asks from `host` for what is at `url`, reads no more than the head of the answer, and goes away. Nobody counts who
/// has no name.
#[track_caller]
fn ask(host: &Host, method: &str, url: &str, header: &str) -> (u16, Option<String>) {
    let (server, path) = parts(url);
    let head = host.within(|| {
        let mut stream = TcpStream::connect(server)?;
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: {server}\r\n{header}Connection: close\r\n\r\n")?;
        let lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
        Ok::<_, std::io::Error>(lines.collect::<Vec<_>>())
    });
    let head = head.expect("the publisher answers");
    let status = head[0].split(' ').nth(1).and_then(|status| status.parse().ok()).expect("an answer has a status");
    (status, head.iter().find_map(|line| line.strip_prefix("location: ")).map(str::to_owned))
}

#[test]
fn who_finds_the_line_full_is_led_to_a_mirror_that_has_the_file_and_counted() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away, busy, one] = ["publisher", "mirror", "busy", "one"].map(|name| net.host(name));
    let mirror = Site::start(&away);
    let (data, base) = (folder.path().join("podpub"), mirror.url(""));
    let flags = ["--up", "100KiB/s", "--mirror", &base];
    let publisher = Publisher::serve_with(&home, &data, Some(home.v4()), &flags);
    let here_alone = publisher.publish(&random_file(&folder.path().join("Here.mp3"), 24 * MIB, 1)).media;
    let file = random_file(&folder.path().join("There.mp3"), MIB, 2);
    let release = publisher.publish(&file);
    let there = release.media.as_str();

    // The mirror has all of an export but the first episode.
    let site = folder.path().join("site");
    let mut command = publisher.command("export");
    command.arg("--site").arg(&site).args(["--base-url", &base]);
    let ended = Program::start("podpub export", command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for file in files_below(&site.join("media")) {
        let path = format!("/{}", file.strip_prefix(&site).expect("it is below it").display());
        if path != parts(&here_alone).1 {
            mirror.put(&path, "audio/mpeg", std::fs::read(&file).expect("it was written"));
        }
    }
    assert_eq!(ask(&one, "GET", there, "").0, 200, "the line is free");

    let mut taker = busy.command("curl");
    taker.args(["--silent", "--output", "/dev/null", "--user-agent", PLAYER, &here_alone]);
    let _taker = Program::start("curl", taker);
    let status = publisher.await_status(|status| {
        assert_eq!(ask(&one, "GET", &here_alone, "").0, 200, "the mirror does not have it");
        status["mirror"]["trouble"].is_string()
    });
    assert!(status["mirror"]["trouble"].as_str().is_some_and(|it| it.contains("404")), "{}", status["mirror"]);
    assert_eq!(status["mirror"]["led"], 0);

    let end = Instant::now() + PATIENCE;
    let location = loop {
        match ask(&one, "GET", there, "") {
            (302, location) => break location.expect("it leads somewhere"),
            (status, _) => assert!(status == 200 && Instant::now() < end, "{status}"),
        }
    };
    assert_eq!(location, mirror.url(parts(there).1));
    for (method, header, want) in [
        ("HEAD", "", 200),
        ("GET", "Range: bytes=0-99999\r\n", 206),
        ("GET", "Range: bytes=0-\r\nUser-Agent: qBittorrent/4.6.0\r\n", 206),
        ("GET", "Origin: https://player.example\r\n", 200),
    ] {
        assert_eq!(ask(&one, method, there, header).0, want, "{method} {header}");
    }
    assert!(http::get(&one, &release.page, &[]).header("content-security-policy").contains(&format!("'self' {base};")));

    // It counts once, as what comes from here does.
    let got = folder.path().join("got.mp3");
    for _ in 0..2 {
        let mut command = one.command("curl");
        command.args(["--silent", "--fail", "--location", "--user-agent", PLAYER, "--output"]).arg(&got);
        command.args(["--write-out", "%{num_redirects}\n", there]);
        let ended = Program::start("curl", command).end(PATIENCE);
        assert_eq!((ended.code, &*ended.lines[0].text), (Some(0), "1"));
        assert_same_bytes(&file, &got);
    }
    let ended = Program::start("podpub stats", publisher.command("stats")).end(PATIENCE);
    let counted: u64 = ended.lines.iter().filter_map(|line| line.json()["http"].as_u64()).sum();
    assert_eq!(counted, 1);
    assert!(publisher.full_status()["mirror"]["led"].as_u64() >= Some(3));
}

#[test]
fn a_publisher_is_not_its_own_mirror() {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let mut command = podpub_on(&home, &[]);
    let flags = ["--public-url", "http://pods.example/x", "--mirror", "http://pods.example/x/"];
    command.args(["serve", "--data-dir"]).arg(folder.path()).args(flags);
    let ended = Program::start("podpub", command).end(PATIENCE);
    assert!(ended.code == Some(2) && ended.stderr.contains("this publisher itself"), "{}", ended.stderr);
}
