//! Hooks that do, that fail, and that hang.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post as on_post;
use tokio::net::TcpListener;

use super::*;

fn happening(event: Occasion) -> Happening {
    let disk = Disk { path: "/srv".to_owned(), available: 1, reserve: 2 };
    Happening { event, at: DateTime::UNIX_EPOCH, show: None, episode: None, disk: Some(disk) }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn a_signature_is_that_of_rfc_4231() {
    // Its second test case.
    let want = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(signature(b"Jefe", b"what do ya want for nothing?"), want);
}

#[tokio::test]
async fn a_program_is_told_by_its_input_and_its_variables() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("told");
    let script = "read line; echo \"$PODPUB_EVENT $PODPUB_FREE $1 $line\" > \"$0\"";
    let program = words(&["sh", "-c", script, file.to_str().unwrap(), "a b; exit 1"]);
    run(&program, &happening(Occasion::DiskLow), Duration::from_mins(1)).await.unwrap();
    let told = std::fs::read_to_string(file).unwrap();
    assert!(told.starts_with("disk-low 1 a b; exit 1 {\"event\":\"disk-low\""), "{told}");
}

#[tokio::test]
async fn a_program_that_fails_or_is_not_there_is_told() {
    let failed = run(&words(&["false"]), &happening(Occasion::Published), Duration::from_mins(1)).await.unwrap_err();
    assert!(failed.contains("exit status: 1"), "{failed}");
    let missing = run(&words(&["/nowhere/x"]), &happening(Occasion::Published), Duration::from_mins(1)).await;
    assert!(missing.unwrap_err().contains("cannot be started"));
}

#[tokio::test]
async fn a_program_that_hangs_is_ended_with_what_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // The inner one holds the pipe until it ends.
    let program =
        words(&["sh", "-c", "sh -c 'exec 3>\"$0\"; tail -f /dev/null' \"$0\" & wait", pipe.to_str().unwrap()]);
    let reader = tokio::task::spawn_blocking(move || std::fs::read(pipe).unwrap());
    let error = run(&program, &happening(Occasion::Published), Duration::from_millis(300)).await.unwrap_err();
    assert!(error.contains("was ended"), "{error}");
    assert_eq!(reader.await.unwrap(), b"", "the pipe has no writer any more");
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
