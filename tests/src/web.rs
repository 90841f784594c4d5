//! Web servers: one that serves what a test says and tells what was asked of it, nginx over a folder, and requests that
//! a test answers itself.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::net::Host;
use crate::process::Program;

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

/// What is said to nginx besides which folder it serves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nginx<'a> {
    /// Of its processes.
    pub main: &'a str,
    /// Of all that it serves.
    pub http: &'a str,
    /// Of the folder.
    pub server: &'a str,
}

impl Nginx<'_> {
    /// Serves the folder `root` on port 8080 of `host`; what it needs for itself lies in `folder`.
    #[track_caller]
    pub fn serve(&self, host: &Host, folder: &Path, root: &Path) -> Program {
        let Self { main, http, server } = self;
        let (pid, root) = (folder.join("nginx.pid"), root.display());
        let text = format!(
            "daemon off; user root; pid {}; error_log stderr; {main}\n\
             events {{ worker_connections 768; }}\n\
             http {{ access_log off; {http}\n\
             server {{ listen 8080; root {root}; {server} }} }}\n",
            pid.display()
        );
        let config = folder.join("nginx.conf");
        std::fs::write(&config, text).expect("the test's folder is ours");
        let mut command = host.command("nginx");
        command.arg("-c").arg(config);
        let program = Program::start(&format!("nginx on {}", host.name()), command);
        host.wait_for_port(8080);
        program
    }
}

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Request {
    /// Its first line and its headers.
    pub head: String,
    /// Its body.
    pub body: Vec<u8>,
    stream: TcpStream,
}

impl Request {
    /// Waits for the next request that comes to `listener`.
    #[track_caller]
    pub fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().expect("a connection comes");
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).expect("a head comes") > 0, "{head}");
        }
        let mut request = Self { head, body: Vec::new(), stream: reader.get_ref().try_clone().expect("it is open") };
        let length = request.header("content-length").map_or(0, |length| length.parse().expect("a length is a number"));
        request.body = vec![0; length];
        reader.read_exact(&mut request.body).expect("the body comes");
        request
    }

    /// What it is for: the second word of its first line.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The value of a header, whose name is given in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Answers it, and ends the connection.
    pub fn answer(mut self, status: &str, body: &str) {
        let length = body.len();
        write!(self.stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
            .expect("it is heard");
    }
}
