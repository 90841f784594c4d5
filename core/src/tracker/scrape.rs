//! How swarms stand, asked without joining them: the values, without a wire format.
//!
//! Source: BEP 48.

use std::collections::BTreeMap;

/// Asks for the figures of some swarms. BEP 48.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrapeRequest {
    /// The swarms, in the order asked.
    pub info_hashes: Vec<[u8; 20]>,
}

/// The figures of those swarms that the tracker knows. BEP 48.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrapeResponse {
    /// By info-hash.
    pub files: BTreeMap<[u8; 20], SwarmCounts>,
}

/// How one swarm stands. BEP 48.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct SwarmCounts {
    /// Peers that have everything.
    pub complete: u32,
    /// Peers that still want something.
    pub incomplete: u32,
    /// Downloads that became whole, ever.
    pub downloaded: u32,
}
