//! The ways to peers that need no tracker, and which swarm each torrent belongs to that is sought there.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::super::dht::Datagram;
use super::super::udp::UdpPort;
use super::super::{EngineConfig, dht, lsd};
use super::Task;
use crate::dht::Part;
use crate::dht::item::ItemName;
use crate::dht::message::Family;
use crate::dht::node_addr::NodeAddr;
use crate::dht::scrape::Filters;
use crate::lsd::Lsd;
use crate::rng::Rng;
use crate::session::Input;
use crate::swarm::{self, Discovery, PeerSource, SwarmId};

/// Peers that were found and wait for the engine.
const INBOX: usize = 64;

/// Somebody takes part in a torrent.
#[derive(Clone, Debug)]
pub(crate) enum Met {
    /// A host of our own network says that it does.
    Neighbour {
        /// The torrent, as it stands in handshakes.
        info_hash: [u8; 20],
        /// Where it listens.
        addr: SocketAddr,
    },
    /// A node of the distributed hash table says who does.
    Told {
        /// The torrent, as it stands in handshakes.
        info_hash: [u8; 20],
        /// Who says so.
        teller: IpAddr,
        /// Where they listen.
        peers: Vec<SocketAddr>,
    },
    /// Nodes of the distributed hash table say how many do.
    Counted {
        /// The torrent, as it stands in handshakes.
        info_hash: [u8; 20],
        /// Those of which network.
        family: Family,
        /// Who they are.
        filters: Box<Filters>,
    },
}

/// What is asked of those who seek.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// Again if we take part in another way; the neighbours are not told in which.
    Seek([u8; 20], Part),
    End([u8; 20]),
    /// The torrent is wanted that an item names.
    Resolve(ItemName, mpsc::Sender<[u8; 20]>),
    /// Somebody says that there is a node.
    Node(SocketAddr),
    /// A torrent says so.
    NodeAt(NodeAddr),
    /// The router lets others in at this port.
    ReachedAt(Option<u16>),
}

/// What the node of the distributed hash table speaks with.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) ports: Vec<Arc<UdpPort>>,
    pub(super) datagrams: mpsc::Receiver<Datagram>,
    /// Takes how many nodes are known.
    pub(super) known: watch::Sender<usize>,
}

/// What is sought, and by whom.
#[derive(Debug)]
pub(super) struct Seeking {
    swarms: BTreeMap<[u8; 20], SwarmId>,
    /// The task that speaks to the neighbours, if the owner lets it; bounded by what the session sets in motion.
    neighbours: Option<mpsc::UnboundedSender<Ask>>,
    /// The same of the distributed hash table, with the task.
    table: Option<(mpsc::UnboundedSender<Ask>, JoinHandle<()>)>,
    found: mpsc::Receiver<Met>,
}

impl Seeking {
    /// Starts the tasks. They end when this is dropped.
    pub(super) fn start(config: &EngineConfig, port: u16, sockets: Sockets, rng: &mut Rng) -> Self {
        let (told, found) = mpsc::channel(INBOX);
        let neighbours = config.lsd.then(|| {
            let (asks, asked) = mpsc::unbounded_channel();
            tokio::spawn(lsd::lsd_task(Lsd::new(port, rng), config.bind.clone(), asked, told.clone()));
            asks
        });
        let table = config.dht.clone().map(|config| {
            let (asks, asked) = mpsc::unbounded_channel();
            let Sockets { ports, datagrams, known } = sockets;
            let kit = dht::Kit { config, ports, port, asks: asked, datagrams, found: told, known };
            (asks, tokio::spawn(dht::dht_task(kit)))
        });
        Self { swarms: BTreeMap::new(), neighbours, table, found }
    }

    pub(super) fn seek(&mut self, swarm: SwarmId, info_hash: [u8; 20], by: Discovery, part: Part) {
        self.swarms.insert(info_hash, swarm);
        let neighbours = self.neighbours.as_ref().filter(|_| by.lsd);
        let table = self.table.as_ref().map(|(asks, _)| asks).filter(|_| by.dht);
        tell(neighbours.into_iter().chain(table), &Ask::Seek(info_hash, part));
    }

    /// The swarm is not interested any more; another one of the same torrent may be.
    pub(super) fn end(&mut self, swarm: SwarmId, info_hash: [u8; 20]) {
        if self.swarms.get(&info_hash) == Some(&swarm) {
            self.swarms.remove(&info_hash);
            let table = self.table.as_ref().map(|(asks, _)| asks);
            tell(self.neighbours.iter().chain(table), &Ask::End(info_hash));
        }
    }

    /// The torrent is wanted that an item names; without a hash table nobody answers.
    pub(super) fn resolve(&self, name: ItemName, answer: mpsc::Sender<[u8; 20]>) {
        if let Some((asks, _)) = &self.table {
            let _ = asks.send(Ask::Resolve(name, answer));
        }
    }

    /// A peer says that there is a node.
    pub(super) fn node(&self, addr: SocketAddr) {
        if let Some((asks, _)) = &self.table {
            let _ = asks.send(Ask::Node(addr));
        }
    }

    /// The router lets others in at this port, which the neighbours have no use for.
    pub(super) fn reached_at(&self, port: Option<u16>) {
        if let Some((asks, _)) = &self.table {
            let _ = asks.send(Ask::ReachedAt(port));
        }
    }

    /// A torrent names nodes.
    pub(super) fn named(&self, nodes: Vec<NodeAddr>) {
        if let Some((asks, _)) = &self.table {
            for node in nodes {
                let _ = asks.send(Ask::NodeAt(node));
            }
        }
    }

    /// The next peer that is found; `None` if none ever will be.
    pub(super) async fn met(&mut self) -> Option<Met> {
        self.found.recv().await
    }

    /// Ends the tasks, and waits until what they know is on disk.
    pub(super) async fn stop(&mut self) {
        self.found.close();
        self.neighbours = None;
        if let Some((asks, task)) = self.table.take() {
            drop(asks);
            let _ = task.await;
        }
    }
}

fn tell<'a>(tasks: impl Iterator<Item = &'a mpsc::UnboundedSender<Ask>>, ask: &Ask) {
    for asks in tasks {
        // A task that has ended finds nobody.
        let _ = asks.send(ask.clone());
    }
}

impl Task {
    pub(super) fn met(&mut self, met: Met) {
        let (Met::Neighbour { info_hash, .. } | Met::Told { info_hash, .. } | Met::Counted { info_hash, .. }) = &met;
        let Some(id) = self.seeking.swarms.get(info_hash).copied() else { return };
        let input = match met {
            Met::Neighbour { addr, .. } => swarm::Input::AddPeers(vec![addr], PeerSource::Neighbour),
            Met::Told { teller, peers, .. } => swarm::Input::PeersTold { teller, peers },
            Met::Counted { info_hash, family, filters } => swarm::Input::Counted { info_hash, family, filters },
        };
        tracing::debug!(?input, "somebody takes part");
        self.touch(id);
        self.input(Input::Swarm(id, input));
    }
}
