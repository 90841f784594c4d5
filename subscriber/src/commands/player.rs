//! A player that begins where listening stopped, and that tells how far it has come.
//!
//! mpv tells through a socket; vlc and ffplay are told where to begin and tell nothing, and others are told nothing.
//!
//! Source: mpv's manual, JSON IPC.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::ExitStatus;

use serde::Deserialize;
use tokio::process::Command;

use crate::ask::Ask;
use crate::desk::Contact;
use crate::records::{EpisodeId, Heard};

/// Seconds of an episode after which it is told again how far it was heard.
const TOLD_EVERY: u64 = 10;
/// Less is a glance.
const GLANCE: u64 = 5;

/// An episode that is listened to.
pub(super) struct Listening {
    pub(super) contact: Contact,
    pub(super) episode: EpisodeId,
    /// How far it was heard before.
    pub(super) heard: Option<Heard>,
}

impl Listening {
    /// What has a player of this name begin where listening stopped.
    pub(super) fn begin(&self, program: &Path) -> Vec<OsString> {
        let Some(heard) = self.heard.as_ref().filter(|heard| heard.position > GLANCE) else { return Vec::new() };
        // What was heard to its end begins anew.
        if heard.total.is_some_and(|total| heard.position + GLANCE >= total) {
            return Vec::new();
        }
        let at = heard.position;
        match name(program).as_str() {
            "mpv" => vec![format!("--start={at}").into()],
            "vlc" | "cvlc" => vec![format!("--start-time={at}").into()],
            "ffplay" => vec!["-ss".into(), at.to_string().into()],
            _ => Vec::new(),
        }
    }

    async fn tell(&self, place: &mut Place) {
        let (Some(position), Some(started)) = (place.position, place.started) else { return };
        if place.told == Some(position) {
            return;
        }
        place.told = Some(position);
        let episode = self.episode.to_string();
        let ask = Ask::Heard { episode, position, started, total: place.total };
        if let Err(failure) = self.contact.ask(ask).await {
            tracing::warn!(%failure, "nobody is told how far the episode was heard");
        }
    }
}

fn name(program: &Path) -> String {
    program.file_stem().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default()
}

/// Runs a player to its end, and tells how far it came, if it does.
pub(super) async fn run(mut command: Command, program: &Path, listening: Option<Listening>) -> io::Result<ExitStatus> {
    match listening {
        #[cfg(unix)]
        Some(listening) if name(program) == "mpv" => socket::run(command, listening).await,
        _ => command.status().await,
    }
}

/// How far a player has come, by what it says.
#[derive(Debug, Default)]
struct Place {
    started: Option<u64>,
    position: Option<u64>,
    total: Option<u64>,
    told: Option<u64>,
}

/// A line of mpv's.
#[derive(Deserialize)]
struct Said {
    event: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    data: serde_json::Value,
    #[serde(default)]
    reason: String,
}

impl Place {
    /// Takes in a line; whether it is to be told how far this is.
    fn take(&mut self, line: &str) -> bool {
        let Ok(said) = serde_json::from_str::<Said>(line) else { return false };
        // No player plays for longer, and none from before the beginning.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within these bounds")]
        let seconds = said.data.as_f64().filter(|seconds| (0.0..1e7).contains(seconds)).map(|seconds| seconds as u64);
        match (said.event.as_str(), said.name.as_str(), seconds) {
            ("property-change", "duration", Some(total)) => self.total = Some(total),
            ("property-change", "time-pos", Some(position)) => {
                self.started = self.started.or(Some(position));
                let before = self.told.or(self.started).unwrap_or(position);
                self.position = Some(position);
                return position.abs_diff(before) >= if self.told.is_none() { GLANCE } else { TOLD_EVERY };
            }
            ("end-file", ..) if said.reason == "eof" => self.position = self.total.or(self.position),
            _ => {}
        }
        false
    }

    /// Something was listened to.
    fn is_worth_telling(&self) -> bool {
        self.told.is_some() || self.position.zip(self.started).is_some_and(|(at, from)| at.abs_diff(from) >= GLANCE)
    }
}

#[cfg(unix)]
mod socket {
    //! mpv's socket.

    use std::fs::DirBuilder;
    use std::io;
    use std::os::unix::fs::DirBuilderExt as _;
    use std::path::{Path, PathBuf};
    use std::process::ExitStatus;
    use std::time::Duration;

    use podswarm_core::app::new_token;
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::UnixStream;
    use tokio::process::Command;

    use super::{Listening, Place};

    /// What is wanted of the player.
    const WATCH: &[u8] = b"{\"command\":[\"observe_property\",1,\"duration\"]}\n\
        {\"command\":[\"observe_property\",2,\"time-pos\"]}\n";
    /// How often it is tried to reach a player that has just begun.
    const LOOK_EVERY: Duration = Duration::from_millis(100);
    /// The last words of a player that has ended are waited for so long.
    const LAST_WORDS: Duration = Duration::from_secs(2);

    /// A folder that nobody else may enter, as long as a player runs.
    struct Folder(PathBuf);

    impl Folder {
        fn new() -> io::Result<Self> {
            let token = new_token().map_err(|failure| io::Error::other(failure.to_string()))?;
            // The path of a socket is short.
            let path = std::env::temp_dir().join(format!("podsub-{}", &token[..12]));
            DirBuilder::new().mode(0o700).create(&path)?;
            Ok(Self(path))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            // Nothing of it is needed, and the next reboot clears what stays.
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    pub(super) async fn run(mut command: Command, listening: Listening) -> io::Result<ExitStatus> {
        let folder = Folder::new()?;
        let socket = folder.0.join("mpv");
        let mut option = std::ffi::OsString::from("--input-ipc-server=");
        option.push(&socket);
        let mut child = command.arg(option).spawn()?;
        let mut watching = tokio::spawn(async move { watch(&socket, &listening).await });
        let status = child.wait().await;
        if tokio::time::timeout(LAST_WORDS, &mut watching).await.is_err() {
            watching.abort();
        }
        status
    }

    async fn watch(socket: &Path, listening: &Listening) -> io::Result<()> {
        let stream = loop {
            match UnixStream::connect(socket).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        };
        let (read, mut write) = stream.into_split();
        write.write_all(WATCH).await?;
        let (mut lines, mut place) = (BufReader::new(read).lines(), Place::default());
        while let Ok(Some(line)) = lines.next_line().await {
            if place.take(&line) {
                listening.tell(&mut place).await;
            }
        }
        if place.is_worth_telling() {
            listening.tell(&mut place).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mpv_says_is_told_now_and_then_and_at_the_end() {
        let mut place = Place::default();
        let at = |seconds: f64| format!(r#"{{"event":"property-change","id":2,"name":"time-pos","data":{seconds}}}"#);
        assert!(!place.take(r#"{"event":"property-change","id":1,"name":"duration","data":600.4}"#));
        assert!(!place.take(&at(100.2)) && !place.take(&at(104.9)) && !place.is_worth_telling());
        assert!(place.take(&at(105.1)) && place.is_worth_telling());
        place.told = Some(105);
        assert!(!place.take(&at(114.0)) && place.take(&at(115.0)));
        for line in
            ["", "{}", r#"{"request_id":0,"error":"success"}"#, &at(-3.0), &at(1e300), &at(0.0).replace('0', "null")]
        {
            place.take(line);
        }
        assert_eq!((place.started, place.position, place.total), (Some(100), Some(115), Some(600)));
        place.take(r#"{"event":"end-file","reason":"eof"}"#);
        assert_eq!(place.position, Some(600));
    }
}
