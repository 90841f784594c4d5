//! Where a program keeps things on this machine, for who looks for them.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use super::data_dir::DataDir;
use super::space::free_space;
use crate::rate::ByteCount;

/// The places of one data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Places {
    /// The folder of everything.
    data: PathBuf,
    /// Bytes that may still be written there; `None` where the system does not say.
    free: Option<ByteCount>,
    /// The settings, if there is a file with some.
    config: Option<PathBuf>,
    /// How the daemon's log is read; `None` without a daemon.
    log: Option<String>,
}

impl Places {
    /// Looks at the directory, and for the process that holds it.
    pub fn find(dir: &DataDir) -> Self {
        let holder = fs::read_to_string(dir.join("daemon.lock")).unwrap_or_default();
        let pid = holder.split(' ').next().and_then(|pid| pid.parse().ok());
        Self {
            data: dir.path().to_owned(),
            free: free_space(dir.path()).ok().map(|space| ByteCount(space.available)),
            config: Some(dir.join("config.toml")).filter(|path| path.exists()),
            log: pid.filter(|_| dir.join("control.json").exists()).map(log_of),
        }
    }

    /// What people are told: names and places.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let free = self.free.map(|free| format!(", {free} free")).unwrap_or_default();
        let mut lines = vec![("data", format!("{}{free}", self.data.display()))];
        lines.extend(self.config.as_ref().map(|config| ("config", config.display().to_string())));
        lines.extend(self.log.clone().map(|log| ("log", log)));
        lines
    }
}

/// What a program says of itself, and where it keeps things; of one that runs on another machine nobody knows.
#[derive(Debug, Serialize)]
pub struct WithPlaces<'a, T> {
    /// What it says.
    #[serde(flatten)]
    pub status: &'a T,
    /// Its places on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub places: Option<&'a Places>,
}

/// How the log of a process is read.
fn log_of(pid: u32) -> String {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    match groups.lines().find_map(service_of) {
        Some((true, unit)) => format!("journalctl --user -u {unit}"),
        Some((false, unit)) => format!("journalctl -u {unit}"),
        None => format!("the standard error of process {pid}"),
    }
}

/// The service that a group of processes is, and whether it is one of a user.
fn service_of(group: &str) -> Option<(bool, &str)> {
    let path = group.splitn(3, ':').nth(2)?;
    let unit = path.rsplit('/').next()?.strip_suffix(".service")?;
    // The manager of a user is a service itself, below which his own are.
    let is_manager = unit.starts_with("user@");
    (!is_manager).then(|| (path.contains("/user@") || path.contains("/app.slice/"), unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_known_by_the_group_of_its_processes() {
        for (group, service) in [
            ("0::/system.slice/podpub.service", Some((false, "podpub"))),
            ("1:name=systemd:/system.slice/podpub.service", Some((false, "podpub"))),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/podsub.service", Some((true, "podsub"))),
            ("0::/user.slice/user-1000.slice/session-2.scope", None),
            ("0::/user.slice/user-1000.slice/user@1000.service", None),
            ("0::/", None),
            ("nonsense", None),
        ] {
            assert_eq!(service_of(group), service, "{group}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_told() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::resolve(Some(root.path()), "podtest").unwrap();
        let names = |places: &Places| places.lines().iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert_eq!(names(&Places::find(&dir)), ["data"]);
        fs::write(dir.join("config.toml"), "").unwrap();
        fs::write(dir.join("daemon.lock"), "4294967295 podtest 0.1.0\n").unwrap();
        fs::write(dir.join("control.json"), "{}").unwrap();
        let places = Places::find(&dir);
        assert_eq!(names(&places), ["data", "config", "log"]);
        assert_eq!(places.log.as_deref(), Some("the standard error of process 4294967295"));
    }
}
