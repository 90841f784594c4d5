//! What is on disk before, and what comes in the way: nothing of the owner's is lost.

use podswarm_core::layout::BLOCK_LENGTH;
use podswarm_core::metainfo::FileChoice;
use podswarm_core::net::{AddTorrent, Engine, TorrentError, TorrentState};

use crate::world::{Content, PIECE, addr, engine, seeder, when};

#[tokio::test]
async fn what_is_there_is_checked_and_seeded_and_not_fetched() {
    for content in [Content::file(12), Content::files(&[("a", 50_000), ("b", 0), ("c", 90_000)])] {
        std::fs::rename(content.path("source"), content.path("there")).unwrap();
        let owner = engine().await;
        let torrent = owner.add(content.fetch("there", &[])).await.unwrap();
        torrent.wait_complete().await.unwrap();
        let status = torrent.status();
        assert_eq!((status.state, status.downloaded), (TorrentState::Seeding, 0));
        assert_eq!(content.names(".there"), [] as [&str; 0]);

        let leecher = engine().await;
        leecher.add(content.fetch("source", &[addr(&owner)])).await.unwrap().wait_complete().await.unwrap();
        content.assert_arrived("there");
    }
}

/// Adds what must be refused and returns what the owner is told.
async fn refusal(engine: &Engine, add: AddTorrent) -> String {
    let torrent = engine.add(add).await.unwrap();
    let Err(TorrentError::Files(text)) = torrent.wait_complete().await else { panic!("it is refused") };
    let status = torrent.status();
    assert_eq!((status.state, status.is_final, status.error), (TorrentState::Failed, true, Some(text.clone())));
    torrent.remove().await;
    text
}

#[tokio::test]
async fn a_folder_where_the_file_should_be_is_refused_and_kept() {
    let content = Content::file(5);
    let seeder = seeder(&content).await;
    std::fs::create_dir(content.path("target")).unwrap();
    std::fs::write(content.path("target/diary"), "dear diary").unwrap();
    let text = refusal(&engine().await, content.fetch("target", &[addr(&seeder)])).await;
    assert!(text.contains("is there already and is not this torrent's: 0 of 5 pieces match"), "{text}");
    assert_eq!(std::fs::read(content.path("target/diary")).unwrap(), b"dear diary");
    assert_eq!(content.names(".target"), [] as [&str; 0]);
}

#[tokio::test]
async fn wrong_bytes_under_the_final_name_are_refused_and_kept() {
    let content = Content::file(5);
    let seeder = seeder(&content).await;
    let mut bytes = std::fs::read(content.path("source")).unwrap();
    bytes[PIECE as usize + 7] ^= 1;
    std::fs::write(content.path("target"), &bytes).unwrap();
    let leecher = engine().await;
    let text = refusal(&leecher, content.fetch("target", &[addr(&seeder)])).await;
    assert!(text.contains("is there already and is not this torrent's: 4 of 5 pieces match"), "{text}");
    assert!(std::fs::read(content.path("target")).unwrap() == bytes);

    // With the file out of the way it is fetched.
    std::fs::rename(content.path("target"), content.path("kept")).unwrap();
    leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap().wait_complete().await.unwrap();
    content.assert_arrived("target");
}

#[tokio::test]
async fn a_seed_whose_file_has_changed_is_refused() {
    let content = Content::file(5);
    seeder(&content).await.shutdown().await;
    std::fs::write(content.path("source"), "something else").unwrap();
    let text = refusal(&engine().await, content.seed()).await;
    assert!(text.contains("has changed: 0 of 5 pieces match"), "{text}");
}

#[tokio::test]
async fn a_file_that_comes_in_the_way_is_kept_and_told_of() {
    let content = Content::file(5);
    let (seeder, leecher) = (engine().await, engine().await);
    let torrent = leecher.add(content.fetch("target", &[])).await.unwrap();
    when(&torrent, |status| status.state == TorrentState::Downloading).await;
    std::fs::write(content.path("target"), "the owner's").unwrap();
    seeder.add(AddTorrent { peers: vec![addr(&leecher)], ..content.seed() }).await.unwrap();
    let status = when(&torrent, |status| status.state == TorrentState::Failed).await;
    let error = status.error.unwrap();
    assert!(error.starts_with("move into place") && error.contains("File exists"), "{error}");
    assert!(!status.is_final && !status.complete);
    assert_eq!(std::fs::read(content.path("target")).unwrap(), b"the owner's");

    std::fs::remove_file(content.path("target")).unwrap();
    torrent.pause().await;
    torrent.unpause().await;
    torrent.wait_complete().await.unwrap();
    content.assert_arrived("target");
}

#[tokio::test]
async fn two_engines_do_not_write_the_same_files() {
    for content in [Content::file(5), Content::files(&[("a", 0), ("b", 90_000)])] {
        let (first, second) = (engine().await, engine().await);
        let torrent = first.add(content.fetch("target", &[])).await.unwrap();
        when(&torrent, |status| status.state == TorrentState::Downloading).await;
        let text = refusal(&second, content.fetch("target", &[])).await;
        assert!(text.contains(".target.part") && text.ends_with("is being written by another download"), "{text}");

        // Once the first has left, the second may.
        torrent.remove().await;
        let torrent = second.add(content.fetch("target", &[])).await.unwrap();
        when(&torrent, |status| status.state == TorrentState::Downloading).await;
    }
}

#[tokio::test]
async fn a_file_that_vanishes_is_told_of_and_served_again_when_it_is_back() {
    let content = Content::file(5);
    let seeder = engine().await;
    let seed = seeder.add(content.seed()).await.unwrap();
    seed.wait_complete().await.unwrap();
    std::fs::rename(content.path("source"), content.path("away")).unwrap();
    let leecher = engine().await;
    let torrent = leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap();
    let status = when(&seed, |status| status.state == TorrentState::Failed).await;
    assert!(status.error.unwrap().starts_with("open `"));
    std::fs::rename(content.path("away"), content.path("source")).unwrap();
    seed.pause().await;
    seed.unpause().await;
    when(&seed, |status| status.state == TorrentState::Seeding).await;
    // The seed does not know the way back, but the leecher does.
    torrent.pause().await;
    torrent.unpause().await;
    torrent.wait_complete().await.unwrap();
    assert_eq!(torrent.status().downloaded % u64::from(BLOCK_LENGTH), u64::from(BLOCK_LENGTH) - 100);
    content.assert_arrived("target");
}

/// Fetches these files of the content to `name`.
fn some(content: &Content, name: &str, files: &[&str], peers: &[std::net::SocketAddr]) -> AddTorrent {
    let info = &content.metainfo.info;
    let choice = FileChoice::new(info, |file| files.contains(&info.files[file].path.as_str())).unwrap();
    AddTorrent { choice, ..content.fetch(name, peers) }
}

#[tokio::test]
async fn chosen_files_come_alone_are_seeded_as_a_part_and_resumed() {
    let content = Content::files(&[("a", 50_000), ("b", 200_000), ("c", 90_000)]);
    let owner = engine().await;
    let seed = owner.add(content.seed()).await.unwrap();
    seed.wait_complete().await.unwrap();
    let leecher = engine().await;
    let torrent = leecher.add(some(&content, "part", &["b"], &[addr(&owner)])).await.unwrap();
    torrent.wait_complete().await.unwrap();
    let status = torrent.status();
    assert_eq!((status.state, status.chosen_files), (TorrentState::Seeding, Some(1)));
    assert_eq!((status.have, status.pieces_have), (status.length, 7));
    assert!(status.length >= 200_000 && status.downloaded == status.length);
    let bytes = |folder: &str| std::fs::read(content.path(folder).join("b")).unwrap();
    assert!(bytes("part") == bytes("source"));
    assert!(!content.path("part/a").exists() && !content.path("part/c").exists());

    // A part of a copy is enough for who wants that part, and its seed is no reason to wait for more.
    let second = engine().await;
    let again = second.add(some(&content, "second", &["b"], &[addr(&leecher)])).await.unwrap();
    again.wait_complete().await.unwrap();
    assert!(bytes("second") == bytes("source"));
    leecher.shutdown().await;

    let later = engine().await;
    let torrent = later.add(some(&content, "part", &["b"], &[])).await.unwrap();
    torrent.wait_complete().await.unwrap();
    assert_eq!(torrent.status().downloaded, 0);
    torrent.remove().await;
    let torrent = later.add(content.fetch("part", &[addr(&owner)])).await.unwrap();
    torrent.wait_complete().await.unwrap();
    content.assert_arrived("part");
    assert!(torrent.status().downloaded < 200_000, "{}", torrent.status().downloaded);
}
