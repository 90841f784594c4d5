//! What the session wants done, done.

use std::sync::Arc;
use std::time::Duration;

use super::super::connection::ToPeer;
use super::super::http::{HttpClient, Reach};
use super::super::run::Run;
use super::super::storage::{Storage, StorageError};
use super::files::Held;
use super::{Done, Task, with_causes};
use crate::layout::BlockInfo;
use crate::metainfo::merkle;
use crate::peer::{ConnId, Message};
use crate::swarm::{self, DiskFault, Event, Output, SwarmId, WholePiece, judged};
use crate::tracker::udp::is_udp;
use crate::tracker::{AnnounceFailure, AnnounceId, AnnounceRequest, AnnounceResponse, ScrapeRequest, http as codec};

impl Task {
    /// Does what the session wants done.
    pub(super) fn drain(&mut self) {
        while let Some(output) = self.session.poll() {
            self.perform(output);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Dial { conn, addr, way, .. } => self.dial(conn, addr, way),
            Output::SendHandshake(conn, handshake) => self.send(conn, ToPeer::Handshake(handshake)),
            Output::SendEncrypted(conn, handshake) => self.send(conn, ToPeer::Encrypted(handshake)),
            Output::AnswerKey(conn, skeys) => self.send(conn, ToPeer::AnswerKey(skeys)),
            Output::Send(conn, message) => {
                let is_paced = matches!(message, Message::Piece { .. }) && self.session.is_in_background(conn);
                self.send(conn, ToPeer::Message { message, is_paced });
            }
            Output::Trips(conns) => self.ask_for_trips(&conns),
            Output::Close(conn, reason) => {
                tracing::debug!(?conn, %reason, "close");
                if let Some(connection) = self.conns.remove(&conn) {
                    connection.close();
                }
            }
            Output::Read { swarm, conn, span } => {
                let buffers = self.buffers.clone();
                self.on_disk(swarm, move |storage| swarm::Input::Read {
                    conn,
                    span,
                    result: storage.read(span, &buffers).map_err(disk_fault),
                });
            }
            Output::SendRun { swarm, conn, span } => {
                if let Some(files) = self.storage(swarm) {
                    let run = Run { span, files, pool: self.pool.clone(), buffers: self.buffers.clone() };
                    self.send(conn, ToPeer::Run(swarm, run));
                }
            }
            Output::HashBlocks { swarm, conn, span } => {
                let buffers = self.buffers.clone();
                self.on_disk(swarm, move |storage| {
                    let blocks = storage.read(span, &buffers).map_err(disk_fault);
                    let leaves = blocks.map(|blocks| blocks.iter().map(|block| merkle::leaf(block)).collect());
                    swarm::Input::BlocksHashed { conn, leaves }
                });
            }
            Output::Store { swarm, whole } => self.store(swarm, whole),
            Output::Place { swarm } => {
                self.on_disk(swarm, |storage| swarm::Input::Placed(storage.place().map_err(disk_fault)));
            }
            Output::Announce { swarm, id, url, request, tracker_id, scrape } => {
                self.announce(swarm, id, url, request, tracker_id, scrape);
            }
            Output::Seek { swarm, info_hash, by, part } => self.seeking.seek(swarm, info_hash, by, part),
            Output::EndSeek { swarm, info_hash } => self.seeking.end(swarm, info_hash),
            Output::Node(addr) => self.seeking.node(addr),
            Output::FetchWeb { swarm, fetch } => self.fetch_web(swarm, fetch),
            Output::GrantWeb { swarm, seed, fetch, until } => self.grant_web(swarm, seed, fetch, until),
            Output::CloseWeb { swarm, seed, fetch } => self.close_web(swarm, seed, fetch),
            Output::Event(swarm, event) => self.event(swarm, event),
        }
    }

    /// What the system knows of connections, to the session once it is done with this input.
    fn ask_for_trips(&mut self, conns: &[ConnId]) {
        let addrs = conns.iter().filter_map(|conn| Some((*conn, self.conns.get(conn)?.tcp()?)));
        let trips = addrs.filter_map(|(conn, addrs)| Some((conn, self.trips.of(addrs)?))).collect();
        let _ = self.done.send(Done::Trips(trips));
    }

    fn send(&mut self, conn: ConnId, what: ToPeer) {
        let stuck = self.conns.get(&conn).is_some_and(|connection| !connection.send(what));
        if stuck && let Some(connection) = self.conns.remove(&conn) {
            tracing::debug!(?conn, "peer does not read");
            connection.close();
            // The session hears of it as of any other end, once it is done with this input.
            let _ = self.done.send(Done::Stuck(conn));
        }
    }

    /// Runs a job with a swarm's files on a disk thread; its answer goes to the swarm.
    fn on_disk(&self, id: SwarmId, job: impl FnOnce(&Storage) -> swarm::Input + Send + 'static) {
        let Some(storage) = self.storage(id) else { return };
        let done = self.done.clone();
        self.pool.run(move || {
            let _ = done.send(Done::Swarm(id, job(&storage)));
        });
    }

    /// Has one disk thread judge pieces together and write them one after the other: the system lets nobody else write
    /// to the same file meanwhile.
    fn store(&self, id: SwarmId, whole: Vec<WholePiece>) {
        let Some(storage) = self.storage(id) else { return };
        let done = self.done.clone();
        self.pool.run(move || {
            for (whole, verdict) in judged(whole) {
                let (piece, bytes) = (whole.piece, whole.length());
                let length = u32::try_from(bytes).expect("a piece is at most 64 MiB");
                let span = BlockInfo { piece, begin: 0, length };
                let outcome = whole.store(verdict, |blocks| storage.write(span, blocks).map_err(disk_fault));
                let _ = done.send(Done::Swarm(id, swarm::Input::Stored { piece, outcome, bytes }));
            }
        });
    }

    fn storage(&self, id: SwarmId) -> Option<Arc<Held>> {
        self.by_swarm.get(&id).and_then(|key| self.entries.get(key)).and_then(|entry| entry.storage.clone())
    }

    fn announce(
        &mut self,
        swarm: SwarmId,
        id: AnnounceId,
        url: String,
        request: AnnounceRequest,
        tracker_id: Option<Vec<u8>>,
        scrape: bool,
    ) {
        let reach = self
            .by_swarm
            .get(&swarm)
            .and_then(|key| self.entries.get(key))
            .map(|entry| entry.add.reach)
            .or_else(|| self.findings.get(&swarm).map(super::finding::Finding::reach))
            .or_else(|| self.leaving.get(&swarm).copied())
            .unwrap_or(Reach::Public);
        let (http, udp) = (self.client(reach), self.udp_trackers.clone());
        let has_proxy = self.config.proxy.is_some();
        let (done, gate) = (self.done.clone(), self.gates.of(&url));
        self.announcing += 1;
        tokio::spawn(async move {
            let turn = gate.acquire().await;
            let result = match http {
                _ if is_udp(&url) && has_proxy => Err(AnnounceFailure::new(NOT_OVER_UDP)),
                _ if is_udp(&url) => udp.announce(reach, &url, &request, scrape).await,
                Ok(client) => ask(&client, &url, &request, tracker_id.as_deref(), scrape).await,
                Err(reason) => Err(AnnounceFailure::new(reason)),
            };
            drop(turn);
            if let Err(err) = &result {
                tracing::debug!(%url, %err, "announce failed");
            }
            let _ = done.send(Done::Swarm(swarm, swarm::Input::Announced { id, result }));
        });
    }

    /// The HTTP client for this reach, made when it is first needed.
    pub(super) fn client(&mut self, reach: Reach) -> Result<HttpClient, String> {
        if let Some(client) = self.http.get(&reach) {
            return Ok(client.clone());
        }
        let client =
            HttpClient::new(reach, &self.config.user_agent, &self.dialler.route).map_err(|err| with_causes(&err))?;
        self.http.insert(reach, client.clone());
        Ok(client)
    }

    fn event(&mut self, id: SwarmId, event: Event) {
        if let Event::Metadata { info, layers } = event {
            // Once the session is done with this input.
            let _ = self.done.send(Done::Found(id, info, layers));
            return;
        }
        self.touch(id);
        let Some(key) = self.by_swarm.get(&id).copied() else { return };
        let Some(entry) = self.entries.get(&key) else { return };
        let torrent = entry.handle.info_hash();
        match event {
            Event::Piece(_) => self.serve_readers(key),
            Event::Stopped | Event::Metadata { .. } => {}
            Event::Complete => {
                tracing::info!(%torrent, "complete");
                let seed_after = entry.add.seed_after;
                self.publish_now();
                if !seed_after {
                    self.set_paused_after_complete(id);
                }
            }
            Event::Fault(error) => {
                tracing::error!(%torrent, %error, "disk failed");
                self.publish_now();
            }
            Event::Recovered => tracing::info!(%torrent, "disk is tried again"),
            Event::Banned(addr) => tracing::warn!(%torrent, %addr, "peer sent bad data and is banned"),
            Event::WebSeedDropped { url, reason } => {
                tracing::warn!(%torrent, %url, %reason, "web seed is not asked any more");
            }
        }
    }

    /// A torrent that is not to be seeded is left once it is complete.
    fn set_paused_after_complete(&mut self, id: SwarmId) {
        let _ = self.done.send(Done::Swarm(id, swarm::Input::Pause));
    }
}

/// Why a tracker is not asked.
const NOT_OVER_UDP: &str = "trackers over UDP are not asked while a proxy is set";

/// Asks a tracker over HTTP and every address family that it has, and for figures that its answers leave out with
/// `scrape`.
async fn ask(
    client: &HttpClient,
    url: &str,
    request: &AnnounceRequest,
    tracker_id: Option<&[u8]>,
    scrape: bool,
) -> Result<AnnounceResponse, AnnounceFailure> {
    let announce = codec::announce_url(url, request, tracker_id)?;
    let answers = client.announce(&announce).await;
    let mut answer = AnnounceResponse::merge(answers.into_iter().map(|answer| match answer {
        Ok(body) => codec::parse_announce_response(&body),
        Err(err) => Err(AnnounceFailure::new(with_causes(&err))),
    }))?;
    let figures = ScrapeRequest { info_hashes: vec![request.info_hash] };
    if scrape
        && answer.lacks_figures()
        && let Some(url) = codec::scrape_url(url, &figures)
    {
        // A tracker that tells nothing has answered all the same.
        let told = tokio::time::timeout(SCRAPE_PATIENCE, client.announce(&url)).await.unwrap_or_default();
        let mut told = told.into_iter().flatten().filter_map(|body| codec::parse_scrape_response(&body).ok());
        if let Some(counts) = told.find_map(|told| told.files.get(&request.info_hash).copied()) {
            answer.fill_in(counts);
        }
    }
    Ok(answer)
}

/// How long figures are waited for.
const SCRAPE_PATIENCE: Duration = Duration::from_secs(5);

#[expect(clippy::needless_pass_by_value, reason = "used in map_err")]
pub(in crate::net) fn disk_fault(err: StorageError) -> DiskFault {
    DiskFault(with_causes(&err))
}
