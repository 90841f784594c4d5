//! Whether swarms are taken part in is asked once, in a real terminal.

use podswarm_tests::files::scratch;
use podswarm_tests::net::Net;
use podswarm_tests::programs::{await_status, podsub};
use podswarm_tests::terminal::Terminal;

#[test]
fn who_runs_it_in_a_terminal_is_asked_once_and_a_flag_beats_his_answer() {
    let (folder, host) = (scratch(), Net::new().host("alone"));
    let data = folder.path().join("podsub");
    let terminal = Terminal::open(&host, folder.path(), 120, 30);
    let run = format!("clear; {} run --data-dir {}", podsub().display(), data.display());
    terminal.write_line(&format!("{run}; echo ended with $?"));
    let asked = terminal.wait_for("the question", |screen| screen.contains("Take part in swarms?"));
    assert!(asked.contains("Others in a swarm see this machine's address"), "{asked}");
    assert!(!asked.contains("listening: peer"), "nothing is done before it is answered: {asked}");
    terminal.write_line("perhaps");
    terminal.wait_for("the question again", |screen| screen.contains("`perhaps` is neither yes nor no"));
    terminal.write_line("n");
    let runs = terminal.wait_for("the agent", |screen| screen.contains("`podsub web` opens the view"));
    assert!(runs.contains("No, for all feeds") && !runs.contains("listening: peer"), "{runs}");
    let status = await_status(&host, &data, |it| it["swarms"]["takes_part"] == false);
    assert_eq!((&status["swarms"]["decided_by"], &status["rules"]["http_only"]), (&"answer".into(), &"yes".into()));
    terminal.press("C-c");
    terminal.wait_for("its end", |screen| screen.contains("ended with 0"));

    terminal.write_line(&format!("{run}; echo ended again"));
    let is_new = |screen: &str| !screen.contains("ended with 0") && screen.contains("`podsub web` opens the view");
    let runs = terminal.wait_for("the agent", is_new);
    assert!(!runs.contains("swarm") && !runs.contains("listening: peer"), "it is not asked again: {runs}");
    terminal.press("C-c");
    terminal.wait_for("its end", |screen| screen.contains("ended again\n"));

    terminal.write_line(&format!("{run} --http-only=no"));
    let runs = terminal.wait_for("the port for peers", |screen| screen.contains("listening: peer"));
    assert!(!runs.contains("Take part in swarms?"), "{runs}");
    let status = await_status(&host, &data, |it| it["swarms"]["decided_by"] == "setting");
    assert_eq!(status["swarms"]["takes_part"], true);
    terminal.press("C-c");
    terminal.wait_for("its end", |screen| screen.contains("stopping") && screen.trim_end().ends_with("ready$"));
}
