//! Another host: it serves what it is told, by ranges, and notes what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// What a path answers.
#[derive(Clone)]
pub(crate) enum Page {
    /// These bytes of this type, whole or by ranges, with an `ETag`.
    File(&'static str, Vec<u8>),
    /// Other bytes at each request.
    Changing(fn(usize) -> Vec<u8>),
    /// Half of these bytes; the rest comes drop by drop until [`Host::go_on`].
    Slow(Vec<u8>),
    /// To be asked again, once; then this.
    Busy(Box<Page>),
    /// This status and nothing else.
    Status(u16),
}

/// A request: its path, its `Range`, its `If-Range`.
pub(crate) type Asked = (String, Option<String>, Option<String>);

#[derive(Default)]
struct State {
    pages: BTreeMap<String, Page>,
    asked: Vec<Asked>,
    goes_on: bool,
}

#[derive(Clone)]
pub(crate) struct Host {
    addr: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Host {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = Self { addr: listener.local_addr().unwrap(), shared: Arc::default() };
        let server = host.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                thread::spawn(move || while server.answer(&stream).is_ok_and(|goes_on| goes_on) {});
            }
        });
        host
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn put(&self, path: &str, page: Page) {
        self.shared.0.lock().unwrap().pages.insert(path.to_owned(), page);
    }

    /// Every request so far whose path `is_meant`.
    pub(crate) fn asked(&self, is_meant: impl Fn(&str) -> bool) -> Vec<Asked> {
        self.shared.0.lock().unwrap().asked.iter().filter(|(path, ..)| is_meant(path)).cloned().collect()
    }

    /// Sends what is held back.
    pub(crate) fn go_on(&self) {
        self.shared.0.lock().unwrap().goes_on = true;
        self.shared.1.notify_all();
    }

    fn answer(&self, stream: &TcpStream) -> std::io::Result<bool> {
        let mut lines = BufReader::new(stream).lines();
        let Some(first) = lines.next().transpose()? else { return Ok(false) };
        let path = first.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let (mut range, mut if_range) = (None, None);
        for line in lines {
            let line = line?;
            match line.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("range") => range = Some(value.to_owned()),
                Some((name, value)) if name.eq_ignore_ascii_case("if-range") => if_range = Some(value.to_owned()),
                Some(_) => {}
                None => break,
            }
        }
        let page = {
            let mut state = self.shared.0.lock().unwrap();
            state.asked.push((path.clone(), range.clone(), if_range));
            let page = state.pages.get(&path).cloned().unwrap_or(Page::Status(404));
            match page {
                Page::Busy(then) => {
                    state.pages.insert(path.clone(), *then);
                    Page::Status(503)
                }
                page => page,
            }
        };
        let count = self.asked(|asked| asked == path).len();
        match page {
            Page::Status(status) => {
                let head = format!("HTTP/1.1 {status} X\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n");
                (&*stream).write_all(head.as_bytes())?;
            }
            Page::File(mime, bytes) => send(stream, mime, &bytes, range.as_deref(), &mut |_| ())?,
            Page::Changing(make) => send(stream, "audio/wav", &make(count), range.as_deref(), &mut |_| ())?,
            Page::Slow(bytes) => send(stream, "audio/wav", &bytes, range.as_deref(), &mut |sent| self.hold(sent))?,
            Page::Busy(_) => unreachable!("it was replaced"),
        }
        Ok(true)
    }

    /// Waits a moment after each piece that is sent once half of the bytes are.
    fn hold(&self, is_half: bool) {
        let state = self.shared.0.lock().unwrap();
        if is_half && !state.goes_on {
            drop(self.shared.1.wait_timeout(state, Duration::from_millis(20)).unwrap());
        }
    }
}

/// Sends a file or the range of it; `pause` is called between pieces, and told whether half of it is out.
fn send(
    mut stream: &TcpStream,
    mime: &str,
    bytes: &[u8],
    range: Option<&str>,
    pause: &mut dyn FnMut(bool),
) -> std::io::Result<()> {
    let total = bytes.len();
    let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let range = range.map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap_or(total - 1).min(total - 1)));
    let head = format!("Content-Type: {mime}\r\nETag: \"v1\"\r\nAccept-Ranges: bytes\r\n");
    let (from, to) = range.unwrap_or((0, total.saturating_sub(1)));
    let body = if total == 0 { bytes } else { &bytes[from..=to] };
    let status = match range {
        None => "200 OK\r\n".to_owned(),
        Some((from, to)) => format!("206 Partial Content\r\nContent-Range: bytes {from}-{to}/{total}\r\n"),
    };
    write!(stream, "HTTP/1.1 {status}{head}Content-Length: {}\r\n\r\n", body.len())?;
    let mut sent = 0;
    for piece in body.chunks(16 << 10) {
        stream.write_all(piece)?;
        sent += piece.len();
        pause(range.is_none() && sent * 2 > total);
    }
    Ok(())
}
