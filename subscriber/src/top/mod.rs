//! The terminal view: everything that moves in one window, and keys to change it.
//!
//! [`Model`] is what is known and where the person is; answers, events and keys go in, and what is to be done comes
//! out. [`draw`] makes a picture of it. `figures` are the small things that fit into a line. The command
//! ([`crate::commands`]) has the terminal, asks the agent and does what comes out.
//!
//! Laws: model and picture are pure: the same answers and keys give the same screen. No control character from outside
//! reaches the screen. What colours say, signs and words say, too.

mod draw;
mod figures;
mod keys;
mod model;

pub use draw::draw;
pub use keys::Deed;
pub use model::{Model, Question};

#[cfg(test)]
mod tests;
