//! What the tracker tells of a swarm, in the agent's status.

use podswarm_tests::audio::{Format, long_episode};
use podswarm_tests::files::scratch;
use podswarm_tests::net::Net;
use podswarm_tests::process::Program;
use podswarm_tests::programs::{Publisher, await_status, podsub_on};

#[test]
fn status_tells_of_seeds_peers_and_downloads_as_the_tracker_does() {
    // A tracker over UDP is asked for downloads by itself; one over HTTP tells of them with its answer.
    for flags in [&[][..], &["--no-udp-tracker"]] {
        let (folder, mut net) = (scratch(), Net::new());
        let [home, listener] = ["publisher", "listener"].map(|name| net.host(name));
        let publisher = Publisher::serve_with(&home, &folder.path().join("podpub"), Some(home.v4()), flags);
        let release = publisher.publish(&long_episode(Format::Mp3).path);
        let data = folder.path().join("agent");
        let mut command = podsub_on(&listener, &[]);
        command
            .args(["run", "--json", "--no-web-seeds", "--down", "300kB/s", "--data-dir"])
            .arg(&data)
            .arg(&release.feed);
        let _agent = Program::start("podsub run", command);
        let of = |status: &serde_json::Value| status["downloads"][0]["transfer"]["tracker"].clone();
        let status = await_status(&listener, &data, |status| !of(status)["downloads"].is_null());
        assert_eq!(of(&status), serde_json::json!({ "seeds": 1, "peers": 1, "downloads": 0 }), "{flags:?}");
    }
}
