//! The way to agents outside: their streams of events, on which some are asked to connect back.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use podswarm_core::rng::Rng;
use podswarm_core::witness::{Nonce, Offer, Testimony};
use tokio::sync::Notify;

use super::witnesses::{Findings, Refusal, Shown, Witnesses};
use crate::slug::Slug;

/// Those who listen outside, and what came of asking them; clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Outside(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    witnesses: Witnesses,
    /// Rings where a stream is to ask.
    bells: BTreeMap<u64, Arc<Notify>>,
    rng: Rng,
}

/// One that is to be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chosen {
    number: u64,
    /// With what.
    pub(crate) nonce: Nonce,
}

impl Outside {
    /// Nobody listens yet.
    pub(crate) fn new(rng: Rng) -> Self {
        Self(Arc::new(Mutex::new(State { witnesses: Witnesses::default(), bells: BTreeMap::new(), rng })))
    }

    /// Takes a seat for somebody at `ip` who listens to the events of `show`; `None` if he cannot be asked.
    pub(crate) fn sit_down(&self, ip: IpAddr, show: Slug, offer: Offer) -> Option<Seat> {
        let (mut state, bell) = (self.state(), Arc::new(Notify::new()));
        let number = state.witnesses.enter(Instant::now(), ip, show, offer)?;
        state.bells.insert(number, Arc::clone(&bell));
        Some(Seat { number, bell, outside: self.clone() })
    }

    /// Chooses some to be asked; none while others are waited for. They are asked once their bells [ring](Self::ring).
    pub(crate) fn choose(&self, own: &[IpAddr]) -> Vec<Chosen> {
        let State { witnesses, rng, .. } = &mut *self.state();
        let asked = witnesses.ask(Instant::now(), own, rng);
        asked.into_iter().map(|(number, nonce)| Chosen { number, nonce }).collect()
    }

    /// Has their streams ask them.
    pub(crate) fn ring(&self, chosen: &[Chosen]) {
        let state = self.state();
        for bell in chosen.iter().filter_map(|chosen| state.bells.get(&chosen.number)) {
            bell.notify_one();
        }
    }

    /// Somebody shows a nonce at the feed's port, and is told of these doors for peers.
    pub(crate) fn shown(&self, shown: Shown<'_>, doors: &[SocketAddr]) -> Result<(), Refusal> {
        self.state().witnesses.shown(Instant::now(), shown, doors)
    }

    /// Somebody has shown a nonce at the port for peers.
    pub(crate) fn knocked(&self, nonce: Nonce, by: IpAddr) {
        self.state().witnesses.knocked(Instant::now(), nonce, by);
    }

    /// Somebody who was asked tells what he found at these doors.
    pub(crate) fn told(&self, nonce: Nonce, show: &Slug, testimony: &Testimony) -> Result<(), Refusal> {
        self.state().witnesses.told(Instant::now(), nonce, show, testimony)
    }

    /// What is known.
    pub(crate) fn findings(&self) -> Findings {
        self.state().witnesses.findings(Instant::now())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a stream whose agent can be asked, which is given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    number: u64,
    bell: Arc<Notify>,
    outside: Outside,
}

impl Seat {
    /// Waits until the agent is to be asked.
    pub(crate) async fn asked(&self) -> Nonce {
        loop {
            self.bell.notified().await;
            if let Some(nonce) = self.outside.state().witnesses.question(self.number) {
                return nonce;
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.outside.state();
        state.witnesses.leave(self.number);
        state.bells.remove(&self.number);
    }
}
