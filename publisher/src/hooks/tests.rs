//! Hooks that do, that fail, and that hang.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post as on_post;
use podswarm_core::app::hook::signature;
use tokio::net::TcpListener;

use super::*;

fn happening(event: Occasion) -> Happening {
    let disk = Disk { path: "/srv".to_owned(), available: 1, reserve: 2 };
    Happening { event, at: DateTime::UNIX_EPOCH, show: None, episode: None, disk: Some(disk) }
}

#[test]
fn a_program_that_reads_no_json_is_told_by_variables() {
    let told = happening(Occasion::DiskLow);
    let want = [("PODPUB_EVENT", "disk-low"), ("PODPUB_DISK", "/srv"), ("PODPUB_FREE", "1")];
    assert_eq!(told.variables(), want.map(|(name, value)| (name, value.to_owned())));
    assert!(told.json().starts_with(b"{\"event\":\"disk-low\""), "{:?}", told.json());
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
    let http = HttpClient::new(Reach::Any, USER_AGENT, &Route::default()).unwrap();
    let waits = || VecDeque::from([Duration::from_millis(1); 2]);
    let tell = async |url: &str| {
        let told = happening(Occasion::Published);
        post(&http, url, Some("key"), &told, Duration::from_mins(1), waits()).await
    };
    let (url, heard) = server(&[503, 429]).await;
    tell(&url).await.unwrap();
    let heard = heard.lock().unwrap().clone();
    assert_eq!(heard.len(), 3);
    for (headers, body) in &heard {
        assert_eq!(headers["x-hub-signature-256"], signature(b"key", body));
        assert_eq!(headers["x-podswarm-delivery"], heard[0].0["x-podswarm-delivery"], "it is one and the same");
        assert_eq!(headers["content-type"], "application/json");
    }
    let (url, heard) = server(&[410]).await;
    assert!(tell(&url).await.unwrap_err().contains("410"));
    assert_eq!(heard.lock().unwrap().len(), 1, "who says no is not asked again");
    let (url, heard) = server(&[500; 9]).await;
    assert!(tell(&url).await.unwrap_err().contains("500"));
    assert_eq!(heard.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn who_tells_never_waits_and_what_was_too_much_is_a_failure() {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let hook = r#"{ on = ["published"], run = ["tail", "-f", "/dev/null"] }"#.parse().unwrap();
    let hooks = Hooks::start(vec![hook], &Route::default(), &tasks, &stop).unwrap();
    assert!(hooks.want(Occasion::Published) && !hooks.want(Occasion::Withdrawn));
    for _ in 0..2 * QUEUE {
        hooks.tell(happening(Occasion::Published));
        hooks.tell(happening(Occasion::Withdrawn));
    }
    let status = hooks.status().remove(0);
    assert!(status.failed >= QUEUE as u64 - 1, "{status:?}");
    stop.cancel();
    tasks.close();
    tasks.wait().await;
}
