//! Does what the owner wants when an episode is there: a program is started, a server is told.

use std::ffi::OsString;
use std::sync::Arc;

use axum::body::Bytes;
use podswarm_core::app::hook::{Action, Delivery, Undelivered, post, run};
use podswarm_core::net::http::Reach;
use serde::Serialize;
use sha1::{Digest as _, Sha1};

use super::kit::Kit;
use crate::agent::{Arrival, Input};
use crate::rules::Hook;

/// What hooks are told of.
const EVENT: &str = "complete";

/// An arrival as hooks read it.
#[derive(Serialize)]
struct Told<'a> {
    event: &'static str,
    #[serde(flatten)]
    arrival: &'a Arrival,
}

/// Does it, and tells the agent what came of it. Ended, with whatever it has started, when the hub ends.
pub(super) async fn perform(kit: Arc<Kit>, serial: u64, hook: Hook, arrival: Box<Arrival>) {
    let body = Bytes::from(json(&arrival));
    let outcome = match &hook.action {
        Action::Run(words) => run(words, variables(&arrival), &body, hook.time).await.map_err(Undelivered::ForGood),
        Action::Post { url, secret } => {
            let delivery = Delivery { event: EVENT, id: &number(&arrival), body: &body };
            // The owner typed where to: it may be at home.
            post(kit.http(Reach::Any), url.as_str(), secret.as_deref(), &delivery, hook.time).await
        }
    };
    kit.tell(Input::Hooked { serial, outcome }).await;
}

fn json(arrival: &Arrival) -> Vec<u8> {
    serde_json::to_vec(&Told { event: EVENT, arrival }).expect("an arrival has a JSON form")
}

/// What came, for a program that reads no JSON.
fn variables(arrival: &Arrival) -> [(&'static str, OsString); 7] {
    // What feeds say may hold what no variable can.
    let text = |text: &str| OsString::from(text.replace('\0', ""));
    let Arrival { show, feed, episode, path, .. } = arrival;
    [
        ("PODSUB_EVENT", text(EVENT)),
        ("PODSUB_PATH", path.clone().into_os_string()),
        ("PODSUB_SHOW", text(show)),
        ("PODSUB_FEED", text(feed)),
        ("PODSUB_TITLE", text(&episode.title)),
        ("PODSUB_GUID", text(&episode.guid)),
        ("PODSUB_EPISODE", text(&episode.id.to_string())),
    ]
}

/// Tells one arrival from all others, the same each time that it is told.
fn number(arrival: &Arrival) -> String {
    let Arrival { feed, episode, at, .. } = arrival;
    let digest: [u8; 20] = Sha1::digest(format!("{feed}\n{}\n{}", episode.guid, at.to_rfc3339())).into();
    format!("{:032x}", u128::from_be_bytes(*digest.first_chunk().expect("20 bytes have a first 16")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::event::About;
    use crate::agent::testing::wall;
    use crate::records::{EpisodeId, FeedId};

    #[test]
    fn a_hook_is_told_all_that_is_known_whatever_the_feed_says() {
        let id = EpisodeId { feed: FeedId(1), number: 7 };
        let about = About { id, guid: "g\0".to_owned(), title: "$(rm -rf) \"\n--x".to_owned(), info_hash: None };
        let arrival = Arrival {
            at: wall(0),
            show: "Night Walks".to_owned(),
            feed: "http://host.example/feed.xml".to_owned(),
            episode: about,
            published: None,
            path: "/library/Night Walks/a.mp3".into(),
            length: 7,
        };
        let told: serde_json::Value = serde_json::from_slice(&json(&arrival)).unwrap();
        assert_eq!((&told["event"], &told["id"], &told["guid"]), (&"complete".into(), &"1/7".into(), &"g\0".into()));
        assert_eq!((&told["path"], &told["length"]), (&"/library/Night Walks/a.mp3".into(), &7.into()));
        let variables = variables(&arrival);
        assert!(variables.contains(&("PODSUB_TITLE", "$(rm -rf) \"\n--x".into())));
        assert!(variables.contains(&("PODSUB_GUID", "g".into())));
        assert_eq!(number(&arrival), number(&arrival.clone()));
        assert_ne!(number(&arrival), number(&Arrival { at: wall(1), ..arrival.clone() }));
    }
}
