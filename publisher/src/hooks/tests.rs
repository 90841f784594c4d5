//! Hooks that do, that fail, and that hang.

use std::collections::VecDeque;
use std::iter::repeat_n;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post as on_post;
use bytes::Bytes;
use chrono::TimeDelta;
use podswarm_core::app::hook::signature;
use tokio::net::TcpListener;

use super::*;

fn happening(event: Occasion) -> Happening {
    let disk = Disk { path: "/srv".to_owned(), available: 1, reserve: 2 };
    Happening { event, at: DateTime::UNIX_EPOCH, show: None, episode: None, disk: Some(disk) }
}

/// The first of what a server is told.
fn delivery() -> DeliveryRecord {
    let (told, id) = (happening(Occasion::Published), Uuid::from_u128(7));
    DeliveryRecord { receiver: "it".into(), number: 0, id, event: told.event, at: Utc::now(), body: told.json() }
}

fn client() -> HttpClient {
    HttpClient::new(Reach::Any, USER_AGENT, &Route::default()).unwrap()
}

#[test]
fn a_program_that_reads_no_json_is_told_by_variables() {
    let told = happening(Occasion::DiskLow);
    let want = [("PODPUB_EVENT", "disk-low"), ("PODPUB_DISK", "/srv"), ("PODPUB_FREE", "1")];
    assert_eq!(told.variables(), want.map(|(name, value)| (name, value.to_owned())));
    assert!(told.json().starts_with("{\"event\":\"disk-low\""), "{:?}", told.json());
}

/// A server that answers with these statuses in turn, and keeps what it was sent.
async fn server(statuses: &[u16]) -> (String, Arc<Mutex<Vec<(HeaderMap, Bytes)>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let (keep, mut statuses) = (Arc::clone(&heard), VecDeque::from(statuses.to_vec()));
    let next = Arc::new(Mutex::new(move || statuses.pop_front().unwrap_or(200)));
    let answer = move |headers: HeaderMap, body: Bytes| async move {
        keep.lock().unwrap().push((headers, body));
        StatusCode::from_u16((next.lock().unwrap())()).unwrap()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", on_post(answer))).await });
    (url, heard)
}

#[tokio::test]
async fn a_server_is_told_signed_and_again_while_that_may_help() {
    let http = client();
    let tell = async |url: &str, delivery: &DeliveryRecord| {
        let url = &url.parse().unwrap();
        let server = Server { http: &http, url, secret: Some("key"), time: Duration::from_mins(1) };
        let stumbled = Mutex::new(Vec::new());
        let waits = repeat_n(Duration::from_millis(1), 9);
        let done = server.deliver(delivery, waits, |error| stumbled.lock().unwrap().push(error.to_owned())).await;
        (done, stumbled.into_inner().unwrap())
    };
    let (url, heard) = server(&[503, 429]).await;
    let (done, stumbled) = tell(&url, &delivery()).await;
    assert_eq!(
        (done, stumbled),
        (Ok(()), ["the server answers 503", "the server answers 429"].map(String::from).into())
    );
    let heard = heard.lock().unwrap().clone();
    assert_eq!(heard.len(), 3);
    for (headers, body) in &heard {
        assert_eq!(headers["x-hub-signature-256"], signature(b"key", body));
        assert_eq!(headers["x-podswarm-delivery"], delivery().id.to_string(), "it is one and the same");
        assert_eq!(headers["content-type"], "application/json");
    }
    let (url, heard) = server(&[410]).await;
    let refused = tell(&url, &delivery()).await.0.unwrap_err();
    assert!(refused.contains("410") && refused.contains(&delivery().id.to_string()), "{refused}");
    assert_eq!(heard.lock().unwrap().len(), 1, "who says no is not asked again");
    // What is too old is tried once, since the publisher may have been away all the time.
    let old = DeliveryRecord { at: Utc::now() - TimeDelta::days(3), ..delivery() };
    let (url, heard) = server(&[500, 200]).await;
    let given_up = tell(&url, &old).await.0.unwrap_err();
    assert!(given_up.contains("after 3 days") && given_up.contains("500"), "{given_up}");
    assert_eq!(heard.lock().unwrap().len(), 1);
}

/// Hooks at work, until they are ended.
struct AtWork {
    hooks: Hooks,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl AtWork {
    async fn start(hooks: &[&str], store: &Store) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let hooks = hooks.iter().map(|hook| hook.parse().unwrap()).collect();
        let hooks = Hooks::start(hooks, store, &Route::default(), &tasks, &stop).await.unwrap();
        Self { hooks, tasks, stop }
    }

    async fn end(self) -> Hooks {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.hooks
    }
}

#[tokio::test]
async fn who_tells_never_waits_and_what_was_too_much_is_a_failure() {
    let hook = r#"{ on = ["published"], run = ["tail", "-f", "/dev/null"] }"#;
    let work = AtWork::start(&[hook], &Store::in_memory()).await;
    assert!(work.hooks.wanted().has(Occasion::Published) && !work.hooks.wanted().has(Occasion::Withdrawn));
    for _ in 0..2 * QUEUE {
        work.hooks.tell(happening(Occasion::Published)).await;
        work.hooks.tell(happening(Occasion::Withdrawn)).await;
    }
    let status = work.hooks.status().remove(0);
    assert!(status.failed >= QUEUE as u64 - 1, "{status:?}");
    assert_eq!(status.failed + status.waiting, 2 * QUEUE as u64, "{status:?}");
    work.end().await;
}

/// The occasions and the ids that a server was told of, in order.
fn told(heard: &Mutex<Vec<(HeaderMap, Bytes)>>) -> Vec<[String; 2]> {
    let names = ["x-podswarm-event", "x-podswarm-delivery"];
    let heard = heard.lock().unwrap();
    heard.iter().map(|(headers, _)| names.map(|name| headers[name].to_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn what_a_server_has_not_taken_is_sent_after_a_restart_in_order() {
    let store = Store::in_memory();
    let (url, heard) = server(&[]).await;
    // Two hooks of one server get what is theirs, and programs are told nothing twice.
    let hooks = [
        format!(r#"{{ on = ["published", "withdrawn"], url = "{url}" }}"#),
        format!(r#"{{ on = ["replaced"], url = "{url}" }}"#),
        r#"{ on = ["published"], run = ["true"] }"#.to_owned(),
    ];
    let hooks = hooks.each_ref().map(String::as_str);
    let away = AtWork::start(&hooks, &store).await.end().await;
    for event in [Occasion::Published, Occasion::Replaced, Occasion::Withdrawn] {
        away.tell(happening(event)).await;
    }
    assert_eq!(store.scan::<DeliveryRecord>("").unwrap().len(), 3, "those of servers");

    let work = AtWork::start(&hooks, &store).await;
    while work.hooks.status().iter().any(|status| status.waiting > 0) {
        tokio::task::yield_now().await;
    }
    let done: Vec<_> = work.hooks.status().iter().map(|status| (status.done, status.failed)).collect();
    assert_eq!(done, [(2, 0), (1, 0), (0, 0)]);
    let told = told(&heard);
    let place = |event: &str| told.iter().position(|[told, _]| told == event).unwrap();
    assert!(told.len() == 3 && place("published") < place("withdrawn"), "{told:?}");
    assert!(store.scan::<DeliveryRecord>("").unwrap().is_empty(), "nothing is sent again");
    work.end().await;
}

#[tokio::test]
async fn what_no_hook_wants_any_more_is_kept_for_three_days() {
    let store = Store::in_memory();
    let old = DeliveryRecord { number: 1, at: Utc::now() - TimeDelta::days(4), ..delivery() };
    store.batch(|batch| [delivery(), old].iter().for_each(|delivery| batch.put(delivery))).unwrap();
    let work = AtWork::start(&[], &store).await;
    let kept = store.scan::<DeliveryRecord>("").unwrap();
    assert_eq!(kept.iter().map(|delivery| delivery.number).collect::<Vec<_>>(), [0]);
    work.end().await;
}
