//! From where a host is reached, and asking agents outside about it.

use std::net::IpAddr;

use podswarm_core::net::PortMap;
use url::Host as UrlHost;

use super::Host;
use crate::reach::{Chosen, LIFE, Reach, Ways};

impl Host {
    /// From where listeners reach us.
    pub(crate) fn reach(&self) -> Reach {
        let https = self.https.as_ref().map(|(_, addr)| *addr);
        let port_map = self.doors.last().map(|door| door.borrow().clone()).unwrap_or_default();
        let ways = Ways {
            urls: &self.urls,
            hosts: &self.public_hosts(),
            listen: https.unwrap_or(self.http_addr),
            port_map: &port_map,
            came_in: self.came_in.is_so(&self.own_addresses()),
            has_proxy: self.proxies.are_there(),
            peers: &self.engine.status().reached,
            peer_port: self.engine.port(),
            outside: &self.outside.findings(),
        };
        ways.judge()
    }

    /// Whether peers outside have been seen to dial us.
    pub(crate) fn is_dialled(&self) -> Option<bool> {
        self.engine.status().reached.is_reached
    }

    /// Asks some agents outside to connect back, unless others are still waited for; [`Host::reach`] says what comes of
    /// it.
    pub(crate) async fn ask_outside(&self) {
        let chosen = self.outside.choose(&self.own_addresses());
        for Chosen { nonce, .. } in &chosen {
            let (nonce, outside) = (*nonce, self.outside.clone());
            let knock = self.engine.await_knock(nonce).await;
            self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(async move {
                if let Ok(Ok(from)) = tokio::time::timeout(LIFE, knock).await {
                    outside.knocked(nonce, from.ip());
                }
            }));
        }
        self.outside.ring(&chosen);
    }

    /// The addresses of the public URL's host, as far as they were found.
    fn public_hosts(&self) -> Vec<IpAddr> {
        match self.urls.host() {
            UrlHost::Domain(_) => self.tracker.public_host(),
            UrlHost::Ipv4(ip) => vec![ip.into()],
            UrlHost::Ipv6(ip) => vec![ip.into()],
        }
    }

    /// Our own addresses outside: who has one of them is in our house, and routers may show him so.
    fn own_addresses(&self) -> Vec<IpAddr> {
        let of_port_map = |map: &PortMap| match map {
            PortMap::Public { ip } => Some(*ip),
            map => map.addr().map(|addr| addr.ip()),
        };
        let mapped = self.doors.iter().filter_map(|door| of_port_map(&door.borrow()));
        let peers = of_port_map(&self.engine.watch_port_map().borrow());
        self.public_hosts().into_iter().chain(mapped).chain(peers).collect()
    }
}
