//! A part of a file whose length is known, as web seeds are asked for it.
//!
//! Source: RFC 9110 §13.1.5 (If-Range), §14 (ranges).

use std::ops::Range;

use bytes::Bytes;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use url::Url;

use super::download::{ContentRange, validator};
use super::error::{HttpError, host_of};
use super::guard::Downgrade;
use super::{Answer, HttpClient, check_encoding, status_error};

/// A part of a file, or all of it, on its way.
#[derive(Debug)]
pub(in crate::net) struct Part {
    response: Response,
    url: Url,
    /// Where in the file the bytes begin.
    pub(in crate::net) offset: u64,
    /// Whether the server sends the file from its start, whatever it was asked for.
    pub(in crate::net) is_from_the_start: bool,
    /// What names the file's version, if the server says it.
    pub(in crate::net) version: Option<String>,
}

impl Part {
    /// The next bytes; `None` at the end.
    pub(in crate::net) async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        self.response.chunk().await.map_err(|error| HttpError::of_request(&self.url, &error))
    }

    /// Who answered.
    pub(in crate::net) fn host(&self) -> String {
        host_of(&self.url)
    }
}

impl HttpClient {
    /// Asks for `range` of the file of `total` bytes at `url`, in the version that an earlier answer named.
    ///
    /// A redirect from https to http is followed: what comes is checked by hash. If the file has another version by now
    /// the answer is from the start, and names that version.
    ///
    /// # Errors
    ///
    /// If no bytes of a file of that length come from an address within reach.
    pub(in crate::net) async fn part(
        &self,
        url: &str,
        range: Range<u64>,
        total: u64,
        version: Option<&str>,
    ) -> Result<Part, HttpError> {
        let mut headers = HeaderMap::new();
        let value = HeaderValue::try_from(format!("bytes={}-{}", range.start, range.end - 1));
        headers.insert(RANGE, value.expect("numbers are a header value"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(version) = version.and_then(|version| HeaderValue::from_str(version).ok()) {
            headers.insert(IF_RANGE, version);
        }
        let Answer { response, url, .. } = self.open(&self.files, url.parse()?, headers, Downgrade::Followed).await?;
        let headers = response.headers();
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let sent = text(CONTENT_RANGE).and_then(ContentRange::parse);
        let status = response.status();
        let length = match status {
            StatusCode::OK => response.content_length(),
            _ => sent.and_then(|range| range.total),
        };
        if let Some(got) = length.filter(|got| *got != total && is_about_the_file(status)) {
            return Err(HttpError::Length { host: host_of(&url), got, want: total });
        }
        let is_from_the_start = status == StatusCode::OK;
        let offset = if is_from_the_start { Some(0) } else { sent.and_then(|range| range.start) };
        match (status, offset) {
            (StatusCode::OK | StatusCode::PARTIAL_CONTENT, Some(offset)) if offset <= range.start => {
                if text(CONTENT_TYPE).is_some_and(is_page) {
                    return Err(HttpError::Html { host: host_of(&url) });
                }
                check_encoding(&url, headers)?;
                let version = validator(headers);
                Ok(Part { response, url, offset, is_from_the_start, version })
            }
            _ => Err(status_error(&url, status.as_u16(), headers)),
        }
    }
}

/// Whether an answer of this status speaks of the file's length.
fn is_about_the_file(status: StatusCode) -> bool {
    matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE)
}

/// Whether a media type is that of a web page.
pub(super) fn is_page(media_type: &str) -> bool {
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(&*media_type, "text/html" | "application/xhtml+xml")
}
