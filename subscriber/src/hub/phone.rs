//! Opens what is kept to the phone, and closes it: the listener lives in the agent and is remembered.

use std::net::SocketAddr;

use podswarm_core::app::{Explain, Failure};
use podswarm_core::store::Store;

use super::HubHandle;
use super::task::Task;
use crate::agent::event::Event;
use crate::ask::{PhoneView, PhoneWish, Reply, SyncView, SyncWish};
use crate::keep;
use crate::web::{PhoneAddr, PhoneLine, draw_password, forget_password, forget_phone_token};

impl Task {
    /// Does with the phone's listener what is wished, and tells how it stands.
    pub(super) async fn phone(&mut self, wish: PhoneWish) -> Result<Reply, Failure> {
        let mut password = None;
        match wish {
            PhoneWish::Again => {
                let memory = remembered(&self.store).await?;
                if let (Some(addr), None) = (memory, &self.phone) {
                    self.open_phone(PhoneAddr::exactly(addr)).await?;
                }
            }
            PhoneWish::Off => {
                self.close_phone().await;
                self.remember_phone(None).await?;
            }
            PhoneWish::On { addr, renew, sync } => {
                let wanted = addr.map(|addr| addr.parse::<PhoneAddr>().map_err(Failure::usage)).transpose()?;
                let before = self.phone.as_ref().map(PhoneLine::addr);
                if renew {
                    forget_phone_token(&self.kit.dir)?;
                }
                match sync {
                    SyncWish::Leave => {}
                    SyncWish::On => password = Some(draw_password(&self.kit.dir)?.1),
                    SyncWish::Off => forget_password(&self.kit.dir)?,
                }
                if renew || wanted.is_some() || self.phone.is_none() || sync != SyncWish::Leave {
                    // What is open makes way first: it may have the port.
                    self.close_phone().await;
                    let before = before.or(remembered(&self.store).await?).map(PhoneAddr::exactly);
                    let addr = self.open_phone(wanted.or(before).unwrap_or(PhoneAddr::DEFAULT)).await?;
                    self.remember_phone(Some(addr)).await?;
                }
            }
        }
        let line = self.phone.as_ref();
        let sync = line.and_then(PhoneLine::sync);
        let sync = sync.map(|(server, user)| SyncView { server, user, password });
        Ok(Reply::Phone(PhoneView { addr: line.map(PhoneLine::addr), url: line.map(PhoneLine::url), sync }))
    }

    async fn close_phone(&mut self) {
        if let Some(line) = self.phone.take() {
            line.close().await;
        }
    }

    async fn open_phone(&mut self, wanted: PhoneAddr) -> Result<SocketAddr, Failure> {
        let handle = HubHandle { inbox: self.kit.inbox.clone(), events: self.events.clone() };
        let line = PhoneLine::open(wanted, &self.kit.dir, handle, &self.kit.stop).await?;
        let addr = line.addr();
        self.phone = Some(line);
        // Nobody has to listen.
        let _ = self.events.send(Event::Listening { kind: "phone".to_owned(), addr });
        Ok(addr)
    }

    async fn remember_phone(&self, addr: Option<SocketAddr>) -> Result<(), Failure> {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || keep::remember_phone(&store, addr)).await?;
        done.explain(|| "remember that the phone may ask".to_owned())
    }
}

/// Where the listener was, if it is to be open.
async fn remembered(store: &Store) -> Result<Option<SocketAddr>, Failure> {
    let store = store.clone();
    let loaded = tokio::task::spawn_blocking(move || keep::phone(&store)).await?;
    loaded.explain(|| "read whether the phone may ask".to_owned())
}
