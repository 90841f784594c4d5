//! What a server is told, kept until it has taken it.
//!
//! A [`DeliveryRecord`] is stored before it is sent for the first time, and removed when the server has taken it or it
//! is given up. So neither a server that is down nor a publisher that ends loses it. It bears one id for ever, by which
//! a server knows again what it has already.
//!
//! The address of a server may be a secret, so what is stored names it by a hash. What is kept for a server that no
//! hook names any more waits for a hook that does, as long as any other.
//!
//! Law: a server takes or refuses one delivery before it is sent the next.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use podswarm_core::app::hook::{Delivery, LAST_WAIT, LONGEST, Undelivered, post};
use podswarm_core::net::http::HttpClient;
use podswarm_core::store::{Record, Store, StoreError};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::Url;
use uuid::Uuid;

use super::Occasion;

/// Something that a server is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeliveryRecord {
    /// Which hook's server, as [`receiver_of`] has it.
    pub(super) receiver: String,
    /// Its place in the order in which things happened.
    pub(super) number: u64,
    /// What the server knows it by.
    pub(super) id: Uuid,
    /// What happened.
    pub(super) event: Occasion,
    /// When.
    pub(super) at: DateTime<Utc>,
    /// What is sent, the same each time.
    pub(super) body: String,
}

impl DeliveryRecord {
    /// How long ago it happened; nothing, if the clock says that it is to come.
    fn age(&self, now: DateTime<Utc>) -> Duration {
        (now - self.at).to_std().unwrap_or_default()
    }
}

impl Record for DeliveryRecord {
    const KIND: &'static str = "delivery";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        let mut key = format!("{}/", self.receiver).into_bytes();
        key.extend_from_slice(&self.number.to_be_bytes());
        key
    }
}

/// Names the server of a hook; `before` is how many hooks before it have the same one.
pub(super) fn receiver_of(url: &Url, before: usize) -> String {
    HEXLOWER.encode(&Sha256::new().chain_update(url.as_str()).chain_update(format!("\n{before}")).finalize())
}

/// Removes what is kept for none of `receivers` and is too old to be sent; says so.
pub(super) fn give_up_stray(
    store: &Store,
    kept: &[DeliveryRecord],
    receivers: &[String],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let is_over = |it: &&DeliveryRecord| !receivers.contains(&it.receiver) && it.age(now) > LONGEST;
    let over: Vec<_> = kept.iter().filter(is_over).collect();
    if !over.is_empty() {
        let count = over.len();
        tracing::warn!(count, "deliveries are given up, no hook has named their server for three days");
    }
    store.batch(|batch| over.iter().for_each(|delivery| batch.delete::<DeliveryRecord>(delivery.key())))
}

/// A server, as a hook names it.
pub(super) struct Server<'a> {
    /// Goes there.
    pub(super) http: &'a HttpClient,
    /// Where it is.
    pub(super) url: &'a Url,
    /// What it knows us by.
    pub(super) secret: Option<&'a str>,
    /// How long it may take to answer.
    pub(super) time: Duration,
}

impl Server<'_> {
    /// Sends a delivery until the server takes it, with `waits` between; `tell` is told each time that it does not. The
    /// error says why it is given up.
    pub(super) async fn deliver(
        &self,
        delivery: &DeliveryRecord,
        mut waits: impl Iterator<Item = Duration>,
        tell: impl Fn(&str),
    ) -> Result<(), String> {
        let (event, id) = (delivery.event.to_string(), delivery.id.to_string());
        let body = Bytes::from(delivery.body.clone());
        let told = Delivery { event: &event, id: &id, body: &body };
        loop {
            let error = match post(self.http, self.url.as_str(), self.secret, &told, self.time).await {
                Ok(()) => return Ok(()),
                Err(Undelivered::ForGood(error)) => return Err(format!("delivery {id} is given up: {error}")),
                Err(Undelivered::ForNow(error)) => error,
            };
            let wait = waits.next().unwrap_or(LAST_WAIT);
            if delivery.age(Utc::now()).saturating_add(wait) > LONGEST {
                let days = LONGEST.as_secs() / (24 * 60 * 60);
                return Err(format!("delivery {id} is given up after {days} days: {error}"));
            }
            tell(&error);
            tokio::time::sleep(wait).await;
        }
    }
}
