//! A machine that a real systemd runs: the files of this one, under a layer that takes all changes, in namespaces of
//! its own.
//!
//! Only the units of services that a test starts are there; nothing of this machine is started, and nothing of it is
//! changed. It is on the network of a [`Host`].
//!
//! Needs root itself, as systemd makes groups of processes; [`Machine::boot`] says where that is not to be had.
//! Law: nothing of the machine is left when it is dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::net::Host;
use crate::process::{Ended, PATIENCE, Program};

/// Puts this process into a group of its own, and becomes the machine.
const LEAVE: &str = "echo $$ >\"$3/cgroup.procs\"
exec unshare --cgroup --mount --pid --fork --kill-child sh -ec \"$0\" boot \"$1\" \"$2\"";

/// Lays the machine's files out below `$1`, with what `$2` holds in `/given`, and starts systemd.
const BOOT: &str = r#"
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/machine"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/machine"
given=$2
cd "$1/machine"
mkdir given
cp -r "$given/." given/
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
if [ -e /sys/fs/cgroup/cgroup.procs ]; then
  mount -t cgroup2 cgroup2 sys/fs/cgroup
else
  mount -t tmpfs tmpfs sys/fs/cgroup
  mkdir sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
fi
mount -t tmpfs -o mode=755 tmpfs dev
for node in null zero full random urandom tty; do
  touch "dev/$node"
  mount --bind "/dev/$node" "dev/$node"
done
mkdir dev/shm dev/pts
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs tmpfs run
rm -rf etc/systemd/system/*.wants usr/lib/systemd/system/*.wants usr/lib/systemd/system-generators etc/fstab
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  chroot . /lib/systemd/systemd --system --unit=basic.target --show-status=no </dev/null
"#;

/// A running machine.
#[derive(Debug)]
pub struct Machine {
    host: Host,
    /// What the machine is to the system: its namespaces end with it.
    program: Option<Program>,
    /// Its first process, as this machine numbers it.
    init: u32,
    group: PathBuf,
}

impl Machine {
    /// Starts a machine on the network of `host`, with its files laid out below the empty folder `root` and those of
    /// `given` in its `/given`; `None` where this user may not.
    #[track_caller]
    pub fn boot(host: &Host, root: &Path, given: &Path) -> Option<Self> {
        let groups = Path::new("/sys/fs/cgroup");
        let groups = if groups.join("cgroup.procs").exists() { groups.to_owned() } else { groups.join("systemd") };
        let group = groups.join(root.file_name().expect("the machine's folder has a name"));
        fs::create_dir(&group).ok()?;
        let mut command = host.command("sh");
        command.args(["-ec", LEAVE, BOOT]).args([root, given, &group]);
        let program = Program::start("a machine", command);
        let mut machine = Self { host: host.clone(), program: Some(program), init: 0, group };
        let end = Instant::now() + PATIENCE;
        let running =
            |machine: &Self| machine.init > 0 && machine.try_run("systemctl is-system-running --wait").code == Some(0);
        while !running(&machine) {
            assert!(Instant::now() < end, "systemd does not come up: {:?}", machine.program);
            machine.init = machine.find_init().unwrap_or(0);
        }
        Some(machine)
    }

    /// The only process in the group that is the first of its own namespace.
    fn find_init(&self) -> Option<u32> {
        let all = fs::read_dir(&self.group).ok()?.filter_map(Result::ok).map(|entry| entry.path());
        let groups = all.filter(|path| path.is_dir()).chain([self.group.clone()]);
        let procs = groups.filter_map(|group| fs::read_to_string(group.join("cgroup.procs")).ok()).collect::<String>();
        let is_first = |pid: &u32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
            status.contains("systemd") && numbers.is_some_and(|numbers| numbers.split_whitespace().nth(1) == Some("1"))
        };
        procs.split_whitespace().filter_map(|pid| pid.parse().ok()).find(is_first)
    }

    /// Runs a script of the shell on it, as root.
    #[track_caller]
    pub fn try_run(&self, script: &str) -> Ended {
        let mut command = self.host.command("nsenter");
        command.args(["--target", &self.init.to_string(), "--mount", "--pid", "--cgroup", "--root", "--wd=/"]);
        command.args([
            "env",
            "-i",
            "HOME=/root",
            "LC_ALL=C.UTF-8",
            "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]);
        command.args(["sh", "-ec", script]);
        Program::start(script, command).end(PATIENCE)
    }

    /// The same; panics unless it succeeds, and returns what it printed.
    #[track_caller]
    pub fn run(&self, script: &str) -> String {
        let ended = self.try_run(script);
        let lines: Vec<_> = ended.lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(ended.code, Some(0), "{script}\n{}\n{}", lines.join("\n"), ended.stderr);
        lines.join("\n")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With the first process all others of its namespace end.
        if self.init > 0 {
            let _ = Command::new("kill").args(["-KILL", &self.init.to_string()]).status();
        }
        drop(self.program.take());
        let end = Instant::now() + PATIENCE;
        while remove_groups(&self.group).is_err() && Instant::now() < end {
            std::thread::yield_now();
        }
    }
}

/// Removes a group of processes and those below it; fails as long as there are any in it.
fn remove_groups(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_groups(&path)?;
        }
    }
    fs::remove_dir(group)
}
