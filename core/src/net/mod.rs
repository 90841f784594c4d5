//! The rim: sockets, disk, hashing threads and tracker requests around the pure engine.
//!
//! [`Engine`] is what other programs use. One task owns the [`crate::session::Session`]; everything else, connections,
//! disk threads, tracker requests, talks to it through channels, so that no lock guards any of the protocol's state.
//!
//! In reading order: [`zone`], [`clock`], [`durable`], `pool` and `buffers` are tools; [`route`] says how we go out,
//! and [`proxy`] through whom; [`http`] asks trackers and web servers, `udp_tracker` trackers over UDP; [`create`]
//! hashes files; [`storage`] and `resume` keep a torrent's files; `utp` and `stream` carry bytes, `receive`, `opening`,
//! `pacing` and `connection` are one connection, `trips` says what the system knows of it, `knock` only looks
//! whether there could be one, `web_seed` is one web server; `listen` and `udp` are the ports where peers reach us,
//! [`blocks`] says who may not, [`port_map`] has a router let them in, `reached` says whether they get there; `lsd`
//! speaks to the neighbours, `dht` to the distributed hash table; `engine` is the task; [`torrent`] its handles.
#![expect(clippy::disallowed_methods, reason = "the rim is where clocks, tasks and sockets are")]

pub mod zone;
pub mod clock;
pub mod durable;
mod pool;
mod buffers;
pub mod proxy;
pub mod route;
pub mod http;
mod udp_tracker;
pub mod create;
mod resume;
pub mod storage;
mod receive;
mod unsent;
mod utp;
mod stream;
mod opening;
mod pacing;
mod run;
mod trips;
mod connection;
mod knock;
mod web_seed;
mod udp;
mod listen;
pub mod blocks;
pub mod port_map;
mod reached;
pub mod reader;
mod lsd;
mod dht;
mod engine;
pub mod torrent;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::mpsc;

pub use blocks::{BlocklistFile, BlocklistStatus};
pub use engine::Engine;
pub use listen::rest_after_accept;
pub use port_map::{PortMap, map_port};
pub use proxy::Proxy;
pub use reached::Reached;
pub use reader::{ReadError, Reader};
pub use route::{Bind, Route};
pub use storage::{Files, StorageError};
pub use torrent::{EngineStatus, InterfaceStatus, ProxyStatus, Torrent, TorrentError};

pub use crate::session::Places;
pub use crate::swarm::{Conduct, Discovery, DiscoveryError, TorrentState, TorrentStatus};

use crate::background::Background;
use crate::dht::node_addr::NodeAddr;
use crate::metainfo::{FileChoice, Magnet, Metainfo};
use crate::peer::Encryption;
use crate::rate::Rate;
use crate::rng::Rng;
use crate::swarm::SwarmConfig;
use crate::timetable::RateWindow;
use http::Reach;

/// How an engine is to run.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the owner's")]
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The port for peers.
    pub peer_port: PeerPort,
    /// Where whoever is outside reaches that port, if the owner says so; else it is what the router says.
    pub peer_address: Option<SocketAddr>,
    /// The address or interface to listen on and dial from; both families' unspecified addresses if `None`.
    pub bind: Option<Bind>,
    /// The proxy through which everything goes; what cannot go through it is off: uTP, the hash table, trackers over
    /// UDP, the own network, the router, and peers that dial us.
    pub proxy: Option<Proxy>,
    /// Upload limit over all torrents.
    pub up: Option<Rate>,
    /// Download limit over all torrents.
    pub down: Option<Rate>,
    /// Other limits at some hours, in local time.
    pub windows: Vec<RateWindow>,
    /// Whose peers are neither dialled nor let in; trackers and web servers are asked nevertheless. It is read again
    /// when its file changes.
    pub blocklist: Option<BlocklistFile>,
    /// What peers and trackers are told of the program.
    pub user_agent: String,
    /// Whether to serve others.
    pub upload: bool,
    /// A peer that is sent so many bytes a second is sent runs of blocks, if it takes them.
    pub run_rate: Rate,
    /// Which uploads give way to other traffic of the line.
    pub background: Background,
    /// Whether to tell peers of one another and to believe what they tell. BEP 11.
    pub exchange: bool,
    /// Whether to tell hosts of our own network what we take part in, and to listen when they tell. BEP 14.
    pub lsd: bool,
    /// Whether connections are encrypted.
    pub encryption: Encryption,
    /// Whether to dial and to be dialled over uTP, too. BEP 29.
    pub utp: bool,
    /// The node of the distributed hash table that finds peers and is found by them; none if `None`. BEP 5.
    pub dht: Option<DhtConfig>,
    /// Whether to ask the router to let peers in. UPnP-IGD, NAT-PMP, PCP.
    pub port_map: bool,
    /// Whether to ask web servers that torrents name. BEP 19.
    pub web_seeds: bool,
    /// Who receives those who come to the port for peers over TCP and are none, but ask by HTTP; they are turned away
    /// if `None`.
    pub visitors: Option<mpsc::Sender<Visitor>>,
    /// How many connections all torrents may have together.
    pub places: Places,
    /// How many connections one torrent may have.
    pub places_each: usize,
}

/// Somebody who has come to the port for peers and begins to ask by HTTP.
#[derive(Debug)]
pub struct Visitor {
    /// His connection.
    pub stream: TcpStream,
    /// What was read from it.
    pub begun: Vec<u8>,
}

/// How a node of the distributed hash table is to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DhtConfig {
    /// Nodes to begin with.
    pub nodes: Vec<NodeAddr>,
    /// Nodes that everybody begins with; they are spared once others are known.
    pub routers: Vec<NodeAddr>,
    /// The file that remembers which nodes are known.
    pub file: Option<PathBuf>,
    /// Whether to ask only, and answer nobody: for who stays for a short time. BEP 43.
    pub read_only: bool,
}

impl DhtConfig {
    /// The nodes that everybody begins with.
    pub fn well_known() -> Vec<NodeAddr> {
        let routers =
            [("dht.libtorrent.org", 25_401), ("dht.transmissionbt.com", 6881), ("router.bittorrent.com", 6881)];
        routers.into_iter().filter_map(|(host, port)| NodeAddr::new(host, port)).collect()
    }
}

impl EngineConfig {
    /// How what is sent leaves the machine.
    pub fn route(&self) -> Route {
        Route { bind: self.bind.clone(), proxy: self.proxy.clone() }
    }

    /// Whether the router may be asked to let others in.
    pub fn may_map_ports(&self) -> bool {
        self.clone().without_leaks().port_map
    }

    /// The same without what would go around a proxy or an interface, if there is one. The router that leads out may be
    /// at another interface.
    fn without_leaks(self) -> Self {
        let port_map = self.port_map && self.bind.as_ref().and_then(Bind::interface).is_none();
        match self.proxy {
            Some(_) => Self { peer_address: None, utp: false, dht: None, lsd: false, port_map: false, ..self },
            None => Self { port_map, ..self },
        }
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            peer_port: PeerPort::default(),
            peer_address: None,
            bind: None,
            proxy: None,
            up: None,
            down: None,
            windows: Vec::new(),
            blocklist: None,
            user_agent: concat!("Podswarm/", env!("CARGO_PKG_VERSION")).to_owned(),
            upload: true,
            run_rate: SwarmConfig::default().run_rate,
            background: Background::default(),
            exchange: true,
            // It speaks to whoever is near, which the owner decides.
            lsd: false,
            encryption: Encryption::default(),
            utp: true,
            dht: None,
            // It asks a device of the network's owner.
            port_map: false,
            web_seeds: true,
            visitors: None,
            places: Places::default(),
            places_each: SwarmConfig::default().max_connections,
        }
    }
}

/// The port for peers, of TCP and of UDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PeerPort {
    /// The first free one of 6881 to 6889, else any.
    #[default]
    Default,
    /// This one and no other; 0 is any free one.
    Exactly(u16),
}

/// A torrent to fetch or to seed.
#[derive(Clone, Debug)]
pub struct AddTorrent {
    /// What it is.
    pub metainfo: Arc<Metainfo>,
    /// Where its files are or are to be.
    pub files: Files,
    /// The files that are wanted, besides those that were chosen before and are in place; all if `None`, or those that
    /// were chosen before where nothing is to be fetched.
    pub choice: Option<FileChoice>,
    /// The file that remembers what is there; its folder is made if need be.
    pub resume: PathBuf,
    /// Which addresses its trackers and web seeds, and the peers that trackers name, may have.
    pub reach: Reach,
    /// How it is treated apart from others.
    pub conduct: Conduct,
    /// Peers known from elsewhere; they are trusted.
    pub peers: Vec<SocketAddr>,
    /// URLs of web servers known from elsewhere to have the content, besides those that the metainfo names (BEP 19).
    pub web_seeds: Vec<String>,
    /// Whether to go on seeding once it is complete.
    pub seed_after: bool,
    /// Whether pieces are fetched in their order, and not the rarest first.
    pub in_order: bool,
}

impl AddTorrent {
    /// The web servers that the metainfo names, and the others.
    fn all_web_seeds(&self) -> Vec<String> {
        self.metainfo.web_seeds.iter().chain(&self.web_seeds).cloned().collect()
    }
}

/// A torrent of which only a magnet link is known.
#[derive(Clone, Debug)]
pub struct FindTorrent {
    /// The link; its trackers and peers are asked.
    pub magnet: Magnet,
    /// Which addresses its trackers, and the peers that they name, may have. Under [`Reach::Any`] the link's own peers
    /// are trusted.
    pub reach: Reach,
    /// How its peers are found.
    pub discovery: Discovery,
}

/// It is not known what the torrent is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The metadata is what was asked for, and no torrent that can be fetched.
    #[error("the torrent is refused: {0}")]
    Unusable(String),
    /// The engine was shut down.
    #[error("the engine has stopped")]
    Stopped,
}

/// The engine could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// No socket for peers.
    #[error("listen for peers on {addr}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The interface is not there.
    #[error("there is no interface `{name}`, or it is down or has no address")]
    Interface {
        /// Its name.
        name: String,
    },
    /// No client for trackers.
    #[error("prepare the HTTP client")]
    Http(#[source] http::HttpError),
}

/// The torrent cannot be added.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// It is there.
    #[error("torrent {} is added already", .0.info_hash())]
    AlreadyAdded(Torrent),
    /// Nothing of the torrent can be checked: it is v2, and the hashes of its pieces are not known.
    #[error("the torrent is v2-only and the hashes of its pieces are not known")]
    NoLayers,
    /// The engine was shut down.
    #[error("the engine has stopped")]
    Stopped,
}

/// A generator seeded by the operating system.
///
/// # Panics
/// If the system has no entropy to give, on which no network program can run.
pub fn system_rng() -> Rng {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).expect("the operating system gives entropy");
    Rng::from_seed(seed)
}
