//! The ways to peers that need no tracker, and which swarm each torrent belongs to that is sought there.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::sync::mpsc;

use super::super::{EngineConfig, lsd};
use super::Task;
use crate::lsd::Lsd;
use crate::rng::Rng;
use crate::session::Input;
use crate::swarm::{self, PeerSource, SwarmId};

/// Peers that were found and wait for the engine.
const INBOX: usize = 64;

/// Somebody takes part in a torrent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Met {
    /// The torrent, as it stands in handshakes.
    pub(crate) info_hash: [u8; 20],
    /// Where he listens.
    pub(crate) addr: SocketAddr,
}

/// What is sought.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask {
    Seek([u8; 20]),
    End([u8; 20]),
}

/// What is sought, and by whom it is sought.
#[derive(Debug)]
pub(super) struct Seeking {
    swarms: BTreeMap<[u8; 20], SwarmId>,
    /// The task that speaks to the neighbours, if the owner lets it; bounded by what the session sets in motion.
    neighbours: Option<mpsc::UnboundedSender<Ask>>,
    found: mpsc::Receiver<Met>,
}

impl Seeking {
    /// Starts the tasks. They end when this is dropped.
    pub(super) fn start(config: &EngineConfig, port: u16, rng: &mut Rng) -> Self {
        let (told, found) = mpsc::channel(INBOX);
        let neighbours = config.lsd.then(|| {
            let (asks, asked) = mpsc::unbounded_channel();
            tokio::spawn(lsd::lsd_task(Lsd::new(port, rng), config.bind, asked, told));
            asks
        });
        Self { swarms: BTreeMap::new(), neighbours, found }
    }

    pub(super) fn seek(&mut self, swarm: SwarmId, info_hash: [u8; 20]) {
        self.swarms.insert(info_hash, swarm);
        self.tell(Ask::Seek(info_hash));
    }

    /// The swarm is not interested any more; another one of the same torrent may be.
    pub(super) fn end(&mut self, swarm: SwarmId, info_hash: [u8; 20]) {
        if self.swarms.get(&info_hash) == Some(&swarm) {
            self.swarms.remove(&info_hash);
            self.tell(Ask::End(info_hash));
        }
    }

    fn tell(&self, ask: Ask) {
        if let Some(neighbours) = &self.neighbours {
            // A task that has ended finds nobody.
            let _ = neighbours.send(ask);
        }
    }

    /// The next peer that is found; `None` if none ever will be.
    pub(super) async fn met(&mut self) -> Option<Met> {
        self.found.recv().await
    }
}

impl Task {
    pub(super) fn met(&mut self, met: Met) {
        if let Some(id) = self.seeking.swarms.get(&met.info_hash).copied() {
            tracing::debug!(addr = %met.addr, "a neighbour takes part");
            self.touch(id);
            self.input(Input::Swarm(id, swarm::Input::AddPeers(vec![met.addr], PeerSource::Neighbour)));
        }
    }
}
