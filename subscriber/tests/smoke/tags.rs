//! What is known of an episode is written into its file, and nothing that is seeded is touched.

use std::path::{Path, PathBuf};

use lofty::file::{AudioFile as _, TaggedFileExt as _};
use lofty::tag::ItemKey;

use super::{Agent, Host, done, folder, json_lines, magnet_seed, output, podsub};

/// The project's sample episode: it has tags, chapters and a cover of its own.
fn sample() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/hello-swarm.mp3");
    std::fs::read(path).expect("it is there")
}

/// A second of silence, without any tags.
fn silence() -> Vec<u8> {
    let mut file =
        b"RIFF\x64\x1f\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data\x40\x1f\0\0".to_vec();
    file.resize(file.len() + 8000, 0x80);
    file
}

/// A picture of one pixel.
pub(super) const PIXEL: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8\
    \xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82";

/// Releases an episode that says all that there is to say.
fn release(host: &Host, guid: &str, title: &str, enclosure: &str) {
    let item = format!(
        "<item><guid>{guid}</guid><title>{title}</title><pubDate>Fri, 20 Nov 2026 06:00:00 GMT</pubDate>\
         <itunes:season>2</itunes:season><itunes:episode>7</itunes:episode>\
         <description>&lt;p&gt;Of &lt;b&gt;water&lt;/b&gt;&lt;/p&gt;</description>{enclosure}</item>"
    );
    host.state.inner().items.insert_str(0, &item);
}

/// The tags of a file: title, show, author, date, season, number, notes; and its covers.
fn tags(path: &Path) -> (Vec<String>, Vec<Vec<u8>>) {
    let file = lofty::read_from_path(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(!file.properties().duration().is_zero(), "it plays");
    let tag = file.primary_tag().unwrap_or_else(|| panic!("{} has no tags", path.display()));
    let keys = [
        ItemKey::TrackTitle,
        ItemKey::AlbumTitle,
        ItemKey::AlbumArtist,
        ItemKey::RecordingDate,
        ItemKey::DiscNumber,
        ItemKey::TrackNumber,
        ItemKey::Comment,
    ];
    let said = keys.map(|key| tag.get_string(key).unwrap_or_default().to_owned()).to_vec();
    (said, tag.pictures().iter().map(|picture| picture.data().to_vec()).collect())
}

/// What is in the show's folder.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(show(dir)).expect("the show has a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("it is read").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

pub(super) fn show(dir: &Path) -> PathBuf {
    dir.join("data/library/Night Walks")
}

#[tokio::test]
async fn a_file_of_a_web_server_has_its_tags_when_its_program_is_started() {
    let (host, dir) = (Host::start().await, folder());
    host.state.inner().head =
        format!("<itunes:author>Ann</itunes:author><itunes:image href=\"{}\"/>", host.url("/media/cover.png"));
    host.put("cover.png", PIXEL.to_vec());
    host.put("one.wav", silence());
    host.put("two.mp3", sample());
    host.put("three.pdf", b"%PDF-1.7 of many pages".to_vec());
    for (guid, title, file, mime) in [
        ("g1", "One", "one.wav", "audio/wav"),
        ("g2", "Two", "two.mp3", "audio/mpeg"),
        ("g3", "Three", "three.pdf", "application/pdf"),
    ] {
        let url = host.url(&format!("/media/{file}"));
        release(&host, guid, title, &format!("<enclosure url=\"{url}\" length=\"0\" type=\"{mime}\"/>"));
    }
    let hook = "{ run = ['sh', '-c', 'wc -c < \"$PODSUB_PATH\" >> sizes'] }";
    let (url, rules) = (host.url("/feed.xml"), ["--tags", "yes", "--on-complete", hook]);
    done(&output(dir.path(), &[&["add", &url, "--backlog", "all"][..], &rules].concat()).await);
    let run = ["--json", "run", "--once", "--peer-port", "0"];
    let events = json_lines(&done(&output(dir.path(), &run).await));
    let names_of = |event: &str| {
        let titles = events.iter().filter(|it| it["event"] == event).map(|it| it["title"].as_str().unwrap());
        let mut titles: Vec<_> = titles.collect();
        titles.sort_unstable();
        titles
    };
    assert_eq!((names_of("tagged"), names_of("tag_failed")), (vec!["One", "Two"], vec!["Three"]), "{events:?}");
    assert_eq!(names(dir.path()), ["2026-11-20 One.wav", "2026-11-20 Three.pdf", "2026-11-20 Two.mp3"]);

    let [one, two] = ["2026-11-20 One.wav", "2026-11-20 Two.mp3"].map(|name| show(dir.path()).join(name));
    let want = |title| [title, "Night Walks", "Ann", "2026-11-20", "2", "7", "Of water"].map(str::to_owned).to_vec();
    let (said, covers) = tags(&one);
    assert_eq!((said, covers), (want("One"), vec![PIXEL.to_vec()]));
    let (said, covers) = tags(&two);
    assert_eq!(said, want("Two"));
    assert!(covers.len() == 1 && covers[0] != PIXEL, "a cover that the file had stays");
    let unfit = std::fs::read(show(dir.path()).join("2026-11-20 Three.pdf")).expect("it is there");
    assert_eq!(unfit, b"%PDF-1.7 of many pages");
    assert_eq!(host.answers("/media/cover.png").len(), 1, "a show's cover is asked for once");

    // Programs found the files as they are now.
    let mut sizes: Vec<u64> = std::fs::read_to_string(dir.path().join("sizes"))
        .expect("they ran")
        .lines()
        .map(|line| line.trim().parse().expect("a number"))
        .collect();
    let mut lengths: Vec<u64> =
        names(dir.path()).iter().map(|name| show(dir.path()).join(name).metadata().unwrap().len()).collect();
    sizes.sort_unstable();
    lengths.sort_unstable();
    assert_eq!(sizes, lengths);

    // What has another length now is neither fetched nor written to again, and is still ours to delete.
    let again = json_lines(&done(&output(dir.path(), &run).await));
    assert!(again.iter().all(|it| it["event"] != "downloading" && it["event"] != "tagged"), "{again:?}");
    let info = done(&output(dir.path(), &["info", "1/1"]).await);
    assert!(info.contains("tags         written into the file"), "{info}");
    done(&output(dir.path(), &["edit", "night", "--keep", "1"]).await);
    done(&output(dir.path(), &run).await);
    assert_eq!(names(dir.path()).len(), 1);
    let refused = podsub(dir.path(), &["edit", "night", "--tags", "maybe"]).output().await.expect("it starts");
    assert_eq!(refused.status.code(), Some(2));
}

#[tokio::test]
async fn what_is_seeded_stays_as_it_is_until_that_ends() {
    let (host, there, here) = (Host::start().await, folder(), folder());
    let content = sample();
    let (_seed, link) = magnet_seed(there.path(), &content, &[]).await;
    let link = link.replace('&', "&amp;");
    release(&host, "g1", "The Sea", &format!("<enclosure url=\"{link}\" type=\"application/x-bittorrent\"/>"));
    let mut agent = Agent::start(here.path(), &[&host.url("/feed.xml"), "--tags", "yes"]);
    agent.wait_for("complete").await;
    assert_eq!(agent.stop().await, 0);
    let path = show(here.path()).join("2026-11-20 The Sea.mp3");
    assert_eq!(std::fs::read(&path).expect("it is there"), content);

    // It is enough now: peers get it no longer.
    let mut agent = Agent::start(here.path(), &["--tags", "yes", "--seed-time", "0s"]);
    agent.wait_for("tagged").await;
    assert_eq!(tags(&path).0[0], "The Sea");
    let length = path.metadata().expect("it is there").len();
    assert_ne!(length, content.len() as u64);
    assert_eq!(agent.stop().await, 0);

    // Nor does anybody again: it is another file, and the same episode.
    let mut agent = Agent::start(here.path(), &["--seed-time", "none", "--seed-ratio", "none"]);
    agent.wait_for("polled").await;
    let status = json_lines(&done(&output(here.path(), &["--json", "status"]).await)).remove(0);
    assert_eq!((&status["seeding"]["torrents"], &status["downloads"]), (&0.into(), &serde_json::json!([])));
    let episode = json_lines(&done(&output(here.path(), &["--json", "episodes"]).await)).remove(0);
    assert_eq!(
        (&episode["stage"], &episode["length"], &episode["tagged"]),
        (&"complete".into(), &length.into(), &true.into())
    );
    assert_eq!(agent.stop().await, 0);
    assert_eq!(names(here.path()).len(), 1);
}
