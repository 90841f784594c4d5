//! Swarms wired to one another by hand: no network, no disk, no clock but the one that the test turns.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

use crate::bitfield::Bitfield;
use crate::dht::Part;
use crate::layout::{BLOCK_LENGTH, BlockInfo, Layout, PieceIndex};
use crate::metainfo::merkle;
use crate::metainfo::{FileTree, Metainfo, MetainfoBuilder, TorrentPath};
use crate::peer::{ConnId, Direction, Handshake, Message, PeerId, Reserved, Transport};
use crate::piece::WebSeedId;
use crate::rng::Rng;
use crate::swarm::io::CloseReason;
use crate::swarm::web_seeds::{Remedy, WebSeedFault};
use crate::swarm::{
    Conduct, DialWay, Discovery, DiskFault, Event, Input, Limits, Output, Swarm, SwarmConfig, SwarmId, SwarmSetup,
    TorrentStatus, WebFetch, judged,
};
use crate::time::Instant;
use crate::tracker::{AnnounceFailure, AnnounceId, AnnounceRequest, AnnounceResponse};

/// What a host's disk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disk {
    Works,
    /// Nothing can be written.
    Full,
    /// Nothing can be read.
    Unreadable,
    /// It gives other bytes than were written.
    Lies,
}

/// One swarm and what it has done.
pub(super) struct Host {
    pub(super) swarm: Swarm,
    pub(super) limits: Limits,
    pub(super) disk: Disk,
    pub(super) addr: SocketAddr,
    pub(super) sent: Vec<(ConnId, Message)>,
    pub(super) closed: Vec<(ConnId, CloseReason)>,
    pub(super) events: Vec<Event>,
    pub(super) dialled: Vec<(ConnId, SocketAddr)>,
    /// Who was dialled on a relay's word.
    pub(super) punched: Vec<SocketAddr>,
    pub(super) announced: Vec<AnnounceRequest>,
    /// How peers are looked for without trackers, if they are.
    pub(super) seeks: Option<Discovery>,
    /// How those are to tell that it takes part who look for them.
    pub(super) part: Option<Part>,
    /// Nodes of the distributed hash table that peers told of.
    pub(super) nodes: Vec<SocketAddr>,
    asked_trackers: Vec<AnnounceId>,
    /// Pieces given to the disk, again and again if it fails.
    pub(super) stores: usize,
    /// Runs of blocks that were sent in one message.
    pub(super) runs: usize,
    /// The most pieces that were stored together.
    pub(super) most_together: usize,
    /// Connections whose peers read nothing.
    pub(super) deaf: BTreeSet<ConnId>,
    next_conn: u64,
    /// What web seeds were last asked for, and up to which byte of the torrent they have sent.
    pub(super) web: BTreeMap<WebSeedId, (WebFetch, u64)>,
    /// Bytes that each web seed sent.
    pub(super) web_bytes: BTreeMap<WebSeedId, u64>,
}

/// A handful of swarms of one torrent.
pub(super) struct Lab {
    pub(super) now: Instant,
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) layout: Layout,
    data: Bytes,
    pub(super) hosts: Vec<Host>,
    links: BTreeMap<(usize, ConnId), (usize, ConnId)>,
    work: VecDeque<(usize, Input)>,
    /// The web seeds of hosts that are added.
    pub(super) web_seeds: Vec<String>,
}

impl Lab {
    /// A v1 torrent of so many pieces of so many blocks.
    pub(super) fn new(pieces: u32, blocks: u32) -> Self {
        Self::of(pieces, blocks, |builder, _| builder)
    }

    /// A v2 torrent of so many pieces of so many blocks; the number of blocks is a power of two.
    pub(super) fn v2(pieces: u32, blocks: u32) -> Self {
        Self::of(pieces, blocks, |builder, data| {
            let leaves: Vec<_> = data.chunks(BLOCK_LENGTH as usize).map(merkle::leaf).collect();
            let tree = merkle::Tree::new(data.len() as u64, blocks * BLOCK_LENGTH);
            let layer = (0..tree.piece_layer()).fold(leaves.clone(), |below, layer| merkle::above(&below, layer));
            let tree = FileTree { root: merkle::root(leaves, 0, tree.height()), layer: layer.concat() };
            builder.trees(vec![tree]).without_v1()
        })
    }

    fn of(pieces: u32, blocks: u32, kind: impl Fn(MetainfoBuilder, &[u8]) -> MetainfoBuilder) -> Self {
        let (piece_length, length) = (blocks * BLOCK_LENGTH, u64::from(pieces * blocks * BLOCK_LENGTH));
        let mut data = vec![0; usize::try_from(length).unwrap()];
        Rng::from_seed_u64(1).fill(&mut data);
        let hashes = data.chunks(piece_length as usize).map(|piece| <[u8; 20]>::from(Sha1::digest(piece))).collect();
        let name = TorrentPath::new(["episode.mp3"]).unwrap();
        let builder = kind(MetainfoBuilder::file(name, length, piece_length, hashes), &data);
        let metainfo = builder.trackers(vec![vec!["http://tracker.invalid/announce".to_owned()]]).build().unwrap();
        Self {
            now: Instant::ZERO,
            layout: Layout::of(&metainfo.info),
            metainfo: Arc::new(metainfo),
            data: data.into(),
            hosts: Vec::new(),
            links: BTreeMap::new(),
            work: VecDeque::new(),
            web_seeds: Vec::new(),
        }
    }

    /// Whether hosts added from now on take the torrent for private.
    pub(super) fn set_private(&mut self, private: bool) {
        Arc::make_mut(&mut self.metainfo).info.private = private;
    }

    /// The trackers that hosts added from now on know, in tiers.
    pub(super) fn set_trackers(&mut self, tiers: Vec<Vec<String>>) {
        Arc::make_mut(&mut self.metainfo).trackers = tiers;
    }

    pub(super) fn seed(&mut self) -> usize {
        self.add(Bitfield::all(self.layout.piece_count()), SwarmConfig::default())
    }

    pub(super) fn leecher(&mut self) -> usize {
        self.add(Bitfield::none(self.layout.piece_count()), SwarmConfig::default())
    }

    pub(super) fn add(&mut self, have: Bitfield, config: SwarmConfig) -> usize {
        self.start(have, config, false)
    }

    /// A seed that the owner has paused before.
    pub(super) fn add_paused(&mut self) -> usize {
        self.start(Bitfield::all(self.layout.piece_count()), SwarmConfig::default(), true)
    }

    fn start(&mut self, have: Bitfield, config: SwarmConfig, paused: bool) -> usize {
        let number = self.hosts.len();
        let id = SwarmId(u32::try_from(number).unwrap());
        let setup = SwarmSetup {
            metainfo: Arc::clone(&self.metainfo),
            choice: None,
            placed: have.is_all(),
            have,
            paused,
            peer_id: id_of_ours(100 + number as u64),
            port: 6881,
            outer_port: None,
            client: "lab".to_owned(),
            conduct: Conduct::default(),
            web_seeds: self.web_seeds.clone(),
            private_peers: true,
            announce_at: Instant::ZERO,
            rng: Rng::from_seed_u64(number as u64),
            config,
        };
        self.hosts.push(Host {
            swarm: Swarm::new(id, setup, self.now),
            limits: Limits::default(),
            disk: Disk::Works,
            addr: SocketAddr::from(([10, 0, 0, u8::try_from(number + 1).unwrap()], 6881)),
            sent: Vec::new(),
            closed: Vec::new(),
            events: Vec::new(),
            dialled: Vec::new(),
            punched: Vec::new(),
            announced: Vec::new(),
            seeks: None,
            part: None,
            nodes: Vec::new(),
            asked_trackers: Vec::new(),
            stores: 0,
            runs: 0,
            most_together: 0,
            deaf: BTreeSet::new(),
            next_conn: 1 << 40,
            web: BTreeMap::new(),
            web_bytes: BTreeMap::new(),
        });
        self.give(number, Input::Tick);
        number
    }

    /// Connects two hosts, dialled by the first.
    pub(super) fn connect(&mut self, dialler: usize, other: usize) -> (ConnId, ConnId) {
        let (near, far) = (self.new_conn(dialler), self.new_conn(other));
        self.links.insert((dialler, near), (other, far));
        self.links.insert((other, far), (dialler, near));
        let port = 40_000 + u16::try_from(near.0 % 1000).unwrap();
        let from = SocketAddr::new(self.hosts[dialler].addr.ip(), port);
        let (hello, answer) = (self.hosts[dialler].swarm.handshake(), self.hosts[other].swarm.handshake());
        let (direction, addr) = (Direction::Outgoing, self.hosts[other].addr);
        self.work.push_back((
            dialler,
            Input::Joined { conn: near, addr, direction, transport: Transport::Tcp, handshake: answer },
        ));
        let direction = Direction::Incoming;
        self.work.push_back((
            other,
            Input::Joined { conn: far, addr: from, direction, transport: Transport::Tcp, handshake: hello },
        ));
        self.run();
        (near, far)
    }

    /// Connects a peer that the test plays, from an address of its own.
    pub(super) fn stranger(&mut self, host: usize, reserved: Reserved) -> ConnId {
        let number = u8::try_from(self.hosts[host].next_conn % 200).unwrap();
        self.stranger_at(host, reserved, SocketAddr::from(([198, 18, 0, number], 50_000)), Direction::Incoming)
    }

    pub(super) fn stranger_at(
        &mut self,
        host: usize,
        reserved: Reserved,
        addr: SocketAddr,
        direction: Direction,
    ) -> ConnId {
        let conn = self.new_conn(host);
        self.joins(host, conn, reserved, id_of_ours(conn.0), addr, direction);
        conn
    }

    /// A peer of another program dials a host; the test plays it.
    pub(super) fn foreigner(&mut self, host: usize, reserved: Reserved) -> ConnId {
        let conn = self.new_conn(host);
        let mut peer_id = *b"-XX0000-............";
        peer_id[8..16].copy_from_slice(&conn.0.to_be_bytes());
        let addr = SocketAddr::from(([198, 18, 1, u8::try_from(conn.0 % 200).unwrap()], 50_000));
        self.joins(host, conn, reserved, PeerId(peer_id), addr, Direction::Incoming);
        conn
    }

    fn joins(
        &mut self,
        host: usize,
        conn: ConnId,
        reserved: Reserved,
        peer_id: PeerId,
        addr: SocketAddr,
        direction: Direction,
    ) {
        let info_hash = self.hosts[host].swarm.info_hash().wire();
        let handshake = Handshake { reserved, info_hash, peer_id };
        self.give(host, Input::Joined { conn, addr, direction, transport: Transport::Tcp, handshake });
    }

    /// The tracker answers everything that it was asked, and knows no peers.
    pub(super) fn answer_tracker(&mut self, host: usize) {
        self.tracker_says(host, &Ok(AnnounceResponse::new(Duration::from_mins(30))));
    }

    /// The tracker says this to everything that it was asked.
    pub(super) fn tracker_says(&mut self, host: usize, result: &Result<AnnounceResponse, AnnounceFailure>) {
        for id in std::mem::take(&mut self.hosts[host].asked_trackers) {
            self.give(host, Input::Announced { id, result: result.clone() });
        }
    }

    fn new_conn(&mut self, host: usize) -> ConnId {
        self.hosts[host].next_conn += 1;
        ConnId(self.hosts[host].next_conn)
    }

    /// The peer that the test plays says something.
    pub(super) fn say(&mut self, host: usize, conn: ConnId, message: Message) {
        self.give(host, Input::Received(conn, message));
    }

    /// It sends a block, right or wrong.
    pub(super) fn deliver(&mut self, host: usize, conn: ConnId, block: BlockInfo, right: bool) {
        let data = if right { self.bytes(block) } else { Bytes::from(vec![0; block.length as usize]) };
        self.say(host, conn, Message::Piece { piece: block.piece, begin: block.begin, data });
    }

    /// What was said to it since this was last asked.
    pub(super) fn heard(&mut self, host: usize, conn: ConnId) -> Vec<Message> {
        let sent = std::mem::take(&mut self.hosts[host].sent);
        let (heard, rest): (Vec<_>, Vec<_>) = sent.into_iter().partition(|(to, _)| *to == conn);
        self.hosts[host].sent = rest;
        heard.into_iter().map(|(_, message)| message).collect()
    }

    /// The blocks that were asked of it since its messages were last looked at.
    pub(super) fn asked(&mut self, host: usize, conn: ConnId) -> Vec<BlockInfo> {
        let request = |message| if let Message::Request(block) = message { Some(block) } else { None };
        self.heard(host, conn).into_iter().filter_map(request).collect()
    }

    /// A web seed sends what it was granted, at most `most` bytes, right or wrong; tells how many it sent.
    pub(super) fn web_sends(&mut self, host: usize, seed: u16, most: u64, right: bool) -> u64 {
        let seed = WebSeedId(seed);
        let Some((fetch, at)) = self.hosts[host].web.get_mut(&seed) else { return 0 };
        let (number, start, until, end) =
            (fetch.number, *at, fetch.granted.min(at.saturating_add(most)), fetch.range.end);
        let blocks: Vec<BlockInfo> = self
            .layout
            .pieces()
            .flat_map(|piece| (0..self.layout.block_count(piece)).map(move |number| (piece, number)))
            .filter_map(|(piece, number)| self.layout.block(piece, number))
            .filter(|block| (start..until).contains(&self.layout.range_of(*block).start))
            .collect();
        *at = blocks.last().map_or(start, |block| self.layout.range_of(*block).end);
        let sent = *at - start;
        if *at == end {
            self.hosts[host].web.remove(&seed);
        }
        *self.hosts[host].web_bytes.entry(seed).or_default() += sent;
        let bytes = |block: &BlockInfo| if right { self.bytes(*block) } else { vec![0; block.length as usize].into() };
        let blocks: Vec<Bytes> = blocks.iter().map(bytes).collect();
        if !blocks.is_empty() {
            self.give(host, Input::WebSeedSent { seed, fetch: number, blocks });
        }
        sent
    }

    /// A web seed fails.
    pub(super) fn web_fails(&mut self, host: usize, seed: u16, remedy: Remedy) {
        let seed = WebSeedId(seed);
        let (fetch, _) = self.hosts[host].web.remove(&seed).expect("it was asked");
        let fault = WebSeedFault { reason: "as told".to_owned(), remedy };
        self.give(host, Input::WebSeedEnded { seed, fetch: fetch.number, fault });
    }

    /// A web seed sends all that it is granted, until nothing more is.
    pub(super) fn web_sends_all(&mut self, host: usize, seed: u16) {
        while self.web_sends(host, seed, u64::MAX, true) > 0 {}
    }

    pub(super) fn give(&mut self, host: usize, input: Input) {
        self.work.push_back((host, input));
        self.run();
    }

    /// Lets time pass; every host is told whenever it asked to be.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = self.hosts.iter().filter_map(|host| host.swarm.deadline()).min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            for host in 0..self.hosts.len() {
                if self.hosts[host].swarm.deadline().is_some_and(|at| at <= self.now) {
                    self.give(host, Input::Tick);
                }
            }
        }
        self.now = end;
    }

    pub(super) fn status(&mut self, host: usize) -> TorrentStatus {
        self.hosts[host].swarm.status(self.now)
    }

    pub(super) fn bytes(&self, span: BlockInfo) -> Bytes {
        let range = self.layout.range_of(span);
        self.data.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap())
    }

    pub(super) fn block(&self, piece: u32, number: u32) -> BlockInfo {
        self.layout.block(PieceIndex(piece), number).unwrap()
    }

    fn run(&mut self) {
        let mut steps = 0;
        while let Some((host, input)) = self.work.pop_front() {
            let Host { swarm, limits, .. } = &mut self.hosts[host];
            swarm.handle(self.now, input, limits);
            while let Some(output) = self.hosts[host].swarm.poll() {
                self.perform(host, output);
            }
            steps += 1;
            assert!(steps < 1_000_000, "the swarms talk in circles");
        }
    }

    fn perform(&mut self, number: usize, output: Output) {
        let link = |conn| self.links.get(&(number, conn)).copied();
        let host = &mut self.hosts[number];
        match output {
            Output::Send(conn, message) => {
                if let Message::Piece { data, .. } = &message
                    && !host.deaf.contains(&conn)
                {
                    self.work.push_back((number, Input::Sent(conn, data.len() as u64)));
                }
                if let Some((other, far)) = link(conn) {
                    self.work.push_back((other, Input::Received(far, message.clone())));
                }
                host.sent.push((conn, message));
            }
            Output::Close(conn, reason) => {
                host.closed.push((conn, reason));
                if let Some((other, far)) = link(conn) {
                    self.links.remove(&(number, conn));
                    self.links.remove(&(other, far));
                    self.work.push_back((other, Input::Closed(far)));
                }
            }
            Output::Read { conn, span, .. } => {
                let disk = host.disk;
                let bytes = self.bytes(span);
                let result = match disk {
                    Disk::Unreadable => Err(DiskFault("read `episode.mp3`".to_owned())),
                    Disk::Lies => Ok(vec![bytes.iter().map(|byte| !byte).collect()]),
                    Disk::Works | Disk::Full => Ok(vec![bytes]),
                };
                self.work.push_back((number, Input::Read { conn, span, result }));
            }
            Output::SendRun { conn, span, .. } => {
                if matches!(host.disk, Disk::Unreadable) {
                    let fault = DiskFault("read `episode.mp3`".to_owned());
                    self.work.push_back((number, Input::Unreadable(fault)));
                    return;
                }
                host.runs += 1;
                for block in span.blocks() {
                    let (BlockInfo { piece, begin, .. }, data) = (block, self.bytes(block));
                    self.perform(number, Output::Send(conn, Message::Piece { piece, begin, data }));
                }
            }
            Output::HashBlocks { conn, span, .. } => {
                let disk = host.disk;
                let bytes = self.bytes(span);
                let leaves = match disk {
                    Disk::Unreadable => Err(DiskFault("read `episode.mp3`".to_owned())),
                    _ => Ok(bytes.chunks(BLOCK_LENGTH as usize).map(merkle::leaf).collect()),
                };
                self.work.push_back((number, Input::BlocksHashed { conn, leaves }));
            }
            Output::Store { whole, .. } => {
                host.stores += whole.len();
                host.most_together = host.most_together.max(whole.len());
                let full = host.disk == Disk::Full;
                for (whole, verdict) in judged(whole) {
                    let (piece, bytes) = (whole.piece, whole.length());
                    let fault = || DiskFault("no space left".to_owned());
                    let outcome = whole.store(verdict, |_| if full { Err(fault()) } else { Ok(()) });
                    self.work.push_back((number, Input::Stored { piece, outcome, bytes }));
                }
            }
            Output::Place { .. } => {
                let full = host.disk == Disk::Full;
                let result = if full { Err(DiskFault("no space left".to_owned())) } else { Ok(()) };
                self.work.push_back((number, Input::Placed(result)));
            }
            Output::Dial { conn, addr, way: DialWay::Any, .. } => host.dialled.push((conn, addr)),
            Output::Dial { addr, way: DialWay::Punch, .. } => host.punched.push(addr),
            Output::Announce { id, request, .. } => {
                host.announced.push(request);
                host.asked_trackers.push(id);
            }
            Output::Seek { by, part, .. } => (host.seeks, host.part) = (Some(by), Some(part)),
            Output::EndSeek { .. } => (host.seeks, host.part) = (None, None),
            Output::Node(addr) => host.nodes.push(addr),
            Output::FetchWeb { fetch, .. } => {
                let at = fetch.range.start;
                host.web.insert(fetch.seed, (fetch, at));
            }
            Output::GrantWeb { seed, fetch, until, .. } => {
                let (now, _) = host.web.get_mut(&seed).expect("it was asked before");
                assert_eq!(now.number, fetch, "a fetch that is over is granted nothing");
                assert!((now.granted..=now.range.end).contains(&until));
                now.granted = until;
            }
            Output::CloseWeb { seed, fetch, .. } => {
                let closed = host.web.remove(&seed).expect("it was asked before");
                assert_eq!(closed.0.number, fetch);
            }
            Output::Event(_, event) => host.events.push(event),
            Output::SendHandshake(..) | Output::SendEncrypted(..) | Output::AnswerKey(..) | Output::Trips(_) => {
                unreachable!("the session sends handshakes, and asks for trips")
            }
        }
    }
}

/// An id of this program.
fn id_of_ours(number: u64) -> PeerId {
    let mut id = PeerId::generate(&mut Rng::from_seed_u64(number));
    id.0[8..16].copy_from_slice(&number.to_be_bytes());
    id
}
