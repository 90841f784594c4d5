//! Where a request may go.
//!
//! Every URL is checked before it is fetched, also those that redirects name; names are resolved here, and addresses
//! out of reach are struck off before anything connects. So no trick with redirects, odd notations or names that
//! change their address reaches the owner's own network.
//!
//! Law: under [`Reach::Public`] no connection is ever attempted to an address that is not public.
//! Sources: CVE-2023-51697 and its kind; RFC 9110 §15.4 (redirects).

use std::net::{IpAddr, SocketAddr};

use reqwest::StatusCode;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderMap, LOCATION};
use url::{Host, Url};

use super::error::{HttpError, LookupError, host_of};
use crate::tracker::Scope;

/// Which addresses may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Any, as for an address that the owner typed.
    Any,
    /// Public ones, as for what a stranger's feed names. 198.18.0.0/15 counts as public.
    Public,
}

impl Reach {
    /// What a host at `ip` may refer to: its like. One in a private network may name others there.
    pub fn of_host(ip: IpAddr) -> Self {
        if Scope::of(ip) == Scope::Public { Self::Public } else { Self::Any }
    }

    /// What a host called `name` may refer to, as far as the name tells: one of a private network may name others
    /// there.
    pub fn of_name(name: &str) -> Self {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let is_private = !name.contains('.') || PRIVATE_DOMAINS.iter().any(|domain| name.ends_with(domain));
        if is_private { Self::Any } else { Self::Public }
    }

    /// Whether `ip` may be connected to.
    pub fn permits(self, ip: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Public => Scope::of(ip) == Scope::Public,
        }
    }

    /// Refuses other schemes than http and https, and addresses out of reach that the URL spells out.
    pub(super) fn check(self, url: &Url) -> Result<(), HttpError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(HttpError::Scheme { scheme: url.scheme().to_owned() });
        }
        // The parser has turned notations such as `0x7f.1` or `2130706433` into addresses.
        match literal(url) {
            Some(ip) => self.check_address(url, ip),
            None => Ok(()),
        }
    }

    /// Refuses a name that is out of reach by its looks, for where nobody here looks it up.
    pub(super) fn check_name(self, url: &Url) -> Result<(), HttpError> {
        match url.host() {
            Some(Host::Domain(name)) if self == Self::Public && Self::of_name(name) == Self::Any => {
                Err(HttpError::PrivateName { host: host_of(url) })
            }
            _ => Ok(()),
        }
    }

    /// Refuses an address that a request to `url` has come to.
    pub(super) fn check_address(self, url: &Url, addr: IpAddr) -> Result<(), HttpError> {
        if self.permits(addr) { Ok(()) } else { Err(HttpError::OutOfReach { host: host_of(url), addr }) }
    }
}

/// Domains that no public host is in. RFC 6761, 6762, 8375; ICANN's resolution on `.internal`, and what routers call
/// their networks.
const PRIVATE_DOMAINS: [&str; 6] = [".localhost", ".local", ".home.arpa", ".internal", ".lan", ".home"];

/// The address family that a client is limited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    /// That of `ip`.
    pub(super) const fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    pub(super) fn holds(self, ip: IpAddr) -> bool {
        match self {
            Self::V4 => ip.is_ipv4(),
            Self::V6 => ip.is_ipv6(),
        }
    }
}

/// Whether a redirect may lead from https to http.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Downgrade {
    Followed,
    Refused,
}

/// The address that `url` spells out in place of a name.
pub(super) fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(_) => None,
        Host::Ipv4(ip) => Some(ip.into()),
        Host::Ipv6(ip) => Some(ip.into()),
    }
}

/// Where an answer to `url` with this status and these headers sends us, and whether for good; `None` if it is final.
pub(super) fn redirect(
    url: &Url,
    status: StatusCode,
    headers: &HeaderMap,
    downgrade: Downgrade,
) -> Result<Option<(Url, bool)>, HttpError> {
    let is_permanent = match status.as_u16() {
        301 | 308 => true,
        302 | 303 | 307 => false,
        _ => return Ok(None),
    };
    let Some(location) = headers.get(LOCATION).and_then(|value| std::str::from_utf8(value.as_bytes()).ok()) else {
        return Ok(None);
    };
    let next = url.join(location)?;
    if url.scheme() == "https" && next.scheme() == "http" && downgrade == Downgrade::Refused {
        return Err(HttpError::Downgrade { host: host_of(url) });
    }
    Ok(Some((next, is_permanent)))
}

/// The addresses of `host`, a name or an address, that are within reach.
pub(in crate::net) async fn lookup(reach: Reach, host: &str) -> Result<Vec<IpAddr>, LookupError> {
    let found = tokio::net::lookup_host((host, 0)).await;
    let found = found.map_err(|source| LookupError::Failed { host: host.to_owned(), source })?;
    let picked = Resolver { reach, family: None }.pick(host, found)?;
    Ok(picked.into_iter().map(|addr| addr.ip()).collect())
}

/// Looks names up in the system's way and keeps the addresses that are within reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resolver {
    pub(super) reach: Reach,
    pub(super) family: Option<Family>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = *self;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found = tokio::net::lookup_host((host.as_str(), 0)).await;
            let found = found.map_err(|source| LookupError::Failed { host: host.clone(), source })?;
            Ok(Box::new(resolver.pick(&host, found)?.into_iter()) as Addrs)
        })
    }
}

impl Resolver {
    fn pick(self, host: &str, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, LookupError> {
        let found: Vec<SocketAddr> =
            found.filter(|addr| self.family.is_none_or(|family| family.holds(addr.ip()))).collect();
        let (within, without): (Vec<_>, Vec<_>) = found.into_iter().partition(|addr| self.reach.permits(addr.ip()));
        match without.first() {
            _ if !within.is_empty() => Ok(within),
            Some(addr) => Err(LookupError::OutOfReach { host: host.to_owned(), addr: addr.ip() }),
            None => Err(LookupError::NoAddress { host: host.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[track_caller]
    fn refused(text: &str) {
        let error = url(text).host().map(|_| Reach::Public.check(&url(text)));
        assert!(matches!(error, Some(Err(HttpError::OutOfReach { .. }))), "{text}: {error:?}");
        Reach::Any.check(&url(text)).unwrap();
    }

    #[test]
    fn private_addresses_are_refused_in_every_notation() {
        for host in [
            "127.0.0.1:9091",
            "[::1]",
            "0",
            "0.0.0.0",
            "2130706433",
            "0177.0.0.1",
            "0x7f.1",
            "127.1",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "169.254.169.254",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "[fe80::1]",
            "[fd00::1]",
            "[64:ff9b::10.0.0.1]",
            "[2002:7f00:1::]",
            "224.0.0.1",
            "255.255.255.255",
            "[ff02::1]",
            "[::]",
        ] {
            refused(&format!("http://{host}/"));
            refused(&format!("https://{host}/x"));
        }
    }

    #[test]
    fn public_addresses_and_names_pass() {
        for host in ["198.18.0.1", "8.8.8.8", "[2606:4700::1]", "example.org", "localhost"] {
            Reach::Public.check(&url(&format!("http://{host}/"))).unwrap();
        }
    }

    #[test]
    fn a_name_tells_whether_it_is_of_a_private_network() {
        for name in ["localhost", "nas", "Printer.LOCAL", "nas.lan.", "a.b.home.arpa"] {
            assert_eq!(Reach::of_name(name), Reach::Any, "{name}");
            let refused = Reach::Public.check_name(&url(&format!("http://{name}:1/"))).unwrap_err();
            assert!(matches!(refused, HttpError::PrivateName { .. }), "{refused}");
            Reach::Any.check_name(&url(&format!("http://{name}/"))).unwrap();
        }
        for name in ["example.org", "local.example", "198.18.0.1"] {
            Reach::Public.check_name(&url(&format!("http://{name}/"))).unwrap();
        }
    }

    #[test]
    fn only_http_is_fetched() {
        for text in ["file:///etc/passwd", "ftp://h/x", "gopher://h/", "data:text/html,x", "udp://h:1/", "javascript:x"]
        {
            for reach in [Reach::Any, Reach::Public] {
                assert!(matches!(reach.check(&url(text)), Err(HttpError::Scheme { .. })), "{text}");
            }
        }
    }

    #[test]
    fn a_private_host_may_refer_to_its_like_and_a_public_one_may_not() {
        assert_eq!(Reach::of_host([192, 168, 0, 1].into()), Reach::Any);
        assert_eq!(Reach::of_host([198, 18, 0, 1].into()), Reach::Public);
        assert_eq!(Reach::of_host("::ffff:127.0.0.1".parse().unwrap()), Reach::Any);
    }

    #[test]
    fn a_name_reaches_only_those_of_its_addresses_that_are_within_reach() {
        let found: Vec<SocketAddr> =
            ["10.0.0.1:0", "198.18.0.1:0", "[2001:db8::1]:0", "[::1]:0"].map(|addr| addr.parse().unwrap()).to_vec();
        let pick = |reach, family, found: &[SocketAddr]| {
            Resolver { reach, family }.pick("h", found.iter().copied()).map_err(|error| error.to_string())
        };
        assert_eq!(pick(Reach::Any, None, &found), Ok(found.clone()));
        assert_eq!(pick(Reach::Public, None, &found), Ok(found[1..3].to_vec()));
        assert_eq!(pick(Reach::Public, Some(Family::V6), &found), Ok(found[2..3].to_vec()));
        assert_eq!(pick(Reach::Public, None, &found[..1]), Err("h is at 10.0.0.1".to_owned()));
        assert_eq!(pick(Reach::Any, Some(Family::V6), &found[..2]), Err("h has no address".to_owned()));
    }

    #[test]
    fn a_redirect_is_read_against_where_it_stands() {
        let follow = |from: &str, status: u16, to: &str, downgrade| {
            let headers = HeaderMap::from_iter([(LOCATION, to.parse().unwrap())]);
            let status = StatusCode::from_u16(status).unwrap();
            redirect(&url(from), status, &headers, downgrade)
                .map(|next| next.map(|(url, good)| (url.to_string(), good)))
        };
        let found = |to: &str, good| Some((to.to_owned(), good));
        assert_eq!(follow("http://h/a/b", 302, "c?d", Downgrade::Refused).unwrap(), found("http://h/a/c?d", false));
        assert_eq!(follow("https://h/a", 301, "//i/", Downgrade::Refused).unwrap(), found("https://i/", true));
        assert_eq!(follow("http://h/a", 308, "https://i/", Downgrade::Refused).unwrap(), found("https://i/", true));
        assert_eq!(follow("http://h/a", 304, "/b", Downgrade::Refused).unwrap(), None);
        assert_eq!(follow("https://h/a", 302, "http://h/", Downgrade::Followed).unwrap(), found("http://h/", false));
        let downgraded = follow("https://h/a", 302, "http://h/", Downgrade::Refused);
        assert_eq!(downgraded.unwrap_err().to_string(), "h redirects from https to http");
        assert!(matches!(follow("http://h/", 302, "http://:0:", Downgrade::Refused), Err(HttpError::Url { .. })));
    }
}
