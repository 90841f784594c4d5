//! The other end of a daemon's control API.
//!
//! Speaks JSON over HTTP with a bearer token; long work is answered by a stream of JSON lines. What the daemon refuses
//! becomes a [`Failure`] with the daemon's own words, so that a command reads the same with and without a daemon.

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::control::Ping;
use super::failure::{ApiError, Explain, Failure};

/// A daemon on this machine accepts at once or not at all; one elsewhere may be far.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A daemon that lives answers a ping at once, even when it is busy.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest answer that is read at once: a listing of a few hundred thousand episodes.
const MAX_ANSWER: usize = 256 << 20;
/// The longest line of a stream.
const MAX_LINE: usize = 16 << 20;

/// Sends requests to one daemon.
///
/// Paths are relative to `/api/v1/`, such as `shows`; [`api_path`] builds one from parts that people named. A request
/// has no time limit of its own, since hashing takes as long as it takes; dropping the future gives it up.
#[derive(Clone, Debug)]
pub struct ControlClient {
    base: Url,
    authorization: HeaderValue,
    http: Client,
}

impl ControlClient {
    /// A client for the daemon at `addr` on this machine; proxies do not come between.
    pub(super) fn local(addr: SocketAddr, token: &str) -> Result<Self, Failure> {
        let base = Url::parse(&format!("http://{addr}/")).explain(|| format!("the address {addr}"))?;
        Self::new(base, token, client_builder().no_proxy())
    }

    /// A client for the daemon at the URL `server`, with the token that `token_file` holds. Sends nothing yet.
    pub fn remote(server: &str, token_file: &Path) -> Result<Self, Failure> {
        let not_a_url = || {
            Failure::usage(format!("--server `{server}` is no http or https URL"))
                .with_hint("write it like https://podcast.example:6969")
        };
        let mut base = Url::parse(server).map_err(|_| not_a_url())?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(not_a_url());
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.set_query(None);
        base.set_fragment(None);
        let token = std::fs::read_to_string(token_file).map_err(|error| {
            Failure::usage(format!("read the token file `{}`", token_file.display())).because(error)
        })?;
        let token = token.trim();
        if token.is_empty() {
            return Err(Failure::usage(format!("token file `{}` is empty", token_file.display())));
        }
        Self::new(base, token, client_builder())
    }

    fn new(base: Url, token: &str, http: reqwest::ClientBuilder) -> Result<Self, Failure> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| Failure::usage("the token holds characters that no token has"))?;
        authorization.set_sensitive(true);
        // Whoever was first has chosen the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = http.build().explain(|| "set up the HTTP client".to_owned())?;
        Ok(Self { base, authorization, http })
    }

    /// Where the daemon is.
    pub const fn server(&self) -> &Url {
        &self.base
    }

    /// Asks which daemon this is; gives up after two seconds.
    pub async fn ping(&self) -> Result<Ping, Failure> {
        let request = self.request(Method::GET, "ping")?.timeout(PING_TIMEOUT);
        self.answer(self.send(request).await?).await
    }

    /// Gets the value at `path`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let request = self.request(Method::GET, path)?;
        self.answer(self.send(request).await?).await
    }

    /// Posts `body` to `path`; an answer without a body reads as `null`.
    pub async fn post<B: Serialize + ?Sized, T: DeserializeOwned>(&self, path: &str, body: &B) -> Result<T, Failure> {
        let request = self.request(Method::POST, path)?.json(body);
        self.answer(self.send(request).await?).await
    }

    /// Deletes what is at `path`; an answer without a body reads as `null`.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let request = self.request(Method::DELETE, path)?;
        self.answer(self.send(request).await?).await
    }

    /// Posts `body` to `path` and reads the answer line by line as the work goes on.
    pub async fn post_stream<B: Serialize + ?Sized, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<Lines<T>, Failure> {
        let request = self.request(Method::POST, path)?.json(body);
        Ok(self.lines(self.send(request).await?))
    }

    /// A request that carries the token, for [`ControlClient::send`]: for bodies and methods that have no call here.
    pub fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Failure> {
        let url = self.base.join("api/v1/").and_then(|api| api.join(path));
        let url = url.explain(|| format!("the path `{path}` of the control API"))?;
        Ok(self.http.request(method, url).header(AUTHORIZATION, self.authorization.clone()))
    }

    /// Sends a request; an answer with another status than 2xx is the daemon's refusal.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = self.body(response).await?;
        Err(self.refusal(status, &body))
    }

    /// Reads the answer to a request of [`ControlClient::send`] as JSON; an empty one reads as `null`.
    pub async fn answer<T: DeserializeOwned>(&self, response: Response) -> Result<T, Failure> {
        let body = self.body(response).await?;
        let body = if body.is_empty() { b"null" } else { &body[..] };
        serde_json::from_slice(body)
            .explain(|| format!("the daemon at {} answers what this version cannot read", self.base))
    }

    /// Reads the answer to a request of [`ControlClient::send`] line by line.
    pub fn lines<T>(&self, response: Response) -> Lines<T> {
        Lines { client: self.clone(), response, buffer: Vec::new(), read: PhantomData }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Failure::new(format!("the daemon at {} answers more than {MAX_ANSWER} bytes", self.base)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> Failure {
        if let Ok(error) = serde_json::from_slice::<ApiError>(body) {
            return error.into();
        }
        let failure = Failure::new(format!("the daemon at {} answers {status}", self.base));
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => failure.with_hint("check the token in --token-file"),
            _ => failure,
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        Failure::new(format!("reach the daemon at {}", self.base))
            .because(error.without_url())
            .with_hint("see that it runs; its log says why if it stopped")
    }

    fn broken(&self, error: reqwest::Error) -> Failure {
        Failure::new(format!("the daemon at {} broke off its answer", self.base))
            .because(error.without_url())
            .with_hint("see that it runs; its log says why if it stopped")
    }
}

fn client_builder() -> reqwest::ClientBuilder {
    // No redirects: the token is for one server.
    Client::builder().connect_timeout(CONNECT_TIMEOUT).redirect(redirect::Policy::none())
}

/// The path of `segments` below `/api/v1/` with a query of `pairs`, everything that people named percent-encoded:
/// `api_path(&["shows", "a b"], &[("q", "x&y")])` is `shows/a%20b?q=x%26y`.
pub fn api_path(segments: &[&str], pairs: &[(&str, &str)]) -> String {
    let encode = |text: &str| match text {
        // As a whole segment these walk up the path, encoded or not; encoded twice they are merely not found.
        "." | ".." => text.replace('.', "%252E"),
        text => percent_encode(text.as_bytes(), NON_ALPHANUMERIC).to_string(),
    };
    let path = segments.iter().map(|segment| encode(segment)).collect::<Vec<_>>().join("/");
    let query = pairs.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value)));
    let query = query.collect::<Vec<_>>().join("&");
    if query.is_empty() { path } else { format!("{path}?{query}") }
}

/// A daemon's answer, read as it comes: one JSON value per line.
#[derive(Debug)]
pub struct Lines<T> {
    client: ControlClient,
    response: Response,
    /// What came after the last whole line.
    buffer: Vec<u8>,
    read: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Lines<T> {
    /// Waits for the next value; `None` once the daemon has finished.
    ///
    /// A line that is an [`ApiError`] fails, as does an answer that breaks off. Empty lines are heartbeats and passed
    /// over. Not to be used again after a failure.
    pub async fn next(&mut self) -> Result<Option<T>, Failure> {
        let mut seen = 0;
        loop {
            if let Some(end) = self.buffer[seen..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=seen + end).collect();
                seen = 0;
                match self.parse(line.trim_ascii())? {
                    None => continue,
                    value => return Ok(value),
                }
            }
            seen = self.buffer.len();
            if seen > MAX_LINE {
                let server = self.client.server();
                return Err(Failure::new(format!("the daemon at {server} sends a line of more than {MAX_LINE} bytes")));
            }
            let Some(chunk) = self.response.chunk().await.map_err(|error| self.client.broken(error))? else {
                // The last line may lack its end.
                let rest = std::mem::take(&mut self.buffer);
                return self.parse(rest.trim_ascii());
            };
            self.buffer.extend_from_slice(&chunk);
        }
    }

    fn parse(&self, line: &[u8]) -> Result<Option<T>, Failure> {
        if line.is_empty() {
            return Ok(None);
        }
        if let Ok(error) = serde_json::from_slice::<ApiError>(line) {
            return Err(error.into());
        }
        let value = serde_json::from_slice(line)
            .explain(|| format!("the daemon at {} sends what this version cannot read", self.client.server()))?;
        Ok(Some(value))
    }
}
