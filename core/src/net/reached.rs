//! Whether the outside can reach us, in a sentence for the owner.
//!
//! What a router says is a claim, and a peer that comes in is a proof. Law: where nothing is known, that is said.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::port_map::PortMap;
use crate::tracker::Scope;

/// Whether peers outside can dial us, and what speaks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Reached {
    /// Whether they can; `None` if nothing is known.
    pub is_reached: Option<bool>,
    /// Where they reach us, as far as the owner or a router has said.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>))]
    pub addr: Option<SocketAddr>,
    /// All of it in one sentence.
    pub text: String,
}

impl Reached {
    /// What is known of the port `port`, if there is one, which the owner has forwarded `by_hand`, with `came_in` if
    /// somebody has come in from outside.
    pub(super) fn new(by_hand: Option<SocketAddr>, port_map: &PortMap, came_in: bool, port: Option<u16>) -> Self {
        let Some(port) = port else {
            let text = "no: we are behind a proxy, which lets nobody in".to_owned();
            return Self { is_reached: Some(false), addr: None, text };
        };
        let by_router = || port_map.addr().filter(|addr| Scope::of(addr.ip()) == Scope::Public);
        let addr = by_hand.or_else(by_router);
        let (is_let_in, why) = match by_hand {
            Some(addr) => (Some(true), format!("{addr} leads to port {port} here, as `--peer-address` says")),
            None => describe(port_map, port),
        };
        let (is_reached, text) = match (came_in, is_let_in) {
            (true, Some(true)) => (Some(true), format!("yes: a peer has come in from outside; {why}")),
            (true, _) => (Some(true), "yes: a peer has come in from outside".to_owned()),
            (false, Some(true)) => (Some(true), format!("yes, it seems: {why}; no peer has come in yet")),
            (false, Some(false)) => (Some(false), format!("no: {why}")),
            (false, None) => (None, format!("not known yet: {why}")),
        };
        Self { is_reached, addr, text }
    }
}

/// Whether a router lets others in, as far as one has said, and why.
fn describe(port_map: &PortMap, port: u16) -> (Option<bool>, String) {
    let by_hand = format!("forward port {port}, TCP and UDP, to this machine by hand");
    match port_map {
        PortMap::Off => (None, "no router was asked, as the settings want it".to_owned()),
        PortMap::Asking => (None, "the router is being asked".to_owned()),
        PortMap::Public { ip } => (Some(true), format!("this machine's own address {ip} is public")),
        PortMap::NoNetwork => (Some(false), "there is no way out over IPv4".to_owned()),
        PortMap::NoRouter => (None, format!("no router answers over UPnP, NAT-PMP or PCP; {by_hand}")),
        PortMap::Refused { by, reason } => (Some(false), format!("the router refuses over {by} ({reason}); {by_hand}")),
        PortMap::Mapped { by, addr, udp } => {
            let only = if *udp { "" } else { ", TCP alone" };
            match outer_router(addr.ip()) {
                None => (Some(true), format!("mapped by {by} at {addr}{only}")),
                Some(whose) => (Some(false), format!("mapped by {by} at {addr}{only}, but {whose}")),
            }
        }
    }
}

/// Whose router is in the way, if the address at which ours lets others in is none that they can dial.
fn outer_router(ip: IpAddr) -> Option<&'static str> {
    match ip {
        _ if Scope::of(ip) == Scope::Public => None,
        IpAddr::V4(v4) if v4.octets()[0] == 100 => {
            Some("that address is shared by customers of the provider (CGNAT), who alone could let others in")
        }
        _ => Some("that address is private: there is a second router outside, which must forward the port, too"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::port_map::MapProtocol;

    fn mapped(addr: &str) -> PortMap {
        PortMap::Mapped { by: MapProtocol::Upnp, addr: addr.parse().unwrap(), udp: true }
    }

    #[test]
    fn what_is_known_is_said_and_what_is_not_too() {
        let refused = PortMap::Refused { by: MapProtocol::Pcp, reason: "Not authorized".to_owned() };
        for (port_map, came_in, is_reached, says) in [
            (PortMap::Off, false, None, "no router was asked"),
            (PortMap::Off, true, Some(true), "a peer has come in"),
            (PortMap::Asking, false, None, "being asked"),
            (PortMap::NoRouter, false, None, "forward port 6881"),
            (PortMap::NoRouter, true, Some(true), "a peer has come in"),
            (PortMap::NoNetwork, false, Some(false), "no way out"),
            (refused, false, Some(false), "over PCP (Not authorized)"),
            (PortMap::Public { ip: "198.18.0.1".parse().unwrap() }, false, Some(true), "198.18.0.1 is public"),
            (mapped("198.18.0.1:7000"), false, Some(true), "mapped by UPnP at 198.18.0.1:7000; no peer"),
            (mapped("198.18.0.1:7000"), true, Some(true), "mapped by UPnP at 198.18.0.1:7000"),
            (mapped("100.64.0.7:7000"), false, Some(false), "CGNAT"),
            (mapped("192.168.0.2:7000"), false, Some(false), "second router"),
        ] {
            let reached = Reached::new(None, &port_map, came_in, Some(6881));
            assert_eq!(reached.is_reached, is_reached, "{reached:?}");
            assert!(reached.text.contains(says), "{reached:?}");
        }
        assert_eq!(Reached::new(None, &mapped("192.168.0.2:7000"), false, Some(1)).addr, None);
        let by_hand = "198.18.0.1:7000".parse().unwrap();
        let reached = Reached::new(Some(by_hand), &PortMap::Off, false, Some(6881));
        assert_eq!((reached.is_reached, reached.addr), (Some(true), Some(by_hand)));
        assert!(reached.text.contains("198.18.0.1:7000 leads to port 6881 here"), "{reached:?}");
    }
}
