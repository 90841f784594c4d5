//! The task that owns the session, and everything it sets in motion.

mod effects;
mod finding;
mod seeking;
mod router;
mod files;
mod gates;
mod reading;
mod web;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::blocks::{BlocklistFile, BlocklistStatus, follow_task};
use super::buffers::Buffers;
use super::clock::{Clock, week_minute};
use super::connection::{Connection, FromPeer, Welcome};
use super::create::Watch;
use super::http::HttpClient;
use super::knock::knock;
use super::pacing::Pacing;
use super::pool::Pool;
use super::port_map::{PortMap, own_address};
use super::reached::Reached;
use super::reader::ReadError;
use super::stream::{Dialler, Stream};
use super::trips::Trips;
use super::udp::Service;
pub(super) use effects::disk_fault;
pub(super) use files::Held;
use files::{Release, in_steps};
use finding::Finding;
use gates::Gates;
use reading::Reading;
use router::Router;
pub(super) use seeking::{Ask, Met};
use seeking::{Seeking, Sockets};

use super::listen::{self, Follow};
use super::route::{Bind, address_towards, is_own_address};
use super::storage::{Prepared, Storage, StorageError};
use super::torrent::{EngineStatus, InterfaceStatus, ProxyStatus, Torrent};
use super::udp_tracker::UdpTrackers;
use super::web_seed::WebSeed;
use super::{AddError, AddTorrent, EngineConfig, EngineError, FindError, FindTorrent, Proxy, system_rng};
use crate::background::{Background, Trip};
use crate::bitfield::Bitfield;
use crate::blocklist::Blocklist;
use crate::dht::item::ItemName;
use crate::metainfo::merkle::Sha256Digest;
use crate::metainfo::{FileChoice, InfoHash, Metainfo};
use crate::peer::{ConnId, Direction, Handshake, PeerId, Reserved};
use crate::piece::WebSeedId;
use crate::rate::Rate;
use crate::rng::Rng;
use crate::session::{Input, Origin, Session};
use crate::swarm::{
    self, Conduct, DialWay, PeerSource, SwarmConfig, SwarmDetail, SwarmId, SwarmSetup, TorrentState, TorrentStatus,
};
use crate::time::Instant;
use crate::timetable::{LimitStatus, RateLimits, Timetable};
use crate::tracker::Scope;
use crate::utp::{Endpoint, EndpointConfig, Ways};
use crate::witness::{Knocked, Nonce};

/// How often figures are published while something happens.
const PUBLISH_EVERY: Duration = Duration::from_millis(500);
/// How long trackers may take to hear that we stop.
const GOODBYE: Duration = Duration::from_secs(3);
/// How long what is sent over uTP may wait in queues on its way. BEP 29.
const TARGET: Duration = Duration::from_millis(100);
/// Batches from connections that wait for the engine.
const INBOX: usize = 64;
/// Datagrams for the distributed hash table that wait for it.
const DATAGRAMS: usize = 256;
/// How much is done before figures and deadlines are looked at.
const AT_ONCE: usize = 64;
/// Marks the numbers of incoming connections.
const INCOMING: u64 = 1 << 63;

/// What handles ask of the engine.
#[derive(Debug)]
pub(crate) enum Command {
    Add(Box<AddTorrent>, oneshot::Sender<Result<Torrent, AddError>>),
    Find(Box<FindTorrent>, finding::Answer),
    Remove(u64, oneshot::Sender<()>),
    Pause(u64, oneshot::Sender<()>),
    Unpause(u64, oneshot::Sender<()>),
    Treat(u64, Conduct, oneshot::Sender<()>),
    OpenReader(u64, Range<u64>, Weak<()>, oneshot::Sender<Result<u64, ReadError>>),
    Read(u64, u64, super::reader::Answer),
    Introduce([u8; 20], SocketAddr),
    Resolve(ItemName, mpsc::Sender<[u8; 20]>),
    Look(u64, oneshot::Sender<SwarmDetail>),
    Limit(RateLimits, oneshot::Sender<()>),
    SentBeside(u64),
    Knock(SocketAddr, Handshake, oneshot::Sender<Knocked>),
    AwaitKnock(PeerId, oneshot::Sender<SocketAddr>),
    Shutdown(oneshot::Sender<()>),
}

/// What comes back to the engine from what it set in motion.
#[derive(Debug)]
pub(crate) enum Done {
    /// A swarm's work: disk, hash or tracker.
    Swarm(SwarmId, swarm::Input),
    Dialled(ConnId, Stream),
    DialFailed(ConnId),
    /// The peer does not read what it is sent.
    Stuck(ConnId),
    /// What the system knows of TCP connections.
    Trips(Vec<(ConnId, Trip)>),
    Prepared(u64, Result<Box<Prepared>, StorageError>, Release),
    /// So many bytes are checked.
    Checked(u64, u64),
    /// A search has found the metadata.
    Found(SwarmId, Bytes, BTreeMap<Sha256Digest, Vec<u8>>),
}

/// The torrent engine: peers, disk and trackers of any number of torrents. Clones are the same engine.
///
/// It stops when [`Engine::shutdown`] is called, or when its last clone is dropped; a [`Torrent`] does not keep it
/// running.
#[derive(Clone, Debug)]
pub struct Engine {
    commands: mpsc::Sender<Command>,
    addrs: Arc<[SocketAddr]>,
    torrents: watch::Receiver<Vec<Torrent>>,
    proxy: Option<Proxy>,
    bind: Option<Bind>,
    /// Where the owner says that we are reached.
    peer_address: Option<SocketAddr>,
    /// How the block list stands.
    blocklist: watch::Receiver<Option<BlocklistStatus>>,
    /// Bytes of blocks sent since the start.
    sent: Arc<AtomicU64>,
    /// How many nodes of the distributed hash table are known, if we have one.
    nodes: Option<watch::Receiver<usize>>,
    port_map: watch::Receiver<PortMap>,
    /// Whether somebody has come in from outside.
    came_in: watch::Receiver<bool>,
    limits: watch::Receiver<LimitStatus>,
}

impl Engine {
    /// Binds the peer sockets and starts the engine's tasks.
    #[expect(clippy::unused_async, reason = "it needs the caller's runtime, which `await` makes sure of")]
    pub async fn start(config: EngineConfig) -> Result<Self, EngineError> {
        let config = config.without_leaks();
        let listeners = match &config.proxy {
            None => listen::bind(config.peer_port, config.bind.as_ref())?,
            Some(proxy) => {
                tracing::info!(%proxy, "everything goes through the proxy: no uTP, no hash table, no trackers over UDP, and nobody dials us");
                Vec::new()
            }
        };
        let addrs: Vec<SocketAddr> = listeners.iter().map(|listener| listener.addr).collect();
        let (accepted, incoming) = mpsc::channel(INBOX);
        let stop = CancellationToken::new();
        let mut ports = Vec::new();
        let until = stop.child_token();
        for listener in listeners {
            listen::accept(listener.tcp, accepted.clone(), until.clone());
            ports.push(Arc::new(listener.udp));
        }
        let (came_back, returns) = mpsc::channel(1);
        if let Some(bind) = config.bind.clone().filter(|bind| bind.interface().is_some()) {
            let accepted = accepted.clone();
            let follow = Follow { bind, ports: ports.clone(), accepted, accepting: until, came_back };
            let stop = stop.clone();
            tokio::spawn(async move { stop.clone().run_until_cancelled(follow.run(stop)).await });
        }
        let (to_dht, datagrams) = mpsc::channel(DATAGRAMS);
        let (known, nodes) = watch::channel(0);
        let (to_dht, nodes) = config.dht.is_some().then_some((to_dht, nodes)).unzip();
        let sockets = Sockets { ports: ports.clone(), datagrams, known };
        let endpoint = Endpoint::new(EndpointConfig { target: TARGET, accept: config.utp }, system_rng());
        let (to_engine, ways) = mpsc::channel(1);
        let to_engine = (config.background != Background::Off).then_some(to_engine);
        let (service, utp) = Service::new(ports, endpoint, accepted, to_dht, to_engine);
        tokio::spawn(service.serve(stop.clone()));
        let dialler = Dialler { route: config.route(), utp: config.utp.then_some(utp) };
        let router = Router::start(&config, &addrs);
        let (port_map, came_in) = (router.told.clone(), router.came_in.subscribe());
        let (proxy, bind, peer_address) = (config.proxy.clone(), config.bind.clone(), config.peer_address);
        let (told, blocklist) = watch::channel(config.blocklist.as_ref().map(|file| file.status(None)));
        let (lists, new_lists) = mpsc::channel(1);
        if let Some(file) = config.blocklist.clone() {
            let (stop, following) = (stop.clone(), follow_task(file, told, lists));
            tokio::spawn(async move { stop.run_until_cancelled(following).await });
        }
        let (commands, inbox) = mpsc::channel(INBOX);
        let (torrents_out, torrents) = watch::channel(Vec::new());
        let task = Task::new(config, &addrs, (dialler, ways), sockets, router, commands.downgrade(), torrents_out);
        let (limits, sent) = (task.limits.subscribe(), Arc::clone(&task.sent));
        tokio::spawn(async move {
            task.run(inbox, incoming, returns, new_lists).await;
            stop.cancel();
        });
        Ok(Self {
            commands,
            addrs: addrs.into(),
            torrents,
            proxy,
            bind,
            peer_address,
            blocklist,
            limits,
            sent,
            nodes,
            port_map,
            came_in,
        })
    }

    /// The addresses on which peers reach us, unspecified ones as they were bound; none behind a proxy.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// The port for peers, of TCP and of UDP; `None` if nobody can dial us.
    pub fn port(&self) -> Option<u16> {
        self.addrs.first().map(SocketAddr::port)
    }

    /// Adds a torrent. What is on disk is checked in the background; until then it is [`TorrentState::Checking`].
    pub async fn add(&self, torrent: AddTorrent) -> Result<Torrent, AddError> {
        let (done, answer) = oneshot::channel();
        self.commands.send(Command::Add(Box::new(torrent), done)).await.map_err(|_| AddError::Stopped)?;
        answer.await.unwrap_or(Err(AddError::Stopped))
    }

    /// Finds out what the torrent of a magnet link is: fetches its metadata from peers. BEP 9.
    ///
    /// Takes as long as it takes; drop it to end the search. The peers that were found are the torrent's if it is then
    /// added.
    pub async fn find(&self, find: FindTorrent) -> Result<Arc<Metainfo>, FindError> {
        let (done, answer) = oneshot::channel();
        self.commands.send(Command::Find(Box::new(find), done)).await.map_err(|_| FindError::Stopped)?;
        answer.await.unwrap_or(Err(FindError::Stopped))
    }

    /// The torrent, as it stands in handshakes, that the owner of a key lets the distributed hash table name. BEP 46.
    ///
    /// Takes as long as it takes; drop it to end the search. `None` without a hash table.
    pub async fn resolve(&self, name: ItemName) -> Option<[u8; 20]> {
        let (answer, mut resolved) = mpsc::channel(1);
        self.commands.send(Command::Resolve(name, answer)).await.ok()?;
        resolved.recv().await
    }

    /// A tracker of the same owner says that somebody at `peer` takes part in the torrent of this info-hash, as it
    /// stands in handshakes. An engine that is busy does not hear it.
    pub fn introduce(&self, info_hash: [u8; 20], peer: SocketAddr) {
        let _ = self.commands.try_send(Command::Introduce(info_hash, peer));
    }

    /// All torrents, in the order in which they were added.
    pub fn torrents(&self) -> Vec<Torrent> {
        self.torrents.borrow().clone()
    }

    /// The torrent of this info-hash.
    pub fn torrent(&self, info_hash: &InfoHash) -> Option<Torrent> {
        self.torrents.borrow().iter().find(|torrent| torrent.info_hash().matches(info_hash)).cloned()
    }

    /// How the peer port stands at the router, as it changes.
    pub fn watch_port_map(&self) -> watch::Receiver<PortMap> {
        self.port_map.clone()
    }

    /// Where whoever is outside reaches our port over TCP, as far as that is known: where the owner says, else where a
    /// router lets others in, else our own address if it is public. The last two over IPv4 alone.
    pub fn outside(&self) -> Option<SocketAddr> {
        if self.peer_address.is_some() {
            return self.peer_address;
        }
        let port = self.port()?;
        let own = || own_address(self.bind.as_ref().and_then(Bind::address)).map(|ip| SocketAddr::new(ip.into(), port));
        let addr = self.port_map.borrow().addr();
        addr.or_else(own).filter(|addr| Scope::of(addr.ip()) == Scope::Public)
    }

    /// Where somebody at `ip` reaches our port over TCP, as far as that is known: in our own network at our address
    /// there.
    pub fn reached_by(&self, ip: IpAddr) -> Option<SocketAddr> {
        let ip = ip.to_canonical();
        if Scope::of(ip) == Scope::Public {
            return self.outside();
        }
        let port = self.addrs.iter().find(|addr| addr.is_ipv4() == ip.is_ipv4())?;
        let ours = if port.ip().is_unspecified() { address_towards(ip)? } else { port.ip() };
        Some(SocketAddr::new(ours, port.port()))
    }

    /// Bytes of blocks sent to peers since the start, as sockets took them.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Tells of bytes that the program has sent up the same line by other ways than peers, so that they count against
    /// the owner's limit, too.
    pub fn sent_beside(&self, bytes: u64) {
        // Whoever has no time for that has nothing to hold back.
        let _ = self.commands.try_send(Command::SentBeside(bytes));
    }

    /// Dials `addr` to see whether peers are let in there, shows the nonce in a handshake of the torrent, and goes.
    ///
    /// Who is in the block list is not dialled, and nobody is through a proxy.
    pub async fn knock(&self, addr: SocketAddr, torrent: &InfoHash, nonce: Nonce) -> Knocked {
        let (done, answer) = oneshot::channel();
        let ours = Handshake::of(torrent, Reserved::OURS, nonce.peer_id());
        let is_asked = self.commands.send(Command::Knock(addr, ours, done)).await.is_ok();
        if is_asked { answer.await.unwrap_or(Knocked::NotTried) } else { Knocked::NotTried }
    }

    /// From now on waits for somebody who dials us over TCP and shows the nonce. The answer is his address; none comes
    /// once the engine has stopped.
    pub async fn await_knock(&self, nonce: Nonce) -> oneshot::Receiver<SocketAddr> {
        let (done, answer) = oneshot::channel();
        // An engine that has stopped drops it.
        let _ = self.commands.send(Command::AwaitKnock(nonce.peer_id(), done)).await;
        answer
    }

    /// The figures of all torrents together.
    pub fn status(&self) -> EngineStatus {
        let dht_nodes = self.nodes.as_ref().map(|nodes| *nodes.borrow());
        let reached = Reached::new(self.peer_address, &self.port_map.borrow(), *self.came_in.borrow(), self.port());
        let proxy = self.proxy.as_ref().map(ProxyStatus::of);
        let interface = InterfaceStatus::of(self.bind.as_ref());
        let blocklist = self.blocklist.borrow().clone();
        let mut sum = EngineStatus { dht_nodes, reached, proxy, interface, blocklist, ..EngineStatus::default() };
        for torrent in &*self.torrents.borrow() {
            let status = torrent.status.borrow();
            sum.up_rate.0 += status.up_rate.0;
            sum.down_rate.0 += status.down_rate.0;
            sum.peers += status.peers;
            sum.torrents += 1;
        }
        sum
    }

    /// The limits that hold.
    pub fn limits(&self) -> LimitStatus {
        *self.limits.borrow()
    }

    /// Has other limits hold from now on, except at the hours for which the configuration has its own.
    pub async fn limit(&self, to: RateLimits) {
        let (done, answer) = oneshot::channel();
        if self.commands.send(Command::Limit(to, done)).await.is_ok() {
            let _ = answer.await;
        }
    }

    /// Leaves all swarms, tells the trackers (for three seconds at most), remembers what is there, and stops.
    pub async fn shutdown(&self) {
        let (done, answer) = oneshot::channel();
        if self.commands.send(Command::Shutdown(done)).await.is_ok() {
            let _ = answer.await;
        }
    }
}

/// One torrent, as the engine keeps it.
#[derive(Debug)]
struct Entry {
    add: AddTorrent,
    handle: Torrent,
    status: watch::Sender<TorrentStatus>,
    /// Ends the check of the files early.
    cancel: Arc<AtomicBool>,
    /// There once the files are prepared.
    storage: Option<Arc<Held>>,
    /// Answers once nobody works on the files any more.
    released: oneshot::Receiver<()>,
    swarm: Option<SwarmId>,
    paused: bool,
}

#[derive(Debug)]
struct Task {
    config: EngineConfig,
    port: u16,
    dialler: Dialler,
    clock: Clock,
    /// The owner's limits, and those that hold now.
    timetable: Timetable,
    limits: watch::Sender<LimitStatus>,
    /// Bytes of blocks sent since the start.
    sent: Arc<AtomicU64>,
    /// When others may hold.
    limits_at: Option<Instant>,
    rng: Rng,
    session: Session,
    // In boxes: half of a map's places are empty where numbers only grow.
    entries: BTreeMap<u64, Box<Entry>>,
    /// Torrents by what stands in handshakes.
    by_wire: BTreeMap<[u8; 20], u64>,
    by_swarm: BTreeMap<SwarmId, u64>,
    /// Where the trackers may be of torrents that were left and say goodbye.
    leaving: BTreeMap<SwarmId, super::http::Reach>,
    /// Searches for metadata.
    findings: BTreeMap<SwarmId, Finding>,
    /// Who reads what is being fetched.
    readings: BTreeMap<u64, Reading>,
    next_reader: u64,
    /// Peers that such searches have found, by info-hash, for torrents that are not added yet.
    found_peers: BTreeMap<[u8; 20], Vec<SocketAddr>>,
    conns: BTreeMap<ConnId, Connection>,
    http: BTreeMap<super::http::Reach, HttpClient>,
    udp_trackers: UdpTrackers,
    gates: Gates,
    web_seeds: BTreeMap<(SwarmId, WebSeedId), WebSeed>,
    pool: Pool,
    buffers: Buffers,
    /// Results of what was set in motion; bounded by what the session sets in motion.
    done: mpsc::UnboundedSender<Done>,
    results: mpsc::UnboundedReceiver<Done>,
    from_peers: mpsc::Sender<FromPeer>,
    peers: mpsc::Receiver<FromPeer>,
    seeking: Seeking,
    router: Router,
    /// How long packets over uTP took.
    ways: mpsc::Receiver<Ways>,
    /// How fast connections send in the background.
    pacing: Pacing,
    trips: Trips,
    commands: mpsc::WeakSender<Command>,
    torrents: watch::Sender<Vec<Torrent>>,
    /// Swarms whose figures have changed since they were published.
    changed: BTreeSet<SwarmId>,
    publish_at: Option<Instant>,
    /// Who is told when somebody by this id dials us.
    awaited: BTreeMap<PeerId, oneshot::Sender<SocketAddr>>,
    /// Announces under way, and how many of them say goodbye.
    announcing: usize,
    next_key: u64,
    next_incoming: u64,
    stopping: Option<oneshot::Sender<()>>,
}

impl Task {
    fn new(
        config: EngineConfig,
        addrs: &[SocketAddr],
        (dialler, ways): (Dialler, mpsc::Receiver<Ways>),
        sockets: Sockets,
        router: Router,
        commands: mpsc::WeakSender<Command>,
        torrents: watch::Sender<Vec<Torrent>>,
    ) -> Self {
        let (clock, mut rng) = (Clock::default(), system_rng());
        let port = addrs.first().map_or(0, SocketAddr::port);
        let seeking = Seeking::start(&config, port, sockets, &mut rng);
        let (done, results) = mpsc::unbounded_channel();
        let (from_peers, peers) = mpsc::channel(INBOX);
        let always = RateLimits { up: config.up, down: config.down };
        let timetable = Timetable { always, windows: config.windows.clone() };
        let mut session = Session::new(config.up, config.down, clock.now());
        let blocklist = config.blocklist.as_ref().map(BlocklistFile::list).unwrap_or_default();
        session.handle(clock.now(), Input::KeepOut(blocklist));
        session.bound(config.places);
        if config.background != Background::Off {
            session.give_way(clock.now());
        }
        Self {
            port,
            session,
            limits: watch::Sender::new(LimitStatus { always, now: always }),
            sent: Arc::default(),
            limits_at: (!timetable.is_constant()).then(|| clock.now()),
            timetable,
            udp_trackers: UdpTrackers::new(config.route()),
            config,
            dialler,
            clock,
            rng,
            entries: BTreeMap::new(),
            by_wire: BTreeMap::new(),
            by_swarm: BTreeMap::new(),
            leaving: BTreeMap::new(),
            findings: BTreeMap::new(),
            readings: BTreeMap::new(),
            next_reader: 0,
            found_peers: BTreeMap::new(),
            conns: BTreeMap::new(),
            http: BTreeMap::new(),
            gates: Gates::default(),
            web_seeds: BTreeMap::new(),
            pool: Pool::start(),
            buffers: Buffers::default(),
            done,
            results,
            from_peers,
            peers,
            seeking,
            router,
            ways,
            pacing: Pacing::default(),
            trips: Trips::default(),
            commands,
            torrents,
            changed: BTreeSet::new(),
            publish_at: None,
            awaited: BTreeMap::new(),
            announcing: 0,
            next_key: 0,
            next_incoming: INCOMING,
            stopping: None,
        }
    }

    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut incoming: mpsc::Receiver<(Stream, SocketAddr)>,
        mut returns: mpsc::Receiver<()>,
        mut lists: mpsc::Receiver<Arc<Blocklist>>,
    ) {
        let mut from_peers = Vec::with_capacity(AT_ONCE);
        let mut results = Vec::with_capacity(AT_ONCE);
        loop {
            self.keep_timetable();
            let wake = crate::time::earliest(self.session.deadline(), self.publish_at);
            let wake = crate::time::earliest(wake, self.limits_at);
            let timer = async {
                match wake {
                    Some(at) => tokio::time::sleep_until(self.clock.at(at)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Shutdown(done)) => {
                        self.stopping = Some(done);
                        break;
                    }
                    Some(command) => self.command(command),
                    None => break,
                },
                _ = self.results.recv_many(&mut results, AT_ONCE) => {
                    for result in results.drain(..) {
                        self.done(result);
                    }
                }
                _ = self.peers.recv_many(&mut from_peers, AT_ONCE) => {
                    for message in from_peers.drain(..) {
                        self.heard(message);
                    }
                }
                Some(met) = self.seeking.met() => self.met(met),
                Some(ways) = self.ways.recv() => self.input(Input::Ways(ways)),
                Some(list) = lists.recv() => self.input(Input::KeepOut(list)),
                Some(()) = returns.recv() => self.interface_came_back(),
                port = self.router.port_changed() => self.reached_at(port),
                Some((stream, addr)) = incoming.recv() => self.accepted(stream, addr),
                () = timer => self.input(Input::Tick),
            }
            self.pacing.change(self.session.pace());
            self.drop_abandoned();
            self.drop_gone_readers();
            self.publish();
        }
        self.say_goodbye().await;
    }

    /// Looks at the clock once a minute, since no timer knows of daylight saving, suspended machines and clocks that
    /// are set.
    fn keep_timetable(&mut self) {
        let now = self.clock.now();
        if self.limits_at.is_none_or(|at| at > now) {
            return;
        }
        let (minute, rest) = week_minute();
        self.limits_at = Some(now + rest);
        self.hold_to(self.timetable.at(minute));
    }

    fn hold_to(&mut self, limits: RateLimits) {
        let told = LimitStatus { always: self.timetable.always, now: limits };
        if self.limits.send_replace(told).now != limits {
            tracing::info!(%limits, "other limits");
            self.input(Input::Limit(limits));
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Add(add, done) => {
                let _ = done.send(self.add(*add));
            }
            Command::Find(find, done) => self.find(*find, done),
            Command::Remove(key, done) => self.remove(key, done),
            Command::Pause(key, done) => {
                self.set_paused(key, true);
                let _ = done.send(());
            }
            Command::Unpause(key, done) => {
                self.set_paused(key, false);
                let _ = done.send(());
            }
            Command::Treat(key, conduct, done) => {
                self.treat(key, conduct);
                let _ = done.send(());
            }
            Command::OpenReader(key, range, alive, done) => self.open_reader(key, range, alive, done),
            Command::Read(number, at, answer) => self.read(number, at, answer),
            Command::Introduce(info_hash, peer) => self.introduce(info_hash, peer),
            Command::Resolve(name, answer) => self.seeking.resolve(name, answer),
            Command::Look(key, done) => {
                let _ = done.send(self.look(key));
            }
            Command::Limit(always, done) => {
                self.set_limits(always);
                let _ = done.send(());
            }
            Command::SentBeside(bytes) => self.input(Input::SentBeside(bytes)),
            Command::Knock(addr, ours, done) => self.knock(addr, ours, done),
            Command::AwaitKnock(name, done) => {
                self.awaited.retain(|_, waiting| !waiting.is_closed());
                self.awaited.insert(name, done);
            }
            Command::Shutdown(done) => self.stopping = Some(done),
        }
    }

    fn look(&mut self, key: u64) -> SwarmDetail {
        let swarm = self.entries.get(&key).and_then(|entry| entry.swarm);
        let now = self.clock.now();
        swarm.and_then(|id| self.session.swarm_mut(id)).map(|swarm| swarm.detail(now)).unwrap_or_default()
    }

    /// The owner wants other limits; those of an hour hold at that hour all the same.
    fn set_limits(&mut self, always: RateLimits) {
        self.timetable.always = always;
        let (minute, _) = week_minute();
        self.hold_to(self.timetable.at(minute));
    }

    fn introduce(&mut self, info_hash: [u8; 20], peer: SocketAddr) {
        let entry = self.by_wire.get(&info_hash).and_then(|key| self.entries.get(key));
        let Some(id) = entry.and_then(|entry| entry.swarm) else { return };
        self.input(Input::Swarm(id, swarm::Input::AddPeers(vec![peer], PeerSource::Tracker)));
    }

    /// What is there of the torrent of this info-hash.
    fn twin(&self, info_hash: &InfoHash) -> Option<&Entry> {
        let same = |wire| {
            let entry = self.entries.get(self.by_wire.get(&wire)?)?;
            entry.handle.info_hash().matches(info_hash).then_some(&**entry)
        };
        info_hash.wires().find_map(same)
    }

    fn add(&mut self, add: AddTorrent) -> Result<Torrent, AddError> {
        let info_hash = add.metainfo.info_hash;
        if let Some(entry) = self.twin(&info_hash) {
            return Err(AddError::AlreadyAdded(entry.handle.clone()));
        }
        if add.metainfo.lacks_layers() {
            return Err(AddError::NoLayers);
        }
        let key = self.next_key;
        self.next_key += 1;
        let (status, watch) = watch::channel(TorrentStatus::checking(&add.metainfo, add.choice.as_ref()));
        let handle =
            Torrent { key, metainfo: Arc::clone(&add.metainfo), status: watch, commands: self.commands.clone() };
        let (metainfo, files, resume) = (Arc::clone(&add.metainfo), add.files.clone(), add.resume.clone());
        let choice = add.choice.clone();
        let done = self.done.clone();
        let cancel = Arc::new(AtomicBool::new(false));
        let cancelled = Arc::clone(&cancel);
        let (release, released) = oneshot::channel();
        self.pool.run(move || {
            let progress = in_steps(metainfo.info.length(), |bytes| drop(done.send(Done::Checked(key, bytes))));
            let watch = Watch { progress: Some(&progress), cancel: Some(&cancelled) };
            let prepared = Storage::prepare(metainfo, &files, choice, &resume, watch);
            let _ = done.send(Done::Prepared(key, prepared.map(Box::new), release));
        });
        let (storage, swarm, paused) = (None, None, false);
        let entry = Entry { add, handle: handle.clone(), status, cancel, storage, released, swarm, paused };
        self.entries.insert(key, Box::new(entry));
        for wire in info_hash.wires() {
            // Of two that contradict each other, the first has the name that both claim.
            self.by_wire.entry(wire).or_insert(key);
        }
        self.torrents.send_modify(|torrents| torrents.push(handle.clone()));
        Ok(handle)
    }

    /// The files are ready: joins the swarm.
    fn prepared(&mut self, key: u64, prepared: Result<Box<Prepared>, StorageError>, release: Release) {
        if let Some(metainfo) = self.entries.get(&key).map(|entry| Arc::clone(&entry.add.metainfo)) {
            self.end_finding_of(&metainfo);
        }
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let Prepared { storage, have, placed, choice } = match prepared {
            Ok(prepared) => *prepared,
            Err(err) => {
                let text = with_causes(&err);
                tracing::warn!(torrent = %entry.handle.info_hash(), error = %text, "files cannot be used");
                entry.status.send_modify(|status| status.fail(text));
                return self.end_readers(key);
            }
        };
        entry.storage = Some(Arc::new(Held::new(storage, release)));
        let setup = SwarmSetup {
            metainfo: Arc::clone(&entry.add.metainfo),
            choice,
            have,
            placed,
            paused: entry.paused || (placed && !entry.add.seed_after),
            peer_id: PeerId::generate(&mut self.rng),
            port: self.port,
            outer_port: None,
            client: self.config.user_agent.replace('/', " "),
            conduct: entry.add.conduct,
            web_seeds: if self.config.web_seeds { entry.add.all_web_seeds() } else { Vec::new() },
            private_peers: entry.add.reach == super::http::Reach::Any,
            announce_at: Instant::ZERO,
            rng: self.rng.fork(key),
            config: SwarmConfig {
                max_connections: self.config.places_each,
                upload: self.config.upload,
                run_rate: self.config.run_rate,
                background: self.config.background,
                exchange: self.config.exchange,
                utp: self.config.utp,
                encryption: self.config.encryption,
                blocklist: Arc::clone(self.session.blocklist()),
                dht: self.config.dht.is_some(),
                in_order: entry.add.in_order,
                ..SwarmConfig::default()
            },
        };
        let peers = entry.add.peers.clone();
        if !setup.metainfo.info.private {
            self.seeking.named(setup.metainfo.nodes());
        }
        let found = self.found_peers.remove(&setup.metainfo.info_hash.wire()).unwrap_or_default();
        let id = match self.session.add(self.clock.now(), setup) {
            Ok(id) => id,
            Err(twin) => {
                tracing::warn!(?twin, "a torrent of the same wire info-hash is there");
                entry.status.send_modify(|status| status.fail("the same torrent is there already".to_owned()));
                return self.end_readers(key);
            }
        };
        entry.swarm = Some(id);
        self.by_swarm.insert(id, key);
        self.drain();
        self.input(Input::Swarm(id, swarm::Input::AddPeers(peers, PeerSource::Owner)));
        self.input(Input::Swarm(id, swarm::Input::AddPeers(found, PeerSource::Tracker)));
        self.tell_readers(key);
        self.serve_readers(key);
        self.touch(id);
        self.publish_now();
    }

    fn set_paused(&mut self, key: u64, paused: bool) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.paused = paused;
        let Some(id) = entry.swarm else { return };
        self.input(Input::Swarm(id, if paused { swarm::Input::Pause } else { swarm::Input::Unpause }));
        if paused {
            self.remember(key);
        }
        self.touch(id);
        self.publish_now();
    }

    /// Treats a torrent in another way, or will once its files are looked at.
    fn treat(&mut self, key: u64, conduct: Conduct) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.add.conduct = conduct;
        let Some(id) = entry.swarm else { return };
        self.input(Input::Swarm(id, swarm::Input::Treat(conduct)));
        self.touch(id);
    }

    /// Leaves a torrent; it is `done` when what is there is remembered and nobody works on its files any more.
    fn remove(&mut self, key: u64, done: oneshot::Sender<()>) {
        self.leave(key);
        self.end_readers(key);
        let Some(entry) = self.entries.remove(&key) else { return };
        for wire in entry.handle.info_hash().wires() {
            if self.by_wire.get(&wire) == Some(&key) {
                self.by_wire.remove(&wire);
            }
        }
        self.torrents.send_modify(|torrents| torrents.retain(|torrent| torrent.key != key));
        let Entry { cancel, released, .. } = *entry;
        cancel.store(true, Ordering::Relaxed);
        tokio::spawn(async move {
            let _ = released.await;
            let _ = done.send(());
        });
    }

    /// Stops a torrent's swarm, if it has one, and remembers what is there; its trackers may have to hear more.
    fn leave(&mut self, key: u64) {
        let Some((id, reach)) = self.entries.get(&key).and_then(|entry| Some((entry.swarm?, entry.add.reach))) else {
            return;
        };
        self.input(Input::Swarm(id, swarm::Input::Stop));
        self.remember(key);
        self.session.remove(id);
        if self.session.is_leaving(id) {
            self.leaving.insert(id, reach);
        }
        self.forget_web_seeds(id);
        self.by_swarm.remove(&id);
    }

    /// Notes which pieces are there, in the background.
    fn remember(&self, key: u64) {
        if let Some((storage, have)) = self.storage_and_pieces(key) {
            self.pool.run(move || report(storage.remember(&have)));
        }
    }

    fn storage_and_pieces(&self, key: u64) -> Option<(Arc<Held>, Bitfield)> {
        let entry = self.entries.get(&key)?;
        let have = self.session.swarm(entry.swarm?)?.picker().have().clone();
        Some((Arc::clone(entry.storage.as_ref()?), have))
    }

    fn touch(&mut self, id: SwarmId) {
        self.changed.insert(id);
        let at = self.clock.now() + PUBLISH_EVERY;
        self.publish_at.get_or_insert(at);
    }

    fn touch_swarm_of(&mut self, conn: ConnId) {
        if let Some(id) = self.session.swarm_of(conn) {
            self.touch(id);
        }
    }

    fn publish(&mut self) {
        if self.publish_at.is_some_and(|at| at <= self.clock.now()) {
            self.publish_now();
        }
    }

    fn publish_now(&mut self) {
        let now = self.clock.now();
        self.publish_at = None;
        let mut moving = Vec::new();
        for id in std::mem::take(&mut self.changed) {
            let Some(entry) = self.by_swarm.get(&id).and_then(|key| self.entries.get(key)) else { continue };
            let Some(swarm) = self.session.swarm_mut(id) else { continue };
            if swarm.connections().is_empty()
                && let Some(storage) = &entry.storage
            {
                storage.close();
            }
            let status = swarm.status(now);
            // A rate falls by nothing but time.
            if status.up_rate > Rate(0) || status.down_rate > Rate(0) {
                moving.push(id);
            }
            entry.status.send_replace(status);
        }
        for id in moving {
            self.touch(id);
        }
    }

    /// Leaves everything: peers, trackers, files.
    async fn say_goodbye(mut self) {
        self.end_findings();
        self.readings.clear();
        let keys: Vec<u64> = self.entries.keys().copied().collect();
        for key in keys {
            self.entries[&key].cancel.store(true, Ordering::Relaxed);
            self.leave(key);
        }
        let released: Vec<_> = std::mem::take(&mut self.entries).into_values().map(|entry| entry.released).collect();
        let _ = tokio::time::timeout(GOODBYE, self.hear_out_trackers()).await;
        tokio::join!(self.seeking.stop(), self.router.stop());
        // What was prepared and not yet heard of holds files, too.
        drop(self.results);
        for released in released {
            let _ = released.await;
        }
        if let Some(done) = self.stopping.take() {
            let _ = done.send(());
        }
    }

    /// Waits until every tracker has heard that we go.
    async fn hear_out_trackers(&mut self) {
        while self.announcing > 0 {
            let wake = self.session.deadline().map(|at| self.clock.at(at));
            tokio::select! {
                Some(done) = self.results.recv() => {
                    if matches!(done, Done::Swarm(_, swarm::Input::Announced { .. })) {
                        self.done(done);
                    }
                }
                () = async { tokio::time::sleep_until(wake.expect("asked before")).await }, if wake.is_some() => {
                    self.input(Input::Tick);
                }
            }
        }
    }

    fn accepted(&mut self, stream: Stream, addr: SocketAddr) {
        let conn = ConnId(self.next_incoming);
        self.next_incoming += 1;
        let (transport, origin) = (stream.transport(), self.origin(addr));
        self.start_connection(conn, stream, Direction::Incoming);
        self.input(Input::Accepted(conn, addr, transport, origin));
    }

    /// From where a connection comes, as far as it matters: what is proven needs no more proof.
    fn origin(&self, addr: SocketAddr) -> Origin {
        let is_asked = !self.session.is_reached() && Scope::of(addr.ip()) == Scope::Public;
        if is_asked && is_own_address(addr.ip()) { Origin::Here } else { Origin::Elsewhere }
    }

    fn start_connection(&mut self, conn: ConnId, stream: Stream, direction: Direction) {
        let (buffers, engine) = (self.buffers.clone(), self.from_peers.clone());
        let welcome = Welcome { encryption: self.config.encryption, visitors: self.config.visitors.clone() };
        let connection = Connection::start(conn, stream, direction, welcome, buffers, self.pacing.clone(), engine);
        self.conns.insert(conn, connection);
    }

    /// What was said over TCP by the interface that has gone is over; peers and trackers are sought again.
    fn interface_came_back(&mut self) {
        let dead: Vec<ConnId> =
            self.conns.iter().filter(|(_, connection)| connection.tcp().is_some()).map(|(conn, _)| *conn).collect();
        for conn in dead {
            if let Some(connection) = self.conns.remove(&conn) {
                connection.close();
            }
            self.touch_swarm_of(conn);
            self.input(Input::Closed(conn));
        }
        self.input(Input::CameBack);
    }

    fn heard(&mut self, message: FromPeer) {
        match message {
            FromPeer::KeyShown(conn) => self.input(Input::KeyShown(conn)),
            FromPeer::KeyRefused(conn) => {
                self.conns.remove(&conn);
                self.input(Input::KeyRefused(conn));
            }
            FromPeer::Handshake(conn, handshake) => {
                self.somebody_knocks(conn, handshake.peer_id);
                self.input(Input::Handshake(conn, handshake));
                self.touch_swarm_of(conn);
                self.router.came_in(self.session.is_reached());
            }
            FromPeer::Messages(conn, messages) => self.input(Input::ReceivedTogether(conn, messages)),
            FromPeer::Sent(conn, bytes) => {
                self.sent.fetch_add(bytes, Ordering::Relaxed);
                self.input(Input::Sent(conn, bytes));
            }
            FromPeer::Closed(conn) => {
                self.conns.remove(&conn);
                self.touch_swarm_of(conn);
                self.input(Input::Closed(conn));
            }
            FromPeer::Swarm(id, input) => {
                self.touch(id);
                self.input(Input::Swarm(id, input));
            }
        }
    }

    /// Tells who waits for it that somebody has dialled us by this id.
    fn somebody_knocks(&mut self, conn: ConnId, name: PeerId) {
        if conn.0 < INCOMING || self.awaited.is_empty() {
            return;
        }
        let from = self.conns.get(&conn).and_then(Connection::tcp);
        if let Some((_, from)) = from
            && let Some(waiting) = self.awaited.remove(&name)
        {
            let _ = waiting.send(from);
        }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Swarm(id, input) => {
                let is_tracker = matches!(input, swarm::Input::Announced { .. });
                self.announcing -= usize::from(is_tracker);
                self.touch(id);
                self.input(Input::Swarm(id, input));
                if is_tracker && !self.session.is_leaving(id) {
                    self.leaving.remove(&id);
                }
            }
            Done::Dialled(conn, stream) => {
                let transport = stream.transport();
                self.start_connection(conn, stream, Direction::Outgoing);
                self.input(Input::Dialled(conn, transport));
            }
            Done::DialFailed(conn) => self.input(Input::DialFailed(conn)),
            Done::Stuck(conn) => {
                self.touch_swarm_of(conn);
                self.input(Input::Closed(conn));
            }
            Done::Trips(trips) => self.input(Input::Trips(trips)),
            Done::Prepared(key, prepared, release) => self.prepared(key, prepared, release),
            Done::Found(id, info, layers) => self.found(id, &info, &layers),
            Done::Checked(key, bytes) => {
                if let Some(entry) = self.entries.get(&key).filter(|entry| entry.swarm.is_none()) {
                    entry.status.send_modify(|status| status.have = bytes);
                }
            }
        }
    }

    fn input(&mut self, input: Input) {
        self.session.handle(self.clock.now(), input);
        self.drain();
    }

    fn knock(&self, addr: SocketAddr, ours: Handshake, done: oneshot::Sender<Knocked>) {
        if self.config.proxy.is_some() || self.session.blocklist().contains(addr.ip()) {
            let _ = done.send(Knocked::NotTried);
            return;
        }
        let (route, encryption) = (self.dialler.route.clone(), self.config.encryption);
        tokio::spawn(async move {
            let _ = done.send(knock(&route, encryption, addr, ours).await);
        });
    }

    fn dial(&self, conn: ConnId, addr: SocketAddr, way: DialWay) {
        let (done, dialler) = (self.done.clone(), self.dialler.clone());
        tokio::spawn(async move {
            let result = dialler.dial(addr, way).await;
            let _ = done.send(match result {
                Ok(stream) => Done::Dialled(conn, stream),
                Err(err) => {
                    tracing::debug!(%addr, %err, "peer cannot be reached");
                    Done::DialFailed(conn)
                }
            });
        });
    }
}

/// An error with its causes, for a status line.
pub(super) fn with_causes(err: &(dyn std::error::Error + 'static)) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Nobody waits for this; the log is told.
fn report(result: Result<(), StorageError>) {
    if let Err(err) = result {
        tracing::warn!(error = %with_causes(&err), "progress is not remembered");
    }
}

impl TorrentStatus {
    /// The figures of a torrent whose files are being looked at.
    fn checking(metainfo: &Metainfo, choice: Option<&FileChoice>) -> Self {
        let info = &metainfo.info;
        Self {
            info_hash: metainfo.info_hash,
            name: metainfo.info.name.to_string(),
            state: TorrentState::Checking,
            error: None,
            is_final: false,
            complete: false,
            chosen_files: choice.map(FileChoice::count),
            length: choice.map_or_else(|| info.content_length(), |choice| choice.length(info)),
            have: 0,
            pieces: metainfo.info.piece_count(),
            pieces_have: 0,
            uploaded: 0,
            downloaded: 0,
            wasted: 0,
            up_rate: Rate(0),
            down_rate: Rate(0),
            peers: 0,
            seeds: 0,
            known_peers: 0,
            copies_milli: 0,
            eta: None,
            trackers: Vec::new(),
            dht: None,
            web_seeds: Vec::new(),
        }
    }

    /// The files cannot be used, and no time will change that.
    fn fail(&mut self, error: String) {
        self.state = TorrentState::Failed;
        self.error = Some(error);
        self.is_final = true;
    }
}
