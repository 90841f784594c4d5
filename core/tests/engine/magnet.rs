//! Torrents of which only a magnet link is known.

use std::sync::Arc;

use bytes::Bytes;
use podswarm_core::metainfo::{InfoHash, Magnet};
use podswarm_core::net::http::Reach;
use podswarm_core::net::{Discovery, Engine, FindError, FindTorrent};
use podswarm_core::peer::extension::OUR_METADATA_ID;
use podswarm_core::peer::{ExtensionHandshake, Message, MetadataMessage};

use crate::peer::Door;
use crate::world::{Content, addr, engine, seeder};

fn find(magnet: Magnet) -> FindTorrent {
    FindTorrent { magnet, reach: Reach::Any, discovery: Discovery::ALL }
}

/// The link that names this torrent and one peer.
fn link(content: &Content, peer: std::net::SocketAddr) -> Magnet {
    Magnet { peers: vec![peer], ..Magnet::new(content.metainfo.info_hash) }
}

#[tokio::test]
async fn a_link_with_one_peer_becomes_the_torrent_and_its_content() {
    // More than one piece of metadata.
    let content = Content::file(2000);
    assert!(content.metainfo.info_bytes().len() > 2 * 16 * 1024);
    let (seeder, leecher) = (seeder(&content).await, engine().await);
    let metainfo = leecher.find(find(link(&content, addr(&seeder)))).await.unwrap();
    assert_eq!(metainfo.info_bytes(), content.metainfo.info_bytes());
    // Its peers are known from the search.
    let torrent = leecher.add(content.fetch("target", &[])).await.unwrap();
    torrent.wait_complete().await.unwrap();
    content.assert_arrived("target");
    // What is there is not looked for.
    let again = leecher.find(find(Magnet::new(content.metainfo.info_hash))).await.unwrap();
    assert_eq!(again.info_hash, content.metainfo.info_hash);
}

#[tokio::test]
async fn all_who_look_for_the_same_are_answered_and_who_gives_up_ends_the_search() {
    let content = Content::file(8);
    let door = Door::open().await;
    let engine = engine().await;
    {
        let abandoned = engine.find(find(link(&content, door.addr)));
        tokio::select! {
            _ = abandoned => panic!("the door gives nothing"),
            peer = door.answer_extended(&content) => drop(peer),
        }
    }
    let seeder = seeder(&content).await;
    let wanted = find(link(&content, addr(&seeder)));
    let (first, second) = tokio::join!(engine.find(wanted.clone()), engine.find(wanted));
    assert!(Arc::ptr_eq(&first.unwrap(), &second.unwrap()));
}

#[tokio::test]
async fn a_liar_is_left_for_an_honest_peer() {
    let content = Content::file(8);
    let (seeder, leecher, door) = (seeder(&content).await, engine().await, Door::open().await);
    let size = u32::try_from(content.metainfo.info_bytes().len()).unwrap();
    let finding = leecher.find(find(link(&content, door.addr)));
    let lying = async {
        let mut peer = door.answer_extended(&content).await;
        let hello =
            ExtensionHandshake { metadata: Some(7), metadata_size: Some(size), ..ExtensionHandshake::default() };
        peer.send(&Message::Extended { id: 0, payload: hello.encode() }).await;
        peer.until(|message| matches!(message, Message::Extended { id: 7, .. })).await;
        let data = Bytes::from(vec![b'd'; size as usize]);
        let lie = MetadataMessage::Data { piece: 0, total: size, data };
        peer.send(&Message::Extended { id: OUR_METADATA_ID, payload: lie.encode() }).await;
        peer.see_cut_off().await;
        // Now it is told of an honest one.
        let seed = seeder.torrents().remove(0);
        seed.remove().await;
        let honest = podswarm_core::net::AddTorrent { peers: vec![addr(&leecher)], ..content.seed() };
        seeder.add(honest).await.unwrap();
    };
    let (found, ()) = tokio::join!(finding, lying);
    assert_eq!(found.unwrap().info_hash, content.metainfo.info_hash);
}

#[tokio::test]
async fn an_engine_that_stops_says_so() {
    let engine = engine().await;
    let other = Engine::clone(&engine);
    let waiting = other.find(find(Magnet::new(InfoHash::from_v1([7; 20]))));
    let (found, ()) = tokio::join!(waiting, engine.shutdown());
    assert_eq!(found.unwrap_err(), FindError::Stopped);
}
