//! Fetches files from another host, politely, and so that nothing is fetched twice.
//!
//! Everything lies in one folder until it is an episode. A file grows as `NAME.part` and goes on there after a break
//! ([`HttpClient::download`]); whole, it is `NAME.whole`; and once it is sure that the host sends everybody the same
//! bytes, it is `NAME`. So whoever comes back after a crash knows of each file how far it is.
//!
//! A host that puts other advertising into each answer would give every listener another file, which no swarm can pass
//! on. So some bytes of each file are asked for a second time, and compared.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use podswarm_core::net::http::{DownloadOptions, HttpClient, HttpError};
use podswarm_core::rate::ByteCount;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;

/// So many files are fetched at once.
pub(crate) const AT_ONCE: usize = 6;
/// So many of them from one host.
const FROM_ONE_HOST: usize = 2;
/// A request that failed in a way that may pass is tried so often.
const TRIES: u32 = 5;
/// The pause before the second try; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A host that wants a longer pause than this is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// Bytes that are asked for a second time, at each of some places.
const SAMPLE: usize = 16 << 10;

/// Fetches files into one folder.
pub(crate) struct Desk {
    client: HttpClient,
    folder: PathBuf,
    hosts: Mutex<BTreeMap<String, Arc<Semaphore>>>,
    /// Takes files that are others the second time, too.
    takes_changing: bool,
    cancel: CancellationToken,
}

/// Why a file is not had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MediaError {
    /// Its host has it no more.
    #[error("its file is gone: {host} answers with status {status}")]
    Gone {
        /// The host.
        host: String,
        /// The HTTP status code.
        status: u16,
    },
    /// It is another each time.
    #[error("its file is another each time that it is asked for ({what}), as where advertising is put in")]
    Changing {
        /// What differed.
        what: String,
    },
    /// Not audio or video.
    #[error("what {host} sends for its file is neither audio nor video")]
    NotMedia {
        /// The host.
        host: String,
    },
    /// It cannot be fetched at the moment.
    #[error("its file cannot be fetched")]
    Http(#[from] HttpError),
    /// A file of ours.
    #[error("keep its file in `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl MediaError {
    /// Whether another run may have it.
    pub(crate) const fn may_pass(&self) -> bool {
        matches!(self, Self::Http(_) | Self::File { .. })
    }
}

impl Desk {
    /// Fetches into `folder`, which exists and is nobody else's, until `cancel` is cancelled.
    pub(crate) fn new(client: HttpClient, folder: PathBuf, takes_changing: bool, cancel: CancellationToken) -> Self {
        Self { client, folder, hosts: Mutex::default(), takes_changing, cancel }
    }

    /// Where the file of the episode `guid` lies once it is had.
    pub(crate) fn place(&self, guid: &str) -> PathBuf {
        self.folder.join(HEXLOWER.encode(&Sha256::digest(guid)[..16]))
    }

    /// Fetches the file of the episode `guid` from the first of `urls` that has it; `progress` is told how many bytes
    /// are there.
    pub(crate) async fn fetch(
        &self,
        guid: &str,
        urls: &[Url],
        name: &str,
        progress: Arc<dyn Fn(u64) + Send + Sync>,
    ) -> Result<PathBuf, MediaError> {
        let place = self.place(guid);
        if place.exists() {
            return Ok(place);
        }
        let mut first = None;
        for url in urls {
            match self.fetch_from(url, &place, name, &progress).await {
                Ok(()) => return Ok(place),
                Err(error @ MediaError::Http(HttpError::Cancelled)) => return Err(error),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.expect("an episode has a file somewhere"))
    }

    async fn fetch_from(
        &self,
        url: &Url,
        place: &Path,
        name: &str,
        progress: &Arc<dyn Fn(u64) + Send + Sync>,
    ) -> Result<(), MediaError> {
        let host = self.host(url);
        let _turn = host.acquire().await.expect("nobody closes it");
        let whole = place.with_added_extension("whole");
        if !whole.exists() {
            let part = place.with_added_extension("part");
            let options = DownloadOptions {
                progress: Some(Arc::clone(progress)),
                cancel: self.cancel.clone(),
                ..DownloadOptions::default()
            };
            self.patiently(url, || self.client.download(url.as_str(), &part, &whole, &options)).await?;
        }
        let verdict = self.check(url, &whole, name).await;
        if let Err(MediaError::Changing { .. } | MediaError::NotMedia { .. }) = &verdict {
            // It would only be found to be so again.
            let _ = tokio::fs::remove_file(&whole).await;
        }
        verdict?;
        tokio::fs::rename(&whole, place).await.map_err(|source| MediaError::File { path: place.to_owned(), source })
    }

    /// Refuses a file that is no media, or that its host sends otherwise to others.
    async fn check(&self, url: &Url, whole: &Path, name: &str) -> Result<(), MediaError> {
        let fault = |source| MediaError::File { path: whole.to_owned(), source };
        let kind = crate::kind::of_file(whole, Path::new(name)).map_err(fault)?;
        if !kind.is_media() && kind.mime != "application/pdf" {
            return Err(MediaError::NotMedia { host: host_of(url) });
        }
        if self.takes_changing {
            return Ok(());
        }
        let mut file = tokio::fs::File::open(whole).await.map_err(fault)?;
        let length = file.metadata().await.map_err(fault)?.len();
        for start in sample_starts(&head(&mut file).await.map_err(fault)?, length) {
            let sample = self.patiently(url, || self.client.sample(url.as_str(), start, SAMPLE)).await?;
            if let Some(total) = sample.total.filter(|total| *total != length) {
                let what = format!("{length} bytes, then {total}");
                return Err(MediaError::Changing { what });
            }
            file.seek(io::SeekFrom::Start(sample.start)).await.map_err(fault)?;
            let mut ours = vec![0; sample.bytes.len()];
            let is_there = file.read_exact(&mut ours).await.is_ok();
            if !is_there || ours != sample.bytes {
                let what = format!("other bytes at {}", ByteCount(sample.start));
                return Err(MediaError::Changing { what });
            }
        }
        Ok(())
    }

    /// Fetches something small, such as a picture or chapters.
    pub(crate) async fn small(&self, url: &Url, max_bytes: u64) -> Result<Vec<u8>, MediaError> {
        let host = self.host(url);
        let _turn = host.acquire().await.expect("nobody closes it");
        let fetched = self
            .patiently(url, || self.client.get_limited(url.as_str(), &[], max_bytes, Duration::from_mins(2)))
            .await?;
        match fetched.status {
            200 => Ok(fetched.body.to_vec()),
            status => Err(MediaError::Gone { host: host_of(url), status }),
        }
    }

    /// Tries again what may go better the next time, after a pause that its host may name.
    async fn patiently<T, F>(&self, url: &Url, mut request: impl FnMut() -> F) -> Result<T, MediaError>
    where
        F: Future<Output = Result<T, HttpError>>,
    {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            let asked = self.cancel.run_until_cancelled(request()).await.unwrap_or(Err(HttpError::Cancelled));
            let wait = match &asked {
                Err(error) if may_pass(error) => match error {
                    HttpError::Status { retry_after: Some(wait), .. } => *wait,
                    _ => pause,
                },
                _ => return asked.map_err(|error| told(url, error)),
            };
            if wait > LONGEST_PAUSE {
                return asked.map_err(|error| told(url, error));
            }
            tracing::info!(host = host_of(url), ?wait, "tried again after a pause");
            let slept = self.cancel.run_until_cancelled(tokio::time::sleep(wait)).await;
            slept.ok_or(HttpError::Cancelled)?;
            pause *= 2;
        }
        request().await.map_err(|error| told(url, error))
    }

    /// Lets a few requests at a time to one host through.
    fn host(&self, url: &Url) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(hosts.entry(host_of(url)).or_insert_with(|| Arc::new(Semaphore::new(FROM_ONE_HOST))))
    }
}

/// The first bytes of a file.
async fn head(file: &mut tokio::fs::File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.take(10).read_to_end(&mut head).await?;
    Ok(head)
}

/// Where to look again into a file that begins with `head`: where its sound begins, in its middle and at its end.
///
/// Tags stand before the sound, and are the same before each other advertisement (`ID3v2`, section 3.1).
fn sample_starts(head: &[u8], length: u64) -> Vec<u64> {
    let sound = match head {
        [b'I', b'D', b'3', _, _, _, a, b, c, d] => {
            [a, b, c, d].iter().fold(0, |size, byte| size << 7 | u64::from(**byte & 0x7f)) + 10
        }
        _ => 0,
    };
    let last = length.saturating_sub(SAMPLE as u64);
    let mut starts = vec![sound.min(last), length / 2, last];
    starts.retain(|start| *start <= last);
    starts.sort_unstable();
    starts.dedup();
    starts
}

/// Whether a request may succeed if it is made again.
fn may_pass(error: &HttpError) -> bool {
    match error {
        HttpError::Status { status, .. } => matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504),
        HttpError::Broken { .. }
        | HttpError::Connect { .. }
        | HttpError::Resolve { .. }
        | HttpError::Timeout { .. } => true,
        _ => false,
    }
}

fn told(url: &Url, error: HttpError) -> MediaError {
    match error {
        HttpError::Status { status: status @ (401 | 403 | 404 | 410 | 451), .. } => {
            MediaError::Gone { host: host_of(url), status }
        }
        HttpError::Html { host } => MediaError::NotMedia { host },
        error => MediaError::Http(error),
    }
}

/// The host of a URL, with its port if it names one.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_looked_into_where_sound_is() {
        assert_eq!(sample_starts(b"", 0), [0]);
        assert_eq!(sample_starts(b"RIFF\0\0\0\0WA", 100), [0]);
        assert_eq!(sample_starts(b"RIFF\0\0\0\0WA", 1_000_000), [0, 500_000, 983_616]);
        assert_eq!(sample_starts(b"ID3\x04\0\0\0\0\x02\x01", 1_000_000), [267, 500_000, 983_616]);
        assert_eq!(sample_starts(b"ID3\x04\0\0\x7f\x7f\x7f\x7f", 1_000_000), [500_000, 983_616]);
    }
}
