//! The torrent clients of others, as our subscribers and publishers will meet them.
//!
//! Each runs on a host of the test's network, finds peers through the torrent's tracker alone and keeps its settings in
//! the test's folder. All are Debian packages, `transmission-cli`, `aria2`, `rtorrent` and `python3-libtorrent`, but
//! rqbit, which is a crate.

use std::ffi::OsStr;
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
    /// libtorrent of Arvid Norberg, under Python, as it comes.
    Libtorrent,
    /// libtorrent with the settings of those who want it fast: TCP alone, quick dials, many slots.
    LibtorrentTuned,
    /// libtorrent, taking 20 kB/s at most.
    LibtorrentSlow,
    /// rqbit.
    Rqbit,
    /// rtorrent, on another library of the name of libtorrent, by Jari Sundell.
    Rtorrent,
    /// transmission-cli.
    Transmission,
}

/// What a client does beyond what it does for all tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// It encrypts everything, and speaks to nobody else.
    pub encrypted: bool,
    /// It speaks uTP, even where it would have to be asked for or would take its time about it.
    pub utp: bool,
    /// The node where it begins in the distributed hash table, of which it stays out otherwise.
    pub node: Option<SocketAddr>,
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
    /// Downloads `torrent`, a file or a magnet link, into `folder` and returns when the client has checked every byte
    /// of it.
    #[track_caller]
    pub fn download(self, host: &Host, torrent: &Path, folder: &Path, limit: Duration) {
        self.download_on(Terms::default(), host, torrent, folder, limit);
    }

    /// The same, on some terms.
    #[track_caller]
    pub fn download_on(self, terms: Terms, host: &Host, torrent: &Path, folder: &Path, limit: Duration) {
        let mut program = self.start(terms, host, torrent, folder, Role::Leech);
        if self == Self::Aria2 {
            let ended = program.end(limit);
            assert_eq!(ended.code, Some(0), "aria2: {:?} {}", ended.lines, ended.stderr);
            return;
        }
        if program.wait_for_or_end("seeding", limit, says_seeding).is_none() {
            // transmission-cli takes the moment in which it has learned from a link what the torrent is for the end, if
            // it happens to look just then. It keeps what it has learned.
            if self == Self::Transmission {
                program = self.start(terms, host, torrent, folder, Role::Leech);
            }
            program.wait_for("seeding", limit, says_seeding);
        }
        program.stop(limit);
    }

    /// Downloads `torrent` into `folder` and goes on seeding it; [`Self::wait_seeding`] tells when it has all.
    #[track_caller]
    pub fn join(self, host: &Host, torrent: &Path, folder: &Path) -> Program {
        self.start(Terms::default(), host, torrent, folder, Role::Join)
    }

    /// Whether the client does not get `torrent` into `folder`: it ends without, or still has not all when `meanwhile`
    /// is over.
    #[track_caller]
    pub fn has_nothing_after(
        self,
        terms: Terms,
        host: &Host,
        torrent: &Path,
        folder: &Path,
        meanwhile: impl FnOnce(),
    ) -> bool {
        let mut program = self.start(terms, host, torrent, folder, Role::Leech);
        meanwhile();
        !program.has_said(says_seeding)
    }

    /// Seeds `torrents`, whose contents lie in `folder`, until the program is dropped.
    #[track_caller]
    pub fn seed_many(self, host: &Host, torrents: &[PathBuf], folder: &Path) -> Program {
        let command = match self {
            Self::Libtorrent | Self::LibtorrentTuned | Self::LibtorrentSlow => {
                self.libtorrent(Terms::default(), host, torrents, folder)
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
            Self::Aria2 | Self::Rqbit | Self::Rtorrent => panic!("{self:?} seeds few torrents at a time"),
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
        self.seed_on(Terms::default(), host, torrent, folder)
    }

    /// The same, on some terms.
    #[track_caller]
    pub fn seed_on(self, terms: Terms, host: &Host, torrent: &Path, folder: &Path) -> Program {
        let mut program = self.start(terms, host, torrent, folder, Role::Seed);
        program.wait_for("seeding", PATIENCE, says_seeding);
        program
    }

    #[track_caller]
    fn start(self, terms: Terms, host: &Host, torrent: &Path, folder: &Path, role: Role) -> Program {
        let command = match self {
            Self::Aria2 => aria2(terms, host, torrent, folder, role),
            Self::Libtorrent | Self::LibtorrentTuned | Self::LibtorrentSlow => {
                self.libtorrent(terms, host, &[torrent], folder)
            }
            Self::Rqbit => rqbit(terms, host, torrent, folder),
            Self::Rtorrent => rtorrent(terms, host, torrent, folder, role),
            Self::Transmission => transmission(terms, host, torrent, folder, role),
        };
        Program::start(&format!("{self:?} on {}", host.name()), command)
    }

    fn libtorrent(self, terms: Terms, host: &Host, torrents: &[impl AsRef<OsStr>], folder: &Path) -> Command {
        let mut command = host.command(python_with_libtorrent());
        command.args(["-c", include_str!("clients/libtorrent_client.py")]);
        command.arg(match self {
            Self::LibtorrentTuned => "tuned",
            Self::LibtorrentSlow => "slow",
            _ if terms.encrypted => "encrypted",
            _ => "default",
        });
        command.arg(folder).args(torrents);
        command.envs(terms.node.map(|node| ("DHT_NODE", node.to_string())));
        command
    }
}

fn aria2(terms: Terms, host: &Host, torrent: &Path, folder: &Path, role: Role) -> Command {
    let mut command = host.command("aria2c");
    // It asks trackers over UDP only with its table of the IPv4 hash table open, which stays empty here.
    command.args(["--no-conf", "--enable-dht=true", "--enable-dht6=false", "--bt-enable-lpd=false"]);
    if let Some(node) = terms.node {
        command.args(["--listen-port=6881", "--dht-listen-port=6881", "--dht-entry-point"]);
        command.arg(node.to_string());
    }
    command.arg("--dht-file-path").arg(folder.with_extension("dht"));
    command.args(["--check-integrity=true", "--file-allocation=none"]);
    if terms.encrypted {
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

fn rqbit(terms: Terms, host: &Host, torrent: &Path, folder: &Path) -> Command {
    let mut command = host.command("rqbit");
    match terms.node {
        Some(node) => command.args(["--disable-dht-persistence", "--dht-bootstrap-addrs"]).arg(node.to_string()),
        None => command.arg("--disable-dht"),
    };
    if terms.utp {
        command.arg("--experimental-enable-utp-listen");
    }
    if terms.encrypted {
        // It has no such option, and ends with that word.
        command.arg("--encrypt");
    }
    command.args(["--disable-lsd", "--listen-port", "4240", "download", "--disable-http-api"]);
    command.arg("--overwrite").arg("--output-folder").arg(folder).arg(torrent).env("NO_COLOR", "1");
    command
}

fn rtorrent(terms: Terms, host: &Host, torrent: &Path, folder: &Path, role: Role) -> Command {
    // A seed starts without memory of the download.
    let session = folder.with_extension(format!("{role:?}"));
    for folder in [folder, &session] {
        fs::create_dir_all(folder).expect("the test's folder is ours");
    }
    let encryption = if terms.encrypted { "require,require_RC4" } else { "enable_retry" };
    let table = match terms.node {
        Some(node) => format!("on\ndht.port.set = 6881\nschedule2 = node, 0, 0, \"dht.add_node={node}\""),
        None => "disable".to_owned(),
    };
    let settings = format!(
        "session.path.set = \"{session}\"\n\
         directory.default.set = \"{folder}\"\n\
         protocol.encryption.set = allow_incoming,try_outgoing,{encryption}\n\
         trackers.use_udp.set = yes\n\
         dht.mode.set = {table}\n\
         method.set_key = event.download.hash_done, cry, \"execute.nothrow={crier},$d.complete=\"\n\
         method.set_key = event.download.finished, cry, \"execute.nothrow={crier},$d.complete=\"\n\
         system.daemon.set = true\n",
        session = session.display(),
        folder = folder.display(),
        crier = crier(folder).display(),
    );
    let path = session.join("rtorrent.rc");
    fs::write(&path, settings).expect("the test's folder is ours");
    let mut command = host.command("rtorrent");
    command.args(["-n", "-o"]).arg(format!("import={}", path.display())).arg(torrent);
    command
}

fn transmission(terms: Terms, host: &Host, torrent: &Path, folder: &Path, role: Role) -> Command {
    // uTP where nobody has it and the distributed hash table would only add time-outs; the rest are transmission's
    // defaults. A seed starts without memory of the download, or it believes that instead of looking at the files.
    let settings = folder.with_extension(format!("{role:?}"));
    fs::create_dir_all(&settings).expect("the test's folder is ours");
    // 1 prefers encryption, which is the default, and 2 requires it.
    let encryption = if terms.encrypted { 2 } else { 1 };
    let Terms { utp, node, .. } = terms;
    let dht = node.is_some();
    let text = format!(
        r#"{{ "dht-enabled": {dht}, "lpd-enabled": false, "utp-enabled": {utp}, "encryption": {encryption} }}"#
    );
    fs::write(settings.join("settings.json"), text).expect("the test's folder is ours");
    if let Some(node) = node {
        let text = format!("{} {}\n", node.ip(), node.port());
        fs::write(settings.join("dht.bootstrap"), text).expect("the test's folder is ours");
    }
    // It writes its state to a pipe only when a buffer is full, unless told otherwise.
    let mut command = host.command("stdbuf");
    command.args(["-o0", "transmission-cli", "--no-portmap", "--config-dir"]).arg(settings);
    if role == Role::Join {
        command.arg("--finish").arg(crier(folder));
    }
    command.arg("--download-dir").arg(folder).arg(torrent);
    command
}

/// Whether a line of any of the clients says that everything is there and is given to others.
fn says_seeding(line: &Line) -> Option<()> {
    let text = line.text.to_lowercase();
    let says = text.starts_with("seeding")
        || [" seed(", "finished downloading", "]: 100.00%"].iter().any(|it| text.contains(it));
    says.then_some(())
}

/// A program that clients run when they have everything, because their own displays are slow to say so.
fn crier(folder: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.with_extension("crier");
    // rtorrent gives it its own standard output no more, but says whether everything is there: 0 or 1.
    let script = "#!/bin/sh\n\
                  case $1 in\n\
                  0) ;;\n\
                  1) echo seeding >/proc/$PPID/fd/1 ;;\n\
                  *) echo seeding ;;\n\
                  esac\n";
    fs::write(&path, script).expect("the test's folder is ours");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("the test's file is ours");
    path
}

/// Debian's package belongs to Debian's Python, which need not be the first on the path. `PODSWARM_PYTHON` names
/// another.
pub fn python_with_libtorrent() -> String {
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
