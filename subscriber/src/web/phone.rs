//! The listener for the phone: what is kept, to the house's network, for reading alone.
//!
//! It has feed, media, covers and chapters of the agent's web listener and nothing else of it, and a token of its own,
//! so that what stands on a phone opens nothing more. Where the owner wants it apps are kept in step, too, by a
//! password.
//!
//! Laws: only addresses of private networks and of those that this machine is in are answered; only under the
//! machine's address or its own name, so that no page that a browser was led here with can read anything; nothing
//! without the token.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use if_addrs::IfAddr;
use podswarm_core::app::{DataDir, Explain, Failure};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::gate::Gate;
use super::serve::{Asker, serve};
use super::sync::{self, Syncing};
use super::{Shelf, TRIED, Web, WebSite, carries_token, kept_routes, kept_token};
use crate::hub::HubHandle;

/// The port of the listener.
const DEFAULT_PORT: u16 = 6971;
/// The file in the data directory that keeps its token.
const TOKEN_FILE: &str = "phone-token";
/// What networks at home add to a machine's name.
const SUFFIXES: [&str; 6] = ["", ".local", ".lan", ".home", ".home.arpa", ".fritz.box"];

/// Where the listener is to be, as it was typed: `IP:PORT`, `IP` or `PORT`, in a private network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhoneAddr {
    ip: IpAddr,
    /// The default one, or one near it, if absent.
    port: Option<u16>,
}

impl PhoneAddr {
    /// All addresses of the machine, and the default port or one near it.
    pub const DEFAULT: Self = Self { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: None };

    /// This address and no other.
    pub const fn exactly(addr: SocketAddr) -> Self {
        Self { ip: addr.ip(), port: Some(addr.port()) }
    }
}

impl fmt::Display for PhoneAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.ip, port).fmt(f),
            None => self.ip.fmt(f),
        }
    }
}

impl FromStr for PhoneAddr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no address to listen on; want IP:PORT, an IP or a port");
        let addr = match (text.parse::<u16>(), text.parse::<SocketAddr>()) {
            (Ok(port), _) => Self { port: Some(port), ..Self::DEFAULT },
            (_, Ok(addr)) => Self::exactly(addr),
            _ => Self { ip: text.parse().map_err(|_| wrong())?, port: None },
        };
        if addr.ip.is_unspecified() || is_at_home(addr.ip) {
            Ok(addr)
        } else {
            Err(format!("`{text}` is no address of a private network; others could ask for what is kept here"))
        }
    }
}

/// The listener, open.
pub(crate) struct PhoneLine {
    addr: SocketAddr,
    site: WebSite,
    /// Who may keep an app in step.
    user: Option<String>,
    /// Closes it.
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl PhoneLine {
    /// Opens it, and serves what is on the shelf until it is dropped or `stop`.
    pub(crate) async fn open(
        wanted: PhoneAddr,
        dir: &DataDir,
        hub: HubHandle,
        stop: &CancellationToken,
    ) -> Result<Self, Failure> {
        let (first, last) = match wanted.port {
            Some(port) => (port, port),
            None => (DEFAULT_PORT, DEFAULT_PORT + TRIED - 1),
        };
        let token = kept_token(dir, TOKEN_FILE)?;
        let gate = Gate::of(dir)?;
        let mut refused = None;
        for port in first..=last {
            match TcpListener::bind((wanted.ip, port)).await {
                Ok(listener) => {
                    let addr = listener.local_addr().explain(|| "listen for the phone".to_owned())?;
                    let site = WebSite { addr, token: token.into(), door: None };
                    let mut routes = app(Arc::new(Web { shelf: Shelf::Agent(hub.clone()), site: site.clone() }));
                    let user = gate.as_ref().map(|gate| gate.user().to_owned());
                    if let Some(gate) = gate {
                        routes = routes.merge(sync::routes(Arc::new(Syncing { hub, gate, site: site.clone() })));
                    }
                    let stop = stop.child_token();
                    let task = tokio::spawn(serve(listener, routes, stop.clone()));
                    return Ok(Self { addr, site, user, stop, task });
                }
                Err(error) => refused = Some(error),
            }
        }
        let failure = Failure::new(format!("listen for the phone on {}", SocketAddr::new(wanted.ip, first)));
        let failure = failure.with_hint("give another address with --listen IP:PORT");
        Err(failure.because(refused.expect("every port was refused")))
    }

    /// Closes it; when this is over its port is free.
    pub(crate) async fn close(mut self) {
        self.stop.cancel();
        // One that broke down listens no longer.
        let _ = (&mut self.task).await;
    }

    /// Where it listens.
    pub(crate) const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The feed's address as the phone reaches it, with the token.
    pub(crate) fn url(&self) -> String {
        self.site.feed_url_at(&self.host())
    }

    /// What apps that are kept in step take for their server, and the user; `None` if none is.
    pub(crate) fn sync(&self) -> Option<(String, String)> {
        self.user.clone().map(|user| (format!("http://{}", self.host()), user))
    }

    fn host(&self) -> String {
        let ip = if self.addr.ip().is_unspecified() { own_address() } else { self.addr.ip() };
        SocketAddr::new(ip, self.addr.port()).to_string()
    }
}

impl Drop for PhoneLine {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Forgets the token, so that the next listener has another.
pub(crate) fn forget_token(dir: &DataDir) -> Result<(), Failure> {
    match std::fs::remove_file(dir.join(TOKEN_FILE)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::new("delete the phone's token").because(error))
        }
        _ => Ok(()),
    }
}

/// The machine's address in its network.
///
/// Nothing is sent: connecting a UDP socket only asks the routing table.
fn own_address() -> IpAddr {
    let asked = || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
        // An address for examples, which is everybody's default route (RFC 5737).
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    // A house need not have a way out.
    let any = || {
        let mut own = if_addrs::get_if_addrs().ok()?.into_iter().map(|interface| interface.ip());
        own.find(|ip| ip.is_ipv4() && !ip.is_loopback())
    };
    asked().or_else(any).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn app(web: Arc<Web>) -> Router {
    kept_routes().layer(from_fn_with_state(Arc::clone(&web), admit)).with_state(web)
}

async fn admit(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let asker = request.extensions().get::<Asker>().map(|asker| asker.0);
    match refusal(&web.site, &own_name(), asker, request.uri(), request.headers()) {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    }
}

/// Why a request is not let through.
fn refusal(
    site: &WebSite,
    own_name: &str,
    asker: Option<IpAddr>,
    uri: &Uri,
    headers: &HeaderMap,
) -> Option<&'static str> {
    let is_carried = || carries_token(site, uri, headers);
    strange(own_name, asker, headers).or_else(|| (!is_carried()).then_some("the token is not this agent's\n"))
}

/// Why a request is none that the house sends to this machine.
pub(super) fn not_of_the_house(asker: Option<IpAddr>, headers: &HeaderMap) -> Option<&'static str> {
    strange(&own_name(), asker, headers)
}

fn strange(own_name: &str, asker: Option<IpAddr>, headers: &HeaderMap) -> Option<&'static str> {
    if !asker.is_some_and(|asker| is_at_home(asker) || is_neighbour(asker)) {
        return Some("this is answered in the house's own network only\n");
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_own = is_own_host(host, own_name);
    (!is_own).then_some("this is answered under the machine's address and its own name only\n")
}

/// Whether a `Host` header names an address, or the machine by a name that it has at home.
fn is_own_host(host: &str, own_name: &str) -> bool {
    if host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok() {
        return true;
    }
    if let Some(bare) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return bare.parse::<Ipv6Addr>().is_ok();
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
    name == "localhost" || (!own_name.is_empty() && SUFFIXES.iter().any(|suffix| name == format!("{own_name}{suffix}")))
}

/// What the machine calls itself; empty where it does not say.
fn own_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().split('.').next().unwrap_or_default().to_ascii_lowercase()
}

/// Whether an address is one of a private network, or of this machine.
fn is_at_home(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Whether an address is of a network that one of our interfaces is in.
fn is_neighbour(ip: IpAddr) -> bool {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    interfaces.into_iter().any(|interface| match (interface.addr, ip.to_canonical()) {
        (IfAddr::V4(own), IpAddr::V4(ip)) => own.ip & own.netmask == ip & own.netmask,
        (IfAddr::V6(own), IpAddr::V6(ip)) => own.ip & own.netmask == ip & own.netmask,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(asker: &str, host: &str, token: &str, is_let_through: bool) {
        let site = WebSite { addr: "0.0.0.0:6971".parse().unwrap(), token: "f".repeat(64).into(), door: None };
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        let uri = format!("/feed.xml?token={token}").parse().unwrap();
        let refused = refusal(&site, "box", Some(asker.parse().unwrap()), &uri, &headers);
        assert_eq!(refused.is_none(), is_let_through, "{asker} {host} {token}: {refused:?}");
    }

    #[test]
    fn only_the_house_is_answered_and_only_with_the_token() {
        let token = "f".repeat(64);
        for asker in ["192.168.1.7", "10.1.2.3", "172.16.0.1", "127.0.0.1", "fd00::1", "fe80::1", "::ffff:192.168.1.7"]
        {
            check(asker, "192.168.1.5:6971", &token, true);
        }
        for asker in ["8.8.8.8", "100.64.0.1", "2001:db8::1", "198.18.0.1"] {
            check(asker, "192.168.1.5:6971", &token, false);
        }
        for host in ["192.168.1.5", "[fd00::5]:6971", "[fd00::5]", "box:6971", "box.local", "BOX.fritz.box:6971"] {
            check("192.168.1.7", host, &token, true);
        }
        for host in ["attacker.example:6971", "box.attacker.example", "", "box.local.attacker.example"] {
            check("192.168.1.7", host, &token, false);
        }
        check("192.168.1.7", "192.168.1.5", "", false);
        check("192.168.1.7", "192.168.1.5", &"e".repeat(64), false);
    }

    #[test]
    fn no_public_address_is_listened_on() {
        for text in ["6971", "0.0.0.0:0", "192.168.1.5", "192.168.1.5:80", "[::]:6971", "127.0.0.1:0"] {
            assert!(text.parse::<PhoneAddr>().is_ok(), "{text}");
        }
        for text in ["8.8.8.8", "8.8.8.8:80", "[2001:db8::1]:1", "box", "", "70000"] {
            assert!(text.parse::<PhoneAddr>().is_err(), "{text}");
        }
    }
}
