//! A block list that is changed while the agent runs.

use std::fs;

use podswarm_tests::audio::{Format, long_episode};
use podswarm_tests::files::{assert_same_bytes, scratch};
use podswarm_tests::net::Net;
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, await_status, complete, podsub_on};

#[test]
fn a_list_that_changes_holds_for_those_who_are_here_and_a_broken_one_changes_nothing() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, listener] = ["publisher", "listener"].map(|name| net.host(name));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), Some(home.v4()));
    let episode = long_episode(Format::Mp3).path;
    let release = publisher.publish(&episode);
    let (list, data) = (folder.path().join("blocked.txt"), folder.path().join("agent"));
    let write = |text: &str| fs::write(&list, text).expect("the test's folder is ours");
    write("# nobody yet\n");
    let mut command = podsub_on(&listener, &[]);
    command.args(["run", "--json", "--no-web-seeds", "--down", "1MB/s", "--blocklist"]).arg(&list);
    command.arg("--data-dir").arg(&data).arg(&release.feed);
    let mut agent = Program::start("podsub run", command);
    let peers = |status: &serde_json::Value| status["downloads"][0]["transfer"]["peers"].as_u64();
    await_status(&listener, &data, |status| peers(status) == Some(1));
    write("nobody knows\nwhat this is\n");
    let status = await_status(&listener, &data, |status| !status["blocklist"]["error"].is_null());
    assert_eq!((status["blocklist"]["ranges"].as_u64(), peers(&status)), (Some(0), Some(1)), "{status}");
    assert_eq!(status["blocklist"]["error"], "none of its 2 lines names an address");
    write("the publisher's network:198.18.0.0-198.18.255.255\n");
    let status =
        await_status(&listener, &data, |status| status["blocklist"]["ranges"] == 1 && peers(status) == Some(0));
    assert!(status["blocklist"]["error"].is_null(), "{status}");
    write("# nobody any more\n");
    let (_, file) = complete(&mut agent, PATIENCE);
    assert_same_bytes(&episode, &file);
}
