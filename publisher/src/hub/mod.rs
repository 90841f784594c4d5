//! The hub: servers that subscribe to a feed are sent it whenever it changes, or, by rssCloud, told that it has.
//!
//! Who asks is verified by a challenge at the address that he names, and forgotten when his lease is over, when he says
//! so, or when he answers 410. A feed is sent whole, signed with his secret, again with growing waits until it is
//! taken; what has changed meanwhile goes with it. What waits to be sent is forgotten at a restart, subscriptions are
//! not. Hubs elsewhere that the owner names are told that a feed has changed, and fetch it.
//!
//! Strangers make us ask addresses of their choice here. So those must be public ones, unless the feed itself is in a
//! private network; redirects are not followed; and there are so many subscriptions and so many verifications at
//! once, in all and of one network.
//!
//! Law: nobody is sent anything who has not asked for it, but the question whether he has. No release waits for a
//! subscriber.
//! Sources: W3C `WebSub`; the rssCloud walkthrough.

mod cloud;
mod subscription;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use bytes::Bytes;
use chrono::Utc;
use data_encoding::HEXLOWER;
use podswarm_core::app::Quota;
use podswarm_core::app::hook::signature;
use podswarm_core::net::Route;
use podswarm_core::net::http::{HttpClient, HttpError, Reach};
use podswarm_core::store::{Store, StoreError};
use podswarm_core::tracker::{network_of, public_network_of};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::{Host, Url, form_urlencoded};

use crate::USER_AGENT;
use crate::host::blocking;
use crate::http::Resource;
use crate::site::Site;
use crate::urls::Urls;
pub(crate) use subscription::SubscriptionRecord;
use subscription::{Mode, Proof, Protocol, Wish};

/// Subscriptions at most.
const MOST: usize = 1000;
/// Subscriptions whose callbacks are in one network.
const MOST_OF_NETWORK: usize = 64;
/// Verifications at once, in all and asked for by one network.
const VERIFICATIONS: [usize; 2] = [64, 8];
/// Subscribers that are sent something at once.
const SENDS: usize = 16;
/// How long a subscriber may take to answer.
const TIME: Duration = Duration::from_secs(20);
/// What forms are sent as.
const FORM: [(&str, &str); 1] = [("content-type", "application/x-www-form-urlencoded")];
/// What is said to who asks too much.
const BUSY: &str = "the hub has too much to do; come again";
/// The waits before something is sent again.
const WAITS: [Duration; 5] = [
    Duration::from_secs(2),
    Duration::from_secs(15),
    Duration::from_mins(1),
    Duration::from_mins(10),
    Duration::from_hours(1),
];

/// Everything that sends feeds to subscribers; it is shared by whoever takes their wishes and whoever changes feeds.
pub(crate) struct Hub {
    store: Store,
    site: watch::Receiver<Arc<Site>>,
    urls: Arc<Urls>,
    /// Goes where subscribers may be.
    http: HttpClient,
    /// Goes where the owner says.
    anywhere: HttpClient,
    verifications: Quota,
    sends: Semaphore,
    /// Subscriptions and hubs that are being told; true if there is something newer.
    busy: Mutex<BTreeMap<Vec<u8>, bool>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Somebody who is told of a feed.
#[derive(Clone, Debug)]
enum Listener {
    /// A subscriber, by his key.
    Subscriber(Vec<u8>),
    /// A hub elsewhere.
    Hub(Url),
}

/// How telling somebody went.
enum Told {
    /// He has it, or is to be told no more.
    Over,
    /// He may take it later.
    NotYet(String),
}

impl Hub {
    /// A hub for the feeds of `site`, which asks others by `route`, and whose work goes on as `tasks` until `stop`.
    pub(crate) fn new(
        store: Store,
        site: watch::Receiver<Arc<Site>>,
        urls: Arc<Urls>,
        route: &Route,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, HttpError> {
        // A feed at home has its subscribers at home.
        let reach = match urls.host() {
            Host::Ipv4(ip) => Reach::of_host(ip.into()),
            Host::Ipv6(ip) => Reach::of_host(ip.into()),
            Host::Domain(_) => Reach::Public,
        };
        let [most, most_of_network] = VERIFICATIONS;
        Ok(Arc::new(Self {
            store,
            site,
            urls,
            http: HttpClient::new(reach, USER_AGENT, route)?,
            anywhere: HttpClient::new(Reach::Any, USER_AGENT, route)?,
            verifications: Quota::new(most, most_of_network),
            sends: Semaphore::new(SENDS),
            busy: Mutex::default(),
            tasks,
            stop,
        }))
    }

    /// Takes the request of a subscriber, or of who says he is one: a status, and a sentence if it is refused.
    pub(crate) fn ask(self: &Arc<Self>, asker: IpAddr, body: &[u8]) -> (StatusCode, String) {
        let wish = match Wish::read(body) {
            Ok(wish) => wish,
            Err(refusal) => return (StatusCode::BAD_REQUEST, refusal),
        };
        if wish.mode == Mode::Subscribe && self.feed(&wish.topic).is_none() {
            return (StatusCode::NOT_FOUND, "hub.topic is no feed of this hub".to_owned());
        }
        let Some(place) = self.verifications.admit(public_network_of(asker)) else {
            return (StatusCode::SERVICE_UNAVAILABLE, BUSY.to_owned());
        };
        let hub = Arc::clone(self);
        self.spawn(async move {
            let callback = wish.callback.host_str().unwrap_or_default().to_owned();
            match hub.verify(wish).await {
                Ok(()) => tracing::info!(callback, "a subscription was verified"),
                Err(error) => tracing::debug!(callback, error, "a subscription was not verified"),
            }
            drop(place);
        });
        (StatusCode::ACCEPTED, String::new())
    }

    /// Takes the request of a subscriber by rssCloud, and answers when it is done.
    pub(crate) async fn please_notify(&self, asker: IpAddr, body: &[u8]) -> String {
        cloud::answer(&self.take_all(asker, body).await)
    }

    async fn take_all(&self, asker: IpAddr, body: &[u8]) -> Result<(), String> {
        let wishes = cloud::read(body, asker)?;
        if let Some(strange) = wishes.iter().find(|wish| self.feed(&wish.topic).is_none()) {
            return Err(format!("{:?} is no feed of this hub", strange.topic));
        }
        let _place = self.verifications.admit(public_network_of(asker)).ok_or(BUSY)?;
        for wish in wishes {
            let callback = wish.callback.host_str().unwrap_or_default().to_owned();
            if let Err(error) = self.verify(wish).await {
                tracing::debug!(callback, error, "a subscription was not verified");
                // What is in reach of us is not told to strangers.
                return Err(format!("{callback} does not answer there as it should, or there is no room for more"));
            }
            tracing::info!(callback, "a subscription was verified");
        }
        Ok(())
    }

    /// Asks who is to be subscribed, or no more, whether he wants it; if so it is done.
    async fn verify(&self, wish: Wish) -> Result<(), String> {
        let network = match wish.proof {
            Proof::Challenge => self.challenge(&wish).await?,
            Proof::Asker(ip) => {
                let notice = cloud::notice(&wish.topic);
                match told(self.http.post(wish.callback.as_str(), &FORM, notice, TIME).await) {
                    Told::Over => network_of(ip),
                    Told::NotYet(error) => return Err(error),
                }
            }
        };
        let Wish { mode, protocol, topic, callback, lease, secret, .. } = wish;
        let store = self.store.clone();
        if mode == Mode::Unsubscribe {
            let key = SubscriptionRecord::key_of(&topic, &callback);
            let deleted = blocking(move || store.delete::<SubscriptionRecord>(key)).await;
            return deleted.map_err(|error| error.to_string());
        }
        let until = Utc::now() + lease;
        let new = SubscriptionRecord { topic, callback, protocol, secret, until, network };
        blocking(move || subscribe(&store, &new)).await
    }

    /// Has the callback of a wish return what it is asked; tells the network of who does.
    async fn challenge(&self, wish: &Wish) -> Result<IpAddr, String> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("the system has random numbers");
        let challenge = HEXLOWER.encode(&random);
        let mut question = wish.callback.clone();
        match wish.protocol {
            Protocol::WebSub => {
                question
                    .query_pairs_mut()
                    .append_pair("hub.mode", wish.mode.as_str())
                    .append_pair("hub.topic", &wish.topic)
                    .append_pair("hub.challenge", &challenge);
                if wish.mode == Mode::Subscribe {
                    let lease = wish.lease.as_secs().to_string();
                    question.query_pairs_mut().append_pair("hub.lease_seconds", &lease);
                }
            }
            Protocol::RssCloud => {
                question.query_pairs_mut().append_pair("url", &wish.topic).append_pair("challenge", &challenge);
            }
        }
        let answer = self.http.get_limited(question.as_str(), &[], 1024, TIME).await;
        let answer = answer.map_err(|error| podswarm_core::app::Failure::from(error).to_string())?;
        if !(200..300).contains(&answer.status) || answer.final_url != question || answer.body != challenge.as_bytes() {
            return Err(format!("it answers {}, and not with the challenge", answer.status));
        }
        Ok(network_of(answer.remote_addr.map(|addr| addr.ip()).ok_or("nobody knows who answered")?))
    }

    /// Sends the feeds at these addresses to all who want them, some time.
    pub(crate) async fn tell(self: &Arc<Self>, topics: Vec<String>) {
        if topics.is_empty() {
            return;
        }
        let store = self.store.clone();
        let found = match blocking(move || store.scan::<SubscriptionRecord>("")).await {
            Ok(found) => found,
            Err(error) => return tracing::error!(%error, "subscribers cannot be told"),
        };
        let now = Utc::now();
        for subscription in found.iter().filter(|it| it.until > now && topics.contains(&it.topic)) {
            let key = SubscriptionRecord::key_of(&subscription.topic, &subscription.callback);
            self.begin(key.clone(), subscription.topic.clone(), Listener::Subscriber(key));
        }
        for hub in self.urls.hubs_elsewhere() {
            for topic in &topics {
                self.begin(format!("{hub}\n{topic}").into_bytes(), topic.clone(), Listener::Hub(hub.clone()));
            }
        }
    }

    /// Begins to tell somebody of a feed, or has it told again if that is under way.
    fn begin(self: &Arc<Self>, key: Vec<u8>, topic: String, listener: Listener) {
        if let Some(newer) = self.busy().get_mut(&key) {
            *newer = true;
            return;
        }
        self.busy().insert(key.clone(), false);
        let hub = Arc::clone(self);
        self.spawn(async move {
            let mut waits = WAITS.into_iter();
            loop {
                if let Told::NotYet(error) = hub.tell_once(&topic, &listener).await {
                    if let Some(wait) = waits.next() {
                        tracing::debug!(topic, error, ?wait, "a subscriber is told again");
                        tokio::time::sleep(wait).await;
                        continue;
                    }
                    tracing::warn!(topic, error, "a subscriber could not be told");
                }
                waits = WAITS.into_iter();
                let mut busy = hub.busy();
                if busy.get(&key).is_some_and(|newer| *newer) {
                    busy.insert(key.clone(), false);
                } else {
                    busy.remove(&key);
                    return;
                }
            }
        });
    }

    /// Tells somebody of a feed as it is now.
    async fn tell_once(&self, topic: &str, listener: &Listener) -> Told {
        let Ok(_place) = self.sends.acquire().await else { return Told::Over };
        match listener {
            Listener::Subscriber(key) => self.send(topic, key).await,
            Listener::Hub(hub) => told(self.anywhere.post(hub.as_str(), &FORM, ping(topic), TIME).await),
        }
    }

    /// Sends a feed to a subscriber.
    async fn send(&self, topic: &str, key: &[u8]) -> Told {
        let (store, wanted) = (self.store.clone(), key.to_vec());
        let subscription = blocking(move || store.get::<SubscriptionRecord>(wanted)).await;
        // He may have left meanwhile.
        let Ok(Some(subscription)) = subscription else { return Told::Over };
        let Some(feed) = self.feed(topic) else { return Told::Over };
        let callback = subscription.callback.as_str();
        let answer = match subscription.protocol {
            Protocol::RssCloud => self.http.post(callback, &FORM, cloud::notice(topic), TIME).await,
            Protocol::WebSub => {
                let body = feed.bytes().clone();
                let signed = subscription.secret.as_ref().map(|secret| signature(secret.as_bytes(), &body));
                let links = self.urls.feed_links(topic);
                let mut headers = vec![("content-type", feed.content_type())];
                headers.extend(links.as_deref().map(|links| ("link", links)));
                headers.extend(signed.as_deref().map(|signed| ("x-hub-signature", signed)));
                self.http.post(callback, &headers, body, TIME).await
            }
        };
        if matches!(answer, Ok(410)) {
            let (store, key) = (self.store.clone(), key.to_vec());
            if let Err(error) = blocking(move || store.delete::<SubscriptionRecord>(key)).await {
                tracing::warn!(%error, "a subscription that is over cannot be removed");
            }
            return Told::Over;
        }
        told(answer)
    }

    /// The feed at that address.
    fn feed(&self, topic: &str) -> Option<Resource> {
        let path = topic.strip_prefix(self.urls.base().as_str())?;
        self.site.borrow().feed(&format!("/{path}")).cloned()
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(work).await;
        });
    }

    fn busy(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, bool>> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a hub elsewhere is told of a feed that has changed.
fn ping(topic: &str) -> Bytes {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("hub.mode", "publish").append_pair("hub.url", topic).append_pair("hub.topic", topic);
    form.finish().into()
}

/// What an answer means.
fn told(answer: Result<u16, HttpError>) -> Told {
    match answer {
        Ok(200..=299) => Told::Over,
        Ok(status) => Told::NotYet(format!("the server answers {status}")),
        Err(error) => Told::NotYet(podswarm_core::app::Failure::from(error).to_string()),
    }
}

/// Stores a subscription that was verified, unless there are too many; those whose leases are over make way.
fn subscribe(store: &Store, new: &SubscriptionRecord) -> Result<(), String> {
    let store_it = || -> Result<bool, StoreError> {
        let now = Utc::now();
        let all = store.scan::<SubscriptionRecord>("")?;
        let (live, over): (Vec<_>, Vec<_>) = all.into_iter().partition(|there| there.until > now);
        let is_same = |there: &&SubscriptionRecord| (&there.topic, &there.callback) == (&new.topic, &new.callback);
        let near = live.iter().filter(|there| there.network == new.network).count();
        let has_room = live.iter().any(|there| is_same(&there)) || live.len() < MOST && near < MOST_OF_NETWORK;
        store.batch(|batch| {
            for gone in &over {
                batch.delete::<SubscriptionRecord>(SubscriptionRecord::key_of(&gone.topic, &gone.callback));
            }
            if has_room {
                batch.put(new);
            }
        })?;
        Ok(has_room)
    };
    match store_it() {
        Ok(true) => Ok(()),
        Ok(false) => Err("there are as many subscriptions as there may be".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
