//! Something small that is served whole from memory: a feed, a page, a style sheet.
//!
//! It is made when its content changes and then only handed out: the bytes, their gzipped form and a strong entity tag
//! for each are computed once. A request costs a comparison of headers and, if the asker has the bytes already, a 304
//! without a body.
//!
//! Law: equal bytes have equal tags, on every machine and after every restart.
//! Source: RFC 9110, sections 8.8, 12.5.3 and 13; tags per encoding, since a tag shared by two encodings breaks the
//! conditional requests of caches between.

use std::io::Write as _;

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::urls::ANY_TOKEN;

/// Content in memory with everything a conditional request needs.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    plain: Variant,
    /// Absent where compression gains nothing.
    gzip: Option<Variant>,
    content_type: HeaderValue,
    last_modified: Option<HeaderValue>,
    link: Option<HeaderValue>,
    cache_control: HeaderValue,
    /// Where it is from now on.
    location: Option<HeaderValue>,
}

/// One encoding of the content.
#[derive(Clone, Debug)]
struct Variant {
    bytes: Bytes,
    length: HeaderValue,
    etag: HeaderValue,
}

impl Variant {
    fn new(bytes: Vec<u8>) -> Self {
        let etag = header_value(&etag(&bytes));
        Self { length: bytes.len().into(), bytes: bytes.into(), etag }
    }
}

impl Resource {
    /// Takes the content; `cache_control` tells caches how long to keep it.
    pub(crate) fn new(content: impl Into<Vec<u8>>, content_type: &'static str, cache_control: &'static str) -> Self {
        let content = content.into();
        let gzip = zipped(&content, Compression::default());
        let gzip = (gzip.len() < content.len()).then(|| Variant::new(gzip));
        Self {
            plain: Variant::new(content),
            gzip,
            content_type: HeaderValue::from_static(content_type),
            last_modified: None,
            link: None,
            cache_control: HeaderValue::from_static(cache_control),
            location: None,
        }
    }

    /// The same, which has moved to `url` for good: every answer says so, with the content for who follows nowhere.
    pub(crate) fn moved_to(self, url: &Url) -> Self {
        Self { location: Some(header_value(url.as_str())), ..self }
    }

    /// The same with the time at which the content changed last.
    pub(crate) fn modified(mut self, at: DateTime<Utc>) -> Self {
        self.last_modified = Some(header_value(&http_date(at)));
        self
    }

    /// The same with what it is linked with (RFC 8288), visible ASCII.
    pub(crate) fn linked(self, links: Option<&str>) -> Self {
        Self { link: links.map(header_value), ..self }
    }

    /// The content itself.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.plain.bytes
    }

    /// Its media type.
    pub(crate) fn content_type(&self) -> &str {
        self.content_type.to_str().expect("it was made of text")
    }

    /// The answer to a request by `method` with `headers`: 304 if the asker has it, else 200.
    pub(crate) fn respond(&self, method: &Method, headers: &HeaderMap) -> Response {
        let answer = self.answer(headers);
        let mut response = answer.head();
        if let Some(bytes) = answer.body().filter(|_| *method != Method::HEAD) {
            *response.body_mut() = Body::from(bytes.clone());
        }
        response
    }

    /// The answer to a subscriber: his token stands where that of any does. Its tags are those of what is the same for
    /// all, at an address that no other has.
    pub(crate) fn respond_with(&self, token: &str, method: &Method, headers: &HeaderMap) -> Response {
        let answer = self.answer(headers);
        let mut response = answer.head();
        if !answer.is_fresh {
            let bytes = with_token(&self.plain.bytes, token);
            // This is made for one asker.
            let bytes = if answer.is_zipped { zipped(&bytes, Compression::fast()) } else { bytes };
            response.headers_mut().insert(header::CONTENT_LENGTH, bytes.len().into());
            if *method != Method::HEAD {
                *response.body_mut() = Body::from(bytes);
            }
        }
        response
    }

    /// What is to be answered to a request with these header fields.
    pub(crate) fn answer(&self, asked: &(impl Fields + ?Sized)) -> Answer<'_> {
        let zipped = self.gzip.as_ref().filter(|_| takes_gzip(asked));
        let variant = zipped.unwrap_or(&self.plain);
        let is_fresh = self.location.is_none() && is_fresh(asked, &variant.etag, self.last_modified.as_ref());
        Answer { resource: self, variant, is_zipped: zipped.is_some(), is_fresh }
    }
}

fn zipped(content: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(content).and_then(|()| encoder.finish()).expect("memory takes every byte")
}

/// `content` with `token` in the place of any.
fn with_token(content: &[u8], token: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(content.len());
    let mut rest = 0;
    for at in memchr::memmem::find_iter(content, ANY_TOKEN) {
        bytes.extend_from_slice(&content[rest..at]);
        bytes.extend_from_slice(token.as_bytes());
        rest = at + ANY_TOKEN.len();
    }
    bytes.extend_from_slice(&content[rest..]);
    bytes
}

/// The answer to one request, before it is written in one way or another.
pub(crate) struct Answer<'a> {
    resource: &'a Resource,
    variant: &'a Variant,
    is_zipped: bool,
    /// Whether the asker has these bytes already.
    is_fresh: bool,
}

impl<'a> Answer<'a> {
    pub(crate) fn status(&self) -> StatusCode {
        match &self.resource.location {
            Some(_) => StatusCode::MOVED_PERMANENTLY,
            None if self.is_fresh => StatusCode::NOT_MODIFIED,
            None => StatusCode::OK,
        }
    }

    /// The header fields that say what this is.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (HeaderName, &'a HeaderValue)> + use<'a> {
        static BY_ENCODING: HeaderValue = HeaderValue::from_static("accept-encoding");
        static GZIP: HeaderValue = HeaderValue::from_static("gzip");
        let Self { resource, variant, is_zipped, is_fresh } = *self;
        let of_body = |name, value| (!is_fresh).then_some((name, value));
        let fields = [
            Some((header::ETAG, &variant.etag)),
            Some((header::CACHE_CONTROL, &resource.cache_control)),
            resource.gzip.is_some().then_some((header::VARY, &BY_ENCODING)),
            resource.last_modified.as_ref().map(|modified| (header::LAST_MODIFIED, modified)),
            resource.link.as_ref().map(|link| (header::LINK, link)),
            resource.location.as_ref().map(|location| (header::LOCATION, location)),
            of_body(header::CONTENT_TYPE, &resource.content_type),
            of_body(header::CONTENT_LENGTH, &variant.length),
            of_body(header::CONTENT_ENCODING, &GZIP).filter(|_| is_zipped),
        ];
        fields.into_iter().flatten()
    }

    /// The answer without its body.
    fn head(&self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status();
        response.headers_mut().extend(self.fields().map(|(name, value)| (name, value.clone())));
        response
    }

    /// What follows them, unless only the head was asked for.
    pub(crate) fn body(&self) -> Option<&'a Bytes> {
        (!self.is_fresh).then_some(&self.variant.bytes)
    }
}

/// The header fields of a request, however they are kept.
pub(crate) trait Fields {
    /// The values of all fields of that name, in their order.
    fn values(&self, name: HeaderName) -> impl Iterator<Item = &[u8]>;
}

impl Fields for HeaderMap {
    fn values(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }
}

/// A strong entity tag for `bytes`, quotes included.
pub(crate) fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", data_encoding::HEXLOWER.encode(&Sha256::digest(bytes)[..16]))
}

/// `at` as HTTP writes dates: `Fri, 20 Nov 2026 18:00:00 GMT`.
pub(crate) fn http_date(at: DateTime<Utc>) -> String {
    at.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Whether the asker has this state of the content already.
///
/// `If-None-Match` decides alone where it is sent.
pub(crate) fn is_fresh(
    asked: &(impl Fields + ?Sized),
    etag: &HeaderValue,
    last_modified: Option<&HeaderValue>,
) -> bool {
    let mut tags = asked.values(header::IF_NONE_MATCH).peekable();
    if tags.peek().is_some() {
        return tags.any(|sent| names_tag(sent, etag));
    }
    let since = asked.values(header::IF_MODIFIED_SINCE).next().and_then(date_of);
    since.zip(last_modified.and_then(|modified| date_of(modified.as_bytes()))).is_some_and(|(since, at)| at <= since)
}

/// Whether `sent`, a list of tags or `*`, names `etag`; a weak tag counts, as the comparison for reading is weak.
fn names_tag(sent: &[u8], etag: &HeaderValue) -> bool {
    let mut tags = sent.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    tags.any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag)
}

/// The time that a header names, in seconds since 1970.
fn date_of(value: &[u8]) -> Option<i64> {
    Some(DateTime::parse_from_rfc2822(str::from_utf8(value).ok()?).ok()?.timestamp())
}

/// Whether the asker decodes gzip.
fn takes_gzip(asked: &(impl Fields + ?Sized)) -> bool {
    asked.values(header::ACCEPT_ENCODING).filter_map(|value| str::from_utf8(value).ok()).any(|value| {
        value.split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let refused = parts.any(|p| p.strip_prefix("q=").is_some_and(|q| q.trim_matches(['0', '.']).is_empty()));
            (name.eq_ignore_ascii_case("gzip") || name == "*") && !refused
        })
    })
}

/// `text`, which is made by us of visible ASCII, as a header.
pub(crate) fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("visible ASCII")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use chrono::TimeZone as _;

    use super::*;

    fn resource() -> Resource {
        let at = Utc.with_ymd_and_hms(2026, 11, 20, 18, 0, 0).unwrap();
        Resource::new("feed ".repeat(200), "application/rss+xml; charset=utf-8", "public, max-age=60").modified(at)
    }

    fn ask(pairs: &[(HeaderName, &str)]) -> Response {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect();
        resource().respond(&Method::GET, &headers)
    }

    #[track_caller]
    fn check(pairs: &[(HeaderName, &str)], status: u16) {
        assert_eq!(ask(pairs).status(), status, "{pairs:?}");
    }

    #[test]
    fn the_tag_sent_back_costs_a_304() {
        let etag = ask(&[]).headers()[header::ETAG].to_str().unwrap().to_owned();
        check(&[(header::IF_NONE_MATCH, &etag)], 304);
        check(&[(header::IF_NONE_MATCH, &format!("\"x\", W/{etag}"))], 304);
        check(&[(header::IF_NONE_MATCH, "*")], 304);
        check(&[(header::IF_NONE_MATCH, "\"x\"")], 200);
        assert!(!ask(&[(header::IF_NONE_MATCH, &etag)]).headers().contains_key(header::CONTENT_LENGTH));
    }

    #[test]
    fn the_date_sent_back_costs_a_304_unless_a_tag_is_sent_too() {
        let modified = ask(&[]).headers()[header::LAST_MODIFIED].to_str().unwrap().to_owned();
        assert_eq!(modified, "Fri, 20 Nov 2026 18:00:00 GMT");
        check(&[(header::IF_MODIFIED_SINCE, &modified)], 304);
        check(&[(header::IF_MODIFIED_SINCE, "Fri, 20 Nov 2026 17:59:59 GMT")], 200);
        check(&[(header::IF_MODIFIED_SINCE, "yesterday")], 200);
        check(&[(header::IF_MODIFIED_SINCE, &modified), (header::IF_NONE_MATCH, "\"x\"")], 200);
    }

    #[tokio::test]
    async fn who_takes_gzip_gets_it_under_its_own_tag() {
        let plain = ask(&[]);
        let zipped = ask(&[(header::ACCEPT_ENCODING, "br, gzip;q=0.5")]);
        assert_eq!(zipped.headers()[header::CONTENT_ENCODING], "gzip");
        assert_ne!(plain.headers()[header::ETAG], zipped.headers()[header::ETAG]);
        assert_eq!(plain.headers()[header::VARY], "accept-encoding");
        let body = axum::body::to_bytes(zipped.into_body(), 4096).await.unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "feed ".repeat(200));
    }

    #[test]
    fn gzip_refused_is_not_sent() {
        for value in ["gzip;q=0", "identity", "", "gzip; q=0.0", "x-gzip-not"] {
            assert!(
                !ask(&[(header::ACCEPT_ENCODING, value)]).headers().contains_key(header::CONTENT_ENCODING),
                "{value}"
            );
        }
    }

    #[tokio::test]
    async fn a_head_request_has_the_length_and_no_body() {
        let response = resource().respond(&Method::HEAD, &HeaderMap::new());
        assert_eq!(response.headers()[header::CONTENT_LENGTH], "1000");
        assert!(axum::body::to_bytes(response.into_body(), 10).await.unwrap().is_empty());
    }

    #[test]
    fn equal_bytes_have_equal_tags() {
        assert_eq!(etag(b"a"), etag(b"a"));
        assert_ne!(etag(b"a"), etag(b"b"));
    }
}
