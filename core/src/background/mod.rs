//! Giving way: uploading in the background, so that other traffic of the same uplink does not notice.
//!
//! Every stream that fills an uplink takes as much of it as any other does, and makes all wait in the uplink's queue.
//! What is sent in the background takes what others leave: all of the line while it is idle, next to nothing while
//! somebody else fills it. Whether somebody does is told by how long packets wait in the queue, because whoever fills a
//! line fills its queue, too.
//!
//! [`waits`] makes waits of delays, whoever measured them; [`pace`] makes of the waits how fast may be sent. One pace
//! holds for all connections of all torrents together, over TCP and uTP: many connections that each give way a little
//! would still crowd out one that does not.
//!
//! Knows no sockets and no clock; what was measured, and when, is told.
//! Law: what is sent in the background in any span of time is at most the pace times the span, and a burst of a
//! fiftieth of a second.
//! Source: the aim is that of LEDBAT (RFC 6817); here a rate is steered, not the window of each connection.

pub mod waits;
pub mod pace;

use std::fmt;

pub use pace::Pace;
pub use waits::{Source, Trip, Waits};

/// Which uploads are in the background.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Background {
    /// None.
    #[default]
    Off,
    /// Those of torrents that are complete here.
    Seeding,
    /// All.
    Always,
}

impl fmt::Display for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Background {
    /// All of them, in the order in which they are explained.
    pub const ALL: [Self; 3] = [Self::Off, Self::Seeding, Self::Always];

    /// Its name among settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Seeding => "seeding",
            Self::Always => "always",
        }
    }
}

#[cfg(test)]
mod tests;
