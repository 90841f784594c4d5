//! The engine's end of the port mapping: what others are told of where we are reached.

use std::net::SocketAddr;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::super::EngineConfig;
use super::super::port_map::{PortMap, port_map_task};
use super::super::route::Bind;
use super::Task;
use crate::session::Input;

/// The task that keeps the port mapped, if the owner wants one.
#[derive(Debug)]
pub(super) struct Router {
    /// How it stands.
    pub(super) told: watch::Receiver<PortMap>,
    /// The same, as far as the session has heard of it.
    heard: watch::Receiver<PortMap>,
    /// The port on which we listen.
    port: u16,
    /// The port that the owner has forwarded to it by hand, whatever the router may say.
    by_hand: Option<u16>,
    /// Whether somebody has come in from outside.
    pub(super) came_in: watch::Sender<bool>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Router {
    /// Starts the task for the port of these addresses.
    pub(super) fn start(config: &EngineConfig, addrs: &[SocketAddr]) -> Self {
        let port = addrs.iter().find(|addr| addr.is_ipv4()).map_or(0, SocketAddr::port);
        let by_hand = config.peer_address.map(|addr| addr.port());
        let is_wanted = config.port_map && port != 0;
        let (tell, told) = watch::channel(if is_wanted { PortMap::Asking } else { PortMap::Off });
        let stop = CancellationToken::new();
        let task = is_wanted.then(|| {
            tokio::spawn(port_map_task(port, config.bind.as_ref().and_then(Bind::address), tell, stop.clone()))
        });
        let mut heard = told.clone();
        if by_hand.is_some() {
            heard.mark_changed();
        }
        Self { heard, told, port, by_hand, came_in: watch::Sender::new(false), stop, task }
    }

    /// The port at which others are let in from outside, if it is not our own, each time that something about it
    /// changes.
    pub(super) async fn port_changed(&mut self) -> Option<u16> {
        if self.heard.changed().await.is_err() {
            // Nobody tells anything any more.
            std::future::pending::<()>().await;
        }
        let by_router = self.heard.borrow_and_update().addr().map(|addr| addr.port());
        self.by_hand.or(by_router).filter(|port| *port != self.port)
    }

    /// Somebody has come in from outside, or nobody yet.
    pub(super) fn came_in(&self, is_reached: bool) {
        self.came_in.send_if_modified(|known| std::mem::replace(known, is_reached) != is_reached);
    }

    /// Ends the task, and waits until the router has been told.
    pub(super) async fn stop(&mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Task {
    /// The router lets others in at this port.
    pub(super) fn reached_at(&mut self, port: Option<u16>) {
        self.seeking.reached_at(port);
        self.input(Input::ReachedAt(port));
    }
}
