//! The torrent clients of others, as our subscribers and publishers will meet them.
//!
//! Each runs on a host of the test's network, finds peers through the torrent's tracker alone and keeps its settings in
//! the test's folder. All are Debian packages: `transmission-cli`, `aria2`, `python3-libtorrent`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::net::Host;
use crate::process::{Line, PATIENCE, Program};

/// A torrent client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// aria2c.
    Aria2,
    /// libtorrent, under Python.
    Libtorrent,
    /// transmission-cli.
    Transmission,
}

/// What a client is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Leech,
    Seed,
}

impl Client {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Aria2, Self::Libtorrent, Self::Transmission];

    /// Downloads `torrent` into `folder` and returns when the client has checked every byte of it.
    #[track_caller]
    pub fn download(self, host: &Host, torrent: &Path, folder: &Path, limit: Duration) {
        let mut program = self.start(host, torrent, folder, Role::Leech);
        if self == Self::Aria2 {
            let ended = program.end(limit);
            assert_eq!(ended.code, Some(0), "aria2: {:?} {}", ended.lines, ended.stderr);
        } else {
            program.wait_for("seeding", limit, says_seeding);
            program.stop(limit);
        }
    }

    /// Seeds `torrent`, whose content lies in `folder`, until the program is dropped; returns when it seeds.
    #[track_caller]
    pub fn seed(self, host: &Host, torrent: &Path, folder: &Path) -> Program {
        let mut program = self.start(host, torrent, folder, Role::Seed);
        program.wait_for("seeding", PATIENCE, says_seeding);
        program
    }

    #[track_caller]
    fn start(self, host: &Host, torrent: &Path, folder: &Path, role: Role) -> Program {
        let command = match self {
            Self::Aria2 => {
                let mut command = host.command("aria2c");
                command.args(["--no-conf", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false"]);
                command.args(["--check-integrity=true", "--file-allocation=none"]);
                command.args(match role {
                    Role::Leech => ["--seed-time=0", "--summary-interval=0"],
                    Role::Seed => ["--seed-ratio=0.0", "--summary-interval=1"],
                });
                command.arg("--dir").arg(folder).arg(torrent);
                command
            }
            Self::Libtorrent => {
                let mut command = host.command(python_with_libtorrent());
                command.args(["-c", include_str!("clients/libtorrent_client.py")]).arg(torrent).arg(folder);
                command
            }
            Self::Transmission => {
                // uTP and the distributed hash table would only add time-outs; the rest are transmission's defaults.
                // A seed starts without memory of the download, or it believes that instead of looking at the files.
                let settings = folder.with_extension(format!("{role:?}"));
                fs::create_dir_all(&settings).expect("the test's folder is ours");
                let text = r#"{ "dht-enabled": false, "lpd-enabled": false, "utp-enabled": false }"#;
                fs::write(settings.join("settings.json"), text).expect("the test's folder is ours");
                // It writes its state to a pipe only when a buffer is full, unless told otherwise.
                let mut command = host.command("stdbuf");
                command.args(["-o0", "transmission-cli", "--no-portmap", "--config-dir"]).arg(settings);
                command.arg("--download-dir").arg(folder).arg(torrent);
                command
            }
        };
        Program::start(&format!("{self:?} on {}", host.name()), command)
    }
}

/// Whether a line of any of the clients says that everything is there and is given to others.
fn says_seeding(line: &Line) -> Option<()> {
    let text = line.text.to_lowercase();
    (text.starts_with("seeding") || text.contains(" seed(")).then_some(())
}

/// Debian's package belongs to Debian's Python, which need not be the first on the path.
fn python_with_libtorrent() -> &'static str {
    let has = |python: &&str| {
        let import = Command::new(python).args(["-c", "import libtorrent"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    ["/usr/bin/python3", "python3"].into_iter().find(has).expect("a Python has libtorrent: install python3-libtorrent")
}
