//! One TCP connection: bytes to messages, messages to bytes.
//!
//! A reader task turns what comes into messages and hands them to the engine in batches, through a channel that is short, so
//! that a busy engine slows the senders down instead of filling memory. A writer task sends what the engine wants sent, heads
//! and payloads in one vectored write, and tells how many payload bytes the socket took.
//!
//! Payloads are not copied: a block stays in the buffer that it was received into, see [`super::receive`].

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::buffers::Buffers;
use super::receive::Receiver;
use crate::peer::handshake::HANDSHAKE_LENGTH;
use crate::peer::{ConnId, DecodeError, Handshake, HandshakeError, Message};
use crate::swarm::{self, SwarmId};

/// How long a dial may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(8);
/// What waits to be written to a peer that does not read, before it is given up.
const MAX_WAITING: usize = 16 * 1024;
/// The most payload bytes of one write.
const WRITE_MOST: usize = 64 * 1024;
/// Room for the heads of one write.
const HEADS: usize = 1024;
/// The most messages of one write.
const WRITE_MESSAGES: usize = 64;

/// What a connection tells the engine.
#[derive(Debug)]
pub(crate) enum FromPeer {
    /// Its handshake.
    Handshake(ConnId, Handshake),
    /// Messages, in order.
    Messages(ConnId, Vec<Message>),
    /// The socket took so many payload bytes.
    Sent(ConnId, u64),
    /// It is over.
    Closed(ConnId),
    /// A web server's bytes, which wait in line with those of peers.
    Web(SwarmId, swarm::Input),
}

/// What the engine tells a connection.
#[derive(Debug)]
pub(crate) enum ToPeer {
    /// Send our handshake.
    Handshake(Handshake),
    /// Send a message.
    Message(Message),
}

/// The engine's end of a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    outgoing: mpsc::Sender<ToPeer>,
    stop: CancellationToken,
}

/// Why a peer's bytes end.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("read from the peer")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl Connection {
    /// Starts the two tasks of a connection.
    #[expect(clippy::disallowed_methods, reason = "the rim")]
    pub(crate) fn start(conn: ConnId, stream: TcpStream, buffers: Buffers, engine: mpsc::Sender<FromPeer>) -> Self {
        // Requests are small and must not wait for one another.
        let _ = stream.set_nodelay(true);
        limit_unsent(&stream);
        let (reader, writer) = stream.into_split();
        let (outgoing, messages) = mpsc::channel(MAX_WAITING);
        let stop = CancellationToken::new();
        tokio::spawn(read_task(conn, reader, buffers, engine.clone(), stop.clone()));
        tokio::spawn(write_task(conn, writer, messages, engine, stop.clone()));
        Self { outgoing, stop }
    }

    /// Hands something to the writer; false if the peer has not read for so long that it must go.
    pub(crate) fn send(&self, what: ToPeer) -> bool {
        self.outgoing.try_send(what).is_ok()
    }

    /// Stops reading at once, and writing after what was handed over.
    pub(crate) fn close(self) {
        self.stop.cancel();
    }
}

/// Dials a peer, from `bind` if it is of the same family.
pub(crate) async fn dial(addr: SocketAddr, bind: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bind) = bind.filter(|bind| bind.is_ipv4() == addr.is_ipv4()) {
        socket.bind(SocketAddr::new(bind, 0))?;
    }
    match tokio::time::timeout(DIAL_TIMEOUT, socket.connect(addr)).await {
        Ok(connected) => connected,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Keeps little in the kernel that is not on its way, so that a choke or a have does not wait behind old blocks.
fn limit_unsent(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(128 * 1024);
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

async fn read_task(
    conn: ConnId,
    reader: OwnedReadHalf,
    buffers: Buffers,
    engine: mpsc::Sender<FromPeer>,
    stop: CancellationToken,
) {
    tokio::select! {
        () = stop.cancelled() => return,
        ended = read(conn, reader, buffers, &engine) => match ended {
            Ok(()) => tracing::trace!(?conn, "peer closed"),
            Err(err) => tracing::debug!(?conn, %err, "connection ends"),
        },
    }
    // The engine may be gone; then there is nobody to tell.
    let _ = engine.send(FromPeer::Closed(conn)).await;
}

async fn read(
    conn: ConnId,
    mut reader: OwnedReadHalf,
    buffers: Buffers,
    engine: &mpsc::Sender<FromPeer>,
) -> Result<(), ReadError> {
    let (mut handshake, mut filled) = ([0; HANDSHAKE_LENGTH], 0);
    while filled < HANDSHAKE_LENGTH {
        let read = reader.read(&mut handshake[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        Handshake::check_protocol(&handshake[..filled])?;
    }
    let _ = engine.send(FromPeer::Handshake(conn, Handshake::decode(&handshake)?)).await;
    let mut receiver = Receiver::new(buffers);
    loop {
        reader.readable().await?;
        let read = match reader.try_read_vectored(&mut receiver.room()) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => 0,
            Err(err) => return Err(err.into()),
        };
        receiver.received(read)?;
        let messages = receiver.take_messages();
        if !messages.is_empty() && engine.send(FromPeer::Messages(conn, messages)).await.is_err() {
            return Ok(());
        }
    }
}

async fn write_task(
    conn: ConnId,
    mut writer: OwnedWriteHalf,
    mut messages: mpsc::Receiver<ToPeer>,
    engine: mpsc::Sender<FromPeer>,
    stop: CancellationToken,
) {
    let mut batch = Vec::with_capacity(WRITE_MESSAGES);
    loop {
        let waiting = tokio::select! {
            biased;
            waiting = messages.recv_many(&mut batch, WRITE_MESSAGES) => waiting,
            () = stop.cancelled() => messages.try_recv().map_or(0, |message| { batch.push(message); 1 }),
        };
        if waiting == 0 {
            break;
        }
        let stopped_long_ago = async {
            stop.cancelled().await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        };
        let written = tokio::select! {
            written = write(conn, &mut writer, &mut batch, &engine) => written,
            () = stopped_long_ago => break,
        };
        if let Err(err) = written {
            tracing::debug!(?conn, %err, "connection ends");
            stop.cancel();
            let _ = engine.send(FromPeer::Closed(conn)).await;
            break;
        }
    }
    let _ = writer.shutdown().await;
}

/// Writes a batch, heads and payloads, in as few system calls as the socket allows.
async fn write(
    conn: ConnId,
    writer: &mut OwnedWriteHalf,
    batch: &mut Vec<ToPeer>,
    engine: &mpsc::Sender<FromPeer>,
) -> io::Result<()> {
    let mut batch = batch.drain(..).peekable();
    while batch.peek().is_some() {
        let mut heads = BytesMut::with_capacity(HEADS);
        let mut parts: Vec<Bytes> = Vec::new();
        let mut payload_bytes = 0;
        while payload_bytes < WRITE_MOST {
            match batch.next() {
                None => break,
                Some(ToPeer::Handshake(handshake)) => heads.extend_from_slice(&handshake.encode()),
                Some(ToPeer::Message(message)) => {
                    message.encode_head(&mut heads);
                    let Some(payload) = message.payload() else { continue };
                    parts.push(heads.split().freeze());
                    parts.push(payload.clone());
                    if matches!(message, Message::Piece { .. }) {
                        payload_bytes += payload.len();
                    }
                }
            }
        }
        parts.push(heads.freeze());
        write_all(writer, &mut parts).await?;
        if payload_bytes > 0 {
            let _ = engine.send(FromPeer::Sent(conn, payload_bytes as u64)).await;
        }
    }
    Ok(())
}

async fn write_all(writer: &mut OwnedWriteHalf, parts: &mut [Bytes]) -> io::Result<()> {
    let mut rest = &mut parts[..];
    loop {
        while rest.first().is_some_and(Bytes::is_empty) {
            rest = &mut rest[1..];
        }
        if rest.is_empty() {
            return Ok(());
        }
        let slices: Vec<io::IoSlice<'_>> = rest.iter().map(|part| io::IoSlice::new(part)).collect();
        let mut written = writer.write_vectored(&slices).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        for part in &mut *rest {
            let step = written.min(part.len());
            part.advance(step);
            written -= step;
        }
    }
}
