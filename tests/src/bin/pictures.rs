//! Makes the pictures of the pages anew that the READMEs show: `cargo run -p podswarm-tests --bin pictures`.
//!
//! A show with a release that spreads to six listeners, and its pages in a real browser. It takes two minutes, and
//! wants what the browser tests want.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use podswarm_tests::audio::{Format, long_episode, short_episode};
use podswarm_tests::browser::Browser;
use podswarm_tests::figure;
use podswarm_tests::files::scratch;
use podswarm_tests::net::{Host, Link, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, await_status, complete, podsub_on};

const HOME: Link = Link { up_mbit: 3, down_mbit: 50 };
const LISTENER: Link = Link { up_mbit: 2, down_mbit: 50 };

/// What a phone shows, and a window on a desk.
const NARROW: (u32, u32) = (390, 760);
const WIDE: (u32, u32) = (1000, 1240);

/// Titles, dates and what is said of the older episodes.
const OLDER: [(&str, &str, &str); 3] = [
    ("Under the Bridge", "2026-10-26T06:00:00Z", "Trains above, eels below, and a man who counts both."),
    ("Radio of the Harbour", "2026-11-02T06:00:00Z", "Channel 12 from midnight to four, with those who speak on it."),
    ("The Last Tram Home", "2026-11-09T06:00:00Z", "We ride line 9 to its end and walk back."),
];

const NOTES: &str = "The ferry leaves at ten past four with bread for the islands.\n\nWe stand at the rail with Jo, who has \
    steered her for thirty years, and listen to the town wake up from the water.";
const CHAPTERS: &str = "00:00 The last bus\n01:10 Line 9, backwards\n04:20 Jo at the wheel\n07:45 Bread\n09:30 Light\n";
const TRANSCRIPT: &str = "WEBVTT\n\n00:00.000 --> 00:06.000\nIt is ten to four, and the quay belongs to the gulls.\n\n\
    00:06.000 --> 00:12.000\nJo throws me a rope, which nobody told me about.\n";

/// Draws the cover into the page.
const COVER: &str = r##"
    document.body.style.margin = 0;
    document.body.innerHTML = `<svg viewBox="0 0 100 100" width="1400" height="1400" font-family="serif">
        <defs><linearGradient id="sky" x2="0" y2="1"><stop stop-color="#0d1b3e"/><stop offset=".7" stop-color="#32508a"/>
            <stop offset="1" stop-color="#e0a458"/></linearGradient></defs>
        <rect width="100" height="100" fill="url(#sky)"/>
        <circle cx="72" cy="30" r="13" fill="#f6e7c1"/><circle cx="67" cy="27" r="12" fill="#152650"/>
        <g fill="#f6e7c1"><circle cx="18" cy="16" r=".7"/><circle cx="33" cy="29" r=".5"/><circle cx="48" cy="12" r=".6"/>
            <circle cx="12" cy="42" r=".5"/><circle cx="88" cy="54" r=".6"/><circle cx="54" cy="41" r=".5"/></g>
        <path d="M0 74l9-3v-9h8v6h6V52h9v16h7v-6h10v9h8V56h7v15h9v-8h8v7h9v-5h10v35H0z" fill="#0a1226"/>
        <g fill="#fca311"><path d="M25 56h2v3h-2zm4 5h2v3h-2zM59 60h2v3h-2zm23 9h2v2h-2zM11 65h2v2h-2zM44 66h2v2h-2z"/></g>
        <path d="M0 84q25-3 50 0t50 0v16H0z" fill="#14213d"/>
        <text x="50" y="95" text-anchor="middle" font-size="11" letter-spacing="1.2" fill="#f6e7c1">NIGHT WALKS</text>
    </svg>`;
"##;

/// Waits for something in the page.
const UNTIL: &str = "const until = async look => { for (;;) { const seen = look(); if (seen) return seen;
    await new Promise(requestAnimationFrame); } };";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("pictures")
}

/// Runs a script in the page.
fn within(browser: &Browser, script: &str) {
    let told = browser.run(&format!("{UNTIL} {script}"));
    assert!(!told.as_str().is_some_and(|text| text.starts_with("failed:")), "{told}");
}

/// The episode without the cover in its tags, so that the show's is seen.
fn bare(episode: &Path, folder: &Path) -> PathBuf {
    let bare = folder.join(episode.file_name().expect("an episode has a name"));
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-i"]).arg(episode).args(["-map", "0:a", "-c", "copy"]).arg(&bare);
    assert!(ffmpeg.status().expect("ffmpeg starts").success());
    bare
}

/// Keeps a picture of the page.
fn keep(browser: &Browser, name: &str, (width, height): (u32, u32)) {
    let scale = if width < 500 { 1.5 } else { 1.0 };
    let picture = browser.picture_of(width, height, scale, "webp");
    figure(&format!("{name}.webp: {} bytes", picture.len()));
    fs::write(folder().join(format!("{name}.webp")), picture).expect("the project's folder is ours");
}

/// Runs a command of `podpub` beside the publisher, and gives the last line that it tells.
fn run(publisher: &Publisher, name: &str, args: &[&str]) -> serde_json::Value {
    let mut command = publisher.command(name);
    command.args(args);
    let ended = Program::start(&format!("podpub {name}"), command).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "podpub {name}: {}", ended.stderr);
    ended.lines.last().expect("it tells what it did").json()
}

/// A show with older episodes; gives the address of its feed.
fn show(publisher: &Publisher, browser: &Browser, folder: &Path) -> String {
    browser.open("about:blank");
    within(browser, COVER);
    let cover = folder.join("cover.png");
    fs::write(&cover, browser.picture_of(1400, 1400, 1.0, "png")).expect("the disk has room");
    let description = "Half an hour outdoors after dark, in one town, with whoever is up.";
    let said = ["--title", "Night Walks", "--author", "Ada Lind", "--category", "Society & Culture", "--description"];
    let cover = cover.to_str().expect("a path of ours");
    let more = [description, "--image", cover, "--funding", "Buy us a lamp; url=https://night-walks.example/lamp"];
    run(publisher, "init", &[&said[..], &more].concat());
    let mut feed = String::new();
    for ((title, at, notes), number) in OLDER.into_iter().zip(1..) {
        let number = number.to_string();
        let flags = ["--title", title, "--at", at, "--notes", notes, "--number", &number];
        feed = publisher.publish_with(&flags, &[bare(&short_episode(title).path, folder)]).feed;
    }
    feed
}

/// Publishes the long episode, which spreads for a while; gives its page.
fn release(publisher: &Publisher, folder: &Path) -> String {
    let [chapters, transcript] = ["chapters.txt", "said.vtt"].map(|name| folder.join(name));
    fs::write(&chapters, CHAPTERS).and_then(|()| fs::write(&transcript, TRANSCRIPT)).expect("the disk has room");
    let [chapters, transcript] = [&chapters, &transcript].map(|path| path.to_str().expect("a path of ours"));
    let flags = ["--title", "The Ferry at Dawn", "--number", "4", "--notes", NOTES, "--chapters", chapters];
    let more = ["--transcript", transcript, "--person", "Ada Lind", "--person", "Jo Sund; role=guest"];
    publisher.publish_with(&[&flags[..], &more].concat(), &[bare(&long_episode(Format::Mp3).path, folder)]).page
}

/// An agent that has the older episodes, and its data.
fn agent(host: &Host, folder: &Path, feed: &str) -> (Program, PathBuf) {
    let data = folder.join(host.name().replace(' ', "-"));
    let mut command = podsub_on(host, &[]);
    command.args(["add", "--backlog", "all", "--data-dir"]).arg(&data).arg(feed);
    let added = Program::start("podsub add", command).end(PATIENCE);
    assert_eq!(added.code, Some(0), "podsub add: {}", added.stderr);
    let mut command = podsub_on(host, &[]);
    command.args(["run", "--json", "--http-only=no", "--data-dir"]).arg(&data);
    let mut agent = Program::start(&format!("podsub on {}", host.name()), command);
    for _ in OLDER {
        complete(&mut agent, PATIENCE);
    }
    (agent, data)
}

/// The agent's page, in a browser beside it.
fn web_view(host: &Host, data: &Path, folder: &Path) -> Browser {
    let mut command = podsub_on(host, &[]);
    command.args(["web", "--url", "--json", "--data-dir"]).arg(data);
    let said = Program::start("podsub web", command).end(PATIENCE).lines.pop().expect("it tells the address").json();
    let browser = Browser::start(host, folder);
    browser.open(said["url"].as_str().expect("an address is text"));
    within(&browser, "await until(() => !$('view').hidden);");
    browser
}

fn main() {
    fs::create_dir_all(folder()).expect("the project's folder is ours");
    let (work, mut net) = (scratch(), Net::new());
    let [ours, theirs] = ["publisher", "listener"].map(|name| work.path().join(name));
    for path in [&ours, &theirs] {
        fs::create_dir(path).expect("the disk has room");
    }
    let home = net.host_behind("publisher", HOME);
    let publisher = Publisher::serve(&home, &work.path().join("podpub"), None);
    let browser = Browser::start(&home, &ours);
    let feed = show(&publisher, &browser, work.path());

    let hosts: Vec<Host> = (1..=6).map(|number| net.host_behind(&format!("listener {number}"), LISTENER)).collect();
    let agents: Vec<_> = hosts.iter().map(|host| agent(host, work.path(), &feed)).collect();
    let view = web_view(&hosts[0], &agents[0].1, &theirs);

    let made = run(&publisher, "token", &["add", "ada", "--role", "owner"]);
    let token = made["token"].as_str().expect("a token is text");
    let dashboard = format!("http://127.0.0.1:{}/dashboard#{token}", publisher.http_port);
    browser.open(&dashboard);
    let page = release(&publisher, work.path());
    await_status(&hosts[0], &agents[0].1, |status| status["downloads"].as_array().is_some_and(|all| !all.is_empty()));
    within(&view, "location.hash = '#transfers'; await until(() => document.querySelector('details'));");
    // The newest stands first.
    publisher.await_status(|status| status["episodes"][0]["swarm"]["copies_milli"].as_u64() >= Some(600));
    within(
        &view,
        "document.querySelector('details summary').click(); await until(() => document.querySelector('details tbody tr'));",
    );
    keep(&view, "podsub-transfers", WIDE);
    keep(&browser, "dashboard", WIDE);
    within(&view, "location.hash = '#listen'; await until(() => document.querySelector('article[data-id]'));");
    keep(&view, "podsub-listen", NARROW);

    browser.open(&page);
    keep(&browser, "episode", WIDE);
    keep(&browser, "episode-phone", NARROW);

    run(&publisher, "init", &["--private", "--title", "The Night Watch"]);
    browser.open(&dashboard);
    within(
        &browser,
        "const name = await until(() => document.querySelector('#shows input[name=name]'));
         name.value = 'Ann Lee'; name.form.requestSubmit(); await until(() => $('address').open);",
    );
    keep(&browser, "dashboard-subscriber", NARROW);
}
