//! Giving the torrent's `info` to peers that came with nothing but a magnet link. BEP 9.
//!
//! Law: one connection is given it twice at most; one of a private torrent to nobody, since who may have it has its
//! file. BEP 27.

use bytes::Bytes;

use super::Swarm;
use crate::peer::metadata::{METADATA_PIECE, MetadataMessage, piece_length};
use crate::peer::{ConnId, Message};
use crate::time::Instant;

impl Swarm {
    /// The length of what is given, in bytes; `None` if nothing is.
    pub(super) fn metadata_size(&self) -> Option<u32> {
        let size = u32::try_from(self.metainfo.info_bytes().len()).ok()?;
        (!self.metainfo.info.private).then_some(size)
    }

    /// A peer says something about the metadata; only requests matter to one who has it.
    pub(super) fn asked_for_metadata(&mut self, now: Instant, conn: ConnId, payload: &Bytes) {
        let Some(MetadataMessage::Request(piece)) = MetadataMessage::decode(payload) else { return };
        let size = self.metadata_size().unwrap_or(0);
        let Some(peer) = self.conns.get_mut(&conn) else { return };
        let id = peer.extension.as_ref().and_then(|extension| extension.metadata).filter(|id| *id != 0);
        let Some(id) = id else { return };
        let length = piece_length(size, piece);
        let given = peer.metadata_given + u64::from(length);
        let answer = if length == 0 || given > 2 * u64::from(size) {
            MetadataMessage::Reject(piece)
        } else {
            peer.metadata_given = given;
            let begin = (piece * METADATA_PIECE) as usize;
            let data = Bytes::copy_from_slice(&self.metainfo.info_bytes()[begin..begin + length as usize]);
            MetadataMessage::Data { piece, total: size, data }
        };
        self.send(now, conn, Message::Extended { id, payload: answer.encode() });
    }
}
