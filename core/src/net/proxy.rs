//! The proxy through which everything goes out, if the owner names one.
//!
//! Peers are dialled through it by their addresses; what is fetched over HTTP goes through it too, by name, so that
//! nobody here looks up a host. Whatever cannot go through it is left alone: datagrams (uTP, the distributed hash
//! table, trackers over UDP), the own network, the router, and whoever would dial us. It is what libtorrent does with a
//! proxy for peers, only without the exceptions.
//!
//! A proxy that fails is told of in the owner's words, and remembered until something gets through again.
//!
//! Laws: what is sent into the world goes to the proxy or nowhere; user and password are shown to nobody else.
//! Sources: RFC 1928 and 1929 (SOCKS 5), RFC 9110 §9.3.6 (CONNECT), RFC 7617 (Basic).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;

use data_encoding::BASE64;
use hyper::client::conn::http1;
use hyper::header::{HOST, PROXY_AUTHORIZATION};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_socks::Error as SocksError;
use tokio_socks::tcp::Socks5Stream;
use url::Url;

use super::engine::with_causes;
use super::route::Route;

/// How to speak to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// CONNECT; plain HTTP as an absolute URL.
    Http,
    Socks5,
}

/// A user with his password.
#[derive(Clone, PartialEq, Eq)]
struct Login {
    user: String,
    password: String,
}

/// A proxy. Clones are the same one, and know what was last wrong with it. It is shown without user and password.
#[derive(Clone)]
pub struct Proxy {
    protocol: Protocol,
    /// A name, or an address, an IPv6 one in brackets.
    host: String,
    port: u16,
    login: Option<Login>,
    fault: watch::Sender<Option<String>>,
}

/// A text that names no proxy. The text is left out, as it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no proxy; want `socks5://[USER:PASSWORD@]HOST:PORT` or `http://[USER:PASSWORD@]HOST:PORT`")]
pub struct NoProxy;

/// Why a peer is not reached through a proxy.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    /// The proxy itself is in the way.
    #[error("{0}")]
    Proxy(String),
    /// The proxy does not reach the peer.
    #[error("{0}")]
    Peer(String),
}

impl Proxy {
    /// What was last wrong with it; `None` since something got through.
    pub fn fault(&self) -> Option<String> {
        self.fault.borrow().clone()
    }

    /// Remembers what is wrong, or that something got through.
    pub(super) fn note(&self, fault: Option<&str>) {
        let is_new = self.fault.send_if_modified(|known| {
            let is_new = known.as_deref() != fault;
            if is_new {
                *known = fault.map(str::to_owned);
            }
            is_new
        });
        if is_new && let Some(fault) = fault {
            tracing::warn!(proxy = %self, fault, "nothing gets through the proxy");
        }
    }

    /// The same for the HTTP client, which has it look up names.
    pub(super) fn for_http(&self) -> Result<reqwest::Proxy, reqwest::Error> {
        let scheme = match self.protocol {
            Protocol::Http => "http",
            Protocol::Socks5 => "socks5h",
        };
        let proxy = reqwest::Proxy::all(format!("{scheme}://{}:{}", self.host, self.port))?;
        Ok(match &self.login {
            Some(Login { user, password }) => proxy.basic_auth(user, password),
            None => proxy,
        })
    }

    /// A connection to the proxy itself, by `route`'s other rules.
    pub(super) async fn connect(&self, route: &Route) -> io::Result<TcpStream> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "its name has no address that may be used");
        for addr in tokio::net::lookup_host((host, self.port)).await?.filter(|addr| route.speaks_to(addr.ip())) {
            match route.connect(addr).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Dials `peer` through the proxy.
    pub(super) async fn dial(&self, route: &Route, peer: SocketAddr) -> Result<TcpStream, ProxyError> {
        let dialled = async {
            let stream = self.connect(route).await.map_err(|error| ProxyError::Proxy(unreachable(&error)))?;
            match self.protocol {
                Protocol::Http => self.dial_over_http(stream, peer).await,
                Protocol::Socks5 => self.dial_over_socks(stream, peer).await,
            }
        };
        let dialled = dialled.await;
        match &dialled {
            Ok(_) => self.note(None),
            Err(ProxyError::Proxy(reason)) => self.note(Some(reason)),
            // It answers; that a peer is away is no news.
            Err(ProxyError::Peer(_)) => {}
        }
        dialled
    }

    async fn dial_over_socks(&self, stream: TcpStream, peer: SocketAddr) -> Result<TcpStream, ProxyError> {
        let dialled = match &self.login {
            Some(Login { user, password }) => {
                Socks5Stream::connect_with_password_and_socket(stream, peer, user, password).await
            }
            None => Socks5Stream::connect_with_socket(stream, peer).await,
        };
        dialled.map(Socks5Stream::into_inner).map_err(|error| match error {
            SocksError::NoAcceptableAuthMethods | SocksError::UnknownAuthMethod => {
                ProxyError::Proxy(self.refuses().to_owned())
            }
            SocksError::PasswordAuthFailure(_) => ProxyError::Proxy(REFUSES_LOGIN.to_owned()),
            SocksError::GeneralSocksServerFailure
            | SocksError::ConnectionNotAllowedByRuleset
            | SocksError::NetworkUnreachable
            | SocksError::HostUnreachable
            | SocksError::ConnectionRefused
            | SocksError::TtlExpired
            | SocksError::AddressTypeNotSupported => ProxyError::Peer(error.to_string().to_lowercase()),
            error => ProxyError::Proxy(format!("it does not speak SOCKS 5: {error}")),
        })
    }

    async fn dial_over_http(&self, stream: TcpStream, peer: SocketAddr) -> Result<TcpStream, ProxyError> {
        let odd = |error: hyper::Error| ProxyError::Proxy(format!("it does not speak HTTP: {}", with_causes(&error)));
        let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(odd)?;
        let mut request = Request::connect(peer.to_string()).header(HOST, peer.to_string());
        if let Some(Login { user, password }) = &self.login {
            let basic = BASE64.encode(format!("{user}:{password}").as_bytes());
            request = request.header(PROXY_AUTHORIZATION, format!("Basic {basic}"));
        }
        let request = request.body(String::new()).expect("an address and base64 make a request");
        // It ends with the answer, or hands the connection over.
        tokio::spawn(connection.with_upgrades());
        let answer = requests.send_request(request).await.map_err(odd)?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => return Err(ProxyError::Proxy(self.refuses().to_owned())),
            status => return Err(ProxyError::Peer(format!("it answers {status}"))),
        }
        let upgraded = hyper::upgrade::on(answer).await.map_err(odd)?;
        let parts = upgraded.downcast::<TokioIo<TcpStream>>().expect("it is the stream that was given");
        // Who is dialled does not speak first.
        if parts.read_buf.is_empty() {
            Ok(parts.io.into_inner())
        } else {
            Err(ProxyError::Proxy("it sends more than its answer".to_owned()))
        }
    }

    /// What it means that the proxy wants another login.
    pub(super) const fn refuses(&self) -> &'static str {
        if self.login.is_some() { REFUSES_LOGIN } else { "it wants a user and a password" }
    }
}

const REFUSES_LOGIN: &str = "it refuses the user or the password";

/// That the proxy cannot be reached, in words.
pub(super) fn unreachable(error: &io::Error) -> String {
    format!("it cannot be reached: {error}")
}

impl FromStr for Proxy {
    type Err = NoProxy;

    fn from_str(text: &str) -> Result<Self, NoProxy> {
        let url = Url::parse(text.trim()).map_err(|_| NoProxy)?;
        let (protocol, default_port) = match url.scheme() {
            "http" => (Protocol::Http, 80),
            "socks5" | "socks5h" => (Protocol::Socks5, 1080),
            _ => return Err(NoProxy),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(NoProxy)?.to_owned();
        let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        let decoded = |text| percent_decode_str(text).decode_utf8().map_err(|_| NoProxy);
        let user = decoded(url.username())?.into_owned();
        let password = decoded(url.password().unwrap_or_default())?.into_owned();
        // RFC 1929 has a byte for each length.
        let is_sent = user.len() <= 255 && password.len() <= 255;
        if !is_bare || !is_sent || (user.is_empty() && !password.is_empty()) {
            return Err(NoProxy);
        }
        let login = (!user.is_empty()).then_some(Login { user, password });
        let port = url.port().unwrap_or(default_port);
        Ok(Self { protocol, host, port, login, fault: watch::Sender::new(None) })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            Protocol::Http => "http",
            Protocol::Socks5 => "socks5",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_proxy_is_shown_without_its_login() {
        for (text, shown) in [
            ("socks5://127.0.0.1:9050", "socks5://127.0.0.1:9050"),
            ("socks5://me:secret@proxy.example", "socks5://proxy.example:1080"),
            ("SOCKS5H://me:secret@[2001:db8::1]:1", "socks5://[2001:db8::1]:1"),
            ("http://me:s%40cret@proxy.example:3128/", "http://proxy.example:3128"),
            ("http://proxy.example", "http://proxy.example:80"),
        ] {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!(proxy.to_string(), shown);
            assert_eq!(format!("{proxy:?}"), format!("Proxy({shown})"));
        }
        let proxy: Proxy = "http://me:s%40cret@proxy.example:3128/".parse().unwrap();
        assert!(proxy.login.is_some_and(|login| (login.user, login.password) == ("me".into(), "s@cret".into())));
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_being_repeated() {
        let long = format!("socks5://{}@h:1", "u".repeat(256));
        for text in [
            "",
            "proxy.example:1080",
            "https://me:secret@h:1",
            "socks4://h:1",
            "socks5://",
            "socks5://:secret@h:1",
            "http://h:1/path",
            "http://h:1?x",
            &long,
        ] {
            let refused = text.parse::<Proxy>().unwrap_err().to_string();
            assert!(!refused.contains("secret"), "{text}");
        }
    }

    /// A proxy that answers with each of these in turn, once something has come for it.
    async fn answering(scheme: &str, answers: &[&'static [u8]]) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("{scheme}{}", listener.local_addr().unwrap()).parse().unwrap();
        let answers = answers.to_vec();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in answers {
                assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
                stream.write_all(answer).await.unwrap();
            }
        });
        proxy
    }

    /// What comes of dialling through such a proxy, and what it is known to be at fault for.
    async fn dial(scheme: &str, answers: &[&'static [u8]]) -> (Result<(), String>, Option<String>) {
        let proxy = answering(scheme, answers).await;
        let dialled = proxy.dial(&Route::default(), "198.18.0.1:6881".parse().unwrap()).await;
        (dialled.map(drop).map_err(|error| error.to_string()), proxy.fault())
    }

    const NO_LOGIN: &[u8] = &[5, 0];
    const REACHED: &[u8] = &[5, 0, 0, 1, 127, 0, 0, 1, 1, 1];
    const UNREACHABLE: &[u8] = &[5, 4, 0, 1, 0, 0, 0, 0, 0, 0];

    #[tokio::test]
    async fn a_proxy_that_cannot_reach_a_peer_is_not_at_fault() {
        assert_eq!(dial("socks5://", &[NO_LOGIN, REACHED]).await, (Ok(()), None));
        assert_eq!(dial("socks5://me:secret@", &[&[5, 2], &[1, 0], REACHED]).await, (Ok(()), None));
        let (dialled, fault) = dial("socks5://", &[NO_LOGIN, UNREACHABLE]).await;
        assert_eq!((dialled.unwrap_err().as_str(), fault), ("host unreachable", None));
        assert_eq!(dial("http://", &[b"HTTP/1.1 200 Go\r\n\r\n"]).await, (Ok(()), None));
        let (dialled, fault) = dial("http://", &[b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"]).await;
        assert_eq!((dialled.unwrap_err().as_str(), fault), ("it answers 403 Forbidden", None));
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_proxy_is_said() {
        for (scheme, answers, says) in [
            ("socks5://", &[&[5, 255][..]][..], "it wants a user and a password"),
            ("socks5://me:secret@", &[&[5, 255]], REFUSES_LOGIN),
            ("socks5://me:secret@", &[&[5, 2], &[1, 1]], REFUSES_LOGIN),
            ("socks5://", &[b"HTTP/1.1 400 Bad\r\n\r\n"], "it does not speak SOCKS 5"),
            ("http://", &[b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n"], "it wants a user and a password"),
            ("http://me:secret@", &[b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n"], REFUSES_LOGIN),
            ("http://", &[NO_LOGIN], "it does not speak HTTP"),
        ] {
            let (dialled, fault) = dial(scheme, answers).await;
            let reason = dialled.unwrap_err();
            assert!(reason.starts_with(says), "{scheme}: {reason}");
            assert_eq!(fault, Some(reason));
        }
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let proxy: Proxy = format!("socks5://{free}").parse().unwrap();
        let dialled = proxy.dial(&Route::default(), free).await.unwrap_err().to_string();
        assert!(dialled.starts_with("it cannot be reached: "), "{dialled}");
    }

    #[test]
    fn clones_know_of_the_same_fault() {
        let proxy: Proxy = "socks5://127.0.0.1:9050".parse().unwrap();
        let other = proxy.clone();
        proxy.note(Some("it is gone"));
        assert_eq!(other.fault().as_deref(), Some("it is gone"));
        other.note(None);
        assert_eq!(proxy.fault(), None);
    }
}
