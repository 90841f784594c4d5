//! Bytes from a socket to messages, each payload received straight into a buffer of its own.
//!
//! While blocks stream in, the receiver guesses that after the block under way comes another, and lays out the next
//! read so: the rest of this block, the 13 bytes of the next head, the next block's buffer, and so on. A right guess
//! puts several blocks with one system call where they stay. A wrong one, other messages between the blocks, costs a
//! copy, and the next guess is smaller.
//!
//! Within a run no guess is needed: its blocks follow one another without heads, and come out as if each had had one.
//!
//! Knows nothing of sockets: [`Receiver::room`] says where bytes go, [`Receiver::received`] is told how many came.
//!
//! Law: any split of a stream gives the same messages; between reads at most one block's buffer is held, and no more
//! plain bytes than one message has.

use std::io::IoSliceMut;

use bytes::BytesMut;

use super::buffers::{Buffer, Buffers};
use crate::layout::{BLOCK_LENGTH, BlockInfo};
use crate::peer::message::BLOCK_HEAD;
use crate::peer::{DecodeError, Message};

/// The most blocks that are guessed to follow.
const MOST_AHEAD: usize = 15;
/// Room for what follows the last block: the next head, and small messages.
const TAIL: usize = 256;

/// One connection's incoming stream, after the handshake.
#[derive(Debug)]
pub(crate) struct Receiver {
    buffers: Buffers,
    /// Bytes that are in no block's buffer: heads, small messages, the start of what has not come whole.
    plain: BytesMut,
    /// The block under way.
    block: Option<Filling>,
    /// What follows that block under the same head.
    run: Option<BlockInfo>,
    /// How many blocks the next read may find after it.
    ahead: usize,
    /// Where the guessed heads go.
    heads: [[u8; BLOCK_HEAD]; MOST_AHEAD],
    /// Where the guessed blocks go; empty between reads.
    guessed: Vec<Buffer>,
    /// Where the bytes after the guess go, and all bytes of a read without one; none between reads.
    tail: Option<Buffer>,
    /// The messages that are whole.
    messages: Vec<Message>,
}

#[derive(Debug)]
struct Filling {
    head: BlockInfo,
    buffer: Buffer,
    filled: usize,
}

impl Filling {
    fn wanted(&self) -> usize {
        self.head.length as usize - self.filled
    }

    fn finish(self) -> Message {
        let BlockInfo { piece, begin, length } = self.head;
        Message::Piece { piece, begin, data: self.buffer.freeze(length as usize) }
    }
}

impl Receiver {
    pub(crate) fn new(buffers: Buffers) -> Self {
        Self {
            buffers,
            plain: BytesMut::new(),
            block: None,
            run: None,
            ahead: 0,
            heads: [[0; BLOCK_HEAD]; MOST_AHEAD],
            guessed: Vec::with_capacity(MOST_AHEAD),
            tail: None,
            messages: Vec::new(),
        }
    }

    /// Takes bytes that came before all others.
    pub(crate) fn begin_with(&mut self, early: &[u8]) -> Result<(), DecodeError> {
        self.plain.extend_from_slice(early);
        self.parse()
    }

    /// Where the next bytes go, in order. Every call must be followed by one of [`Receiver::received`].
    pub(crate) fn room(&mut self) -> Vec<IoSliceMut<'_>> {
        let mut room = Vec::with_capacity(2 + 2 * MOST_AHEAD);
        let buffers_ahead = match &self.run {
            Some(run) => run.blocks().len().min(MOST_AHEAD),
            None if self.plain.is_empty() => self.ahead,
            None => 0,
        };
        self.guessed.extend((0..buffers_ahead).map(|_| self.buffers.take()));
        if let Some(Filling { head, buffer, filled }) = &mut self.block {
            room.push(IoSliceMut::new(&mut buffer.bytes_mut()[*filled..head.length as usize]));
        }
        if let Some(run) = &self.run {
            for (block, buffer) in run.blocks().zip(&mut self.guessed) {
                room.push(IoSliceMut::new(&mut buffer.bytes_mut()[..block.length as usize]));
            }
            if run.blocks().len() > MOST_AHEAD {
                return room;
            }
        } else {
            for (head, buffer) in self.heads.iter_mut().zip(&mut self.guessed) {
                room.push(IoSliceMut::new(head));
                room.push(IoSliceMut::new(buffer.bytes_mut()));
            }
        }
        let tail = self.tail.insert(self.buffers.take()).bytes_mut();
        let wanted = Message::missing(&self.plain).clamp(TAIL, tail.len());
        room.push(IoSliceMut::new(&mut tail[..wanted]));
        room
    }

    /// Takes the `count` bytes that came into the room.
    pub(crate) fn received(&mut self, count: usize) -> Result<(), DecodeError> {
        let mut guessed = std::mem::take(&mut self.guessed);
        let tail = self.tail.take();
        if count == 0 {
            return Ok(());
        }
        let (mut rest, is_in_run) = (count, self.run.is_some());
        self.fill(&mut rest);
        if is_in_run {
            for buffer in guessed.drain(..) {
                self.fill_run(buffer, &mut rest);
            }
        }
        let (asked, mut used, mut is_right) = (guessed.len(), 0, true);
        for (head, mut buffer) in self.heads.into_iter().zip(guessed.drain(..)) {
            if rest == 0 {
                break;
            }
            used += 1;
            let head = &head[..rest.min(BLOCK_HEAD)];
            rest -= head.len();
            let came = rest.min(buffer.bytes_mut().len());
            rest -= came;
            // Whatever is wrong with a head is found when the plain bytes are parsed.
            let block =
                BlockInfo::decode_head(head).ok().flatten().filter(|head| is_right && head.length == BLOCK_LENGTH);
            if let Some(head) = block {
                self.begin(Filling { head, buffer, filled: came });
            } else {
                is_right &= head.len() < BLOCK_HEAD;
                self.plain.extend_from_slice(head);
                self.plain.extend_from_slice(&buffer.bytes_mut()[..came]);
            }
        }
        self.guessed = guessed;
        if !is_right || is_in_run {
            self.ahead = 0;
        } else if rest > 0 && self.plain.is_empty() {
            self.ahead = (2 * asked + 1).min(MOST_AHEAD);
        } else if asked > 0 {
            self.ahead = used;
        }
        if let Some(mut tail) = tail {
            self.plain.extend_from_slice(&tail.bytes_mut()[..rest]);
        }
        self.parse()
    }

    /// The messages that have come whole.
    pub(crate) fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.messages)
    }

    /// Counts bytes that came into the next block of the run.
    fn fill_run(&mut self, buffer: Buffer, rest: &mut usize) {
        if *rest == 0 {
            return;
        }
        let Some((head, run)) = self.run.map(BlockInfo::split_block) else { return };
        self.run = run;
        let filled = (*rest).min(head.length as usize);
        *rest -= filled;
        self.begin(Filling { head, buffer, filled });
    }

    /// Counts bytes that came into the block under way, if there is one.
    fn fill(&mut self, rest: &mut usize) {
        let Some(mut block) = self.block.take() else { return };
        let came = block.wanted().min(*rest);
        *rest -= came;
        block.filled += came;
        self.begin(block);
    }

    /// Goes on with a block, or is done with it.
    fn begin(&mut self, block: Filling) {
        if block.wanted() == 0 {
            self.messages.push(block.finish());
        } else {
            self.block = Some(block);
        }
    }

    /// Takes messages off the front of the plain bytes, until one has not come whole.
    fn parse(&mut self) -> Result<(), DecodeError> {
        while self.block.is_none() {
            if self.run.is_none()
                && let Some(head) = BlockInfo::decode_head(&self.plain)?
            {
                self.run = Some(head);
                let _ = self.plain.split_to(BLOCK_HEAD);
            }
            if let Some((head, run)) = self.run.map(BlockInfo::split_block) {
                self.run = run;
                let filled = self.plain.len().min(head.length as usize);
                let mut buffer = self.buffers.take();
                buffer.bytes_mut()[..filled].copy_from_slice(&self.plain.split_to(filled));
                self.begin(Filling { head, buffer, filled });
            } else if !BlockInfo::head_may_begin(&self.plain)
                && let Some(message) = Message::decode(&mut self.plain)?
            {
                self.messages.push(message);
            } else {
                return Ok(());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::layout::PieceIndex;
    use crate::peer::message::MAX_RUN;

    fn wire(message: &Message) -> Vec<u8> {
        let mut out = BytesMut::new();
        message.encode_head(&mut out);
        out.extend_from_slice(message.payload().map_or(&[], |payload| payload));
        out.to_vec()
    }

    /// Gives the stream to a receiver, at most `cuts` bytes at a time.
    fn receive(stream: &[u8], cuts: &[usize]) -> Result<(Vec<Message>, Receiver), DecodeError> {
        let mut receiver = Receiver::new(Buffers::default());
        let (mut rest, mut cuts, mut messages) = (stream, cuts.iter().copied().cycle(), Vec::new());
        while !rest.is_empty() {
            let (mut now, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            let mut count = 0;
            for mut room in receiver.room() {
                let (here, next) = now.split_at(now.len().min(room.len()));
                room[..here.len()].copy_from_slice(here);
                count += here.len();
                now = next;
            }
            // What did not fit comes again, as from a socket.
            rest = &rest[count..];
            assert_eq!(rest.len(), later.len() + now.len());
            receiver.received(count)?;
            messages.append(&mut receiver.take_messages());
        }
        Ok((messages, receiver))
    }

    /// What is received of a message: a run as the blocks that it was made of.
    fn cut(message: Message) -> Vec<Message> {
        let Message::Piece { piece, begin, data } = message else { return vec![message] };
        let run = BlockInfo { piece, begin, length: u32::try_from(data.len()).unwrap() };
        run.blocks()
            .map(|block| {
                let at = (block.begin - begin) as usize;
                Message::Piece { piece, begin: block.begin, data: data.slice(at..at + block.length as usize) }
            })
            .collect()
    }

    fn piece(piece: u32, length: usize) -> Message {
        let data = (0..length).map(|at| u8::try_from((at + piece as usize) % 251).unwrap()).collect::<Bytes>();
        Message::Piece { piece: PieceIndex(piece), begin: 0, data }
    }

    fn any_message() -> impl Strategy<Value = Message> {
        let request = BlockInfo { piece: PieceIndex(3), begin: 0, length: 16384 };
        prop_oneof![
            6 => any::<u32>().prop_map(|number| piece(number, BLOCK_LENGTH as usize)),
            1 => (any::<u32>(), 1..=BLOCK_LENGTH as usize).prop_map(|(number, length)| piece(number, length)),
            3 => (any::<u32>(), 1..=MAX_RUN as usize).prop_map(|(number, length)| piece(number, length)),
            1 => any::<u32>().prop_map(|number| Message::Have(PieceIndex(number))),
            1 => Just(Message::KeepAlive),
            1 => Just(Message::Request(request)),
            1 => (0..40_000_usize).prop_map(|length| Message::Bitfield(vec![7; length].into())),
        ]
    }

    proptest! {
        #[test]
        fn any_split_of_the_stream_gives_the_same_messages(
            messages in prop::collection::vec(any_message(), 1..20),
            cuts in prop::collection::vec(prop_oneof![1..40_usize, 1..20_000_usize, 1..300_000_usize], 1..20),
        ) {
            let stream: Vec<u8> = messages.iter().flat_map(wire).collect();
            let (got, receiver) = receive(&stream, &cuts).unwrap();
            prop_assert_eq!(got, messages.into_iter().flat_map(cut).collect::<Vec<_>>());
            prop_assert!(receiver.plain.is_empty() && receiver.block.is_none() && receiver.run.is_none());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 1..300_usize) {
            let _ = receive(&bytes, &[cut]);
        }
    }

    #[test]
    fn a_stream_of_blocks_is_received_where_it_stays() {
        let stream: Vec<u8> = (0..60).flat_map(|number| wire(&piece(number, BLOCK_LENGTH as usize))).collect();
        let (got, receiver) = receive(&stream, &[usize::MAX]).unwrap();
        assert_eq!(got.len(), 60);
        assert!(receiver.ahead > 1, "{}", receiver.ahead);
        assert!(receiver.plain.capacity() <= 2 * TAIL, "{}", receiver.plain.capacity());
    }

    #[test]
    fn runs_are_received_where_they_stay() {
        let stream: Vec<u8> = (0..9).flat_map(|number| wire(&piece(number, MAX_RUN as usize))).collect();
        let (got, receiver) = receive(&stream, &[usize::MAX]).unwrap();
        assert_eq!(got.len(), 9 * (MAX_RUN / BLOCK_LENGTH) as usize);
        assert!(receiver.plain.capacity() <= 2 * TAIL, "{}", receiver.plain.capacity());
    }

    #[test]
    fn a_slow_peer_holds_one_buffer() {
        let stream: Vec<u8> = (0..4).flat_map(|number| wire(&piece(number, BLOCK_LENGTH as usize))).collect();
        let (got, receiver) = receive(&stream[..stream.len() - 1], &[1000]).unwrap();
        assert_eq!(got.len(), 3);
        assert!(receiver.block.is_some() && receiver.guessed.is_empty() && receiver.tail.is_none());
        assert_eq!(receiver.ahead, 0);
    }

    #[test]
    fn a_run_that_is_too_long_is_refused_by_its_head() {
        let mut head = BytesMut::new();
        piece(0, MAX_RUN as usize + 1).encode_head(&mut head);
        assert!(receive(&head, &[5]).is_err());
        // Even where a guess has put it.
        let mut stream: Vec<u8> = (0..9).flat_map(|number| wire(&piece(number, BLOCK_LENGTH as usize))).collect();
        stream.extend_from_slice(&head);
        assert!(receive(&stream, &[usize::MAX]).is_err());
    }
}
