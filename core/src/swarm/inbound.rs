//! Connections that come and go, and what peers say on them.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use super::io::{CloseReason, Event, Output};
use super::peers::{PeerSource, network};
use super::{Limits, Phase, Swarm, TICK};
use crate::blocklist::Blocklist;
use crate::layout::PieceIndex;
use crate::peer::extension::{OUR_EXCHANGE_ID, OUR_HOLEPUNCH_ID, OUR_METADATA_ID, OUR_REQUEST_QUEUE, OUR_WAY_ID};
use crate::peer::fast::allowed_fast_set;
use crate::peer::message::MAX_RUN;
use crate::peer::{
    ConnId, Direction, ExtensionHandshake, Handshake, Message, PeerConnection, Received, Reserved, Transport,
};
use crate::time::{Instant, earliest};
use crate::tracker::{AnnouncerInput, Scope};

impl Swarm {
    /// Our handshake in this swarm, by the torrent's v1 name if it has one.
    pub fn handshake(&self) -> Handshake {
        Handshake::of(&self.metainfo.info_hash, self.reserved(), self.peer_id)
    }

    fn reserved(&self) -> Reserved {
        if self.config.dht && self.conduct.discovery.dht && !self.metainfo.info.private {
            Reserved::OURS_AND_DHT
        } else {
            Reserved::OURS
        }
    }

    /// Our handshake to a peer that is being dialled.
    pub fn handshake_to(&self, conn: ConnId) -> Handshake {
        let hello = self.handshake();
        if self.peers.is_dialled_by_v2(conn) { hello.by_v2(&self.metainfo.info_hash) } else { hello }
    }

    /// Our answer to a peer that dialled us with this handshake.
    pub fn answer(&self, theirs: &Handshake) -> Handshake {
        self.handshake().in_answer_to(theirs, &self.metainfo.info_hash)
    }

    /// Whether a peer that dials us may come in.
    pub fn accepts(&self, now: Instant, addr: SocketAddr) -> Result<(), CloseReason> {
        self.place_for(now, addr, Direction::Incoming).map(drop)
    }

    /// Whether a peer may come in, and who makes way for it if all places are taken.
    fn place_for(&self, now: Instant, addr: SocketAddr, direction: Direction) -> Result<Option<ConnId>, CloseReason> {
        let is_shut_out = direction == Direction::Incoming && self.peers.is_shut_out(addr.ip());
        if self.paused {
            Err(CloseReason::Stopped)
        } else if is_shut_out || self.peers.is_banned(addr) {
            Err(CloseReason::Banned)
        } else if self.is_crowded_by(addr) {
            Err(CloseReason::Crowd)
        } else if self.conns.len() >= self.config.max_connections {
            self.who_makes_way(now, addr).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Whether one public network holds a quarter of the places: more would let one party shut all others out.
    fn is_crowded_by(&self, addr: SocketAddr) -> bool {
        let from = network(addr.ip());
        let most = (self.config.max_connections / 4).max(1);
        Scope::of(addr.ip()) == Scope::Public
            && self.conns.values().filter(|peer| network(peer.addr.ip()) == from).count() >= most
    }

    pub(super) fn join(
        &mut self,
        now: Instant,
        conn: ConnId,
        addr: SocketAddr,
        (direction, transport): (Direction, Transport),
        handshake: Handshake,
    ) {
        if direction == Direction::Outgoing {
            self.peers.connected(conn);
        }
        match self.admit(now, addr, direction, &handshake) {
            Admission::Welcome => {}
            Admission::InPlaceOf(other) => {
                self.made_way = Some(now);
                self.close(now, other, CloseReason::MadeWay);
            }
            Admission::InsteadOf(twin) => self.close(now, twin, CloseReason::Duplicate),
            Admission::SameAs(twin) => {
                self.peers.same_as(conn, twin);
                self.punching.lost(conn);
                self.out.push_back(Output::Close(conn, CloseReason::Duplicate));
                return;
            }
            Admission::Refused(reason) => {
                if reason == CloseReason::Ourselves && direction == Direction::Outgoing {
                    self.peers.is_ourselves(addr);
                }
                self.peers.closed(now, conn);
                self.punching.lost(conn);
                self.out.push_back(Output::Close(conn, reason));
                return;
            }
        }
        let reserved = handshake.common(&self.metainfo.info_hash, self.reserved());
        let pieces = self.layout().piece_count();
        let mut peer = PeerConnection::new(addr, direction, handshake.peer_id, reserved, pieces, now);
        (peer.transport, peer.punched) = (transport, self.punching.joined(now, conn));
        peer.told = self.news.len();
        peer.shown = self.shown_at_first(now, handshake.peer_id);
        peer.pipeline.begin_with(self.layout().block_count(PieceIndex(0)));
        self.conns.insert(conn, peer);
        self.exchange.joined(now, conn);
        self.note_listener(conn);
        self.introduce(now, conn);
        self.tick_at = earliest(self.tick_at, Some(now + TICK));
    }

    /// Whether this peer is one that we want.
    fn admit(&self, now: Instant, addr: SocketAddr, direction: Direction, handshake: &Handshake) -> Admission {
        if handshake.peer_id == self.peer_id {
            return Admission::Refused(CloseReason::Ourselves);
        }
        if let Some((twin, peer)) = self.conns.iter().find(|(_, peer)| peer.peer_id == handshake.peer_id) {
            // Both sides dialled: both keep the connection that the side with the greater id dialled.
            let keep = if self.peer_id > handshake.peer_id { Direction::Outgoing } else { Direction::Incoming };
            let stays = peer.direction == direction || direction != keep;
            return if stays { Admission::SameAs(*twin) } else { Admission::InsteadOf(*twin) };
        }
        match self.place_for(now, addr, direction) {
            Ok(None) => Admission::Welcome,
            Ok(Some(other)) => Admission::InPlaceOf(other),
            Err(reason) => Admission::Refused(reason),
        }
    }

    /// Says what we have and who we are.
    fn introduce(&mut self, now: Instant, conn: ConnId) {
        let Some(peer) = self.conns.get(&conn) else { return };
        let reserved = peer.reserved;
        let have = self.picker.have();
        let says_none = have.is_none() || peer.shown.is_some();
        let pieces = match (have.is_all() && !says_none, says_none, reserved.fast()) {
            (true, _, true) => Some(Message::HaveAll),
            (_, true, true) => Some(Message::HaveNone),
            (_, true, false) => None,
            _ => Some(Message::Bitfield(Bytes::copy_from_slice(have.as_bytes()))),
        };
        if let Some(pieces) = pieces {
            self.send(now, conn, pieces);
        }
        self.introduce_extension(now, conn);
        self.show(now, conn);
        if reserved.dht() && self.port != 0 {
            self.send(now, conn, Message::Port(self.port));
        }
    }

    /// Says who we are, or that we want nothing any more.
    pub(super) fn introduce_extension(&mut self, now: Instant, conn: ConnId) {
        let Some(peer) = self.conns.get(&conn).filter(|peer| peer.reserved.extended()) else { return };
        let ours = ExtensionHandshake {
            client: Some(self.client.clone()),
            port: Some(self.port_for(peer.addr.ip())).filter(|port| *port != 0),
            request_queue: Some(OUR_REQUEST_QUEUE),
            your_ip: Some(peer.addr.ip()),
            upload_only: self.phase != Phase::Fetching && peer.shown.is_none(),
            exchange: self.exchanges().then_some(OUR_EXCHANGE_ID),
            holepunch: self.punches().then_some(OUR_HOLEPUNCH_ID),
            way: Some(OUR_WAY_ID),
            run: Some(MAX_RUN),
            metadata: self.metadata_size().map(|_| OUR_METADATA_ID),
            metadata_size: self.metadata_size(),
        };
        self.send(now, conn, Message::Extended { id: 0, payload: ours.encode() });
    }

    /// The port at which somebody at this address reaches us. Whoever is behind the same router needs it not.
    fn port_for(&self, ip: IpAddr) -> u16 {
        let ip = ip.to_canonical();
        self.outer_port.filter(|_| ip.is_ipv4() && Scope::of(ip) == Scope::Public).unwrap_or(self.port)
    }

    /// Every piece that is wanted is here: nobody has anything for us, and those who do not hear of every piece are
    /// told too.
    pub(super) fn want_nothing(&mut self, now: Instant) {
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in conns {
            self.update_interest(now, conn);
            self.introduce_extension(now, conn);
        }
    }

    pub(super) fn receive(&mut self, now: Instant, conn: ConnId, message: Message) {
        let layout = self.picker.layout();
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        let asked = peer.pipeline.len();
        let received = peer.receive(now, message, layout);
        self.asked = self.asked + peer.pipeline.len() - asked;
        match received {
            Ok(received) => self.react(now, conn, received),
            Err(fault) => self.close(now, conn, fault.into()),
        }
    }

    fn react(&mut self, now: Instant, conn: ConnId, received: Received) {
        match received {
            Received::Nothing => {}
            Received::Unchoked | Received::Suggested => self.unstarve(conn),
            Received::Pieces(before) => {
                self.web_seeds.peers_have_news();
                if let Some(peer) = self.conns.get(&conn) {
                    self.picker.availability.remove(&before);
                    self.picker.availability.add(&peer.pieces);
                }
                self.pieces_changed(now, conn);
            }
            Received::Have(piece) => self.peer_got(now, conn, piece),
            Received::Choked(dropped) => {
                for block in dropped {
                    self.picker.unask(block);
                }
                self.picker.disown(conn);
                self.may_be_hungry(conn);
            }
            Received::Interested => self.became_interested(now, conn),
            Received::NotInterested => self.lost_interest(now, conn),
            Received::Request(span) => self.requested(now, conn, span),
            Received::Cancelled(span) => {
                self.no_longer_waits(conn);
                self.reject(now, conn, span);
            }
            Received::Block(block, data, arrival) => self.block(now, conn, block, data, arrival),
            Received::Unasked(bytes) => self.wasted += bytes,
            Received::Rejected(block) => {
                self.picker.refused(conn, block);
                self.may_be_hungry(conn);
            }
            Received::Node(port) => {
                if let Some(peer) = self.conns.get(&conn) {
                    self.out.push_back(Output::Node(SocketAddr::new(peer.addr.ip(), port)));
                }
            }
            Received::Exchange(payload) => self.told_of_peers(now, conn, &payload),
            Received::Punch(payload) => self.told_of_punching(now, conn, &payload),
            Received::Way(payload) => self.told_way(now, conn, &payload),
            Received::Metadata(payload) => self.asked_for_metadata(now, conn, &payload),
            Received::HashRequest(request) => self.asked_for_hashes(now, conn, request),
            Received::Hashes(request, hashes) => self.told_hashes(now, conn, request, &hashes),
            Received::HashReject(request) => self.refused_hashes(now, conn, &request),
            Received::Extension(handshake) => {
                self.may_be_hungry(conn);
                self.note_listener(conn);
                let peer = self.conns.get(&conn);
                if let (Some(peer), Some(ours)) = (peer, handshake.your_ip) {
                    self.vantage.told(peer.addr.ip(), ours);
                }
                if let Some(addr) = peer.filter(|_| handshake.port.is_some()).and_then(PeerConnection::listen_addr) {
                    self.peers.listens_at(now, conn, addr);
                    self.note_seed(conn);
                }
            }
        }
    }

    fn pieces_changed(&mut self, now: Instant, conn: ConnId) {
        self.unstarve(conn);
        self.note_seed(conn);
        self.show(now, conn);
        self.update_interest(now, conn);
    }

    /// The peer got one piece more. These are most of all messages, so nothing is looked at twice.
    fn peer_got(&mut self, now: Instant, conn: ConnId, piece: PieceIndex) {
        self.picker.availability.add_one(piece);
        self.promise_kept(now, conn, piece);
        self.show(now, conn);
        let fetching = self.phase == Phase::Fetching && !self.paused;
        let wanted = fetching && self.picker.lacks(piece);
        if wanted && self.picker.availability.of(piece) == 1 {
            self.web_seeds.peers_have_news();
        }
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        if peer.is_seed() {
            self.peers.is_seed(conn, peer.peer_id);
        }
        if !wanted {
            return;
        }
        let (news, may_ask) = (!peer.am_interested, peer.may_request_any());
        peer.am_interested = true;
        if news {
            self.send(now, conn, Message::Interested);
        }
        if may_ask {
            self.unstarve(conn);
        }
    }

    /// The peer may have something to be asked for again.
    pub(super) fn unstarve(&mut self, conn: ConnId) {
        self.starved.remove(&conn);
        self.may_be_hungry(conn);
    }

    fn note_seed(&mut self, conn: ConnId) {
        if let Some(peer) = self.conns.get(&conn).filter(|peer| peer.is_seed()) {
            self.peers.is_seed(conn, peer.peer_id);
        }
    }

    /// Tells the peer whether it has anything for us, if that changed.
    pub(super) fn update_interest(&mut self, now: Instant, conn: ConnId) {
        let fetching = self.phase == Phase::Fetching && !self.paused;
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        let interested = fetching && self.picker.lacks_any_of(&peer.pieces);
        if peer.am_interested != interested {
            peer.am_interested = interested;
            self.send(now, conn, if interested { Message::Interested } else { Message::NotInterested });
        }
    }

    /// Grants a choked newcomer a few pieces, so that it soon has something to trade. BEP 6.
    pub(super) fn grant_fast_pieces(&mut self, now: Instant, conn: ConnId) {
        let (info_hash, pieces, may_serve) =
            (self.metainfo.info_hash.wire(), self.layout().piece_count(), self.may_serve());
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        let newcomer = (peer.pieces.count() as usize) < crate::peer::fast::ALLOWED_FAST_COUNT;
        if !may_serve || !peer.fast() || peer.shown.is_some() || !newcomer || !peer.granted.is_empty() {
            return;
        }
        let set: Vec<_> = allowed_fast_set(peer.addr.ip(), info_hash, pieces)
            .into_iter()
            .filter(|piece| self.picker.have().has(*piece) && self.is_common(*piece))
            .collect();
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        peer.granted.extend(&set);
        // Twice what they are: enough for what is lost on the way, too little to live on.
        peer.grant_bytes = 2 * set.iter().map(|piece| u64::from(self.picker.layout().length_of(*piece))).sum::<u64>();
        for piece in set {
            self.send(now, conn, Message::AllowedFast(piece));
        }
    }

    pub(super) fn send(&mut self, now: Instant, conn: ConnId, message: Message) {
        if let Some(peer) = self.conns.get_mut(&conn) {
            peer.sent_at(now);
            self.out.push_back(Output::Send(conn, message));
        }
    }

    /// Leaves peers at these addresses, dials nobody there, and looks for others.
    pub(super) fn keep_out(&mut self, now: Instant, blocklist: Arc<Blocklist>) {
        for conn in blocklist.blocked(self.conns.iter().map(|(conn, peer)| (*conn, peer.addr.ip()))) {
            self.close(now, conn, CloseReason::Blocked);
        }
        self.peers.keep_out(blocklist);
        // Of those who may be here now, the trackers know.
        self.tell_announcer(now, AnnouncerInput::Moved);
    }

    /// Ends a connection and leaves its work to others.
    pub(super) fn close(&mut self, now: Instant, conn: ConnId, reason: CloseReason) {
        self.out.push_back(Output::Close(conn, reason));
        self.forget(now, conn);
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self, now: Instant, conn: ConnId) {
        self.peers.closed(now, conn);
        self.break_promises(conn);
        let Some(peer) = self.conns.remove(&conn) else { return };
        self.exchange.lost(conn);
        self.punching.lost(conn);
        self.picker.availability.remove(&peer.pieces);
        self.asked -= peer.pipeline.len();
        self.starved.remove(&conn);
        self.unserved.remove(&conn);
        self.end_turn(conn);
        self.unchoked.remove(&conn);
        for block in peer.pipeline.blocks() {
            self.picker.unask(block);
        }
        self.picker.disown(conn);
        self.fill_free_slots(now);
    }

    /// The peer sent bad data, and it is proven.
    pub(super) fn ban(&mut self, now: Instant, addr: SocketAddr) {
        let conns: Vec<ConnId> =
            self.conns.iter().filter(|(_, peer)| peer.addr == addr).map(|(conn, _)| *conn).collect();
        let listens = conns.iter().find_map(|conn| self.conns.get(conn)?.listen_addr());
        for conn in conns {
            self.close(now, conn, CloseReason::Banned);
        }
        if self.peers.ban(addr, listens) {
            self.out.push_back(Output::Event(self.id, Event::Banned(addr)));
        }
    }

    pub(super) fn add_peers(&mut self, now: Instant, addrs: Vec<SocketAddr>, source: PeerSource, limits: &mut Limits) {
        for addr in addrs {
            self.peers.add(now, addr, source);
        }
        self.dial(now, limits);
    }
}

/// What becomes of a peer whose handshake came.
enum Admission {
    Welcome,
    /// Another connection makes way for it.
    InPlaceOf(ConnId),
    /// It is there already, over a connection that makes way for this one.
    InsteadOf(ConnId),
    /// It is there already, over a connection that stays.
    SameAs(ConnId),
    Refused(CloseReason),
}
