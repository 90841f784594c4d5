//! A web server on loopback that serves files below a folder, well or badly.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// With the range that it is asked for.
    Ranges,
    /// With the whole file, whatever it is asked for.
    Whole,
    /// With ranges of a file of the same length and other bytes.
    Lies,
    /// With ranges of a file that is longer.
    Longer,
    /// With a redirect to the same path at this URL.
    Redirects(String),
    /// With a refusal.
    Refuses(u16),
    /// With ranges, but it breaks off after so many bytes.
    BreaksOff(usize),
    /// With ranges of a file that is called another version each time.
    Renames,
    /// Not at all.
    Silent,
}

/// A running server; it ends with the test.
pub(crate) struct Server {
    addr: SocketAddr,
    state: Arc<State>,
}

struct State {
    folder: PathBuf,
    manner: Manner,
    bytes: AtomicU64,
    requests: AtomicUsize,
    connections: AtomicUsize,
}

impl Server {
    /// A server of the files below `folder`.
    pub(crate) async fn start(folder: PathBuf, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (bytes, requests, connections) = (AtomicU64::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let state = Arc::new(State { folder, manner, bytes, requests, connections });
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&shared);
                state.connections.fetch_add(1, Ordering::Relaxed);
                // A client that hangs up is no fault.
                tokio::spawn(async move { drop(state.serve(stream).await) });
            }
        });
        Self { addr, state }
    }

    /// The URL of a file or folder.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.addr)
    }

    /// Bytes of bodies that were sent.
    pub(crate) fn bytes(&self) -> u64 {
        self.state.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }
}

impl State {
    async fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let (mut path, mut range) = (String::new(), None);
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await? == 0 {
                    return Ok(());
                }
                let line = line.trim_end();
                if line.is_empty() {
                    break;
                }
                if let Some(rest) = line.strip_prefix("GET /") {
                    path = rest.split(' ').next().unwrap_or_default().replace("%20", " ");
                }
                if let Some(("range", value)) = line.to_ascii_lowercase().split_once(": ") {
                    range = value
                        .strip_prefix("bytes=")
                        .and_then(|range| range.split_once('-'))
                        .map(|(first, last)| (first.parse::<usize>().unwrap(), last.parse::<usize>().unwrap()));
                }
            }
            let requests = self.requests.fetch_add(1, Ordering::Relaxed);
            if !self.answer(stream.get_mut(), &path, range, requests).await? {
                return Ok(());
            }
        }
    }

    /// Answers one request; false if the connection ends with it.
    async fn answer(
        &self,
        stream: &mut TcpStream,
        path: &str,
        range: Option<(usize, usize)>,
        number: usize,
    ) -> std::io::Result<bool> {
        match &self.manner {
            Manner::Silent => std::future::pending().await,
            Manner::Redirects(to) => {
                let head = format!("HTTP/1.1 302 Found\r\nlocation: {to}{path}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
                return Ok(true);
            }
            Manner::Refuses(status) => {
                stream.write_all(format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n").as_bytes()).await?;
                return Ok(true);
            }
            _ => {}
        }
        let Ok(mut file) = std::fs::read(self.folder.join(path)) else {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await?;
            return Ok(true);
        };
        match self.manner {
            Manner::Lies => file.iter_mut().for_each(|byte| *byte = !*byte),
            Manner::Longer => file.push(0),
            _ => {}
        }
        let version = if self.manner == Manner::Renames { number } else { 0 };
        let range = range.filter(|_| self.manner != Manner::Whole && version.is_multiple_of(2));
        let (status, more, body) = match range {
            Some((first, last)) => {
                (206, format!("content-range: bytes {first}-{last}/{}\r\n", file.len()), &file[first..=last])
            }
            None => (200, String::new(), &file[..]),
        };
        let head =
            format!("HTTP/1.1 {status} Fine\r\netag: \"{version}\"\r\n{more}content-length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await?;
        let most = if let Manner::BreaksOff(most) = self.manner { most } else { usize::MAX };
        for chunk in body[..body.len().min(most)].chunks(8 << 10) {
            stream.write_all(chunk).await?;
            self.bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
        Ok(body.len() <= most)
    }
}
