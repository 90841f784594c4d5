//! Peers that ask for hashes of a v2 torrent.

use super::lab::{Disk, Lab};
use crate::layout::PieceIndex;
use crate::metainfo::merkle;
use crate::peer::hashes::hashes_of;
use crate::peer::{ConnId, HashRequest, Message, Reserved};
use crate::swarm::Input;

/// The answer to a request; `None` if it is refused.
fn ask(lab: &mut Lab, host: usize, conn: ConnId, request: HashRequest) -> Option<Vec<[u8; 32]>> {
    lab.heard(host, conn);
    lab.say(host, conn, Message::HashRequest(request));
    let answer = lab.heard(host, conn).into_iter().find_map(|message| match message {
        Message::Hashes { request: got, hashes } if got == request => Some(Some(hashes_of(&hashes).to_vec())),
        Message::HashReject(got) if got == request => Some(None),
        _ => None,
    });
    answer.expect("every request is answered")
}

#[test]
fn hashes_of_pieces_and_of_blocks_lead_to_the_root() {
    let mut lab = Lab::v2(11, 4);
    let host = lab.seed();
    let root = lab.metainfo.info.files[0].root.unwrap();
    // 44 blocks in a tree of 64, pieces in layer 2.
    for (base, length) in [(0, 1), (0, 2), (0, 4), (2, 2), (2, 8), (2, 16), (3, 8), (5, 1)] {
        for index in (0..(64 >> base)).step_by(length as usize) {
            // One connection may not ask for everything so often.
            let conn = lab.stranger(host, Reserved::OURS.with_v2());
            let request = HashRequest { root, base, index, length, proofs: 5 - base };
            let is_there = base > 0 || index < 44;
            match ask(&mut lab, host, conn, request) {
                Some(hashes) => assert_eq!(request.lead(&hashes), Some(root), "{request:?}"),
                None => assert!(!is_there, "{request:?}"),
            }
            lab.give(host, Input::Closed(conn));
        }
    }
    let conn = lab.stranger(host, Reserved::OURS.with_v2());
    let request = HashRequest { root, base: 0, index: 40, length: 4, proofs: 0 };
    let leaves = ask(&mut lab, host, conn, request).unwrap();
    assert_eq!(leaves[1], merkle::leaf(&lab.bytes(lab.block(10, 1))));
}

#[test]
fn what_is_not_there_cannot_be_read_or_costs_too_much_is_refused() {
    let mut lab = Lab::v2(8, 2);
    let root = lab.metainfo.info.files[0].root.unwrap();
    let block = HashRequest { root, base: 0, index: 2, length: 2, proofs: 0 };
    let leecher = lab.leecher();
    let conn = lab.stranger(leecher, Reserved::OURS.with_v2());
    assert_eq!(ask(&mut lab, leecher, conn, block), None, "the piece is missing");
    assert!(ask(&mut lab, leecher, conn, HashRequest { base: 1, ..block }).is_some(), "its layer is known");
    let host = lab.seed();
    let conn = lab.stranger(host, Reserved::OURS.with_v2());
    for odd in [
        HashRequest { root: [0; 32], ..block },
        HashRequest { length: 3, ..block },
        HashRequest { index: 1, ..block },
        HashRequest { index: 0, length: 8, ..block },
        HashRequest { base: 9, ..block },
        HashRequest { proofs: u32::MAX, ..block },
        HashRequest { index: u32::MAX - 1, ..block },
    ] {
        assert_eq!(ask(&mut lab, host, conn, odd), None, "{odd:?}");
    }
    let length = u64::from(lab.layout.length_of(PieceIndex(1)));
    let given = (0..1000).filter(|_| ask(&mut lab, host, conn, block).is_some()).count() as u64;
    assert!(given * length <= (1 << 20) + length, "{given} pieces were read");
    lab.hosts[host].disk = Disk::Unreadable;
    let conn = lab.stranger(host, Reserved::OURS.with_v2());
    assert_eq!(ask(&mut lab, host, conn, block), None);
    let mut v1 = Lab::new(8, 2);
    let host = v1.seed();
    let conn = v1.stranger(host, Reserved::OURS.with_v2());
    assert_eq!(ask(&mut v1, host, conn, block), None, "a v1 torrent has no trees");
}
