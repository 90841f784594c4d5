//! One web seed: ranges of a torrent's bytes, taken from files on a web server and cut into blocks. BEP 19.
//!
//! A task for each server takes one range after the other over one connection that is kept. It reads no further than it
//! was granted, so that a limit or a slow disk slows the server down instead of filling memory, and hands whole blocks
//! to the engine through the channel that peers' messages take.
//!
//! Each block is copied once, out of the HTTP client's buffer, so that a block does not keep a larger buffer from being
//! used again.
//!
//! Law: what the engine is sent is what was granted, in order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::buffers::{Buffer, Buffers};
use super::connection::FromPeer;
use super::engine::with_causes;
use super::http::{HttpClient, HttpError, Part};
use crate::layout::{FileSlice, Layout, PieceIndex};
use crate::metainfo::Metainfo;
use crate::piece::WebSeedId;
use crate::swarm::web_seeds::{Remedy, WebSeedFault};
use crate::swarm::{self, SwarmId, WebFetch};

/// A server that sends nothing for so long has failed.
const SILENCE: Duration = Duration::from_secs(20);
/// A server that does not have the file is left alone for so long at least.
const MISSING: Duration = Duration::from_mins(1);

/// The engine's end of a web seed.
#[derive(Debug)]
pub(crate) struct WebSeed {
    fetches: mpsc::UnboundedSender<Fetch>,
    /// The fetch under way, which ends with this.
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    number: u32,
    granted: watch::Sender<u64>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Fetch {
    what: WebFetch,
    granted: watch::Receiver<u64>,
    stop: CancellationToken,
}

/// What a web seed's task works with.
#[derive(Debug)]
pub(crate) struct Kit {
    pub(crate) swarm: SwarmId,
    pub(crate) metainfo: Arc<Metainfo>,
    pub(crate) http: HttpClient,
    pub(crate) buffers: Buffers,
    pub(crate) engine: mpsc::Sender<FromPeer>,
}

impl WebSeed {
    /// Starts the task, which ends when this is dropped.
    #[expect(clippy::disallowed_methods, reason = "the rim")]
    pub(crate) fn start(kit: Kit, seed: WebSeedId) -> Self {
        let (fetches, orders) = mpsc::unbounded_channel();
        tokio::spawn(task(kit, seed, orders));
        Self { fetches, running: None }
    }

    /// Begins a fetch, and ends the one before it if that still runs.
    pub(crate) fn fetch(&mut self, what: WebFetch) {
        let (number, stop) = (what.number, CancellationToken::new());
        let (grants, granted) = watch::channel(what.granted);
        // A task that is gone has been told why.
        let _ = self.fetches.send(Fetch { what, granted, stop: stop.clone() });
        self.running = Some(Running { number, granted: grants, _stop: stop.drop_guard() });
    }

    /// Lets the server send more.
    pub(crate) fn grant(&self, number: u32, until: u64) {
        if let Some(running) = self.running.as_ref().filter(|running| running.number == number) {
            running.granted.send_replace(until);
        }
    }

    /// Ends a fetch.
    pub(crate) fn close(&mut self, number: u32) {
        self.running.take_if(|running| running.number == number);
    }
}

async fn task(kit: Kit, seed: WebSeedId, mut orders: mpsc::UnboundedReceiver<Fetch>) {
    let layout = Layout::of(&kit.metainfo.info);
    let mut versions = BTreeMap::new();
    while let Some(fetch) = orders.recv().await {
        let Fetch { what, granted, stop } = fetch;
        tracing::debug!(url = %what.url, range = ?what.range, "ask a web seed");
        let cutter = Cutter::new(&kit.buffers, &layout, what.range.start);
        let mut run = Run { kit: &kit, seed, layout: &layout, versions: &mut versions, what: &what, granted, cutter };
        let Some(Err(fault)) = stop.run_until_cancelled(run.bring()).await else { continue };
        tracing::debug!(url = %what.url, %fault, "web seed fails");
        let ended = swarm::Input::WebSeedEnded { seed, fetch: what.number, fault };
        if kit.engine.send(FromPeer::Swarm(kit.swarm, ended)).await.is_err() {
            return;
        }
    }
}

/// One fetch.
struct Run<'a> {
    kit: &'a Kit,
    seed: WebSeedId,
    layout: &'a Layout,
    /// What each file's version was called when it was last asked for.
    versions: &'a mut BTreeMap<usize, String>,
    what: &'a WebFetch,
    granted: watch::Receiver<u64>,
    cutter: Cutter<'a>,
}

impl Run<'_> {
    /// Brings the range, file by file.
    async fn bring(&mut self) -> Result<(), WebSeedFault> {
        let slices: Vec<FileSlice> = self.layout.slices(self.what.range.clone()).collect();
        for slice in slices {
            let mut range = slice.offset..slice.offset + slice.length;
            if self.kit.metainfo.info.files[slice.file].is_pad {
                // Padding is all zeros, and no server has it. BEP 47.
                if self.cutter.skip_padding(slice.length) {
                    continue;
                }
                while !range.is_empty() {
                    let step = (range.end - range.start).min(ZEROS.len() as u64);
                    range.start += step;
                    self.take(Bytes::from_static(&ZEROS[..usize::try_from(step).expect("it is short")])).await?;
                }
            }
            while !range.is_empty() {
                self.bring_part(slice.file, &mut range).await?;
            }
        }
        self.flush().await
    }

    /// Takes what one answer brings of `range`; what it did not bring is left in it.
    async fn bring_part(&mut self, file: usize, range: &mut Range<u64>) -> Result<(), WebSeedFault> {
        // A request is not sent before something of it may be read.
        self.wait_for_grant().await?;
        let mut part = self.ask(file, range.clone()).await?;
        let begun = range.start;
        let mut skip = range.start - part.offset;
        while !range.is_empty() {
            let came = timely(&part.host(), part.chunk()).await;
            // A server that breaks off after it has brought something is asked for the rest at once.
            let has_brought = range.start - begun >= u64::from(crate::layout::BLOCK_LENGTH);
            let Some(mut chunk) = came.or_else(|fault| if has_brought { Ok(None) } else { Err(fault) })? else { break };
            let skipped = skip.min(chunk.len() as u64);
            skip -= skipped;
            chunk.advance(usize::try_from(skipped).expect("it is at most the chunk's length"));
            chunk.truncate(usize::try_from(range.end - range.start).unwrap_or(usize::MAX));
            range.start += chunk.len() as u64;
            self.take(chunk).await?;
        }
        if range.start == begun {
            return Err(wait(format!("{} sends nothing", part.host()), None));
        }
        Ok(())
    }

    async fn ask(&mut self, file: usize, range: Range<u64>) -> Result<Part, WebSeedFault> {
        let info = &self.kit.metainfo.info;
        let url = info.web_seed_url(&self.what.url, file);
        let total = info.files[file].length;
        let known = self.versions.get(&file).map(String::as_str);
        let asking = self.kit.http.part(&url, range.clone(), total, known);
        let part = timely(&host_of(&url), asking).await?;
        if known.is_some() && part.is_from_the_start && part.version.as_deref() != known {
            // Of the same length, it may be the same file on another machine; its hashes tell.
            self.versions.remove(&file);
            return Err(wait(format!("{} has another version of the file than before", part.host()), None));
        }
        if part.is_from_the_start && range.start > 0 && !self.what.from_the_start {
            let reason = format!("{} sends files from their starts only", part.host());
            return Err(WebSeedFault { reason, remedy: Remedy::FromTheStart });
        }
        match &part.version {
            Some(version) => drop(self.versions.insert(file, version.clone())),
            None => drop(self.versions.remove(&file)),
        }
        Ok(part)
    }

    /// Cuts bytes into blocks, and hands over those that are whole; waits where no more is granted.
    async fn take(&mut self, mut bytes: Bytes) -> Result<(), WebSeedFault> {
        while !bytes.is_empty() {
            let room = self.granted.borrow_and_update().saturating_sub(self.cutter.at);
            if room == 0 {
                self.wait_for_grant().await?;
                continue;
            }
            let now = bytes.split_to(usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len()));
            self.cutter.fill(&now);
        }
        self.flush().await
    }

    async fn wait_for_grant(&mut self) -> Result<(), WebSeedFault> {
        self.flush().await?;
        let at = self.cutter.at;
        let waited = self.granted.wait_for(|until| *until > at).await;
        waited.map(drop).map_err(|_| wait("it is not needed any more".to_owned(), None))
    }

    async fn flush(&mut self) -> Result<(), WebSeedFault> {
        let blocks = std::mem::take(&mut self.cutter.blocks);
        if blocks.is_empty() {
            return Ok(());
        }
        let sent = swarm::Input::WebSeedSent { seed: self.seed, fetch: self.what.number, blocks };
        let sent = self.kit.engine.send(FromPeer::Swarm(self.kit.swarm, sent)).await;
        sent.map_err(|_| wait("the engine has stopped".to_owned(), None))
    }
}

/// Cuts bytes of a torrent into its blocks.
struct Cutter<'a> {
    buffers: &'a Buffers,
    layout: &'a Layout,
    /// Where in the torrent the next byte lies.
    at: u64,
    /// The block that is being filled, and how far.
    open: Option<(Buffer, usize)>,
    /// Those that are whole.
    blocks: Vec<Bytes>,
}

impl<'a> Cutter<'a> {
    /// `at` is a block's first byte.
    const fn new(buffers: &'a Buffers, layout: &'a Layout, at: u64) -> Self {
        Self { buffers, layout, at, open: None, blocks: Vec::new() }
    }

    fn fill(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (mut buffer, filled) = self.open.take().unwrap_or_else(|| (self.buffers.take(), 0));
            let length = self.block_length(filled);
            let (now, later) = bytes.split_at(bytes.len().min(length - filled));
            let end = filled + now.len();
            buffer.bytes_mut()[filled..end].copy_from_slice(now);
            self.at += now.len() as u64;
            if end == length {
                self.blocks.push(buffer.freeze(length));
            } else {
                self.open = Some((buffer, end));
            }
            bytes = later;
        }
    }

    /// Passes over `length` bytes of padding, if they end a piece and so belong to no block.
    fn skip_padding(&mut self, length: u64) -> bool {
        let piece = u32::try_from(self.at / u64::from(self.layout.piece_length())).expect("it lies within the torrent");
        let begin = self.at - self.layout.start_of(PieceIndex(piece));
        let is_behind = begin >= u64::from(self.layout.length_of(PieceIndex(piece)));
        self.at += if is_behind { length } else { 0 };
        is_behind
    }

    /// The length of the block of which `filled` bytes are there.
    fn block_length(&self, filled: usize) -> usize {
        let start = self.at - filled as u64;
        let piece = u32::try_from(start / u64::from(self.layout.piece_length())).expect("it lies within the torrent");
        let begin = start - self.layout.start_of(PieceIndex(piece));
        let number = u32::try_from(begin / u64::from(crate::layout::BLOCK_LENGTH)).expect("a piece has few blocks");
        self.layout.block(PieceIndex(piece), number).expect("it lies within the torrent").length as usize
    }
}

static ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];

/// What comes of a step with a server, or a fault if nothing does for too long.
async fn timely<T>(host: &str, step: impl Future<Output = Result<T, HttpError>>) -> Result<T, WebSeedFault> {
    match tokio::time::timeout(SILENCE, step).await {
        Ok(result) => result.map_err(|error| fault(&error)),
        Err(_) => Err(wait(format!("{host} sends nothing"), None)),
    }
}

fn wait(reason: String, when: Option<Duration>) -> WebSeedFault {
    WebSeedFault { reason, remedy: Remedy::Wait(when) }
}

fn fault(error: &HttpError) -> WebSeedFault {
    let remedy = match error {
        HttpError::Length { .. } | HttpError::OutOfReach { .. } | HttpError::Scheme { .. } | HttpError::Url { .. } => {
            Remedy::Never
        }
        HttpError::Status { status: 401 | 403 | 404 | 410 | 416 | 451, retry_after, .. } => {
            Remedy::Wait(Some(retry_after.unwrap_or_default().max(MISSING)))
        }
        HttpError::Status { retry_after, .. } => Remedy::Wait(*retry_after),
        _ => Remedy::Wait(None),
    };
    WebSeedFault { reason: with_causes(error), remedy }
}

/// The host of a URL, for people.
fn host_of(url: &str) -> String {
    let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_else(|| "the server".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_cut_of_the_stream_gives_the_torrents_blocks(
            cuts in prop::collection::vec(1..50_000_usize, 1..9),
            piece_length in 1024..70_000_u32,
            length in 1..400_000_u64,
        ) {
            let layout = Layout::new(piece_length, [length]);
            let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let buffers = Buffers::default();
            let mut cutter = Cutter::new(&buffers, &layout, 0);
            let (mut rest, mut cuts) = (&bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                cutter.fill(now);
                rest = later;
            }
            let of = |piece| (0..layout.block_count(piece)).map(move |number| (piece, number));
            let numbered: Vec<_> = layout.pieces().flat_map(of).collect();
            let blocks = numbered.into_iter().filter_map(|(piece, number)| layout.block(piece, number));
            let want: Vec<u64> = blocks.map(|block| u64::from(block.length)).collect();
            let got: Vec<u64> = cutter.blocks.iter().map(|block| block.len() as u64).collect();
            prop_assert_eq!(got, want);
            prop_assert_eq!(cutter.blocks.concat(), bytes);
            prop_assert!(cutter.open.is_none());
        }
    }
}
