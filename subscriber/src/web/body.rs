//! The bytes of an answer, a piece at a time: from a file, or from a torrent or a plain download as it comes.

use std::io::{self, SeekFrom};
use std::sync::Arc;

use axum::body::Bytes;
use futures_util::Stream;
use podswarm_core::app::range::ByteRange;
use podswarm_core::net::http::{Growing, GrowingReader};
use podswarm_core::net::{Reader, Torrent};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::{Found, Web};
use crate::records::EpisodeId;

/// How much of a file one answer holds in memory.
const CHUNK: u64 = 64 << 10;

/// All of what nobody knows the end of.
pub(super) const ENDLESS: ByteRange = ByteRange { first: 0, last: u64::MAX - 1 };

/// Where bytes come from.
pub(super) enum Bytewise {
    /// A file that is whole.
    File(File),
    /// A torrent that is being fetched; what is served begins at this byte of it.
    Torrent(Torrent, u64),
    /// A plain file that is being fetched.
    Growing(Growing),
}

/// Finds an episode again: one that is complete may be seeded no longer, and lies in its file.
pub(super) struct Again {
    pub(super) web: Arc<Web>,
    pub(super) id: EpisodeId,
}

/// An answer under way.
struct Answer {
    from: From,
    part: ByteRange,
    /// Bytes of the part that are yet to be sent.
    left: u64,
    again: Option<Again>,
}

/// What is read.
enum From {
    /// Nothing yet.
    Start(Bytewise),
    File(File),
    Reader(Reader),
    Growing(GrowingReader),
}

/// The bytes of a part.
pub(super) fn stream(source: Bytewise, part: ByteRange, again: Option<Again>) -> impl Stream<Item = io::Result<Bytes>> {
    let answer = Answer { from: From::Start(source), part, left: part.length(), again };
    futures_util::stream::try_unfold(answer, |mut answer| async move {
        let next = answer.next().await?;
        Ok(next.map(|bytes| (bytes, answer)))
    })
}

impl Answer {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        let at = self.part.last + 1 - self.left;
        if let From::Start(source) = &mut self.from {
            self.from = match source {
                Bytewise::Torrent(torrent, start) => {
                    let range = *start + at..*start + self.part.last + 1;
                    From::Reader(torrent.read(range).await.map_err(io::Error::other)?)
                }
                Bytewise::Growing(growing) => From::Growing(growing.read(at..self.part.last + 1).await?),
                Bytewise::File(file) => {
                    let mut file = file.try_clone().await?;
                    file.seek(SeekFrom::Start(at)).await?;
                    From::File(file)
                }
            };
        }
        let bytes = match &mut self.from {
            From::Start(_) => unreachable!("it was begun above"),
            From::File(file) => read(file, self.left).await?,
            // It has the file itself: what is in its place later may be another version.
            From::Growing(reader) => match reader.next().await? {
                Some(bytes) => bytes,
                None if self.part == ENDLESS => return Ok(None),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            },
            From::Reader(reader) => match reader.next().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => {
                    let mut file = self.file().await.ok_or_else(|| io::Error::other(error))?;
                    file.seek(SeekFrom::Start(at)).await?;
                    let bytes = read(&mut file, self.left).await?;
                    self.from = From::File(file);
                    bytes
                }
            },
        };
        self.left -= bytes.len() as u64;
        Ok(Some(bytes))
    }

    /// The file of an episode that has become complete meanwhile.
    async fn file(&self) -> Option<File> {
        let again = self.again.as_ref()?;
        match again.web.shelf.episode(again.id).await? {
            Found::Whole { path, .. } => File::open(path).await.ok(),
            _ => None,
        }
    }
}

/// At most one chunk; an error if the file ends, since more was promised.
async fn read(file: &mut File, left: u64) -> io::Result<Bytes> {
    let most = usize::try_from(left.min(CHUNK)).expect("a chunk fits into memory");
    let mut bytes = vec![0; most];
    let length = file.read(&mut bytes).await?;
    bytes.truncate(length);
    if length == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes.into()) }
}
