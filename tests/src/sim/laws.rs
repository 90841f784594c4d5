//! What must hold at every step, whatever the scenario.

use podswarm_core::layout::PieceIndex;
use podswarm_core::peer::Message;
use podswarm_core::piece::Availability;
use podswarm_core::swarm::Output;

use super::host::{Host, HostId, Kind};

/// Above so many hosts the costly laws are checked now and then only.
const ALWAYS_UP_TO: usize = 9;
/// How often then.
const SAMPLE: u64 = 101;
/// The most bytes that wait for one peer's socket: a span more than is read ahead.
const MAX_PENDING: u64 = (1 << 20) + 256 * 1024;

/// Nothing but granted pieces goes to a choked peer, and nothing that is not there.
pub(super) fn check_output(host: &Host, output: &Output) {
    let Output::Send(conn, Message::Piece { piece, .. }) = output else { return };
    let Some(swarm) = host.swarm() else { return };
    assert!(swarm.picker().have().has(*piece), "{} sends piece {piece}, which it lacks", host.addr);
    if let Some(peer) = swarm.connections().get(conn) {
        let allowed = !peer.am_choking || peer.granted.contains(piece);
        assert!(allowed, "{} sends a block to {}, which is choked", host.addr, peer.addr);
    }
}

/// A piece is stored once.
pub(super) fn stored_once(host: &mut Host, piece: PieceIndex) {
    assert!(host.stored.insert(piece), "{} stores piece {piece} twice", host.addr);
}

/// Availability equals a recount; slots and buffers keep their bounds.
pub(super) fn check_state(hosts: &[Host], id: HostId, step: u64) {
    if hosts.len() > ALWAYS_UP_TO && !step.is_multiple_of(SAMPLE) {
        return;
    }
    let host = &hosts[id.0];
    let Some(swarm) = host.swarm() else { return };
    let slots = podswarm_core::choke::Slots::default().total();
    let served = swarm.connections().values().filter(|peer| !peer.am_choking && peer.peer_interested).count();
    assert!(served <= slots, "{} serves {served} peers with {slots} slots", host.addr);
    let mut recount = Availability::none(swarm.picker().have().len());
    for peer in swarm.connections().values() {
        recount.add(&peer.pieces);
        let pending = peer.uploads.pending_bytes();
        assert!(pending <= MAX_PENDING, "{} keeps {pending} bytes for {}", host.addr, peer.addr);
    }
    assert_eq!(swarm.picker().availability, recount, "{}'s availability", host.addr);
    assert!(host.kind != Kind::Honest || swarm.picker().have().iter().all(|piece| host.stored.has(piece)));
}
