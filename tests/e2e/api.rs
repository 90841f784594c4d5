//! The control API holds what its own description says: schemathesis asks whatever that allows, and what it forbids.

use std::path::Path;
use std::time::Duration;

use podswarm_tests::audio::short_episode;
use podswarm_tests::figure;
use podswarm_tests::files::scratch;
use podswarm_tests::http;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::Publisher;
use serde_json::Value;

/// It asks some thousand times, one after another.
const LIMIT: Duration = Duration::from_mins(4);

/// What is not there, such as an episode of another name, is 404; what is understood and cannot be done, such as a show
/// that is there already, 422; what no disk holds 413.
const CHECKS: &str = r#"
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 403, 404, 409, 413, 422, 429]
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 409, 413, 415, 422, 429]
"#;

/// A token of an owner.
fn token(publisher: &Publisher, name: &str) -> String {
    let mut command = publisher.command("token");
    command.args(["add", name, "--role", "owner"]);
    let ended = Program::start("podpub token", command).end(PATIENCE);
    let made: Value = ended.lines.last().expect("a token is told").json();
    made["token"].as_str().expect("a token is text").to_owned()
}

/// Has schemathesis ask what `which` leaves, and gives its summary.
#[track_caller]
fn ask(host: &Host, folder: &Path, publisher: &Publisher, token: &str, which: [&str; 2]) -> String {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = tests.join("../target/schemathesis/bin/schemathesis");
    assert!(program.is_file(), "`tests/run schemathesis` installs it");
    let config = format!("hooks = '{}'\n{CHECKS}", tests.join("e2e/api.py").display());
    let path = folder.join("schemathesis.toml");
    std::fs::write(&path, config).expect("the folder is ours");
    let mut command = host.command(&program);
    command.current_dir(folder).arg("--config-file").arg(&path).arg("run");
    command.arg(format!("http://127.0.0.1:{}/api/v1/openapi.json", publisher.http_port));
    command.args(["--header", &format!("Authorization: Bearer {token}"), "--no-color", "--continue-on-failure"]);
    command.args(["--seed", "1", "--max-examples", "12", "--generation-database", "none"]).args(which);
    let ended = Program::start("schemathesis", command).end(LIMIT);
    let said: Vec<&str> = ended.lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(ended.code, Some(0), "{}\n{}", said.join("\n"), ended.stderr);
    said.join("\n")
}

#[test]
fn no_call_fails_lets_in_who_has_no_token_or_answers_what_is_not_described() {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    for title in ["One", "Two"] {
        publisher.publish(&short_episode(title).path);
    }
    // It would learn its own token's name from a list, and revoke it.
    let summary =
        ask(&home, folder.path(), &publisher, &token(&publisher, "probe"), ["--exclude-operation-id", "revoke_token"]);
    let cases = summary.lines().find(|line| line.contains(" generated")).unwrap_or_default().trim();
    figure(&format!("the control API against its description: {cases}"));
    ask(&home, folder.path(), &publisher, &token(&publisher, "revoker"), ["--include-operation-id", "revoke_token"]);
    assert_eq!(publisher.full_status()["serving"], true, "the publisher is well");
}

#[test]
fn the_description_is_whole() {
    let (folder, mut net) = (scratch(), Net::new());
    let home = net.host("publisher");
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let base = format!("http://127.0.0.1:{}/api/v1", publisher.http_port);
    let text: Value =
        serde_json::from_slice(&http::get(&home, &format!("{base}/openapi.json"), &[]).body).expect("it is JSON");
    let paths = text["paths"].as_object().expect("it has paths");
    let mut open = Vec::new();
    for (path, item) in paths {
        for (method, call) in item.as_object().expect("a path has methods") {
            let at = format!("{method} {path}");
            assert!(call["summary"].is_string(), "{at} says what it does");
            if call["security"].is_array() {
                open.push(at);
                continue;
            }
            assert!(["read-only", "editor", "owner"].contains(&call["tags"][0].as_str().unwrap_or_default()), "{at}");
            for status in ["401", "403", "422", "429"] {
                assert!(call["responses"][status].is_object(), "{at} tells of {status}");
            }
            // Whoever names something may name what is not there.
            let names = call["parameters"].as_array().into_iter().flatten().any(|value| value["name"] == "show");
            assert!(!names || call["responses"]["404"].is_object(), "{at} tells of 404");
            for value in call["parameters"].as_array().into_iter().flatten() {
                assert!(value["description"].is_string(), "{at}: {} is described", value["name"]);
            }
        }
    }
    assert_eq!(open, ["get /openapi.json"], "all else needs a token");
}
