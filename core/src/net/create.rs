//! Hashing files and making torrents.
