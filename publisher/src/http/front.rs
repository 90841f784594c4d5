//! The front of the public port: the few questions that make nearly all of its traffic.
//!
//! When an episode is out, everybody announces himself, and apps that know the feed ask whether it has changed. Such a
//! question is small, comes in one packet, and is answered from memory. It is known by its bytes here and answered with
//! one write, without what HTTP is in full: no maps of headers, no routes, no layers.
//!
//! Whatever else comes goes to the router behind, untouched: other paths and methods, anything with a body or a wish
//! that is not plainly understood, a head that did not come whole at once. The connection stays there from then on.
//!
//! Law: an answer is the same as the router's, to the byte but for the order of its header fields.
//! Source: RFC 9112.

use std::io;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::{self, HeaderName, HeaderValue};
use bytes::{Buf, Bytes};
use chrono::Utc;
use podswarm_core::app::Guarded;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::doorstep::Guest;
use super::proxies::Proxies;
use super::resource::{Fields, http_date};
use super::{PUBLIC, Peers, TRACKER};
use crate::site::Site;
use crate::tracker::Tracker;

/// What is read at first, in bytes: an announce has some 400, an app's request for a feed less than 1000.
const READ: usize = 2048;
/// Room for an answer's head, and for an announce's body.
const WRITTEN: usize = 1024;
/// Header fields of a request; one with more is the router's business.
const MOST_FIELDS: usize = 32;

/// Answers in front of the router.
pub(crate) struct Front {
    site: watch::Receiver<Arc<Site>>,
    tracker: Arc<Tracker>,
    proxies: Proxies,
    date: Mutex<Date>,
}

/// The date of answers, written once a second.
#[derive(Default)]
struct Date {
    second: i64,
    text: String,
}

/// A request that may be answered here.
struct Question<'a> {
    /// Its bytes.
    length: usize,
    path: &'a str,
    query: &'a str,
    fields: &'a [httparse::Header<'a>],
    /// Whether the connection ends with the answer.
    is_last: bool,
}

impl Fields for [httparse::Header<'_>] {
    fn values(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |field| field.name.eq_ignore_ascii_case(name.as_str())).map(|field| field.value)
    }
}

impl Front {
    /// Answers from the site as it stands and from the tracker, which sees through `proxies`.
    pub(crate) fn new(site: watch::Receiver<Arc<Site>>, tracker: Arc<Tracker>, proxies: Proxies) -> Self {
        Self { site, tracker, proxies, date: Mutex::default() }
    }

    /// Answers an asker before it is let in, if its question is here already, known, and its last.
    ///
    /// Else gives it back, with what it has said so far. `output` is room for the answer.
    pub(crate) fn meet(&self, guest: Guest, peers: Peers, output: &mut Vec<u8>) -> Option<(Guest, Vec<u8>)> {
        let mut input = [0; READ];
        let heard = guest.hear(&mut input);
        let heard = &input[..heard];
        if !heard.is_empty()
            && let Some(question) = Question::read(heard, &mut [MaybeUninit::uninit(); MOST_FIELDS])
            && question.is_last
        {
            let body = self.answer(peers, &question, output);
            if body.is_some_and(|body| body.is_empty()) {
                guest.dismiss(output);
                return None;
            }
        }
        Some((guest, heard.to_vec()))
    }

    /// Answers what comes on a connection as long as it is of the few kinds known here; `input` was read already.
    ///
    /// Returns what was read and is to be answered by the router; `None` if the connection is over. From the second
    /// question on, the asker may be silent for as long as `idle`.
    pub(crate) async fn attend<L: Line>(
        &self,
        stream: &mut Guarded<L>,
        mut input: Vec<u8>,
        peers: Peers,
        idle: Duration,
        stop: &CancellationToken,
    ) -> io::Result<Option<Vec<u8>>> {
        let mut stopped = pin!(stop.cancelled());
        let mut output = Vec::with_capacity(WRITTEN);
        loop {
            if input.is_empty() {
                input.reserve(READ);
                let read = tokio::select! {
                    biased;
                    read = stream.read_buf(&mut input) => read?,
                    () = stopped.as_mut() => return Ok(None),
                };
                if read == 0 {
                    return Ok(None);
                }
            }
            let mut begin = 0;
            while begin < input.len() {
                let mut fields = [MaybeUninit::uninit(); MOST_FIELDS];
                let answered = Question::read(&input[begin..], &mut fields).and_then(|question| {
                    let body = self.answer(peers, &question, &mut output)?;
                    Some((question.length, question.is_last, body))
                });
                let Some((length, is_last, body)) = answered else {
                    return Ok(Some(input.split_off(begin)));
                };
                if is_last {
                    write_last(stream, &output, &body).await?;
                    return Ok(None);
                }
                write(stream, &output, &body).await?;
                begin += length;
            }
            input.clear();
            stream.bear(idle);
        }
    }

    /// Writes the answer into `output` and returns what is to be sent after it; `None` if the question is not for us.
    fn answer(&self, peers: Peers, question: &Question<'_>, output: &mut Vec<u8>) -> Option<Bytes> {
        output.clear();
        if question.path == "/announce" {
            let peers = self.proxies.see_through(peers, question.fields);
            let body = self.tracker.announce(peers, question.query, None);
            let (fields, length) = (TRACKER.iter(), HeaderValue::from(body.len()));
            let fields = fields.map(|(name, value)| (name, value)).chain([(&header::CONTENT_LENGTH, &length)]);
            self.head(StatusCode::OK, fields, question.is_last, output);
            output.extend_from_slice(&body);
            return Some(Bytes::new());
        }
        let site = Arc::clone(&self.site.borrow());
        let answer = site.feed(question.path)?.answer(question.fields);
        self.head(answer.status(), answer.fields(), question.is_last, output);
        Some(answer.body().cloned().unwrap_or_default())
    }

    /// Starts an answer: everything before its body.
    fn head<'a, N: AsRef<str>>(
        &self,
        status: StatusCode,
        fields: impl Iterator<Item = (N, &'a HeaderValue)>,
        is_last: bool,
        output: &mut Vec<u8>,
    ) {
        let mut put = |bytes: &[u8]| output.extend_from_slice(bytes);
        put(b"HTTP/1.1 ");
        put(status.as_str().as_bytes());
        put(b" ");
        put(status.canonical_reason().unwrap_or_default().as_bytes());
        for (name, value) in fields {
            put_field(output, name.as_ref(), value);
        }
        for (name, value) in &PUBLIC {
            put_field(output, name.as_str(), value);
        }
        if is_last {
            output.extend_from_slice(b"\r\nconnection: close");
        }
        output.extend_from_slice(b"\r\ndate: ");
        self.put_date(output);
        output.extend_from_slice(b"\r\n\r\n");
    }

    fn put_date(&self, output: &mut Vec<u8>) {
        let now = Utc::now();
        let mut date = self.date.lock().unwrap_or_else(PoisonError::into_inner);
        if date.second != now.timestamp() {
            *date = Date { second: now.timestamp(), text: http_date(now) };
        }
        output.extend_from_slice(date.text.as_bytes());
    }
}

fn put_field(output: &mut Vec<u8>, name: &str, value: &HeaderValue) {
    output.extend_from_slice(b"\r\n");
    output.extend_from_slice(name.as_bytes());
    output.extend_from_slice(b": ");
    output.extend_from_slice(value.as_bytes());
}

impl<'a> Question<'a> {
    /// Reads the head of a request; `None` if it is not whole, or in any way out of the ordinary.
    fn read(input: &'a [u8], room: &'a mut [MaybeUninit<httparse::Header<'a>>]) -> Option<Self> {
        let mut request = httparse::Request::new(&mut []);
        let httparse::Status::Complete(length) = request.parse_with_uninit_headers(input, room).ok()? else {
            return None;
        };
        if request.method != Some("GET") || request.version != Some(1) {
            return None;
        }
        let (path, query) = request.path.map(|target| target.split_once('?').unwrap_or((target, "")))?;
        let fields: &[_] = request.headers;
        let mut is_last = false;
        for field in fields {
            if UNUSUAL.iter().any(|name| field.name.eq_ignore_ascii_case(name.as_str())) {
                return None;
            }
            if field.name.eq_ignore_ascii_case(header::CONNECTION.as_str()) {
                match field.value.trim_ascii() {
                    wish if wish.eq_ignore_ascii_case(b"close") => is_last = true,
                    wish if wish.eq_ignore_ascii_case(b"keep-alive") => {}
                    _ => return None,
                }
            }
        }
        Some(Self { length, path, query, fields, is_last })
    }
}

/// What a request that has nothing but a head does not name.
const UNUSUAL: [HeaderName; 4] = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::UPGRADE, header::EXPECT];

/// What a connection's bytes come and go on.
pub(crate) trait Line: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Sends of the connection's last words what goes at once, so that its end can travel with them in one packet.
    /// Returns how many bytes went.
    fn send_last(&self, words: &[u8]) -> usize;

    /// Whether an end that is not said cannot be told from a cut. RFC 8446, section 6.1.
    const SAYS_ITS_END: bool;
}

impl Line for TcpStream {
    #[cfg(target_os = "linux")]
    fn send_last(&self, words: &[u8]) -> usize {
        use rustix::net::{SendFlags, send};
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        self.try_io(tokio::io::Interest::WRITABLE, || Ok(send(self, words, flags)?)).unwrap_or(0)
    }

    #[cfg(not(target_os = "linux"))]
    fn send_last(&self, _words: &[u8]) -> usize {
        0
    }

    const SAYS_ITS_END: bool = false;
}

impl Line for TlsStream<TcpStream> {
    fn send_last(&self, _words: &[u8]) -> usize {
        0
    }

    const SAYS_ITS_END: bool = true;
}

async fn write<L: Line>(stream: &mut Guarded<L>, head: &[u8], body: &Bytes) -> io::Result<()> {
    if body.is_empty() {
        stream.write_all(head).await?;
    } else {
        stream.write_all_buf(&mut Buf::chain(head, &body[..])).await?;
    }
    stream.flush().await
}

/// Writes the last answer of a connection.
async fn write_last<L: Line>(stream: &mut Guarded<L>, head: &[u8], body: &Bytes) -> io::Result<()> {
    let sent = if body.is_empty() { stream.inner().send_last(head) } else { 0 };
    write(stream, &head[sent..], body).await?;
    if L::SAYS_ITS_END { stream.shutdown().await } else { Ok(()) }
}

#[cfg(test)]
mod tests;
