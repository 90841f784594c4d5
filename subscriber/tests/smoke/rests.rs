//! When nothing is seeded, as a listener sees it.

use std::path::Path;

use serde_json::Value;

use super::{Agent, Host, bytes, done, folder, json_lines, magnet_seed, output};

/// A show with an episode that comes by torrent, fetched to `here`.
pub(super) async fn fetched(there: &Path, here: &Path) -> Host {
    let host = Host::start().await;
    let (_seed, link) = magnet_seed(there, &bytes(60_000, 5), &[]).await;
    host.state.inner().items = format!(
        r#"<item><guid>g1</guid><title>One</title><pubDate>Fri, 20 Nov 2026 08:00:00 GMT</pubDate>
        <enclosure url="{}" length="60000" type="application/x-bittorrent"/></item>"#,
        link.replace('&', "&amp;")
    );
    done(&output(here, &["add", &host.url("/feed.xml")]).await);
    done(&output(here, &["run", "--once", "--peer-port", "0", "--bind", "127.0.0.1"]).await);
    host
}

pub(super) async fn status(dir: &Path) -> Value {
    json_lines(&done(&output(dir, &["--json", "status"]).await)).remove(0)
}

#[tokio::test]
async fn out_of_its_hours_nothing_is_seeded_and_everything_fetched() {
    let (there, here) = (folder(), folder());
    let host = fetched(there.path(), here.path()).await;
    host.put("two.mp3", bytes(50_000, 2));
    let mut resting = 0;
    // Whatever the time is, it is not that minute in both.
    for (number, zone) in ["UTC", "Asia/Tokyo"].into_iter().enumerate() {
        let mut agent = Agent::start(here.path(), &["--seed-at", "mon 03:00-03:01", "--timezone", zone]);
        agent.wait_for("listening").await;
        let status = status(here.path()).await;
        if let Some(reason) = status["rests"].as_str() {
            resting += 1;
            assert!(reason.starts_with("its hours (--seed-at) begin again "), "{reason}");
            assert_eq!(status["seeding"]["torrents"], 0);
            let said = done(&output(here.path(), &["status"]).await);
            assert!(said.contains(&format!("nothing now: {reason}")), "{said}");
            host.release(&format!("new{number}"), "Two", &format!("/media/two.mp3?{number}"));
            done(&output(here.path(), &["update"]).await);
            agent.wait_for("complete").await;
        }
        assert_eq!(agent.stop().await, 0);
    }
    assert!(resting > 0);

    let mut agent =
        Agent::start(here.path(), &["--seed-at", "mon-thu 00:00-24:00", "--seed-at", "fri-sun 00:00-24:00"]);
    agent.wait_for("listening").await;
    assert_eq!(status(here.path()).await["rests"], Value::Null);
    assert_eq!(agent.stop().await, 0);

    let refused = output(here.path(), &["run", "--seed-at", "22:00"]).await;
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr.contains("`22:00` are no hours; want some like `22:00-07:00`"), "{stderr}");
}
