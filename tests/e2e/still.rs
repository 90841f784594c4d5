//! Shows as plain files, served by a web server that knows nothing of podcasts: nginx, from Debian.

use std::path::Path;
use std::process::Command;

use podswarm_tests::audio::sample;
use podswarm_tests::clients::Client;
use podswarm_tests::files::{assert_same_bytes, files_below, only_file_below, scratch};
use podswarm_tests::http;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{Ended, PATIENCE, Program};
use podswarm_tests::programs::{metainfo, podpub_on, podsub_on};
use podswarm_tests::web::Nginx;

/// What Python's feedparser makes of a feed: for each entry its title, its page, and the enclosure's address and type.
const PARSE: &str = "import feedparser, json, sys; feed = feedparser.parse(sys.argv[1]); print(json.dumps({'bozo': \
    str(feed.get('bozo_exception', '')), 'entries': [[e.title, e.link, e.enclosures[0].href, e.enclosures[0].type] for e \
    in feed.entries]}))";

#[track_caller]
fn run(name: &str, mut command: Command, data: &Path, args: &[&str]) -> Ended {
    command.args(args).args(["--json", "--data-dir"]).arg(data);
    let ended = Program::start(name, command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{name} {args:?}: {}", ended.stderr);
    ended
}

/// The type under which the publisher itself serves a file of that name.
fn type_of(name: &str) -> &'static str {
    match name.rsplit_once('.').expect("files of a site have extensions").1 {
        "atom" => "application/atom+xml; charset=utf-8",
        "conf" => "application/octet-stream",
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "jpg" => "image/jpeg",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "mp3" => "audio/mpeg",
        "opus" => "audio/ogg",
        "torrent" => "application/x-bittorrent",
        "vtt" => "text/vtt; charset=utf-8",
        "xml" => "application/rss+xml; charset=utf-8",
        _ => panic!("a site holds `{name}`"),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

/// The files of a site, served by nginx on `home` as its README says.
fn site(home: &Host, folder: &Path, base: &str) -> Program {
    let (data, site) = (folder.join("podpub"), folder.join("site"));
    let opus = folder.join("river.opus");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-i"]).arg(sample()).args(["-vn", "-c:a", "libopus"]).arg(&opus);
    assert!(ffmpeg.status().expect("ffmpeg starts").success());
    std::fs::write(folder.join("river.vtt"), "WEBVTT\n\n00:00.000 --> 00:01.000\nGrüße\n").expect("the disk has room");
    let podpub = || podpub_on(home, &[]);
    run("podpub init", podpub(), &data, &["init", "--title", "Grüße vom Fluß"]);
    for args in [&["--title", "Am Fluß", text(&opus)][..], &[text(&sample())]] {
        run("podpub publish", podpub(), &data, &[&["publish"], args].concat());
    }
    run("podpub export", podpub(), &data, &["export", "--site", text(&site), "--base-url", base]);
    let server = format!("include {}/nginx-include.conf;", site.display());
    Nginx { http: "include /etc/nginx/mime.types;", server: &server, ..Nginx::default() }.serve(home, folder, &site)
}

#[test]
fn a_site_of_files_behind_nginx_feeds_apps_agents_and_torrent_clients() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, listener] = ["server", "listener"].map(|name| net.host(name));
    let base = format!("http://{}:8080", home.v4());
    let _nginx = site(&home, folder.path(), &base);

    let root = folder.path().join("site");
    for file in files_below(&root).iter().filter(|file| !text(file).ends_with("/.podpub-site")) {
        let path = text(file.strip_prefix(&root).expect("it is below it"));
        let answer = http::get(&listener, &format!("{base}/{path}"), &[("range", "bytes=1-2")]);
        assert_eq!((answer.status, answer.header("content-type")), (206, type_of(path)), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
    }

    let feed = format!("{base}/shows/grusse-vom-fluss/feed.xml");
    let mut command = listener.command("/usr/bin/python3");
    command.args(["-c", PARSE, &feed]);
    let ended = Program::start("feedparser", command).end(PATIENCE);
    let parsed = ended.lines.first().unwrap_or_else(|| panic!("{}", ended.stderr)).json();
    assert_eq!(parsed["bozo"], "", "{parsed}");
    let entries = parsed["entries"].as_array().expect("a list");
    let mut titles: Vec<_> = entries.iter().map(|entry| entry[0].as_str().expect("a title")).collect();
    titles.sort_unstable();
    assert_eq!(titles, ["Am Fluß", "Hello, Swarm"]);
    for [page, media, mime] in entries.iter().map(|entry| [1, 2, 3].map(|n| entry[n].as_str().expect("text"))) {
        assert_eq!(http::get(&listener, page, &[]).status, 200, "{page}");
        assert_eq!(http::get(&listener, media, &[("range", "bytes=0-0")]).header("content-type"), mime, "{media}");
    }

    // An agent takes both; a torrent client takes one from the web seed, there being no tracker and nobody else.
    let data = folder.path().join("podsub");
    run("podsub add", podsub_on(&listener, &[]), &data, &["add", "--backlog", "all", &feed]);
    let ended = run("podsub run", podsub_on(&listener, &[]), &data, &["run", "--once"]);
    let complete = ended.lines.iter().filter(|line| line.event().as_deref() == Some("complete"));
    assert_eq!(complete.count(), 2, "{}", ended.stderr);
    let media = files_below(&root.join("media"));
    let episode = media.iter().find(|file| file.extension().is_some_and(|is| is == "mp3")).expect("the sample");
    let name = text(Path::new(episode.file_name().expect("a file has a name")));
    let served = metainfo(&listener, &format!("{base}/torrents/grusse-vom-fluss/{name}.torrent"));
    assert!(served.trackers.is_empty() && !served.web_seeds.is_empty(), "{served:?}");
    let torrent = folder.path().join("served.torrent");
    std::fs::write(&torrent, served.encode()).expect("the disk has room");
    let theirs = folder.path().join("aria2");
    Client::Aria2.download(&listener, &torrent, &theirs, PATIENCE);
    assert_same_bytes(episode, &only_file_below(&theirs));
}
