//! One connection: bytes to messages, messages to bytes.
//!
//! It is opened as `opening` says; then two tasks go on with it, through ciphers only if both sides agreed on that.
//!
//! A reader task turns what comes into messages and hands them to the engine in batches, through a channel that is
//! short, so that a busy engine slows the senders down instead of filling memory. A writer task sends what the engine
//! wants sent, heads and payloads in one vectored write, and tells how many payload bytes the socket took.
//!
//! Payloads are not copied: a block stays in the buffer that it was received into, see [`super::receive`], and a run of
//! blocks goes from the file to the socket without passing through us, see [`super::run`].

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Visitor;
use super::buffers::Buffers;
use super::opening::{Opened, Opening, OpeningError};
use super::pacing::Pacing;
use super::receive::Receiver;
use super::run::{Run, RunError};
use super::stream::{Incoming, Outgoing, Stream};
use super::unsent::Unsent;
use crate::peer::encryption::{Cipher, Skeys};
use crate::peer::{ConnId, DecodeError, Direction, Encryption, Handshake, Message};
use crate::swarm::{self, SwarmId};

/// What waits to be written to a peer that does not read, before it is given up.
const MAX_WAITING: usize = 16 * 1024;
/// Room for the heads of one write.
const HEADS: usize = 1024;
/// The most messages of one write.
const WRITE_MESSAGES: usize = 64;

/// So much of the time by which a bit was written late is made up for by the next ones.
const MOST_LATE: Duration = Duration::from_millis(5);

/// What a connection tells the engine.
#[derive(Debug)]
pub(crate) enum FromPeer {
    /// It begins with a key; [`ToPeer::AnswerKey`] is waited for.
    KeyShown(ConnId),
    /// It does not answer our key, and is over.
    KeyRefused(ConnId),
    /// Its handshake.
    Handshake(ConnId, Handshake),
    /// Messages, in order.
    Messages(ConnId, Vec<Message>),
    /// The socket took so many payload bytes.
    Sent(ConnId, u64),
    /// It is over.
    Closed(ConnId),
    /// What a swarm is to hear in line with the messages of peers: a web server's bytes, or why those of a run are not
    /// sent.
    Swarm(SwarmId, swarm::Input),
}

/// What the engine tells a connection.
#[derive(Debug)]
pub(crate) enum ToPeer {
    /// Send our handshake.
    Handshake(Handshake),
    /// Send our handshake behind a key.
    Encrypted(Handshake),
    /// Answer the peer's key; these are the torrents that it may ask for.
    AnswerKey(Arc<Skeys>),
    /// Send a message.
    Message {
        /// The message.
        message: Message,
        /// Send it bit by bit, as the pace of the background has it.
        is_paced: bool,
    },
    /// Send a run of blocks of a swarm's files.
    Run(SwarmId, Run),
}

/// How whoever dials us is received.
#[derive(Clone, Debug)]
pub(crate) struct Welcome {
    pub(crate) encryption: Encryption,
    /// Who receives those who are no peers, but ask by HTTP.
    pub(crate) visitors: Option<mpsc::Sender<Visitor>>,
}

/// The engine's end of a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    outgoing: mpsc::Sender<ToPeer>,
    stop: CancellationToken,
    /// Our address and the peer's, of TCP.
    tcp: Option<(SocketAddr, SocketAddr)>,
}

/// Why a peer's bytes end.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("read from the peer")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl Connection {
    /// Starts the tasks of a connection.
    #[expect(clippy::disallowed_methods, reason = "the rim")]
    pub(crate) fn start(
        conn: ConnId,
        stream: Stream,
        direction: Direction,
        welcome: Welcome,
        buffers: Buffers,
        pacing: Pacing,
        engine: mpsc::Sender<FromPeer>,
    ) -> Self {
        let (outgoing, messages) = mpsc::channel(MAX_WAITING);
        let (stop, tcp) = (CancellationToken::new(), stream.tcp_addrs());
        tokio::spawn(open_task(conn, stream, direction, welcome, buffers, pacing, engine, messages, stop.clone()));
        Self { outgoing, stop, tcp }
    }

    /// Our address and the peer's, if it is over TCP.
    pub(crate) const fn tcp(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.tcp
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

/// Opens the connection, starts the writer, and goes on as the reader.
#[expect(clippy::too_many_arguments, reason = "all that a connection is made of")]
#[expect(clippy::disallowed_methods, reason = "the rim")]
async fn open_task(
    conn: ConnId,
    mut stream: Stream,
    direction: Direction,
    welcome: Welcome,
    buffers: Buffers,
    pacing: Pacing,
    engine: mpsc::Sender<FromPeer>,
    mut messages: mpsc::Receiver<ToPeer>,
    stop: CancellationToken,
) {
    let Welcome { encryption, visitors } = welcome;
    let opening =
        Opening { conn, stream: &mut stream, encryption, engine: &engine, messages: &mut messages }.open(direction);
    let opened = tokio::select! {
        () = stop.cancelled() => return,
        opened = opening => opened,
    };
    let Opened { handshake, ciphers, early } = match opened {
        Ok(opened) => opened,
        Err(OpeningError::Visitor(begun)) => {
            // The place of a peer is free again before the visitor is received.
            let _ = engine.send(FromPeer::Closed(conn)).await;
            if let (Some(visitors), Stream::Tcp(stream)) = (visitors, stream) {
                // Who receives too many already does not see him.
                let _ = visitors.try_send(Visitor { stream, begun });
            }
            return;
        }
        Err(err) => {
            tracing::debug!(?conn, %err, "connection is not opened");
            let is_refused = matches!(err, OpeningError::KeyRefused);
            let _ = engine.send(if is_refused { FromPeer::KeyRefused(conn) } else { FromPeer::Closed(conn) }).await;
            return;
        }
    };
    let (decrypt, encrypt) = ciphers.map(|ciphers| (ciphers.incoming, ciphers.outgoing)).unzip();
    let (reader, writer) = stream.into_split();
    let _ = engine.send(FromPeer::Handshake(conn, handshake)).await;
    let writer = Writer { stream: writer, encrypt, unsent: Unsent::from(Instant::now()), pacing };
    tokio::spawn(write_task(conn, writer, messages, engine.clone(), stop.clone()));
    read_task(conn, Reader { stream: reader, decrypt, receiver: Receiver::new(buffers), early }, engine, stop).await;
}

/// What the reading half of a connection is made of.
struct Reader {
    stream: Incoming,
    /// What the peer's bytes are decrypted with, if they are encrypted.
    decrypt: Option<Cipher>,
    receiver: Receiver,
    /// Bytes that came with the handshake.
    early: Vec<u8>,
}

/// What the writing half of a connection is made of.
struct Writer {
    stream: Outgoing,
    /// What our bytes are encrypted with, if they are to be.
    encrypt: Option<Cipher>,
    unsent: Unsent,
    pacing: Pacing,
}

async fn read_task(conn: ConnId, reader: Reader, engine: mpsc::Sender<FromPeer>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => return,
        ended = reader.read(conn, &engine) => match ended {
            Ok(()) => tracing::trace!(?conn, "peer closed"),
            Err(err) => tracing::debug!(?conn, %err, "connection ends"),
        },
    }
    // The engine may be gone; then there is nobody to tell.
    let _ = engine.send(FromPeer::Closed(conn)).await;
}

impl Reader {
    async fn read(mut self, conn: ConnId, engine: &mpsc::Sender<FromPeer>) -> Result<(), ReadError> {
        self.receiver.begin_with(&std::mem::take(&mut self.early))?;
        loop {
            let messages = self.receiver.take_messages();
            if !messages.is_empty() && engine.send(FromPeer::Messages(conn, messages)).await.is_err() {
                return Ok(());
            }
            self.stream.readable().await?;
            let mut room = self.receiver.room();
            let read = match self.stream.try_read_vectored(&mut room) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => 0,
                Err(err) => return Err(err.into()),
            };
            if let Some(cipher) = &mut self.decrypt {
                cipher.apply_vectored(&mut room, read);
            }
            drop(room);
            self.receiver.received(read)?;
        }
    }
}

async fn write_task(
    conn: ConnId,
    mut writer: Writer,
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
}

/// Writes a batch, heads and payloads, in as few system calls as the socket allows.
async fn write(
    conn: ConnId,
    writer: &mut Writer,
    batch: &mut Vec<ToPeer>,
    engine: &mpsc::Sender<FromPeer>,
) -> io::Result<()> {
    let mut batch = batch.drain(..).peekable();
    while batch.peek().is_some() {
        let mut heads = BytesMut::with_capacity(HEADS);
        let mut parts: Vec<Bytes> = Vec::new();
        let (mut payload_bytes, mut is_paced, mut run) = (0, false, None);
        while payload_bytes < writer.unsent.most() {
            match batch.next() {
                None => break,
                Some(ToPeer::Handshake(handshake)) => heads.extend_from_slice(&handshake.encode()),
                // They are for the opening, which is over.
                Some(ToPeer::Encrypted(_) | ToPeer::AnswerKey(_)) => {}
                Some(ToPeer::Run(swarm, next)) => {
                    payload_bytes += next.length();
                    run = Some((swarm, next));
                    break;
                }
                Some(ToPeer::Message { message, is_paced: is_message_paced }) => {
                    is_paced |= is_message_paced;
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
        if let Some(cipher) = &mut writer.encrypt {
            parts = vec![encrypt(cipher, &parts)];
        }
        if is_paced {
            write_paced(writer, parts).await?;
        } else {
            writer.stream.write_all(parts).await?;
        }
        if let Some((swarm, run)) = run {
            write_run(writer, swarm, run, engine).await?;
        }
        if writer.unsent.taken(Instant::now(), payload_bytes) {
            writer.stream.limit_unsent(writer.unsent.most());
        }
        if payload_bytes > 0 {
            let _ = engine.send(FromPeer::Sent(conn, payload_bytes as u64)).await;
        }
    }
    Ok(())
}

/// Sends a run, straight from the files where nothing is to be done with its bytes.
async fn write_run(writer: &mut Writer, swarm: SwarmId, run: Run, engine: &mpsc::Sender<FromPeer>) -> io::Result<()> {
    let sent = match (&writer.stream, &mut writer.encrypt) {
        #[cfg(target_os = "linux")]
        (Outgoing::Tcp(stream), None) => run.send(stream).await,
        (_, cipher) => match run.read().await {
            Ok(parts) => {
                let parts = match cipher {
                    Some(cipher) => vec![encrypt(cipher, &parts)],
                    None => parts,
                };
                writer.stream.write_all(parts).await.map_err(RunError::Socket)
            }
            Err(err) => Err(err),
        },
    };
    match sent {
        Ok(()) => Ok(()),
        Err(RunError::Socket(err)) => Err(err),
        Err(RunError::Disk(fault)) => {
            let what = fault.to_string();
            let _ = engine.send(FromPeer::Swarm(swarm, swarm::Input::Unreadable(fault))).await;
            Err(io::Error::other(what))
        }
    }
}

/// Writes a few packets at a time, so that other traffic of the line waits for no more than those.
async fn write_paced(writer: &mut Writer, parts: Vec<Bytes>) -> io::Result<()> {
    let mut parts = VecDeque::from(parts);
    let mut next = Instant::now();
    while !parts.is_empty() {
        let pace = writer.pacing.rate();
        let (mut left, mut bit) = (writer.stream.bit(pace), Vec::new());
        while left > 0
            && let Some(first) = parts.front_mut()
        {
            let taken = first.split_to(first.len().min(left));
            left -= taken.len();
            bit.push(taken);
            parts.pop_front_if(|first| first.is_empty());
        }
        let length: usize = bit.iter().map(Bytes::len).sum();
        writer.stream.write_all(bit).await?;
        // What was late, on a busy machine, is not made up for at once.
        next = next.max(Instant::now() - MOST_LATE) + Duration::from_nanos(length as u64 * 1_000_000_000 / pace.0);
        tokio::time::sleep_until(next).await;
    }
    Ok(())
}

/// What several parts are in encrypted form. A payload may be on its way to others, so it is encrypted in a copy.
fn encrypt(cipher: &mut Cipher, parts: &[Bytes]) -> Bytes {
    let mut bytes = parts.concat();
    cipher.apply(&mut bytes);
    bytes.into()
}
