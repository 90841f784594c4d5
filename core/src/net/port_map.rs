//! The peer port at the router: asks for a mapping, keeps it, and gives it back.
//!
//! A router of a home or an office lets nobody in until somebody inside has asked it to. It is asked by PCP and NAT-PMP
//! at once, and by UPnP where it answers neither; TCP and UDP are mapped to one port outside, since everybody is told
//! of one. Nothing is asked where our own address is public, or where there is no way out.
//!
//! A mapping is for an hour and renewed well before, so that a router that was started anew has it again soon and one
//! that we left without a word forgets it. A router that does not answer is asked again soon, as it may just be
//! starting, and then ever more seldom, down to once in half an hour; in between nothing is done but that once a minute
//! the system is asked for our own address: with another one comes another router.
//!
//! Law: of each protocol at most one mapping is held, and what is held is given back at the end. What the router says
//! is a stranger's claim and decides nothing but which port others are told and what the owner reads.
//! Source: UPnP-IGD 1 and 2 (`igd-next`), RFC 6886 and 6887 (`crab_nat`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use crab_nat::pcp::BaseMapRequest;
use crab_nat::{InternetProtocol, PortMapping, PortMappingOptions, PortMappingType, TimeoutConfig, natpmp, pcp};
use igd_next::aio::Gateway;
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{AddPortError, PortMappingProtocol, SearchOptions};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::engine::with_causes;
use super::route::address_towards;
use super::system_rng;
use crate::tracker::Scope;

/// For how long a mapping is asked.
const LEASE: Duration = Duration::from_hours(1);
/// After so long it is asked for again.
const RENEW: Duration = Duration::from_mins(20);
/// After so long whoever did not answer or refused is asked again; each time after twice as long, at most after
/// [`LAST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_secs(15);
const LAST_RETRY: Duration = Duration::from_mins(30);
/// How often our own address is looked at.
const LOOK: Duration = Duration::from_mins(1);
/// How long a router may take to answer a search. Its own limit is three seconds, which we ask for.
const SEARCH: Duration = Duration::from_secs(4);
/// How long it may take to give a mapping back at the end.
const GOODBYE: Duration = Duration::from_secs(2);
/// How PCP and NAT-PMP wait: three datagrams in 1.75 seconds.
const PATIENCE: TimeoutConfig =
    TimeoutConfig { initial_timeout: Duration::from_millis(250), max_retries: 2, max_retry_timeout: None };
/// How many ports outside are tried where others have the first.
const PORTS: usize = 4;
/// What a router's owner reads in its list.
const DESCRIPTION: &str = "Podswarm";

/// How a router was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MapProtocol {
    /// UPnP-IGD.
    #[serde(rename = "UPnP")]
    Upnp,
    /// RFC 6886.
    #[serde(rename = "NAT-PMP")]
    NatPmp,
    /// RFC 6887.
    #[serde(rename = "PCP")]
    Pcp,
}

impl fmt::Display for MapProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Upnp => "UPnP",
            Self::NatPmp => "NAT-PMP",
            Self::Pcp => "PCP",
        })
    }
}

/// How the peer port stands at the router.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PortMap {
    /// The owner wants no router asked.
    #[default]
    Off,
    /// The router is being asked.
    Asking,
    /// No router is asked, as our own address is public.
    Public {
        /// Our own address.
        ip: IpAddr,
    },
    /// There is no way out over IPv4.
    NoNetwork,
    /// No router answers.
    NoRouter,
    /// A router answers, and will not.
    Refused {
        /// How it was asked.
        by: MapProtocol,
        /// What it said.
        reason: String,
    },
    /// The port is mapped.
    Mapped {
        /// How the router was asked.
        by: MapProtocol,
        /// Where it lets others in. An address that is not public is that of another router behind which ours is.
        addr: SocketAddr,
        /// Whether UDP is mapped, too.
        udp: bool,
    },
}

impl PortMap {
    /// Where the router lets others in, if it does.
    pub const fn addr(&self) -> Option<SocketAddr> {
        if let Self::Mapped { addr, .. } = self { Some(*addr) } else { None }
    }
}

/// What a mapping needs to be made.
#[derive(Clone, Copy, Debug)]
struct Place {
    ours: Ipv4Addr,
    port: NonZeroU16,
}

/// A mapping.
#[derive(Debug)]
enum Held {
    /// By PCP or NAT-PMP.
    Asked { tcp: Box<PortMapping>, udp: Option<Box<PortMapping>>, external: IpAddr },
    /// By UPnP.
    Upnp { gateway: Box<Gateway<Tokio>>, external: SocketAddr, udp: bool },
}

/// Why there is none.
#[derive(Debug)]
enum Refusal {
    NoRouter,
    Refused(MapProtocol, String),
}

/// Keeps `port`, TCP and UDP, mapped at the router until `stop`, for the address `bind`, or for the one that leads out:
/// how it stands, and the work itself, which ends when the router has been told of the end.
pub fn map_port(
    port: u16,
    bind: Option<IpAddr>,
    stop: CancellationToken,
) -> (watch::Receiver<PortMap>, impl Future<Output = ()> + Send + 'static) {
    let (tell, told) = watch::channel(PortMap::Asking);
    (told, port_map_task(port, bind, tell, stop))
}

/// Keeps `port` mapped for the address `bind`, or for the one that leads out, and tells how it stands, until `stop`.
pub(crate) async fn port_map_task(
    port: u16,
    bind: Option<IpAddr>,
    told: watch::Sender<PortMap>,
    stop: CancellationToken,
) {
    let Some(port) = NonZeroU16::new(port) else { return };
    let (mut held, mut retry) = (None, FIRST_RETRY);
    loop {
        let ours = own_address(bind);
        let asked = async {
            match ours {
                None => PortMap::NoNetwork,
                Some(ours) if Scope::of(ours.into()) == Scope::Public => PortMap::Public { ip: ours.into() },
                Some(ours) => keep(Place { ours, port }, &mut held).await,
            }
        };
        let Some(state) = stop.run_until_cancelled(asked).await else { break };
        if told.send_if_modified(|old| std::mem::replace(old, state.clone()) != state) {
            tracing::info!(?state, "the peer port at the router");
        }
        let wait = held.as_ref().map_or(retry, Held::renew_after);
        retry = if held.is_some() { FIRST_RETRY } else { LAST_RETRY.min(2 * retry) };
        let again = Instant::now() + wait;
        while Instant::now() < again && own_address(bind) == ours {
            let look = tokio::time::sleep_until(again.min(Instant::now() + LOOK));
            if stop.run_until_cancelled(look).await.is_none() {
                break;
            }
        }
        if stop.is_cancelled() {
            break;
        }
        if own_address(bind) != ours {
            // The old router cannot be reached any more, or has forgotten us.
            (held, retry) = (None, FIRST_RETRY);
        }
    }
    if let Some(held) = held
        && tokio::time::timeout(GOODBYE, held.give_back()).await.is_err()
    {
        tracing::debug!("the router does not answer at the end");
    }
}

/// Our own address on the way out; `None` if there is no way over IPv4.
///
/// Nothing is sent.
pub(super) fn own_address(bind: Option<IpAddr>) -> Option<Ipv4Addr> {
    let ip = match bind.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V6(_)) => return None,
        Some(IpAddr::V4(ip)) => ip,
        None => {
            // An address for examples, which is everybody's default route (RFC 5737).
            let IpAddr::V4(ip) = address_towards(Ipv4Addr::new(192, 0, 2, 1).into())? else { return None };
            ip
        }
    };
    matches!(Scope::of(ip.into()), Scope::Public | Scope::Private).then_some(ip)
}

/// The router that leads out, as far as the system knows one.
async fn default_gateway() -> Option<Ipv4Addr> {
    let asked = tokio::task::spawn_blocking(netdev::get_default_gateway).await;
    asked.ok()?.ok()?.ipv4.first().copied()
}

/// Renews the mapping, or makes one.
async fn keep(place: Place, held: &mut Option<Held>) -> PortMap {
    if let Some(mapping) = held
        && mapping.renew(place).await.is_ok()
    {
        return mapping.state();
    }
    *held = None;
    match ask(place).await {
        Ok(mapping) => held.insert(mapping).state(),
        Err(Refusal::NoRouter) => PortMap::NoRouter,
        Err(Refusal::Refused(by, reason)) => PortMap::Refused { by, reason },
    }
}

/// Asks by all protocols at once; of those that work the lightest is used.
async fn ask(place: Place) -> Result<Held, Refusal> {
    let mut options = SearchOptions::default();
    (options.bind_addr, options.timeout) = ((place.ours, 0).into(), Some(SEARCH));
    let search = tokio::spawn(search_gateway(options));
    let asked = match default_gateway().await {
        Some(gateway) => ask_gateway(gateway, place).await,
        None => Err(Refusal::NoRouter),
    };
    let refusal = match asked {
        Ok(held) => {
            search.abort();
            return Ok(held);
        }
        Err(refusal) => refusal,
    };
    match search.await {
        Ok(Ok(gateway)) => ask_upnp(gateway, place).await,
        // What was refused says more than silence.
        _ => Err(refusal),
    }
}

/// Asks by PCP and NAT-PMP.
async fn ask_gateway(gateway: Ipv4Addr, place: Place) -> Result<Held, Refusal> {
    let by_pcp = pcp::port_mapping(request(gateway, place, InternetProtocol::Tcp), None, None, wish(place.port));
    let (by_pcp, external) =
        tokio::join!(by_pcp, natpmp::external_address(IpAddr::from(gateway).into(), Some(PATIENCE)));
    match (by_pcp, external) {
        (Ok(tcp), _) => {
            let udp = request(gateway, place, InternetProtocol::Udp);
            let udp = pcp::port_mapping(udp, None, None, wish(tcp.external_port())).await.ok();
            let PortMappingType::Pcp { external_ip, .. } = tcp.mapping_type() else { return Err(Refusal::NoRouter) };
            Ok(Held::asked(tcp, udp, external_ip).await)
        }
        (Err(_), Ok(external)) => {
            let map = |protocol, wanted| {
                natpmp::port_mapping(IpAddr::from(gateway).into(), protocol, place.port, wish(wanted))
            };
            let refused = |error| Refusal::Refused(MapProtocol::NatPmp, with_causes(&error));
            let tcp = map(InternetProtocol::Tcp, place.port).await.map_err(refused)?;
            let udp = map(InternetProtocol::Udp, tcp.external_port()).await.ok();
            Ok(Held::asked(tcp, udp, external.into()).await)
        }
        (Err(pcp::Failure::Timeout | pcp::Failure::Socket(_) | pcp::Failure::UnsupportedVersion(_)), Err(_)) => {
            Err(Refusal::NoRouter)
        }
        (Err(error), Err(_)) => Err(Refusal::Refused(MapProtocol::Pcp, with_causes(&error))),
    }
}

fn request(gateway: Ipv4Addr, place: Place, protocol: InternetProtocol) -> BaseMapRequest {
    BaseMapRequest::new(IpAddr::from(gateway).into(), place.ours.into(), protocol, place.port)
}

fn wish(external_port: NonZeroU16) -> PortMappingOptions {
    PortMappingOptions {
        external_port: Some(external_port),
        lifetime_seconds: u32::try_from(LEASE.as_secs()).ok(),
        timeout_config: Some(PATIENCE),
    }
}

/// Asks a router that was found by UPnP.
async fn ask_upnp(gateway: Gateway<Tokio>, place: Place) -> Result<Held, Refusal> {
    let refused = |reason| Refusal::Refused(MapProtocol::Upnp, reason);
    let ip = gateway.get_external_ip().await.map_err(|error| refused(with_causes(&error)))?;
    let mut rng = system_rng();
    let mut port = place.port.get();
    let mut reason = String::new();
    for _ in 0..PORTS {
        match add_upnp(&gateway, PortMappingProtocol::TCP, port, place).await {
            Ok(()) => {
                let udp = add_upnp(&gateway, PortMappingProtocol::UDP, port, place).await.is_ok();
                let external = SocketAddr::new(ip, port);
                return Ok(Held::Upnp { gateway: Box::new(gateway), external, udp });
            }
            Err(error) => reason = with_causes(&error),
        }
        // Somebody else inside has this one; some routers say so in other words.
        port = u16::try_from(49_152 + rng.below(16_384)).unwrap_or(port);
    }
    Err(refused(reason))
}

/// Maps one port by UPnP; for ever if the router knows nothing else.
async fn add_upnp(
    gateway: &Gateway<Tokio>,
    protocol: PortMappingProtocol,
    external: u16,
    place: Place,
) -> Result<(), AddPortError> {
    let inner = SocketAddr::from((place.ours, place.port.get()));
    let lease = u32::try_from(LEASE.as_secs()).unwrap_or(0);
    match gateway.add_port(protocol, external, inner, lease, DESCRIPTION).await {
        Err(AddPortError::OnlyPermanentLeasesSupported) => {
            gateway.add_port(protocol, external, inner, 0, DESCRIPTION).await
        }
        answer => answer,
    }
}

impl Held {
    /// A mapping by PCP or NAT-PMP. One for UDP at another port is of no use and given back.
    async fn asked(tcp: PortMapping, udp: Option<PortMapping>, external: IpAddr) -> Self {
        let udp = match udp {
            Some(udp) if udp.external_port() != tcp.external_port() => {
                let _ = udp.try_drop().await;
                None
            }
            udp => udp,
        };
        Self::Asked { tcp: Box::new(tcp), udp: udp.map(Box::new), external }
    }

    fn state(&self) -> PortMap {
        match self {
            Self::Asked { tcp, udp, external } => {
                let is_pcp = matches!(tcp.mapping_type(), PortMappingType::Pcp { .. });
                let by = if is_pcp { MapProtocol::Pcp } else { MapProtocol::NatPmp };
                let addr = SocketAddr::new(external.to_canonical(), tcp.external_port().get());
                PortMap::Mapped { by, addr, udp: udp.is_some() }
            }
            Self::Upnp { external, udp, .. } => PortMap::Mapped { by: MapProtocol::Upnp, addr: *external, udp: *udp },
        }
    }

    fn renew_after(&self) -> Duration {
        let lease = match self {
            Self::Asked { tcp, .. } => Duration::from_secs(tcp.lifetime().into()),
            Self::Upnp { .. } => LEASE,
        };
        // A router may grant less than it was asked for; never is it asked without pause.
        RENEW.min(lease / 2).max(LOOK)
    }

    /// Asks for the same again. `Err` if the router will not.
    async fn renew(&mut self, place: Place) -> Result<(), ()> {
        match self {
            Self::Asked { tcp, udp, external } => {
                tcp.renew().await.map_err(drop)?;
                *external = match tcp.mapping_type() {
                    PortMappingType::Pcp { external_ip, .. } => external_ip,
                    PortMappingType::NatPmp => {
                        natpmp::external_address(tcp.gateway(), Some(PATIENCE)).await.map_err(drop)?.into()
                    }
                };
                if let Some(mapping) = udp
                    && mapping.renew().await.is_err()
                {
                    *udp = None;
                }
            }
            Self::Upnp { gateway, external, udp } => {
                let (ip, port) = (gateway.get_external_ip().await.map_err(drop)?, external.port());
                add_upnp(gateway, PortMappingProtocol::TCP, port, place).await.map_err(drop)?;
                *udp = add_upnp(gateway, PortMappingProtocol::UDP, port, place).await.is_ok();
                external.set_ip(ip);
            }
        }
        Ok(())
    }

    /// Lets the router forget it.
    async fn give_back(self) {
        match self {
            Self::Asked { tcp, udp, .. } => {
                for mapping in [Some(tcp), udp].into_iter().flatten() {
                    if let Err((error, _)) = mapping.try_drop().await {
                        tracing::debug!(%error, "a mapping is not given back");
                    }
                }
            }
            Self::Upnp { gateway, external, udp } => {
                let udp = udp.then_some(PortMappingProtocol::UDP);
                for protocol in [Some(PortMappingProtocol::TCP), udp].into_iter().flatten() {
                    if let Err(error) = gateway.remove_port(protocol, external.port()).await {
                        tracing::debug!(%error, "a mapping is not given back");
                    }
                }
            }
        }
    }
}
