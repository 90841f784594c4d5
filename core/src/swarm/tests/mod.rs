//! What a swarm does, shown with swarms and hand-played peers in a [`lab`].

mod asking;
mod background;
mod conduct;
mod disk;
mod exchange;
mod keeping;
mod lab;
mod metadata;
mod hashes;
mod places;
mod punch;
mod reading;
mod serving;
mod showing;
mod trust;
mod web;
