//! What happens in the world, and what the rim of each host makes of it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use podswarm_core::layout::BlockInfo;
use podswarm_core::peer::message::MAX_RUN;
use podswarm_core::peer::{ConnId, Message, Transport};
use podswarm_core::session::{Input, Origin};
use podswarm_core::swarm::{self, DiskFault, Event, Output, StoreOutcome, SwarmSetup};
use podswarm_core::time::Instant;
use podswarm_core::tracker::{AnnounceFailure, AnnounceId, AnnounceRequest};

use super::host::{HostId, Kind};
use super::laws;
use super::link::{PACKET_PAYLOAD, Packet};
use super::world::World;

/// What every honest block is a view of; the longest span that is sent at once.
static GOOD: [u8; MAX_RUN as usize] = [0; MAX_RUN as usize];
/// What every bad block is a view of.
static BAD: [u8; MAX_RUN as usize] = [1; MAX_RUN as usize];
/// How much longer than the way back and forth a sender waits before it sends a lost packet again.
const NOTICE_LOSS: Duration = Duration::from_millis(20);

/// Something that happens to one host.
#[derive(Debug)]
pub(super) struct Scheduled {
    host: HostId,
    what: What,
}

/// What happens.
#[derive(Debug)]
pub(super) enum What {
    /// The host's engine wants to know that time has passed.
    Wake,
    /// The host's uplink has sent a packet.
    Sent(ConnId, Packet),
    /// A packet is through the downlink.
    Delivered(ConnId, Packet),
    /// A dial of the host comes to its end.
    Dial(ConnId, SocketAddr),
    /// The tracker hears the host.
    Announce(AnnounceId, Box<AnnounceRequest>),
    /// Something is given to the host's swarm.
    Give(Box<swarm::Input>),
    /// A handshake that was held back is sent.
    Handshake(ConnId, Packet),
    /// The host is switched on.
    Start(Box<SwarmSetup>),
    /// The host leaves.
    Leave,
    /// The host's player looks what is there.
    Play,
}

impl World {
    pub(super) fn schedule(&mut self, at: Instant, host: HostId, what: What) {
        self.queue.push(at, Scheduled { host, what });
    }

    /// Folds an event into the trace.
    pub(super) fn note(&mut self, event: &Scheduled) {
        let kind = match &event.what {
            What::Wake => 1,
            What::Sent(conn, packet) => 2 ^ conn.0 << 8 ^ packet.bytes() << 32,
            What::Delivered(conn, packet) => 3 ^ conn.0 << 8 ^ packet.bytes() << 32,
            What::Dial(conn, _) => 4 ^ conn.0 << 8,
            What::Announce(..) => 5,
            What::Give(_) => 6,
            What::Start(_) => 7,
            What::Handshake(conn, _) => 8 ^ conn.0 << 8,
            What::Leave => 9,
            What::Play => 10,
        };
        for word in [self.now.as_nanos(), event.host.0 as u64, kind] {
            self.trace = (self.trace ^ word).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(super) fn handle(&mut self, Scheduled { host: id, what }: Scheduled) {
        if let What::Delivered(_, packet) = &what {
            self.flying -= packet.block_bytes();
        }
        match what {
            What::Start(setup) => self.start(id, *setup),
            What::Delivered(_, packet) if !self.hosts[id.0].alive => self.lost += packet.block_bytes(),
            _ if !self.hosts[id.0].alive => {}
            What::Wake => {
                self.hosts[id.0].wake_at = None;
                self.input(id, Input::Tick);
            }
            What::Sent(conn, packet) => self.packet_sent(id, conn, packet),
            What::Delivered(conn, packet) => self.delivered(id, conn, packet),
            What::Dial(conn, addr) => self.dial_ends(id, conn, addr),
            What::Announce(announce, request) => self.announce(id, announce, &request),
            What::Give(input) => self.input(id, Input::Swarm(self.hosts[id.0].swarm, *input)),
            What::Handshake(conn, packet) => self.send(id, conn, packet),
            What::Leave => {
                self.input(id, Input::Swarm(self.hosts[id.0].swarm, swarm::Input::Stop));
                self.hosts[id.0].left = true;
            }
            What::Play => self.play(id),
        }
    }

    fn start(&mut self, id: HostId, setup: SwarmSetup) {
        let now = self.now;
        let host = &mut self.hosts[id.0];
        host.alive = true;
        host.swarm = host.session.add(now, setup).expect("a host joins one swarm");
        self.drain(id);
        self.look_at_clock(id);
        if self.hosts[id.0].character.plays.is_some() {
            self.schedule(now, id, What::Play);
        }
    }

    pub(super) fn input(&mut self, id: HostId, input: Input) {
        let now = self.now;
        self.hosts[id.0].session.handle(now, input);
        self.drain(id);
        self.look_at_clock(id);
    }

    /// Does what the engine wants done. Short messages that follow one another on a connection leave together.
    fn drain(&mut self, id: HostId) {
        let mut together: Option<(ConnId, Vec<Message>)> = None;
        while let Some(output) = self.hosts[id.0].session.poll() {
            laws::check_output(&self.hosts, id, &output, self.handled);
            match (output, &mut together) {
                (Output::Send(conn, message), Some((same, messages)))
                    if conn == *same && !matches!(message, Message::Piece { .. }) && messages.len() < MOST_TOGETHER =>
                {
                    messages.push(message);
                }
                (Output::Send(conn, message), _) if !matches!(message, Message::Piece { .. }) => {
                    let before = together.replace((conn, vec![message]));
                    self.send_together(id, before);
                }
                (output, _) => {
                    self.send_together(id, together.take());
                    self.perform(id, output);
                }
            }
        }
        self.send_together(id, together);
    }

    /// Queues a wake-up for the engine's next deadline.
    fn look_at_clock(&mut self, id: HostId) {
        laws::check_state(&self.hosts, id, self.handled);
        let host = &mut self.hosts[id.0];
        let Some(at) = host.session.deadline().map(|at| at.max(self.now)) else { return };
        if host.wake_at.is_none_or(|wake| at < wake) {
            host.wake_at = Some(at);
            self.schedule(at, id, What::Wake);
        }
    }

    fn send_together(&mut self, id: HostId, together: Option<(ConnId, Vec<Message>)>) {
        let Some((conn, mut messages)) = together else { return };
        if self.hosts[id.0].character.kind == Kind::Liar {
            messages = messages.into_iter().filter_map(lie).collect();
        }
        let packet = match messages.pop() {
            Some(last) if messages.is_empty() => Packet::Message(last),
            Some(last) => {
                messages.push(last);
                Packet::Messages(messages)
            }
            None => return,
        };
        self.send(id, conn, packet);
    }

    fn perform(&mut self, id: HostId, output: Output) {
        let now = self.now;
        let character = &self.hosts[id.0].character;
        let (disk, latency) = (character.disk.delay, character.line.latency);
        match output {
            Output::Dial { conn, addr, .. } => {
                let there = self.by_addr.get(&addr).map_or(Duration::ZERO, |to| self.latency_of(*to));
                self.schedule(now + (latency + there) * 2, id, What::Dial(conn, addr));
            }
            // Nobody listens in this world: encrypted or not is the same.
            Output::SendHandshake(conn, handshake) | Output::SendEncrypted(conn, handshake) => match character.kind {
                Kind::Sluggish(delay) => {
                    self.schedule(now + delay, id, What::Handshake(conn, Packet::Handshake(handshake)));
                }
                _ => self.send(id, conn, Packet::Handshake(handshake)),
            },
            Output::Send(conn, message) => self.send(id, conn, Packet::Message(message)),
            Output::Close(conn, _) => self.send(id, conn, Packet::End),
            Output::Read { conn, span, .. } => {
                let result = Ok(vec![self.read(id, span)]);
                self.give(id, now + disk, swarm::Input::Read { conn, span, result });
            }
            // Whoever receives a run cuts it into blocks.
            Output::SendRun { conn, span, .. } => {
                let bytes = self.read(id, span);
                for BlockInfo { piece, begin, length } in span.blocks() {
                    let data = bytes.slice(..length as usize);
                    self.send(id, conn, Packet::Message(Message::Piece { piece, begin, data }));
                }
            }
            Output::Store { whole, .. } => {
                for whole in whole {
                    let (piece, bytes) = (whole.piece, whole.length());
                    let outcome = self.store(id, piece, &whole.blocks);
                    self.give(id, now + disk, swarm::Input::Stored { piece, outcome, bytes });
                }
            }
            Output::Place { .. } => {
                let result = if self.disk_is_full(id) { Err(full()) } else { Ok(()) };
                self.give(id, now + disk, swarm::Input::Placed(result));
            }
            Output::Announce { id: announce, request, .. } => {
                self.schedule(now + latency * 2, id, What::Announce(announce, Box::new(request)));
            }
            // Nobody here finds peers but by the tracker and by one another.
            Output::Seek { .. } | Output::EndSeek { .. } | Output::Node(_) | Output::Trips(_) => {}
            Output::AnswerKey(..) => unreachable!("peers of this world show no keys"),
            Output::HashBlocks { .. } => unreachable!("torrents of this world are v1"),
            Output::FetchWeb { .. } | Output::GrantWeb { .. } | Output::CloseWeb { .. } => {
                unreachable!("torrents of this world name no web seeds")
            }
            Output::Event(_, event) => self.event(id, &event),
        }
    }

    fn event(&mut self, id: HostId, event: &Event) {
        match event {
            Event::Complete => {
                self.hosts[id.0].completed = Some(self.now);
                self.completions += 1;
                if let Some(after) = self.hosts[id.0].character.leaves_after {
                    self.schedule(self.now + after, id, What::Leave);
                }
            }
            Event::Banned(addr) => self.hosts[id.0].banned.push(*addr),
            _ => {}
        }
    }

    fn disk_is_full(&self, id: HostId) -> bool {
        self.hosts[id.0].character.disk.full.contains(&(self.now - Instant::ZERO))
    }

    /// Bytes of a span, right or wrong as the host is.
    fn read(&mut self, id: HostId, span: BlockInfo) -> Bytes {
        let host = &mut self.hosts[id.0];
        host.blocks_read += 1;
        let bad = matches!(host.character.kind, Kind::Poisoner(every) if host.blocks_read.is_multiple_of(every));
        Bytes::from_static(if bad { &BAD } else { &GOOD }).slice(..span.length as usize)
    }

    fn store(&mut self, id: HostId, piece: podswarm_core::layout::PieceIndex, blocks: &[Bytes]) -> StoreOutcome {
        let digests = || blocks.iter().map(|block| [block[0]; 32]).collect();
        if blocks.iter().any(|block| block[0] != 0) {
            return StoreOutcome::Corrupt(digests());
        }
        if self.disk_is_full(id) {
            return StoreOutcome::Failed(full());
        }
        laws::stored_once(&mut self.hosts[id.0], piece);
        StoreOutcome::Stored(Some(digests()))
    }

    fn give(&mut self, id: HostId, at: Instant, input: swarm::Input) {
        self.schedule(at, id, What::Give(Box::new(input)));
    }

    fn latency_of(&self, id: HostId) -> Duration {
        self.hosts[id.0].character.line.latency
    }

    /// Sends a packet: at once if it is short and the connection has nothing queued, else when its turn comes.
    fn send(&mut self, id: HostId, conn: ConnId, packet: Packet) {
        let now = self.now;
        let host = &mut self.hosts[id.0];
        let Some(line) = host.conns.get_mut(conn) else { return };
        if line.queue.is_empty() && packet.bytes() < PACKET_PAYLOAD {
            let left = host.up.pass_short(now, packet.wire_bytes());
            return self.travel(id, conn, packet, left);
        }
        line.queue.push_back(packet);
        if line.queue.len() == 1 {
            host.up.wants_turn(conn);
            self.start_sending(id);
        }
    }

    fn start_sending(&mut self, id: HostId) {
        let now = self.now;
        let host = &mut self.hosts[id.0];
        if host.up.busy {
            return;
        }
        let Some(conn) = host.up.turn() else { return };
        let line = host.conns.get_mut(conn).expect("only connections that stand get turns");
        let packet = line.queue.pop_front().expect("a connection in turn has something queued");
        let bytes = packet.wire_bytes();
        let more = !line.queue.is_empty();
        host.up.turn_taken(conn, bytes, more);
        host.up.busy = true;
        let at = host.up.pass(now, bytes);
        self.schedule(at, id, What::Sent(conn, packet));
    }

    fn packet_sent(&mut self, id: HostId, conn: ConnId, packet: Packet) {
        let now = self.now;
        self.hosts[id.0].up.busy = false;
        let block_bytes = packet.block_bytes();
        let to = self.hosts[id.0].conns.get_mut(conn).map(|line| line.to);
        self.travel(id, conn, packet, now);
        self.start_sending(id);
        // Who reads nothing keeps the sender's socket full.
        let taken = to.is_some_and(|to| self.hosts[to.0].character.kind != Kind::Staller);
        if block_bytes > 0 && taken {
            self.input(id, Input::Sent(conn, block_bytes));
        }
    }

    /// A packet that left the line at `left` is on its way to the other end.
    fn travel(&mut self, id: HostId, conn: ConnId, packet: Packet, left: Instant) {
        let host = &mut self.hosts[id.0];
        let Some(line) = host.conns.get_mut(conn) else { return };
        let (to, their_conn, after) = (line.to, line.there, line.arrives_after);
        if matches!(packet, Packet::End) {
            host.conns.remove(conn);
            host.up.forget(conn);
        }
        let block_bytes = packet.block_bytes();
        let host = &mut self.hosts[id.0];
        host.sent += block_bytes;
        self.flying += block_bytes;
        // What waits at the other end is counted from now, although it waits when the packet is there.
        let through = self.hosts[to.0].down.pass(self.now, packet.wire_bytes());
        let arrives = (left + self.way(id, to, packet.bytes()) + through).max(after);
        if let Some(line) = self.hosts[id.0].conns.get_mut(conn) {
            line.arrives_after = arrives;
        }
        self.schedule(arrives, to, What::Delivered(their_conn, packet));
    }

    /// How long so many bytes are under way, as the weather is.
    fn way(&mut self, id: HostId, to: HostId, bytes: u64) -> Duration {
        let mut way = self.latency_of(id) + self.latency_of(to);
        if !self.weather.jitter.is_zero() {
            let most = usize::try_from(self.weather.jitter.as_nanos()).unwrap_or(usize::MAX);
            way += Duration::from_nanos(self.rng.below(most) as u64);
        }
        if self.weather.loss_milli > 0 {
            let packets = u32::try_from(bytes.div_ceil(PACKET_PAYLOAD)).unwrap_or(u32::MAX);
            if self.rng.ratio(self.weather.loss_milli.saturating_mul(packets).min(1000), 1000) {
                way += (self.latency_of(id) + self.latency_of(to)) * 2 + NOTICE_LOSS;
            }
        }
        way
    }

    fn delivered(&mut self, id: HostId, conn: ConnId, packet: Packet) {
        let now = self.now;
        let host = &mut self.hosts[id.0];
        if host.conns.get_mut(conn).is_none() {
            self.lost += packet.block_bytes();
            return;
        }
        host.received += packet.block_bytes();
        host.up.pass(now, packet.ack_bytes());
        let reads = host.character.kind != Kind::Staller;
        match packet {
            Packet::Handshake(handshake) => self.input(id, Input::Handshake(conn, handshake)),
            Packet::Message(Message::Piece { .. }) if !reads => {}
            Packet::Message(message) => self.input(id, Input::Received(conn, message)),
            Packet::Messages(messages) => self.input(id, Input::ReceivedTogether(conn, messages)),
            Packet::End => {
                host.conns.remove(conn);
                host.up.forget(conn);
                self.input(id, Input::Closed(conn));
            }
        }
    }

    fn dial_ends(&mut self, id: HostId, conn: ConnId, addr: SocketAddr) {
        let target = self.by_addr.get(&addr).copied().filter(|to| *to != id);
        let Some(to) = target.filter(|to| self.hosts[to.0].is_there()) else {
            return self.input(id, Input::DialFailed(conn));
        };
        if !self.hosts[to.0].character.dialable {
            // The router drops it: nothing is heard until the engine gives up.
            return;
        }
        let their_conn = self.hosts[to.0].conns.next_accepted();
        self.hosts[to.0].conns.insert(their_conn, id, conn);
        self.hosts[id.0].conns.insert(conn, to, their_conn);
        let from = SocketAddr::new(self.hosts[id.0].addr.ip(), 40_000 + (conn.0 % 20_000) as u16);
        self.input(to, Input::Accepted(their_conn, from, Transport::Tcp, Origin::Elsewhere));
        self.input(id, Input::Dialled(conn, Transport::Tcp));
    }

    fn announce(&mut self, id: HostId, announce: AnnounceId, request: &AnnounceRequest) {
        let from = self.hosts[id.0].addr;
        let result = if self.now - Instant::ZERO < self.tracker_is.dies {
            let own = self.tracker_is.names_first.map(|id| self.hosts[id.0].addr);
            let answer = self.tracker.announce(self.now, from, request, own.as_slice(), &mut self.rng);
            answer.map(|mut answer| {
                answer.peers.truncate(self.tracker_is.gives);
                answer
            })
        } else {
            Err(AnnounceFailure::new("the tracker is dead".to_owned()))
        };
        let back = self.now + self.latency_of(id) * 2;
        self.give(id, back, swarm::Input::Announced { id: announce, result });
    }
}

/// What a liar says in place of the truth, if it says anything.
fn lie(message: Message) -> Option<Message> {
    match message {
        Message::HaveNone | Message::Bitfield(_) => Some(Message::HaveAll),
        Message::RejectRequest(_) | Message::Have(_) | Message::Interested => None,
        message => Some(message),
    }
}

fn full() -> DiskFault {
    DiskFault("the disk is full".to_owned())
}

/// The most short messages in one packet: as many of the longest as it holds.
const MOST_TOGETHER: usize = 80;
