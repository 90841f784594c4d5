//! What is being fetched is read.

use std::ops::Range;

use podswarm_core::net::{Engine, EngineConfig, ReadError, Reader, TorrentError};
use podswarm_core::rate::Rate;

use crate::world::{Content, addr, config, engine, seeder};

async fn read_to_end(mut reader: Reader) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(more) = reader.next().await.unwrap() {
        bytes.extend_from_slice(&more);
    }
    bytes
}

#[track_caller]
fn assert_is_part(content: &Content, bytes: &[u8], range: Range<u64>) {
    let source = std::fs::read(content.path("source")).unwrap();
    let [start, end] = [range.start, range.end].map(|n| usize::try_from(n).unwrap());
    assert!(bytes == &source[start..end], "what is read differs from what was sent");
}

#[tokio::test]
async fn what_is_read_comes_before_the_rest_is_there_and_is_right() {
    let content = Content::file(400);
    let seeder = seeder(&content).await;
    let slow = Engine::start(EngineConfig { down: Some(Rate(400_000)), ..config() }).await.unwrap();
    let torrent = slow.add(content.fetch("target", &[addr(&seeder)])).await.unwrap();
    let length = content.layout.length();
    let ranges = [0..90_000, length / 2 + 7..length / 2 + 60_001, length - 128..length, 5..5];
    let mut readers = Vec::new();
    for range in &ranges {
        readers.push(tokio::spawn(read_to_end(torrent.read(range.clone()).await.unwrap())));
    }
    for (reader, range) in readers.into_iter().zip(ranges) {
        assert_is_part(&content, &reader.await.unwrap(), range);
    }
    assert!(!torrent.status().complete, "it has taken less than the whole");
    torrent.remove().await;
}

#[tokio::test]
async fn a_reader_reads_on_when_everything_is_in_place() {
    let content = Content::file(40);
    let (seeder, leecher) = (seeder(&content).await, engine().await);
    let torrent = leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap();
    let length = content.layout.length();
    let mut reader = torrent.read(0..length).await.unwrap();
    let first = reader.next().await.unwrap().unwrap();
    torrent.wait_complete().await.unwrap();
    assert_eq!(reader.position(), first.len() as u64);
    assert_is_part(&content, &[first.to_vec(), read_to_end(reader).await].concat(), 0..length);
}

#[tokio::test]
async fn a_reader_of_a_torrent_that_is_removed_ends() {
    let content = Content::file(4);
    let engine = engine().await;
    let torrent = engine.add(content.fetch("target", &[])).await.unwrap();
    let length = content.layout.length();
    assert!(matches!(torrent.read(0..length + 1).await, Err(ReadError::NotFetched(_))));
    let mut reader = torrent.read(0..length).await.unwrap();
    let read = async { reader.next().await.unwrap_err() };
    let (error, ()) = tokio::join!(read, torrent.remove());
    assert!(matches!(error, ReadError::Torrent(TorrentError::Removed)), "{error}");
    assert!(matches!(torrent.read(0..1).await, Err(ReadError::Torrent(TorrentError::Removed))));
}
