//! The HTTP client, guarded: it goes only where its [`Reach`] lets it, and takes only as much as it was told to.
//!
//! Feeds, torrents, media and announces all go through here. Redirects are followed hop by hop, each checked like the
//! first URL; compressed answers are bounded by their decoded size; certificates are always checked. Proxies of the
//! environment are not used. Through one that the owner names everything goes: it looks up names, and so it alone
//! decides where they lead; a stranger's names that belong to a private network by their looks are refused.
//!
//! Knows nothing of feeds or trackers. Laws: no answer takes more memory than the caller allows; a file appears under
//! its final name only whole and synced.
//! Sources: RFC 9110 (redirects, ranges, conditions).

mod download;
mod error;
mod growing;
mod guard;
mod ranges;

use std::net::SocketAddr;
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, COOKIE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, ClientBuilder, Response};
use rustls::{ClientConfig, RootCertStore};
use url::Url;

pub use self::download::{Check, DownloadOptions, Downloaded, Sample, length_begun};
pub use self::error::{Cause, HttpError};
pub use self::growing::{Growing, GrowingReader};
pub use self::guard::Reach;

use self::error::host_of;
pub(super) use self::guard::lookup;
use self::guard::{Downgrade, Family, Resolver};
pub(super) use self::ranges::Part;
use super::proxy::{self, Proxy};
#[cfg(target_os = "linux")]
use super::route::Bind;
use super::route::Route;
use crate::tracker::http::MAX_REPLY_BYTES;

/// A guarded HTTP client. Clones share its connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    reach: Reach,
    route: Route,
    /// Understands gzip.
    pages: Client,
    /// Takes bytes as they are, for as long as they come.
    files: Client,
    v4: Client,
    v6: Client,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The HTTP status code, whatever it is.
    pub status: u16,
    /// The headers of the last hop.
    pub headers: HeaderMap,
    /// The decoded body.
    pub body: Bytes,
    /// Where the redirects ended.
    pub final_url: Url,
    /// Where the request should go from now on: as far as the redirects, from the first, were permanent ones.
    pub permanent_redirect: Option<Url>,
    /// Who answered.
    pub remote_addr: Option<SocketAddr>,
}

impl Fetched {
    /// A header's value; `None` if it is not there or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl HttpClient {
    /// A client that goes as far as `reach` by `route` and tells servers that it is `user_agent`.
    ///
    /// # Errors
    ///
    /// If `user_agent` cannot be a header.
    pub fn new(reach: Reach, user_agent: &str, route: &Route) -> Result<Self, HttpError> {
        let prepare = |error| HttpError::Prepare { source: Cause::of(&error) };
        let bound = route.address().map(Family::of);
        let client = |family: Option<Family>, change: fn(ClientBuilder) -> ClientBuilder| {
            let builder = Client::builder()
                .user_agent(user_agent)
                .tls_backend_preconfigured(tls())
                .redirect(reqwest::redirect::Policy::none())
                .http1_only()
                .local_address(route.address())
                .connect_timeout(CONNECT_TIMEOUT);
            #[cfg(target_os = "linux")]
            let builder = match route.bind.as_ref().and_then(Bind::interface) {
                Some(interface) => builder.interface(interface),
                None => builder,
            };
            let builder = match &route.proxy {
                None => builder.no_proxy().dns_resolver(Resolver { reach, family: family.or(bound) }),
                // Only the proxy's own name is looked up here.
                Some(proxy) => builder
                    .proxy(proxy.for_http().map_err(prepare)?)
                    .dns_resolver(Resolver { reach: Reach::Any, family: bound }),
            };
            change(builder).build().map_err(prepare)
        };
        Ok(Self {
            reach,
            route: route.clone(),
            pages: client(None, |builder| builder)?,
            files: client(None, |builder| builder.no_gzip().read_timeout(SILENCE_TIMEOUT))?,
            v4: client(Some(Family::V4), |builder| builder.pool_idle_timeout(ANNOUNCE_IDLE))?,
            v6: client(Some(Family::V6), |builder| builder.pool_idle_timeout(ANNOUNCE_IDLE))?,
        })
    }

    /// Fetches `url` whole, with `headers` sent along, whatever its status.
    ///
    /// Follows up to [`MAX_REDIRECTS`] redirects. `max_bytes` bounds the decoded body, `timeout` the whole exchange.
    /// Credentials among the headers are not sent on to another origin.
    ///
    /// # Errors
    ///
    /// If no whole answer within the bounds came from an address within reach.
    pub async fn get_limited(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        max_bytes: u64,
        timeout: Duration,
    ) -> Result<Fetched, HttpError> {
        let url: Url = url.parse()?;
        let headers = header_map(headers)?;
        self.fetch(&self.pages, url, headers, max_bytes, timeout).await
    }

    /// Sends `body` to `url` by POST with `headers`, and returns the status code of the answer, whose body is not read.
    ///
    /// Follows no redirect: what was meant for one server is not told another. `timeout` bounds the whole exchange.
    ///
    /// # Errors
    ///
    /// If no answer came from an address within reach.
    pub async fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: Bytes,
        timeout: Duration,
    ) -> Result<u16, HttpError> {
        let (url, headers): (Url, _) = (url.parse()?, header_map(headers)?);
        self.reach.check(&url)?;
        let request = self.pages.post(url.clone()).headers(headers).body(body).send();
        match tokio::time::timeout(timeout, request).await {
            Ok(Ok(response)) => Ok(self.came_through(&url, response)?.status().as_u16()),
            Ok(Err(error)) => Err(self.not_sent(&url, &error).await),
            Err(_) => Err(HttpError::Timeout { host: host_of(&url) }),
        }
    }

    /// Sends a request as it stands, of which nothing is known here; a redirect is its answer.
    ///
    /// # Errors
    ///
    /// If no answer began within `timeout`, or its address is out of reach.
    pub async fn send(&self, request: reqwest::Request, timeout: Duration) -> Result<Response, HttpError> {
        let url = request.url().clone();
        self.reach.check(&url)?;
        match tokio::time::timeout(timeout, self.pages.execute(request)).await {
            Ok(Ok(response)) => self.came_through(&url, response),
            Ok(Err(error)) => Err(self.not_sent(&url, &error).await),
            Err(_) => Err(HttpError::Timeout { host: host_of(&url) }),
        }
    }

    /// Opens `url` to be read as it comes, with `headers` sent along, whatever its status.
    ///
    /// # Errors
    ///
    /// If no answer came from an address within reach. The body ends with an error after a minute of silence.
    pub async fn stream(&self, url: &str, headers: &[(&str, &str)]) -> Result<Response, HttpError> {
        let answer = self.open(&self.files, url.parse()?, header_map(headers)?, Downgrade::Refused).await?;
        Ok(answer.response)
    }

    /// Sends an announce or a scrape over each address family that the host has, so that a tracker learns both of our
    /// addresses.
    ///
    /// Once one family has answered, the other gets a second more. A bencoded body counts as an answer whatever its
    /// status.
    pub async fn announce(&self, url: &str) -> Vec<Result<Bytes, HttpError>> {
        let url: Url = match url.parse() {
            Ok(url) => url,
            Err(error) => return vec![Err(HttpError::from(error))],
        };
        if self.route.proxy.is_some() {
            // It has the addresses that it has.
            return vec![self.ask(&self.v4, url).await];
        }
        let literal = guard::literal(&url);
        let families = [(Family::V4, &self.v4), (Family::V6, &self.v6)];
        let bound = self.route.address().map(Family::of);
        let pending: FuturesUnordered<_> = families
            .into_iter()
            .filter(|(family, _)| literal.is_none_or(|ip| family.holds(ip)))
            .filter(|(family, _)| bound.is_none_or(|bound| bound == *family))
            .map(|(_, client)| self.ask(client, url.clone()))
            .collect();
        let mut results = of_both_families(pending).await;
        // That a host has but one family is no failure.
        if results.iter().any(|result| !matches!(result, Err(HttpError::NoAddress { .. }))) {
            results.retain(|result| !matches!(result, Err(HttpError::NoAddress { .. })));
        }
        results
    }

    async fn ask(&self, client: &Client, url: Url) -> Result<Bytes, HttpError> {
        let fetched = self.fetch(client, url, HeaderMap::new(), MAX_REPLY_BYTES as u64, ANNOUNCE_TIMEOUT).await?;
        if fetched.status == 200 || fetched.body.starts_with(b"d") {
            Ok(fetched.body)
        } else {
            Err(status_error(&fetched.final_url, fetched.status, &fetched.headers))
        }
    }

    async fn fetch(
        &self,
        client: &Client,
        url: Url,
        headers: HeaderMap,
        max_bytes: u64,
        timeout: Duration,
    ) -> Result<Fetched, HttpError> {
        let host = host_of(&url);
        let exchange = async {
            let Answer { response, url, permanent } = self.open(client, url, headers, Downgrade::Refused).await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let remote_addr = self.who_answered(&response);
            let body = read_body(response, &url, max_bytes).await?;
            if !body.is_empty() {
                check_encoding(&url, &headers)?;
            }
            Ok(Fetched { status, headers, body, final_url: url, permanent_redirect: permanent, remote_addr })
        };
        tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(HttpError::Timeout { host }))
    }

    /// Follows redirects from `url` to an answer.
    async fn open(
        &self,
        client: &Client,
        mut url: Url,
        mut headers: HeaderMap,
        downgrade: Downgrade,
    ) -> Result<Answer, HttpError> {
        let mut permanent = None;
        let mut all_permanent = true;
        for _ in 0..=MAX_REDIRECTS {
            self.reach.check(&url)?;
            if self.route.proxy.is_some() {
                self.reach.check_name(&url)?;
            }
            let request = client.get(url.clone()).headers(headers.clone());
            let response = match request.send().await {
                Ok(response) => self.came_through(&url, response)?,
                Err(error) => return Err(self.not_sent(&url, &error).await),
            };
            if let Some(addr) = self.who_answered(&response) {
                self.reach.check_address(&url, addr.ip())?;
            }
            let Some((next, is_permanent)) = guard::redirect(&url, response.status(), response.headers(), downgrade)?
            else {
                return Ok(Answer { response, url, permanent });
            };
            all_permanent &= is_permanent;
            if all_permanent {
                permanent = Some(next.clone());
            }
            if next.origin() != url.origin() {
                headers.remove(AUTHORIZATION);
                headers.remove(COOKIE);
            }
            url = next;
        }
        Err(HttpError::Redirects { host: host_of(&url), count: MAX_REDIRECTS + 1 })
    }
}

impl HttpClient {
    /// Who answered, as far as it is known: behind a proxy, only where the URL spells it out.
    fn who_answered(&self, response: &Response) -> Option<SocketAddr> {
        if self.route.proxy.is_none() {
            return response.remote_addr();
        }
        Some(SocketAddr::new(guard::literal(response.url())?, response.url().port_or_known_default()?))
    }

    /// Why no answer came: whose fault it is, if there is a proxy.
    async fn not_sent(&self, url: &Url, error: &reqwest::Error) -> HttpError {
        let Some(proxy) = self.route.proxy.as_ref().filter(|_| error.is_connect()) else {
            return HttpError::of_request(url, error);
        };
        let reached = tokio::time::timeout(CONNECT_TIMEOUT, proxy.connect(&self.route)).await;
        let reached = reached.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        if let Err(error) = reached {
            proxy.note(Some(&proxy::unreachable(&error)));
            return HttpError::Proxy { proxy: proxy.to_string(), source: Cause::of(&error) };
        }
        not_through(proxy, url, Cause::of(error))
    }

    /// An answer, unless it is the proxy's own refusal.
    fn came_through(&self, url: &Url, response: Response) -> Result<Response, HttpError> {
        let Some(proxy) = &self.route.proxy else { return Ok(response) };
        if response.status() == reqwest::StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(not_through(proxy, url, Cause::says(proxy.refuses())));
        }
        proxy.note(None);
        Ok(response)
    }
}

/// That a proxy brings no connection, which is noted.
fn not_through(proxy: &Proxy, url: &Url, source: Cause) -> HttpError {
    let host = host_of(url);
    proxy.note(Some(&format!("{host} is not reached: {source}")));
    HttpError::ThroughProxy { host, proxy: proxy.to_string(), source }
}

/// What comes of asking over each address family. Once one has answered, the other gets a second more.
pub(super) async fn of_both_families<T, E>(
    mut pending: FuturesUnordered<impl Future<Output = Result<T, E>>>,
) -> Vec<Result<T, E>> {
    let mut results: Vec<Result<T, E>> = Vec::with_capacity(pending.len());
    loop {
        let has_answer = results.iter().any(Result::is_ok);
        let patience = if has_answer { SECOND_FAMILY_GRACE } else { Duration::MAX };
        match tokio::time::timeout(patience, pending.next()).await {
            Ok(Some(result)) => results.push(result),
            Ok(None) | Err(_) => return results,
        }
    }
}

/// Makes ring the provider of cryptography for all TLS of this process, unless there is one.
///
/// To be called before a `reqwest` client is made other than through [`HttpClient`].
pub fn install_crypto_provider() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // That there is a provider already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// An answer whose body is still to come.
struct Answer {
    response: Response,
    /// Where the redirects ended.
    url: Url,
    permanent: Option<Url>,
}

async fn read_body(mut response: Response, url: &Url, max_bytes: u64) -> Result<Bytes, HttpError> {
    let too_large = || HttpError::TooLarge { host: host_of(url), limit: max_bytes };
    if response.content_length().is_some_and(|length| length > max_bytes) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| HttpError::of_request(url, &error))? {
        if (body.len() + chunk.len()) as u64 > max_bytes {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Refuses a body that is still compressed: gzip has been undone, and nothing else was asked for.
fn check_encoding(url: &Url, headers: &HeaderMap) -> Result<(), HttpError> {
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => Err(HttpError::Encoding {
            host: host_of(url),
            encoding: String::from_utf8_lossy(encoding.as_bytes()).into_owned(),
        }),
        _ => Ok(()),
    }
}

fn status_error(url: &Url, status: u16, headers: &HeaderMap) -> HttpError {
    HttpError::Status { host: host_of(url), status, retry_after: retry_after(headers) }
}

/// For how long a host wants to be left alone: seconds, or a date, which its own clock tells best. RFC 9110 §10.2.3.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let date = |name| Some(DateTime::parse_from_rfc2822(text(name)?).ok()?.to_utc());
    let asked = text(RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let left = date(RETRY_AFTER)? - date(DATE).unwrap_or_else(Utc::now);
    Some(left.to_std().unwrap_or_default())
}

fn header_map(headers: &[(&str, &str)]) -> Result<HeaderMap, HttpError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let wrong = || HttpError::Header { name: (*name).to_owned() };
        let key: HeaderName = name.parse().map_err(|_| wrong())?;
        let value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        map.append(key, value);
    }
    Ok(map)
}

/// The TLS settings of every client: the system's certificates, read once.
///
/// Without any, plain HTTP still works and every certificate is refused.
fn tls() -> ClientConfig {
    static CONFIG: OnceLock<ClientConfig> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        install_crypto_provider();
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        let (added, ignored) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            tracing::warn!(ignored, "no certificates on this system: https cannot be used");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring supports the versions of TLS that are compiled in")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    });
    config.clone()
}

/// Redirects followed of one request.
pub const MAX_REDIRECTS: usize = 10;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A download or a stream of events that is silent for so long is dead; servers of events breathe every 30 s or less.
const SILENCE_TIMEOUT: Duration = Duration::from_mins(1);

const ANNOUNCE_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to a tracker is kept for a young swarm's next announce, not for an old one's.
const ANNOUNCE_IDLE: Duration = Duration::from_secs(15);

/// What the slower address family gets beyond the faster one: a dead one must not hold up a crowd.
const SECOND_FAMILY_GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
