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

/// A daemon elsewhere may be far; one on this machine accepts at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A daemon that lives answers a ping soon, even on a busy machine.
const PING_TIMEOUT: Duration = Duration::from_secs(5);
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
        // The system's certificates are of no use here, and reading them takes longer than most commands.
        Self::new(base, token, client_builder().no_proxy().tls_certs_only([]))
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

    /// Asks which daemon this is; gives up after five seconds.
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
        if let Ok(ApiError { error, hint }) = serde_json::from_slice(body) {
            let failure = if status == StatusCode::BAD_REQUEST { Failure::usage(error) } else { Failure::new(error) };
            return failure.with_any_hint(hint);
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::app::canned::Canned;

    /// Has `call` talk to a daemon that gives one answer; returns what it got and what the daemon was asked.
    async fn exchange<T, C>(status: u16, body: &str, call: C) -> (T, String)
    where
        C: AsyncFnOnce(ControlClient) -> T,
    {
        let server = Canned::listen().await;
        let client = ControlClient::local(server.addr(), "sesame").unwrap();
        let (result, mut requests) = tokio::join!(call(client), server.answer(vec![(status, body.to_owned())]));
        (result, requests.remove(0))
    }

    #[tokio::test]
    async fn a_request_carries_the_token_and_gives_the_answer() {
        let (got, request) =
            exchange(200, r#"["a","b"]"#, async |client| client.get::<Vec<String>>("shows?all=1").await).await;
        assert_eq!(got.unwrap(), ["a", "b"]);
        assert!(request.starts_with("GET /api/v1/shows?all=1 HTTP/1.1\r\n"), "{request}");
        assert!(request.to_lowercase().contains("\r\nauthorization: bearer sesame\r\n"), "{request}");
    }

    #[tokio::test]
    async fn a_post_sends_json_and_an_empty_answer_reads_as_nothing() {
        let (got, request) = exchange(200, "", async |client| {
            client.post::<_, Option<u8>>("publish", &json!({"path": "/ep.mp3"})).await
        })
        .await;
        assert_eq!(got.unwrap(), None);
        assert!(
            request.starts_with("POST /api/v1/publish ") && request.ends_with("{\"path\":\"/ep.mp3\"}"),
            "{request}"
        );
        let (got, request) = exchange(200, "", async |client| client.delete::<()>("shows/x").await).await;
        got.unwrap();
        assert!(request.starts_with("DELETE /api/v1/shows/x "), "{request}");
    }

    #[tokio::test]
    async fn a_refusal_has_the_daemons_own_words() {
        let body = r#"{"error":"no show `x`","hint":"see `podpub shows`"}"#;
        for (status, code) in [(400, 2), (404, 1), (500, 1)] {
            let (got, _) = exchange(status, body, async |client| client.get::<Value>("shows/x").await).await;
            let failure = got.unwrap_err();
            assert_eq!((failure.to_string().as_str(), failure.hint()), ("no show `x`", Some("see `podpub shows`")));
            assert_eq!(failure.code(), code);
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_not_the_daemons_is_told_by_its_status() {
        let (got, _) = exchange(401, "<html>", async |client| client.get::<Value>("shows").await).await;
        let failure = got.unwrap_err();
        assert!(failure.to_string().contains("401 Unauthorized"), "{failure}");
        assert!(failure.hint().unwrap().contains("--token-file"));
        let (got, _) = exchange(200, "<html>", async |client| client.get::<Value>("shows").await).await;
        assert!(got.unwrap_err().to_string().contains("this version cannot read"));
        // The token must not follow a redirect to another server.
        let (got, _) = exchange(302, "", async |client| client.get::<Value>("shows").await).await;
        assert!(got.unwrap_err().to_string().contains("302 Found"));
    }

    #[tokio::test]
    async fn a_daemon_that_is_gone_is_named() {
        let addr = Canned::listen().await.addr();
        let client = ControlClient::local(addr, "sesame").unwrap();
        let failure = client.get::<Value>("shows").await.unwrap_err();
        assert!(failure.to_string().starts_with(&format!("reach the daemon at http://{addr}/: ")), "{failure}");
        assert!(!format!("{client:?}").contains("sesame"));
    }

    async fn stream(body: &str) -> Result<Vec<Value>, (Vec<Value>, Failure)> {
        let mut values = Vec::new();
        let (ended, _) = exchange(200, body, async |client| {
            let mut lines = client.post_stream("publish", &()).await?;
            while let Some(value) = lines.next().await? {
                values.push(value);
            }
            Ok::<_, Failure>(())
        })
        .await;
        ended.map(|()| values.clone()).map_err(|failure| (values, failure))
    }

    #[tokio::test]
    async fn a_stream_is_read_line_by_line_past_heartbeats() {
        let values = stream("{\"done\":1}\n\n{\"done\":2}\r\n{\"done\":3}").await.unwrap();
        assert_eq!(values, [json!({"done": 1}), json!({"done": 2}), json!({"done": 3})]);
        assert_eq!(stream("").await.unwrap(), [Value::Null; 0]);
        // A value may well have an error among its fields.
        let value = json!({"state": "failed", "error": "disk full"});
        assert_eq!(stream(&value.to_string()).await.unwrap(), [value]);
    }

    #[tokio::test]
    async fn a_stream_that_ends_in_an_error_fails_with_it() {
        let (values, failure) = stream("{\"done\":1}\n{\"error\":\"disk full\"}\n").await.unwrap_err();
        assert_eq!(values, [json!({"done": 1})]);
        assert_eq!(failure.to_string(), "disk full");
        let (_, failure) = stream("{\"done\":").await.unwrap_err();
        assert!(failure.to_string().contains("this version cannot read"), "{failure}");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_fails() {
        let server = Canned::listen().await;
        let client = ControlClient::local(server.addr(), "sesame").unwrap();
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"done\":1}\n";
        let call = async {
            let mut lines = client.post_stream::<_, Value>("publish", &()).await?;
            assert_eq!(lines.next().await?, Some(json!({"done": 1})));
            lines.next().await
        };
        let (result, _) = tokio::join!(call, server.answer_raw(answer));
        assert!(result.unwrap_err().to_string().contains("broke off its answer"));
    }

    #[test]
    fn what_people_named_stays_one_segment_of_a_path() {
        assert_eq!(api_path(&["shows", "a b"], &[("q", "x&y"), ("n", "1")]), "shows/a%20b?q=x%26y&n=1");
        assert_eq!(api_path(&["shows", "a/../b"], &[]), "shows/a%2F%2E%2E%2Fb");
        let client = ControlClient::local("127.0.0.1:1".parse().unwrap(), "sesame").unwrap();
        for hostile in ["..", ".", "a/../../b", "//evil/x", "http://evil/", "?x", "#x"] {
            let request =
                client.request(Method::GET, &api_path(&["shows", hostile, "x"], &[])).unwrap().build().unwrap();
            assert_eq!(request.url().host_str(), Some("127.0.0.1"));
            assert_eq!(request.url().path_segments().unwrap().count(), 5, "{}", request.url());
        }
    }

    #[test]
    fn a_daemon_elsewhere_is_named_by_an_http_url_and_a_token_file() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, " sesame\n").unwrap();
        let client = ControlClient::remote("https://podcast.example/pods?x#y", &token).unwrap();
        let request = client.request(Method::GET, "shows").unwrap().build().unwrap();
        assert_eq!(request.url().as_str(), "https://podcast.example/pods/api/v1/shows");
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer sesame");

        for server in ["podcast.example:6969", "ftp://x/", "unix:/x", ""] {
            assert_eq!(ControlClient::remote(server, &token).unwrap_err().code(), 2, "{server}");
        }
        std::fs::write(&token, "\n").unwrap();
        assert!(ControlClient::remote("http://x/", &token).unwrap_err().to_string().contains("is empty"));
        std::fs::write(&token, "a\nb").unwrap();
        assert_eq!(ControlClient::remote("http://x/", &token).unwrap_err().code(), 2);
        assert_eq!(ControlClient::remote("http://x/", &folder.path().join("none")).unwrap_err().code(), 2);
    }
}
