//! Memory for payloads: blocks of one size, used again and again.
//!
//! Every block that is received from a peer or read for one lies in one of the [`Buffers`]. When the last view of it is
//! dropped it goes back, on whatever thread that happens, so that the memory of a busy engine is what is under way and
//! not what an allocator kept of it.
//!
//! Law: at most [`MOST_IDLE`] buffers lie idle; what comes back beyond them is freed.

use std::sync::Arc;

use bytes::Bytes;
use crossbeam_queue::ArrayQueue;

use crate::layout::BLOCK_LENGTH;

/// The size of a buffer.
const LENGTH: usize = BLOCK_LENGTH as usize;
/// The most buffers kept for later: 8 MiB.
const MOST_IDLE: usize = 512;

/// The idle ones. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Buffers(Arc<ArrayQueue<Box<[u8]>>>);

impl Default for Buffers {
    fn default() -> Self {
        Self(Arc::new(ArrayQueue::new(MOST_IDLE)))
    }
}

impl Buffers {
    /// A buffer of a block's length; what is in it is left from earlier use.
    pub(crate) fn take(&self) -> Buffer {
        let bytes = self.0.pop().unwrap_or_else(|| vec![0; LENGTH].into_boxed_slice());
        Buffer { bytes, buffers: self.clone() }
    }
}

/// One buffer, its owner's alone until it is frozen.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    buffers: Buffers,
}

impl Buffer {
    /// All of it, to be written to.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// A view of its first `length` bytes; it goes back to the buffers with the last such view.
    pub(crate) fn freeze(self, length: usize) -> Bytes {
        let mut bytes = Bytes::from_owner(self);
        bytes.truncate(length);
        bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // A full queue gives it back; then it is freed.
        let _ = self.buffers.0.push(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_returns_with_its_last_view() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.bytes_mut()[..3].copy_from_slice(b"abc");
        let view = buffer.freeze(3);
        let part = view.slice(1..);
        drop(view);
        assert_eq!((&part[..], buffers.0.len()), (&b"bc"[..], 0));
        drop(part);
        assert_eq!(buffers.0.len(), 1);
        assert_eq!(buffers.take().bytes_mut().len(), LENGTH);
        assert_eq!(buffers.0.len(), 1);
    }

    #[test]
    fn few_idle_buffers_are_kept() {
        let buffers = Buffers::default();
        let many: Vec<Buffer> = (0..MOST_IDLE + 10).map(|_| buffers.take()).collect();
        drop(many);
        assert_eq!(buffers.0.len(), MOST_IDLE);
    }
}
