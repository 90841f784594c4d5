//! What must hold at every step, whatever the scenario.

use podswarm_core::layout::PieceIndex;
use podswarm_core::peer::Message;
use podswarm_core::piece::Availability;
use podswarm_core::swarm::Output;

use super::World;
use super::host::{Host, HostId, Kind};

/// Above so many hosts what is sent is checked now and then only.
const ALWAYS_UP_TO: usize = 200;
/// How often then.
const SAMPLE: u64 = 101;
/// Above so many hosts a host's whole state is checked now and then only.
const STATE_ALWAYS_UP_TO: usize = 9;
/// How often then, among so many hosts and more.
const STATE_SAMPLES: [(usize, u64); 2] = [(1000, 20_011), (0, 1009)];
/// The most bytes that wait for one peer's socket: a span more than is read ahead.
const MAX_PENDING: u64 = (1 << 20) + 256 * 1024;

/// Nothing but granted pieces goes to a choked peer, and nothing that is not there.
pub(super) fn check_output(hosts: &[Host], id: HostId, output: &Output, step: u64) {
    let Output::Send(conn, Message::Piece { piece, .. }) = output else { return };
    if hosts.len() > ALWAYS_UP_TO && !step.is_multiple_of(SAMPLE) {
        return;
    }
    let host = &hosts[id.0];
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

/// Availability and requests equal a recount; slots and buffers keep their bounds.
pub(super) fn check_state(hosts: &[Host], id: HostId, step: u64) {
    let sample = STATE_SAMPLES.iter().find(|(least, _)| hosts.len() > *least).map_or(1, |(_, sample)| *sample);
    if hosts.len() > STATE_ALWAYS_UP_TO && !step.is_multiple_of(sample) {
        return;
    }
    let host = &hosts[id.0];
    let Some(swarm) = host.swarm() else { return };
    let slots = swarm.slots();
    let served = swarm.connections().values().filter(|peer| !peer.am_choking && peer.peer_interested).count();
    assert!(served <= slots, "{} serves {served} peers with {slots} slots", host.addr);
    let mut recount = Availability::none(swarm.picker().have().len());
    for peer in swarm.connections().values() {
        recount.add(&peer.pieces);
        let pending = peer.uploads.pending_bytes();
        assert!(pending <= MAX_PENDING, "{} keeps {pending} bytes for {}", host.addr, peer.addr);
    }
    assert_eq!(swarm.picker().availability, recount, "{}'s availability", host.addr);
    let asked: usize = swarm.connections().values().map(|peer| peer.pipeline.len()).sum();
    assert_eq!(swarm.asked(), asked, "{}'s requests", host.addr);
    let is_honest = host.character.kind == Kind::Honest;
    assert!(!is_honest || swarm.picker().have().iter().all(|piece| host.stored.has(piece)));
}

/// Every byte of a block that left a host reached another, is on its way, or came to an end that had hung up.
pub(super) fn bytes_are_conserved(world: &World) {
    let sent: u64 = world.hosts.iter().map(|host| host.sent).sum();
    let received: u64 = world.hosts.iter().map(|host| host.received).sum();
    assert_eq!(sent, received + world.flying + world.lost, "bytes sent and received");
}
