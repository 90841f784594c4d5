//! Two ports joined by a wire that delays, loses, doubles and swaps, under virtual time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::packet::{Header, Kind, Packet, SeqNr};
use super::*;
use crate::rng::Rng;
use crate::time::{Instant, earliest};

const TARGET: Duration = Duration::from_millis(25);

/// One direction of the wire.
#[derive(Clone, Copy)]
struct Way {
    delay: Duration,
    /// Up to so much longer.
    jitter: Duration,
    loss_percent: u32,
    double_percent: u32,
    /// Bytes per second, with a queue before it that holds so many bytes.
    rate: Option<(u64, u64)>,
}

const GOOD: Way =
    Way { delay: Duration::from_millis(20), jitter: Duration::ZERO, loss_percent: 0, double_percent: 0, rate: None };

/// What a side has got, and what it is still to send.
#[derive(Default)]
struct Ends {
    open: Option<StreamId>,
    to_send: Bytes,
    may_send: bool,
    got: Vec<u8>,
    /// Nothing more will come.
    at_end: bool,
    ended: Option<End>,
    /// What is read at most at once, and how much of it is left.
    reads: bool,
}

struct Side {
    addr: SocketAddr,
    endpoint: Endpoint,
    /// What its clock shows when the world's begins.
    offset: Duration,
    way: Way,
    /// When the last byte in its queue has left.
    busy_until: Instant,
    ends: Ends,
    datagrams: usize,
    longest_wait: Duration,
}

struct World {
    now: Instant,
    rng: Rng,
    sides: [Side; 2],
    wire: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    count: u64,
}

impl World {
    fn new(seed: u64, ways: [Way; 2]) -> Self {
        let mut rng = Rng::from_seed_u64(seed);
        let mut side = |index: u8, way| Side {
            addr: SocketAddr::from(([198, 18, 0, index], 6881)),
            endpoint: Endpoint::new(EndpointConfig { target: TARGET, accept: true }, rng.fork(index.into())),
            offset: Duration::from_secs(4290 * u64::from(index)),
            way,
            busy_until: Instant::ZERO,
            ends: Ends { reads: true, ..Ends::default() },
            datagrams: 0,
            longest_wait: Duration::ZERO,
        };
        let sides = [side(0, ways[0]), side(1, ways[1])];
        Self { now: Instant::ZERO, rng, sides, wire: BTreeMap::new(), count: 0 }
    }

    fn local(&self, side: usize) -> Instant {
        self.now + self.sides[side].offset
    }

    /// Side 0 dials side 1; both are to send so many bytes.
    fn dialled(seed: u64, ways: [Way; 2], bytes: [usize; 2]) -> Self {
        let mut world = Self::new(seed, ways);
        for (side, bytes) in world.sides.iter_mut().zip(bytes) {
            let mut content = vec![0; bytes];
            Rng::from_seed_u64(bytes as u64).fill(&mut content);
            side.ends.to_send = content.into();
        }
        let (now, addr) = (world.local(0), world.sides[1].addr);
        world.sides[0].endpoint.dial(now, addr).unwrap();
        world.drain(0);
        world
    }

    /// Does what a side wants done.
    fn drain(&mut self, index: usize) {
        let now = self.local(index);
        while let Some(output) = self.sides[index].endpoint.poll() {
            let side = &mut self.sides[index];
            match output {
                Output::Send { datagram, .. } => self.send(index, &datagram),
                Output::Connected(id) | Output::Accepted(id, _) => {
                    side.ends.open = Some(id);
                    side.ends.may_send = true;
                }
                Output::Writable(_) => side.ends.may_send = true,
                Output::Readable(id) => {
                    while side.ends.reads && !side.ends.at_end {
                        match side.endpoint.read(now, id) {
                            Some(bytes) if bytes.is_empty() => break,
                            Some(bytes) => side.ends.got.extend_from_slice(&bytes),
                            None => side.ends.at_end = true,
                        }
                    }
                }
                Output::Ended(_, end) => side.ends.ended = Some(end),
            }
            self.write(index);
        }
    }

    fn write(&mut self, index: usize) {
        let now = self.local(index);
        let Side { endpoint, ends, .. } = &mut self.sides[index];
        let Some(id) = ends.open else { return };
        while ends.may_send && !ends.to_send.is_empty() {
            let part = ends.to_send.split_to(ends.to_send.len().min(16_397));
            ends.may_send = endpoint.write(now, id, part);
        }
    }

    fn send(&mut self, from: usize, datagram: &Datagram) {
        let mut bytes = Vec::new();
        datagram.header.encode(datagram.selective.as_ref(), &mut bytes);
        bytes.extend_from_slice(&datagram.payload);
        let side = &mut self.sides[from];
        side.datagrams += 1;
        let way = side.way;
        let mut leaves = self.now;
        if let Some((rate, queue)) = way.rate {
            let waits = side.busy_until - self.now;
            let takes = |bytes: u64| Duration::from_nanos(bytes * 1_000_000_000 / rate);
            if waits > takes(queue) {
                return;
            }
            leaves = side.busy_until.max(self.now) + takes(bytes.len() as u64 + 28);
            side.busy_until = leaves;
            side.longest_wait = side.longest_wait.max(waits);
        }
        for _ in 0..=usize::from(self.rng.ratio(way.double_percent, 100)) {
            if !self.rng.ratio(way.loss_percent, 100) {
                let late = self.rng.jitter(way.jitter / 2, 100);
                self.count += 1;
                self.wire.insert((leaves + way.delay + late, self.count), (1 - from, bytes.clone()));
            }
        }
    }

    fn inject(&mut self, to: usize, datagram: &[u8]) {
        let (now, from) = (self.local(to), self.sides[1 - to].addr);
        self.sides[to].endpoint.handle(now, Input::Received { at: now, from, to: None, datagram });
        self.drain(to);
    }

    fn deadline(&self, index: usize) -> Option<Instant> {
        let side = &self.sides[index];
        side.endpoint.deadline().map(|at| Instant::ZERO + (at - (Instant::ZERO + side.offset)))
    }

    /// Runs until `done`, or panics after so much time.
    #[track_caller]
    fn run(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        while !done(self) {
            let timer = earliest(self.deadline(0), self.deadline(1));
            let arrival = self.wire.first_key_value().map(|((at, _), _)| *at);
            let at = earliest(timer, arrival).expect("something happens next");
            assert!(
                at <= end,
                "not done at {end}: got {} and {}",
                self.sides[0].ends.got.len(),
                self.sides[1].ends.got.len()
            );
            self.now = self.now.max(at);
            while let Some(((at, _), (to, bytes))) = self.wire.pop_first() {
                if at > self.now {
                    self.wire.insert((at, 0), (to, bytes));
                    break;
                }
                self.inject(to, &bytes);
            }
            for index in 0..2 {
                if self.deadline(index).is_some_and(|at| at <= self.now) {
                    let now = self.local(index);
                    self.sides[index].endpoint.handle(now, Input::Tick);
                    self.drain(index);
                }
            }
        }
    }

    fn close(&mut self, index: usize) {
        let now = self.local(index);
        let id = self.sides[index].ends.open.unwrap();
        self.sides[index].endpoint.handle(now, Input::Close(id));
        self.drain(index);
    }

    fn has_all(&self, bytes: [usize; 2]) -> bool {
        self.sides[1].ends.got.len() >= bytes[0] && self.sides[0].ends.got.len() >= bytes[1]
    }
}

/// Both sides get what the other sent, in order; then the connection ends for both.
#[track_caller]
fn check_transfer(seed: u64, way: Way, bytes: [usize; 2], limit: Duration) -> World {
    let mut world = World::dialled(seed, [way; 2], bytes);
    let sent = [world.sides[0].ends.to_send.clone(), world.sides[1].ends.to_send.clone()];
    world.run(limit, |world| world.has_all(bytes));
    assert!(world.sides[1].ends.got == sent[0] && world.sides[0].ends.got == sent[1]);
    world.close(0);
    world.run(limit, |world| world.sides[1].ends.at_end);
    world.close(1);
    world.run(Duration::from_mins(2), |world| world.sides.iter().all(|side| side.ends.ended.is_some()));
    world
}

#[test]
fn a_good_wire_carries_both_streams() {
    let world = check_transfer(1, GOOD, [3_000_000, 1_000_000], Duration::from_secs(10));
    assert_eq!(world.sides.each_ref().map(|side| side.ends.ended), [Some(End::Finished); 2]);
    assert!(world.now - Instant::ZERO < Duration::from_secs(3), "{}", world.now);
}

#[test]
fn every_byte_comes_through_loss_delay_doubling_and_disorder() {
    for seed in 0..40 {
        let jitter = Duration::from_millis(seed % 5 * 8);
        let way = Way { jitter, loss_percent: u32::try_from(seed % 8).unwrap() * 2, double_percent: 5, ..GOOD };
        check_transfer(seed, way, [300_000, 100_000], Duration::from_mins(10));
    }
}

#[test]
fn one_seed_gives_one_run() {
    let run = || {
        let way = Way { jitter: Duration::from_millis(9), loss_percent: 3, double_percent: 3, ..GOOD };
        let world = check_transfer(7, way, [200_000, 1], Duration::from_mins(1));
        (world.now, world.count, world.sides.map(|side| side.datagrams))
    };
    assert_eq!(run(), run());
}

/// 10 Mbit/s and room for a quarter of a second.
const UPLINK: Way = Way { rate: Some((1_250_000, 312_500)), ..GOOD };

/// The part of the uplink that so much payload took.
fn share(bytes: usize, span: Duration) -> f64 {
    f64::from(u32::try_from(bytes).unwrap()) / span.as_secs_f64() / 1_250_000.0
}

#[test]
fn the_line_is_full_and_its_queue_is_not() {
    let bytes = [25_000_000, 0];
    let mut world = World::dialled(3, [UPLINK, GOOD], bytes);
    world.run(Duration::from_secs(6), |world| world.sides[1].ends.got.len() > 5_000_000);
    world.sides[0].longest_wait = Duration::ZERO;
    let (began, had) = (world.now, world.sides[1].ends.got.len());
    world.run(Duration::from_secs(25), |world| world.has_all(bytes));
    let rate = share(bytes[0] - had, world.now - began);
    let waited = world.sides[0].longest_wait;
    assert!(rate > 0.92, "{rate} of the line");
    assert!(waited < TARGET * 2, "waited {waited:?}");
}

#[test]
fn whoever_fills_the_queue_is_given_way_to() {
    let mut world = World::dialled(4, [UPLINK, GOOD], [60_000_000, 0]);
    world.run(Duration::from_secs(10), |world| world.sides[1].ends.got.len() > 5_000_000);
    // From now on somebody else keeps 150 ms of the line's queue full.
    let (began, had) = (world.now, world.sides[1].ends.got.len());
    while world.now - began < Duration::from_secs(20) {
        let until = world.now + Duration::from_millis(10);
        let side = &mut world.sides[0];
        side.busy_until = side.busy_until.max(world.now + Duration::from_millis(150));
        world.run(Duration::from_mins(1), |world| world.now >= until);
    }
    let rate = share(world.sides[1].ends.got.len() - had, world.now - began);
    assert!(rate < 0.05, "{rate} of the line");
    // And leaves.
    let had = world.sides[1].ends.got.len();
    world.run(Duration::from_secs(7), |world| world.sides[1].ends.got.len() > had + 5_000_000);
}

#[test]
fn a_reader_who_stops_stops_the_sender() {
    let mut world = World::dialled(5, [GOOD; 2], [4_000_000, 0]);
    world.sides[1].ends.reads = false;
    let second = Instant::ZERO + Duration::from_secs(200);
    world.run(Duration::from_mins(5), |world| world.now >= second);
    assert_eq!(world.sides[0].ends.ended, None);
    let side = &mut world.sides[1];
    side.ends.reads = true;
    let now = world.now + side.offset;
    let waiting = side.endpoint.read(now, side.ends.open.unwrap()).unwrap();
    assert!((900_000..=1024 * 1024).contains(&waiting.len()), "{}", waiting.len());
    side.ends.got.extend_from_slice(&waiting);
    world.drain(1);
    world.run(Duration::from_mins(1), |world| world.has_all([4_000_000, 0]));
}

#[test]
fn nobody_there_is_known_after_some_seconds() {
    let mut world = World::new(6, [Way { loss_percent: 100, ..GOOD }; 2]);
    world.sides[0].endpoint.dial(world.local(0), world.sides[1].addr).unwrap();
    world.drain(0);
    world.run(Duration::from_secs(10), |world| world.sides[0].ends.ended == Some(End::TimedOut));
    assert_eq!(world.sides[0].datagrams, 3);
}

#[test]
fn a_peer_that_falls_silent_is_given_up() {
    let mut world = World::dialled(8, [GOOD; 2], [50_000_000, 0]);
    world.run(Duration::from_secs(10), |world| world.sides[1].ends.got.len() > 1_000_000);
    world.sides[1].way.loss_percent = 100;
    world.run(Duration::from_mins(2), |world| world.sides[0].ends.ended == Some(End::TimedOut));
}

#[test]
fn who_accepts_nobody_says_so() {
    let mut world = World::new(9, [GOOD; 2]);
    world.sides[1].endpoint = Endpoint::new(EndpointConfig { target: TARGET, accept: false }, Rng::from_seed_u64(1));
    world.sides[0].endpoint.dial(world.local(0), world.sides[1].addr).unwrap();
    world.drain(0);
    world.run(Duration::from_secs(1), |world| world.sides[0].ends.ended == Some(End::Reset));
}

fn syn(connection: u16) -> Vec<u8> {
    let (seq, ack) = (SeqNr(9), SeqNr(0));
    let header = Header { kind: Kind::Syn, connection, sent_us: 1, delay_us: 0, window: 1 << 20, seq, ack };
    let mut bytes = Vec::new();
    header.encode(None, &mut bytes);
    bytes
}

/// Whoever sends a SYN under another's address gets that one no more than was sent, and costs little.
#[test]
fn a_dialler_that_does_not_hear_us_is_answered_as_often_as_it_asks_and_forgotten() {
    let mut world = World::new(10, [GOOD; 2]);
    for _ in 0..3 {
        for connection in 0..1000 {
            world.inject(1, &syn(2 * connection));
        }
    }
    let answered = world.sides[1].datagrams;
    assert_eq!(answered, 600);
    assert!(world.wire.values().all(|(_, bytes)| bytes.len() == 20));
    world.wire.clear();
    world.run(Duration::from_secs(11), |world| world.deadline(1).is_none());
    assert_eq!(world.sides[1].datagrams, answered);
    assert!(world.sides[1].ends.open.is_none() && world.sides[1].ends.ended.is_none());
    // A guess at the number that only the answer told opens nothing.
    world.inject(1, &syn(5));
    let (_, told) = world.wire.pop_first().unwrap();
    let told = Packet::decode(&told.1).unwrap().header;
    let guess = |ack: SeqNr| {
        let mut bytes = Vec::new();
        let header = Header { kind: Kind::Data, connection: 6, seq: SeqNr(10), ack, ..told };
        header.encode(None, &mut bytes);
        bytes
    };
    world.inject(1, &guess(told.seq.after(77)));
    assert!(world.sides[1].ends.open.is_none());
    world.inject(1, &guess(told.seq.previous()));
    assert!(world.sides[1].ends.open.is_some());
}

#[test]
fn replayed_and_forged_packets_change_nothing() {
    let bytes = [400_000, 400_000];
    let mut world = World::dialled(11, [GOOD; 2], bytes);
    let sent = [world.sides[0].ends.to_send.clone(), world.sides[1].ends.to_send.clone()];
    let mut old: Vec<(usize, Vec<u8>)> = Vec::new();
    let mut rng = Rng::from_seed_u64(11);
    while !world.has_all(bytes) {
        // Answers to what is forged below are not packets of this connection.
        if !world.has_all([50_000; 2]) {
            old.extend(world.wire.values().take(2).cloned());
        }
        let until = world.now + Duration::from_millis(7);
        world.run(Duration::from_secs(20), |world| world.now >= until || world.has_all(bytes));
        for _ in 0..if world.has_all([50_000; 2]) { 20 } else { 0 } {
            let (to, mut packet) = rng.choose(&old).cloned().unwrap();
            // As it was, or with numbers that whoever does not see the packets can only guess.
            if rng.ratio(1, 2) {
                let [a, b, ..] = rng.next_u32().to_le_bytes();
                packet[0] = 1 | (rng.next_u32().to_le_bytes()[0] % 5) << 4;
                packet.truncate(20);
                packet[1] = 0;
                // Far from those that are in use.
                let seq = u16::from_be_bytes([packet[16], packet[17]]).wrapping_add(20_000 + u16::from(a) * 80);
                packet[16..18].copy_from_slice(&seq.to_be_bytes());
                let ack = u16::from_be_bytes([packet[18], packet[19]]).wrapping_add(20_000 + u16::from(b) * 80);
                packet[18..20].copy_from_slice(&ack.to_be_bytes());
            }
            world.inject(to, &packet);
        }
    }
    assert!(world.sides[1].ends.got == sent[0] && world.sides[0].ends.got == sent[1]);
    assert!(world.sides.iter().all(|side| side.ends.ended.is_none()));
}

#[test]
fn a_reset_of_those_who_know_the_numbers_ends_it() {
    let mut world = World::dialled(12, [GOOD; 2], [100_000, 0]);
    world.run(Duration::from_secs(5), |world| world.has_all([100_000, 0]));
    // The other side has lost its memory.
    world.sides[1].endpoint = Endpoint::new(EndpointConfig { target: TARGET, accept: true }, Rng::from_seed_u64(1));
    world.sides[0].ends.to_send = Bytes::from_static(b"more");
    world.write(0);
    world.drain(0);
    world.run(Duration::from_secs(1), |world| world.sides[0].ends.ended == Some(End::Reset));
}

#[test]
fn whoever_leaves_says_so() {
    let mut world = World::dialled(14, [GOOD; 2], [9_000_000, 0]);
    world.run(Duration::from_secs(5), |world| world.has_all([1_000_000, 0]));
    let now = world.local(0);
    world.sides[0].endpoint.handle(now, Input::Stop);
    world.drain(0);
    world.run(Duration::from_secs(1), |world| world.sides[1].ends.ended == Some(End::Reset));
    assert_eq!(world.sides[0].endpoint.deadline(), None);
}

#[test]
fn arbitrary_datagrams_never_panic() {
    let mut world = World::dialled(13, [GOOD; 2], [2_000_000, 2_000_000]);
    let mut rng = Rng::from_seed_u64(13);
    for step in 0..4000 {
        let until = world.now + Duration::from_micros(300);
        world.run(Duration::from_secs(20), |world| world.now >= until || world.has_all([2_000_000; 2]));
        let Some((to, mut packet)) = world.wire.first_key_value().map(|(_, packet)| packet.clone()) else { break };
        for _ in 0..rng.below(4) {
            let at = rng.below(packet.len());
            packet[at] = rng.next_u32().to_le_bytes()[0];
        }
        if step % 3 == 0 {
            packet.truncate(rng.below(packet.len()));
        }
        world.inject(to, &packet);
    }
}
