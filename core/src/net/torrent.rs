//! Handles: what a program holds of a torrent in the engine.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

use super::blocks::BlocklistStatus;
use super::engine::Command;
use super::proxy::Proxy;
use super::reached::Reached;
use super::route::{Bind, index_of};
use crate::metainfo::{InfoHash, Metainfo};
use crate::rate::Rate;
use crate::swarm::{Conduct, SwarmDetail, TorrentStatus};

/// A torrent in the engine. Clones are the same torrent.
#[derive(Clone, Debug)]
pub struct Torrent {
    pub(super) key: u64,
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) status: watch::Receiver<TorrentStatus>,
    /// Weak, as the engine itself keeps handles: it must stop when nobody else holds it.
    pub(super) commands: mpsc::WeakSender<Command>,
}

/// The engine's figures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EngineStatus {
    /// Bytes a second, all torrents.
    pub up_rate: Rate,
    /// Bytes a second, all torrents.
    pub down_rate: Rate,
    /// Connections, all torrents.
    pub peers: u32,
    /// The number of torrents.
    pub torrents: usize,
    /// Nodes of the distributed hash table that are known; `None` if none are asked.
    pub dht_nodes: Option<usize>,
    /// Whether peers outside can dial us.
    pub reached: Reached,
    /// The proxy through which everything goes, if there is one.
    pub proxy: Option<ProxyStatus>,
    /// The interface by which alone anything goes, if there is one.
    pub interface: Option<InterfaceStatus>,
    /// The block list, if there is one.
    pub blocklist: Option<BlocklistStatus>,
}

/// How the only interface stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct InterfaceStatus {
    /// Its name.
    pub name: String,
    /// Whether it is there and up, with an address.
    pub is_up: bool,
}

impl InterfaceStatus {
    /// How the interface of `bind` stands, if it is one.
    pub fn of(bind: Option<&Bind>) -> Option<Self> {
        let name = bind?.interface()?;
        Some(Self { name: name.to_owned(), is_up: index_of(name).is_some() })
    }
}

impl fmt::Display for InterfaceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, is_up } = self;
        if *is_up {
            write!(f, "everything goes by {name} alone")
        } else {
            write!(f, "{name} is gone: nothing is sent or received until it is back")
        }
    }
}

/// How a proxy stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ProxyStatus {
    /// Which one, without user and password.
    pub url: String,
    /// What was last wrong with it; `None` since something got through.
    pub error: Option<String>,
}

impl ProxyStatus {
    /// How `proxy` stands.
    pub fn of(proxy: &Proxy) -> Self {
        Self { url: proxy.to_string(), error: proxy.fault() }
    }
}

impl fmt::Display for ProxyStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(f, "nothing gets through {}: {error}", self.url),
            None => write!(f, "everything goes through {}; no uTP, no hash table, no trackers over UDP", self.url),
        }
    }
}

/// The torrent will not be complete.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TorrentError {
    /// The files cannot be used.
    #[error("{0}")]
    Files(String),
    /// It was removed, or the engine was shut down.
    #[error("the torrent was removed")]
    Removed,
}

impl Torrent {
    /// Which torrent.
    pub fn info_hash(&self) -> InfoHash {
        self.metainfo.info_hash
    }

    /// What it is.
    pub const fn metainfo(&self) -> &Arc<Metainfo> {
        &self.metainfo
    }

    /// Its figures, at most half a second old.
    pub fn status(&self) -> TorrentStatus {
        self.status.borrow().clone()
    }

    /// Its figures as they change.
    pub fn watch(&self) -> watch::Receiver<TorrentStatus> {
        self.status.clone()
    }

    /// A close look at its pieces and peers; empty while its files are being checked, and once it is gone.
    pub async fn look(&self) -> SwarmDetail {
        self.ask(|done| Command::Look(self.key, done)).await.unwrap_or_default()
    }

    /// Waits until every byte is verified and under its final name.
    ///
    /// Faults that heal, as a full disk does, are waited out; [`TorrentStatus::error`] tells of them.
    pub async fn wait_complete(&self) -> Result<(), TorrentError> {
        let mut status = self.watch();
        let done =
            status.wait_for(|status| status.complete || status.is_final).await.map_err(|_| TorrentError::Removed)?;
        match &done.error {
            Some(error) if done.is_final => Err(TorrentError::Files(error.clone())),
            _ => Ok(()),
        }
    }

    /// Stops it: peers are left, trackers are told, what is there is remembered. Files stay; once this returns nobody
    /// works on them any more, and they may be added again, moved or deleted.
    pub async fn remove(&self) {
        self.ask(|done| Command::Remove(self.key, done)).await;
    }

    /// Ends all traffic until [`Torrent::unpause`].
    pub async fn pause(&self) {
        self.ask(|done| Command::Pause(self.key, done)).await;
    }

    /// Ends the pause.
    pub async fn unpause(&self) {
        self.ask(|done| Command::Unpause(self.key, done)).await;
    }

    /// Treats it in another way from now on.
    pub async fn treat(&self, conduct: Conduct) {
        self.ask(|done| Command::Treat(self.key, conduct, done)).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        ask(&self.commands, command).await
    }
}

/// Asks the engine; `None` if it has stopped, or does not answer as what was asked of is gone.
pub(super) async fn ask<T>(
    commands: &mpsc::WeakSender<Command>,
    command: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Option<T> {
    let (done, answer) = oneshot::channel();
    let commands = commands.upgrade()?;
    commands.send(command(done)).await.ok()?;
    // Waiting for the answer must not keep the engine running.
    drop(commands);
    answer.await.ok()
}
