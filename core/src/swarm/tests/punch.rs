//! Peers who cannot reach each other, somebody who introduces them, and strangers who would have us dial a victim.

use std::net::SocketAddr;
use std::time::Duration;

use super::lab::Lab;
use crate::bitfield::Bitfield;
use crate::peer::connection::PeerFault;
use crate::peer::exchange::{Contact, ContactFlags, ExchangeMessage};
use crate::peer::extension::{OUR_EXCHANGE_ID, OUR_HOLEPUNCH_ID};
use crate::peer::holepunch::{PunchError, PunchMessage};
use crate::peer::{ConnId, Direction, ExtensionHandshake, Message, Reserved};
use crate::swarm::SwarmConfig;
use crate::swarm::io::CloseReason;

/// The number under which strangers of these tests take messages of hole punching.
const THEIR_ID: u8 = 9;
/// The same of peer exchange.
const THEIR_EXCHANGE_ID: u8 = 7;

fn lab() -> (Lab, usize) {
    let mut lab = Lab::new(8, 1);
    let host = lab.add(Bitfield::none(8), SwarmConfig { utp: true, ..SwarmConfig::default() });
    (lab, host)
}

/// A stranger that listens on port 6881 of this address and understands hole punching, or does not.
fn stranger(lab: &mut Lab, host: usize, ip: [u8; 4], holepunch: Option<u8>) -> ConnId {
    let conn = lab.stranger_at(host, Reserved::OURS, SocketAddr::from((ip, 50_000)), Direction::Incoming);
    let exchange = Some(THEIR_EXCHANGE_ID);
    let hello = ExtensionHandshake { port: Some(6881), exchange, holepunch, ..ExtensionHandshake::default() };
    lab.say(host, conn, Message::Extended { id: 0, payload: hello.encode() });
    conn
}

fn say(lab: &mut Lab, host: usize, conn: ConnId, message: PunchMessage) {
    lab.say(host, conn, Message::Extended { id: OUR_HOLEPUNCH_ID, payload: message.encode() });
}

fn heard(lab: &mut Lab, host: usize, conn: ConnId) -> Vec<PunchMessage> {
    let punch = |message| match message {
        Message::Extended { id: THEIR_ID, payload } => PunchMessage::decode(&payload),
        _ => None,
    };
    lab.heard(host, conn).into_iter().filter_map(punch).collect()
}

fn listens(ip: [u8; 4]) -> SocketAddr {
    SocketAddr::from((ip, 6881))
}

fn name(lab: &mut Lab, host: usize, teller: ConnId, addr: SocketAddr, flags: ContactFlags) {
    let message = ExchangeMessage { added: vec![Contact { addr, flags }], dropped: Vec::new() };
    lab.say(host, teller, Message::Extended { id: OUR_EXCHANGE_ID, payload: message.encode() });
}

const A: [u8; 4] = [198, 18, 1, 1];
const B: [u8; 4] = [198, 18, 2, 2];
const HIDDEN: [u8; 4] = [198, 18, 3, 3];

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn whoever_is_hard_to_reach_is_asked_for_at_the_one_who_named_it() {
    let (mut lab, host) = lab();
    let relay = stranger(&mut lab, host, A, Some(THEIR_ID));
    name(&mut lab, host, relay, listens(HIDDEN), ContactFlags::default().speaking(true, true));
    lab.pass(seconds(2));
    assert_eq!(heard(&mut lab, host, relay), [PunchMessage::Rendezvous(listens(HIDDEN))]);
    assert!(lab.hosts[host].dialled.is_empty());
    // Its router gave it another port.
    let seen = SocketAddr::from((HIDDEN, 7000));
    say(&mut lab, host, relay, PunchMessage::Connect(seen));
    lab.pass(seconds(1));
    assert_eq!(lab.hosts[host].punched, [seen]);
}

#[test]
fn a_relay_that_will_not_or_does_not_answer_costs_little_time() {
    for refusal in [Some(PunchError::NotConnected), None] {
        let (mut lab, host) = lab();
        let relay = stranger(&mut lab, host, A, Some(THEIR_ID));
        name(&mut lab, host, relay, listens(HIDDEN), ContactFlags::default().speaking(true, true));
        lab.pass(seconds(2));
        if let Some(error) = refusal {
            say(&mut lab, host, relay, PunchMessage::Refused(listens(HIDDEN), error));
        }
        lab.pass(seconds(if refusal.is_some() { 2 } else { 6 }));
        assert_eq!(lab.hosts[host].dialled.iter().map(|(_, addr)| *addr).collect::<Vec<_>>(), [listens(HIDDEN)]);
    }
}

#[test]
fn who_can_be_reached_is_dialled_at_once() {
    let (mut lab, host) = lab();
    let relay = stranger(&mut lab, host, A, Some(THEIR_ID));
    name(&mut lab, host, relay, listens(B), ContactFlags::new(false, true).speaking(true, true));
    name(&mut lab, host, relay, listens(HIDDEN), ContactFlags::default());
    lab.pass(seconds(2));
    assert_eq!((lab.hosts[host].dialled.len(), heard(&mut lab, host, relay)), (2, vec![]));
    // Who could not be reached is asked for then.
    let [first, second] = [0, 1].map(|n| lab.hosts[host].dialled[n].0);
    for conn in [first, second] {
        lab.give(host, crate::swarm::Input::DialFailed(conn));
    }
    lab.pass(seconds(8));
    assert_eq!(heard(&mut lab, host, relay).len(), 2);
}

#[test]
fn a_relay_introduces_two_of_its_peers() {
    let (mut lab, host) = lab();
    let (a, b) = (stranger(&mut lab, host, A, Some(THEIR_ID)), stranger(&mut lab, host, B, Some(THEIR_ID)));
    say(&mut lab, host, a, PunchMessage::Rendezvous(listens(B)));
    assert_eq!(heard(&mut lab, host, a), [PunchMessage::Connect(listens(B))]);
    assert_eq!(heard(&mut lab, host, b), [PunchMessage::Connect(listens(A))]);
    lab.pass(seconds(30));
    assert!(lab.hosts[host].punched.is_empty());
}

#[test]
fn a_relay_names_nobody_but_its_peers_and_says_why() {
    let (mut lab, host) = lab();
    let a = stranger(&mut lab, host, A, Some(THEIR_ID));
    stranger(&mut lab, host, B, None);
    let near = stranger(&mut lab, host, [192, 168, 7, 7], Some(THEIR_ID));
    for (wanted, error) in [
        (listens(HIDDEN), PunchError::NotConnected),
        (listens(B), PunchError::NoSupport),
        (listens(A), PunchError::NoSelf),
        (listens([192, 168, 7, 7]), PunchError::NoSuchPeer),
    ] {
        say(&mut lab, host, a, PunchMessage::Rendezvous(wanted));
        assert_eq!(heard(&mut lab, host, a), [PunchMessage::Refused(wanted, error)]);
    }
    assert!(heard(&mut lab, host, near).is_empty());
}

#[test]
fn nobody_is_bothered_more_than_now_and_then_and_who_floods_is_left() {
    let (mut lab, host) = lab();
    let (a, b) = (stranger(&mut lab, host, A, Some(THEIR_ID)), stranger(&mut lab, host, B, Some(THEIR_ID)));
    for _ in 0..100 {
        say(&mut lab, host, a, PunchMessage::Rendezvous(listens(B)));
        say(&mut lab, host, a, PunchMessage::Rendezvous(listens(HIDDEN)));
    }
    assert!(heard(&mut lab, host, b).len() <= 12);
    assert!(heard(&mut lab, host, a).len() <= 12);
    assert_eq!(lab.hosts[host].closed, [(a, CloseReason::Fault(PeerFault::PunchFlood(121)))]);
}

#[test]
fn a_lying_relay_aims_us_at_few_and_at_nobody_nearer_than_itself() {
    let (mut lab, host) = lab();
    let relay = stranger(&mut lab, host, A, Some(THEIR_ID));
    for near in [[127, 0, 0, 1], [10, 0, 0, 1], [192, 168, 1, 1]] {
        say(&mut lab, host, relay, PunchMessage::Connect(listens(near)));
        lab.pass(seconds(1));
    }
    for n in 0..50 {
        say(&mut lab, host, relay, PunchMessage::Connect(listens([198, 19, n, 1])));
    }
    lab.pass(seconds(30));
    let punched = &lab.hosts[host].punched;
    assert_eq!(punched.len(), 9);
    assert!(punched.iter().all(|addr| addr.ip().to_string().starts_with("198.19.")));
    assert!(lab.hosts[host].dialled.is_empty());
}

#[test]
fn others_hear_who_punches_holes() {
    let (mut lab, host) = lab();
    let listener = stranger(&mut lab, host, A, Some(THEIR_ID));
    stranger(&mut lab, host, B, Some(THEIR_ID));
    lab.pass(seconds(11));
    let exchange = |message| match message {
        Message::Extended { id: THEIR_EXCHANGE_ID, payload } => ExchangeMessage::decode(&payload),
        _ => None,
    };
    let told: Vec<_> = lab.heard(host, listener).into_iter().filter_map(exchange).collect();
    let flags = ContactFlags::default().speaking(true, true);
    assert_eq!(told[0].added, [Contact { addr: listens(B), flags }]);
}

#[test]
fn where_peers_are_not_told_of_one_another_or_utp_is_not_spoken_no_holes_are_punched() {
    let silent = SwarmConfig { utp: true, exchange: false, ..SwarmConfig::default() };
    let open = SwarmConfig { utp: true, ..SwarmConfig::default() };
    for (private, config) in [(true, open), (false, silent), (false, SwarmConfig::default())] {
        let mut lab = Lab::new(8, 1);
        lab.set_private(private);
        let host = lab.add(Bitfield::none(8), config);
        let (a, b) = (stranger(&mut lab, host, A, Some(THEIR_ID)), stranger(&mut lab, host, B, Some(THEIR_ID)));
        let hello = |message| match message {
            Message::Extended { id: 0, payload } => ExtensionHandshake::decode(&payload)?.holepunch,
            _ => None,
        };
        assert_eq!(lab.heard(host, a).into_iter().find_map(hello), None);
        say(&mut lab, host, a, PunchMessage::Rendezvous(listens(B)));
        say(&mut lab, host, a, PunchMessage::Connect(listens(HIDDEN)));
        lab.pass(seconds(3));
        assert!(heard(&mut lab, host, a).is_empty() && heard(&mut lab, host, b).is_empty());
        assert!(lab.hosts[host].punched.is_empty());
    }
}
