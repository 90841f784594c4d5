//! How a connection begins: with two handshakes, in plain or behind an encrypted one.
//!
//! What comes out is whatever encrypts the rest, if anything, so that a connection without encryption costs nothing
//! later.
//!
//! Who begins with a request of HTTP is no peer: whoever receives visitors has to know what was read of it.
//!
//! Law: nothing that follows the peer's handshake is taken from the stream, unless the peer sent it with the encrypted
//! one.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::connection::{FromPeer, ToPeer};
use super::system_rng;
use crate::peer::encryption::keys::KEY_LENGTH;
use crate::peer::encryption::{Ciphers, EncryptionFault, Initiator, Progress, PublicKey, Responder};
use crate::peer::handshake::HANDSHAKE_LENGTH;
use crate::peer::{ConnId, Direction, Encryption, Handshake, HandshakeError};

/// A connection on which the peer has shown its handshake.
pub(super) struct Opened {
    /// What the peer said.
    pub(super) handshake: Handshake,
    /// What encrypts the rest.
    pub(super) ciphers: Option<Ciphers>,
    /// What the peer sent along, not encrypted any more.
    pub(super) early: Vec<u8>,
}

/// Why a connection does not come about.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpeningError {
    #[error("open the connection")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error(transparent)]
    Encryption(#[from] EncryptionFault),
    #[error("peer opens without encryption, which the owner requires")]
    Unencrypted,
    /// It may speak to us without encryption.
    #[error("peer does not answer our key")]
    KeyRefused,
    /// What it has sent so far.
    #[error("no peer, but somebody who asks by HTTP")]
    Visitor(Vec<u8>),
    #[error("engine has no more use for the connection")]
    Abandoned,
}

/// How requests begin that visitors make.
const REQUESTS: [&[u8]; 2] = [b"GET /", b"POST /"];

/// Opens the connection that is on `stream`.
pub(super) struct Opening<'a, S> {
    pub(super) conn: ConnId,
    pub(super) stream: &'a mut S,
    pub(super) encryption: Encryption,
    pub(super) engine: &'a mpsc::Sender<FromPeer>,
    pub(super) messages: &'a mut mpsc::Receiver<ToPeer>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Opening<'_, S> {
    /// Shows our handshake, if we have dialled, and waits for the peer's.
    pub(super) async fn open(mut self, direction: Direction) -> Result<Opened, OpeningError> {
        match direction {
            Direction::Incoming => self.be_dialled().await,
            Direction::Outgoing => match self.messages.recv().await {
                Some(ToPeer::Handshake(ours)) => {
                    self.stream.write_all(&ours.encode()).await?;
                    self.hear(Vec::new(), None).await
                }
                Some(ToPeer::Encrypted(ours)) => {
                    let ciphers = self.show_key(&ours).await?;
                    self.hear(Vec::new(), ciphers).await
                }
                _ => Err(OpeningError::Abandoned),
            },
        }
    }

    async fn be_dialled(&mut self) -> Result<Opened, OpeningError> {
        let (mut head, mut filled) = ([0; KEY_LENGTH], 0);
        let mut wanted = HANDSHAKE_LENGTH;
        while filled < wanted {
            filled += self.read_some(&mut head[filled..wanted]).await?;
            let begun = &head[..filled];
            // Of all keys, one in 2^40 begins so.
            if REQUESTS.iter().any(|request| begun.starts_with(request)) {
                return Err(OpeningError::Visitor(begun.to_vec()));
            }
            let may_visit = REQUESTS.iter().any(|request| request.starts_with(begun));
            match Handshake::check_protocol(begun) {
                Ok(()) => {}
                Err(err) if self.encryption == Encryption::Off && !may_visit => return Err(err.into()),
                Err(_) => wanted = KEY_LENGTH,
            }
        }
        if wanted == KEY_LENGTH {
            return self.answer_key(&PublicKey::decode(&head)?).await;
        }
        if self.encryption == Encryption::Require {
            return Err(OpeningError::Unencrypted);
        }
        self.hear(head[..HANDSHAKE_LENGTH].to_vec(), None).await
    }

    async fn answer_key(&mut self, theirs: &PublicKey) -> Result<Opened, OpeningError> {
        let _ = self.engine.send(FromPeer::KeyShown(self.conn)).await;
        let Some(ToPeer::AnswerKey(skeys)) = self.messages.recv().await else { return Err(OpeningError::Abandoned) };
        let (mut responder, hello) = Responder::new(self.encryption, theirs, skeys, system_rng());
        self.stream.write_all(&hello).await?;
        loop {
            let mut bytes = vec![0; responder.wants()];
            self.stream.read_exact(&mut bytes).await?;
            if let Some(accepted) = responder.received(&bytes)? {
                self.stream.write_all(&accepted.answer).await?;
                return self.hear(accepted.payload, accepted.ciphers).await;
            }
        }
    }

    async fn show_key(&mut self, ours: &Handshake) -> Result<Option<Ciphers>, OpeningError> {
        let payload = ours.encode().to_vec();
        let (mut initiator, hello) = Initiator::new(self.encryption, ours.info_hash, payload, system_rng());
        self.stream.write_all(&hello).await.map_err(|_| OpeningError::KeyRefused)?;
        loop {
            let mut bytes = vec![0; initiator.wants()];
            let read = self.stream.read_exact(&mut bytes).await;
            if read.is_err() && !initiator.is_answered() {
                return Err(OpeningError::KeyRefused);
            }
            read?;
            match initiator.received(&bytes)? {
                Progress::Waiting => {}
                Progress::Send(bytes) => self.stream.write_all(&bytes).await?,
                Progress::Done(ciphers) => return Ok(ciphers),
            }
        }
    }

    /// Takes the rest of the peer's handshake, of which `begun` is there already.
    async fn hear(&mut self, begun: Vec<u8>, mut ciphers: Option<Ciphers>) -> Result<Opened, OpeningError> {
        let mut handshake = begun;
        Handshake::check_protocol(&handshake)?;
        while handshake.len() < HANDSHAKE_LENGTH {
            let filled = handshake.len();
            handshake.resize(HANDSHAKE_LENGTH, 0);
            let read = self.read_some(&mut handshake[filled..]).await?;
            handshake.truncate(filled + read);
            if let Some(ciphers) = &mut ciphers {
                ciphers.incoming.apply(&mut handshake[filled..]);
            }
            Handshake::check_protocol(&handshake)?;
        }
        let early = handshake.split_off(HANDSHAKE_LENGTH);
        let handshake = handshake.try_into().expect("as many bytes were read");
        Ok(Opened { handshake: Handshake::decode(&handshake)?, ciphers, early })
    }

    async fn read_some(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(room).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}
