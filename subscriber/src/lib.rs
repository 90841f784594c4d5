//! .
pub mod agent;
pub mod names;
pub mod records;
pub mod schedule;
pub mod sse;
