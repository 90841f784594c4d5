//! The HTTP client, guarded.
