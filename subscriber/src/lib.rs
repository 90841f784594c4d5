//! .
pub mod agent;
pub mod keep;
pub mod names;
pub mod records;
pub mod schedule;
pub mod sse;
