//! How a daemon is found and who may drive it.
//!
//! A daemon's control API listens on a loopback port. The file `control.json` in the data directory, readable by its
//! owner only, names the port and the bearer token that every request must carry.
//!
//! Law: the token is compared in constant time and shown nowhere.

use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::client::ControlClient;
use super::data_dir::DataDir;
use super::failure::{Explain, Failure};
use super::lock::DataDirLock;
use crate::net::durable::write_atomic;

const FILE_NAME: &str = "control.json";

/// The control file of the daemon in this process; removed when dropped.
///
/// Drop it before the store closes and the lock goes, so that nobody is sent to a daemon that is stopping.
#[derive(Debug)]
pub struct ControlFile {
    record: Record,
    path: PathBuf,
}

/// What `control.json` holds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    addr: SocketAddr,
    token: String,
    pid: u32,
    version: String,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { addr, token: _, pid, version } = self;
        f.debug_struct("Record").field("addr", addr).field("pid", pid).field("version", version).finish_non_exhaustive()
    }
}

/// The answer to `GET /api/v1/ping`: which daemon this is. Given only to requests with the right token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Ping {
    /// The daemon's process number.
    pub pid: u32,
    /// The daemon's program and version, such as `podpub 0.1.0`.
    pub version: String,
}

impl ControlFile {
    /// Draws a new token and writes `control.json`, mode 0600, for a control API that listens on `addr`.
    pub fn write(lock: &DataDirLock, addr: SocketAddr) -> Result<Self, Failure> {
        let dir = lock.dir();
        let record = Record { addr, token: new_token()?, pid: std::process::id(), version: dir.version() };
        let path = dir.join(FILE_NAME);
        let json = serde_json::to_vec(&record)?;
        write_atomic(&path, &json, 0o600).explain(|| format!("write `{}`", path.display()))?;
        Ok(Self { record, path })
    }

    /// The token that requests must carry; see [`token_matches`].
    pub fn token(&self) -> &str {
        &self.record.token
    }

    /// What the control API answers to `GET /api/v1/ping`.
    pub fn ping(&self) -> Ping {
        Ping { pid: self.record.pid, version: self.record.version.clone() }
    }
}

impl Drop for ControlFile {
    fn drop(&mut self) {
        // A file that stays does no harm: its daemon will not answer.
        let _ = fs::remove_file(&self.path);
    }
}

/// A client for the daemon that runs on `dir`; `None` if there is no control file or no daemon answers as it says.
pub async fn read_live(dir: &DataDir) -> Option<ControlClient> {
    let bytes = fs::read(dir.join(FILE_NAME)).ok()?;
    let record: Record = serde_json::from_slice(&bytes).ok()?;
    let client = ControlClient::local(record.addr, &record.token).ok()?;
    let ping = client.ping().await.ok()?;
    // Another program may have got the port of a daemon that was killed.
    (ping.pid == record.pid).then_some(client)
}

/// Removes the control file of a daemon that is known to be dead.
pub(super) fn remove_stale(dir: &DataDir) {
    // If it cannot be removed it does no harm: its daemon will not answer.
    let _ = fs::remove_file(dir.join(FILE_NAME));
}

/// A fresh secret: 256 bits from the system, in hex.
pub fn new_token() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).explain(|| "draw a token from the system's random source".to_owned())?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}

/// Whether an `Authorization` header carries `token` as `Bearer TOKEN`. Takes as long for a wrong token as for a
/// right one of the same length. RFC 6750 §2.1; the scheme's case does not count.
pub fn token_matches(header: Option<&str>, token: &str) -> bool {
    let Some((scheme, given)) = header.and_then(|header| header.split_once(' ')) else { return false };
    scheme.eq_ignore_ascii_case("bearer") && secret_matches(given.trim(), token)
}

/// Whether what was given is the secret. Takes as long for a wrong one as for a right one of the same length.
pub fn secret_matches(given: &str, secret: &str) -> bool {
    // An empty secret would let everybody in who sends one.
    !secret.is_empty() && bool::from(given.as_bytes().ct_eq(secret.as_bytes()))
}

/// Whether a `Host` header names this machine by a loopback address or as `localhost`.
///
/// Servers on loopback refuse all others: a web page can make its own name resolve to 127.0.0.1 and would then be let
/// in by the browser (DNS rebinding, CVE-2018-5702).
pub fn is_loopback_host(header: Option<&str>) -> bool {
    let Some(header) = header else { return false };
    if let Ok(addr) = header.parse::<SocketAddr>() {
        return addr.ip().is_loopback();
    }
    let name = match header.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => header,
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::canned::Canned;

    fn locked() -> (tempfile::TempDir, DataDirLock) {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::resolve(Some(root.path()), "podpub").unwrap();
        let lock = DataDirLock::try_acquire(&dir).unwrap().unwrap();
        (root, lock)
    }

    #[test]
    fn the_control_file_is_its_owners_secret_and_goes_with_the_daemon() {
        let (root, lock) = locked();
        let path = root.path().join("control.json");
        let file = ControlFile::write(&lock, "127.0.0.1:5".parse().unwrap()).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!((json["addr"].as_str(), json["token"].as_str()), (Some("127.0.0.1:5"), Some(file.token())));
        assert_eq!(json["pid"], std::process::id());
        assert!(!format!("{file:?}").contains(file.token()));
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_new_owner_removes_what_a_killed_daemon_left() {
        let (root, lock) = locked();
        std::mem::forget(ControlFile::write(&lock, "127.0.0.1:5".parse().unwrap()).unwrap());
        let dir = lock.dir().clone();
        drop(lock);
        assert!(root.path().join("control.json").exists());
        let _lock = DataDirLock::try_acquire(&dir).unwrap().unwrap();
        assert!(!root.path().join("control.json").exists());
    }

    #[tokio::test]
    async fn only_the_daemon_that_wrote_the_file_is_believed() {
        let (root, lock) = locked();
        assert!(read_live(lock.dir()).await.is_none(), "there is no file");
        let server = Canned::listen().await;
        let file = ControlFile::write(&lock, server.addr()).unwrap();
        let ours = serde_json::to_string(&file.ping()).unwrap();
        let other = serde_json::to_string(&Ping { pid: 0, version: "podsub 9.9.9".into() }).unwrap();
        for (status, body, believed) in
            [(200, &ours, true), (200, &other, false), (401, &ours, false), (200, &"hello".to_owned(), false)]
        {
            let (client, requests) = tokio::join!(read_live(lock.dir()), server.answer(vec![(status, body.clone())]));
            assert_eq!(client.is_some(), believed, "{status} {body}");
            assert!(requests[0].starts_with("GET /api/v1/ping "), "{requests:?}");
        }
        drop(server);
        assert!(read_live(lock.dir()).await.is_none(), "nobody listens");
        fs::write(root.path().join("control.json"), "{").unwrap();
        assert!(read_live(lock.dir()).await.is_none(), "the file is torn");
    }

    #[test]
    fn tokens_are_long_and_never_the_same() {
        let (one, two) = (new_token().unwrap(), new_token().unwrap());
        assert!(one.len() == 64 && one.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(one, two);
    }

    #[test]
    fn only_the_whole_token_opens_the_door() {
        assert!(token_matches(Some("Bearer sesame"), "sesame"));
        assert!(token_matches(Some("bearer  sesame "), "sesame"));
        for header in
            ["Bearer sesam", "Bearer sesamee", "Bearer ", "Bearer", "Basic sesame", "sesame", "", "Bearer SESAME"]
        {
            assert!(!token_matches(Some(header), "sesame"), "{header}");
        }
        assert!(!token_matches(None, "sesame"));
        assert!(!token_matches(Some("Bearer "), ""));
    }

    #[test]
    fn a_foreign_name_for_this_machine_is_not_a_loopback_host() {
        for host in ["localhost", "LOCALHOST:6970", "127.0.0.1", "127.0.0.1:80", "127.8.8.8", "[::1]", "[::1]:6970"] {
            assert!(is_loopback_host(Some(host)), "{host}");
        }
        for host in [
            "attacker.example",
            "attacker.example:6970",
            "localhost.attacker.example",
            "10.0.0.1",
            "0.0.0.0",
            "",
            ":80",
            "127.0.0.1.attacker.example",
            "[::1",
            "localhost:x",
            "127.0.0.1@attacker.example",
        ] {
            assert!(!is_loopback_host(Some(host)), "{host}");
        }
        assert!(!is_loopback_host(None));
    }
}
