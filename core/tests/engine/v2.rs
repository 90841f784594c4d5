//! Torrents of version 2 and hybrids. BEP 52.

use podswarm_core::net::create::{Watch, verify};

use crate::world::{Content, addr, engine, seeder};

/// Torrents that libtorrent made.
const TORRENTS: [&str; 6] = ["v2-one", "v2-small", "v2-show", "hybrid-one", "hybrid-small", "hybrid-show"];

#[test]
fn files_are_checked_by_their_trees() {
    for name in TORRENTS {
        let content = Content::of_libtorrent(name);
        let source = content.path("source");
        let verified = verify(&content.metainfo, &source, Watch::default()).unwrap();
        assert!(verified.is_complete(), "{name}: {:?}", verified.problems);
        let file = if source.is_dir() { source.join("a.bin") } else { source.clone() };
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let verified = verify(&content.metainfo, &source, Watch::default()).unwrap();
        assert_eq!(verified.good.count() + 1, content.metainfo.info.piece_count(), "{name}");
    }
}

#[tokio::test]
async fn torrents_of_another_program_are_fetched_without_their_padding() {
    for name in TORRENTS {
        let content = Content::of_libtorrent(name);
        let (seeder, leecher) = (seeder(&content).await, engine().await);
        let torrent = leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap();
        torrent.wait_complete().await.unwrap();
        content.assert_arrived("target");
        let status = torrent.status();
        let length = content.metainfo.info.content_length();
        assert_eq!((status.length, status.have, status.downloaded), (length, length, length), "{name}");
    }
}
