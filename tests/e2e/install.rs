//! How the programs come onto a machine and stay there: completions, man pages, packages, services, upgrades.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;

use podswarm_tests::audio::sample;
use podswarm_tests::files::{files_below, scratch};
use podswarm_tests::machine::Machine;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{Ended, PATIENCE, Program};
use podswarm_tests::programs::{open_only, podpub, podpub_on, podsub, podsub_on};
use podswarm_tests::terminal::Terminal;
use serde_json::Value;

/// Runs a program of this machine and returns what it printed.
#[track_caller]
fn output(program: impl AsRef<Path>, args: &[&str]) -> String {
    let program = program.as_ref();
    let name = program.display();
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{name}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {args:?}: {said}");
    String::from_utf8(output.stdout).expect("the program writes text")
}

#[test]
fn shells_complete_commands_and_flags() {
    let folder = scratch();
    let path = folder.path().join("completions");
    let complete = |shell: &str, script: &str| output(shell, &["-c", script, path.to_str().expect("it is text")]);
    for (program, words, wanted) in [
        (podpub(), "podpub pub", "publish"),
        (podpub(), "podpub torrent cr", "create"),
        (podpub(), "podpub serve --trusted", "--trusted-proxy"),
        (podsub(), "podsub pla", "play"),
        (podsub(), "podsub run --lib", "--library"),
    ] {
        let name = words.split(' ').next().expect("it begins with the program");
        fs::write(&path, output(&program, &["completions", "bash"])).expect("the folder is ours");
        let bash = format!(
            "source \"$0\"; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _{name} {name} \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        assert!(complete("bash", &bash).lines().any(|line| line == wanted), "bash: {words}");
        fs::write(&path, output(&program, &["completions", "fish"])).expect("the folder is ours");
        let fish = format!("source \"{}\"; complete -C '{words}'", path.display());
        assert!(complete("fish", &fish).lines().any(|line| line.split('\t').next() == Some(wanted)), "fish: {words}");
        let zsh = output(&program, &["completions", "zsh"]);
        assert!(zsh.contains(wanted), "zsh: {words}");
        fs::write(&path, zsh).expect("the folder is ours");
        output("zsh", &["-n", path.to_str().expect("it is text")]);
    }
}

#[test]
fn every_command_has_a_man_page_that_is_well_formed() {
    for program in [podpub(), podsub()] {
        let folder = scratch();
        let pages = folder.path().join("man1");
        output(&program, &["man", pages.to_str().expect("it is text")]);
        let name = program.file_name().and_then(|name| name.to_str()).expect("it is text").to_owned();
        let help = output(&program, &["--help"]);
        let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
        // What a command does may take several lines, which begin further in.
        let commands = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let commands: Vec<_> = commands.filter_map(|line| line.split_whitespace().next()).collect();
        assert!(commands.len() > 15, "{help}");
        for command in commands.iter().filter(|command| **command != "help") {
            assert!(pages.join(format!("{name}-{command}.1")).exists(), "{command}");
        }
        for page in files_below(&pages) {
            let page = page.to_str().expect("it is text");
            output("mandoc", &["-T", "lint", "-W", "error", page]);
            let read = output("man", &["--local-file", "--warnings", page]);
            assert!(read.contains("SYNOPSIS") && read.contains("Podswarm"), "{page}: {read}");
        }
        let first = fs::read_to_string(pages.join(format!("{name}.1"))).expect("it is there");
        assert_eq!(output(&program, &["man"]).trim_end(), first.trim_end());
    }
}

#[test]
fn a_wrong_configuration_file_stands_not_in_the_way_of_the_manual() {
    let folder = scratch();
    fs::write(folder.path().join("config.toml"), "nonsense").expect("the folder is ours");
    let data = folder.path().to_str().expect("it is text");
    for program in [podpub(), podsub()] {
        output(&program, &["man", "--data-dir", data]);
        output(&program, &["completions", "--data-dir", data, "bash"]);
    }
}

/// A service manager that only listens.
struct Manager(UnixDatagram, PathBuf);

impl Manager {
    fn new(folder: &Path) -> Self {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).expect("the folder is ours");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time is a time");
        Self(socket, path)
    }

    /// Waits until something is told that has a line like this.
    #[track_caller]
    fn await_line(&self, wanted: &str) {
        let mut buffer = [0; 4096];
        loop {
            let length = self.0.recv(&mut buffer).unwrap_or_else(|error| panic!("{wanted} is not told: {error}"));
            let told = String::from_utf8_lossy(&buffer[..length]);
            if told.lines().any(|line| line.starts_with(wanted)) {
                return;
            }
        }
    }
}

#[test]
fn a_service_manager_is_told_that_a_daemon_is_ready_lives_and_stops() {
    for (program, args) in
        [(podpub(), ["serve", "--listen", "127.0.0.1:0"]), (podsub(), ["run", "--web", "127.0.0.1:0"])]
    {
        let (folder, host) = (scratch(), Net::new().host("home"));
        let manager = Manager::new(folder.path());
        let mut command = host.command(program);
        open_only(&mut command, &[]);
        command.env("NOTIFY_SOCKET", &manager.1).env("WATCHDOG_USEC", "200000");
        command.args(args).args(["--json", "--peer-port", "0", "--data-dir"]).arg(folder.path().join("data"));
        let daemon = Program::start(args[0], command);
        manager.await_line("READY=1");
        for _ in 0..3 {
            manager.await_line("WATCHDOG=1");
        }
        assert_eq!(daemon.stop(PATIENCE).code, Some(0));
        manager.await_line("STOPPING=1");
    }
}

#[test]
fn the_first_process_of_a_container_is_ended_by_what_ends_any_other() {
    let (folder, host) = (scratch(), Net::new().host("home"));
    let silent = host.within(|| TcpListener::bind((host.v4(), 0))).expect("a host has free ports");
    let feed = format!("http://{}/feed.xml", silent.local_addr().expect("it listens"));
    let terminal = Terminal::open(&host, folder.path(), 120, 30);
    let (podsub, data) = (podsub(), folder.path().join("podsub"));
    let add = format!("{} add --data-dir {} {feed}", podsub.display(), data.display());
    terminal.write_line(&format!("clear; unshare --pid --fork {add}; echo ended with $?"));
    let _waits = silent.accept().expect("it asks for the feed");
    terminal.press("C-c");
    terminal.wait_for("its end", |screen| screen.contains("ended with 130"));
}

#[test]
fn what_cannot_become_a_service_is_refused_with_the_way_out() {
    let (folder, host) = (scratch(), Net::new().host("home"));
    let refused = |args: &[&str]| {
        let mut command = podpub_on(&host, &[]);
        command.arg("service").args(args);
        let Ended { code, stderr, .. } = Program::start("podpub service", command).end(PATIENCE);
        (code, stderr)
    };
    let (code, said) = refused(&["install", "--root", folder.path().join("nowhere").to_str().expect("it is text")]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("nowhere"), "{said}");
    let (code, said) = refused(&["install", "--data-dir", "/tmp/somewhere", "--writable", "/srv"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("hint: "), "{said}");
    let (code, said) = refused(&["install", "--user", "--writable", "/srv"]);
    assert_eq!(code, Some(2), "{said}");
    let (code, said) = refused(&["uninstall"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("podpub is no service here"), "{said}");
}

/// The packages, made of the programs under test.
#[track_caller]
fn packages(folder: &Path) -> Vec<PathBuf> {
    let binaries = podpub().parent().expect("it lies in a folder").to_owned();
    podsub();
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/deb"));
    command.arg(binaries).arg(folder).env("DEB_COMPRESS", "-Zgzip -z1");
    let ended = Program::start("packaging/deb", command).end(5 * PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let mut packages = files_below(folder);
    packages.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    assert_eq!(packages.len(), 2, "{packages:?}");
    packages
}

#[test]
fn packages_bring_services_that_a_real_systemd_runs_and_leave_what_people_have() {
    let folder = scratch();
    let given = folder.path().join("given");
    fs::create_dir(&given).expect("the folder is ours");
    for package in packages(&given) {
        let path = package.to_str().expect("it is text");
        let contents = output("dpkg-deb", &["--contents", path]);
        for wanted in [
            "/usr/lib/systemd/system/",
            "/usr/lib/systemd/user/",
            "/usr/lib/sysusers.d/",
            "/man1/",
            "/bash-completion/",
            "/copyright",
        ] {
            assert!(contents.contains(wanted), "{wanted} in {contents}");
        }
        output("lintian", &["--fail-on", "error", "--allow-root", path]);
    }
    fs::copy(sample(), given.join("hello.mp3")).expect("the folder is ours");
    let root = folder.path().join("machine");
    fs::create_dir(&root).expect("the folder is ours");
    let host = Net::new().host("home");
    let Some(machine) = Machine::boot(&host, &root, &given) else { return };

    machine.run("dpkg --install /given/*.deb");
    machine.run("id podpub && id podsub");
    for unit in ["podpub", "podsub"] {
        machine.run(&format!("systemd-analyze verify --man=no /usr/lib/systemd/system/{unit}.service"));
        machine.run(&format!(
            "XDG_RUNTIME_DIR=/run systemd-analyze verify --man=no --user /usr/lib/systemd/user/{unit}.service"
        ));
        machine.run(&format!(
            "systemd-analyze security --offline=true --threshold=20 /usr/lib/systemd/system/{unit}.service"
        ));
    }
    assert!(machine.run("podpub service status").contains("inactive (dead), does not start with the machine"));
    publish_as_a_service(&machine);
    listen_as_a_service(&machine);
    take_the_services_back(&machine);
    as_a_service_of_a_user(&machine);
}

/// Has podpub run, and root publish an episode that the service may not read.
#[track_caller]
fn publish_as_a_service(machine: &Machine) {
    machine
        .run("mkdir -p /var/lib/podpub; printf 'no_port_map = true\\nno_dht = true\\n' >/var/lib/podpub/config.toml");
    let told = machine.run("podpub service install");
    assert!(told.contains("/usr/lib/systemd/system/podpub.service"), "the package's unit is used: {told}");
    let status: Value = json(&machine.run("podpub service status --json"));
    assert_eq!((status["state"].as_str(), status["enabled"].as_str()), (Some("active (running)"), Some("enabled")));
    assert!(status["status"].as_str().is_some_and(|text| text.starts_with("serves at http://")), "{status}");
    machine.run("install -m 600 /given/hello.mp3 $HOME/hello.mp3");
    let published = json(&machine.run("podpub --data-dir /var/lib/podpub --json publish $HOME/hello.mp3"));
    assert_eq!(published["event"], "published");
    let owner = "test \"$(find /var/lib/podpub -not -user podpub -not -name config.toml)\" = ''";
    machine.run(owner);
    let status = machine.run("podpub --data-dir /var/lib/podpub status");
    assert!(status.contains("log: journalctl -u podpub") && status.contains("data: /var/lib/podpub, "), "{status}");
    // Root opens nothing of the service's itself.
    machine.run("systemctl stop podpub");
    let refused = machine.try_run("podpub --data-dir /var/lib/podpub shows");
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("belongs to user"), "{}", refused.stderr);
    machine.run(owner);
    machine.run("systemctl start podpub");
}

/// Has podsub fetch the episode.
#[track_caller]
fn listen_as_a_service(machine: &Machine) {
    machine.run("podsub service install");
    let shows = json(&machine.run("podpub --data-dir /var/lib/podpub --json shows"));
    let feed = shows["feed"].as_str().expect("a show has a feed").to_owned();
    machine.run(&format!("podsub --data-dir /var/lib/podsub add {feed}"));
    machine.run("podsub --data-dir /var/lib/podsub run --once");
    machine.run("cmp /given/hello.mp3 /var/lib/podsub/library/*/*.mp3");
}

#[track_caller]
fn take_the_services_back(machine: &Machine) {
    let told = machine.run("podsub service uninstall");
    assert!(told.contains("kept     /var/lib/podsub/library  the episodes"), "{told}");
    let told = machine.run("podpub service uninstall");
    assert!(told.contains("kept     /var/lib/podpub/keys  the shows' keys"), "{told}");
    machine.run("! systemctl is-active podpub && ! systemctl is-enabled podpub");
    machine.run("dpkg --purge podpub podsub");
    machine.run("test ! -e /usr/lib/systemd/system/podpub.service && test ! -e /usr/bin/podpub");
    machine.run("test -s /var/lib/podpub/media/*/*.mp3 && test -s /var/lib/podpub/keys/*.ed25519");
}

/// Has systemd run podsub for one user, of a program that no package brought.
#[track_caller]
fn as_a_service_of_a_user(machine: &Machine) {
    let user = "export HOME=/srv/ann XDG_RUNTIME_DIR=/run/ann;";
    machine.run(
        "dpkg-deb --extract /given/podsub_*.deb /srv/ann; install -d -m 700 /run/ann; \
         systemd-run --quiet --unit=manager --property=Delegate=yes --property=Type=notify --property=NotifyAccess=all \
         --setenv=HOME=/srv/ann --setenv=XDG_RUNTIME_DIR=/run/ann /lib/systemd/systemd --user",
    );
    let podsub = "/srv/ann/usr/bin/podsub";
    let told = machine.run(&format!("{user} {podsub} service install --user"));
    assert!(told.contains("/srv/ann/.config/systemd/user/podsub.service"), "{told}");
    let status = json(&machine.run(&format!("{user} {podsub} service status --user --json")));
    assert_eq!((status["state"].as_str(), status["enabled"].as_str()), (Some("active (running)"), Some("enabled")));
    let status = machine.run(&format!("{user} {podsub} status"));
    assert!(status.contains("journalctl --user -u podsub"), "{status}");
    let told = machine.run(&format!("{user} {podsub} service uninstall --user"));
    assert!(told.contains("removed  /srv/ann/.config/systemd/user/podsub.service"), "{told}");
    machine.run("test -d /srv/ann/.local/share/podsub/journal");
}

#[track_caller]
fn json(text: &str) -> Value {
    serde_json::from_str(text.lines().last().unwrap_or_default()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Every file below `folder` with its bytes, but for the lock, which names who held it last.
fn all_bytes(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = files_below(folder).into_iter().filter(|path| !path.ends_with("daemon.lock"));
    files.map(|path| (path.clone(), fs::read(path).expect("the folder is ours"))).collect()
}

#[test]
fn a_state_of_an_older_version_is_copied_and_one_of_a_newer_is_left_alone() {
    let host = Net::new().host("home");
    for (name, command, fill) in [
        ("podpub", podpub_on as fn(&Host, &[_]) -> Command, vec!["init", "--title", "Night Walks"]),
        ("podsub", podsub_on, vec!["feeds"]),
    ] {
        let folder = scratch();
        let data = folder.path().join("data");
        let run = |args: &[&str]| {
            let mut command = command(&host, &[]);
            command.args(args).arg("--data-dir").arg(&data);
            Program::start(name, command).end(PATIENCE)
        };
        let filled = run(&fill);
        assert_eq!(filled.code, Some(0), "{}", filled.stderr);
        let path = data.join("state.json");
        let state: Value = serde_json::from_slice(&fs::read(&path).expect("it is written")).expect("it is JSON");
        let with = |version: &str, of_episodes: u64| {
            let mut state = state.clone();
            state["program"] = format!("{name} {version}").into();
            state["records"]["episode"] = of_episodes.into();
            fs::write(&path, state.to_string()).expect("the folder is ours");
        };

        with("9.9.9", 200);
        let before = all_bytes(&data);
        let listing = if name == "podpub" { "shows" } else { "feeds" };
        let refused = run(&[listing]);
        assert_ne!(refused.code, Some(0));
        for wanted in [&format!("was left by {name} 9.9.9, which is newer")[..], "hint: run the newer program"] {
            assert!(refused.stderr.contains(wanted), "{wanted}: {}", refused.stderr);
        }
        assert_eq!(all_bytes(&data), before, "nothing is touched");

        with("0.0.9", 0);
        let taken = run(&[listing]);
        assert_eq!(taken.code, Some(0), "{}", taken.stderr);
        assert!(taken.stderr.contains(&format!("the state of {name} 0.0.9 was copied to")), "{}", taken.stderr);
        let copies = data.join("before-upgrade");
        let copy = fs::read_dir(&copies).expect("it is there").next().expect("there is one").expect("it reads");
        assert!(copy.file_name().to_string_lossy().ends_with(&format!(" {name} 0.0.9")), "{copy:?}");
        assert!(copy.path().join("journal").is_dir() && copy.path().join("index").is_dir(), "{copy:?}");
        let again = run(&[listing]);
        assert!(!again.stderr.contains("copied"), "{}", again.stderr);
        assert_eq!(fs::read_dir(&copies).expect("it is there").count(), 1);
    }
}
