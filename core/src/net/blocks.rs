//! The owner's block list, read again when its file has changed.
//!
//! The file is looked at every two seconds, and read when it has been the same twice, so that none is read that is half
//! written. Signals are not needed, and work on one system only.
//!
//! Law: a list that cannot be read, or in which nothing is understood, changes nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use crate::blocklist::Blocklist;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// A block list, with the file that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlocklistFile {
    path: PathBuf,
    list: Arc<Blocklist>,
}

impl BlocklistFile {
    /// Reads a list. `Err` says in words why there is none: it cannot be read, or none of its lines is understood.
    pub fn read(path: &Path) -> Result<Self, String> {
        let list = Blocklist::parse(&std::fs::read(path).map_err(|error| error.to_string())?);
        match (list.ranges(), list.odd_lines()) {
            (0, odd @ 1..) => Err(format!("none of its {odd} lines names an address")),
            (ranges, odd) => {
                tracing::debug!(path = %path.display(), ranges, odd, "block list");
                Ok(Self { path: path.to_owned(), list: Arc::new(list) })
            }
        }
    }

    /// What it said when it was read.
    pub fn list(&self) -> Arc<Blocklist> {
        Arc::clone(&self.list)
    }

    pub(super) fn status(&self, error: Option<String>) -> BlocklistStatus {
        BlocklistStatus { path: self.path.clone(), ranges: self.list.ranges(), error }
    }
}

/// How the block list stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BlocklistStatus {
    /// The file.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub path: PathBuf,
    /// Ranges in force.
    pub ranges: usize,
    /// Why the file as it is now is not in force; `None` if it is.
    pub error: Option<String>,
}

impl fmt::Display for BlocklistStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, ranges, error } = self;
        write!(f, "{ranges} range{} of `{}`", if *ranges == 1 { "" } else { "s" }, path.display())?;
        match error {
            Some(error) => write!(f, " as it was; as it is now it is refused: {error}"),
            None => Ok(()),
        }
    }
}

/// Reads the list again each time that its file has changed, until nobody wants it.
pub(super) async fn follow_task(
    mut file: BlocklistFile,
    told: watch::Sender<Option<BlocklistStatus>>,
    lists: mpsc::Sender<Arc<Blocklist>>,
) {
    let (mut known, mut before) = (stamp(&file.path).await, None);
    loop {
        tokio::time::sleep(LOOK).await;
        if lists.is_closed() {
            return;
        }
        let now = stamp(&file.path).await;
        let is_settled = before.replace(now) == Some(now);
        if now == known || !is_settled {
            continue;
        }
        known = now;
        let path = file.path.clone();
        let Ok(read) = tokio::task::spawn_blocking(move || BlocklistFile::read(&path)).await else { return };
        match read {
            Ok(new) => {
                tracing::info!(path = %new.path.display(), ranges = new.list.ranges(), "the block list is read again");
                file = new;
                told.send_replace(Some(file.status(None)));
                if lists.send(file.list()).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(path = %file.path.display(), error, "the block list stays as it was");
                told.send_replace(Some(file.status(Some(error))));
            }
        }
    }
}

/// By what it is known whether a file has changed; `None` if it is not there.
async fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = tokio::fs::metadata(path).await.ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
