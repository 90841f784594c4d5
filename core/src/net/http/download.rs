//! Downloads of files that may break off and go on.
//!
//! A part file grows under a name of its own. A sidecar beside it, `PART.http`, holds what the server said of the
//! version that the part is of; the next attempt asks for the rest of that version, and gets the whole file if there
//! is another by now. A part without its sidecar is begun anew.
//!
//! Who reads the part meanwhile ([`Growing`]) is served first: what he jumps to is asked for as a range of the same
//! version, and the hole before it is filled later. From the first hole on the sidecar says which bytes are there; what
//! comes after it was written last is fetched again after a crash. An answer that is left for another is not ended but
//! not read on, and taken up again where it stopped.
//!
//! Source: RFC 9110 §13.1.5 (If-Range), §14 (ranges).

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED,
    RANGE,
};
use reqwest::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _, BufWriter, SeekFrom};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::error::{Cause, HttpError, host_of};
use super::growing::{About, Growing, Hole, Runs, STEP};
use super::guard::Downgrade;
use super::ranges::is_page;
use super::{Answer, HttpClient, check_encoding, status_error};
use crate::bencode::{self, Limits};
use crate::net::durable::write_atomic;

/// How a file is to be downloaded.
#[derive(Clone, Default)]
pub struct DownloadOptions {
    /// The file's length in bytes, where it is known for sure; another length is refused.
    pub expected_len: Option<u64>,
    /// A longer file is refused.
    pub max_bytes: Option<u64>,
    /// Told how many bytes are there, the resumed ones counted, each time some have come.
    pub progress: Option<Arc<dyn Fn(u64) + Send + Sync>>,
    /// The part, for those who read it while it comes.
    pub growing: Growing,
    /// Ends the download; the part stays.
    pub cancel: CancellationToken,
    /// A server that sends nothing for so long has failed; after a minute it has in any case.
    pub silence: Option<Duration>,
    /// What is asked of the file once it is whole, before it has its name.
    pub check: Option<Check>,
}

/// Tells what is wrong with a file that is whole; `None` if nothing is.
#[derive(Clone)]
pub struct Check(Arc<LookAt>);

type LookAt = dyn Fn(&Path) -> io::Result<Option<String>> + Send + Sync;

impl Check {
    /// Has `check` look at the file, on a thread that may wait for the disk. What it says goes on the name of the host,
    /// such as "sends another file".
    pub fn new(check: impl Fn(&Path) -> io::Result<Option<String>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(check))
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check")
    }
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
    /// the error says that the file is not what was wanted. What readers of [`DownloadOptions::growing`] wait for comes
    /// first.
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
        let _attempt = options.growing.attempt();
        let job =
            Job { client: self, url: url.parse()?, part, path, sidecar: part.with_added_extension("http"), options };
        let downloaded = match job.run().await {
            Err(error @ (HttpError::Length { .. } | HttpError::Refused { .. } | HttpError::TooLarge { .. })) => {
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
    path: &'a Path,
    sidecar: PathBuf,
    options: &'a DownloadOptions,
}

/// What is known of the version that a part is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    /// Where the download began.
    url: String,
    /// The `ETag`, if it is a strong one, else the `Last-Modified`; verbatim.
    validator: String,
    /// How long the file is, in bytes, if the server said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length: Option<u64>,
}

/// The sidecar of a part with holes. Who does not know of holes cannot read it, and begins the part anew.
#[derive(Debug, Serialize, Deserialize)]
struct Holed {
    version: Version,
    /// The bytes that are there, as starts and ends.
    runs: Vec<[u64; 2]>,
}

/// What a sidecar says: the version, and the bytes that are there where the part has holes.
fn read_sidecar(sidecar: &[u8]) -> Option<(Version, Option<Vec<[u64; 2]>>)> {
    let plain = bencode::decode(sidecar, Limits::MESSAGE).map(|version| (version, None));
    let holed = || bencode::decode(sidecar, Limits::MESSAGE).map(|Holed { version, runs }| (version, Some(runs)));
    plain.or_else(|_| holed()).ok()
}

/// How long the file is, in bytes, of which `part` is a part, as far as its server has said. Blocks the thread.
pub fn length_begun(part: &Path) -> Option<u64> {
    let sidecar = std::fs::read(part.with_added_extension("http")).ok()?;
    read_sidecar(&sidecar)?.0.length
}

/// A part that can be continued.
struct Begun {
    version: Version,
    is_holed: bool,
}

/// Bytes on their way into the part.
struct Transfer {
    part: BufWriter<File>,
    /// What was written, and nobody was told of yet.
    unseen: Range<u64>,
    /// What is asked for further parts; without it none can be.
    version: Option<Version>,
    /// The sidecar says which bytes are there.
    is_holed: bool,
    /// Bytes that came since it was written.
    unsaid: u64,
    /// Where the redirects ended.
    url: Url,
    /// Answers that are to be read on.
    sources: Vec<Source>,
}

/// An answer whose bytes are yet to be read.
struct Source {
    response: Response,
    url: Url,
    /// Where in the file its next bytes belong.
    at: u64,
    /// Where they end, if that is known.
    end: Option<u64>,
    /// It was left for another meanwhile; its server may have lost patience.
    has_rested: bool,
}

/// Why an answer is read no further.
enum Pause {
    /// It has brought what was missing.
    Filled,
    /// A reader waits elsewhere.
    Wanted,
}

impl Job<'_> {
    async fn run(&self) -> Result<Downloaded, HttpError> {
        let transfer = match self.begun().await {
            Some(begun) => self.resume(begun).await?,
            None => None,
        };
        let mut transfer = match transfer {
            Some(transfer) => transfer,
            None => self.start().await?,
        };
        let resumed_from = self.growing().bytes();
        let outcome = self.fill(&mut transfer).await;
        // Also what a broken answer has brought is kept.
        self.publish(&mut transfer).await?;
        if outcome.is_err() && transfer.is_holed {
            self.say_what_is_there(&mut transfer).await?;
        }
        let bytes = outcome?;
        transfer.part.get_ref().sync_all().await.map_err(|source| file_error(self.part, source))?;
        self.look_at(&transfer.url).await?;
        Ok(Downloaded { bytes, resumed_from })
    }

    /// Tells the readers what the server says of the file.
    fn describe(&self, length: Option<u64>, has_version: bool, has_parts: bool) {
        let (part, path) = (self.part.to_owned(), self.path.to_owned());
        let can_jump = has_version && has_parts && length.is_some();
        self.growing().described(About { part, path, length, can_jump, has_parts });
    }

    const fn growing(&self) -> &Growing {
        &self.options.growing
    }

    /// What an earlier attempt left, if its version is known.
    async fn begun(&self) -> Option<Begun> {
        let bytes = fs::metadata(self.part).await.ok()?.len();
        let sidecar = fs::read(&self.sidecar).await.ok()?;
        let (version, runs) = read_sidecar(&sidecar)?;
        let is_holed = runs.is_some();
        let runs = runs.unwrap_or_else(|| vec![[0, bytes]]);
        let is_sound = runs.iter().all(|[start, end]| start <= end && *end <= bytes);
        let runs: Runs = runs.into_iter().filter(|_| is_sound).collect();
        let can_be_asked_for = version.url == self.url.as_str() && HeaderValue::from_str(&version.validator).is_ok();
        if runs.bytes() == 0 || !can_be_asked_for {
            return None;
        }
        self.growing().found(runs);
        Some(Begun { version, is_holed })
    }

    /// Asks for the rest of `begun`; `None` if the server makes no sense of that.
    async fn resume(&self, begun: Begun) -> Result<Option<Transfer>, HttpError> {
        let hole = self.growing().next_hole().expect("where the file ends is not known yet");
        let asked = self.step(hole);
        let answer = self.get(&self.url, range_of(&asked, Some(&begun.version))).await?;
        let range = content_range(&answer);
        let (source, total) = match (answer.response.status(), range) {
            (StatusCode::OK, _) => return self.begin(answer, None).await.map(Some),
            // Where nobody says how long it is, all of the rest is wanted.
            (StatusCode::PARTIAL_CONTENT, Some(range))
                if range.start == Some(hole.start) && (range.total.is_some() || asked == hole) =>
            {
                self.check(&answer, range.total)?;
                (Some(&asked), range.total)
            }
            (StatusCode::RANGE_NOT_SATISFIABLE, Some(range))
                if range.total == Some(hole.start) && hole.end.is_none() =>
            {
                self.check_length(&answer.url, hole.start)?;
                (None, range.total)
            }
            (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, _) => return Ok(None),
            (status, _) => return Err(status_error(&answer.url, status.as_u16(), answer.response.headers())),
        };
        let part = self.open(OpenOptions::new().write(true)).await?;
        self.describe(total, true, true);
        let url = answer.url.clone();
        let sources = source.map(|asked| Source::of(answer, asked, total)).transpose()?.into_iter().collect();
        let Begun { version, is_holed } = begun;
        Ok(Some(Transfer { part, unseen: 0..0, version: Some(version), is_holed, unsaid: 0, url, sources }))
    }

    /// Asks for the file, or for its first bytes where somebody reads it.
    async fn start(&self) -> Result<Transfer, HttpError> {
        self.growing().begin_anew();
        if self.growing().is_read() {
            let first = Hole { start: 0, end: Some(STEP) };
            let answer = self.get(&self.url, range_of(&first, None)).await?;
            match (answer.response.status(), content_range(&answer)) {
                (StatusCode::OK, _) => return self.begin(answer, None).await,
                (StatusCode::PARTIAL_CONTENT, Some(range))
                    if range.start == Some(0)
                        && range.total.is_some()
                        && validator(answer.response.headers()).is_some() =>
                {
                    return self.begin(answer, Some((&first, range.total))).await;
                }
                (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, _) => {}
                (status, _) => return Err(status_error(&answer.url, status.as_u16(), answer.response.headers())),
            }
        }
        let answer = self.get(&self.url, HeaderMap::new()).await?;
        match answer.response.status() {
            StatusCode::OK => self.begin(answer, None).await,
            status => Err(status_error(&answer.url, status.as_u16(), answer.response.headers())),
        }
    }

    /// Begins the part anew with an answer: a whole one, or that to a part that was asked for, with the whole's length.
    async fn begin(&self, answer: Answer, first: Option<(&Hole, Option<u64>)>) -> Result<Transfer, HttpError> {
        let total = first.map_or_else(|| answer.response.content_length(), |(_, total)| total);
        self.check(&answer, total)?;
        self.growing().begin_anew();
        // In this order no part ever stands beside the sidecar of another version.
        let part = self.open(OpenOptions::new().write(true).create(true).truncate(true)).await?;
        let headers = answer.response.headers();
        let version =
            validator(headers).map(|validator| Version { url: self.url.to_string(), validator, length: total });
        if let Some(version) = &version {
            let sidecar = bencode::encode(version);
            fs::write(&self.sidecar, sidecar).await.map_err(|source| file_error(&self.sidecar, source))?;
        } else {
            // If it is not there, so much the better.
            let _ = fs::remove_file(&self.sidecar).await;
        }
        // Who has a version is believed to send parts of it unless he denies that; what comes shows whether it is true.
        let is_said = |said: &[u8]| headers.get(ACCEPT_RANGES).is_some_and(|units| units.as_bytes() == said);
        let has_parts = if version.is_some() { !is_said(b"none") } else { is_said(b"bytes") };
        self.describe(total, version.is_some(), has_parts);
        let (url, whole) = (answer.url.clone(), Hole { start: 0, end: total });
        let source = Source::of(answer, first.map_or(&whole, |(asked, _)| asked), total)?;
        Ok(Transfer { part, unseen: 0..0, version, is_holed: false, unsaid: 0, url, sources: vec![source] })
    }

    /// Fetches what is missing, in the order in which it is wanted, and returns the length once all is there.
    async fn fill(&self, transfer: &mut Transfer) -> Result<u64, HttpError> {
        while let Some(hole) = self.growing().next_hole() {
            let source = match transfer.take_up(hole) {
                Some(source) => Some(source),
                None => self.reach(transfer, hole).await?,
            };
            let Some(mut source) = source else { continue };
            match self.copy(transfer, &mut source).await {
                Ok(Pause::Filled) => {}
                Ok(Pause::Wanted) => transfer.rest(source),
                // Its server did not wait for us. It is asked anew.
                Err(HttpError::Broken { .. } | HttpError::Timeout { .. }) if source.has_rested => {}
                Err(error) => return Err(error),
            }
        }
        let length = self.growing().bytes();
        self.check_length(&transfer.url, length).map(|()| length)
    }

    /// Asks for a part of what is missing; `None` if the server sends no parts after all, and what it sends already is
    /// to be read on.
    async fn reach(&self, transfer: &mut Transfer, hole: Hole) -> Result<Option<Source>, HttpError> {
        self.publish(transfer).await?;
        let length = self.growing().length().flatten();
        let asked = if length.is_some() { self.step(hole) } else { hole };
        let Some(version) = transfer.version.clone() else {
            let source = Cause::early(hole.start, length.unwrap_or(hole.start));
            return Err(HttpError::Broken { host: host_of(&transfer.url), source });
        };
        // Where the redirects led to is good for a while.
        let mut answer = self.get(&transfer.url, range_of(&asked, Some(&version))).await?;
        if !answer.response.status().is_success() && transfer.url != self.url {
            answer = self.get(&self.url, range_of(&asked, Some(&version))).await?;
        }
        let (status, range) = (answer.response.status(), content_range(&answer));
        if let (StatusCode::PARTIAL_CONTENT, Some(range)) = (status, range)
            && range.start == Some(hole.start)
        {
            // It ignores which version was asked for.
            if let (Some(got), Some(want)) = (range.total.filter(|got| Some(*got) != length), length) {
                return Err(HttpError::Length { host: host_of(&answer.url), got, want });
            }
            self.check(&answer, length)?;
            transfer.url = answer.url.clone();
            return Source::of(answer, &asked, length).map(Some);
        }
        let is_whole = status == StatusCode::OK;
        let is_same = validator(answer.response.headers()).is_some_and(|validator| validator == version.validator);
        let is_senseless = matches!(status, StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE);
        if is_senseless || is_same && is_whole {
            self.growing().fill_in_order();
            let first = self.growing().next_hole().map(|hole| hole.start);
            if transfer.sources.iter().any(|source| Some(source.at) == first) {
                return Ok(None);
            }
        }
        if !is_whole {
            return Err(status_error(&answer.url, status.as_u16(), answer.response.headers()));
        }
        *transfer = self.begin(answer, None).await?;
        Ok(None)
    }

    /// What is asked for of a hole: not more than a step of it while somebody reads, who may jump.
    fn step(&self, hole: Hole) -> Hole {
        let most = hole.start.saturating_add(STEP);
        if self.growing().is_read() {
            Hole { end: Some(hole.end.map_or(most, |end| end.min(most))), ..hole }
        } else {
            hole
        }
    }

    /// Writes what comes until nothing is missing there, or a reader waits elsewhere.
    async fn copy(&self, transfer: &mut Transfer, source: &mut Source) -> Result<Pause, HttpError> {
        self.publish(transfer).await?;
        let hole = self.growing().end_of_hole(source.at);
        let end = [source.end, hole].into_iter().flatten().min();
        let first = source.at;
        self.move_to(transfer, first).await?;
        let mut changes = self.growing().watch();
        loop {
            if self.growing().is_read() || source.at - transfer.unseen.start >= WRITE_BYTES as u64 {
                self.publish(transfer).await?;
            }
            changes.mark_unchanged();
            if end.is_some_and(|end| source.at >= end) {
                self.publish(transfer).await?;
                return Ok(Pause::Filled);
            }
            if self.growing().is_wanted_elsewhere(source.at, source.at - first >= STEP) {
                return Ok(Pause::Wanted);
            }
            let chunk = tokio::select! {
                chunk = self.heard(&source.url, source.response.chunk()) => chunk?,
                _ = changes.changed() => continue,
            };
            let Some(chunk) = chunk.map_err(|error| HttpError::of_request(&source.url, &error))? else {
                self.publish(transfer).await?;
                return self.ended_at(source, end).map(|()| Pause::Filled);
            };
            let room = end.map_or(u64::MAX, |end| end - source.at).min(chunk.len() as u64);
            if let Some(limit) = self.options.max_bytes.filter(|&limit| source.at + room > limit) {
                return Err(HttpError::TooLarge { host: host_of(&source.url), limit });
            }
            let chunk = &chunk[..usize::try_from(room).expect("it is a part of the chunk")];
            transfer.part.write_all(chunk).await.map_err(|source| file_error(self.part, source))?;
            source.at += room;
            transfer.unseen.end = source.at;
            if let Some(progress) = &self.options.progress {
                progress(self.growing().bytes() + transfer.unseen.end - transfer.unseen.start);
            }
        }
    }

    /// An answer has ended here: with the file, if nobody knew how long that is, else too early.
    fn ended_at(&self, source: &Source, end: Option<u64>) -> Result<(), HttpError> {
        let Some(end) = end else {
            self.growing().ends_at(source.at);
            return Ok(());
        };
        let total = self.growing().length().flatten().unwrap_or(end);
        Err(HttpError::Broken { host: host_of(&source.url), source: Cause::early(source.at, total) })
    }

    /// Goes to a place in the part, to write there.
    async fn move_to(&self, transfer: &mut Transfer, place: u64) -> Result<(), HttpError> {
        if !transfer.is_holed && self.growing().bytes() != place {
            // From here on the part's length does not say any more what is there.
            transfer.is_holed = true;
            self.say_what_is_there(transfer).await?;
        }
        transfer.unseen = place..place;
        transfer.part.seek(SeekFrom::Start(place)).await.map_err(|source| file_error(self.part, source))?;
        Ok(())
    }

    /// Lets the readers have what was written.
    async fn publish(&self, transfer: &mut Transfer) -> Result<(), HttpError> {
        if transfer.unseen.is_empty() {
            return Ok(());
        }
        transfer.part.flush().await.map_err(|source| file_error(self.part, source))?;
        let run = transfer.unseen.clone();
        transfer.unseen.start = run.end;
        transfer.unsaid += run.end - run.start;
        self.growing().add(run);
        if transfer.is_holed && transfer.unsaid >= SAY_EVERY {
            self.say_what_is_there(transfer).await?;
        }
        Ok(())
    }

    /// Writes into the sidecar which bytes of the part are there.
    async fn say_what_is_there(&self, transfer: &mut Transfer) -> Result<(), HttpError> {
        let Some(version) = transfer.version.clone() else { return Ok(()) };
        transfer.unsaid = 0;
        transfer.part.get_ref().sync_data().await.map_err(|source| file_error(self.part, source))?;
        let sidecar = bencode::encode(&Holed { version, runs: self.growing().runs().pairs() });
        let path = self.sidecar.clone();
        let written = spawn_blocking(move || write_atomic(&path, &sidecar, 0o644)).await.map_err(io::Error::other);
        written.flatten().map_err(|source| file_error(&self.sidecar, source))
    }

    async fn get(&self, url: &Url, mut headers: HeaderMap) -> Result<Answer, HttpError> {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let answer = self.client.open(&self.client.files, url.clone(), headers, Downgrade::Followed);
        self.heard(url, answer).await?
    }

    /// What the server at `url` says next, unless it is silent for too long or the download is cancelled.
    async fn heard<T>(&self, url: &Url, word: impl Future<Output = T>) -> Result<T, HttpError> {
        let word = tokio::time::timeout(self.options.silence.unwrap_or(Duration::MAX), word);
        let heard = self.options.cancel.run_until_cancelled(word).await.ok_or(HttpError::Cancelled)?;
        heard.map_err(|_| HttpError::Timeout { host: host_of(url) })
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

    /// Asks the caller whether the file is what it is to be.
    async fn look_at(&self, url: &Url) -> Result<(), HttpError> {
        let Some(Check(check)) = self.options.check.clone() else { return Ok(()) };
        let part = self.part.to_owned();
        let looked = spawn_blocking(move || check(&part)).await.map_err(io::Error::other);
        match looked.flatten().map_err(|source| file_error(self.part, source))? {
            None => Ok(()),
            Some(reason) => Err(HttpError::Refused { host: host_of(url), reason }),
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

impl Transfer {
    /// The answer that goes on where `hole` begins, if there is one already.
    fn take_up(&mut self, hole: Hole) -> Option<Source> {
        let at = self.sources.iter().position(|source| source.at == hole.start)?;
        Some(self.sources.remove(at))
    }

    /// Keeps an answer for later, with few others: each is a connection.
    fn rest(&mut self, source: Source) {
        if self.sources.len() >= MOST_RESTING {
            self.sources.remove(0);
        }
        self.sources.push(Source { has_rested: true, ..source });
    }
}

impl Source {
    /// The answer to what was `asked` for of a file of `total` bytes.
    fn of(answer: Answer, asked: &Hole, total: Option<u64>) -> Result<Self, HttpError> {
        let Answer { response, url, .. } = answer;
        let sent = response.content_length().filter(|_| total.is_some());
        let sent = sent.map(|length| asked.start.saturating_add(length));
        let end = [sent, asked.end, total].into_iter().flatten().min();
        if end == Some(asked.start) && total.is_some_and(|total| total > asked.start) {
            let source = Cause::early(asked.start, total.unwrap_or(asked.start));
            return Err(HttpError::Broken { host: host_of(&url), source });
        }
        Ok(Self { response, url, at: asked.start, end, has_rested: false })
    }
}

/// The headers that ask for these bytes, of this version if there is one already.
fn range_of(asked: &Hole, version: Option<&Version>) -> HeaderMap {
    let range = match asked.end {
        Some(end) => format!("bytes={}-{}", asked.start, end.saturating_sub(1)),
        None => format!("bytes={}-", asked.start),
    };
    let range = HeaderValue::try_from(range).expect("numbers are a header value");
    let validator = version.and_then(|version| HeaderValue::from_str(&version.validator).ok());
    [(RANGE, range)].into_iter().chain(validator.map(|validator| (IF_RANGE, validator))).collect()
}

/// What part of the file an answer says that it is.
fn content_range(answer: &Answer) -> Option<ContentRange> {
    let range = answer.response.headers().get(CONTENT_RANGE)?;
    ContentRange::parse(range.to_str().ok()?)
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

/// Bytes after which the sidecar says what is there; so many are fetched again after a crash.
const SAY_EVERY: u64 = 8 << 20;

/// Answers that wait to be read on, at most: of what is fetched in order, and of a few readers who take turns.
const MOST_RESTING: usize = 4;
