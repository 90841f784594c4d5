//! Shows move in and out, by the real program: another host's feed is taken over, cut off and taken up again.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod export;
mod host;
mod import;
mod relocate;
mod said;
mod still;
mod world;
