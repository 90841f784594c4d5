//! .
pub mod names;
pub mod schedule;
pub mod sse;
