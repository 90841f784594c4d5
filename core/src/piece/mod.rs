//! Pieces: which we have and lack, who has them, which block to ask for next, and who is to blame for a bad one.
//!
//! [`availability`] counts the peers that have each piece, [`partial`] is a piece on its way, [`picker`] chooses,
//! [`check`] tells whether pieces are right and [`sha1`] hashes them, [`sender`] says who sent what, [`blame`] finds
//! poisoners.
//!
//! Source: BEP 3, 52, and the "rarest first" of its author's paper of 2003.

pub mod availability;
pub mod partial;
pub mod picker;
pub mod check;
pub mod sha1;
pub mod sender;
pub mod blame;

pub use availability::Availability;
pub use blame::Blame;
pub use check::{Candidate, PieceCheck, Sha1Check, Verdict};
pub use partial::Partial;
pub(crate) use picker::rarest_of;
pub use picker::{Hints, Picker, Wanted};
pub use sender::{Sender, WebSeedId};
