//! The owner's rules, as he says them: on the command line, in the file, and later.

use std::path::Path;

use podswarm_core::metainfo::Metainfo;
use serde_json::{Value, json};

use super::extras::question;
use super::rests::{fetched, status};
use super::{Agent, Host, PATIENCE, bytes, done, folder, json_lines, output, torrent};

/// Runs the agent once.
async fn once(dir: &Path) {
    done(&output(dir, &["run", "--once", "--peer-port", "0"]).await);
}

async fn episodes(dir: &Path, args: &[&str]) -> Vec<Value> {
    json_lines(&done(&output(dir, &[&["--json", "episodes"], args].concat()).await))
}

fn release(host: &Host, name: &str, title: &str) {
    let file = format!("{name}.mp3");
    host.put(&file, bytes(20_000, u8::try_from(name.len()).expect("names are short")));
    host.release(name, title, &format!("/media/{file}"));
}

#[tokio::test]
async fn what_is_not_taken_is_listed_with_its_reason() {
    let (host, dir) = (Host::start().await, folder());
    release(&host, "old", "Before");
    release(&host, "first", "The first");
    let rules = ["--skip", "/trailer/", "--name", "{year}/{id:03} {title}"];
    done(&output(dir.path(), &[&["add", &host.url("/feed.xml")][..], &rules].concat()).await);
    once(dir.path()).await;
    release(&host, "trailer", "A Trailer");
    release(&host, "second", "The second");
    once(dir.path()).await;
    let library = dir.path().join("data/library/Night Walks");
    assert!(library.join("2026/002 The first.mp3").is_file() && library.join("2026/004 The second.mp3").is_file());

    let why = episodes(dir.path(), &["--why"]).await;
    let reasons: Vec<_> = why.iter().map(|it| (it["guid"].as_str(), it["why"].as_str())).collect();
    let want = [("old", "it was there before the feed was followed"), ("trailer", "the rule `skip /trailer/`")];
    assert_eq!(reasons, want.map(|(guid, why)| (Some(guid), Some(why))));
    let table = done(&output(dir.path(), &["episodes", "--why"]).await);
    assert!(table.lines().count() == 2 && table.contains("A Trailer"), "{table}");

    let edited = done(&output(dir.path(), &["edit", "night", "--keep", "1", "--forget", "skip"]).await);
    assert_eq!(edited.trim_end(), "1 Night Walks: keep 1; name {year}/{id:03} {title}");
    let info = done(&output(dir.path(), &["info", "1"]).await);
    assert!(info.contains("rule         keep 1"), "{info}");
    // The rule deletes what podsub has fetched, and not what its owner has changed since.
    let mine = library.join("2026/002 The first.mp3");
    std::fs::write(&mine, "cut to what matters").expect("the folder is ours");
    release(&host, "third", "The third");
    once(dir.path()).await;
    assert!(mine.is_file() && !library.join("2026/004 The second.mp3").exists());
    assert!(library.join("2026/005 The third.mp3").is_file());
    let gone =
        episodes(dir.path(), &["--why"]).await.into_iter().find(|it| it["guid"] == "second").expect("it is listed");
    assert_eq!((&gone["stage"], &gone["why"]), (&"gone".into(), &"the 1 newest are kept".into()));

    // The page's history has both, what left after what came in its place.
    let mut agent = Agent::start(dir.path(), &["--http-only"]);
    agent.wait_for("listening").await;
    let past = question(dir.path(), &json!({ "ask": "recent", "most": 9 })).await;
    let past: Vec<_> = past["episodes"].as_array().expect("a list").iter().map(|it| it["guid"].as_str()).collect();
    assert_eq!(past[..2], [Some("second"), Some("third")], "{past:?}");
}

#[tokio::test]
async fn rules_of_the_configuration_file_are_those_of_all_feeds() {
    let (host, dir) = (Host::start().await, folder());
    std::fs::create_dir_all(dir.path().join("data")).expect("the folder is ours");
    let config = dir.path().join("data/config.toml");
    std::fs::write(&config, "skip = [\"rerun\", \"size>1GB\"]\nquota = \"45kB\"\n").expect("the folder is ours");
    release(&host, "one", "One");
    release(&host, "rerun", "A Rerun");
    done(&output(dir.path(), &["add", &host.url("/feed.xml"), "--backlog", "all"]).await);
    let feed = json_lines(&done(&output(dir.path(), &["--json", "feeds"]).await)).remove(0);
    assert_eq!(feed["rules"], serde_json::json!({}), "the feed has none of its own");
    for (name, title) in [("two", "Two"), ("three", "Three")] {
        once(dir.path()).await;
        release(&host, name, title);
    }
    once(dir.path()).await;
    let stages: Vec<_> = episodes(dir.path(), &[]).await.iter().map(|it| it["stage"].clone()).collect();
    assert_eq!(stages.iter().filter(|stage| **stage == "complete").count(), 2, "{stages:?}");

    std::fs::write(&config, "skip = [\"lenght>20m\"]\n").expect("the folder is ours");
    let refused = output(dir.path(), &["feeds"]).await;
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && stderr.contains("`lenght` is nothing"), "{stderr}");
}

/// Releases an episode as audio in two qualities, the better of them the enclosure, and as video.
fn release_in_three(host: &Host, name: &str, title: &str) {
    let put = |file: String, length: usize| {
        let path = format!("/media/{file}");
        host.put(&file, bytes(length, 5));
        host.url(&path)
    };
    let [own, low] = [("", 30_000), ("-low", 9_000)].map(|(kind, length)| put(format!("{name}{kind}.mp3"), length));
    let video = put(format!("{name}.mp4"), 80_000);
    let alternate = |mime: &str, facts: &str, url: &str| {
        format!(
            "<podcast:alternateEnclosure type='{mime}' {facts}><podcast:source uri='{url}'/></podcast:alternateEnclosure>"
        )
    };
    let item = format!(
        "<item><guid>{name}</guid><title>{title}</title><pubDate>Fri, 20 Nov 2026 06:00:00 GMT</pubDate>\
         <enclosure url='{own}' length='30000' type='audio/mpeg'/>{}{}{}</item>",
        alternate("audio/mpeg", "length='30000' bitrate='128000' default='true'", &own),
        alternate("audio/mpeg", "length='9000' bitrate='32000'", &low),
        alternate("video/mp4", "length='80000' height='720'", &video),
    );
    host.state.inner().items.insert_str(0, &item);
}

#[tokio::test]
async fn the_version_that_the_rule_asks_for_is_fetched_and_stays_when_the_rule_changes() {
    let (host, dir) = (Host::start().await, folder());
    release_in_three(&host, "one", "One");
    done(&output(dir.path(), &["add", &host.url("/feed.xml"), "--quality", "64kbit/s"]).await);
    once(dir.path()).await;
    let length = |file: &str| {
        let path = dir.path().join("data/library/Night Walks").join(file);
        std::fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).len()
    };
    assert_eq!(length("2026-11-20 One.mp3"), 9_000);

    let edited = done(&output(dir.path(), &["edit", "night", "--quality", "video,largest"]).await);
    assert_eq!(edited.trim_end(), "1 Night Walks: quality video,largest");
    release_in_three(&host, "two", "Two");
    once(dir.path()).await;
    assert_eq!((length("2026-11-20 One.mp3"), length("2026-11-20 Two.mp4")), (9_000, 80_000));
    done(&output(dir.path(), &["edit", "night", "--forget", "quality"]).await);
    release_in_three(&host, "three", "Three");
    once(dir.path()).await;
    assert_eq!(length("2026-11-20 Three.mp3"), 30_000);
    let asked = ["one.mp3", "one.mp4", "two.mp3", "two-low.mp3", "three-low.mp3", "three.mp4"];
    for file in asked {
        assert!(host.answers(&format!("/media/{file}")).is_empty(), "{file} was fetched");
    }
    let refused = output(dir.path(), &["edit", "night", "--quality", "best"]).await;
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && stderr.contains("`best` is no quality"), "{stderr}");
}

#[tokio::test]
async fn one_feed_is_fetched_without_a_swarm_and_the_agent_lets_go_of_it_at_once() {
    let (there, here) = (folder(), folder());
    let dir = here.path();
    let host = fetched(there.path(), dir).await;
    let mut agent = Agent::start(dir, &[]);
    agent.wait_for("listening").await;
    let seeds = async |want: u64| {
        // A command is answered before what is let go of has left its swarm.
        let reached = async { while status(dir).await["seeding"]["torrents"] != want {} };
        tokio::time::timeout(PATIENCE, reached).await.unwrap_or_else(|_| panic!("it does not seed {want}"));
    };
    seeds(1).await;
    let edited = done(&output(dir, &["edit", "night", "--http-only"]).await);
    assert_eq!(edited.trim_end(), "1 Night Walks: http only yes");
    seeds(0).await;

    // What comes by a swarm alone is listed with the reason, and refused; what is a plain file comes.
    let magnet = Metainfo::parse(&torrent(&bytes(9000, 7))).expect("it is our own").magnet().to_string();
    let lone = format!(
        r#"<item><guid>g2</guid><title>Two</title><pubDate>Fri, 20 Nov 2026 09:00:00 GMT</pubDate>
        <enclosure url="{}" length="9000" type="application/x-bittorrent"/></item>"#,
        magnet.replace('&', "&amp;")
    );
    host.state.inner().items.push_str(&lone);
    host.put("three.mp3", bytes(9000, 3));
    host.release("g3", "Three", "/media/three.mp3");
    done(&output(dir, &["update"]).await);
    agent.wait_for("complete").await;
    let why = episodes(dir, &["--why"]).await;
    assert_eq!((why.len(), &why[0]["guid"]), (1, &"g2".into()), "{why:?}");
    assert!(why[0]["why"].as_str().expect("a reason").contains("only plain downloads are allowed (--http-only)"));
    for command in ["download", "play"] {
        let refused = output(dir, &[command, "Two"]).await;
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert!(
            !refused.status.success() && stderr.contains("cannot be fetched: it comes by torrent only"),
            "{stderr}"
        );
    }
    let info = json_lines(&done(&output(dir, &["--json", "info", "night"]).await)).remove(0);
    assert_eq!(info["rules"], serde_json::json!({ "http_only": "yes" }));

    done(&output(dir, &["edit", "night", "--http-only=no"]).await);
    seeds(1).await;
    let reset = done(&output(dir, &["edit", "night", "--forget", "http-only"]).await);
    assert!(!reset.contains("http only"), "{reset}");
    assert_eq!(agent.stop().await, 0);
}
