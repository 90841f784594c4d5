//! A peer that says what a test tells it to say, true or not.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf as _, Bytes, BytesMut};
use podswarm_core::bitfield::Bitfield;
use podswarm_core::layout::{BlockInfo, PieceIndex};
use podswarm_core::peer::{Handshake, Message, PeerId, Reserved};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::world::Content;

/// Messages as they are on the wire.
fn wire(messages: &[Message]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for message in messages {
        message.encode_head(&mut bytes);
        bytes.extend_from_slice(message.payload().map_or(&[], |payload| payload));
    }
    bytes
}

/// One end of a connection to an engine.
pub(crate) struct Peer {
    stream: TcpStream,
    buffer: BytesMut,
    /// Which extensions it speaks.
    reserved: Reserved,
    /// Who it says it is.
    pub(crate) id: PeerId,
    /// Who the engine says it is.
    pub(crate) engine_id: PeerId,
}

impl Peer {
    /// Connects, and says nothing.
    pub(crate) async fn dial(addr: SocketAddr) -> Self {
        Self::on(TcpStream::connect(addr).await.unwrap())
    }

    /// Whoever connects is somebody new.
    fn on(stream: TcpStream) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut id = *b"-XX0001-000000000000";
        id[12..].copy_from_slice(&COUNT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let reserved = Reserved([0, 0, 0, 0, 0, 0, 0, 0x04]);
        Self { stream, buffer: BytesMut::new(), reserved, id: PeerId(id), engine_id: PeerId([0; 20]) }
    }

    /// Connects and shakes hands for the content's torrent.
    pub(crate) async fn join(addr: SocketAddr, content: &Content) -> Self {
        let mut peer = Self::dial(addr).await;
        peer.shake_hands(content).await;
        peer
    }

    /// The same, speaking the extension protocol.
    pub(crate) async fn join_extended(addr: SocketAddr, content: &Content) -> Self {
        let mut peer = Self { reserved: Reserved::OURS, ..Self::dial(addr).await };
        peer.shake_hands(content).await;
        peer
    }

    /// The same under this name.
    pub(crate) async fn join_as(addr: SocketAddr, content: &Content, id: PeerId) -> Self {
        let mut peer = Self { id, ..Self::dial(addr).await };
        peer.shake_hands(content).await;
        peer
    }

    async fn shake_hands(&mut self, content: &Content) {
        let handshake =
            Handshake { reserved: self.reserved, info_hash: content.metainfo.info_hash.wire(), peer_id: self.id };
        self.write(&handshake.encode()).await;
        let mut theirs = [0; 68];
        self.stream.read_exact(&mut theirs).await.expect("the engine shakes hands");
        self.engine_id = Handshake::decode(&theirs).expect("the engine speaks the protocol").peer_id;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn send(&mut self, message: &Message) {
        self.try_send(message).await.unwrap();
    }

    /// Sends messages so that they come together.
    pub(crate) async fn send_together(&mut self, messages: &[Message]) {
        self.write(&wire(messages)).await;
    }

    async fn try_send(&mut self, message: &Message) -> std::io::Result<()> {
        self.stream.write_all(&wire(std::slice::from_ref(message))).await
    }

    /// The engine's next message; `None` once it has closed the connection.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(message) = Message::decode(&mut self.buffer).expect("the engine speaks the protocol") {
                return Some(message);
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Takes messages until one is as wanted. Panics if the connection ends before.
    pub(crate) async fn until(&mut self, is_wanted: impl Fn(&Message) -> bool) -> Message {
        loop {
            let message = self.next().await.expect("the connection stands");
            if is_wanted(&message) {
                return message;
            }
        }
    }

    /// The engine's next block, or run of blocks. It is read as it comes: an engine sends what it is asked
    /// for.
    pub(crate) async fn block(&mut self) -> (BlockInfo, Vec<u8>) {
        loop {
            self.fill(4).await;
            let length = usize::try_from(self.buffer.get_u32()).unwrap();
            self.fill(length).await;
            let mut message = self.buffer.split_to(length);
            if message.first() != Some(&7) {
                continue;
            }
            message.advance(1);
            let (piece, begin) = (PieceIndex(message.get_u32()), message.get_u32());
            let length = u32::try_from(message.len()).unwrap();
            return (BlockInfo { piece, begin, length }, message.to_vec());
        }
    }

    async fn fill(&mut self, length: usize) {
        while self.buffer.len() < length {
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.unwrap(), 0, "the connection stands");
        }
    }

    /// Waits until the engine closes the connection.
    pub(crate) async fn see_cut_off(mut self) {
        while let Ok(1..) = self.stream.read_buf(&mut self.buffer).await {
            self.buffer.clear();
        }
    }

    /// Writes `bytes` again and again and reads nothing, until the engine closes the connection.
    pub(crate) async fn flood_until_cut_off(mut self, bytes: &[u8]) {
        while self.stream.write_all(bytes).await.is_ok() {}
    }

    /// Says which pieces it has, and answers requests with what `answer` makes of them, until the engine leaves.
    /// Returns the blocks that it was asked for, in order.
    pub(crate) async fn give(
        mut self,
        content: &Content,
        pieces: impl IntoIterator<Item = u32>,
        answer: impl Fn(BlockInfo) -> Option<Vec<u8>>,
    ) -> Vec<BlockInfo> {
        let mut have = Bitfield::none(content.layout.piece_count());
        for piece in pieces {
            have.insert(PieceIndex(piece));
        }
        self.send(&Message::Bitfield(Bytes::copy_from_slice(have.as_bytes()))).await;
        self.send(&Message::Unchoke).await;
        let mut asked = Vec::new();
        while let Some(message) = self.next().await {
            let Message::Request(block) = message else { continue };
            asked.push(block);
            let Some(data) = answer(block) else { continue };
            let piece = Message::Piece { piece: block.piece, begin: block.begin, data: data.into() };
            if self.try_send(&piece).await.is_err() {
                break;
            }
        }
        asked
    }
}

/// A place where engines reach peers of the test's making.
pub(crate) struct Door {
    listener: TcpListener,
    pub(crate) addr: SocketAddr,
}

impl Door {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let addr = listener.local_addr().unwrap();
        Self { listener, addr }
    }

    /// The next connection that begins without a key; whoever shows one is sent away, as by a client that knows no
    /// encryption.
    pub(crate) async fn accept(&self) -> TcpStream {
        loop {
            let (stream, _) = self.listener.accept().await.unwrap();
            let mut first = [0; 8];
            if stream.peek(&mut first).await.unwrap() == first.len() && first == *b"\x13BitTorr" {
                return stream;
            }
        }
    }

    /// The same, speaking the extension protocol.
    pub(crate) async fn answer_extended(&self, content: &Content) -> Peer {
        let mut peer = Peer { reserved: Reserved::OURS, ..Peer::on(self.accept().await) };
        peer.shake_hands(content).await;
        peer
    }

    /// The next engine that dials, hands shaken.
    pub(crate) async fn answer(&self, content: &Content) -> Peer {
        let mut peer = Peer::on(self.accept().await);
        peer.shake_hands(content).await;
        peer
    }
}
