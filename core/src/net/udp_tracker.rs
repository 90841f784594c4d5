//! The tracker client over UDP: the sockets under [`Exchange`].
//!
//! Each exchange has a socket of its own, connected to the tracker's address, so that the system itself keeps out what
//! others send and says at once that nobody listens there. A tracker is asked over each address family that its name
//! has, as over HTTP. Connection ids are kept for the minute in which they may be used again.
//!
//! Laws: under [`Reach::Public`] no datagram goes to an address that is not public; no announce takes longer than
//! [`PATIENCE`], names looked up and all.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError};

use futures_util::stream::FuturesUnordered;
use socket2::SockRef;
use tokio::net::UdpSocket;

use super::clock::Clock;
use super::engine::with_causes;
use super::http::{Reach, lookup, of_both_families};
use super::route::Route;
use super::system_rng;
use crate::time::Instant;
use crate::tracker::udp::{ConnectionId, Exchange, ExchangeInput, ExchangeOutput, ID_IS_FRESH, PATIENCE, UdpUrl};
use crate::tracker::{AnnounceFailure, AnnounceRequest, AnnounceResponse};

/// Asks trackers over UDP. Clones share what they have learnt.
#[derive(Clone, Debug)]
pub(crate) struct UdpTrackers {
    /// Where we may speak from.
    route: Route,
    clock: Clock,
    kept: Arc<Kept>,
}

/// The connection ids that trackers gave in the last minute, with the times at which they did.
#[expect(clippy::disallowed_types, reason = "the rim: exchanges run beside one another")]
#[derive(Debug, Default)]
struct Kept(std::sync::Mutex<BTreeMap<SocketAddr, (ConnectionId, Instant)>>);

impl Kept {
    fn recall(&self, now: Instant, tracker: SocketAddr) -> Option<ConnectionId> {
        let mut ids = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.retain(|_, (_, given)| now - *given < ID_IS_FRESH);
        ids.get(&tracker).map(|(id, _)| *id)
    }

    fn keep(&self, now: Instant, tracker: SocketAddr, id: ConnectionId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(tracker, (id, now));
    }
}

impl UdpTrackers {
    /// A client that speaks from where `route` lets it.
    pub(crate) fn new(route: Route) -> Self {
        Self { route, clock: Clock::default(), kept: Arc::default() }
    }

    /// Announces over each address family, as far as `reach` goes, and asks for figures with `scrape`.
    pub(crate) async fn announce(
        &self,
        reach: Reach,
        url: &str,
        request: &AnnounceRequest,
        scrape: bool,
    ) -> Result<AnnounceResponse, AnnounceFailure> {
        let url = UdpUrl::parse(url)?;
        let asking = async {
            let found = lookup(reach, &url.host).await.map_err(|error| AnnounceFailure::new(with_causes(&error)))?;
            let (v4, v6): (Vec<_>, Vec<_>) = found.into_iter().partition(IpAddr::is_ipv4);
            let families = [v4, v6].into_iter().filter_map(|ips| {
                let ips: Vec<_> = ips.into_iter().filter(|ip| self.route.speaks_to(*ip)).take(TRIED).collect();
                (!ips.is_empty()).then(|| self.ask_one_of(ips, &url, request, scrape))
            });
            AnnounceResponse::merge(of_both_families(families.collect::<FuturesUnordered<_>>()).await)
        };
        let too_late = || Err(AnnounceFailure::new(format!("{} does not answer", url.host)));
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| too_late())
    }

    /// Asks at the first of the addresses of one family at which somebody listens.
    async fn ask_one_of(
        &self,
        ips: Vec<IpAddr>,
        url: &UdpUrl,
        request: &AnnounceRequest,
        scrape: bool,
    ) -> Result<AnnounceResponse, AnnounceFailure> {
        let mut failure = AnnounceFailure::new(format!("{} has no address", url.host));
        for ip in ips {
            let tracker = SocketAddr::new(ip, url.port);
            match self.ask(tracker, url, request, scrape).await {
                Ok(result) => return result,
                Err(error) => {
                    let what = format!("ask {tracker} over UDP: {error}");
                    failure = AnnounceFailure::new(what);
                }
            }
        }
        Err(failure)
    }

    /// One exchange; an error is the system's, most often that nobody listens there.
    async fn ask(
        &self,
        tracker: SocketAddr,
        url: &UdpUrl,
        request: &AnnounceRequest,
        scrape: bool,
    ) -> io::Result<Result<AnnounceResponse, AnnounceFailure>> {
        let any = if tracker.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((self.route.address().unwrap_or(any), 0)).await?;
        if let Some(bind) = &self.route.bind {
            bind.tie(&SockRef::from(&socket))?;
        }
        socket.connect(tracker).await?;
        let id = self.kept.recall(self.clock.now(), tracker);
        let mut exchange = Exchange::new(request.clone(), scrape, url.data.clone(), tracker.ip(), id, system_rng());
        exchange.handle(self.clock.now(), ExchangeInput::Start);
        let mut datagram = vec![0; LONGEST_REPLY];
        loop {
            while let Some(output) = exchange.poll() {
                match output {
                    ExchangeOutput::Connected(id) => self.kept.keep(self.clock.now(), tracker, id),
                    ExchangeOutput::Done(result) => return Ok(result),
                    ExchangeOutput::Send(datagram) => drop(socket.send(&datagram).await?),
                }
            }
            let tick_at = exchange.deadline().map(|at| self.clock.at(at)).expect("it is done or it waits");
            tokio::select! {
                received = socket.recv(&mut datagram) => {
                    let length = received?;
                    exchange.handle(self.clock.now(), ExchangeInput::Received(&datagram[..length]));
                }
                () = tokio::time::sleep_until(tick_at) => exchange.handle(self.clock.now(), ExchangeInput::Tick),
            }
        }
    }
}

/// Addresses of one family that are tried of one tracker.
const TRIED: usize = 3;

/// Room for a reply; what is longer is cut, and read as far as it goes.
const LONGEST_REPLY: usize = 8192;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::Bind;
    use crate::tracker::SwarmCounts;
    use crate::tracker::udp::{Answer, Responder, Swarms};

    struct One;

    impl Swarms for One {
        fn announce(
            &mut self,
            _: SocketAddr,
            request: &AnnounceRequest,
        ) -> Result<(Answer, &[SocketAddr]), AnnounceFailure> {
            if request.port == 1 {
                return Err(AnnounceFailure::new("not served"));
            }
            Ok((Answer { interval: Duration::from_secs(7), counts: SwarmCounts::default() }, &[]))
        }

        fn scrape(&mut self, _: [u8; 20]) -> SwarmCounts {
            SwarmCounts::default()
        }
    }

    /// Answers as a tracker does, and tells the length of each datagram that comes.
    async fn tracker() -> (u16, tokio::sync::mpsc::UnboundedReceiver<usize>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let (told, lengths) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(async move {
            let (responder, clock) = (Responder::new(&mut system_rng()), Clock::default());
            let (mut datagram, mut reply) = ([0; 2048], Vec::new());
            loop {
                let (length, from) = socket.recv_from(&mut datagram).await.unwrap();
                told.send(length).unwrap();
                responder.answer(clock.now(), from, &datagram[..length], &mut One, &mut reply);
                socket.send_to(&reply, from).await.unwrap();
            }
        });
        (port, lengths)
    }

    fn request(port: u16) -> AnnounceRequest {
        AnnounceRequest::new([1; 20], [2; 20], port)
    }

    #[tokio::test]
    async fn a_second_announce_within_a_minute_needs_no_second_id() {
        let (port, mut lengths) = tracker().await;
        let (client, url) = (UdpTrackers::new(Route::default()), format!("udp://127.0.0.1:{port}/announce"));
        for _ in 0..2 {
            let answer = client.announce(Reach::Any, &url, &request(6881), false).await.unwrap();
            assert_eq!(answer.interval, Duration::from_secs(7));
        }
        let seen: Vec<usize> = std::iter::from_fn(|| lengths.try_recv().ok()).collect();
        let announce = 98 + 2 + "/announce".len();
        assert_eq!(seen, [16, announce, announce]);
        let refused = client.announce(Reach::Any, &url, &request(1), false).await.unwrap_err();
        assert_eq!(refused.reason, "not served");
    }

    #[tokio::test]
    async fn figures_that_an_announce_lacks_are_asked_for_with_one_more_datagram() {
        let (port, mut lengths) = tracker().await;
        let (client, url) = (UdpTrackers::new(Route::default()), format!("udp://127.0.0.1:{port}"));
        let answer = client.announce(Reach::Any, &url, &request(6881), true).await.unwrap();
        assert_eq!((answer.downloaded, answer.lacks_figures()), (Some(0), false));
        let seen: Vec<usize> = std::iter::from_fn(|| lengths.try_recv().ok()).collect();
        assert_eq!(seen, [16, 98, 16 + 20]);
    }

    #[tokio::test]
    async fn where_nobody_listens_is_known_at_once() {
        let free = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let failed =
            UdpTrackers::new(Route::default()).announce(Reach::Any, &format!("udp://{free}"), &request(1), false).await;
        let reason = failed.unwrap_err().reason;
        assert!(reason.starts_with(&format!("ask {free} over UDP: ")), "{reason}");
    }

    #[tokio::test]
    async fn a_private_tracker_is_out_of_a_public_torrents_reach() {
        let (port, mut lengths) = tracker().await;
        for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"] {
            let url = format!("udp://{host}:{port}/");
            UdpTrackers::new(Route::default()).announce(Reach::Public, &url, &request(6881), false).await.unwrap_err();
        }
        assert!(lengths.try_recv().is_err());
    }

    #[tokio::test]
    async fn an_address_of_the_owners_choice_speaks_to_its_own_family_only() {
        let (port, _lengths) = tracker().await;
        let client = UdpTrackers::new(Route { bind: Some(Bind::Address(Ipv6Addr::LOCALHOST.into())), proxy: None });
        let failed = client.announce(Reach::Any, &format!("udp://127.0.0.1:{port}"), &request(1), false).await;
        assert_eq!(failed.unwrap_err().reason, "the tracker has no address");
    }
}
