//! Torrents of version 2 and hybrids. BEP 52.

use podswarm_core::metainfo::{InfoHash, Magnet};
use podswarm_core::net::create::{Watch, verify};
use podswarm_core::net::http::Reach;
use podswarm_core::net::{AddError, Discovery, FindTorrent};

use crate::world::{Content, addr, engine, seeder};

/// Torrents that libtorrent made.
pub(crate) const TORRENTS: [&str; 6] = ["v2-one", "v2-small", "v2-show", "hybrid-one", "hybrid-small", "hybrid-show"];

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

#[tokio::test]
async fn a_link_by_any_of_its_hashes_becomes_the_torrent_with_what_proves_it() {
    for name in TORRENTS {
        let mut content = Content::of_libtorrent(name);
        let seeder = seeder(&content).await;
        let whole = std::sync::Arc::clone(&content.metainfo);
        let both = whole.info_hash;
        for info_hash in [Some(both), both.v2().map(InfoHash::from_v2), both.v1().map(InfoHash::from_v1)] {
            let Some(info_hash) = info_hash else { continue };
            let leecher = engine().await;
            let magnet = Magnet { peers: vec![addr(&seeder)], ..Magnet::new(info_hash) };
            let found = leecher
                .find(FindTorrent {
                    magnet,
                    reach: Reach::Any,
                    discovery: Discovery { trackers: false, ..Discovery::ALL },
                })
                .await
                .unwrap();
            assert_eq!((found.info_hash, found.info_bytes()), (both, whole.info_bytes()), "{name}");
            // Who knows nothing of trees is not told of them.
            let has_layers = info_hash.v2().is_some() || name == "hybrid-small";
            assert_eq!(found.layers().is_some(), has_layers, "{name} by {info_hash:?}");
            content.metainfo = found;
            let target = format!("target of {info_hash}");
            let torrent = leecher.add(content.fetch(&target, &[])).await.unwrap();
            torrent.wait_complete().await.unwrap();
            content.assert_arrived(&target);
            torrent.remove().await;
            std::fs::remove_dir_all(content.path(&target))
                .or_else(|_| std::fs::remove_file(content.path(&target)))
                .unwrap();
        }
    }
}

#[tokio::test]
async fn what_nothing_proves_is_not_fetched() {
    let mut content = Content::of_libtorrent("v2-show");
    let bare = podswarm_core::metainfo::Metainfo::from_info_bytes(content.metainfo.info_bytes()).unwrap();
    content.metainfo = bare.into();
    let refused = engine().await.add(content.fetch("target", &[])).await;
    assert!(matches!(refused, Err(AddError::NoLayers)));
}
