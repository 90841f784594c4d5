//! uTP: streams over UDP that yield to other traffic.
//!
//! Two who cannot reach each other by TCP often can by UDP, and what is sent this way fills no queue on the way: a line
//! goes on being used by others. An [`Endpoint`] is all connections of one port; `connection` is one of them;
//! [`packet`] is what is on the wire; `ledbat` says how much may be on its way at once by what `minima` remembers,
//! `rtt` how long to wait.
//!
//! Knows nothing of sockets: datagrams come in as bytes and go out as values, so that two endpoints can be joined by a
//! simulated wire.
//!
//! Why none of the crates: librqbit-utp controls congestion as TCP does (CUBIC) and would fill the queues that this is
//! to keep empty; and it owns its socket and its clock, which here belong to the rim.
//!
//! Source: BEP 29.

pub mod packet;
mod rtt;
mod minima;
mod ledbat;
mod connection;
mod endpoint;
#[cfg(test)]
mod tests;

pub use connection::{Datagram, End, MOST_PAYLOAD};
pub use endpoint::{Endpoint, EndpointConfig, Input, Output, StreamId, Ways};
pub(crate) use minima::{Minima, lesser};
pub use packet::{Header, Packet, SeqNr};
