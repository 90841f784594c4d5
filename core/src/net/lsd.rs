//! The sockets under [`Lsd`]: what is said goes out on every interface, and what is heard counts if it comes from a
//! network of ours.
//!
//! Interfaces come and go, so they are looked at again before anything is said, which is once a minute at most. Nothing
//! is opened before there is a torrent. Another client of this machine may have the same sockets open.
//!
//! Law: a datagram counts only if its sender's address lies in the network of an interface that we speak on; what comes
//! from beyond a router is not heard. Source: BEP 14.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use if_addrs::{IfAddr, Interface};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use super::clock::Clock;
use super::engine::{Ask, Met};
use super::route::Bind;
use crate::lsd::{Group, Input, Lsd, Output};
use crate::swarm::peers::canonical;

/// Room for a datagram; what is longer is cut, and read as far as it goes.
const LONGEST: usize = 2048;
/// The most interfaces of one family that are spoken on.
const MOST_INTERFACES: usize = 16;
/// How long to wait after a read that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Speaks to the neighbours of torrents that it is asked to seek, from the address or interface `bind` alone if there
/// is one, until nobody asks any more.
pub(crate) async fn lsd_task(
    mut lsd: Lsd,
    bind: Option<Bind>,
    mut asks: mpsc::UnboundedReceiver<Ask>,
    found: mpsc::Sender<Met>,
) {
    let clock = Clock::default();
    let mut voices = Group::ALL.map(|group| Voice::new(group, bind.clone()));
    let [mut v4, mut v6] = [[0; LONGEST]; 2];
    loop {
        let [first, second] = &voices;
        let wake = lsd.deadline();
        let timer = async {
            match wake {
                Some(at) => tokio::time::sleep_until(clock.at(at)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ask = asks.recv() => match ask {
                Some(Ask::Seek(info_hash, _)) => {
                    voices.iter_mut().filter(|voice| voice.socket.is_none()).for_each(Voice::refresh);
                    lsd.handle(clock.now(), Input::Seek(info_hash));
                }
                Some(Ask::End(info_hash)) => lsd.handle(clock.now(), Input::Leave(info_hash)),
                Some(Ask::Node(_) | Ask::NodeAt(_) | Ask::ReachedAt(_) | Ask::Resolve(..)) => continue,
                None => return,
            },
            (length, from) = first.hear(&mut v4) => lsd.handle(clock.now(), Input::Received(from, &v4[..length])),
            (length, from) = second.hear(&mut v6) => lsd.handle(clock.now(), Input::Received(from, &v6[..length])),
            () = timer => lsd.handle(clock.now(), Input::Tick),
        }
        while let Some(output) = lsd.poll() {
            match output {
                Output::Send(group, datagram) => {
                    for voice in voices.iter_mut().filter(|voice| voice.group == group) {
                        voice.refresh();
                        voice.say(&datagram).await;
                    }
                }
                Output::Found(info_hash, addr) => {
                    if found.send(Met::Neighbour { info_hash, addr }).await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// What is said and heard in one group.
struct Voice {
    group: Group,
    bind: Option<Bind>,
    /// There once there is an interface.
    socket: Option<UdpSocket>,
    /// The addresses that we have in this family, each with its network.
    networks: Vec<Interface>,
    /// The addresses of the interfaces on which the socket hears the group.
    joined: BTreeSet<(IpAddr, Option<u32>)>,
}

impl Voice {
    const fn new(group: Group, bind: Option<Bind>) -> Self {
        Self { group, bind, socket: None, networks: Vec::new(), joined: BTreeSet::new() }
    }

    /// Looks at the machine's interfaces, and listens on those that are new.
    fn refresh(&mut self) {
        self.networks = if_addrs::get_if_addrs().unwrap_or_else(|err| {
            tracing::debug!(%err, "the system tells no interfaces");
            Vec::new()
        });
        let (is_v4, bind) = (self.group == Group::V4, &self.bind);
        self.networks.retain(|network| {
            // What has two ends has no neighbours.
            network.ip().is_ipv4() == is_v4
                && match bind {
                    None => !network.is_loopback() && !network.is_p2p(),
                    Some(Bind::Address(ours)) => *ours == network.ip(),
                    Some(Bind::Interface(ours)) => *ours == network.name && !network.is_p2p(),
                }
        });
        if self.networks.is_empty() {
            return;
        }
        if self.socket.is_none() {
            match open(self.group) {
                Ok(socket) => self.socket = Some(socket),
                Err(err) => return tracing::debug!(group = ?self.group, %err, "neighbours cannot be heard"),
            }
        }
        let Some(socket) = &self.socket else { return };
        let interfaces: Vec<&Interface> = self.interfaces().collect();
        let mut joined = BTreeSet::new();
        for interface in interfaces {
            // One that has gone and come back has another number.
            let (place, name) = ((interface.ip(), interface.index), &interface.name);
            match if self.joined.contains(&place) { Ok(()) } else { join(socket, interface) } {
                Ok(()) => drop(joined.insert(place)),
                Err(err) => tracing::debug!(name, %err, "neighbours cannot be heard"),
            }
        }
        self.joined = joined;
    }

    /// One network of each interface.
    fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        let mut names = BTreeSet::new();
        self.networks.iter().filter(move |network| names.insert(&network.name)).take(MOST_INTERFACES)
    }

    async fn say(&self, datagram: &[u8]) {
        let Some(socket) = &self.socket else { return };
        for interface in self.interfaces() {
            let said = match speak_on(socket, interface) {
                Ok(()) => socket.send_to(datagram, self.group.addr()).await.map(drop),
                Err(err) => Err(err),
            };
            if let Err(err) = said {
                tracing::debug!(name = interface.name, %err, "nothing is said to neighbours");
            }
        }
    }

    /// Waits for a datagram from a neighbour: its length, and from where.
    async fn hear(&self, buffer: &mut [u8]) -> (usize, SocketAddr) {
        let Some(socket) = &self.socket else { return std::future::pending().await };
        loop {
            match socket.recv_from(buffer).await {
                Ok((length, from)) if self.is_near(from.ip()) => return (length, canonical(from)),
                Ok((_, from)) => tracing::debug!(%from, "no neighbour"),
                Err(err) => {
                    tracing::debug!(%err, "no datagram from the system");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Whether an address lies in a network of ours.
    fn is_near(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| match (&network.addr, ip) {
            (IfAddr::V4(ours), IpAddr::V4(ip)) => {
                let mask = ours.netmask.to_bits();
                mask != 0 && (ours.ip.to_bits() ^ ip.to_bits()) & mask == 0
            }
            (IfAddr::V6(ours), IpAddr::V6(ip)) => {
                let mask = ours.netmask.to_bits();
                ip.is_unicast_link_local() || (mask != 0 && (ours.ip.to_bits() ^ ip.to_bits()) & mask == 0)
            }
            _ => false,
        })
    }
}

/// A socket that hears the group on whichever interface it is told to.
fn open(group: Group) -> io::Result<UdpSocket> {
    let addr = group.addr();
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // Where the system lets us, what is sent to this machine alone does not reach the socket.
    let any = if addr.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let ours = if cfg!(unix) { addr } else { SocketAddr::new(any, addr.port()) };
    socket.bind(&ours.into())?;
    UdpSocket::from_std(socket.into())
}

/// Lets the socket hear the group on the interface.
fn join(socket: &UdpSocket, interface: &Interface) -> io::Result<()> {
    match (&interface.addr, Group::V4.addr().ip(), Group::V6.addr().ip()) {
        (IfAddr::V4(ours), IpAddr::V4(group), _) => socket.join_multicast_v4(group, ours.ip),
        (IfAddr::V6(_), _, IpAddr::V6(group)) => socket.join_multicast_v6(&group, index(interface)?),
        _ => unreachable!("each group has an address of its family"),
    }
}

/// What the socket says next goes out on the interface.
fn speak_on(socket: &UdpSocket, interface: &Interface) -> io::Result<()> {
    let socket = SockRef::from(socket);
    match &interface.addr {
        IfAddr::V4(ours) => socket.set_multicast_if_v4(&ours.ip),
        IfAddr::V6(_) => socket.set_multicast_if_v6(index(interface)?),
    }
}

fn index(interface: &Interface) -> io::Result<u32> {
    interface.index.ok_or_else(|| io::Error::other("the interface has no number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dht::Part;
    use crate::net::system_rng;

    fn near(ours: &str, prefix: u32, ip: &str) -> bool {
        let addr = match ours.parse().unwrap() {
            IpAddr::V4(ip) => {
                let netmask = Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - prefix).unwrap_or(0));
                let prefixlen = u8::try_from(prefix).unwrap();
                IfAddr::V4(if_addrs::Ifv4Addr { ip, netmask, prefixlen, broadcast: None })
            }
            IpAddr::V6(ip) => {
                let netmask = Ipv6Addr::from_bits(u128::MAX.checked_shl(128 - prefix).unwrap_or(0));
                let prefixlen = u8::try_from(prefix).unwrap();
                IfAddr::V6(if_addrs::Ifv6Addr { ip, netmask, prefixlen, broadcast: None })
            }
        };
        let network = if_addrs::get_if_addrs().unwrap().remove(0);
        let networks = vec![Interface { addr, ..network }];
        Voice { networks, ..Voice::new(Group::V4, None) }.is_near(ip.parse().unwrap())
    }

    #[test]
    fn only_who_is_on_the_same_network_is_near() {
        for (ours, prefix, ip) in [
            ("192.168.1.5", 24, "192.168.1.77"),
            ("10.0.0.1", 8, "10.200.0.1"),
            ("2001:db8:1::5", 64, "2001:db8:1::77"),
            ("2001:db8:1::5", 64, "fe80::1"),
        ] {
            assert!(near(ours, prefix, ip), "{ip}");
        }
        for (ours, prefix, ip) in [
            ("192.168.1.5", 24, "192.168.2.77"),
            ("192.168.1.5", 24, "8.8.8.8"),
            ("192.168.1.5", 0, "8.8.8.8"),
            ("2001:db8:1::5", 64, "2001:db8:2::77"),
            ("2001:db8:1::5", 0, "2001:db8:2::77"),
            ("192.168.1.5", 24, "fe80::1"),
        ] {
            assert!(!near(ours, prefix, ip), "{ip}");
        }
    }

    /// Two that speak on loopback alone; whoever else does so there seeks another torrent.
    #[tokio::test]
    async fn neighbours_find_each_other() {
        let mut rng = system_rng();
        let mut torrent = [0; 20];
        rng.fill(&mut torrent);
        let mut ends = Vec::new();
        for port in [7001, 7002] {
            let (asks, asked) = mpsc::unbounded_channel();
            let (told, found) = mpsc::channel(4);
            tokio::spawn(lsd_task(
                Lsd::new(port, &mut rng),
                Some(Bind::Address(Ipv4Addr::LOCALHOST.into())),
                asked,
                told,
            ));
            asks.send(Ask::Seek(torrent, Part::default())).unwrap();
            ends.push((asks, found));
        }
        let (_, found) = &mut ends[0];
        let Some(Met::Neighbour { info_hash, addr }) = found.recv().await else { panic!("nobody is found") };
        assert_eq!((info_hash, addr), (torrent, SocketAddr::from((Ipv4Addr::LOCALHOST, 7002))));
    }
}
