//! Reads a publisher's stream of server-sent events for as long as it lasts.

use std::sync::Arc;
use std::time::Duration;

use podswarm_core::net::http::HttpError;
use podswarm_core::witness::{self, Offer, Question};

use super::kit::Kit;
use crate::address::reach_of_links;
use crate::agent::{Input, StreamNews};
use crate::records::FeedId;
use crate::sse::Parser;

/// A host that has no stream after all is asked again after this long.
const NO_STREAM: Duration = Duration::from_mins(15);

/// Why a stream ended.
enum End {
    /// The connection, or what came over it.
    Lost(Option<Duration>),
    /// The host has no stream there.
    Refused,
}

/// One connection to an event stream.
pub(super) struct Listener {
    pub(super) kit: Arc<Kit>,
    pub(super) feed: FeedId,
    pub(super) serial: u64,
    pub(super) url: String,
    pub(super) last_event_id: Option<String>,
    pub(super) is_local: bool,
    /// How long we do not connect back yet.
    pub(super) rest: Duration,
}

impl Listener {
    /// Reads the stream, tells the agent of each event, and at last that it is lost.
    pub(super) async fn listen(self) {
        let retry = match self.read().await {
            End::Lost(retry) => retry,
            End::Refused => Some(NO_STREAM),
        };
        self.tell(StreamNews::Lost { retry }).await;
    }

    async fn tell(&self, news: StreamNews) {
        self.kit.tell(Input::Stream { feed: self.feed, serial: self.serial, news }).await;
    }

    async fn read(&self) -> End {
        let url = &self.url;
        let mut response = match self.open().await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!(%url, %error, "the event stream cannot be opened");
                return End::Lost(None);
            }
        };
        let status = response.status();
        let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        let is_stream = content_type.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/event-stream"));
        if status.as_u16() != 200 || !is_stream {
            tracing::debug!(%url, status = status.as_u16(), content_type, "no event stream there");
            return if status.is_server_error() { End::Lost(None) } else { End::Refused };
        }
        self.tell(StreamNews::Open).await;
        let mut parser = Parser::new(self.last_event_id.clone());
        loop {
            // The client gives up a connection on which nothing has come for a minute.
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return End::Lost(parser.retry()),
                Err(error) => {
                    tracing::debug!(%url, %error, "the event stream broke off");
                    return End::Lost(parser.retry());
                }
            };
            if let Err(error) = parser.handle(&chunk) {
                tracing::warn!(%url, %error, "the event stream is given up");
                return End::Refused;
            }
            let mut has_news = false;
            while let Some(event) = parser.poll() {
                if event.kind != witness::EVENT {
                    has_news = true;
                } else if let Ok(Question { nonce }) = serde_json::from_str(&event.data) {
                    self.tell(StreamNews::Asked { nonce }).await;
                }
            }
            if has_news {
                // What is new is in the feed: an event only says when to look.
                self.tell(StreamNews::Event { last_id: parser.last_id().map(str::to_owned) }).await;
            }
        }
    }

    async fn open(&self) -> Result<reqwest::Response, HttpError> {
        let mut headers = vec![("accept", "text/event-stream"), ("cache-control", "no-store")];
        headers.extend(self.last_event_id.as_deref().map(|id| ("last-event-id", id)));
        // One in our own network need not be asked about from outside.
        let offer = self.kit.offer(self.feed).filter(|_| !self.is_local);
        let offer = offer.map(|offer| Offer { rest: self.rest, ..offer }.to_string());
        headers.extend(offer.as_deref().map(|offer| (witness::OFFER, offer)));
        self.kit.http(reach_of_links(self.is_local)).stream(&self.url, &headers).await
    }
}
