//! What the session wants of web seeds, done.

use super::super::web_seed::{Kit, WebSeed};
use super::{Done, Task};
use crate::piece::WebSeedId;
use crate::swarm::web_seeds::{Remedy, WebSeedFault};
use crate::swarm::{self, SwarmId, WebFetch};

impl Task {
    pub(super) fn fetch_web(&mut self, swarm: SwarmId, fetch: WebFetch) {
        let id = (swarm, fetch.seed);
        if !self.web_seeds.contains_key(&id) {
            match self.web_seed_kit(swarm) {
                Ok(kit) => drop(self.web_seeds.insert(id, WebSeed::start(kit, fetch.seed))),
                Err(reason) => {
                    let fault = WebSeedFault { reason, remedy: Remedy::Wait(None) };
                    let ended = swarm::Input::WebSeedEnded { seed: fetch.seed, fetch: fetch.number, fault };
                    let _ = self.done.send(Done::Swarm(swarm, ended));
                    return;
                }
            }
        }
        self.touch(swarm);
        if let Some(seed) = self.web_seeds.get_mut(&id) {
            seed.fetch(fetch);
        }
    }

    pub(super) fn grant_web(&self, swarm: SwarmId, seed: WebSeedId, fetch: u32, until: u64) {
        if let Some(seed) = self.web_seeds.get(&(swarm, seed)) {
            seed.grant(fetch, until);
        }
    }

    pub(super) fn close_web(&mut self, swarm: SwarmId, seed: WebSeedId, fetch: u32) {
        self.touch(swarm);
        if let Some(seed) = self.web_seeds.get_mut(&(swarm, seed)) {
            seed.close(fetch);
        }
    }

    /// Ends the tasks of a swarm's web seeds.
    pub(super) fn forget_web_seeds(&mut self, swarm: SwarmId) {
        self.web_seeds.retain(|(id, _), _| *id != swarm);
    }

    fn web_seed_kit(&mut self, swarm: SwarmId) -> Result<Kit, String> {
        let entry = self.by_swarm.get(&swarm).and_then(|key| self.entries.get(key));
        let (reach, metainfo) = entry
            .map(|entry| (entry.add.reach, std::sync::Arc::clone(&entry.add.metainfo)))
            .ok_or_else(|| "the torrent was removed".to_owned())?;
        let http = self.client(reach)?;
        Ok(Kit { swarm, metainfo, http, buffers: self.buffers.clone(), engine: self.from_peers.clone() })
    }
}
