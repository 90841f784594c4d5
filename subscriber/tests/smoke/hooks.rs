//! What is done when an episode is there: programs that are started, a server that is told, an agent that is killed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use podswarm_core::app::hook::signature;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{Agent, Host, PATIENCE, bytes, done, folder, json_lines, output};

/// A server whose first answer is 503, and what it was sent.
async fn server() -> (String, mpsc::Receiver<(HeaderMap, Bytes)>) {
    let (tell, heard) = mpsc::channel(16);
    let was_asked = Arc::new(AtomicBool::new(false));
    let answer = move |headers: HeaderMap, body: Bytes| async move {
        tell.send((headers, body)).await.expect("the test goes on");
        let is_ready = was_asked.swap(true, Ordering::Relaxed);
        if is_ready { StatusCode::NO_CONTENT } else { StatusCode::SERVICE_UNAVAILABLE }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("http://{}/secret-path", listener.local_addr().expect("it is bound"));
    let app = Router::new().route("/secret-path", post(answer));
    tokio::spawn(axum::serve(listener, app).into_future());
    (url, heard)
}

fn configure(dir: &Path, config: &str) {
    std::fs::create_dir_all(dir.join("data")).expect("the folder is ours");
    std::fs::write(dir.join("data/config.toml"), config).expect("the folder is ours");
}

/// How the next `count` hooks ended, by what they are.
async fn ends(agent: &mut Agent, count: usize) -> Vec<Value> {
    let mut ends = Vec::new();
    let search = async {
        while ends.len() < count {
            let line = agent.lines.next_line().await.expect("it prints text").expect("the agent goes on");
            let event: Value = serde_json::from_str(&line).expect("every line is JSON");
            if event["hook"].is_string() {
                ends.push(event);
            }
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("hooks end");
    ends.sort_by_key(|event| event["hook"].to_string());
    ends
}

fn fifo(path: PathBuf) -> PathBuf {
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo starts").success());
    path
}

/// What somebody writes into a pipe, or takes from it.
async fn through(pipe: &Path, text: Option<&'static str>) -> String {
    let pipe = pipe.to_owned();
    let work = tokio::task::spawn_blocking(move || match text {
        Some(text) => std::fs::write(pipe, text).map(|()| String::new()),
        None => std::fs::read_to_string(pipe),
    });
    let ended = tokio::time::timeout(PATIENCE, work).await.expect("somebody is at the other end");
    ended.expect("it ends").expect("it is a pipe")
}

#[tokio::test]
async fn programs_and_servers_are_told_of_an_episode_and_one_that_hangs_delays_nothing() {
    let (host, dir, (url, mut heard)) = (Host::start().await, folder(), server().await);
    let told = dir.path().join("told");
    configure(
        dir.path(),
        &format!(
            "[[on_complete]]\nrun = ['sh', '-c', 'echo \"$PODSUB_TITLE|$PODSUB_SHOW|$PODSUB_PATH|$MALLOC_ARENA_MAX\" >> \"$0\"', '{}']\n\
             [[on_complete]]\nrun = ['tail', '-f', '/dev/null']\ntime = 1\n\
             [[on_complete]]\nurl = '{url}'\nsecret = 'key'\n",
            told.display()
        ),
    );
    host.put("one.mp3", bytes(40_000, 1));
    host.release("g1", "One $(touch x) \"two\"", "/media/one.mp3");
    let mut agent = Agent::start(dir.path(), &[&host.url("/feed.xml")]);
    let complete = agent.wait_for("complete").await;
    let ended = ends(&mut agent, 3).await;
    let names: Vec<_> = ended.iter().map(|it| (it["hook"].as_str(), it["event"].as_str())).collect();
    let server = url.split(':').take(2).collect::<Vec<_>>().join(":");
    let want = [("`sh`", "hook_done"), ("`tail`", "hook_failed"), (&*server, "hook_done")];
    assert_eq!(names, want.map(|(hook, event)| (Some(hook), Some(event))));
    assert!(ended[1]["reason"].as_str().is_some_and(|reason| reason.contains("was ended")), "{}", ended[1]);
    // In one heap is the agent; what it starts may have as many as it likes.
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let agent = agent.child.id().expect("it runs");
        let own = std::fs::read_to_string(format!("/proc/{agent}/environ")).expect("it is ours");
        assert!(own.split('\0').any(|variable| variable == "MALLOC_ARENA_MAX=1"), "{own}");
    }
    let line = format!("One $(touch x) \"two\"|Night Walks|{}|\n", complete["path"].as_str().expect("a path"));
    assert_eq!(std::fs::read_to_string(&told).expect("it was told"), line);
    assert!(!dir.path().join("x").exists(), "no shell has read it");
    let status = done(&output(dir.path(), &["status"]).await);
    assert!(status.contains("hook       `tail`: 1 given up, the last: "), "{status}");
    assert!(!status.contains("hook       `sh`") && !status.contains("waiting"), "{status}");

    let (first, second) = (heard.recv().await.expect("told"), heard.recv().await.expect("told again"));
    assert_eq!((&first.1, &first.0["x-podswarm-delivery"]), (&second.1, &second.0["x-podswarm-delivery"]));
    assert_eq!(second.0["x-hub-signature-256"], signature(b"key", &second.1));
    let body: Value = serde_json::from_slice(&second.1).expect("JSON");
    assert_eq!((&body["event"], &body["guid"], &body["path"]), (&"complete".into(), &"g1".into(), &complete["path"]));

    // A feed may have others, or none; nobody is shown their secrets.
    let hook = format!("{{ url = \"{url}\", secret = \"hidden\" }}");
    let edited = done(&output(dir.path(), &["edit", "night", "--on-complete", &hook]).await);
    assert!(edited.contains(&format!("on complete {server}")), "{edited}");
    let shown = done(&output(dir.path(), &["--json", "feeds"]).await) + &edited;
    assert!(!shown.contains("secret-path") && !shown.contains("hidden"), "{shown}");
    done(&output(dir.path(), &["edit", "night", "--on-complete", "none"]).await);
    host.put("two.mp3", bytes(40_000, 2));
    host.release("g2", "Two", "/media/two.mp3");
    done(&output(dir.path(), &["update"]).await);
    agent.wait_for("complete").await;
    assert_eq!(agent.stop().await, 0);
    assert_eq!(std::fs::read_to_string(&told).expect("it was told"), line);
}

#[tokio::test]
async fn what_was_cut_short_is_done_again_and_what_was_done_is_not() {
    let (host, dir) = (Host::start().await, folder());
    let [begun, go] = ["begun", "go"].map(|name| fifo(dir.path().join(name)));
    let log = dir.path().join("log");
    let script = "echo $PODSUB_GUID > begun; read word < go; echo $word >> log";
    configure(dir.path(), &format!("on_complete = {{ run = ['sh', '-c', '{script}'], time = 600 }}\n"));
    host.put("one.mp3", bytes(40_000, 1));
    host.release("g1", "One", "/media/one.mp3");
    let mut agent = Agent::start(dir.path(), &[&host.url("/feed.xml")]);
    assert_eq!(through(&begun, None).await, "g1\n");
    agent.child.kill().await.expect("it runs");
    // What it had started goes on without it.
    through(&go, Some("first\n")).await;

    let mut agent = Agent::start(dir.path(), &[]);
    assert_eq!(through(&begun, None).await, "g1\n");
    through(&go, Some("second\n")).await;
    assert_eq!(ends(&mut agent, 1).await[0]["event"], "hook_done");
    assert_eq!(agent.stop().await, 0);
    let mut lines: Vec<_> = std::fs::read_to_string(&log).expect("it was written").lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["first", "second"]);

    // A run that ends waits for its hooks, and has none to do that are done.
    configure(dir.path(), "on_complete = { run = ['sh', '-c', 'echo $PODSUB_GUID >> log'] }\n");
    host.put("two.mp3", bytes(40_000, 2));
    host.release("g2", "Two", "/media/two.mp3");
    let ran = json_lines(&done(&output(dir.path(), &["--json", "run", "--once", "--peer-port", "0"]).await));
    assert_eq!(ran.iter().filter(|event| event["event"] == "hook_done").count(), 1, "{ran:?}");
    assert!(std::fs::read_to_string(&log).expect("it was written").ends_with("g2\n"));
}

#[tokio::test]
async fn a_hook_that_means_nothing_is_refused_before_anything_happens() {
    let dir = folder();
    for (hook, part) in [
        ("notify-send", "string"),
        ("{ run = \"a b\" }", "sequence"),
        ("{ url = \"ftp://host.example/\" }", "want http or https"),
    ] {
        let refused = output(dir.path(), &["add", "http://host.example/", "--on-complete", hook]).await;
        let stderr = String::from_utf8_lossy(&refused.stderr);
        assert!(refused.status.code() == Some(2) && stderr.contains(part), "{hook}: {stderr}");
    }
}
