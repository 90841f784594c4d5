//! What an owner has done when something happens: programs that are started, a server that is told, a hook that hangs.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::Instant;

use podswarm_tests::audio::short_episode;
use podswarm_tests::figure;
use podswarm_tests::files::scratch;
use podswarm_tests::net::Net;
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, agent, complete};
use podswarm_tests::web::Request;
use serde_json::Value;

/// Answers one request with `status`, and returns it with its body.
#[track_caller]
fn answer(server: &TcpListener, status: &str) -> (Told, Value) {
    let request = Request::accept(server);
    let header = |name: &str| request.header(name).map(str::to_owned);
    let told = [header("x-podswarm-delivery"), header("x-hub-signature-256")];
    let body = serde_json::from_slice(&request.body).expect("the body is JSON");
    request.answer(status, "");
    assert!(told.iter().all(Option::is_some), "{told:?}");
    (told, body)
}

/// What a server knows again by: the id of a delivery, and its signature.
type Told = [Option<String>; 2];

#[test]
fn a_server_that_was_down_is_told_in_order_after_the_publisher_was_killed() {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let data = folder.path().join("podpub");
    let listen = |addr: &str| home.within(|| TcpListener::bind(addr)).expect("the host has this port");
    let server = listen("127.0.0.1:0");
    let addr = server.local_addr().expect("it listens").to_string();
    let config = format!("[[hook]]\non = ['published', 'withdrawn']\nurl = 'http://{addr}/'\nsecret = 'key'\n");
    fs::create_dir_all(&data).expect("the folder is ours");
    fs::write(data.join("config.toml"), config).expect("the folder is ours");

    // It stumbles over the first, and then is not there.
    let publisher = Publisher::serve(&home, &data, None);
    let (first, second) = (short_episode("One"), short_episode("Two"));
    let first = publisher.publish(&first.path);
    let (tried, body) = answer(&server, "500 Internal Server Error");
    drop(server);
    let second = publisher.publish(&second.path);
    let status = publisher
        .await_status(|status| status["hooks"][0]["waiting"] == 2 && status["hooks"][0]["trouble"].is_string());
    let hook = &status["hooks"][0];
    assert!(hook["done"] == 0 && hook["failed"] == 0, "{hook}");
    publisher.program.kill();

    let server = listen(&addr);
    let publisher = Publisher::serve(&home, &data, None);
    let (again, same) = answer(&server, "204 No Content");
    assert_eq!(same, body);
    assert_eq!(again, tried);
    let (later, body) = answer(&server, "204 No Content");
    assert_ne!(later[0], again[0]);
    assert_eq!([&same["episode"]["guid"], &body["episode"]["guid"]], [&first.guid, &second.guid].map(String::as_str));
    publisher.await_status(|status| status["hooks"][0]["waiting"] == 0 && status["hooks"][0]["done"] == 2);
    publisher.program.kill();

    // What was taken is not sent again: the next that comes is news.
    let publisher = Publisher::serve(&home, &data, None);
    let mut command = publisher.command("unpublish");
    command.arg(&first.guid);
    assert_eq!(Program::start("unpublish", command).end(PATIENCE).code, Some(0));
    let (_, body) = answer(&server, "204 No Content");
    assert_eq!(body["event"], "withdrawn");
}

#[test]
fn hooks_are_done_and_one_that_hangs_delays_nothing() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, away] = ["publisher", "subscriber"].map(|name| net.host(name));
    let data = folder.path().join("podpub");
    let (told, server) = (folder.path().join("told"), home.within(|| TcpListener::bind("127.0.0.1:0")));
    let server = server.expect("loopback has ports");
    assert!(Command::new("mkfifo").arg(&told).status().expect("mkfifo starts").success());
    let config = format!(
        "[[hook]]\non = ['published', 'replaced', 'withdrawn']\nrun = ['sh', '-c', 'echo \"$PODPUB_EVENT $PODPUB_TITLE\" > \"$0\"', \
         '{}']\n[[hook]]\non = ['published']\nrun = ['tail', '-f', '/dev/null']\ntime = 2\n[[hook]]\non = ['first-copy']\n\
         url = 'http://{}/secret-path'\nsecret = 'key'\n",
        told.display(),
        server.local_addr().expect("it listens")
    );
    fs::create_dir_all(&data).expect("the folder is ours");
    fs::write(data.join("config.toml"), config).expect("the folder is ours");
    let publisher = Publisher::serve(&home, &data, None);
    let told = || fs::read_to_string(&told).expect("the hook writes");

    let started = Instant::now();
    let audio = short_episode("To Be Told; $(of)");
    let release = publisher.publish(&audio.path);
    figure(&format!("an episode was published in {:.2?} beside a hook that hangs", started.elapsed()));
    assert_eq!(told(), format!("published {}\n", audio.title));

    // A server that stumbles is told again, and the same.
    let mut listener = agent(&away, &folder.path().join("podsub"), &release.feed);
    complete(&mut listener, PATIENCE);
    let (first, _) = answer(&server, "503 Service Unavailable");
    let (second, body) = answer(&server, "204 No Content");
    assert_eq!((&body["event"], &body["episode"]["guid"]), (&"first-copy".into(), &release.guid.as_str().into()));
    assert_eq!(first, second);

    let run = |name: &str, args: &[&str]| {
        let mut command = publisher.command(name);
        command.args(args);
        assert_eq!(Program::start(name, command).end(PATIENCE).code, Some(0));
    };
    run("replace", &[&audio.title, short_episode("Another Word").path.to_str().expect("paths are text")]);
    assert_eq!(told(), format!("replaced {}\n", audio.title));
    run("unpublish", &[&audio.title]);
    assert_eq!(told(), format!("withdrawn {}\n", audio.title));

    // The one that hung was ended, and that is told; the owner's secrets are not.
    let status = publisher.await_status(|status| status["hooks"][1]["failed"] == 1 && status["hooks"][2]["done"] == 1);
    assert!(!status.to_string().contains("secret-path"), "{status}");
    let hooks = &status["hooks"];
    assert!(hooks[1]["last_failure"]["error"].as_str().is_some_and(|error| error.contains("was ended")), "{hooks}");
}
