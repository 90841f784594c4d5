//! How what we send leaves the machine: from which address or interface, and through which proxy.
//!
//! Sockets are tied to an interface by its name (`SO_BINDTODEVICE`), so that nothing of them leaves by another one,
//! whatever the routes say. While it is gone there is no way at all; one that comes back under its name is another one
//! to the system, for which `listen` opens the ports anew. Names are looked up as the system does it, by whatever
//! interface that takes.
//!
//! Law: what the owner has bound leaves so or not at all.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::str::FromStr;

use if_addrs::{Interface, get_if_addrs};
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

use super::proxy::Proxy;

/// How what we send leaves the machine. By default as the system likes.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// The only place to speak from.
    pub bind: Option<Bind>,
    /// Through which everything goes; what cannot go through it stays here.
    pub proxy: Option<Proxy>,
}

/// The only place to speak from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// This address.
    Address(IpAddr),
    /// The interface of this name, by whatever addresses it has. Linux alone ties sockets to it.
    Interface(String),
}

/// Neither an address nor an interface.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an IP address nor the name of an interface")]
pub struct NoBind(String);

impl Bind {
    /// The address, if the owner has named one.
    pub const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(ip) => Some(*ip),
            Self::Interface(_) => None,
        }
    }

    /// The interface, if the owner has named one.
    pub fn interface(&self) -> Option<&str> {
        match self {
            Self::Address(_) => None,
            Self::Interface(name) => Some(name),
        }
    }

    /// An address at which it is reached now, an IPv4 one if there is any.
    pub fn address_now(&self) -> Option<IpAddr> {
        match self {
            Self::Address(ip) => Some(*ip),
            Self::Interface(name) => addresses_of(name).map(|network| network.ip()).min(),
        }
    }

    /// Lets a socket speak by the interface alone, if there is one.
    pub(super) fn tie(&self, socket: &SockRef<'_>) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        if let Self::Interface(name) = self {
            socket.bind_device(Some(name.as_bytes()))?;
        }
        let _ = socket;
        Ok(())
    }
}

impl From<IpAddr> for Bind {
    fn from(ip: IpAddr) -> Self {
        Self::Address(ip)
    }
}

impl From<Ipv4Addr> for Bind {
    fn from(ip: Ipv4Addr) -> Self {
        Self::Address(ip.into())
    }
}

impl FromStr for Bind {
    type Err = NoBind;

    fn from_str(text: &str) -> Result<Self, NoBind> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::Address(ip));
        }
        // What the kernel takes for a name. That there is no such interface is seen when it is used.
        let is_name =
            (1..16).contains(&text.len()) && !text.contains(|c: char| c == '/' || c == ':' || c.is_whitespace());
        if !is_name || text == "." || text == ".." {
            return Err(NoBind(text.to_owned()));
        }
        if cfg!(target_os = "linux") {
            return Ok(Self::Interface(text.to_owned()));
        }
        Self::Interface(text.to_owned()).address_now().map(Self::Address).ok_or_else(|| NoBind(text.to_owned()))
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(ip) => ip.fmt(f),
            Self::Interface(name) => f.write_str(name),
        }
    }
}

impl Route {
    /// Whether anything can be sent to addresses of this family, proxies left out of account.
    pub(super) fn speaks_to(&self, ip: IpAddr) -> bool {
        self.address().is_none_or(|ours| ours.is_ipv4() == ip.is_ipv4())
    }

    /// The only address to speak from, if the owner has named one.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.bind.as_ref().and_then(Bind::address)
    }

    /// Connects to `addr` itself, around any proxy.
    pub(super) async fn connect(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(bind) = &self.bind {
            bind.tie(&SockRef::from(&socket))?;
        }
        if let Some(ip) = self.address() {
            // Of the other family, nothing can be bound, and nothing leaves.
            socket.bind(SocketAddr::new(ip, 0))?;
        }
        socket.connect(addr).await
    }
}

/// The addresses that an interface has now; none if it is not there, or down.
fn addresses_of(name: &str) -> impl Iterator<Item = Interface> {
    interfaces().into_iter().filter(move |network| network.name == name && network.is_oper_up())
}

/// Our own address on the way to `ip`; `None` if there is no way.
///
/// Nothing is sent: connecting a UDP socket only asks the routing table.
pub(super) fn address_towards(ip: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((ip, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Whether an interface of this machine has the address.
pub(super) fn is_own_address(ip: IpAddr) -> bool {
    interfaces().iter().any(|network| network.ip() == ip)
}

fn interfaces() -> Vec<Interface> {
    get_if_addrs().unwrap_or_else(|error| {
        tracing::debug!(%error, "the system tells no interfaces");
        Vec::new()
    })
}

/// The number by which the system knows an interface; `None` while nothing can leave by it. One that was made anew has
/// another.
pub(super) fn index_of(name: &str) -> Option<u32> {
    addresses_of(name).find_map(|network| network.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_an_interface() {
        assert_eq!("192.168.1.5".parse(), Ok(Bind::Address([192, 168, 1, 5].into())));
        assert_eq!("2001:db8::1".parse(), Ok(Bind::Address("2001:db8::1".parse().unwrap())));
        for text in ["", "a name", "eth0/24", "fe80::x", "longer-than-any-interface", ".."] {
            assert_eq!(text.parse::<Bind>(), Err(NoBind(text.to_owned())));
        }
    }

    #[test]
    fn an_address_of_this_machine_is_known_as_its_own() {
        assert!(is_own_address(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_own_address([192, 0, 2, 77].into()));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_interface_that_is_not_there_leads_nowhere() {
        let bind: Bind = "none-such0".parse().unwrap();
        assert_eq!((bind.address_now(), index_of("none-such0")), (None, None));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let route = |bind: &str| Route { bind: Some(bind.parse().unwrap()), proxy: None };
        assert!(route("none-such0").connect(addr).await.is_err());
        assert_eq!(route("lo").connect(addr).await.unwrap().peer_addr().unwrap(), addr);
        assert_eq!("lo".parse::<Bind>().unwrap().address_now(), Some(Ipv4Addr::LOCALHOST.into()));
    }
}
