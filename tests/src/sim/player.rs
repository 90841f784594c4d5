//! Who plays the episode while it comes: reads ahead as players do, and stands still when nothing is there.
//!
//! The sound begins when `FIRST` seconds of it are read, and goes on at its speed. `AHEAD` seconds are read ahead.

use std::time::Duration;

use podswarm_core::layout::PieceIndex;
use podswarm_core::session::Input;
use podswarm_core::swarm::{self, ReaderId};
use podswarm_core::time::Instant;

use super::events::What;
use super::host::HostId;
use super::world::World;

/// Seconds of sound that are read before it begins.
const FIRST: u64 = 1;
/// Seconds of sound that a player reads ahead.
const AHEAD: u64 = 60;
/// How often it looks.
const EVERY: Duration = Duration::from_millis(100);

/// How playing goes.
#[derive(Clone, Debug, Default)]
pub struct Player {
    /// Bytes that were read.
    read: u64,
    /// Bytes that were played, in thousandths.
    played_milli: u64,
    /// When it last looked.
    looked: Option<Instant>,
    /// How long it waited for the first sound.
    pub started_after: Option<Duration>,
    /// How long it stood still after that.
    pub stalled: Duration,
}

impl World {
    /// The player of a host looks what is there, plays and reads on.
    pub(super) fn play(&mut self, id: HostId) {
        let (now, length) = (self.now, self.metainfo.info.length());
        let piece_length = u64::from(self.metainfo.info.piece_length);
        let host = &mut self.hosts[id.0];
        let Some(rate) = host.character.plays else { return };
        let (arrival, swarm) = (host.arrival(), host.swarm);
        let Some(picker) = host.session.swarm(swarm).map(swarm::Swarm::picker) else { return };
        let player = &mut host.player;
        let most = (player.played_milli / 1000 + AHEAD * rate).min(length);
        let has = |at: u64| u32::try_from(at / piece_length).is_ok_and(|piece| picker.have().has(PieceIndex(piece)));
        let before = player.read;
        while player.read < most && has(player.read) {
            player.read = ((player.read / piece_length + 1) * piece_length).min(most);
        }
        let passed = player.looked.replace(now).map_or(Duration::ZERO, |looked| now - looked);
        if player.started_after.is_some() {
            let wanted = rate * u64::try_from(passed.as_millis()).unwrap_or(0);
            let now_heard = wanted.min(player.read * 1000 - player.played_milli);
            player.played_milli += now_heard;
            if player.played_milli < length * 1000 {
                player.stalled += Duration::from_millis((wanted - now_heard) / rate);
            }
        } else if player.read >= (FIRST * rate).min(length) {
            player.started_after = Some(now - arrival);
        }
        let (read, is_over) = (player.read, player.played_milli == length * 1000);
        if before != read || passed.is_zero() || is_over {
            let range = (!is_over && read < length).then_some(read..length);
            self.input(id, Input::Swarm(swarm, swarm::Input::Reader(ReaderId(0), range)));
        }
        if !is_over {
            self.schedule(now + EVERY, id, What::Play);
        }
    }
}
