//! Shows go into an export and come out of it elsewhere.

use std::collections::BTreeMap;
use std::path::Path;

use crate::world::{World, get, wav};

const FLAGS: [&str; 3] = ["--public-url", "http://pods.example:8080", "--no-udp-tracker"];
const FEEDS: [&str; 4] = ["feed.xml", "torrents.xml", "feed.json", "feed.atom"];

/// Every file below `folder` with its content.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            files.extend(tree(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else {
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
    files
}

/// All forms of the show's feed as they are served from `data`.
fn feeds(world: &World, data: &str) -> Vec<Vec<u8>> {
    let (_daemon, base) = world.serve(data, &FLAGS);
    FEEDS.iter().map(|form| get(&format!("{base}/shows/night-walks/{form}")).2).collect()
}

fn publish(world: &World, name: &str, seed: u32, flags: &[&str]) {
    let path = world.path(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, wav(seed, 0)).unwrap();
    world.done("old", &[&["publish", path.to_str().unwrap()], flags].concat());
}

/// A show with an episode of each kind.
fn fill(world: &World) {
    let init = ["init", "--title", "Night Walks", "--category", "Arts", "--email", "a@x.example", "--locked"];
    let said =
        ["--person", "Ann; role=host", "--copyright", "© Ann", "--tag", "<value type='a' method='b'/>", "--complete"];
    world.done("old", &[&init[..], &said].concat());
    std::fs::write(world.path("one.vtt"), "WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n").unwrap();
    std::fs::write(world.path("one.chapters.txt"), "00:00 The river\n").unwrap();
    publish(
        world,
        "one.wav",
        1,
        &["--notes", "By Ann", "--number", "7", "--number-name", "Seventh", "--person", "Bo; role=guest"],
    );
    publish(world, "two.wav", 2, &["--in-place", "--hybrid"]);
    publish(world, "taken.wav", 3, &[]);
    publish(world, "later.wav", 4, &["--draft"]);
    publish(world, "book/1.wav", 5, &["--title", "Not alone"]);
    let other = world.path("mended.wav");
    std::fs::write(&other, wav(6, 9)).unwrap();
    world.done("old", &["replace", "Not alone", other.to_str().unwrap()]);
    std::fs::create_dir(world.path("folder")).unwrap();
    std::fs::write(world.path("folder/a.wav"), wav(8, 0)).unwrap();
    std::fs::write(world.path("folder/b.wav"), wav(9, 0)).unwrap();
    world.done("old", &["publish", world.path("folder").to_str().unwrap()]);
    world.done("old", &["unpublish", "taken"]);
}

#[test]
fn an_export_brought_in_elsewhere_is_the_same_show_byte_for_byte() {
    let world = World::new();
    let path = |name: &str| world.path(name).to_str().unwrap().to_owned();
    fill(&world);
    let was = feeds(&world, "old");
    let (daemon, _) = world.serve("old", &FLAGS);
    let exported = world.done("old", &["export", &path("copy")]);
    assert_eq!((&exported.the("exported")["shows"], &exported.the("exported")["episodes"]), (&1.into(), &5.into()));
    assert!(exported.stderr.contains("keys"), "{}", exported.stderr);
    drop(daemon);
    world.done("old", &["export", "--show", "night-walks", &path("copy.tar")]);

    world.done("new", &["import", &path("copy")]);
    assert!(feeds(&world, "new") == was, "the same feeds");
    world.done("new", &["export", &path("copy of the copy")]);
    assert!(tree(&world.path("copy of the copy")) == tree(&world.path("copy")), "the same export");

    let (third, _) = world.serve("third", &FLAGS);
    world.done("third", &["import", &path("copy.tar")]);
    let status = world.done("third", &["status"]);
    let out: Vec<_> =
        status.events[0]["episodes"].as_array().unwrap().iter().filter(|it| it["released"] == true).collect();
    assert_eq!(out.len(), 4);
    assert!(out.iter().all(|episode| episode["error"].is_null() && episode["swarm"].is_object()), "{out:?}");
    drop(third);
    assert!(feeds(&world, "third") == was, "the same feeds by way of a tar file");
    assert!(!world.path("third/imports").exists());

    let refused = world.run("third", &["import", &path("copy")]);
    assert!(refused.code == Some(1) && refused.stderr.contains("night-walks"), "{}", refused.stderr);
    let refused = world.run("old", &["export", &path("folder")]);
    assert!(refused.code == Some(1) && refused.stderr.contains("is no export"), "{}", refused.stderr);
    #[cfg(unix)]
    for private in ["copy/keys/night-walks.ed25519", "new/keys/night-walks.ed25519", "copy.tar", "copy/records.jsonl"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = world.path(private).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{private}");
    }
}

#[test]
fn a_damaged_export_changes_nothing() {
    let world = World::new();
    let copy = world.path("copy");
    fill(&world);
    world.done("old", &["export", copy.to_str().unwrap()]);
    let media = copy.join("media/night-walks");
    // Of what was taken back the file may be gone.
    let is_offered = |path: &std::path::PathBuf| {
        path.extension().is_some_and(|it| it == "wav") && path.to_str().unwrap().contains("-one-")
    };
    let lost = std::fs::read_dir(media).unwrap().map(|it| it.unwrap().path()).find(is_offered).unwrap();
    std::fs::remove_file(lost).unwrap();
    let refused = world.run("new", &["import", copy.to_str().unwrap()]);
    assert!(refused.code == Some(1) && refused.stderr.contains("missing"), "{}", refused.stderr);
    assert!(world.done("new", &["shows"]).events.is_empty());
}
