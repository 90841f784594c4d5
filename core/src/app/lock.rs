//! Who owns a data directory.
//!
//! A daemon, or a command that opens the store itself, holds an exclusive lock on the file `daemon.lock` for as long as
//! it runs; the system lets go of it when the process ends, however it ends.
//!
//! Law: two processes never have one store open at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Seek, Write};
use std::time::Duration;

use super::client::ControlClient;
use super::control;
use super::data_dir::DataDir;
use super::failure::{Explain, Failure};

/// How long a lock without a daemon that answers is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// The time between two tries; a command that only waits for another short one should not be felt to wait.
const PAUSE: Duration = Duration::from_millis(50);

/// The sole right to a data directory; given up when dropped.
#[derive(Debug)]
pub struct DataDirLock {
    dir: DataDir,
    _file: File,
}

impl DataDirLock {
    /// Takes the lock if nobody has it; makes the directory if it is missing. The file then names this process.
    ///
    /// Fails for root where the directory is another user's, such as that of a service: what root writes there, its
    /// owner could not open. A daemon that runs there can be asked all the same.
    pub fn try_acquire(dir: &DataDir) -> Result<Option<Self>, Failure> {
        dir.create()?;
        let path = dir.join("daemon.lock");
        let saying = || format!("lock `{}`", path.display());
        if let Some(owner) = other_owner(dir) {
            return match File::open(&path).map(|file| file.try_lock()) {
                Ok(Err(TryLockError::WouldBlock)) => Ok(None),
                _ => Err(not_roots(dir, owner)),
            };
        }
        let opened = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(&path);
        let mut file = match opened {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(no_write(dir).unwrap_or_else(|| Failure::new(saying())).because(error));
            }
            opened => opened.explain(saying)?,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error).explain(saying),
        }
        let holder = format!("{} {}\n", std::process::id(), dir.version());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(holder.as_bytes()))
            .explain(saying)?;
        // Whoever wrote it is dead, since we hold the lock; its port may be another program's by now.
        control::remove_stale(dir);
        Ok(Some(Self { dir: dir.clone(), _file: file }))
    }

    /// The directory that is held.
    pub const fn dir(&self) -> &DataDir {
        &self.dir
    }
}

/// Whose directory it is, if we are root and it is not ours.
#[cfg(unix)]
fn other_owner(dir: &DataDir) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = fs::metadata(dir.path()).ok()?.uid();
    (rustix::process::geteuid().is_root() && owner != 0).then_some(owner)
}

#[cfg(not(unix))]
fn other_owner(_: &DataDir) -> Option<u32> {
    None
}

fn not_roots(dir: &DataDir, owner: u32) -> Failure {
    let path = dir.path().display();
    Failure::new(format!("data directory `{path}` belongs to user {owner}, who could not open what root writes there"))
        .with_hint(format!(
            "start the daemon first, as with `systemctl start`, or run this as its owner: `sudo -u '#{owner}' …`"
        ))
}

/// That we may not write to a directory, whose it is, and who we are: a container's user has a number and no name.
#[cfg(unix)]
fn no_write(dir: &DataDir) -> Option<Failure> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = fs::metadata(dir.path()).ok()?.uid();
    let (path, us) = (dir.path().display(), rustix::process::geteuid());
    let failure =
        Failure::new(format!("data directory `{path}` belongs to user {owner}, and user {us} may not write to it"));
    Some(
        failure
            .with_hint(format!("give it to this user, `chown -R {us} …`, or use another folder with --data-dir DIR")),
    )
}

#[cfg(not(unix))]
fn no_write(_: &DataDir) -> Option<Failure> {
    None
}

/// How a command reaches the state in a data directory.
#[derive(Debug)]
pub enum Access {
    /// Through the daemon that runs on it.
    Daemon(ControlClient),
    /// By itself: nobody else has it.
    Owner(DataDirLock),
}

/// Takes the lock on `dir`, or finds the daemon that has it.
///
/// A lock whose holder answers nothing (it may be starting, stopping, or another short command) is tried again for ten
/// seconds, then refused with the holder's name.
pub async fn acquire(dir: &DataDir) -> Result<Access, Failure> {
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(lock) = DataDirLock::try_acquire(dir)? {
                return Ok(Access::Owner(lock));
            }
            if let Some(client) = control::read_live(dir).await {
                return Ok(Access::Daemon(client));
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    found.await.unwrap_or_else(|_| Err(refusal(dir)))
}

fn refusal(dir: &DataDir) -> Failure {
    // Where a lock keeps others from reading, its holder stays unnamed.
    let holder = fs::read_to_string(dir.join("daemon.lock")).unwrap_or_default();
    let holder = match holder.trim().split_once(' ') {
        Some((pid, version)) => format!("process {pid} ({version})"),
        None => "another process".to_owned(),
    };
    Failure::new(format!(
        "data directory `{}` is held by {holder}, which answered nothing for {} s",
        dir.path().display(),
        PATIENCE.as_secs()
    ))
    .with_hint("wait for it or stop it, or use another folder with --data-dir DIR")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::ControlFile;
    use crate::app::canned::Canned;

    fn data_dir() -> (tempfile::TempDir, DataDir) {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::resolve(Some(&root.path().join("data")), "podpub").unwrap();
        (root, dir)
    }

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let (_root, dir) = data_dir();
        let first = DataDirLock::try_acquire(&dir).unwrap();
        assert!(first.is_some());
        assert!(DataDirLock::try_acquire(&dir).unwrap().is_none());
        drop(first);
        assert!(DataDirLock::try_acquire(&dir).unwrap().is_some());
    }

    #[cfg(unix)]
    #[test]
    fn the_lock_file_names_its_holder_only() {
        let (_root, dir) = data_dir();
        dir.create().unwrap();
        fs::write(dir.join("daemon.lock"), "99999999 someone with a longer name 9.9.9\n").unwrap();
        let _lock = DataDirLock::try_acquire(&dir).unwrap().unwrap();
        let holder = fs::read_to_string(dir.join("daemon.lock")).unwrap();
        assert_eq!(holder, format!("{} podpub {}\n", std::process::id(), env!("CARGO_PKG_VERSION")));
    }

    #[cfg(unix)]
    #[test]
    fn root_leaves_another_users_directory_alone() {
        let (_root, dir) = data_dir();
        dir.create().unwrap();
        if std::os::unix::fs::chown(dir.path(), Some(65_534), None).is_err() || !rustix::process::geteuid().is_root() {
            return;
        }
        let failure = DataDirLock::try_acquire(&dir).unwrap_err();
        assert!(failure.to_string().contains("belongs to user 65534"), "{failure}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left there");
        let held = File::create(dir.join("daemon.lock")).unwrap();
        held.lock().unwrap();
        assert!(DataDirLock::try_acquire(&dir).unwrap().is_none(), "its daemon is asked");
    }

    #[cfg(unix)]
    #[test]
    fn who_may_not_write_is_told_whose_the_directory_is() {
        let (_root, dir) = data_dir();
        dir.create().unwrap();
        let us = rustix::process::geteuid();
        let failure = no_write(&dir).unwrap();
        assert!(failure.to_string().contains(&format!("belongs to user {us}, and user {us}")), "{failure}");
        assert!(failure.hint().unwrap().contains(&format!("chown -R {us}")), "{failure}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lock_that_is_given_up_in_time_is_taken() {
        let (_root, dir) = data_dir();
        let held = DataDirLock::try_acquire(&dir).unwrap();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(8)).await;
            drop(held);
        });
        assert!(matches!(acquire(&dir).await.unwrap(), Access::Owner(_)));
    }

    #[tokio::test]
    async fn a_daemon_that_answers_is_gone_through() {
        let (_root, dir) = data_dir();
        let lock = DataDirLock::try_acquire(&dir).unwrap().unwrap();
        let server = Canned::listen().await;
        let file = ControlFile::write(&lock, server.addr()).unwrap();
        let answers = server.answer(vec![(200, serde_json::to_string(&file.ping()).unwrap())]);
        let (access, _) = tokio::join!(acquire(&dir), answers);
        let Access::Daemon(client) = access.unwrap() else { panic!("the lock is held") };
        assert_eq!(client.server().port(), Some(server.addr().port()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_holder_is_refused_by_name_after_ten_seconds() {
        let (_root, dir) = data_dir();
        let _held = DataDirLock::try_acquire(&dir).unwrap();
        let begin = tokio::time::Instant::now();
        let failure = acquire(&dir).await.unwrap_err();
        assert!(begin.elapsed() >= Duration::from_secs(10) && begin.elapsed() < Duration::from_secs(11));
        let holder = format!("process {} (podpub {})", std::process::id(), env!("CARGO_PKG_VERSION"));
        let text = failure.to_string();
        assert!(text.contains(&holder) && text.contains(dir.path().to_str().unwrap()), "{text}");
        assert_eq!(failure.code(), 1);
    }
}
