//! Serving media files: whole, or the ranges that players and web seeds ask for.
//!
//! A file's address holds a part of its content's hash and is never reused, so its entity tag lives as long as it does
//! and caches may keep it for ever. A file that was changed on disk behind our back is not served: its bytes would
//! break every swarm that takes them.
//!
//! Source: RFC 9110, sections 13 and 14; BEP 19 for what web seeds ask.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::Stream;
use podswarm_core::app::range::{self, Asked, ByteRange};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::resource::{header_value, http_date, is_fresh};
use super::uplink::Download;
use crate::numbers::Tally;

/// How much of a file one connection holds in memory.
const CHUNK: usize = 64 << 10;

/// A file that may be served, with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaFile {
    /// Where it is on disk.
    pub(crate) path: PathBuf,
    /// Its length in bytes, as published.
    pub(crate) length: u64,
    /// Its modification time as published, in nanoseconds since 1970; `None` where only the length is held against it.
    pub(crate) mtime: Option<i64>,
    /// Its media type.
    pub(crate) mime: String,
    /// A strong entity tag, quotes included.
    pub(crate) etag: String,
    /// When it was published.
    pub(crate) modified: DateTime<Utc>,
}

/// Why a file that the library names is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MediaError {
    /// It is gone or cannot be read.
    #[error("open `{path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It is not what was published any more.
    #[error("`{path}` was changed after it was published")]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

impl MediaFile {
    /// The answer to a request by `method` with `headers`; `meter` takes note of every byte sent.
    pub(crate) async fn respond(
        &self,
        method: &Method,
        headers: &HeaderMap,
        meter: Meter,
    ) -> Result<Response, MediaError> {
        let asked = self.asked(method, headers);
        let mut response = Response::new(Body::empty());
        let out = response.headers_mut();
        out.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        let [etag, modified] = self.validators();
        out.insert(header::ETAG, etag);
        out.insert(header::LAST_MODIFIED, modified);
        let Some(asked) = asked else {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Ok(response);
        };
        let file = self.open().await?;
        let (status, content_type, segments) = match asked {
            Asked::Nothing => {
                *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
                let range = header_value(&format!("bytes */{}", self.length));
                response.headers_mut().insert(header::CONTENT_RANGE, range);
                return Ok(response);
            }
            Asked::Whole => {
                (StatusCode::OK, header_value(&self.mime), vec![Segment::File { at: 0, left: self.length }])
            }
            Asked::Parts(parts) => match parts[..] {
                [part] => {
                    response.headers_mut().insert(header::CONTENT_RANGE, header_value(&self.content_range(part)));
                    (StatusCode::PARTIAL_CONTENT, header_value(&self.mime), vec![part.into()])
                }
                _ => self.multipart(&parts),
            },
        };
        *response.status_mut() = status;
        let out = response.headers_mut();
        out.insert(header::CONTENT_TYPE, content_type);
        out.insert(header::CONTENT_LENGTH, segments.iter().map(Segment::len).sum::<u64>().into());
        if *method != Method::HEAD {
            *response.body_mut() = Body::from_stream(stream(file, segments, meter));
        }
        Ok(response)
    }

    /// What a request wants of the file; `None` if the asker has it.
    pub(crate) fn asked(&self, method: &Method, headers: &HeaderMap) -> Option<Asked> {
        let [etag, modified] = self.validators();
        if is_fresh(headers, &etag, Some(&modified)) {
            return None;
        }
        Some(match headers.get(header::RANGE).and_then(|value| value.to_str().ok()) {
            // A range means something only to GET.
            Some(range) if *method == Method::GET && may_cut(headers, &etag, &modified) => {
                range::parse(range, self.length)
            }
            _ => Asked::Whole,
        })
    }

    /// What tells this state of it from others: its entity tag, and its time.
    fn validators(&self) -> [HeaderValue; 2] {
        [header_value(&self.etag), header_value(&http_date(self.modified))]
    }

    /// Opens the file, if it still is the one that was published.
    async fn open(&self) -> Result<File, MediaError> {
        let fault = |source| MediaError::Open { path: self.path.clone(), source };
        let file = File::open(&self.path).await.map_err(fault)?;
        let metadata = file.metadata().await.map_err(fault)?;
        let same_time = self.mtime.is_none_or(|mtime| mtime_of(&metadata) == Some(mtime));
        if metadata.is_file() && metadata.len() == self.length && same_time {
            Ok(file)
        } else {
            Err(MediaError::Changed { path: self.path.clone() })
        }
    }

    fn content_range(&self, part: ByteRange) -> String {
        format!("bytes {}-{}/{}", part.first, part.last, self.length)
    }

    /// Several parts as one `multipart/byteranges` body.
    fn multipart(&self, parts: &[ByteRange]) -> (StatusCode, HeaderValue, Vec<Segment>) {
        // A tag made of this content's hash cannot stand in the content by chance.
        let boundary = format!("podswarm-{}", self.etag.trim_matches('"'));
        let mut segments = Vec::new();
        for &part in parts {
            let (mime, range) = (&self.mime, self.content_range(part));
            let head = format!("\r\n--{boundary}\r\ncontent-type: {mime}\r\ncontent-range: {range}\r\n\r\n");
            segments.push(Segment::Text(head.into()));
            segments.push(part.into());
        }
        segments.push(Segment::Text(format!("\r\n--{boundary}--\r\n").into()));
        let content_type = header_value(&format!("multipart/byteranges; boundary={boundary}"));
        (StatusCode::PARTIAL_CONTENT, content_type, segments)
    }
}

/// Whether the asker's `Range` may be followed: without an `If-Range`, or with one that names this very state.
fn may_cut(headers: &HeaderMap, etag: &HeaderValue, modified: &HeaderValue) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|condition| condition == etag || condition == modified)
}

/// The modification time of a file, in nanoseconds since 1970.
pub(crate) fn mtime_of(metadata: &std::fs::Metadata) -> Option<i64> {
    let modified = metadata.modified().ok()?;
    let nanos = match modified.duration_since(std::time::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).ok()?,
        Err(before) => -i64::try_from(before.duration().as_nanos()).ok()?,
    };
    Some(nanos)
}

/// A part of a body.
#[derive(Debug)]
enum Segment {
    Text(Bytes),
    File { at: u64, left: u64 },
}

impl Segment {
    fn len(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::File { left, .. } => *left,
        }
    }
}

impl From<ByteRange> for Segment {
    fn from(range: ByteRange) -> Self {
        Self::File { at: range.first, left: range.length() }
    }
}

/// Takes note of the bytes of a file as they are sent, and waits for their turn.
#[derive(Default)]
pub(crate) struct Meter {
    /// Counts the bytes of all answers.
    pub(crate) sent: Arc<AtomicU64>,
    /// Those of this one, if they may be a download.
    pub(crate) tally: Option<Tally>,
    /// Where they wait, if they are many.
    pub(crate) download: Option<Download>,
}

impl Meter {
    fn note(&mut self, at: u64, length: u64) {
        self.sent.fetch_add(length, Ordering::Relaxed);
        if let Some(tally) = &mut self.tally {
            tally.add(at, length);
        }
    }
}

/// The bytes of `segments` in their order, a chunk at a time; `meter` takes note of those of the file.
fn stream(file: File, segments: Vec<Segment>, meter: Meter) -> impl Stream<Item = io::Result<Bytes>> {
    let body = BodyReader { file, position: 0, segments: segments.into(), meter };
    futures_util::stream::try_unfold(body, |mut body| async move { Ok(body.next().await?.map(|chunk| (chunk, body))) })
}

struct BodyReader {
    file: File,
    /// Where the next read of the file begins.
    position: u64,
    segments: VecDeque<Segment>,
    meter: Meter,
}

impl BodyReader {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while let Some(segment) = self.segments.pop_front() {
            match segment {
                Segment::Text(text) => return Ok(Some(text)),
                Segment::File { left: 0, .. } => {}
                Segment::File { at, left } => {
                    let chunk = self.read(at, left).await?;
                    let length = chunk.len() as u64;
                    self.meter.note(at, length);
                    self.segments.push_front(Segment::File { at: at + length, left: left - length });
                    return Ok(Some(chunk));
                }
            }
        }
        Ok(None)
    }

    /// At most one chunk from `at`; an error if the file ends there, since more was promised.
    async fn read(&mut self, at: u64, left: u64) -> io::Result<Bytes> {
        if self.position != at {
            self.position = self.file.seek(io::SeekFrom::Start(at)).await?;
        }
        let mut most = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        if let Some(download) = &mut self.meter.download {
            most = download.turn(most).await;
        }
        let mut chunk = vec![0; most];
        let length = self.file.read(&mut chunk).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        chunk.truncate(length);
        self.position += length as u64;
        Ok(chunk.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixture {
        _dir: tempfile::TempDir,
        file: MediaFile,
        sent: Arc<AtomicU64>,
    }

    fn fixture() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mp3");
        let content: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let mtime = mtime_of(&path.metadata().unwrap());
        let modified = DateTime::from_timestamp(1_000_000_000, 0).unwrap();
        let file = MediaFile {
            path,
            length: 200_000,
            mtime,
            mime: "audio/mpeg".to_owned(),
            etag: "\"abc\"".to_owned(),
            modified,
        };
        Fixture { _dir: dir, file, sent: Arc::default() }
    }

    impl Fixture {
        fn meter(&self) -> Meter {
            Meter { sent: Arc::clone(&self.sent), ..Meter::default() }
        }
    }

    async fn ask(fixture: &Fixture, method: Method, pairs: &[(header::HeaderName, &str)]) -> (Response, Vec<u8>) {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect();
        let mut response = fixture.file.respond(&method, &headers, fixture.meter()).await.unwrap();
        let body = std::mem::take(response.body_mut());
        (response, axum::body::to_bytes(body, 1 << 20).await.unwrap().to_vec())
    }

    fn content(range: std::ops::Range<u32>) -> Vec<u8> {
        range.map(|i| (i % 251) as u8).collect()
    }

    #[tokio::test]
    async fn the_whole_file_comes_with_its_length_and_type() {
        let fixture = fixture();
        let (response, body) = ask(&fixture, Method::GET, &[]).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_LENGTH], "200000");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "audio/mpeg");
        assert_eq!(response.headers()[header::ACCEPT_RANGES], "bytes");
        assert_eq!(response.headers()[header::LAST_MODIFIED], "Sun, 09 Sep 2001 01:46:40 GMT");
        assert_eq!(body, content(0..200_000));
        assert_eq!(fixture.sent.load(Ordering::Relaxed), 200_000);
    }

    #[tokio::test]
    async fn a_head_request_sends_no_bytes() {
        let fixture = fixture();
        let (response, body) = ask(&fixture, Method::HEAD, &[(header::RANGE, "bytes=0-1")]).await;
        assert_eq!((response.status().as_u16(), body.len()), (200, 0));
        assert_eq!(response.headers()[header::CONTENT_LENGTH], "200000");
        assert_eq!(fixture.sent.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_range_is_cut_out_exactly() {
        let fixture = fixture();
        let (response, body) = ask(&fixture, Method::GET, &[(header::RANGE, "bytes=100-150000")]).await;
        assert_eq!(response.status(), 206);
        assert_eq!(response.headers()[header::CONTENT_RANGE], "bytes 100-150000/200000");
        assert_eq!(response.headers()[header::CONTENT_LENGTH], "149901");
        assert_eq!(body, content(100..150_001));
    }

    #[tokio::test]
    async fn several_ranges_come_as_one_multipart_body() {
        let (response, body) = ask(&fixture(), Method::GET, &[(header::RANGE, "bytes=-3,0-1")]).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "multipart/byteranges; boundary=podswarm-abc");
        assert_eq!(response.headers()[header::CONTENT_LENGTH], body.len().to_string());
        let mut want = b"\r\n--podswarm-abc\r\ncontent-type: audio/mpeg\r\n".to_vec();
        want.extend_from_slice(b"content-range: bytes 199997-199999/200000\r\n\r\n");
        want.extend(content(199_997..200_000));
        want.extend_from_slice(b"\r\n--podswarm-abc\r\ncontent-type: audio/mpeg\r\n");
        want.extend_from_slice(b"content-range: bytes 0-1/200000\r\n\r\n\0\x01\r\n--podswarm-abc--\r\n");
        assert_eq!(body, want);
    }

    #[tokio::test]
    async fn a_range_outside_is_416_with_the_length() {
        let (response, _) = ask(&fixture(), Method::GET, &[(header::RANGE, "bytes=200000-")]).await;
        assert_eq!(response.status(), 416);
        assert_eq!(response.headers()[header::CONTENT_RANGE], "bytes */200000");
    }

    #[tokio::test]
    async fn if_range_with_another_state_gets_the_whole_file() {
        let fixture = fixture();
        for (condition, status) in [
            ("\"abc\"", 206),
            ("\"old\"", 200),
            ("W/\"abc\"", 200),
            ("Sun, 09 Sep 2001 01:46:40 GMT", 206),
            ("Sun, 09 Sep 2001 01:46:41 GMT", 200),
        ] {
            let pairs = [(header::RANGE, "bytes=0-1"), (header::IF_RANGE, condition)];
            let (response, _) = ask(&fixture, Method::GET, &pairs).await;
            assert_eq!(response.status(), status, "{condition}");
        }
    }

    #[tokio::test]
    async fn the_tag_sent_back_costs_a_304() {
        let (response, body) = ask(&fixture(), Method::GET, &[(header::IF_NONE_MATCH, "\"abc\"")]).await;
        assert_eq!((response.status().as_u16(), body.len()), (304, 0));
    }

    #[tokio::test]
    async fn a_file_changed_after_publishing_is_not_served() {
        let fixture = fixture();
        std::fs::write(&fixture.file.path, b"other").unwrap();
        let answer = fixture.file.respond(&Method::GET, &HeaderMap::new(), fixture.meter()).await;
        assert!(matches!(answer, Err(MediaError::Changed { .. })));
        std::fs::remove_file(&fixture.file.path).unwrap();
        let answer = fixture.file.respond(&Method::GET, &HeaderMap::new(), fixture.meter()).await;
        assert!(matches!(answer, Err(MediaError::Open { .. })));
    }
}
