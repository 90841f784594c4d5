//! Runs of blocks on their way from the files to a socket.
//!
//! On Linux the system sends them from its cache of the files, so that not a byte passes through us: a disk thread
//! hands the socket as much as it takes, waits for the disk if need be, and gives the thread back when the socket is
//! full. Elsewhere, and where bytes are to be encrypted or cut into packets of uTP, they are read and written.
//!
//! Law: a head whose bytes cannot follow ends the connection; the peer cannot be told otherwise.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::buffers::Buffers;
use super::engine::{Held, disk_fault};
use super::pool::Pool;
use super::storage::StorageError;
use crate::layout::BlockInfo;
use crate::swarm::DiskFault;

/// A run of blocks to be sent.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) span: BlockInfo,
    pub(crate) files: Arc<Held>,
    pub(crate) pool: Pool,
    pub(crate) buffers: Buffers,
}

/// A run is not sent.
#[derive(Debug)]
pub(crate) enum RunError {
    /// Its bytes cannot be read.
    Disk(DiskFault),
    /// The socket does not take them.
    Socket(io::Error),
}

impl Run {
    /// The blocks' bytes.
    pub(crate) const fn length(&self) -> usize {
        self.span.length as usize
    }

    fn head(&self) -> Bytes {
        Bytes::copy_from_slice(&self.span.encode_head())
    }

    /// The message, head and blocks.
    pub(crate) async fn read(self) -> Result<Vec<Bytes>, RunError> {
        let head = self.head();
        let Self { span, files, pool, buffers } = self;
        let blocks = on_disk(&pool, move || files.read(span, &buffers).map_err(disk_error)).await;
        Ok([head].into_iter().chain(blocks?).collect())
    }
}

async fn on_disk<T: Send + 'static>(pool: &Pool, job: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = oneshot::channel();
    pool.run(move || {
        // Who has gone needs no answer.
        let _ = done.send(job());
    });
    result.await.expect("a disk thread does every job")
}

fn disk_error(err: StorageError) -> RunError {
    RunError::Disk(disk_fault(err))
}

/// What only this system does.
#[cfg(target_os = "linux")]
mod unread {
    use std::collections::VecDeque;

    use bytes::Buf as _;
    use rustix::net::SendFlags;
    use tokio::io::Interest;
    use tokio::net::TcpStream;
    use tokio::net::tcp::OwnedWriteHalf;

    use super::super::storage::Place;
    use super::{Arc, Bytes, Run, RunError, disk_error, io, on_disk};

    impl Run {
        /// Sends it unread.
        pub(crate) async fn send(self, socket: &Arc<OwnedWriteHalf>) -> Result<(), RunError> {
            let pool = self.pool.clone();
            let mut sending = Sending { ready: self.head(), places: None, run: self };
            loop {
                socket.writable().await.map_err(RunError::Socket)?;
                let socket = Arc::clone(socket);
                let gone_on = on_disk(&pool, move || sending.go_on(socket.as_ref().as_ref())).await?;
                match gone_on {
                    Some(rest) => sending = rest,
                    None => return Ok(()),
                }
            }
        }
    }

    /// A run of which a part may have been sent.
    struct Sending {
        run: Run,
        /// Bytes in memory that come next: the head, padding, or what the system does not send unread.
        ready: Bytes,
        /// What comes after them; found once a disk thread has the run.
        places: Option<VecDeque<Place>>,
    }

    impl Sending {
        /// Sends until the socket is full; `None` if all is sent.
        fn go_on(mut self, socket: &TcpStream) -> Result<Option<Self>, RunError> {
            let files = &self.run.files;
            let places = match &mut self.places {
                Some(places) => places,
                none => none.insert(files.places(self.run.span).map_err(disk_error)?),
            };
            loop {
                let step = if self.ready.is_empty() {
                    let Some(place) = places.front_mut() else { return Ok(None) };
                    let sent = socket.try_io(Interest::WRITABLE, || place.send(socket));
                    if sent.as_ref().is_err_and(|err| err.kind() == io::ErrorKind::Unsupported) {
                        self.ready = files.read_front(place, &self.run.buffers).map_err(disk_error)?;
                        Ok(())
                    } else {
                        sent
                    }
                } else {
                    let flags =
                        if places.is_empty() { SendFlags::NOSIGNAL } else { SendFlags::NOSIGNAL | SendFlags::MORE };
                    let sent = socket.try_io(Interest::WRITABLE, || Ok(rustix::net::send(socket, &self.ready, flags)?));
                    sent.map(|sent| self.ready.advance(sent))
                };
                match step {
                    Ok(()) => {}
                    Err(err) if err.kind() == io::ErrorKind::WouldBlock => return Ok(Some(self)),
                    Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                    Err(err) => return Err(RunError::Socket(err)),
                }
                places.pop_front_if(|place| place.is_empty());
            }
        }
    }
}
