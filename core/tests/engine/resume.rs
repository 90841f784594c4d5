//! A download that ended, however it did, goes on where it was: what is right is not fetched again, what is not is.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::UNIX_EPOCH;

use podswarm_core::bitfield::Bitfield;
use podswarm_core::layout::BlockInfo;
use podswarm_core::metainfo::InfoHash;
use podswarm_core::net::TorrentState;
use serde::Serialize;
use serde_bytes::ByteBuf;
use sha1::{Digest as _, Sha1};
use tokio::runtime::Runtime;

use crate::peer::Door;
use crate::world::{Content, PIECE, addr, engine, seeder, when};

const PIECES: u32 = 10;
/// What the first life of a download gets.
const FIRST: [u32; 4] = [0, 2, 3, 7];

/// How a first life ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The engine is told to stop.
    Shutdown,
    /// Its tasks vanish from one moment to the next.
    Drop,
}

/// Fetches the pieces of [`FIRST`] and half of another one, and ends.
fn live(content: &Content, end: End) {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let door = Door::open().await;
        let engine = engine().await;
        let torrent = engine.add(content.fetch("target", &[door.addr])).await.unwrap();
        let peer = door.answer(content).await;
        let half = |block: BlockInfo| (block.piece.0 != 5 || block.begin == 0).then(|| content.block(block));
        tokio::select! {
            _ = peer.give(content, FIRST.into_iter().chain([5]), half) => panic!("the engine stays"),
            _ = when(&torrent, |status| status.pieces_have == 4 && status.downloaded > 4 * u64::from(PIECE)) => {}
        }
        if end == End::Shutdown {
            engine.shutdown().await;
        }
        // Dropped handles would be word to the engine that it may stop in peace.
        std::mem::forget((engine, torrent));
    });
    drop(runtime);
    // Disk threads may be at work still; they hold the lock until they have ended.
    File::open(content.path(".target.part")).unwrap().lock().unwrap();
}

/// Goes on with the download from a peer that has everything; returns the blocks that it was asked for, sorted.
fn go_on(content: &Content) -> Vec<BlockInfo> {
    let asked = Runtime::new().unwrap().block_on(async {
        let door = Door::open().await;
        let engine = engine().await;
        let torrent = engine.add(content.fetch("target", &[door.addr])).await.unwrap();
        let peer = door.answer(content).await;
        let giving = peer.give(content, 0..PIECES, |block| Some(content.block(block)));
        let leaving = async {
            torrent.wait_complete().await.unwrap();
            engine.shutdown().await;
        };
        tokio::join!(giving, leaving).0
    });
    content.assert_arrived("target");
    assert_eq!(content.names(".target"), [] as [&str; 0]);
    let mut asked = asked;
    asked.sort();
    asked
}

#[test]
fn no_verified_piece_is_fetched_twice_however_the_engine_ends() {
    for end in [End::Shutdown, End::Drop] {
        let content = Content::file(PIECES);
        live(&content, end);
        assert_eq!(content.path("target.resume").exists(), end == End::Shutdown);
        assert_eq!(go_on(&content), content.blocks([1, 4, 5, 6, 8, 9]));
    }
}

#[test]
fn a_torn_piece_is_fetched_again_and_no_other() {
    for end in [End::Shutdown, End::Drop] {
        let content = Content::file(PIECES);
        live(&content, end);
        let mut part = OpenOptions::new().write(true).open(content.path(".target.part")).unwrap();
        part.seek(SeekFrom::Start(u64::from(3 * PIECE) + 500)).unwrap();
        part.write_all(&[0; 5000]).unwrap();
        drop(part);
        assert_eq!(go_on(&content), content.blocks([1, 3, 4, 5, 6, 8, 9]));
    }
}

#[test]
fn a_working_file_that_was_cut_short_or_lost_is_made_good() {
    let content = Content::file(PIECES);
    live(&content, End::Shutdown);
    let part = OpenOptions::new().write(true).open(content.path(".target.part")).unwrap();
    part.set_len(u64::from(3 * PIECE) + 5).unwrap();
    drop(part);
    assert_eq!(go_on(&content), content.blocks([1, 3, 4, 5, 6, 7, 8, 9]));

    std::fs::remove_file(content.path("target")).unwrap();
    live(&content, End::Shutdown);
    std::fs::remove_file(content.path(".target.part")).unwrap();
    assert_eq!(go_on(&content), content.blocks(0..PIECES));
}

/// A record as the engine writes it, with fields that may be untrue.
#[derive(Clone, Serialize)]
struct Record {
    version: u8,
    info_hash: InfoHash,
    placed: u8,
    have: ByteBuf,
    files: Vec<(u64, u64)>,
}

impl Record {
    /// Claims every piece; all of its other fields are true.
    fn of(content: &Content, name: &str, placed: u8) -> Self {
        let found = std::fs::metadata(content.path(name)).unwrap();
        let time = found.modified().unwrap().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        Self {
            version: 1,
            info_hash: content.metainfo.info_hash,
            placed,
            have: ByteBuf::from(Bitfield::all(PIECES).as_bytes()),
            files: vec![(found.len(), u64::try_from(time).unwrap())],
        }
    }

    fn write(&self, content: &Content) {
        let mut bytes = podswarm_core::bencode::encode(self);
        bytes.extend_from_slice(&Sha1::digest(&bytes));
        std::fs::write(content.path("target.resume"), bytes).unwrap();
    }
}

#[test]
fn a_record_that_lies_does_no_harm() {
    let content = Content::file(PIECES);
    live(&content, End::Shutdown);
    let part = std::fs::read(content.path(".target.part")).unwrap();
    let lies: [fn(&mut Record); 7] = [
        // As of a file that was changed since.
        |record| record.files[0].1 -= 1,
        |record| record.files[0].0 += 1,
        |record| record.files.push((5, 5)),
        |record| record.files.clear(),
        |record| record.info_hash = InfoHash::from_v1([7; 20]),
        // Of a torrent of more pieces, and of fewer.
        |record| record.have.push(0xff),
        |record| record.have.truncate(1),
    ];
    for lie in lies {
        std::fs::write(content.path(".target.part"), &part).unwrap();
        let mut record = Record::of(&content, ".target.part", 0);
        lie(&mut record);
        record.write(&content);
        assert_eq!(go_on(&content), content.blocks([1, 4, 5, 6, 8, 9]));
        std::fs::remove_file(content.path("target")).unwrap();
    }
    for garbage in [&b""[..], b"d", &[0xff; 10_000]] {
        std::fs::write(content.path(".target.part"), &part).unwrap();
        std::fs::write(content.path("target.resume"), garbage).unwrap();
        assert_eq!(go_on(&content), content.blocks([1, 4, 5, 6, 8, 9]));
        std::fs::remove_file(content.path("target")).unwrap();
    }
}

#[tokio::test]
async fn a_record_that_tells_of_another_file_vouches_for_none() {
    let content = Content::file(PIECES);
    std::fs::write(content.path("target"), "somebody else's").unwrap();
    let mut record = Record::of(&content, "source", 1);
    record.write(&content);
    let engine = engine().await;
    let torrent = engine.add(content.fetch("target", &[])).await.unwrap();
    let text = torrent.wait_complete().await.unwrap_err().to_string();
    assert!(text.ends_with("0 of 10 pieces match, `source` has 15 bytes; want 327580"), "{text}");
    torrent.remove().await;

    // Of the right size, with some pieces missing by its own account.
    std::fs::copy(content.path("source"), content.path("target")).unwrap();
    record = Record::of(&content, "target", 1);
    record.have = ByteBuf::from([0x80, 0]);
    record.write(&content);
    let torrent = engine.add(content.fetch("target", &[])).await.unwrap();
    torrent.wait_complete().await.unwrap();
    assert_eq!(torrent.status().pieces_have, PIECES);
}

#[tokio::test]
async fn a_removed_torrent_can_be_added_again_at_once() {
    let content = Content::file(60);
    let (seeder, leecher) = (seeder(&content).await, engine().await);
    for _ in 0..5 {
        let torrent = leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap();
        when(&torrent, |status| status.state != TorrentState::Checking).await;
        torrent.remove().await;
        assert_eq!(torrent.wait_complete().await.is_err(), !torrent.status().complete);
    }
    let torrent = leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap();
    torrent.wait_complete().await.unwrap();
    content.assert_arrived("target");
}

#[tokio::test]
async fn a_record_is_deleted_for_good_once_the_torrent_is_removed() {
    let content = Content::file(60);
    let (seeder, leecher) = (seeder(&content).await, engine().await);
    for pauses in [false, true] {
        for completes in [false, true] {
            let torrent = leecher.add(content.fetch("target", &[addr(&seeder)])).await.unwrap();
            if completes {
                torrent.wait_complete().await.unwrap();
            } else {
                when(&torrent, |status| status.state != TorrentState::Checking).await;
            }
            if pauses {
                torrent.pause().await;
            }
            torrent.remove().await;
            std::fs::remove_file(content.path("target.resume")).unwrap();
            // Whatever still ran would end before the engine does.
            for name in ["target", ".target.part"] {
                let _ = std::fs::remove_file(content.path(name));
            }
            assert_eq!(content.names("target"), [] as [&str; 0]);
        }
    }
    leecher.shutdown().await;
    assert_eq!(content.names("target"), [] as [&str; 0]);
}
