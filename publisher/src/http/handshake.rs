//! The beginning of a connection over TLS.
//!
//! An authority that looks whether a name leads here greets with a protocol of its own, and gets what it looks for and
//! nothing else (RFC 8737).
//!
//! Who has not come to an agreement when the time for a head is over is cut off. Who speaks plain HTTP to this port, as
//! people do who type `http://` and the port of https, is told so in his own language.

use std::io;

use rustls::server::Acceptor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::tls::{HTTP_2, PROOF, Tls};

/// What is said to who speaks plain HTTP.
const WRONG_PORT: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\
    content-length: 24\r\n\r\nThis port speaks https.\n";

/// A connection that TLS was agreed on.
pub(super) struct Secured {
    /// The bytes within.
    pub(super) stream: TlsStream<TcpStream>,
    /// Whether they are HTTP/2.
    pub(super) is_http_2: bool,
}

/// Agrees on TLS; `None` if that is all there was to it, or if something else was spoken, which is answered.
pub(super) async fn shake_hands(mut stream: TcpStream, tls: &Tls) -> io::Result<Option<Secured>> {
    let mut first = [0];
    // TLS begins with a byte that no method of HTTP begins with. RFC 8446, section 5.1.
    if stream.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase() {
        // What is not read when a connection is closed takes the answer with it.
        let _ = stream.read(&mut [0; 2048]).await?;
        stream.write_all(WRONG_PORT).await?;
        return Ok(None);
    }
    let greeting = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let hello = greeting.client_hello();
    if hello.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == PROOF)) {
        let proof = hello.server_name().and_then(|name| tls.proof(name)).ok_or(io::ErrorKind::ConnectionRefused)?;
        greeting.into_stream(proof).await?.shutdown().await?;
        return Ok(None);
    }
    // There is nothing to show before the first certificate.
    let config = tls.config().ok_or(io::ErrorKind::ConnectionRefused)?;
    let stream = greeting.into_stream(config).await?;
    let is_http_2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
    Ok(Some(Secured { stream, is_http_2 }))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;
    use tokio_util::sync::CancellationToken;

    use super::super::listen::{App, Limits, serve};
    use super::super::tests::{Port, port};
    use super::*;
    use crate::tls::{make, read};

    /// A port over TLS with the certificate and key `pair`.
    async fn start(port: &Port, pair: &(String, String), limits: Limits) -> (SocketAddr, Tls, CancellationToken) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let tls = Tls::new(Some(read(&pair.0, &pair.1).unwrap()));
        let app = App { tls: Some(tls.clone()), ..port.app.clone() };
        tokio::spawn(serve(listener, app, limits, stop.clone()));
        (addr, tls, stop)
    }

    /// A connection of who trusts the certificate `chain` and speaks `protocol`.
    async fn connect(
        addr: SocketAddr,
        chain: &str,
        protocol: &[u8],
    ) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![protocol.to_vec()];
        let stream = TcpStream::connect(addr).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("a.example").unwrap(), stream).await
    }

    fn get(path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nhost: pods.example\r\nconnection: close\r\n\r\n")
    }

    #[tokio::test]
    async fn front_and_router_answer_over_tls_and_say_their_end() {
        let (port, pair) = (port(), make(&["a.example"]));
        let (addr, _tls, _stop) = start(&port, &pair, Limits::default()).await;
        for path in ["/shows/a/feed.xml", "/announce", "/", "/shows/a"] {
            let mut stream = connect(addr, &pair.0, b"http/1.1").await.unwrap();
            stream.write_all(get(path).as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            // An end that is not said would be an error here.
            stream.read_to_end(&mut answer).await.unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{path}: {}", String::from_utf8_lossy(&answer));
        }
    }

    #[tokio::test]
    async fn another_certificate_is_for_new_connections_only() {
        let (port, first, second) = (port(), make(&["a.example"]), make(&["a.example"]));
        let (addr, tls, _stop) = start(&port, &first, Limits::default()).await;
        let mut open = connect(addr, &first.0, b"http/1.1").await.unwrap();
        tls.show(read(&second.0, &second.1).unwrap());
        assert!(connect(addr, &first.0, b"http/1.1").await.is_err());
        connect(addr, &second.0, b"http/1.1").await.unwrap();
        open.write_all(get("/").as_bytes()).await.unwrap();
        let mut answer = String::new();
        open.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }

    #[tokio::test]
    async fn who_speaks_plain_http_is_told() {
        let (port, pair) = (port(), make(&["a.example"]));
        let (addr, _tls, _stop) = start(&port, &pair, Limits::default()).await;
        let mut plain = TcpStream::connect(addr).await.unwrap();
        plain.write_all(get("/").as_bytes()).await.unwrap();
        let mut answer = String::new();
        let _ = plain.read_to_string(&mut answer).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("\r\n\r\nThis port speaks https.\n"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn who_is_slow_to_greet_or_to_ask_is_cut_off() {
        let (port, pair) = (port(), make(&["a.example"]));
        let limits = Limits { head: Duration::from_millis(50), ..Limits::default() };
        let (addr, _tls, _stop) = start(&port, &pair, limits).await;
        let mut silent = TcpStream::connect(addr).await.unwrap();
        assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0);
        let limits = Limits { head: Duration::from_millis(300), ..Limits::default() };
        let (addr, _tls, _stop) = start(&port, &pair, limits).await;
        for protocol in [&b"http/1.1"[..], b"h2"] {
            let mut stream = connect(addr, &pair.0, protocol).await.unwrap();
            let mut heard = Vec::new();
            let _ = stream.read_to_end(&mut heard).await;
            assert!(!heard.starts_with(b"HTTP/1.1 200"), "{heard:?}");
        }
    }
}
