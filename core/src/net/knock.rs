//! Dialling a peer to see whether he lets others in, and for nothing else.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;

use super::connection::ToPeer;
use super::opening::{Opening, OpeningError};
use super::route::Route;
use crate::peer::{ConnId, Direction, Encryption, Handshake};
use crate::witness::Knocked;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Shows `ours` at `addr`, with or without encryption as the owner has it, and goes.
pub(super) async fn knock(route: &Route, encryption: Encryption, addr: SocketAddr, ours: Handshake) -> Knocked {
    let knocking = async {
        match encryption {
            Encryption::Off => show(route, encryption, addr, ToPeer::Handshake(ours)).await,
            Encryption::Require => show(route, encryption, addr, ToPeer::Encrypted(ours)).await,
            Encryption::Prefer => match show(route, encryption, addr, ToPeer::Encrypted(ours)).await {
                // He may know no encryption.
                Knocked::Closed => show(route, encryption, addr, ToPeer::Handshake(ours)).await,
                outcome => outcome,
            },
        }
    };
    tokio::time::timeout(PATIENCE, knocking).await.unwrap_or(Knocked::Silent)
}

/// The same by one handshake.
async fn show(route: &Route, encryption: Encryption, addr: SocketAddr, ours: ToPeer) -> Knocked {
    let mut stream = match route.connect(addr).await {
        Ok(stream) => stream,
        Err(error) => return of_error(&error),
    };
    let ((engine, _), (say, mut messages)) = (mpsc::channel(1), mpsc::channel(1));
    let _ = say.try_send(ours);
    let opening =
        Opening { conn: ConnId(0), stream: &mut stream, encryption, engine: &engine, messages: &mut messages };
    match opening.open(Direction::Outgoing).await {
        Ok(_) => Knocked::LetIn,
        Err(error) => {
            tracing::debug!(%addr, %error, "nobody opens");
            match error {
                OpeningError::Io(error) if error.kind() == io::ErrorKind::TimedOut => Knocked::Silent,
                _ => Knocked::Closed,
            }
        }
    }
}

fn of_error(error: &io::Error) -> Knocked {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => Knocked::Refused,
        io::ErrorKind::TimedOut => Knocked::Silent,
        _ => Knocked::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::metainfo::InfoHash;
    use crate::peer::Reserved;
    use crate::peer::handshake::HANDSHAKE_LENGTH;
    use crate::rng::Rng;
    use crate::witness::Nonce;

    fn hello() -> Handshake {
        let nonce = Nonce::generate(&mut Rng::from_seed_u64(1));
        Handshake::of(&InfoHash::from_v1([1; 20]), Reserved::OURS, nonce.peer_id())
    }

    /// What comes of knocking, so or so, at somebody who deals with each connection as `open` does.
    async fn knocked(encryption: Encryption, open: impl AsyncFn(TcpStream)) -> Knocked {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, route) = (listener.local_addr().unwrap(), Route::default());
        let serving = async move {
            loop {
                open(listener.accept().await.unwrap().0).await;
            }
        };
        tokio::select! {
            () = serving => unreachable!("it goes on for ever"),
            knocked = knock(&route, encryption, addr, hello()) => knocked,
        }
    }

    /// Answers a handshake in plain, and nothing else.
    async fn answer_plain(mut stream: TcpStream) {
        let mut said = [0; HANDSHAKE_LENGTH];
        stream.read_exact(&mut said).await.unwrap();
        if said.starts_with(b"\x13BitTorrent") {
            assert_eq!(said, hello().encode());
            stream.write_all(&said).await.unwrap();
        }
    }

    #[tokio::test]
    async fn who_answers_the_handshake_lets_in_also_if_he_knows_no_encryption() {
        assert_eq!(knocked(Encryption::Off, answer_plain).await, Knocked::LetIn);
        assert_eq!(knocked(Encryption::Prefer, answer_plain).await, Knocked::LetIn);
        assert_eq!(knocked(Encryption::Require, answer_plain).await, Knocked::Closed);
    }

    #[tokio::test]
    async fn who_hangs_up_has_let_nobody_in() {
        assert_eq!(knocked(Encryption::Prefer, async |stream| drop(stream)).await, Knocked::Closed);
    }

    #[tokio::test]
    async fn a_port_on_which_nobody_listens_refuses() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        drop(listener);
        assert_eq!(knock(&Route::default(), Encryption::Prefer, addr, hello()).await, Knocked::Refused);
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_not_waited_for_long() {
        let silent = async |_stream: TcpStream| std::future::pending().await;
        assert_eq!(knocked(Encryption::Prefer, silent).await, Knocked::Silent);
    }
}
