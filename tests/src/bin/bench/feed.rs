//! The feed: conditional requests and whole ones, against nginx.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use podswarm_tests::files::{random_file, scratch};
use podswarm_tests::http;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::Publisher;
use podswarm_tests::web::Nginx;

use crate::report::{Section, median, short};
use crate::tracker::wrk;

/// Episodes of the show.
const EPISODES: u64 = 60;
/// How long each is asked.
const TIME: Duration = Duration::from_secs(5);

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    /// The asker has it already.
    Known,
    Zipped,
    Plain,
}

impl Ask {
    const ALL: [Self; 3] = [Self::Known, Self::Zipped, Self::Plain];

    fn name(self) -> &'static str {
        match self {
            Self::Known => "304",
            Self::Zipped => "200, gzip",
            Self::Plain => "200, plain",
        }
    }
}

pub(crate) fn measure(runs: usize) -> Section {
    let mut section = Section {
        name: "feed",
        title: "The feed host".to_owned(),
        text: format!(
            "`wrk` asks for the feed of a show with {EPISODES} episodes over 64 connections. nginx has one worker, Debian's settings and the \
             same feed as a file, zipped beforehand. Answers per second on two cores shared with the asker, and per second of the \
             server's processor time."
        ),
        columns: vec!["", "asked for", "answers a second", "answers a second of processor"],
        rows: Vec::new(),
        bars: Vec::new(),
        bars_say: "thousand answers a second of processor".to_owned(),
        limit: None,
    };
    for ask in Ask::ALL {
        for ours in [true, false] {
            let (rates, per_core): (Vec<f64>, Vec<f64>) = (0..runs).map(|_| run(ask, ours)).unzip();
            let (rate, per_core) = (median(rates), median(per_core));
            let who = if ours { "Podswarm" } else { "nginx" };
            section.rows.push(vec![
                who.to_owned(),
                ask.name().to_owned(),
                format!("{} k", short(rate / 1e3)),
                format!("{} k", short(per_core / 1e3)),
            ]);
            section.bars.push((format!("{who}, {}", ask.name()), per_core / 1e3));
        }
    }
    section
}

/// Answers a second, and a second of the server's processor.
fn run(ask: Ask, ours: bool) -> (f64, f64) {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), Some(home.v4()));
    let media = folder.path().join("media");
    std::fs::create_dir(&media).expect("the run's folder is ours");
    let files: Vec<_> =
        (0..EPISODES).map(|n| random_file(&media.join(format!("Episode {n:03}.mp3")), 1 << 14, n)).collect();
    let feed = publisher.publish_with(&[], &files).feed;
    let (program, url) = if ours {
        (publisher.program, feed)
    } else {
        let body = http::get(&home, &feed, &[]).body;
        let url = format!("http://{}/feed.xml", SocketAddr::new(home.v4(), 8080));
        (nginx(&home, folder.path(), &body), url)
    };
    let (zipped, known) = ("Accept-Encoding: gzip", format!("If-None-Match: {}", tag(&home, &url)));
    let headers: &[(&str, &str)] = match ask {
        Ask::Known => &[("-H", zipped), ("-H", &known)],
        Ask::Zipped => &[("-H", zipped)],
        Ask::Plain => &[],
    };
    let (before, began) = (program.cpu_time(), Instant::now());
    let answers = wrk(&home, &url, TIME, headers);
    let (took, used) = (began.elapsed(), program.cpu_time().saturating_sub(before));
    (answers / took.as_secs_f64(), answers / used.as_secs_f64())
}

/// The tag of the zipped feed, with which it need not be sent again.
fn tag(host: &Host, url: &str) -> String {
    // The client asks for gzip by itself.
    let tag = http::get(host, url, &[]).header("etag").to_owned();
    assert_eq!(http::get(host, url, &[("if-none-match", &tag)]).status, 304);
    tag
}

fn nginx(host: &Host, folder: &Path, feed: &[u8]) -> Program {
    let root = folder.join("nginx");
    std::fs::create_dir(&root).expect("the run's folder is ours");
    std::fs::write(root.join("feed.xml"), feed).expect("the run's folder is ours");
    let mut gzip = host.command("gzip");
    gzip.arg("--keep").arg(root.join("feed.xml"));
    Program::start("gzip", gzip).end(PATIENCE);
    let log = folder.join("access.log");
    let http = "sendfile on; tcp_nopush on; types_hash_max_size 2048; include /etc/nginx/mime.types;\n\
        default_type application/octet-stream; gzip on; gzip_static on;";
    let server = format!("access_log {};", log.display());
    Nginx { main: "master_process off;", http, server: &server }.serve(host, folder, &root)
}
