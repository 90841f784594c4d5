//! Downloads of files that may break off and go on.
//!
//! A part file grows under a name of its own. A sidecar beside it, `PART.http`, holds what the server said of the
//! version that the part is of; the next attempt asks for the rest of that version, and gets the whole file if there
//! is another by now. A part without its sidecar is begun anew.
//!
//! Source: RFC 9110 §13.1.5 (If-Range), §14 (ranges).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncWriteExt as _, BufWriter};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::error::{Cause, HttpError, host_of};
use super::guard::Downgrade;
use super::ranges::is_page;
use super::{Answer, HttpClient, check_encoding, status_error};
use crate::bencode::{self, Limits};

/// How a file is to be downloaded.
#[derive(Clone, Default)]
pub struct DownloadOptions {
    /// The file's length in bytes, where it is known for sure; another length is refused.
    pub expected_len: Option<u64>,
    /// A longer file is refused.
    pub max_bytes: Option<u64>,
    /// Told how many bytes are there, the resumed ones counted, each time some have come.
    pub progress: Option<Arc<dyn Fn(u64) + Send + Sync>>,
    /// Ends the download; the part stays.
    pub cancel: CancellationToken,
}

impl fmt::Debug for DownloadOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected_len, max_bytes, .. } = self;
        f.debug_struct("DownloadOptions")
            .field("expected_len", expected_len)
            .field("max_bytes", max_bytes)
            .finish_non_exhaustive()
    }
}

/// A file that is whole, synced and under its final name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// Its length.
    pub bytes: u64,
    /// How many of them an earlier attempt had fetched.
    pub resumed_from: u64,
}

impl HttpClient {
    /// Fetches `url` into `path` by way of `part`, which an earlier attempt may have begun.
    ///
    /// Both must be in one folder that exists. A redirect from https to http is followed here: media are often hosted
    /// so, and what matters is checked by hash. A part stays after an error, so that the next attempt can go on, unless
    /// the error says that the file is not what was wanted.
    ///
    /// # Errors
    ///
    /// If the file cannot be had whole, is a web page, or is not as long as `options` say.
    pub async fn download(
        &self,
        url: &str,
        part: &Path,
        path: &Path,
        options: &DownloadOptions,
    ) -> Result<Downloaded, HttpError> {
        let job = Job { client: self, url: url.parse()?, part, sidecar: part.with_added_extension("http"), options };
        let downloaded = match job.run().await {
            Err(error @ (HttpError::Length { .. } | HttpError::TooLarge { .. })) => {
                job.discard().await;
                return Err(error);
            }
            downloaded => downloaded?,
        };
        fs::rename(part, path).await.map_err(|source| file_error(path, source))?;
        sync_folder(path).await.map_err(|source| file_error(path, source))?;
        // Without its part a sidecar means nothing.
        let _ = fs::remove_file(&job.sidecar).await;
        Ok(downloaded)
    }
}

/// Some bytes of a file, and how long the server says that the whole is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Where they begin: where it was asked for, or 0 where the server sends no parts of files.
    pub start: u64,
    /// The bytes; fewer than were asked for where the file ends.
    pub bytes: Vec<u8>,
    /// The whole file's length, if the server says it.
    pub total: Option<u64>,
}

impl HttpClient {
    /// Fetches up to `length` bytes of the file at `url` from `start` on, whatever version of it there is now.
    ///
    /// # Errors
    ///
    /// If there is no such file, or it has no bytes there.
    pub async fn sample(&self, url: &str, start: u64, length: usize) -> Result<Sample, HttpError> {
        let range = format!("bytes={start}-{}", start + (length as u64).saturating_sub(1));
        let range = HeaderValue::try_from(range).expect("numbers are a header value");
        let headers = HeaderMap::from_iter([(RANGE, range), (ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
        let Answer { mut response, url, .. } =
            self.open(&self.files, url.parse()?, headers, Downgrade::Followed).await?;
        let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let (start, total) = match (response.status(), range.and_then(ContentRange::parse)) {
            (StatusCode::PARTIAL_CONTENT, Some(ContentRange { start: Some(start), total })) => (start, total),
            (StatusCode::OK, _) => (0, response.content_length()),
            (status, _) => return Err(status_error(&url, status.as_u16(), response.headers())),
        };
        let mut bytes = Vec::new();
        while bytes.len() < length
            && let Some(chunk) = response.chunk().await.map_err(|error| HttpError::of_request(&url, &error))?
        {
            bytes.extend_from_slice(&chunk);
        }
        bytes.truncate(length);
        Ok(Sample { start, bytes, total })
    }
}

/// One attempt.
struct Job<'a> {
    client: &'a HttpClient,
    url: Url,
    part: &'a Path,
    sidecar: PathBuf,
    options: &'a DownloadOptions,
}

/// What is known of the version that a part is of.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    /// Where the download began.
    url: String,
    /// The `ETag`, if it is a strong one, else the `Last-Modified`; verbatim.
    validator: String,
}

/// A part that can be continued.
struct Begun {
    bytes: u64,
    version: Version,
}

/// Bytes on their way into the part.
struct Transfer {
    /// Where they come from; `None` if all are there.
    source: Option<(Response, Url)>,
    part: BufWriter<File>,
    /// Bytes that the part had.
    offset: u64,
    /// The whole file's length, if the server says it.
    total: Option<u64>,
}

impl Job<'_> {
    async fn run(&self) -> Result<Downloaded, HttpError> {
        let transfer = match self.begun().await {
            Some(begun) => self.resume(begun).await?,
            None => None,
        };
        let transfer = match transfer {
            Some(transfer) => transfer,
            None => self.start().await?,
        };
        let resumed_from = transfer.offset;
        let bytes = self.receive(transfer).await?;
        Ok(Downloaded { bytes, resumed_from })
    }

    /// What an earlier attempt left, if its version is known.
    async fn begun(&self) -> Option<Begun> {
        let bytes = fs::metadata(self.part).await.ok()?.len();
        let version: Version = bencode::decode(&fs::read(&self.sidecar).await.ok()?, Limits::MESSAGE).ok()?;
        (bytes > 0 && version.url == self.url.as_str()).then_some(Begun { bytes, version })
    }

    /// Asks for the rest of `begun`; `None` if the server makes no sense of that.
    async fn resume(&self, begun: Begun) -> Result<Option<Transfer>, HttpError> {
        let Ok(validator) = HeaderValue::from_str(&begun.version.validator) else { return Ok(None) };
        let range = HeaderValue::try_from(format!("bytes={}-", begun.bytes)).expect("a number is a header value");
        let answer = self.get(HeaderMap::from_iter([(RANGE, range), (IF_RANGE, validator)])).await?;
        let range = answer.response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
        let range = range.and_then(ContentRange::parse);
        match (answer.response.status(), range) {
            (StatusCode::OK, _) => self.begin(answer).await.map(Some),
            (StatusCode::PARTIAL_CONTENT, Some(range)) if range.start == Some(begun.bytes) => {
                self.check(&answer, range.total)?;
                let source = Some((answer.response, answer.url));
                let part = self.open(OpenOptions::new().append(true)).await?;
                Ok(Some(Transfer { source, part, offset: begun.bytes, total: range.total }))
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(range)) if range.total == Some(begun.bytes) => {
                self.check_length(&answer.url, begun.bytes)?;
                let part = self.open(OpenOptions::new().append(true)).await?;
                Ok(Some(Transfer { source: None, part, offset: begun.bytes, total: range.total }))
            }
            (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, _) => Ok(None),
            (status, _) => Err(status_error(&answer.url, status.as_u16(), answer.response.headers())),
        }
    }

    async fn start(&self) -> Result<Transfer, HttpError> {
        let answer = self.get(HeaderMap::new()).await?;
        match answer.response.status() {
            StatusCode::OK => self.begin(answer).await,
            status => Err(status_error(&answer.url, status.as_u16(), answer.response.headers())),
        }
    }

    /// Begins the part anew with a whole answer.
    async fn begin(&self, answer: Answer) -> Result<Transfer, HttpError> {
        let total = answer.response.content_length();
        self.check(&answer, total)?;
        // In this order no part ever stands beside the sidecar of another version.
        let part = self.open(OpenOptions::new().write(true).create(true).truncate(true)).await?;
        match validator(answer.response.headers()) {
            Some(validator) => {
                let version = bencode::encode(&Version { url: self.url.to_string(), validator });
                fs::write(&self.sidecar, version).await.map_err(|source| file_error(&self.sidecar, source))?;
            }
            None => {
                // If it is not there, so much the better.
                let _ = fs::remove_file(&self.sidecar).await;
            }
        }
        Ok(Transfer { source: Some((answer.response, answer.url)), part, offset: 0, total })
    }

    /// Writes what comes, and returns the length once all is there and synced.
    async fn receive(&self, transfer: Transfer) -> Result<u64, HttpError> {
        let Transfer { source, mut part, offset, total } = transfer;
        let outcome = match source {
            Some((response, url)) => self.copy(response, &url, &mut part, offset, total).await,
            None => Ok(offset),
        };
        // Also what a broken answer has brought is kept.
        part.flush().await.map_err(|source| file_error(self.part, source))?;
        let bytes = outcome?;
        part.get_ref().sync_all().await.map_err(|source| file_error(self.part, source))?;
        Ok(bytes)
    }

    async fn copy(
        &self,
        mut response: Response,
        url: &Url,
        part: &mut BufWriter<File>,
        offset: u64,
        total: Option<u64>,
    ) -> Result<u64, HttpError> {
        let mut bytes = offset;
        while let Some(chunk) =
            self.unless_cancelled(response.chunk()).await?.map_err(|e| HttpError::of_request(url, &e))?
        {
            bytes += chunk.len() as u64;
            if let Some(limit) = self.options.max_bytes.filter(|&limit| bytes > limit) {
                return Err(HttpError::TooLarge { host: host_of(url), limit });
            }
            part.write_all(&chunk).await.map_err(|source| file_error(self.part, source))?;
            if let Some(progress) = &self.options.progress {
                progress(bytes);
            }
        }
        match total {
            Some(total) if bytes < total => {
                Err(HttpError::Broken { host: host_of(url), source: Cause::early(bytes, total) })
            }
            _ => self.check_length(url, bytes).map(|()| bytes),
        }
    }

    async fn get(&self, mut headers: HeaderMap) -> Result<Answer, HttpError> {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        self.unless_cancelled(self.client.open(&self.client.files, self.url.clone(), headers, Downgrade::Followed))
            .await?
    }

    async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T, HttpError> {
        self.options.cancel.run_until_cancelled(work).await.ok_or(HttpError::Cancelled)
    }

    /// Refuses an answer that cannot be the file, or is one of the wrong length.
    fn check(&self, answer: &Answer, total: Option<u64>) -> Result<(), HttpError> {
        let headers = answer.response.headers();
        if headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(is_page) {
            return Err(HttpError::Html { host: host_of(&answer.url) });
        }
        check_encoding(&answer.url, headers)?;
        total.map_or(Ok(()), |total| self.check_length(&answer.url, total))
    }

    fn check_length(&self, url: &Url, got: u64) -> Result<(), HttpError> {
        let host = || host_of(url);
        match (self.options.expected_len, self.options.max_bytes) {
            (Some(want), _) if got != want => Err(HttpError::Length { host: host(), got, want }),
            (_, Some(limit)) if got > limit => Err(HttpError::TooLarge { host: host(), limit }),
            _ => Ok(()),
        }
    }

    async fn open(&self, options: &OpenOptions) -> Result<BufWriter<File>, HttpError> {
        let file = options.open(self.part).await.map_err(|source| file_error(self.part, source))?;
        Ok(BufWriter::with_capacity(WRITE_BYTES, file))
    }

    /// Removes a part that is not of the file that was wanted.
    async fn discard(&self) {
        let _ = fs::remove_file(self.part).await;
        let _ = fs::remove_file(&self.sidecar).await;
    }
}

/// A `Content-Range` of bytes: `bytes 5-9/10`, `bytes 5-9/*` or `bytes */10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) start: Option<u64>,
    pub(super) total: Option<u64>,
}

impl ContentRange {
    pub(super) fn parse(value: &str) -> Option<Self> {
        let (range, total) = value.strip_prefix("bytes ")?.split_once('/')?;
        let start = match range.split_once('-') {
            Some((start, _)) => Some(start.parse().ok()?),
            None => None,
        };
        let total = if total == "*" { None } else { Some(total.parse().ok()?) };
        Some(Self { start, total })
    }
}

/// What names the version of an answer in `If-Range`: a weak `ETag` may not.
pub(super) fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let strong = text(ETAG).filter(|etag| !etag.starts_with("W/"));
    strong.or(text(LAST_MODIFIED)).map(str::to_owned)
}

fn file_error(path: &Path, source: io::Error) -> HttpError {
    HttpError::File { path: path.to_owned(), source }
}

/// Makes a new name in `path`'s folder survive a power cut.
async fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder).await?.sync_all().await } else { Ok(()) }
}

/// Bytes collected before they are written.
const WRITE_BYTES: usize = 256 * 1024;
