//! A daemon for tests, which answers what it was told to.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An HTTP server on any free loopback port that gives ready-made answers, one per connection.
pub(super) struct Canned {
    listener: TcpListener,
}

impl Canned {
    pub(super) async fn listen() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Answers one request after the other with a status and a body; returns the requests.
    pub(super) async fn answer(&self, answers: Vec<(u16, String)>) -> Vec<String> {
        let mut requests = Vec::new();
        for (status, body) in answers {
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            requests.push(self.answer_raw(&(head + &body)).await);
        }
        requests
    }

    /// Answers one request with these bytes and closes the connection; returns the request.
    pub(super) async fn answer_raw(&self, answer: &str) -> String {
        let (mut stream, _) = self.listener.accept().await.unwrap();
        let request = read_request(&mut stream).await;
        stream.write_all(answer.as_bytes()).await.unwrap();
        request
    }
}

/// Reads a head and as much of a body as it promises.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some((head, body)) = request.split_once("\r\n\r\n") {
            let length = head.to_lowercase();
            let length = length.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return request;
            }
        }
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the request breaks off: {request}");
        request.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
}
