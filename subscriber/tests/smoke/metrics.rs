//! What an agent tells those who watch over it.

use std::collections::BTreeMap;

use podswarm_core::app::metrics::samples;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rests::fetched;
use super::{Agent, bytes, done, folder, output};

/// Asks `addr` for `path` by the name `host`; gives the head and the body.
async fn ask(addr: &str, path: &str, host: &str) -> (String, String) {
    let mut stream = TcpStream::connect(addr).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers with text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("it speaks HTTP");
    (head.to_owned(), body.to_owned())
}

async fn scrape(addr: &str) -> BTreeMap<String, f64> {
    let (head, body) = ask(addr, "/metrics", addr).await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
    samples(&body).unwrap_or_else(|fault| panic!("{fault} in {body}"))
}

#[tokio::test]
async fn an_agent_is_watched_over_at_an_address_of_its_own() {
    let (there, here) = (folder(), folder());
    // An episode of 60,000 bytes came by an earlier run, and is seeded.
    let host = fetched(there.path(), here.path()).await;
    let mut agent = Agent::start(here.path(), &["--metrics", "0", "--quota", "1GB"]);
    let addr = loop {
        let event = agent.wait_for("listening").await;
        if event["kind"] == "metrics" {
            break event["addr"].as_str().expect("an address").to_owned();
        }
    };
    assert!(addr.starts_with("127.0.0.1:"), "{addr}");
    let before = scrape(&addr).await;
    host.put("two.mp3", bytes(50_000, 2));
    host.release("g2", "Two", "/media/two.mp3");
    done(&output(here.path(), &["update"]).await);
    agent.wait_for("complete").await;

    let after = scrape(&addr).await;
    assert!(before.keys().eq(after.keys()), "there are always the same");
    let check = |series: &str, want: f64| {
        let got = after.get(series).unwrap_or_else(|| panic!("no {series} in {after:?}"));
        assert!((got - want).abs() < f64::EPSILON, "{series} is {got}; want {want}");
    };
    for (series, want) in [
        ("podsub_feeds{state=\"polled\"}", 1.0),
        ("podsub_episodes{state=\"complete\"}", 2.0),
        ("podsub_episodes{state=\"wanted\"}", 0.0),
        ("podsub_polls_total{outcome=\"changed\"}", 1.0),
        ("podsub_downloads_total", 1.0),
        ("podsub_received_bytes_total{from=\"http\"}", 50_000.0),
        ("podsub_received_bytes_total{from=\"peers\"}", 0.0),
        ("podsub_library_bytes", 110_000.0),
        ("podsub_quota_bytes", 1e9),
        ("podsub_healthy", 1.0),
    ] {
        check(series, want);
    }
    assert!(after["podsub_disk_free_bytes"] > 0.0 && after["podsub_polls_received_bytes_total"] > 0.0, "{after:?}");
    assert!(ask(&addr, "/healthz", &addr).await.0.starts_with("HTTP/1.1 200"));
    // A page in a browser that has its own name lead here is told nothing.
    for path in ["/metrics", "/healthz"] {
        assert!(ask(&addr, path, "attacker.example").await.0.starts_with("HTTP/1.1 403"), "{path}");
    }
    assert_eq!(agent.stop().await, 0);
    let refused = output(here.path(), &["run", "--metrics", "everywhere"]).await;
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && stderr.contains("want IP:PORT, or a port of this machine"), "{stderr}");
}
