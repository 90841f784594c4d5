//! Whether listeners outside the house reach this publisher: a verdict, what speaks for it, and what mends it.
//!
//! What a router says is a claim, and somebody who comes in from outside is a proof; an agent there can be asked to
//! come: `witnesses` says whom and what that proves, `outside` asks them. A public URL that means nothing outside is a
//! fault however open the ports are: it stands in every feed.
//!
//! Laws: where nothing is known, that is the verdict. What an agent only tells takes away no proof.

mod outside;
mod witnesses;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use podswarm_core::app::human_duration;
use podswarm_core::net::{PortMap, Reached};
use podswarm_core::tracker::Scope;
use serde::{Deserialize, Serialize};
use url::Host;
use utoipa::ToSchema;

use crate::urls::Urls;

pub(crate) use outside::{Chosen, Outside, Seat};
pub(crate) use witnesses::{Findings, LIFE, Refusal, Shown};

/// From where the publisher is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// From everywhere.
    Public,
    /// From the own house alone.
    HouseOnly,
    /// Nothing says.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "PUBLIC",
            Self::HouseOnly => "HOUSE ONLY",
            Self::Unknown => "UNKNOWN",
        })
    }
}

/// The verdict with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Reach {
    /// From where.
    pub(crate) verdict: Verdict,
    /// What speaks for it.
    pub(crate) why: String,
    /// What the owner can do, the most useful first.
    pub(crate) mends: Vec<String>,
    /// Whether more will be known in a moment: the router is being asked, or agents outside are.
    pub(crate) is_asking: bool,
}

impl Reach {
    fn new(verdict: Verdict, why: impl Into<String>) -> Self {
        Self { verdict, why: why.into(), mends: Vec::new(), is_asking: false }
    }

    fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mends.push(mend.into());
        self
    }

    /// What stands where nothing is served.
    pub(crate) fn nobody() -> Self {
        Self::new(Verdict::Unknown, "nothing is served").mend("start with `podpub serve`")
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.verdict, self.why)
    }
}

/// What is known of the ways in.
#[derive(Debug)]
pub(crate) struct Ways<'a> {
    /// The addresses that are told.
    pub(crate) urls: &'a Urls,
    /// The addresses of the public URL's host, as far as it was found.
    pub(crate) hosts: &'a [IpAddr],
    /// Where listeners are awaited: over https if that is served, else over http.
    pub(crate) listen: SocketAddr,
    /// How that port stands at the router.
    pub(crate) port_map: &'a PortMap,
    /// Whether somebody has come in from outside.
    pub(crate) came_in: bool,
    /// Whether a reverse proxy stands before us.
    pub(crate) has_proxy: bool,
    /// How the port for peers stands.
    pub(crate) peers: &'a Reached,
    /// Which port that is; `None` if nobody can dial us.
    pub(crate) peer_port: Option<u16>,
    /// What came of asking agents outside to connect back.
    pub(crate) outside: &'a Findings,
}

impl Ways<'_> {
    /// The verdict.
    pub(crate) fn judge(&self) -> Reach {
        let mut reach = self.of_the_door();
        reach.is_asking = *self.port_map == PortMap::Asking || self.outside.is_open;
        if reach.verdict != Verdict::HouseOnly && self.is_changing() {
            reach = reach.mend(
                "an address of a home line changes: have a name follow it (dynamic DNS), and give that as --public-url",
            );
        }
        if self.urls.base().scheme() == "http" {
            reach = reach.mend(
                "Apple and other directories want https: `podpub serve --acme DOMAIN`, or --tls-cert with a certificate",
            );
        }
        match reach.verdict {
            Verdict::HouseOnly => reach,
            _ if !self.outside.shut.is_empty() => reach.mend(self.shut()),
            Verdict::Public if self.peers.is_reached == Some(false) => {
                reach.mend(format!("peers outside cannot dial us: {}", self.peers.text))
            }
            _ => reach,
        }
    }

    /// What agents outside say of the port for peers, none of whom got in there.
    fn shut(&self) -> String {
        let who = match self.outside.shut_out {
            1 => "an agent outside was".to_owned(),
            many => format!("{many} agents outside were"),
        };
        let at: Vec<_> = self.outside.shut.iter().map(|tried| format!("{} ({})", tried.addr, tried.outcome)).collect();
        let port = self.peer_port.unwrap_or_default();
        let again = self.outside.again.map(|wait| format!("; it can be asked again in {}", human_duration(wait)));
        format!(
            "{who} not let in at the port for peers, {}: open port {port}, TCP and UDP, at the router and at any \
             firewall{}",
            at.join(", "),
            again.unwrap_or_default()
        )
    }

    /// The verdict where somebody has come in: who came back when he was asked has proven more.
    fn proven(&self) -> Reach {
        let Findings { asked, came, is_open, feed, peers, .. } = self.outside;
        let (url, port) = (self.urls.base(), self.listen.port());
        let why = match (feed, peers) {
            (None, _) => match self.outside.again.filter(|_| *asked == Some(0)) {
                None => "somebody from outside has come in".to_owned(),
                Some(wait) => format!(
                    "somebody from outside has come in; agents there can be asked to connect back in {}",
                    human_duration(wait)
                ),
            },
            (Some(feed), None) => format!("an agent outside connected back to {url} {}", ago(*feed)),
            (Some(feed), Some(peers)) => {
                let port = self.peer_port.unwrap_or_default();
                let when = match (ago(*feed), ago(*peers)) {
                    (feed, peers) if feed == peers => format!("and to the port for peers, {port}, {feed}"),
                    (feed, peers) => format!("{feed}, and to the port for peers, {port}, {peers}"),
                };
                format!("an agent outside connected back to {url} {when}")
            }
        };
        match asked {
            Some(1) if *came == 0 && !is_open => {
                Reach::new(Verdict::Public, format!("{why}; but the one that was asked last to connect back did not"))
                    .mend(still_open(port))
            }
            Some(asked @ 2..) if *came == 0 && !is_open => Reach::new(
                Verdict::Public,
                format!("{why}; but of {asked} that were asked last to connect back none did"),
            )
            .mend(still_open(port)),
            _ => Reach::new(Verdict::Public, why),
        }
    }

    /// From where the port for listeners is reached under the public URL.
    fn of_the_door(&self) -> Reach {
        let (url, port) = (self.urls.base(), self.listen.port());
        let is_public = |ip: &IpAddr| Scope::of(*ip) == Scope::Public;
        if self.listen.ip().is_loopback() && !self.has_proxy {
            return Reach::new(Verdict::HouseOnly, format!("it listens at {} alone, for this machine", self.listen))
                .mend(format!(
                    "`podpub serve --listen {port}`, or name the reverse proxy before it with --trusted-proxy"
                ));
        }
        if self.hosts.is_empty() {
            return Reach::new(Verdict::HouseOnly, format!("feeds name {url}, whose host is not found"))
                .mend("have the name lead here, or give another address with --public-url");
        }
        let public: Vec<_> = self.hosts.iter().filter(|ip| is_public(ip)).collect();
        if public.is_empty() {
            return self.behind(Reach::new(
                Verdict::HouseOnly,
                format!("feeds name {url}, which means nothing outside your house"),
            ));
        }
        if self.came_in || self.outside.feed.is_some() {
            return self.proven();
        }
        let yet = match self.outside.asked {
            Some(0) => "nobody from outside has come in yet, and no agent outside could be asked to connect back",
            _ => "nobody from outside has come in yet",
        };
        match self.port_map {
            PortMap::Public { ip } if public.contains(&ip) => {
                Reach::new(Verdict::Public, format!("this machine's own address {ip} is public; {yet}"))
                    .mend(format!("where a firewall is before it, open port {port}"))
            }
            PortMap::Mapped { by, addr, .. } if public.contains(&&addr.ip()) => {
                if url.port_or_known_default() == Some(addr.port()) {
                    return Reach::new(Verdict::Public, format!("the router lets others in at {addr} ({by}); {yet}"));
                }
                let told = url.port_or_known_default().unwrap_or_default();
                Reach::new(Verdict::Unknown, format!("feeds name port {told}, and the router lets others in at {addr}"))
                    .mend(format!("forward port {told} to port {port} of this machine by hand"))
            }
            PortMap::Public { ip } if !self.has_proxy => self.astray(*ip),
            PortMap::Mapped { addr, .. } if is_public(&addr.ip()) && !self.has_proxy => self.astray(addr.ip()),
            _ => self.behind(Reach::new(Verdict::Unknown, yet)),
        }
    }

    /// The verdict where the public URL leads to another house than that with the address `own`.
    fn astray(&self, own: IpAddr) -> Reach {
        let led = self.hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let why = format!("feeds name {}, which leads to {led}; our address outside is {own}", self.urls.base());
        let way_out = match self.urls.host() {
            Host::Domain(name) => format!("have {name} lead to {own}; where that changes, by dynamic DNS"),
            _ => format!("give an address that leads here: `podpub serve --public-url {}`", self.url_at(own)),
        };
        Reach::new(Verdict::HouseOnly, why)
            .mend(way_out)
            .mend("where a reverse proxy stands there, name it with --trusted-proxy")
    }

    /// `reach` with what the router says of it, and what helps.
    fn behind(&self, reach: Reach) -> Reach {
        let port = self.listen.port();
        let url = self.urls.base();
        let by_hand = format!(
            "forward port {port} (TCP, and UDP for the tracker) to this machine at the router, and give \
             --public-url http://YOUR_ADDRESS:{port}"
        );
        let provider = "ask the provider for a public IPv4 address, or serve from a rented machine or by `podpub export \
                        --site`";
        match self.port_map {
            PortMap::Public { ip } => reach.mend(format!("`podpub serve --public-url {}`", self.url_at(*ip))),
            PortMap::Mapped { addr, by, .. } => match addr.ip() {
                ip if Scope::of(ip) == Scope::Public => {
                    reach.mend(format!("the router lets others in ({by}): `podpub serve --public-url http://{addr}`"))
                }
                IpAddr::V4(ip) if ip.octets()[0] == 100 => Reach::new(
                    Verdict::HouseOnly,
                    format!("the router's own address {ip} is shared by customers of the provider (CGNAT)"),
                )
                .mend(provider),
                ip => Reach::new(
                    Verdict::HouseOnly,
                    format!("the router's own address {ip} is private: there is a second router outside"),
                )
                .mend(format!(
                    "have the outer router forward port {} to {ip}, or make the inner one a bridge",
                    addr.port()
                )),
            },
            PortMap::Refused { by, reason } => {
                Reach { why: format!("{}; the router refuses over {by} ({reason})", reach.why), ..reach }.mend(by_hand)
            }
            PortMap::NoRouter => {
                Reach { why: format!("{}; no router answers over UPnP, NAT-PMP or PCP", reach.why), ..reach }
                    .mend(by_hand)
            }
            PortMap::NoNetwork => {
                Reach { why: format!("{}; there is no way out over IPv4", reach.why), ..reach }.mend(provider)
            }
            PortMap::Asking => Reach { why: format!("{}; the router is being asked", reach.why), ..reach },
            PortMap::Off if self.has_proxy => reach.mend(format!("ask for {url} from outside the house")),
            PortMap::Off => {
                Reach { why: format!("{}; no router was asked, as the settings want it", reach.why), ..reach }
                    .mend(by_hand)
            }
        }
    }

    /// The address at which listeners would ask at `ip`.
    fn url_at(&self, ip: IpAddr) -> String {
        format!("{}://{}", self.urls.base().scheme(), SocketAddr::new(ip, self.listen.port()))
    }

    /// Whether the public URL names an address that a router has, which is seldom for ever.
    fn is_changing(&self) -> bool {
        let is_address = !matches!(self.urls.host(), Host::Domain(_));
        is_address && matches!(self.port_map, PortMap::Mapped { .. })
    }
}

/// What mends it if nobody comes back any more.
fn still_open(port: u16) -> String {
    format!("see whether the router still forwards port {port} to this machine, and whether the public URL leads here")
}

/// How long ago something was.
fn ago(time: Duration) -> String {
    if time < A_MOMENT { "a moment ago".to_owned() } else { format!("{} ago", human_duration(time)) }
}

/// What was less long ago has just been.
const A_MOMENT: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use podswarm_core::net::port_map::MapProtocol;
    use podswarm_core::witness::{Knocked, Tried};

    use super::*;

    fn mapped(addr: &str) -> PortMap {
        PortMap::Mapped { by: MapProtocol::Upnp, addr: addr.parse().unwrap(), udp: true }
    }

    /// What is said where feeds name `url`, whose host has the addresses `hosts`.
    fn judge(url: &str, hosts: &[&str], port_map: &PortMap, came_in: bool) -> Reach {
        let urls = Urls::parse(url).unwrap();
        let hosts: Vec<IpAddr> = hosts.iter().map(|ip| ip.parse().unwrap()).collect();
        let listen = "0.0.0.0:6969".parse().unwrap();
        let peers = Reached::default();
        let ways = Ways { urls: &urls, hosts: &hosts, listen, port_map, came_in, ..nowhere(&urls, &peers) };
        ways.judge()
    }

    /// Of the ways in nothing is known.
    fn nowhere<'a>(urls: &'a Urls, peers: &'a Reached) -> Ways<'a> {
        const NOTHING: &Findings = &Findings {
            asked: None,
            came: 0,
            is_open: false,
            feed: None,
            peers: None,
            shut: Vec::new(),
            shut_out: 0,
            again: None,
        };
        Ways {
            urls,
            hosts: &[],
            listen: "0.0.0.0:6969".parse().unwrap(),
            port_map: &PortMap::Off,
            came_in: false,
            has_proxy: false,
            peers,
            peer_port: Some(6881),
            outside: NOTHING,
        }
    }

    /// What is said where this came of asking agents outside.
    fn judge_found(came_in: bool, outside: &Findings) -> Reach {
        let (urls, hosts) = (Urls::parse("https://pods.example").unwrap(), ["198.18.0.1".parse().unwrap()]);
        let peers = Reached::default();
        Ways { hosts: &hosts, came_in, outside, ..nowhere(&urls, &peers) }.judge()
    }

    #[test]
    fn who_connects_back_proves_it_and_who_does_not_disproves_nothing() {
        let at = |secs| Some(Duration::from_secs(secs));
        let shut = vec![Tried { addr: "198.18.0.1:6881".parse().unwrap(), outcome: Knocked::Silent }];
        let found = Findings { asked: Some(3), ..Findings::default() };
        for (came_in, found, verdict, says) in [
            (false, Findings { asked: Some(0), ..found.clone() }, Verdict::Unknown, "no agent outside could be asked"),
            (true, found.clone(), Verdict::Public, "come in; but of 3 that were asked last to connect back none did"),
            (true, Findings { asked: Some(1), ..found.clone() }, Verdict::Public, "the one that was asked last"),
            (true, Findings { is_open: true, ..found.clone() }, Verdict::Public, "somebody from outside has come in"),
            (true, found.clone(), Verdict::Public, "see whether the router still forwards port 6969"),
            (
                true,
                Findings { asked: Some(0), again: at(70), ..found.clone() },
                Verdict::Public,
                "come in; agents there can be asked to connect back in 1 min 10 s",
            ),
            (
                false,
                Findings { came: 1, feed: at(1), ..found.clone() },
                Verdict::Public,
                "an agent outside connected back to https://pods.example/ a moment ago",
            ),
            (
                true,
                Findings { came: 3, feed: at(200), peers: at(200), ..found.clone() },
                Verdict::Public,
                "to https://pods.example/ and to the port for peers, 6881, 3 min 20 s ago",
            ),
            (
                true,
                Findings { came: 3, feed: at(1), peers: at(200), ..found.clone() },
                Verdict::Public,
                "a moment ago, and to the port for peers, 6881, 3 min 20 s ago",
            ),
            (
                true,
                Findings { came: 1, feed: at(1), shut: shut.clone(), shut_out: 1, ..found.clone() },
                Verdict::Public,
                "an agent outside was not let in at the port for peers, 198.18.0.1:6881 (no answer): open port 6881",
            ),
            (
                true,
                Findings { came: 2, feed: at(1), shut, shut_out: 2, again: at(70), ..found },
                Verdict::Public,
                "2 agents outside were not let in",
            ),
        ] {
            let reach = judge_found(came_in, &found);
            assert_eq!((reach.verdict, reach.is_asking), (verdict, found.is_open), "{reach:?}");
            let told = format!("{reach} {}", reach.mends.join(" "));
            assert!(told.contains(says), "{says}: {told}");
            assert_eq!(told.contains(" in 1 min 10 s"), found.again.is_some(), "{told}");
        }
    }

    #[test]
    fn each_house_gets_its_verdict_and_its_mend() {
        use Verdict::{HouseOnly, Public, Unknown};
        let refused = PortMap::Refused { by: MapProtocol::Pcp, reason: "Not authorized".to_owned() };
        let own = PortMap::Public { ip: "198.18.0.1".parse().unwrap() };
        let home = ("http://192.168.1.5:6969", ["192.168.1.5"]);
        let out = ("http://198.18.0.1:6969", ["198.18.0.1"]);
        for (at, port_map, came_in, verdict, says) in [
            (home, PortMap::NoRouter, false, HouseOnly, "forward port 6969"),
            (home, PortMap::Off, true, HouseOnly, "means nothing outside"),
            (home, refused.clone(), false, HouseOnly, "refuses over PCP (Not authorized)"),
            (home, mapped("198.18.0.1:6969"), false, HouseOnly, "--public-url http://198.18.0.1:6969"),
            (home, mapped("100.64.0.7:6969"), false, HouseOnly, "CGNAT"),
            (home, mapped("10.0.0.7:6969"), false, HouseOnly, "second router"),
            (home, PortMap::Asking, false, HouseOnly, "being asked"),
            (out, PortMap::Off, false, Unknown, "nobody from outside"),
            (out, PortMap::Off, true, Public, "somebody from outside"),
            (out, PortMap::NoRouter, false, Unknown, "no router answers"),
            (out, refused, false, Unknown, "refuses over PCP"),
            (out, mapped("198.18.0.1:6969"), false, Public, "lets others in at 198.18.0.1:6969 (UPnP)"),
            (out, mapped("198.18.0.1:6969"), false, Public, "dynamic DNS"),
            (out, mapped("198.18.0.1:7000"), false, Unknown, "forward port 6969 to port 6969"),
            (out, mapped("198.18.0.9:6969"), false, HouseOnly, "our address outside is 198.18.0.9"),
            (out, mapped("100.64.0.7:6969"), false, HouseOnly, "CGNAT"),
            (out, own, false, Public, "own address 198.18.0.1 is public"),
            (out, PortMap::Public { ip: "198.18.0.2".parse().unwrap() }, false, HouseOnly, "leads to 198.18.0.1"),
        ] {
            let reach = judge(at.0, &at.1, &port_map, came_in);
            assert_eq!(reach.verdict, verdict, "{at:?} {port_map:?}: {reach:?}");
            assert!(
                reach.why.contains(says) || reach.mends.iter().any(|mend| mend.contains(says)),
                "{says}: {reach:?}"
            );
            assert_eq!(reach.is_asking, port_map == PortMap::Asking);
        }
    }

    #[test]
    fn a_name_that_is_not_found_or_leads_elsewhere_is_told() {
        let lost = judge("https://pods.example", &[], &PortMap::Off, false);
        assert_eq!((lost.verdict, lost.mends.len()), (Verdict::HouseOnly, 1), "{lost:?}");
        let astray = judge("https://pods.example", &["198.18.0.1"], &mapped("198.18.0.2:443"), false);
        assert_eq!(astray.verdict, Verdict::HouseOnly, "{astray:?}");
        assert!(astray.mends[0].contains("have pods.example lead to 198.18.0.2"), "{astray:?}");
    }

    #[test]
    fn http_and_peers_that_cannot_dial_are_told_where_all_else_is_well() {
        let peers = Reached { is_reached: Some(false), addr: None, text: "no: the router refuses".to_owned() };
        let (urls, hosts) = (Urls::parse("http://198.18.0.1:6969").unwrap(), ["198.18.0.1".parse().unwrap()]);
        let reach = Ways { hosts: &hosts, came_in: true, ..nowhere(&urls, &peers) }.judge();
        assert!(reach.mends.iter().any(|mend| mend.contains("--acme")), "{reach:?}");
        assert!(reach.mends.iter().any(|mend| mend.contains("the router refuses")), "{reach:?}");
    }

    #[test]
    fn a_port_of_this_machine_alone_is_open_to_nobody_but_a_proxy() {
        let (urls, hosts) = (Urls::parse("https://198.18.0.1").unwrap(), ["198.18.0.1".parse().unwrap()]);
        let (listen, peers) = ("127.0.0.1:6969".parse().unwrap(), Reached::default());
        let ways = |has_proxy, came_in| Ways { hosts: &hosts, listen, came_in, has_proxy, ..nowhere(&urls, &peers) };
        assert_eq!(ways(false, false).judge().verdict, Verdict::HouseOnly);
        assert_eq!(ways(true, false).judge().verdict, Verdict::Unknown);
        assert_eq!(ways(true, true).judge().verdict, Verdict::Public);
    }
}
