//! The journal: append-only files that are the truth of the store.

pub(super) mod frame;
