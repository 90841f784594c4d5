//! Plain HTTP requests from a host of the test's network.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::net::Host;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The header called `name`, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// GETs `url` from `host` with `headers`.
#[track_caller]
pub fn get(host: &Host, url: &str, headers: &[(&'static str, &str)]) -> Answer {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header is ASCII")))
        .collect();
    send(host, url, |client| client.get(url).headers(headers))
}

/// Sends `body` to `url` from `host` as JSON.
#[track_caller]
pub fn post(host: &Host, url: &str, body: &Value) -> Answer {
    send(host, url, |client| client.post(url).json(body))
}

#[track_caller]
fn send(host: &Host, url: &str, request: impl FnOnce(&reqwest::Client) -> reqwest::RequestBuilder + Send) -> Answer {
    const LIMIT: Duration = Duration::from_mins(1);
    // Refused where another test of this process was first, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exchange = async {
        let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
        let response = request(&client).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok::<_, reqwest::Error>(Answer { status, headers, body: response.bytes().await?.into() })
    };
    let answer = host.within(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        runtime.block_on(exchange)
    });
    answer.unwrap_or_else(|error| panic!("`{url}`: {error:?}"))
}
