//! Searches for what torrents are, for those who have only a magnet link.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::super::http::Reach;
use super::super::{FindError, FindTorrent};
use super::Task;
use crate::finder::FinderSetup;
use crate::metainfo::Metainfo;
use crate::metainfo::merkle::Sha256Digest;
use crate::peer::PeerId;
use crate::session::Input;
use crate::swarm::{self, PeerSource, SwarmId};

/// Torrents whose peers are remembered from the search until they are added.
const MOST_REMEMBERED: usize = 64;

/// What is told of a search's end.
pub(super) type Answer = oneshot::Sender<Result<Arc<Metainfo>, FindError>>;

/// A search under way.
#[derive(Debug)]
pub(super) struct Finding {
    find: FindTorrent,
    /// Who waits for it; nobody any more if all have given up.
    waiting: Vec<Answer>,
}

impl Finding {
    pub(super) const fn reach(&self) -> Reach {
        self.find.reach
    }
}

impl Task {
    pub(super) fn find(&mut self, find: FindTorrent, done: Answer) {
        let info_hash = find.magnet.info_hash;
        if let Some(entry) = self.twin(&info_hash) {
            let _ = done.send(Ok(Arc::clone(&entry.add.metainfo)));
            return;
        }
        let is_same = |finding: &&mut Finding| finding.find.magnet.info_hash.matches(&info_hash);
        if let Some(finding) = self.findings.values_mut().find(is_same) {
            return finding.waiting.push(done);
        }
        let setup = FinderSetup {
            info_hash,
            trackers: vec![find.magnet.trackers.clone()],
            discovery: find.discovery,
            peer_id: PeerId::generate(&mut self.rng),
            port: self.port,
            client: self.config.user_agent.replace('/', " "),
            private_peers: find.reach == Reach::Any,
            exchange: self.config.exchange && find.discovery.exchange,
            encryption: self.config.encryption,
            blocklist: Arc::clone(self.session.blocklist()),
            dht: self.config.dht.is_some() && find.discovery.dht,
            rng: self.rng.fork(u64::from(info_hash.wire()[0])),
        };
        let Ok(id) = self.session.add_finder(self.clock.now(), setup) else {
            let _ = done.send(Err(FindError::Unusable("the same torrent is there already".to_owned())));
            return;
        };
        // What the owner typed is trusted; what a feed names is as good as what a tracker names.
        let source = if find.reach == Reach::Any { PeerSource::Owner } else { PeerSource::Tracker };
        let peers = find.magnet.peers.clone();
        self.findings.insert(id, Finding { find, waiting: vec![done] });
        self.drain();
        self.input(Input::Swarm(id, swarm::Input::AddPeers(peers, source)));
    }

    /// The metadata is there, and its hash is right.
    pub(super) fn found(&mut self, id: SwarmId, info: &Bytes, layers: &BTreeMap<Sha256Digest, Vec<u8>>) {
        let Some(finding) = self.findings.get(&id) else { return };
        let magnet = &finding.find.magnet;
        let metainfo = Metainfo::from_info_bytes(info).and_then(|mut metainfo| {
            if metainfo.info.is_v2() && metainfo.layers().is_none() {
                metainfo.add_layers(layers)?;
            }
            let trackers = Some(magnet.trackers.clone()).filter(|trackers| !trackers.is_empty());
            (metainfo.trackers, metainfo.web_seeds) = (trackers.into_iter().collect(), magnet.web_seeds.clone());
            Ok(Arc::new(metainfo))
        });
        let peers = self.session.finder(id).map(crate::finder::Finder::known_peers).unwrap_or_default();
        // A private torrent takes its peers from its own trackers alone. BEP 27.
        if let Ok(metainfo) = &metainfo
            && !metainfo.info.private
        {
            if self.found_peers.len() >= MOST_REMEMBERED {
                self.found_peers.pop_first();
            }
            self.found_peers.insert(metainfo.info_hash.wire(), peers);
        }
        self.end_finding(id, &metainfo.map_err(|err| FindError::Unusable(super::with_causes(&err))));
    }

    /// A torrent is there of which the metadata is looked for: nobody needs to look any longer.
    pub(super) fn end_finding_of(&mut self, metainfo: &Arc<Metainfo>) {
        let is_same = |finding: &Finding| finding.find.magnet.info_hash.matches(&metainfo.info_hash);
        if let Some(id) = self.findings.iter().find(|(_, finding)| is_same(finding)).map(|(id, _)| *id) {
            self.end_finding(id, &Ok(Arc::clone(metainfo)));
        }
    }

    /// Ends searches for which nobody waits any more.
    pub(super) fn drop_abandoned(&mut self) {
        let is_abandoned = |finding: &Finding| finding.waiting.iter().all(oneshot::Sender::is_closed);
        let abandoned: Vec<SwarmId> =
            self.findings.iter().filter(|(_, finding)| is_abandoned(finding)).map(|(id, _)| *id).collect();
        for id in abandoned {
            self.end_finding(id, &Err(FindError::Stopped));
        }
    }

    pub(super) fn end_findings(&mut self) {
        for id in self.findings.keys().copied().collect::<Vec<_>>() {
            self.end_finding(id, &Err(FindError::Stopped));
        }
    }

    fn end_finding(&mut self, id: SwarmId, result: &Result<Arc<Metainfo>, FindError>) {
        // Its trackers are told in its own reach, so it is forgotten after that.
        self.input(Input::Swarm(id, swarm::Input::Stop));
        self.session.remove(id);
        for waiting in self.findings.remove(&id).map(|finding| finding.waiting).unwrap_or_default() {
            let _ = waiting.send(result.clone());
        }
    }
}
