//! Peers that ask for the torrent itself.

use super::lab::Lab;
use crate::metainfo::Metainfo;
use crate::peer::extension::OUR_METADATA_ID;
use crate::peer::metadata::piece_count;
use crate::peer::{ConnId, ExtensionHandshake, Message, MetadataMessage, Reserved};

const THEIR_ID: u8 = 9;

fn asker(lab: &mut Lab, host: usize) -> ConnId {
    let conn = lab.stranger(host, Reserved::OURS);
    let hello = ExtensionHandshake { metadata: Some(THEIR_ID), ..ExtensionHandshake::default() };
    lab.say(host, conn, Message::Extended { id: 0, payload: hello.encode() });
    conn
}

fn ask(lab: &mut Lab, host: usize, conn: ConnId, piece: u32) -> Option<MetadataMessage> {
    lab.heard(host, conn);
    let payload = MetadataMessage::Request(piece).encode();
    lab.say(host, conn, Message::Extended { id: OUR_METADATA_ID, payload });
    let answer = |message| match message {
        Message::Extended { id: THEIR_ID, payload } => MetadataMessage::decode(&payload),
        _ => None,
    };
    lab.heard(host, conn).into_iter().find_map(answer)
}

#[test]
fn who_asks_gets_the_info_whole_and_at_most_twice() {
    let mut lab = Lab::new(2000, 1);
    let host = lab.seed();
    let conn = asker(&mut lab, host);
    let size = u32::try_from(lab.metainfo.info_bytes().len()).unwrap();
    let hello = lab.heard(host, conn).into_iter().find_map(|message| match message {
        Message::Extended { id: 0, payload } => ExtensionHandshake::decode(&payload),
        _ => None,
    });
    assert_eq!(hello.map(|hello| (hello.metadata, hello.metadata_size)), Some((Some(OUR_METADATA_ID), Some(size))));
    assert!(piece_count(size) > 2);
    for _ in 0..2 {
        let mut info = Vec::new();
        for piece in 0..piece_count(size) {
            let Some(MetadataMessage::Data { piece: got, total, data }) = ask(&mut lab, host, conn, piece) else {
                panic!("piece {piece} is given")
            };
            assert_eq!((got, total), (piece, size));
            info.extend_from_slice(&data);
        }
        assert_eq!(Metainfo::from_info_bytes(&info).unwrap().info_hash, lab.metainfo.info_hash);
    }
    assert_eq!(ask(&mut lab, host, conn, 0), Some(MetadataMessage::Reject(0)));
}

#[test]
fn a_piece_beyond_the_last_and_any_of_a_private_torrent_is_refused() {
    let mut lab = Lab::new(8, 1);
    let host = lab.seed();
    let conn = asker(&mut lab, host);
    for piece in [1, u32::MAX] {
        assert_eq!(ask(&mut lab, host, conn, piece), Some(MetadataMessage::Reject(piece)));
    }
    lab.set_private(true);
    let host = lab.seed();
    let conn = asker(&mut lab, host);
    assert_eq!(ask(&mut lab, host, conn, 0), Some(MetadataMessage::Reject(0)));
}
