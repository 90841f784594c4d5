//! Programs that follow podcasts and know no torrents, as listeners come from them or go on using them: gPodder and
//! newsboat, from Debian.

use std::path::{Path, PathBuf};
use std::process::Command;

use podswarm_tests::audio::short_episode;
use podswarm_tests::files::{assert_same_bytes, files_below, only_file_like, scratch};
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{Ended, PATIENCE, Program};
use podswarm_tests::programs::{Publisher, Release, podsub_on};
use podswarm_tests::terminal::Terminal;

/// What is said of the episode: all that an app might stumble over.
const SAID: [&str; 14] = [
    "--title",
    "Hello & welcome",
    "--notes",
    "By the <river>, see https://x.example/?a=1&b=2",
    "--person",
    "Ann Lee; role=guest; href=https://ann.example/",
    "--season",
    "2",
    "--season-name",
    "The \"river\"",
    "--soundbite",
    "A line; start=0:01; duration=15",
    "--tag",
    "<podcast:value type='lightning' method='keysend'><podcast:valueRecipient type='node' address='03' split='1'/></podcast:value>",
];

/// A listener's machine beside a publisher of one show with one episode.
struct Home {
    folder: tempfile::TempDir,
    _net: Net,
    _publisher: Publisher,
    listener: Host,
    feed: String,
    /// The file over HTTP.
    media: String,
    /// What was published.
    original: PathBuf,
}

impl Home {
    fn new() -> Self {
        let (folder, mut net) = (scratch(), Net::new());
        let (home, listener) = (net.host("publisher"), net.host("listener"));
        let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
        let original = short_episode("Hello").path;
        let Release { feed, media, .. } = publisher.publish_with(&SAID, std::slice::from_ref(&original));
        Self { folder, _net: net, _publisher: publisher, listener, feed, media, original }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    #[track_caller]
    fn run(name: &str, command: Command) -> Ended {
        let ended = Program::start(name, command).end(PATIENCE);
        assert_eq!(ended.code, Some(0), "{name}: {:?} {}", ended.lines, ended.stderr);
        ended
    }

    /// `podsub` with a data directory of this name.
    #[track_caller]
    fn podsub(&self, data: &str, arguments: &[&str]) -> Ended {
        let mut command = podsub_on(&self.listener, &[]);
        command.arg("--data-dir").arg(self.path(data)).args(arguments);
        Self::run("podsub", command)
    }

    /// `gpo`, gPodder's own command line.
    #[track_caller]
    fn gpo(&self, arguments: &[&str]) -> Ended {
        let mut command = self.listener.command("gpo");
        command.env("GPODDER_HOME", self.path("gpodder")).args(arguments);
        Self::run("gpo", command)
    }

    /// newsboat, with settings and feeds of its own.
    #[track_caller]
    fn newsboat(&self, arguments: &[&str]) -> Ended {
        let folder = self.path("newsboat");
        std::fs::create_dir_all(&folder).expect("the test's folder is ours");
        let config = folder.join("config");
        let settings = format!("podcast-auto-enqueue yes\ndownload-path \"{}/\"\n", folder.join("episodes").display());
        std::fs::write(&config, settings).expect("the test's folder is ours");
        // Without a feed it ends before it does anything.
        let urls = folder.join("urls");
        if !urls.exists() {
            std::fs::write(&urls, "http://127.0.0.1:1/none\n").expect("the test's folder is ours");
        }
        let mut command = self.listener.command("newsboat");
        command.env("HOME", &folder).arg("-C").arg(config).arg("-u").arg(urls).arg("-c").arg(folder.join("cache.db"));
        command.args(arguments);
        Self::run("newsboat", command)
    }
}

fn text(ended: &Ended) -> String {
    ended.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>().join("\n")
}

/// What newsboat has queued for podboat.
#[track_caller]
fn queue_below(folder: &Path) -> PathBuf {
    let mut files = files_below(folder).into_iter();
    files.find(|file| file.file_name().is_some_and(|name| name == "queue")).expect("something is queued")
}

fn path_text(path: &Path) -> &str {
    path.to_str().expect("paths of tests are text")
}

/// What Python's feedparser makes of a feed: for each entry its title, and what its enclosure says.
const PARSE: &str = "import feedparser, json, sys; feed = feedparser.parse(sys.argv[1]); print(json.dumps({'bozo': \
    bool(feed.bozo), 'entries': [[e.title, e.enclosures[0].href, e.enclosures[0].length, e.enclosures[0].type] for e in \
    feed.entries]}))";

#[test]
fn gpodder_podboat_and_feedparser_take_an_episode_from_what_we_keep() {
    let home = Home::new();
    let mut command = podsub_on(&home.listener, &[]);
    command.args(["--json", "--data-dir"]).arg(home.path("box")).args(["run", "--web", "0", &home.feed]);
    let mut agent = Program::start("podsub run", command);
    let (_, complete) = agent.event("complete", PATIENCE);
    let kept = std::fs::read(complete["path"].as_str().expect("a path")).expect("it is there");
    let view = home.podsub("box", &["--json", "phone"]).lines.first().expect("an answer").json();
    let url = view["url"].as_str().expect("it is open").to_owned();
    assert!(url.starts_with(&format!("http://{}:", home.listener.v4())), "{url}");

    let mut command = home.listener.command("/usr/bin/python3");
    command.args(["-c", PARSE, &url]);
    let parsed = Home::run("feedparser", command).lines.first().expect("an answer").json();
    let entry = &parsed["entries"][0];
    assert!(parsed["bozo"] == false && entry[0].as_str().expect("a title").ends_with("Hello & welcome"), "{parsed}");
    assert_eq!((&entry[2], &entry[3]), (&kept.len().to_string().into(), &"audio/mpeg".into()));

    home.gpo(&["subscribe", &url]);
    home.gpo(&["download"]);
    let downloads = files_below(&home.path("gpodder/Downloads"));
    let is_kept = |path: &PathBuf| std::fs::read(path).is_ok_and(|bytes| bytes == kept);
    assert!(downloads.iter().any(is_kept), "{downloads:?}");

    std::fs::create_dir_all(home.path("newsboat")).expect("the test's folder is ours");
    std::fs::write(home.path("newsboat/urls"), format!("{url}\n")).expect("the test's folder is ours");
    let unread = text(&home.newsboat(&["-x", "reload", "print-unread"]));
    assert!(unread.contains("1 unread"), "{unread}");
    // What newsboat has queued its podboat fetches, which needs a terminal.
    let folder = home.path("newsboat");
    let terminal = Terminal::open(&home.listener, home.folder.path(), 80, 24);
    let (config, queue) = (folder.join("config"), queue_below(&folder));
    terminal.write_line(&format!("podboat -a -C {} -q {}; echo ended with $?", config.display(), queue.display()));
    let is_done = |screen: &str| screen.contains("[100.0 %]") && screen.contains("ready");
    terminal.wait_for("podboat's copy", is_done);
    assert!(files_below(&folder.join("episodes")).iter().any(is_kept), "it is the same");
    terminal.press("q");
    terminal.wait_for("podboat's end", |screen| screen.contains("ended with 0"));
    assert_eq!(agent.stop(PATIENCE).code, Some(0));
}

/// mygpoclient, the library of gPodder and others: refused without the password, then a list and a play go up.
const UP: &str = "
import sys
from mygpoclient import api, http
server, user, password, feed, media = sys.argv[1:]
try:
    api.MygPodderClient(user, 'wrong', server).get_devices()
    sys.exit('a wrong password is let in')
except http.Unauthorized:
    pass
client = api.MygPodderClient(user, password, server)
assert client.update_device_settings('desk', 'At the desk', 'desktop')
assert client.put_subscriptions('desk', [feed])
assert client.get_subscriptions('desk') == [feed]
assert [(d.device_id, d.caption, d.type, d.subscriptions) for d in client.get_devices()] == [('desk', 'At the desk', 'desktop', 1)]
result = client.update_subscriptions('desk', ['http://192.168.1.1/feed'], [])
assert result.update_urls == [('http://192.168.1.1/feed', '')], result.update_urls
play = api.EpisodeAction(feed, media, 'play', 'desk', '2020-11-20T06:00:00', 0, 1, 600)
print(client.upload_episode_actions([play]))
";

/// The same: what was played since.
const DOWN: &str = "
import sys
from mygpoclient import api
server, user, password, since, feed, media = sys.argv[1:]
client = api.MygPodderClient(user, password, server)
changes = client.download_episode_actions(int(since))
print([(a.action, a.position) for a in changes.actions if (a.podcast, a.episode) == (feed, media)])
client.update_subscriptions('desk', [], [feed])
assert client.pull_subscriptions('desk', int(since)).remove == [feed]
";

/// gPodder's own part for gpodder.net. It asks the server when the program ends, so that what one run was told the next
/// one knows.
const GPODDER: &str = "
import sys, types
import gpodder
from gpodder import config, my
server, user, password, feed, media = sys.argv[1:]
settings = config.Config(gpodder.home + '/Settings.json')
settings.mygpo.server, settings.mygpo.username, settings.mygpo.password = server, user, password
settings.mygpo.device.uid, settings.mygpo.device.caption = 'gpodder', 'gPodder'
settings.mygpo.enabled = True
client = my.MygPoClient(settings)
print('list', [(a.is_add, a.url) for a in client.get_received_actions()])
class Episode:
    url, channel = media, types.SimpleNamespace(url=feed)
    current_position = current_position_updated = total_time = 0
    mark = save = lambda self, **how: None
episode = Episode()
client.process_episode_actions(lambda podcast, url: episode if (podcast, url) == (feed, media) else None)
print('position', episode.current_position)
if not episode.current_position:
    client.create_device()
    client.on_subscribe([feed])
    client.on_playback_full(episode, 0, 2, 600)
";

#[test]
fn gpodder_and_its_library_are_kept_in_step_with_us() {
    let home = Home::new();
    let mut command = podsub_on(&home.listener, &[]);
    command.args(["--json", "--data-dir"]).arg(home.path("box")).args(["run", "--web", "0"]);
    let mut agent = Program::start("podsub run", command);
    let (_, at) = agent.wait_for("the web listener", PATIENCE, |line| {
        let event = line.json();
        (event["kind"] == "web").then(|| event["addr"].as_str().expect("an address").to_owned())
    });
    let view = home.podsub("box", &["--json", "phone", "--sync"]).lines.first().expect("an answer").json();
    let said = |name: &str| view["sync"][name].as_str().expect("it tells how").to_owned();
    let (server, user, password) = (said("server"), said("user"), said("password"));
    let python = |script: &str, arguments: &[&str]| {
        let mut command = home.listener.command("/usr/bin/python3");
        command.env("GPODDER_HOME", home.path("gpodder")).args(["-c", script, &server, &user, &password]);
        command.args(arguments);
        text(&Home::run("python3", command))
    };
    std::fs::create_dir_all(home.path("gpodder")).expect("the test's folder is ours");
    let since = python(UP, &[&home.feed, &home.media]);
    agent.event("complete", PATIENCE);
    let feeds = text(&home.podsub("box", &["feeds"]));
    assert!(feeds.contains(home.feed.as_str()) || feeds.lines().count() == 2, "{feeds}");
    let heard =
        || home.podsub("box", &["--json", "info", "1/1"]).lines.first().expect("an answer").json()["heard"].clone();
    assert_eq!(
        (&heard()["position"], &heard()["device"]),
        (&1.into(), &"desk".into()),
        "what came before the feed was read"
    );

    // gPodder learns at its end; what it played comes to us, and what is played here to it.
    python(GPODDER, &[&home.feed, &home.media]);
    let told = python(GPODDER, &[&home.feed, &home.media]);
    assert!(told.contains(&format!("(True, '{}')", home.feed)) && told.contains("position 1"), "{told}");
    let token = std::fs::read_to_string(home.path("box/page-token")).expect("the agent has one");
    let mut command = home.listener.command("curl");
    let body = r#"{"ask":"heard","episode":"1/1","position":3,"total":600}"#;
    command.args(["-sSf", "-H", "content-type: application/json", "-d", body, &format!("http://{at}/api/v1/ask")]);
    command.args(["-H", &format!("authorization: Bearer {}", token.trim())]);
    Home::run("curl", command);
    let down = python(DOWN, &[since.trim(), &home.feed, &home.media]);
    assert!(down.contains("('play', 3)"), "{down}");
    let feeds = text(&home.podsub("box", &["feeds"]));
    assert!(feeds.contains("no feeds are followed"), "{feeds}");
    assert_eq!(agent.stop(PATIENCE).code, Some(0));
}

#[test]
fn gpodder_takes_our_subscriptions_and_gives_them_back() {
    let home = Home::new();
    let (ours, theirs) = (home.path("ours.opml"), home.path("theirs.opml"));
    home.podsub("first", &["add", &home.feed]);
    home.podsub("first", &["export", path_text(&ours)]);
    home.gpo(&["import", path_text(&ours)]);
    let list = text(&home.gpo(&["list"]));
    assert!(list.contains(&home.feed), "{list}");
    home.gpo(&["export", path_text(&theirs)]);
    home.podsub("second", &["import", path_text(&theirs)]);
    let feeds = text(&home.podsub("second", &["--json", "feeds"]));
    assert!(feeds.contains(&home.feed), "{feeds}");
}

#[test]
fn newsboat_takes_our_subscriptions_and_gives_them_back() {
    let home = Home::new();
    let (ours, theirs) = (home.path("ours.opml"), home.path("theirs.opml"));
    home.podsub("first", &["add", &home.feed]);
    home.podsub("first", &["export", path_text(&ours)]);
    home.newsboat(&[&format!("--import-from-opml={}", path_text(&ours))]);
    let list = text(&home.newsboat(&["--export-to-opml"]));
    assert!(list.contains(&home.feed), "{list}");
    std::fs::write(&theirs, list).expect("the test's folder is ours");
    home.podsub("second", &["import", path_text(&theirs)]);
    let feeds = text(&home.podsub("second", &["--json", "feeds"]));
    assert!(feeds.contains(&home.feed), "{feeds}");
}

#[test]
fn gpodder_fetches_an_episode_of_our_feed() {
    let home = Home::new();
    home.gpo(&["subscribe", &home.feed]);
    home.gpo(&["update"]);
    home.gpo(&["download"]);
    assert_same_bytes(&home.original, &only_file_like(&home.original, &home.path("gpodder")));
}

#[test]
fn newsboat_queues_an_episode_of_our_feed_for_its_podboat() {
    let home = Home::new();
    let folder = home.path("newsboat");
    std::fs::create_dir_all(&folder).expect("the test's folder is ours");
    std::fs::write(folder.join("urls"), format!("{}\n", home.feed)).expect("the test's folder is ours");
    home.newsboat(&["-x", "reload"]);
    let queued = std::fs::read_to_string(queue_below(&folder)).expect("a queue is text");
    assert!(queued.starts_with(&home.media), "{queued}");
}
