//! One connection: a stream of bytes each way, over datagrams that may be lost, late, doubled or forged.
//!
//! What is written waits in a queue until the window lets it go; then it is cut into packets, which are kept until the
//! peer says that they have come. A packet is lost when three later ones have come, or when nothing is heard for too
//! long. What comes in order waits in a buffer until it is taken; what comes early waits beside it; the room that is
//! left is told to the peer.
//!
//! Packets are at most as long as every path carries (IPv6 asks for 1280 bytes, and IPv4's paths are no narrower
//! today). A search for a wider path could save one part in a hundred of the line, and loses packets that cannot be cut
//! again.
//!
//! Whoever dials speaks first: until the peer has shown with its first packet that our answer reached it, it gets no
//! payload, and its SYN is answered as often as it comes and never again.
//!
//! Laws: a packet whose numbers do not fit the connection changes nothing. At most [`ROOM`] bytes that have come wait,
//! early or in order, and at most [`MOST_EARLY`] packets. A peer that does not answer is given up in less than two
//! minutes.
//! Source: BEP 29.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::ledbat::Ledbat;
use super::packet::{Header, Kind, Packet, SelectiveAck, SeqNr};
use super::rtt::RoundTrip;
use crate::time::{Instant, earliest};

/// Payload of the longest packet: 1280 bytes without the headers of IPv6, UDP and uTP.
pub const MOST_PAYLOAD: usize = 1280 - 40 - 8 - super::packet::HEADER;
/// Room for bytes that have come and were not taken.
const ROOM: usize = 1024 * 1024;
/// The most packets beyond the first missing one that are kept.
const MOST_EARLY: usize = 1024;
/// The most packets on their way; a number that is farther off is a forgery.
const MOST_SENT: u16 = 4096;
/// Below this many bytes that wait to be sent, more are asked for.
const LOW: usize = 64 * 1024;
/// So many later packets that have come make one lost.
const OVERTAKEN: usize = 3;
/// How often in vain a packet is waited for before the peer is given up, and its SYN, and our last packet when all else
/// is over.
const MOST_VAIN: u32 = 6;
const MOST_VAIN_SYN: u32 = 3;
/// Something is sent at least so often, so that routers on the way remember the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(29);

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Both sides have what was sent to them, as far as they wanted it.
    Finished,
    /// The peer knows of no such connection, or wants none.
    Reset,
    /// The peer does not answer.
    TimedOut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Our SYN is on its way.
    Dialling,
    /// The peer's SYN is answered.
    Answered,
    /// Both know that the other is there.
    Open,
    Over(End),
}

/// A packet of ours, until the peer has it.
#[derive(Debug)]
struct Sent {
    kind: Kind,
    payload: Bytes,
    at: Instant,
    /// How often it was sent.
    times: u32,
    /// It is to be sent: the first time, or because it was lost.
    due: bool,
    /// The peer has it, and lacks an earlier one.
    arrived: bool,
}

impl Sent {
    fn in_flight(&self) -> u64 {
        if self.due || self.arrived { 0 } else { self.payload.len() as u64 }
    }
}

/// What one packet is to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// What stands in every packet.
    pub header: Header,
    /// What has come beyond a gap.
    pub selective: Option<SelectiveAck>,
    /// The bytes after that.
    pub payload: Bytes,
}

/// What became of a connection with a packet or with time; each is told once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// The peer has shown that it is there.
    pub(super) opened: bool,
    /// There is something to take, or the end.
    pub(super) readable: bool,
    /// Little is left to send.
    pub(super) writable: bool,
}

/// One connection with one peer.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own: either side may be at its end, and an answer due"
)]
#[derive(Debug)]
pub(super) struct Connection {
    stage: Stage,
    /// The numbers of the connection in packets to us and from us.
    pub(super) incoming: u16,
    pub(super) outgoing: u16,
    news: News,

    /// The number of the next packet that is cut.
    next: SeqNr,
    /// Packets that the peer has not acknowledged, the oldest first.
    sent: VecDeque<Sent>,
    in_flight: u64,
    /// How many of them are to be sent again.
    lost: usize,
    queue: VecDeque<Bytes>,
    queued: usize,
    /// Nothing more will be written or taken.
    closing: bool,
    /// Our last packet is cut.
    is_last_cut: bool,
    /// Room at the peer.
    peer_window: u64,
    trip: RoundTrip,
    ledbat: Ledbat,
    /// How long our last packet took, as the peer's clock shows it, and whether some were lost, since somebody asked.
    measured: (Option<u32>, bool),
    /// Losses before this number are one event with those that were counted.
    counted_to: Option<SeqNr>,
    /// Acknowledgements in a row that say nothing new.
    repeated: u32,
    /// When the oldest packet on its way is late.
    late_at: Option<Instant>,
    /// Not before then, when less than a packet may be on its way or the peer has no room.
    pace_at: Option<Instant>,
    keep_alive_at: Instant,

    /// The number up to which everything has come.
    ack: SeqNr,
    /// What came after the first missing packet, which is the first.
    early: VecDeque<Option<(Kind, Bytes)>>,
    early_bytes: usize,
    received: BytesMut,
    /// The peer has sent its last packet, and everything before has come.
    ended: bool,
    ack_due: bool,
    told_room: usize,
    /// How long the peer's last packet took.
    delay_us: u32,
}

impl Connection {
    /// A connection that is dialled: its SYN is the first packet. `seq` is its number, `incoming` that of the
    /// connection.
    pub(super) fn dial(now: Instant, incoming: u16, seq: SeqNr, target: Duration) -> Self {
        let mut connection =
            Self::new(now, Stage::Dialling, (incoming, incoming.wrapping_add(1)), (seq, SeqNr(0)), target);
        connection.cut(Kind::Syn, Bytes::new());
        connection
    }

    /// A connection that the peer dials with this SYN; `seq` is the number of our first packet.
    pub(super) fn answer(now: Instant, syn: &Header, seq: SeqNr, target: Duration) -> Self {
        let numbers = (syn.connection.wrapping_add(1), syn.connection);
        let mut connection = Self::new(now, Stage::Answered, numbers, (seq, syn.seq), target);
        connection.answer_again(now, syn);
        connection
    }

    fn new(now: Instant, stage: Stage, numbers: (u16, u16), (next, ack): (SeqNr, SeqNr), target: Duration) -> Self {
        Self {
            stage,
            incoming: numbers.0,
            outgoing: numbers.1,
            news: News::default(),
            next,
            sent: VecDeque::new(),
            in_flight: 0,
            lost: 0,
            queue: VecDeque::new(),
            queued: 0,
            closing: false,
            is_last_cut: false,
            peer_window: 0,
            trip: RoundTrip::default(),
            ledbat: Ledbat::new(now, MOST_PAYLOAD, target),
            measured: (None, false),
            counted_to: None,
            repeated: 0,
            late_at: None,
            pace_at: None,
            keep_alive_at: now + KEEP_ALIVE,
            ack,
            early: VecDeque::new(),
            early_bytes: 0,
            received: BytesMut::new(),
            ended: false,
            ack_due: false,
            told_room: ROOM,
            delay_us: 0,
        }
    }

    /// The same SYN came again, or the first time: it is answered.
    pub(super) fn answer_again(&mut self, now: Instant, syn: &Header) {
        if self.stage == Stage::Answered && syn.seq == self.ack {
            self.delay_us = micros(now).wrapping_sub(syn.sent_us);
            self.peer_window = u64::from(syn.window);
            self.ack_due = true;
        }
    }

    /// Why it is over, if it is.
    pub(super) fn end(&self) -> Option<End> {
        match self.stage {
            Stage::Over(end) => Some(end),
            _ => None,
        }
    }

    /// Whether the peer has not yet shown that it is there.
    pub(super) fn is_half_open(&self) -> bool {
        self.stage == Stage::Answered
    }

    /// What became of it since this was last asked.
    pub(super) fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    /// How long our last packet took, and whether some were lost, since this was last asked.
    pub(super) fn take_measured(&mut self) -> (Option<u32>, bool) {
        std::mem::take(&mut self.measured)
    }

    /// Whether more is to be written.
    pub(super) fn wants_more(&self) -> bool {
        self.queued < LOW && !self.closing
    }

    /// Queues bytes for the peer.
    pub(super) fn write(&mut self, bytes: Bytes) {
        if !self.closing && !bytes.is_empty() {
            self.queued += bytes.len();
            self.queue.push_back(bytes);
        }
    }

    /// Takes what has come in order; `None` when nothing more will come.
    pub(super) fn read(&mut self) -> Option<Bytes> {
        if self.received.is_empty() && (self.ended || self.closing) {
            return None;
        }
        let bytes = self.received.split().freeze();
        if self.room() >= self.told_room + ROOM / 4 {
            self.ack_due = true;
        }
        Some(bytes)
    }

    /// Nothing more will be written or taken. What was written is still sent.
    pub(super) fn close(&mut self) {
        self.closing = true;
        self.received.clear();
        if self.stage == Stage::Dialling || self.stage == Stage::Answered {
            self.stage = Stage::Over(End::Finished);
        }
    }

    /// Tells a peer that knows us that the connection is over.
    pub(super) fn abort(&mut self, now: Instant) -> Option<Datagram> {
        let datagram =
            Datagram { header: self.header(now, Kind::Reset, self.next), selective: None, payload: Bytes::new() };
        (self.stage == Stage::Open).then_some(datagram)
    }

    /// A packet of this connection came from the peer's address at `at`, and is looked at `now`.
    pub(super) fn packet(&mut self, now: Instant, at: Instant, packet: &Packet<'_>) {
        let header = &packet.header;
        let Some((acked, distance)) = self.fit(header) else { return };
        if header.kind == Kind::Reset {
            // Whoever has said goodbye, and heard it, need not remember us.
            self.stage = Stage::Over(if self.is_last_cut { End::Finished } else { End::Reset });
            return;
        }
        if self.stage == Stage::Dialling {
            // The answer has no number of its own: it tells that of the peer's first packet.
            self.ack = header.seq.previous();
        }
        if matches!(self.stage, Stage::Dialling | Stage::Answered) {
            self.stage = Stage::Open;
            self.news.opened = true;
        }
        self.delay_us = micros(at).wrapping_sub(header.sent_us);
        if let Some(acked) = acked {
            self.peer_window = u64::from(header.window);
            self.acknowledged(now, packet, acked);
        }
        if matches!(header.kind, Kind::Data | Kind::Fin) {
            self.ack_due = true;
            if let Some(offset) = distance {
                self.take(offset, header.kind, packet.payload);
            }
        }
        if self.is_last_cut && self.sent.is_empty() {
            self.stage = Stage::Over(End::Finished);
        }
    }

    /// Whether a packet's numbers are those of this connection: how many packets it acknowledges, `None` if an earlier
    /// one told more, and how far it is from the first missing one, `None` if it has come.
    fn fit(&self, header: &Header) -> Option<(Option<usize>, Option<u16>)> {
        let oldest = self.oldest();
        let acked = usize::from(header.ack.since(oldest.previous()));
        let acked = match self.stage {
            Stage::Over(_) => return None,
            // It must know the number that only our packet told.
            Stage::Dialling => {
                return (acked == 1 && matches!(header.kind, Kind::State | Kind::Reset)).then_some((Some(1), None));
            }
            Stage::Answered => (acked == 0).then_some(acked),
            Stage::Open => (acked <= self.sent.len()).then_some(acked),
        };
        let is_old = oldest.previous().since(header.ack) <= MOST_SENT;
        if acked.is_none() && (self.stage == Stage::Answered || !is_old) {
            return None;
        }
        if header.kind == Kind::Reset {
            return Some((acked, None));
        }
        let (ahead, behind) = (header.seq.since(self.ack.next()), self.ack.next().since(header.seq));
        match header.kind {
            Kind::Syn => None,
            _ if ahead < MOST_SENT => Some((acked, Some(ahead))),
            _ if behind <= MOST_SENT => Some((acked, None)),
            _ => None,
        }
    }

    /// The number of the oldest packet that is not acknowledged, of the next one if there is none.
    fn oldest(&self) -> SeqNr {
        let sent = u16::try_from(self.sent.len()).expect("few are on their way");
        SeqNr(self.next.0.wrapping_sub(sent))
    }

    /// The peer has the `acked` oldest packets, and says which later ones.
    fn acknowledged(&mut self, now: Instant, packet: &Packet<'_>, acked: usize) {
        let (flying, mut came, mut bytes, mut trip) = (self.in_flight, acked, 0, None);
        let mut arrived = |sent: &mut Sent| {
            self.in_flight -= sent.in_flight();
            self.lost -= usize::from(sent.due);
            bytes += sent.payload.len() as u64;
            if sent.times == 1 {
                trip = Some(now - sent.at);
            }
            (sent.arrived, sent.due) = (true, false);
        };
        for mut sent in self.sent.drain(..acked).filter(|sent| !sent.arrived) {
            arrived(&mut sent);
        }
        if let Some(selective) = &packet.selective {
            for (sent, offset) in self.sent.iter_mut().zip(0_u16..).skip(1) {
                if !sent.arrived && selective.contains(offset) {
                    arrived(sent);
                    came += 1;
                }
            }
        }
        if came > 0 {
            (self.repeated, self.trip.vain) = (0, 0);
            if let Some(trip) = trip {
                self.trip.measured(trip);
            }
            if packet.header.delay_us != 0 {
                self.ledbat.measured(now, packet.header.delay_us);
                self.measured.0 = Some(packet.header.delay_us);
            }
            self.ledbat.acknowledged(now, bytes, flying, self.trip.shortest(), self.trip.usual());
            self.late_at = (!self.sent.is_empty()).then(|| now + self.trip.wait());
        } else if packet.header.kind == Kind::State && packet.selective.is_none() && !self.sent.is_empty() {
            self.repeated += 1;
        }
        self.find_losses(now);
        self.wait_for_room(now);
    }

    /// Looks for packets that later ones have overtaken.
    fn find_losses(&mut self, now: Instant) {
        if self.counted_to.is_some_and(|to| self.oldest().since(to) <= u16::MAX / 2) {
            self.counted_to = None;
        }
        let mut later = self.sent.iter().filter(|sent| sent.arrived).count();
        let repeated = usize::try_from(self.repeated).unwrap_or(usize::MAX) >= OVERTAKEN;
        let (late, mut any) = (self.trip.late(), false);
        for (index, sent) in self.sent.iter_mut().enumerate() {
            if sent.arrived {
                later -= 1;
                continue;
            }
            let is_overtaken = later >= OVERTAKEN || (index == 0 && repeated);
            let is_new = sent.times == 1 || now - sent.at > late;
            if !is_overtaken {
                break;
            }
            if !sent.due && is_new {
                self.in_flight -= sent.in_flight();
                self.lost += 1;
                (sent.due, any) = (true, true);
            }
        }
        if any && self.counted_to.is_none() {
            self.counted_to = Some(self.next);
            self.repeated = 0;
            self.ledbat.lost();
            self.measured.1 = true;
        }
    }

    /// A peer without room is asked again after a while, because its word that there is some may be lost.
    fn wait_for_room(&mut self, now: Instant) {
        if self.peer_window < MOST_PAYLOAD as u64 {
            // It answers; it is only full.
            self.trip.vain = 0;
            self.pace_at.get_or_insert(now + self.trip.wait());
        } else if self.ledbat.window() >= MOST_PAYLOAD as u64 {
            self.pace_at = None;
        }
    }

    /// Takes a packet `offset` after the first missing one.
    fn take(&mut self, offset: u16, kind: Kind, payload: &[u8]) {
        let offset = usize::from(offset);
        let is_there = self.early.get(offset).is_some_and(Option::is_some);
        if is_there || offset >= MOST_EARLY || self.ended || payload.len() > self.room() {
            return;
        }
        if offset == 0 && self.early.is_empty() {
            return self.deliver(kind, payload);
        }
        if self.early.len() <= offset {
            self.early.resize_with(offset + 1, || None);
        }
        self.early_bytes += payload.len();
        self.early[offset] = Some((kind, Bytes::copy_from_slice(payload)));
        while let Some(Some((kind, payload))) = self.early.pop_front_if(|first| first.is_some()) {
            self.early_bytes -= payload.len();
            self.deliver(kind, &payload);
        }
    }

    /// The next packet in order is there.
    fn deliver(&mut self, kind: Kind, payload: &[u8]) {
        self.ack = self.ack.next();
        if kind == Kind::Fin {
            self.ended = true;
            self.early.clear();
            self.early_bytes = 0;
        }
        if !self.closing {
            self.received.extend_from_slice(payload);
        }
        self.news.readable = true;
    }

    fn room(&self) -> usize {
        ROOM.saturating_sub(self.received.len() + self.early_bytes)
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.keep_alive_at <= now && self.stage == Stage::Open {
            self.ack_due = true;
        }
        if self.late_at.is_none_or(|at| at > now) {
            return;
        }
        self.trip.vain += 1;
        let most = match self.stage {
            Stage::Dialling => MOST_VAIN_SYN,
            _ if self.closing => MOST_VAIN_SYN,
            _ => MOST_VAIN,
        };
        if self.trip.vain >= most {
            self.stage = Stage::Over(End::TimedOut);
            return;
        }
        for sent in self.sent.iter_mut().filter(|sent| !sent.arrived && !sent.due) {
            sent.due = true;
            self.lost += 1;
        }
        self.in_flight = 0;
        self.counted_to = Some(self.next);
        self.ledbat.timed_out();
        self.late_at = Some(now + self.trip.wait());
    }

    /// When [`Connection::tick`] or [`Connection::transmit`] is next needed.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let keep_alive = (self.stage == Stage::Open).then_some(self.keep_alive_at);
        let is_waiting = self.stage == Stage::Open && self.in_flight == 0 && (self.lost > 0 || !self.is_all_cut());
        earliest(earliest(keep_alive, self.late_at), self.pace_at.filter(|_| is_waiting))
    }

    /// Everything that was written is in packets, and so is our last if nothing more will be written.
    fn is_all_cut(&self) -> bool {
        self.queue.is_empty() && self.closing == self.is_last_cut
    }

    /// The next packet to send; `None` if there is none for now.
    pub(super) fn transmit(&mut self, now: Instant) -> Option<Datagram> {
        match self.stage {
            Stage::Over(_) => None,
            Stage::Answered => self.acknowledge(now),
            Stage::Dialling => self.send_lost(now),
            Stage::Open => self.send_lost(now).or_else(|| self.send_new(now)).or_else(|| self.acknowledge(now)),
        }
    }

    /// Sends the oldest packet that is to be sent again.
    fn send_lost(&mut self, now: Instant) -> Option<Datagram> {
        if self.lost == 0 {
            return None;
        }
        let index = self.sent.iter().position(|sent| sent.due).expect("as many are due as are counted");
        self.may_send(now, self.sent[index].payload.len()).then(|| self.send(now, index))
    }

    /// Cuts the next packet off the queue and sends it.
    fn send_new(&mut self, now: Instant) -> Option<Datagram> {
        let length = self.queued.min(MOST_PAYLOAD);
        if self.is_all_cut() || self.sent.len() >= usize::from(MOST_SENT) || !self.may_send(now, length) {
            return None;
        }
        if length == 0 {
            self.is_last_cut = true;
            self.cut(Kind::Fin, Bytes::new());
        } else {
            let payload = self.unqueue(length);
            self.cut(Kind::Data, payload);
        }
        Some(self.send(now, self.sent.len() - 1))
    }

    /// Takes so many bytes off the queue; what lies in one piece there is not copied.
    fn unqueue(&mut self, length: usize) -> Bytes {
        let was_low = self.queued < LOW;
        self.queued -= length;
        self.news.writable |= !was_low && self.queued < LOW;
        let first = self.queue.front_mut().expect("it was counted");
        if first.len() > length {
            return first.split_to(length);
        }
        let mut payload = self.queue.pop_front().expect("it was counted");
        if payload.len() == length {
            return payload;
        }
        let mut joined = BytesMut::with_capacity(length);
        joined.extend_from_slice(&payload);
        while joined.len() < length {
            let first = self.queue.front_mut().expect("it was counted");
            payload = first.split_to(first.len().min(length - joined.len()));
            joined.extend_from_slice(&payload);
            self.queue.pop_front_if(|first| first.is_empty());
        }
        joined.freeze()
    }

    /// Numbers a packet, which is to be sent.
    fn cut(&mut self, kind: Kind, payload: Bytes) {
        let at = Instant::ZERO;
        self.sent.push_back(Sent { kind, payload, at, times: 0, due: true, arrived: false });
        self.next = self.next.next();
        self.lost += 1;
    }

    /// Whether so many bytes may go now. One packet may always be on its way, but not often if the window is less than
    /// that.
    fn may_send(&self, now: Instant, length: usize) -> bool {
        if self.in_flight == 0 {
            return self.pace_at.is_none_or(|at| at <= now);
        }
        self.in_flight + length as u64 <= self.ledbat.window().min(self.peer_window)
    }

    fn send(&mut self, now: Instant, index: usize) -> Datagram {
        let seq = self.oldest().after(u16::try_from(index).expect("few are on their way"));
        let sent = &mut self.sent[index];
        (sent.at, sent.due) = (now, false);
        sent.times += 1;
        self.lost -= 1;
        let (kind, payload, window) = (sent.kind, sent.payload.clone(), self.ledbat.window().max(1));
        if self.in_flight == 0 && self.stage == Stage::Open {
            let (usual, packet) = (self.trip.usual(), MOST_PAYLOAD as u64);
            self.pace_at = if self.peer_window < packet {
                Some(now + self.trip.wait())
            } else {
                let parts = u32::try_from(packet * 4 / window).unwrap_or(u32::MAX);
                (window < packet).then(|| now + usual / 4 * parts)
            };
        }
        self.in_flight += payload.len() as u64;
        self.late_at.get_or_insert(now + self.trip.wait());
        // What has come beyond a gap is told in a packet without payload, where there is room for it.
        self.ack_due &= !self.early.is_empty();
        Datagram { header: self.header(now, kind, seq), selective: None, payload }
    }

    /// Tells what has come, if that is due.
    fn acknowledge(&mut self, now: Instant) -> Option<Datagram> {
        if !std::mem::take(&mut self.ack_due) {
            return None;
        }
        let mut selective = SelectiveAck::default();
        for (offset, _) in (0..).zip(&self.early).filter(|(_, early)| early.is_some()) {
            selective.insert(offset);
        }
        let selective = (!self.early.is_empty()).then_some(selective);
        Some(Datagram { header: self.header(now, Kind::State, self.next), selective, payload: Bytes::new() })
    }

    fn header(&mut self, now: Instant, kind: Kind, seq: SeqNr) -> Header {
        self.keep_alive_at = now + KEEP_ALIVE;
        self.told_room = self.room();
        Header {
            kind,
            connection: if kind == Kind::Syn { self.incoming } else { self.outgoing },
            sent_us: micros(now),
            delay_us: self.delay_us,
            window: u32::try_from(self.told_room).expect("it is at most a mebibyte"),
            seq,
            ack: self.ack,
        }
    }
}

/// A point in time as packets tell it.
pub(super) fn micros(at: Instant) -> u32 {
    u32::try_from(at.as_nanos() / 1000 % (1 << 32)).expect("it is below 2^32")
}
