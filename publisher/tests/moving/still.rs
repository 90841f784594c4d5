//! Shows are written as plain files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use podswarm_feeds::read::{self, Source};
use serde_json::Value;
use url::Url;

use crate::world::{World, wav};

const BASE: &str = "https://static.example/pods";

/// When each file below `folder` was written.
fn times(folder: &Path) -> BTreeMap<PathBuf, SystemTime> {
    let mut times = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            times.extend(self::times(&path));
        } else {
            times.insert(path.clone(), path.metadata().unwrap().modified().unwrap());
        }
    }
    times
}

#[test]
fn a_site_of_files_says_where_it_stands_and_only_what_changed_is_written_again() {
    let world = World::new();
    let site = world.path("site");
    let folder = site.to_str().unwrap().to_owned();
    let publish = |name: &str, seed| {
        std::fs::write(world.path(name), wav(seed, 0)).unwrap();
        std::fs::write(world.path(name).with_extension("chapters.txt"), "00:00 The river\n").unwrap();
        world.done("old", &["publish", world.path(name).to_str().unwrap(), "--show", "walks"]);
    };
    let write = |more: &[&str]| -> Value {
        let args = [&["export", "--site", &folder, "--base-url", BASE][..], more].concat();
        world.done("old", &args).the("site").clone()
    };
    publish("one.wav", 1);
    world.done("old", &["publish", world.path("one.wav").to_str().unwrap(), "--show", "walks"]);
    let first = write(&[]);
    assert_eq!(first["feeds"][0], format!("{BASE}/shows/walks/feed.xml"));

    // Every address that a feed names is that of a file.
    let at = |url: &Url| site.join(url.as_str().strip_prefix(BASE).unwrap().trim_start_matches('/'));
    for form in ["feed.xml", "torrents.xml", "feed.json", "feed.atom"] {
        let url: Url = format!("{BASE}/shows/walks/{form}").parse().unwrap();
        let feed = read::parse(&std::fs::read(at(&url)).unwrap(), &url, None).unwrap();
        assert!(feed.podcast_guid.is_some() || !["feed.xml", "feed.json"].contains(&form));
        assert_eq!((feed.events_url, feed.items.len()), (None, 1), "{form}");
        let item = &feed.items[0];
        assert!(
            item.link.iter().chain(&item.chapters).chain(&feed.link).all(|url| at(url).is_file()),
            "{form}: {item:?}"
        );
        for source in &item.sources {
            match source {
                Source::Http { url, .. } => assert_eq!(std::fs::read(at(url)).unwrap(), wav(1, 0), "{form}"),
                Source::Torrent { url, .. } => {
                    let torrent = String::from_utf8_lossy(&std::fs::read(at(url)).unwrap()).into_owned();
                    assert!(torrent.contains("8:url-list") && torrent.contains(BASE) && !torrent.contains("announce"));
                }
                Source::Magnet(magnet) => assert!(magnet.trackers.is_empty() && magnet.web_seeds.len() == 1),
                Source::Mutable(link) => panic!("{form}: {link}"),
            }
        }
    }
    // Every link between pages leads to a file.
    let show = std::fs::read_to_string(site.join("shows/walks.html")).unwrap();
    for (page, from) in [(&show, "shows"), (&std::fs::read_to_string(site.join("index.html")).unwrap(), ".")] {
        for link in page.split("href=\"").chain(page.split("src=\"")).skip(1).filter_map(|rest| rest.split('"').next())
        {
            let is_page_of_ours = !link.contains("://") && !link.starts_with('<');
            assert!(!is_page_of_ours || site.join(from).join(link).is_file(), "{link} in {from}");
        }
    }

    let before = times(&site);
    let again = write(&[]);
    assert_eq!((&again["written"], &again["stale"]), (&0.into(), &0.into()));
    let after = times(&site);
    assert_eq!(before.len(), after.len());
    let touched: Vec<_> = after.iter().filter(|(path, time)| before[*path] != **time).map(|(path, _)| path).collect();
    assert!(touched.is_empty(), "{touched:?}");

    publish("two.wav", 2);
    world.done("old", &["unpublish", "one"]);
    let media = |n: u32| {
        std::fs::read_dir(site.join("media/walks"))
            .unwrap()
            .filter(|it| std::fs::read(it.as_ref().unwrap().path()).unwrap() == wav(n, 0))
            .count()
    };
    assert!(write(&[])["stale"].as_u64() > Some(2));
    assert_eq!((media(1), media(2)), (1, 1), "nothing is removed unasked");
    let last = write(&["--delete", "--tracker", "udp://tracker.example:6969/announce"]);
    assert!(last["removed"].as_u64() > Some(2) && last["stale"] == 0, "{last}");
    assert_eq!((media(1), media(2)), (0, 1));
    assert!(std::fs::read_to_string(site.join("shows/walks/feed.xml")).unwrap().contains("tracker.example"));

    std::fs::create_dir_all(world.path("other/media")).unwrap();
    let args = ["export", "--site", world.path("other").to_str().unwrap(), "--base-url", BASE].map(str::to_owned);
    let refused = world.run("old", &args.each_ref().map(String::as_str));
    assert!(refused.code == Some(1) && refused.stderr.contains("--site"), "{}", refused.stderr);
}
