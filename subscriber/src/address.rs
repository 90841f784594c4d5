//! Addresses: what people type, and how far a request for one may go.
//!
//! Laws: an address that the owner typed is trusted, wherever it is, and it alone: its redirects and what its answer
//! names may lead into a private network only if it lies in one itself. What a feed names is judged by the address that
//! the feed came from, never by what its name may resolve to later.
//!
//! Source: the request forgeries that other podcatchers were reported for (CVE-2023-51697, CVE-2024-51774).

use std::net::IpAddr;

use podswarm_core::app::Failure;
use podswarm_core::net::Route;
use podswarm_core::net::http::Reach;
use podswarm_feeds::read::opml::web_address;
use url::{Host, Url};

/// The URL that people mean: without a scheme it is https, and `feed://` stands for http.
pub fn feed_url(text: &str) -> Result<Url, Failure> {
    let text = text.trim();
    let fault = || {
        Failure::usage(format!("`{text}` is no address of a feed"))
            .with_hint("give its URL, such as https://podcast.example/feed.xml; without `https://` it will do, too")
    };
    let spelled = web_address(text);
    // What stands before a port is a host, before anything else a scheme.
    let has_scheme = spelled.split_once(':').is_some_and(|(_, rest)| !rest.starts_with(|c: char| c.is_ascii_digit()));
    // A single word is the name of a show, of a file, or of nothing.
    if !has_scheme && !spelled.contains(['.', '/', ':']) {
        return Err(fault());
    }
    let spelled = if has_scheme { spelled } else { format!("https://{spelled}") };
    let mut url = Url::parse(&spelled).map_err(|_| fault())?;
    url.set_fragment(None);
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || text.contains(char::is_whitespace) {
        return Err(fault());
    }
    Ok(url)
}

/// How far what a feed or a torrent names may lie: a local one may name local hosts.
pub fn reach_of_links(is_local: bool) -> Reach {
    if is_local { Reach::Any } else { Reach::Public }
}

/// How far a request may go for a URL that the owner typed.
///
/// The address itself is trusted, wherever it is. If it is public, its redirects must not lead into a private network.
/// Names that a proxy looks up are judged by their looks.
pub async fn reach_of_typed(url: &Url, route: &Route) -> Reach {
    let is_local = |ip: IpAddr| Reach::of_host(ip) == Reach::Any;
    match url.host() {
        Some(Host::Ipv4(ip)) => Reach::of_host(ip.into()),
        Some(Host::Ipv6(ip)) => Reach::of_host(ip.into()),
        Some(Host::Domain(name)) if route.proxy.is_some() => Reach::of_name(name),
        Some(Host::Domain(name)) => {
            let port = url.port_or_known_default().unwrap_or(80);
            let found = tokio::net::lookup_host((name, port)).await;
            let has_local = found.is_ok_and(|mut addrs| addrs.any(|addr| is_local(addr.ip())));
            reach_of_links(has_local)
        }
        None => Reach::Public,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_understood_as_people_write_it() {
        for (text, want) in [
            ("https://host.example/feed.xml", "https://host.example/feed.xml"),
            ("host.example/feed", "https://host.example/feed"),
            ("host.example", "https://host.example/"),
            ("nas/feed.xml", "https://nas/feed.xml"),
            ("localhost:6969/feed", "https://localhost:6969/feed"),
            ("feed://host.example/feed", "http://host.example/feed"),
            ("feed:https://host.example/feed", "https://host.example/feed"),
            ("ITPC://host.example/feed", "http://host.example/feed"),
            ("feed://https://host.example/feed", "https://host.example/feed"),
            ("feed:host.example/feed", "https://host.example/feed"),
            ("http://127.0.0.1:6969/shows/x/feed.xml#top", "http://127.0.0.1:6969/shows/x/feed.xml"),
        ] {
            assert_eq!(feed_url(text).unwrap().as_str(), want, "{text}");
        }
        for text in [
            "",
            "notaurl",
            "localhost",
            "file:///etc/passwd",
            "ftp://host/x",
            "a b",
            "http://",
            "magnet:?xt=urn:btih:x",
        ] {
            assert_eq!(feed_url(text).unwrap_err().code(), 2, "{text}");
        }
    }
}
