//! Some files of a torrent, chosen by number, by name or by a magnet link, and the rest later.

use std::path::{Path, PathBuf};

use podswarm_core::metainfo::{Magnet, Metainfo};
use podswarm_tests::files::{assert_same_bytes, files_below, random_file, scratch};
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{Ended, Line, PATIENCE};
use podswarm_tests::programs::{Publisher, agent, await_status, get_over, get_with, metainfo, without_web_seeds};
use podswarm_tests::web::Site;
use serde_json::Value;

const FILES: [(&str, u64); 4] =
    [("1 talk.bin", 3_000_001), ("2 music.bin", 1_234_567), ("notes/a.bin", 40_000), ("notes/b.bin", 70_000)];

/// A season in a folder, and a publisher that serves it.
struct Season {
    folder: tempfile::TempDir,
    publisher: Publisher,
    listener: Host,
    metainfo: Metainfo,
    torrent: PathBuf,
    net: Net,
}

impl Season {
    fn published() -> Self {
        let (folder, mut net) = (scratch(), Net::new());
        let [home, listener] = ["publisher", "listener"].map(|name| net.host(name));
        for (seed, (name, length)) in (0..).zip(FILES) {
            let path = folder.path().join("season").join(name);
            std::fs::create_dir_all(path.parent().expect("it lies in the season's folder"))
                .expect("the folder is ours");
            random_file(&path, length, seed);
        }
        let publisher = Publisher::serve(&home, &folder.path().join("podpub"), Some(home.v4()));
        let release = publisher.publish(&folder.path().join("season"));
        let torrent = without_web_seeds(&listener, &release.torrent, folder.path());
        let metainfo = metainfo(&listener, &release.torrent);
        Self { folder, publisher, listener, metainfo, torrent, net }
    }

    /// Runs `podsub get` with these flags to its end.
    #[track_caller]
    fn get(&self, flags: &[&str]) -> Ended {
        let ended = get_with(&self.listener, &self.torrent, &self.folder.path().join("got"), flags).end(PATIENCE);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended
    }

    /// Panics unless these files of the season are there, bit for bit, and no others.
    #[track_caller]
    fn assert_got(&self, names: &[&str], output: &Path) {
        let root = output.join(self.metainfo.info.name.as_str());
        let files: Vec<PathBuf> = names.iter().map(|name| root.join(name)).collect();
        assert_eq!(files_below(&root), files);
        for (name, file) in names.iter().zip(files) {
            assert_same_bytes(&self.folder.path().join("season").join(name), &file);
        }
    }

    /// The same, and how many bytes reached the listener meanwhile, headers and all.
    #[track_caller]
    fn cost(&self, flags: &[&str]) -> u64 {
        let before = self.listener.received_bytes();
        self.get(flags);
        self.listener.received_bytes() - before
    }
}

#[test]
fn a_listener_takes_some_files_and_the_others_later() {
    let season = Season::published();
    let output = season.folder.path().join("got");
    let shown = season.get(&["--list"]);
    let shown: Vec<Value> = shown.lines.iter().map(Line::json).filter(|line| line["event"] == "file").collect();
    let names: Vec<_> = shown.iter().map(|file| (file["number"].as_u64(), file["path"].as_str())).collect();
    let want: Vec<_> = (1..).zip(FILES).map(|(number, (name, _))| (Some(number), Some(name))).collect();
    assert_eq!(names, want);
    assert!(files_below(&output).is_empty());

    let cost = season.cost(&["--files", "2"]);
    season.assert_got(&["2 music.bin"], &output);
    assert!((1_234_567..2_500_000).contains(&cost), "{cost}");
    // Nothing of it is fetched twice.
    let again = season.cost(&["--files", "2"]);
    assert!(again < 200_000, "{again}");

    let notes = season.cost(&["--files", "notes"]);
    season.assert_got(&["2 music.bin", "notes/a.bin", "notes/b.bin"], &output);
    assert!(notes < 1_000_000, "{notes}");
    season.get(&[]);
    season.assert_got(&FILES.map(|(name, _)| name), &output);
    assert_eq!(files_below(&output).len(), FILES.len(), "nothing hidden is left beside it");
}

#[test]
fn a_magnet_link_selects_files_and_a_part_of_a_copy_serves_others() {
    let mut season = Season::published();
    let link = Magnet {
        trackers: season.metainfo.trackers.concat(),
        selected: vec![1..=2],
        ..Magnet::new(season.metainfo.info_hash)
    };
    let output = season.folder.path().join("part");
    let mut part = get_over(&season.listener, &[], Path::new(&link.to_string()), &output, &["--seed"]);
    part.event("complete", PATIENCE);
    season.assert_got(&["2 music.bin", "notes/a.bin"], &output);

    // Who wants the same finds it there, and not at the publisher, who is gone.
    season.publisher.host.close_all_but(season.publisher.http_port);
    let second = season.net.host("second");
    let wanted = get_with(&second, &season.torrent, &season.folder.path().join("second"), &["--files", "2 music.bin"]);
    let ended = wanted.end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    season.assert_got(&["2 music.bin"], &season.folder.path().join("second"));
}

#[test]
fn a_feed_names_a_part_of_a_torrent_by_its_magnet_link() {
    let season = Season::published();
    let link = Magnet {
        trackers: season.metainfo.trackers.concat(),
        selected: vec![1..=2],
        ..Magnet::new(season.metainfo.info_hash)
    };
    let site = Site::start(&season.publisher.host);
    let enclosure = format!(r#"<enclosure type="application/x-bittorrent" length="0" url="{}"/>"#, escaped(&link));
    let item = format!("<item><title>Two of four</title><guid>part</guid>{enclosure}</item>");
    site.put(
        "/feed.xml",
        "application/rss+xml",
        format!(r#"<rss version="2.0"><channel><title>Parts</title>{item}</channel></rss>"#),
    );
    let data = season.folder.path().join("listener");
    let mut agent = agent(&season.listener, &data, &site.url("/feed.xml"));
    let (_, event) = agent.event("complete", PATIENCE);
    let wanted: u64 = FILES[1..=2].iter().map(|(_, length)| length).sum();
    assert_eq!(event["length"], wanted);
    let root = PathBuf::from(event["path"].as_str().expect("it has a path"));
    let names = ["2 music.bin", "notes/a.bin"];
    assert_eq!(files_below(&root), names.map(|name| root.join(name)));
    agent.stop(PATIENCE);

    // The next agent knows that a part is all there is to be.
    let mut agent = self::agent(&season.listener, &data, &site.url("/feed.xml"));
    let status = await_status(&season.listener, &data, |status| status["seeding"]["torrents"] == 1);
    assert_eq!(status["downloads"].as_array().map_or(0, Vec::len), 0, "{status}");
    assert!(!agent.has_said(|line| (line.event().as_deref() == Some("seed_failed")).then_some(())));
    agent.stop(PATIENCE);
}

/// A link as an attribute of XML has it.
fn escaped(link: &Magnet) -> String {
    link.to_string().replace('&', "&amp;")
}

#[test]
fn a_name_that_no_file_has_is_wrong_usage() {
    let season = Season::published();
    let flags = ["--files", "1,5"];
    let ended = get_with(&season.listener, &season.torrent, &season.folder.path().join("got"), &flags).end(PATIENCE);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("`5` is none of the 4 files"), "{}", ended.stderr);
}
