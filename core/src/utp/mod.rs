//! uTP: streams over UDP that yield to other traffic.
//!
//! Two who cannot reach each other by TCP often can by UDP. [`packet`] is what is on the wire.
//!
//! Source: BEP 29.

pub mod packet;

pub use packet::{Header, Packet, SeqNr};
