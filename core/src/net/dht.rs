//! The sockets, the file and the names under [`Dht`].
//!
//! Its datagrams come and go on the UDP port beside that of TCP; [`super::udp`] sorts out what is for it. What it knows
//! is written to a file every ten minutes and when the engine stops. Names of nodes are looked up beside it, and only
//! while it knows few others.
//!
//! Law: nobody is asked at start but those whom the file, the configuration, a torrent or a peer names. Source: BEP 5.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::clock::Clock;
use super::durable::write_atomic;
use super::engine::{Ask, Met};
use super::http::{Reach, lookup};
use super::udp::UdpPort;
use super::{DhtConfig, system_rng};
use crate::dht::message::Family;
use crate::dht::node_addr::NodeAddr;
use crate::dht::node_id::NodeId;
use crate::dht::{Dht, DhtSetup, Input, Output};
use crate::swarm::peers::canonical;

/// How often what is known is written down.
const SAVE_EVERY: Duration = Duration::from_mins(10);
/// Nodes whose names were looked up and that wait to be named.
const NAMED: usize = 64;

/// A datagram for the node.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    pub(crate) from: SocketAddr,
    /// The address at which it reached us, if that is known.
    pub(crate) to: Option<IpAddr>,
    pub(crate) bytes: Bytes,
}

/// What the node's task works with.
#[derive(Debug)]
pub(crate) struct Kit {
    pub(crate) config: DhtConfig,
    pub(crate) ports: Vec<Arc<UdpPort>>,
    /// The port for peers.
    pub(crate) port: u16,
    pub(crate) asks: mpsc::UnboundedReceiver<Ask>,
    pub(crate) datagrams: mpsc::Receiver<Datagram>,
    pub(crate) found: mpsc::Sender<Met>,
    /// How many nodes are known.
    pub(crate) known: watch::Sender<usize>,
}

/// Runs a node until nobody asks anything of it any more; then what it knows is on disk.
pub(crate) async fn dht_task(kit: Kit) {
    let Kit { config, ports, port, mut asks, mut datagrams, found, known } = kit;
    let clock = Clock::default();
    let families = ports.iter().map(|port| Family::of(port.addr())).collect();
    let saved = config.file.as_ref().and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
    let setup = DhtSetup { families, port, read_only: config.read_only, saved, rng: system_rng() };
    let mut dht = Dht::new(setup, clock.now());
    let (names, mut resolved) = mpsc::channel(NAMED);
    let mut world = World { config, ports, names, found, resolving: BTreeMap::new() };
    let mut save_at = clock.now() + SAVE_EVERY;
    dht.handle(clock.now(), Input::Tick);
    world.perform(&mut dht, None).await;
    loop {
        known.send_if_modified(|known| std::mem::replace(known, dht.nodes()) != dht.nodes());
        let wake = dht.deadline().map_or(save_at, |at| at.min(save_at));
        let (datagram, item);
        let (input, came) = tokio::select! {
            ask = asks.recv() => match ask {
                Some(Ask::Seek(info_hash, part)) => (Input::Seek(info_hash, part), None),
                Some(Ask::End(info_hash)) => (Input::Leave(info_hash), None),
                Some(Ask::ReachedAt(port)) => (Input::ReachedAt(port), None),
                Some(Ask::Resolve(name, answer)) => {
                    world.resolving.entry(name.target()).or_default().push(answer);
                    item = name;
                    (Input::Resolve(&item), None)
                }
                Some(Ask::Node(addr)) => (Input::Node(addr), None),
                Some(Ask::NodeAt(node)) => {
                    // Only the owner's word may lead into his own network.
                    resolve(node, Reach::Public, false, world.names.clone());
                    (Input::Tick, None)
                }
                None => break,
            },
            Some(received) = datagrams.recv() => {
                datagram = received;
                (Input::Received(datagram.from, &datagram.bytes), Some((datagram.from, datagram.to)))
            }
            Some((addr, is_router)) = resolved.recv() => {
                (if is_router { Input::Router(addr) } else { Input::Node(addr) }, None)
            }
            () = tokio::time::sleep_until(clock.at(wake)) => (Input::Tick, None),
        };
        dht.handle(clock.now(), input);
        world.perform(&mut dht, came).await;
        if save_at <= clock.now() {
            save_at = clock.now() + SAVE_EVERY;
            world.save(&dht).await;
        }
    }
    world.save(&dht).await;
}

/// What the node's effects fall upon.
struct World {
    config: DhtConfig,
    ports: Vec<Arc<UdpPort>>,
    /// Takes nodes whose names were looked up, and whether they are routers.
    names: mpsc::Sender<(SocketAddr, bool)>,
    found: mpsc::Sender<Met>,
    /// Who waits to hear which torrent is named by what is kept there.
    resolving: BTreeMap<NodeId, Vec<mpsc::Sender<[u8; 20]>>>,
}

impl World {
    /// Does what the node wants done; `came` is where the datagram came from that it answers, and where it reached us.
    async fn perform(&mut self, dht: &mut Dht, came: Option<(SocketAddr, Option<IpAddr>)>) {
        while let Some(output) = dht.poll() {
            match output {
                Output::Send(addr, datagram) => {
                    let source = came.filter(|(from, _)| canonical(*from) == addr).and_then(|(_, to)| to);
                    if let Some(port) = self.ports.iter().find(|port| port.addr().is_ipv4() == addr.is_ipv4()) {
                        port.send(addr, source, &datagram, datagram.len());
                    }
                }
                // Without an engine nobody is found any more, and the task is about to end.
                Output::Found { info_hash, teller, peers } => {
                    let _ = self.found.send(Met::Told { info_hash, teller, peers }).await;
                }
                Output::Counted { info_hash, family, filters } => {
                    let _ = self.found.send(Met::Counted { info_hash, family, filters }).await;
                }
                Output::Resolved(target, torrent) => {
                    for answer in self.resolving.remove(&target).into_iter().flatten() {
                        // There is room for the one that it waits for.
                        let _ = answer.try_send(torrent);
                    }
                }
                Output::Unresolved(target) => {
                    let waits = self.resolving.get(&target).is_some_and(|all| all.iter().any(|one| !one.is_closed()));
                    if !waits {
                        self.resolving.remove(&target);
                        dht.forget(target);
                    }
                }
                Output::LookUpRouters => {
                    for node in &self.config.nodes {
                        resolve(node.clone(), Reach::Any, false, self.names.clone());
                    }
                    for router in &self.config.routers {
                        resolve(router.clone(), Reach::Public, true, self.names.clone());
                    }
                }
            }
        }
    }

    /// Writes down what the node knows, if it knows anybody: a node that found nobody keeps what it knew before.
    async fn save(&self, dht: &Dht) {
        let Some(path) = self.config.file.clone().filter(|_| dht.nodes() > 0) else { return };
        let (bytes, shown) = (dht.save(), path.display().to_string());
        let written = tokio::task::spawn_blocking(move || write_atomic(&path, &bytes, 0o600)).await;
        if let Ok(Err(error)) = written {
            tracing::debug!(path = shown, %error, "nodes are not remembered");
        }
    }
}

/// Looks up where a node is, beside everything else.
fn resolve(node: NodeAddr, reach: Reach, is_router: bool, names: mpsc::Sender<(SocketAddr, bool)>) {
    tokio::spawn(async move {
        match lookup(reach, &node.host).await {
            Ok(ips) => {
                for ip in ips {
                    let _ = names.send((SocketAddr::new(ip, node.port), is_router)).await;
                }
            }
            Err(error) => tracing::debug!(%node, %error, "node is not found"),
        }
    });
}
