//! The torrent clients of others, as our subscribers and publishers will meet them.
//!
//! Each runs on a host of the test's network, finds peers through the torrent's tracker alone and keeps its settings in
//! the test's folder. All are Debian packages, `transmission-cli`, `aria2` and `python3-libtorrent`, but rqbit, which is
//! a crate and only measured.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::net::Host;
use crate::process::{Line, PATIENCE, Program};

/// A torrent client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// aria2c.
    Aria2,
    /// libtorrent, under Python, as it comes.
    Libtorrent,
    /// libtorrent with the settings of those who want it fast: TCP alone, quick dials, many slots.
    LibtorrentTuned,
    /// libtorrent, taking 20 kB/s at most.
    LibtorrentSlow,
    /// rqbit.
    Rqbit,
    /// transmission-cli.
    Transmission,
    /// aria2c, encrypting everything and speaking to nobody else.
    Aria2Encrypted,
    /// libtorrent, the same.
    LibtorrentEncrypted,
    /// transmission-cli, the same.
    TransmissionEncrypted,
    /// transmission-cli with uTP, which it has by default.
    TransmissionUtp,
}

/// What a client is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Leech,
    /// Leeches, and says at once when it has become a seed.
    Join,
    Seed,
}

impl Client {
    /// Each of them, as it comes.
    pub const ALL: [Self; 3] = [Self::Aria2, Self::Libtorrent, Self::Transmission];

    /// Downloads `torrent`, a file or a magnet link, into `folder` and returns when the client has checked every byte of it.
    #[track_caller]
    pub fn download(self, host: &Host, torrent: &Path, folder: &Path, limit: Duration) {
        self.download_from(host, None, torrent, folder, limit);
    }

    /// The same, as a node of the distributed hash table that begins with `node`, if one is given.
    #[track_caller]
    pub fn download_from(self, host: &Host, node: Option<SocketAddr>, torrent: &Path, folder: &Path, limit: Duration) {
        let mut program = self.start(host, node, torrent, folder, Role::Leech);
        if matches!(self, Self::Aria2 | Self::Aria2Encrypted) {
            let ended = program.end(limit);
            assert_eq!(ended.code, Some(0), "aria2: {:?} {}", ended.lines, ended.stderr);
        } else {
            program.wait_for("seeding", limit, says_seeding);
            program.stop(limit);
        }
    }

    /// Downloads `torrent` into `folder` and goes on seeding it; [`Self::wait_seeding`] tells when it has all.
    #[track_caller]
    pub fn join(self, host: &Host, torrent: &Path, folder: &Path) -> Program {
        self.start(host, None, torrent, folder, Role::Join)
    }

    /// Seeds `torrents`, whose contents lie in `folder`, until the program is dropped.
    #[track_caller]
    pub fn seed_many(self, host: &Host, torrents: &[PathBuf], folder: &Path) -> Program {
        let command = match self {
            Self::Libtorrent | Self::LibtorrentTuned | Self::LibtorrentSlow | Self::LibtorrentEncrypted => {
                libtorrent(host, self, torrents, folder)
            }
            Self::Transmission => {
                let settings = folder.with_extension("transmission");
                let watched = folder.with_extension("torrents");
                fs::create_dir_all(&watched).expect("the test's folder is ours");
                for (torrent, number) in torrents.iter().zip(0..) {
                    fs::copy(torrent, watched.join(format!("{number}.torrent"))).expect("the test's folder is ours");
                }
                let mut command = host.command("transmission-daemon");
                command.args(["--foreground", "--no-dht", "--no-lpd", "--no-utp", "--no-portmap", "--config-dir"]);
                command.arg(settings).arg("--watch-dir").arg(watched).arg("--download-dir").arg(folder);
                command
            }
            Self::Aria2 | Self::Aria2Encrypted | Self::TransmissionEncrypted | Self::TransmissionUtp | Self::Rqbit => {
                panic!("{self:?} seeds few torrents at a time")
            }
        };
        Program::start(&format!("{self:?} on {}", host.name()), command)
    }

    /// Waits until a program has every byte, and returns when it had.
    #[track_caller]
    pub fn wait_seeding(program: &mut Program, limit: Duration) -> Instant {
        program.wait_for("seeding", limit, says_seeding).0
    }

    /// Seeds `torrent`, whose content lies in `folder`, until the program is dropped; returns when it seeds.
    #[track_caller]
    pub fn seed(self, host: &Host, torrent: &Path, folder: &Path) -> Program {
        self.seed_from(host, None, torrent, folder)
    }

    /// The same, as a node of the distributed hash table that begins with `node`, if one is given.
    #[track_caller]
    pub fn seed_from(self, host: &Host, node: Option<SocketAddr>, torrent: &Path, folder: &Path) -> Program {
        let mut program = self.start(host, node, torrent, folder, Role::Seed);
        program.wait_for("seeding", PATIENCE, says_seeding);
        program
    }

    #[track_caller]
    fn start(self, host: &Host, node: Option<SocketAddr>, torrent: &Path, folder: &Path, role: Role) -> Program {
        let command = match self {
            Self::Aria2 | Self::Aria2Encrypted => {
                let mut command = host.command("aria2c");
                // It asks trackers over UDP only with its table of the IPv4 hash table open, which stays empty here.
                command.args(["--no-conf", "--enable-dht=true", "--enable-dht6=false", "--bt-enable-lpd=false"]);
                if let Some(node) = node {
                    command.args(["--listen-port=6881", "--dht-listen-port=6881", "--dht-entry-point"]);
                    command.arg(node.to_string());
                }
                command.arg("--dht-file-path").arg(folder.with_extension("dht"));
                command.args(["--check-integrity=true", "--file-allocation=none"]);
                if self == Self::Aria2Encrypted {
                    command.arg("--bt-force-encryption=true");
                }
                command.args(match role {
                    Role::Leech => ["--seed-time=0", "--summary-interval=0"],
                    Role::Join => ["--seed-ratio=0.0", "--summary-interval=0"],
                    Role::Seed => ["--seed-ratio=0.0", "--summary-interval=1"],
                });
                if role == Role::Join {
                    command.arg("--on-bt-download-complete").arg(crier(folder));
                }
                command.arg("--dir").arg(folder).arg(torrent);
                command
            }
            Self::Libtorrent | Self::LibtorrentTuned | Self::LibtorrentSlow | Self::LibtorrentEncrypted => {
                let mut command = libtorrent(host, self, &[torrent], folder);
                command.envs(node.map(|node| ("DHT_NODE", node.to_string())));
                command
            }
            Self::Rqbit => {
                let mut command = host.command("rqbit");
                command.args([
                    "--disable-dht",
                    "--disable-lsd",
                    "--listen-port",
                    "4240",
                    "download",
                    "--disable-http-api",
                ]);
                command.arg("--overwrite").arg("--output-folder").arg(folder).arg(torrent).env("NO_COLOR", "1");
                command
            }
            Self::Transmission | Self::TransmissionEncrypted | Self::TransmissionUtp => {
                // uTP where nobody has it and the distributed hash table would only add time-outs; the rest are transmission's defaults.
                // A seed starts without memory of the download, or it believes that instead of looking at the files.
                let settings = folder.with_extension(format!("{role:?}"));
                fs::create_dir_all(&settings).expect("the test's folder is ours");
                // 1 prefers encryption, which is the default, and 2 requires it.
                let encryption = if self == Self::TransmissionEncrypted { 2 } else { 1 };
                let utp = self == Self::TransmissionUtp;
                let text = format!(
                    r#"{{ "dht-enabled": false, "lpd-enabled": false, "utp-enabled": {utp}, "encryption": {encryption} }}"#
                );
                fs::write(settings.join("settings.json"), text).expect("the test's folder is ours");
                // It writes its state to a pipe only when a buffer is full, unless told otherwise.
                let mut command = host.command("stdbuf");
                command.args(["-o0", "transmission-cli", "--no-portmap", "--config-dir"]).arg(settings);
                if role == Role::Join {
                    command.arg("--finish").arg(crier(folder));
                }
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
    let says = text.starts_with("seeding")
        || [" seed(", "finished downloading", "]: 100.00%"].iter().any(|it| text.contains(it));
    says.then_some(())
}

fn libtorrent(host: &Host, client: Client, torrents: &[impl AsRef<std::ffi::OsStr>], folder: &Path) -> Command {
    let mut command = host.command(python_with_libtorrent());
    command.args(["-c", include_str!("clients/libtorrent_client.py")]);
    command.arg(match client {
        Client::LibtorrentTuned => "tuned",
        Client::LibtorrentSlow => "slow",
        Client::LibtorrentEncrypted => "encrypted",
        _ => "default",
    });
    command.arg(folder).args(torrents);
    command
}

/// A program that clients run when they have everything, because their own displays are slow to say so.
fn crier(folder: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.with_extension("crier");
    fs::write(&path, "#!/bin/sh\necho seeding\n").expect("the test's folder is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the test's file is ours");
    path
}

/// Debian's package belongs to Debian's Python, which need not be the first on the path. `PODSWARM_PYTHON` names another.
fn python_with_libtorrent() -> String {
    if let Ok(python) = std::env::var("PODSWARM_PYTHON") {
        return python;
    }
    let has = |python: &&str| {
        let import = Command::new(python).args(["-c", "import libtorrent"]).output();
        import.is_ok_and(|output| output.status.success())
    };
    let found = ["/usr/bin/python3", "python3"].into_iter().find(has);
    found.expect("a Python has libtorrent: install python3-libtorrent").to_owned()
}
