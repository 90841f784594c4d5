//! A web server that serves what a test says, and tells what was asked of it.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::net::Host;

/// A running server; it answers until the test's process ends. Clones are the same server.
#[derive(Clone, Debug)]
pub struct Site {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Content type and body of each path.
    pages: BTreeMap<String, (&'static str, Vec<u8>)>,
    /// The path of every request, in order.
    asked: Vec<String>,
}

impl Site {
    /// Starts an empty server on any free port of `host`.
    pub fn start(host: &Host) -> Self {
        let listener = host.within(|| TcpListener::bind((host.v4(), 0))).expect("a host has free ports");
        let address = listener.local_addr().expect("a listener has an address");
        let site = Self { address, state: Arc::default() };
        let server = site.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = server.clone();
                // A client that goes away is no concern of the server.
                thread::spawn(move || server.answer(stream).ok());
            }
        });
        site
    }

    /// The URL of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Serves `body` at `path` from now on.
    pub fn put(&self, path: &str, content_type: &'static str, body: impl Into<Vec<u8>>) {
        self.state().pages.insert(path.to_owned(), (content_type, body.into()));
    }

    /// How often `path` was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.state().asked.iter().filter(|asked| *asked == path).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut request = BufReader::new(stream.try_clone()?);
        let mut first = String::new();
        request.read_line(&mut first)?;
        let mut header = String::new();
        while request.read_line(&mut header)? > 2 {
            header.clear();
        }
        let mut words = first.split_whitespace();
        let is_head = words.next() == Some("HEAD");
        let path = words.next().unwrap_or_default();
        let page = {
            let mut state = self.state();
            state.asked.push(path.to_owned());
            state.pages.get(path).cloned()
        };
        let (status, (content_type, body)) = match page {
            Some(page) => ("200 OK", page),
            None => ("404 Not Found", ("text/plain", Vec::new())),
        };
        let length = body.len();
        write!(stream, "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n")?;
        write!(stream, "Connection: close\r\n\r\n")?;
        if is_head { Ok(()) } else { stream.write_all(&body) }
    }
}
