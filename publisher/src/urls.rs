//! Where the publisher's things are found: every address that a feed, a page or a torrent names.
//!
//! All begin with the public URL, which is the flag's, else the configuration's, else the one given last, else a guess:
//! the address of this machine on the way to the default route. It may have a path, for a publisher that shares its
//! host with others behind a reverse proxy.
//!
//! Knows nothing of what is served there.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use podswarm_core::tracker::Scope;
use url::{Host, Url};

use crate::slug::{Slug, page_name};

/// The public URL, and everything's address under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Urls {
    /// Ends in a slash.
    base: Url,
    /// Whether the owner gave it.
    given: bool,
    /// The port that the tracker over UDP listens on, if there is one.
    udp_port: Option<u16>,
    /// Whether we are a hub.
    has_hub: bool,
    /// Hubs elsewhere.
    hubs: Vec<Url>,
    /// The trackers that torrents name where plain files are served; `None` where we serve ourselves, and track.
    trackers_beside_files: Option<Vec<String>>,
    /// The subscriber whose they are, by his token; `None` where they are everybody's.
    token: Option<String>,
}

/// What everything that subscribers of private shows have stands under, followed by the token of each.
const PRIVATE: &str = "private";
/// Stands for the token where what subscribers have is the same but for it: as long as one, and none.
pub(crate) const ANY_TOKEN: &str = "token-of-each-subscriber-token-of-each-subscriber-token-of-each-";

/// The token in a path, and the path that it opens; `None` if it is none of a subscriber.
pub(crate) fn split_private(path: &str) -> Option<(&str, &str)> {
    let (token, _) = path.strip_prefix('/')?.strip_prefix(PRIVATE)?.strip_prefix('/')?.split_once('/')?;
    Some((token, &path["//".len() + PRIVATE.len() + token.len()..]))
}

/// A public URL that cannot be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{got}` is not a public URL; want http:// or https://, a host, and at most a port and a path")]
pub(crate) struct PublicUrlError {
    got: String,
}

impl Urls {
    /// Reads the URL that the owner gives.
    pub(crate) fn parse(text: &str) -> Result<Self, PublicUrlError> {
        let fault = || PublicUrlError { got: text.to_owned() };
        let mut base = Url::parse(text).map_err(|_| fault())?;
        let is_plain = base.query().is_none() && base.fragment().is_none() && base.username().is_empty();
        if !matches!(base.scheme(), "http" | "https") || !is_plain || base.password().is_some() {
            return Err(fault());
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Ok(Self::new(base, true))
    }

    /// The guess for a port that listens at `listen`: that address, or, where it listens at all of them, this
    /// machine's on the default route.
    pub(crate) fn guess(listen: SocketAddr) -> Self {
        let ip = if listen.ip().is_unspecified() { default_address() } else { listen.ip() };
        let base = Url::parse(&format!("http://{}/", SocketAddr::new(ip, listen.port())));
        Self::new(base.expect("an address makes a URL"), false)
    }

    const fn new(base: Url, given: bool) -> Self {
        let hubs = Vec::new();
        Self { base, given, udp_port: None, has_hub: false, hubs, trackers_beside_files: None, token: None }
    }

    /// The same as the subscriber with that token has them: nothing is there for others, so no hub tells of it, and
    /// the tracker over UDP, which is told no path that it would look at, is not for him.
    pub(crate) fn for_subscriber(&self, token: &str) -> Self {
        let (udp_port, has_hub, hubs) = (None, false, Vec::new());
        Self {
            base: self.join(&[PRIVATE, token, ""]),
            token: Some(token.to_owned()),
            udp_port,
            has_hub,
            hubs,
            ..self.clone()
        }
    }

    /// Those of a show, or of one of its episodes: if that is private, as any subscriber has them.
    pub(crate) fn of(&self, is_private: bool) -> Cow<'_, Self> {
        if is_private && !self.are_private() { Cow::Owned(self.for_subscriber(ANY_TOKEN)) } else { Cow::Borrowed(self) }
    }

    /// Whether they are those of a subscriber.
    pub(crate) const fn are_private(&self) -> bool {
        self.token.is_some()
    }

    /// The same over https at `port`.
    pub(crate) fn over_https(mut self, port: u16) -> Self {
        self.base.set_scheme("https").expect("http becomes https");
        self.base.set_port(Some(port)).expect("http URLs have a port");
        self
    }

    /// The same with a tracker over UDP that listens on `port`.
    pub(crate) fn with_udp_tracker(self, port: Option<u16>) -> Self {
        Self { udp_port: port, ..self }
    }

    /// The same with a hub of our own, if `has_hub`, and others elsewhere.
    pub(crate) fn with_hubs(self, has_hub: bool, hubs: Vec<Url>) -> Self {
        Self { has_hub, hubs, ..self }
    }

    /// The hubs that tell of changes of every feed.
    pub(crate) fn hubs(&self) -> Vec<Url> {
        let own = self.has_hub.then(|| self.join(&["hub"]));
        own.into_iter().chain(self.hubs.iter().cloned()).collect()
    }

    /// Those of them that are not ours.
    pub(crate) fn hubs_elsewhere(&self) -> &[Url] {
        &self.hubs
    }

    /// Where subscribers by rssCloud ask, if we are a hub.
    pub(crate) fn cloud(&self) -> Option<Url> {
        self.has_hub.then(|| self.join(&["rsscloud", "pleaseNotify"]))
    }

    /// The `Link` field that a feed at the address `own` is served with (`WebSub`, section 4); `None` if there is no
    /// hub.
    pub(crate) fn feed_links(&self, own: &str) -> Option<String> {
        let hubs = self.hubs();
        let links = hubs.iter().fold(String::new(), |links, hub| format!("{links}<{hub}>; rel=\"hub\", "));
        (!hubs.is_empty()).then(|| format!("{links}<{own}>; rel=\"self\""))
    }

    /// The same where plain files are served by anybody, with these trackers.
    pub(crate) fn for_files(self, trackers: Vec<String>) -> Self {
        Self { trackers_beside_files: Some(trackers), ..self }
    }

    /// Whether plain files are served: nothing answers but what a file does.
    pub(crate) const fn are_files(&self) -> bool {
        self.trackers_beside_files.is_some()
    }

    /// What the addresses of pages end in.
    pub(crate) const fn page_suffix(&self) -> &'static str {
        if self.are_files() { ".html" } else { "" }
    }

    /// Where releases are told of, if they are.
    pub(crate) fn events(&self, show: &Slug) -> Option<Url> {
        (!self.are_files()).then(|| self.document(show, "events"))
    }

    /// The public URL itself, with a slash at its end.
    pub(crate) const fn base(&self) -> &Url {
        &self.base
    }

    /// Whether it means the same host to everybody: the owner gave it, or it is a public address.
    pub(crate) fn is_worldwide(&self) -> bool {
        let is_public = |ip: IpAddr| Scope::of(ip) == Scope::Public;
        self.given
            || match self.host() {
                Host::Domain(_) => true,
                Host::Ipv4(ip) => is_public(ip.into()),
                Host::Ipv6(ip) => is_public(ip.into()),
            }
    }

    /// The host it names.
    pub(crate) fn host(&self) -> Host<&str> {
        self.base.host().expect("http URLs have a host")
    }

    /// The tracker.
    pub(crate) fn announce(&self) -> Url {
        self.join(&["announce"])
    }

    /// The tracker over UDP, if there is one.
    ///
    /// A router that forwards another port of HTTP is told to forward the same one of UDP. Over https we are behind a
    /// proxy, which knows nothing of UDP, or on a port of its own beside that of HTTP: the tracker is where it listens.
    ///
    /// An IPv6 address in place of a name is not told, as Transmission 3 cannot read it here: it takes part of it for a
    /// name, and after that announces itself nowhere.
    fn announce_over_udp(&self) -> Option<Url> {
        if matches!(self.host(), Host::Ipv6(_)) {
            return None;
        }
        let port = match (self.base.scheme(), self.base.port()) {
            ("http", Some(forwarded)) => self.udp_port.and(Some(forwarded)),
            _ => self.udp_port,
        }?;
        Some(Url::parse(&format!("udp://{}:{port}/announce", self.host())).expect("a host and a port make a URL"))
    }

    /// Every way to the tracker, as one tier of BEP 12: each leads to the same swarms.
    ///
    /// HTTP stands first, for those who read no further; who knows both chooses.
    pub(crate) fn trackers(&self) -> Vec<String> {
        if let Some(trackers) = &self.trackers_beside_files {
            return trackers.clone();
        }
        std::iter::once(self.announce()).chain(self.announce_over_udp()).map(String::from).collect()
    }

    /// The owner's page.
    pub(crate) fn dashboard(&self) -> Url {
        self.join(&["dashboard"])
    }

    /// A show's page.
    pub(crate) fn show(&self, show: &Slug) -> Url {
        self.join(&["shows", &format!("{show}{}", self.page_suffix())])
    }

    /// A document of a show: `feed.xml`, `torrents.xml`, `feed.json`, `feed.atom` or `events`.
    pub(crate) fn document(&self, show: &Slug, name: &str) -> Url {
        self.join(&["shows", show.as_str(), name])
    }

    /// The page of the episode with that file.
    pub(crate) fn episode(&self, show: &Slug, file: &str) -> Url {
        self.join(&["shows", show.as_str(), &format!("{}{}", page_name(file), self.page_suffix())])
    }

    /// The chapters of the episode with that file.
    pub(crate) fn chapters(&self, show: &Slug, file: &str) -> Url {
        self.join(&["shows", show.as_str(), page_name(file), "chapters.json"])
    }

    /// A media file, picture or transcript of a show.
    pub(crate) fn media(&self, show: &Slug, file: &str) -> Url {
        self.join(&["media", show.as_str(), file])
    }

    /// A file in an episode's folder; `path` has `/` between its names.
    pub(crate) fn media_in(&self, show: &Slug, folder: &str, path: &str) -> Url {
        let segments: Vec<&str> = ["media", show.as_str(), folder].into_iter().chain(path.split('/')).collect();
        self.join(&segments)
    }

    /// What a web seed of an episode's folder appends the folder's name to (BEP 19).
    pub(crate) fn media_folder(&self, show: &Slug) -> Url {
        self.join(&["media", show.as_str(), ""])
    }

    /// An episode's metainfo.
    pub(crate) fn torrent(&self, show: &Slug, file: &str) -> Url {
        self.join(&["torrents", show.as_str(), &format!("{file}.torrent")])
    }

    fn join(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("http URLs have a path").pop_if_empty().extend(segments);
        url
    }
}

/// This machine's address on the way to the rest of the world; loopback if there is no way.
///
/// No packet is sent: connecting a UDP socket only asks the routing table. Where there is no default route, the private
/// networks are tried, since a publisher in one is asked from there.
fn default_address() -> IpAddr {
    const PROBES: [&str; 6] =
        ["192.0.2.1:9", "[2001:db8::1]:9", "192.168.0.1:9", "10.0.0.1:9", "172.16.0.1:9", "198.18.0.1:9"];
    PROBES.iter().find_map(|probe| source_towards(probe)).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn source_towards(probe: &str) -> Option<IpAddr> {
    let probe: SocketAddr = probe.parse().expect("the probes are addresses");
    let any = if probe.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(probe).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_taken_with_port_and_path_only() {
        for good in ["http://a.example", "https://a.example:8443/pods", "http://[2001:db8::5]:6969/", "http://10.0.0.1"]
        {
            assert!(Urls::parse(good).unwrap().base().as_str().ends_with('/'), "{good}");
        }
        for bad in ["", "a.example", "ftp://a", "http://", "http://u@a/", "http://u:p@a/", "http://a/?x", "http://a/#x"]
        {
            assert!(Urls::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn everything_lies_under_the_public_url() {
        let urls = Urls::parse("https://a.example/pods").unwrap();
        let show = Slug::from_title("b");
        assert_eq!(urls.announce().as_str(), "https://a.example/pods/announce");
        assert_eq!(urls.document(&show, "feed.xml").as_str(), "https://a.example/pods/shows/b/feed.xml");
        assert_eq!(urls.episode(&show, "e-1.mp3").as_str(), "https://a.example/pods/shows/b/e-1");
        assert_eq!(urls.torrent(&show, "e-1.mp3").as_str(), "https://a.example/pods/torrents/b/e-1.mp3.torrent");
        assert_eq!(urls.media_folder(&show).as_str(), "https://a.example/pods/media/b/");
    }

    #[test]
    fn a_subscribers_addresses_have_his_token() {
        let urls =
            Urls::parse("https://a.example/pods").unwrap().with_udp_tracker(Some(6969)).with_hubs(true, Vec::new());
        let show = Slug::from_title("b");
        let own = urls.for_subscriber("t");
        assert_eq!(own.document(&show, "feed.xml").as_str(), "https://a.example/pods/private/t/shows/b/feed.xml");
        assert_eq!(own.trackers(), ["https://a.example/pods/private/t/announce"]);
        assert_eq!((own.hubs(), own.of(true).into_owned()), (Vec::new(), own.clone()));
        assert!(urls.of(true).media(&show, "e.mp3").as_str().contains(ANY_TOKEN));
        assert_eq!(*urls.of(false), urls);
        assert_eq!(ANY_TOKEN.len(), podswarm_core::app::new_token().unwrap().len());
    }

    #[test]
    fn a_path_is_split_behind_the_token() {
        for (path, want) in [
            ("/private/t/shows/b", Some(("t", "/shows/b"))),
            ("/private/t/", Some(("t", "/"))),
            ("/private/t", None),
            ("/private//x", Some(("", "/x"))),
            ("/privates/t/x", None),
            ("/shows/private/t/x", None),
        ] {
            assert_eq!(split_private(path), want, "{path}");
        }
    }

    #[test]
    fn the_tracker_over_udp_is_where_its_datagrams_get_through() {
        let udp = |text: &str| Urls::parse(text).unwrap().with_udp_tracker(Some(6970)).trackers().pop().unwrap();
        assert_eq!(udp("http://a.example:8080/pods"), "udp://a.example:8080/announce");
        assert_eq!(udp("http://a.example"), "udp://a.example:6970/announce");
        assert_eq!(udp("https://a.example:8443"), "udp://a.example:6970/announce");
        assert_eq!(udp("http://192.0.2.5:1"), "udp://192.0.2.5:1/announce");
        assert_eq!(udp("http://[2001:db8::5]:1"), "http://[2001:db8::5]:1/announce", "some clients cannot read it");
        assert_eq!(Urls::parse("http://a.example:8080").unwrap().trackers(), ["http://a.example:8080/announce"]);
    }

    #[test]
    fn http_becomes_https_at_another_port() {
        let over = |text: &str, port| Urls::parse(text).unwrap().over_https(port).base().to_string();
        assert_eq!(over("http://a.example:6969/pods", 443), "https://a.example/pods/");
        assert_eq!(over("http://a.example", 8443), "https://a.example:8443/");
    }

    #[test]
    fn names_in_a_folder_are_escaped_each() {
        let urls = Urls::parse("http://a").unwrap();
        let url = urls.media_in(&Slug::from_title("b"), "f", "CD 1/ä?#%.mp3");
        assert_eq!(url.as_str(), "http://a/media/b/f/CD%201/%C3%A4%3F%23%25.mp3");
    }

    #[test]
    fn a_guess_names_the_address_that_listens() {
        let urls = Urls::guess("127.0.0.1:7000".parse().unwrap());
        assert_eq!((urls.base().as_str(), urls.is_worldwide()), ("http://127.0.0.1:7000/", false));
        let all = Urls::guess("[::]:7000".parse().unwrap());
        assert!(!all.base().as_str().contains("[::]"), "{}", all.base());
        assert_eq!(all.base().port(), Some(7000));
    }
}
