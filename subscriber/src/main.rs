//! `podsub`, the listener's agent.

fn main() {}
