//! What a subscriber asks of the hub, and what is remembered of him.
//!
//! Knows nothing of servers: the body of a request comes in, and a wish or a refusal comes out.
//! Source: W3C `WebSub`, section 5.1.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use podswarm_core::store::Record;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

/// How long a subscription lives if nobody says.
const LEASE: Duration = Duration::from_hours(10 * 24);
/// The shortest and the longest that is granted.
const LEASES: [Duration; 2] = [Duration::from_hours(1), Duration::from_hours(30 * 24)];
/// The longest secret, in bytes, as the standard has it.
const LONGEST_SECRET: usize = 199;
/// The longest callback, in bytes.
pub(super) const LONGEST_CALLBACK: usize = 2048;

/// What a subscriber wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// Whether he subscribes, or has enough.
    pub(super) mode: Mode,
    /// How he speaks.
    pub(super) protocol: Protocol,
    /// What shows that he wants it.
    pub(super) proof: Proof,
    /// The feed.
    pub(super) topic: String,
    /// Where he is told.
    pub(super) callback: Url,
    /// For how long.
    pub(super) lease: Duration,
    /// What he knows us by.
    pub(super) secret: Option<String>,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Subscribe,
    Unsubscribe,
}

/// How a subscriber speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Protocol {
    /// He is sent the feed.
    #[default]
    WebSub,
    /// He is told that it has changed.
    RssCloud,
}

/// What shows that who is to be told wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// He returns what he is asked.
    Challenge,
    /// He asks from there himself, and takes what he is told.
    Asker(IpAddr),
}

impl Mode {
    /// As the standard writes it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
        }
    }
}

impl Wish {
    /// Reads the body of a request; the error is a sentence for who sent it.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let field = |wanted: &str| {
            let mut fields = form_urlencoded::parse(body);
            fields
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.into_owned())
                .filter(|value| !value.is_empty())
        };
        let need = |name: &str| field(name).ok_or_else(|| format!("{name} is missing"));
        let mode = match need("hub.mode")?.as_str() {
            "subscribe" => Mode::Subscribe,
            "unsubscribe" => Mode::Unsubscribe,
            other => return Err(format!("hub.mode is {other:?}; want subscribe or unsubscribe")),
        };
        let (topic, callback) = (need("hub.topic")?, need("hub.callback")?);
        let url = Url::parse(&callback).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let callback = match url {
            Some(url) if url.fragment().is_none() && callback.len() <= LONGEST_CALLBACK => url,
            _ => return Err("hub.callback is no http or https address that is told".to_owned()),
        };
        let secret = field("hub.secret");
        if secret.as_ref().is_some_and(|secret| secret.len() > LONGEST_SECRET) {
            return Err(format!("hub.secret is longer than {LONGEST_SECRET} bytes"));
        }
        let lease = match field("hub.lease_seconds") {
            None => LEASE,
            Some(seconds) => Duration::from_secs(seconds.parse().map_err(|_| "hub.lease_seconds is no number")?),
        };
        let (protocol, proof, lease) = (Protocol::WebSub, Proof::Challenge, lease.clamp(LEASES[0], LEASES[1]));
        Ok(Self { mode, protocol, proof, topic, callback, lease, secret })
    }
}

/// A subscription that was verified.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SubscriptionRecord {
    /// The feed, as its address stood then.
    pub(super) topic: String,
    /// Where its subscriber is told.
    pub(super) callback: Url,
    /// How.
    #[serde(default)]
    pub(super) protocol: Protocol,
    /// What content is signed with for him.
    pub(super) secret: Option<String>,
    /// When it ends, unless he asks again.
    pub(super) until: DateTime<Utc>,
    /// The network of the server that verified it.
    pub(super) network: IpAddr,
}

impl Record for SubscriptionRecord {
    const KIND: &'static str = "subscription";
    const VERSION: u8 = 1;

    fn key(&self) -> Vec<u8> {
        Self::key_of(&self.topic, &self.callback)
    }
}

impl SubscriptionRecord {
    /// A subscriber may have one subscription of a feed for each callback.
    pub(super) fn key_of(topic: &str, callback: &Url) -> Vec<u8> {
        Sha256::new().chain_update(topic).chain_update("\n").chain_update(callback.as_str()).finalize().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "hub.mode=subscribe&hub.topic=http%3A%2F%2Fa%2Ffeed&hub.callback=https%3A%2F%2Fb%2Fc%3Fd%3De";

    #[test]
    fn a_wish_is_read_with_what_it_leaves_out() {
        let wish = Wish::read(WHOLE.as_bytes()).unwrap();
        assert_eq!((wish.topic.as_str(), wish.callback.as_str()), ("http://a/feed", "https://b/c?d=e"));
        assert_eq!((wish.mode, wish.lease, wish.secret), (Mode::Subscribe, LEASE, None));
        let lease = |seconds| Wish::read(format!("{WHOLE}&hub.lease_seconds={seconds}").as_bytes()).unwrap().lease;
        assert_eq!([1, 86_400, u64::MAX].map(lease), [LEASES[0], Duration::from_hours(24), LEASES[1]]);
    }

    #[test]
    fn what_is_no_wish_is_refused_with_its_reason() {
        let long = format!("{WHOLE}&hub.secret={}", "x".repeat(LONGEST_SECRET + 1));
        for (body, part) in [
            ("", "hub.mode is missing"),
            (&WHOLE.replace("=subscribe", "=publish"), "publish"),
            (&WHOLE.replace("hub.topic", "topic"), "hub.topic is missing"),
            (&WHOLE.replace("https%3A", "ftp%3A"), "hub.callback"),
            (&WHOLE.replace("https%3A%2F%2Fb%2Fc", "nowhere"), "hub.callback"),
            (&format!("{WHOLE}%23fragment"), "hub.callback"),
            (&format!("{WHOLE}&hub.lease_seconds=soon"), "hub.lease_seconds"),
            (&long, "hub.secret"),
        ] {
            let refused = Wish::read(body.as_bytes()).unwrap_err();
            assert!(refused.contains(part), "{body}: {refused}");
        }
    }
}
