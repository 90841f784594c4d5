//! The terminal view, driven by its keys in a real terminal.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use podswarm_tests::audio::{Format, long_episode};
use podswarm_tests::files::scratch;
use podswarm_tests::net::Net;
use podswarm_tests::process::{PATIENCE, Program};
use podswarm_tests::programs::{Publisher, await_status, podsub, podsub_on};
use podswarm_tests::terminal::Terminal;
use rustix::process::{Pid, Signal, kill_process};

/// Keeps what the terminal shows, for people to look at.
#[track_caller]
fn keep(screen: &str, name: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screens");
    std::fs::create_dir_all(&folder).expect("the target folder is ours");
    std::fs::write(folder.join(format!("{name}.txt")), screen).expect("the disk has room");
}

#[test]
fn the_terminal_view_shows_a_download_changes_it_by_keys_and_gives_the_terminal_back() {
    let (folder, mut net) = (scratch(), Net::new());
    let (home, listener) = (net.host("publisher"), net.host("listener"));
    let publisher = Publisher::serve(&home, &folder.path().join("podpub"), None);
    let audio = long_episode(Format::Mp3);
    let feed = publisher.publish(&audio.path).feed;
    let data = folder.path().join("podsub");
    // A player that writes down what it is to play, and plays until it is stopped.
    let (player, heard) = (folder.path().join("player"), folder.path().join("heard"));
    std::fs::write(&player, format!("#!/bin/sh\necho \"$1\" >{}\nexec tail -f /dev/null\n", heard.display()))
        .and_then(|()| std::fs::set_permissions(&player, std::fs::Permissions::from_mode(0o755)))
        .expect("the disk has room");

    let terminal = Terminal::open(&listener, folder.path(), 80, 24);
    let top = format!("{} top --player {} --data-dir {}", podsub().display(), player.display(), data.display());
    terminal.write_line(&format!("{top}; echo ended with $?"));
    terminal.wait_for("the word that no agent runs", |screen| screen.contains("No agent runs on"));

    let agent = || {
        let mut command = podsub_on(&listener, &[]);
        command.args(["run", "--json", "--down", "300KiB/s", "--data-dir"]).arg(&data).arg(&feed);
        let mut agent = Program::start("podsub run", command);
        agent.wait_for("the web listener", PATIENCE, |line| (line.json()["kind"] == "web").then_some(()));
        agent
    };
    let running = agent();
    let title = &audio.title;
    let shows_all = |screen: &str| {
        ["limits ↓ 300 KiB/s ↑ none", "pieces ▕", "Podswarm 0.1.0", title, " %"].iter().all(|it| screen.contains(it))
    };
    let narrow = terminal.wait_for("the download with its peer", shows_all);
    assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
    keep(&narrow, "top-80x24");
    assert!(terminal.coloured_screen().contains("38;5;2"), "there are colours");
    terminal.press("?");
    keep(&terminal.wait_for("the keys", |screen| screen.contains("leave; the agent goes on")), "top-help");
    terminal.press("x");
    terminal.resize(200, 60);
    let is_wide = |screen: &str| screen.contains("1 Feeds") && screen.contains("RECEIVED") && shows_all(screen);
    keep(&terminal.wait_for("all panes", is_wide), "top-200x60");
    terminal.resize(60, 16);
    keep(&terminal.wait_for("one pane", |screen| !screen.contains("1 Feeds") && screen.contains("DONE")), "top-60x16");
    terminal.resize(80, 24);

    terminal.press("Space");
    terminal.wait_for("the pause", |screen| screen.contains("‖") && screen.contains("paused"));
    assert!(await_status(&listener, &data, |it| it["downloads"][0]["is_paused"] == true).is_object());
    terminal.press("Space");
    terminal.wait_for("its end", |screen| screen.contains("goes on") && screen.contains("↓ "));
    terminal.press("d");
    terminal.write_line("350KiB/s");
    terminal.wait_for("the other limit", |screen| screen.contains("limits ↓ 350 KiB/s ↑ none"));
    // What is wrong is refused in the one line that there is, and mended.
    terminal.press("u");
    terminal.wait_for("the prompt", |screen| screen.contains("upload limit, such as 500KiB/s, or none:"));
    terminal.write_line("40");
    let refusal = "`40` is no limit; want one such as 2MiB/s, 10Mbit/s or none";
    keep(&terminal.wait_for("the refusal", |screen| screen.contains(refusal)), "top-refusal");
    terminal.write_line("KiB/s");
    terminal.wait_for("both limits", |screen| screen.contains("limits ↓ 350 KiB/s ↑ 40 KiB/s"));
    terminal.press("p");
    terminal.wait_for("the player", |screen| screen.contains(&format!("playing {title}")) && heard.exists());
    let url = std::fs::read_to_string(&heard).expect("it was written");
    assert!(url.starts_with("http://127.0.0.1:") && url.contains("/media/1/1/"), "{url}");
    terminal.press("p");
    terminal.wait_for("silence", |screen| !screen.contains("playing"));
    terminal.press("/");
    terminal.write_line("no such letters");
    terminal.wait_for("nothing", |screen| screen.contains("nothing has these letters"));
    terminal.press("Escape");
    terminal.wait_for("everything", |screen| screen.contains("1 of 1"));

    assert_eq!(running.stop(PATIENCE).code, Some(0));
    keep(&terminal.wait_for("its end", |screen| screen.contains("The agent is gone. No agent runs on")), "top-gone");
    let running = agent();
    terminal.wait_for("the agent again", |screen| screen.contains("1 of 1"));
    terminal.press("q");
    let is_back = |screen: &str| screen.contains("ended with 0") && !screen.contains("1 of 1");
    terminal.wait_for("the shell", is_back);
    // What is typed is seen again.
    terminal.write("typed and not run");
    terminal.wait_for("what is typed", |screen| screen.contains("ready$ typed and not run"));
    terminal.press("C-u");

    // A signal ends it as well; without colours it has none.
    terminal.write_line(&format!("NO_COLOR=1 sh -c 'echo $$ >{}/pid; exec {top}'; stty -a", folder.path().display()));
    terminal.wait_for("the view", |screen| screen.contains("1 of 1"));
    let coloured = terminal.coloured_screen();
    assert!(!coloured.contains("38;5;"), "{coloured}");
    let pid = std::fs::read_to_string(folder.path().join("pid")).expect("it was written");
    let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a number");
    kill_process(pid, Signal::TERM).expect("it runs");
    let is_sane = |screen: &str| screen.contains("ready$") && screen.contains(" echo ") && screen.contains(" icanon ");
    terminal.wait_for("a terminal as it was", is_sane);
    assert_eq!(running.stop(PATIENCE).code, Some(0));
}

#[test]
fn where_there_is_no_terminal_the_view_says_so() {
    let (folder, host) = (scratch(), Net::new().host("alone"));
    let mut command = podsub_on(&host, &[]);
    command.args(["top", "--data-dir"]).arg(folder.path());
    let ended = Program::start("podsub top", command).end(PATIENCE);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.lines.is_empty() && ended.stderr.contains("podsub status --json"), "{}", ended.stderr);
}
