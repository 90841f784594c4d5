//! A folder with data directories, and the program on them.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use podswarm_feeds::read::{self, Channel};
use serde_json::Value;
use url::Url;

pub(crate) struct World {
    dir: tempfile::TempDir,
}

/// A program that runs, killed when dropped.
pub(crate) struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

/// What became of a command that ended.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) events: Vec<Value>,
    pub(crate) stderr: String,
}

impl Ended {
    /// The events of that name.
    pub(crate) fn all(&self, event: &str) -> Vec<&Value> {
        self.events.iter().filter(|it| it["event"] == event).collect()
    }

    /// The one event of that name.
    #[track_caller]
    pub(crate) fn the(&self, event: &str) -> &Value {
        let all = self.all(event);
        assert_eq!(all.len(), 1, "{:?} {}", self.events, self.stderr);
        all[0]
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A `podpub` command on the data directory `data`, deaf to the settings of whoever tests.
    pub(crate) fn command(&self, data: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podpub"));
        command.args(args).arg("--data-dir").arg(self.path(data)).stdin(Stdio::null()).current_dir(self.dir.path());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PODSWARM_")) {
            command.env_remove(name);
        }
        // The machine has neighbours.
        command.env("PODSWARM_NO_LSD", "1").env("PODSWARM_NO_DHT", "1").env("PODSWARM_NO_PORT_MAP", "1");
        command
    }

    /// Runs a command to its end, with `--json`.
    #[track_caller]
    pub(crate) fn run(&self, data: &str, args: &[&str]) -> Ended {
        let Output { status, stdout, stderr } = self.command(data, args).arg("--json").output().unwrap();
        let lines = String::from_utf8(stdout).unwrap();
        let events = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Ended { code: status.code(), events, stderr: String::from_utf8(stderr).unwrap() }
    }

    /// The same of one that must succeed.
    #[track_caller]
    pub(crate) fn done(&self, data: &str, args: &[&str]) -> Ended {
        let ended = self.run(data, args);
        assert_eq!(ended.code, Some(0), "{args:?}: {}", ended.stderr);
        ended
    }

    pub(crate) fn start(&self, data: &str, args: &[&str]) -> Running {
        let mut command = self.command(data, args);
        let mut child = command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Running { child, lines }
    }

    /// `podpub serve` on any free ports, and where it listens.
    pub(crate) fn serve(&self, data: &str, args: &[&str]) -> (Running, String) {
        let args = [&["serve", "--listen", "127.0.0.1:0", "--peer-port", "0"], args].concat();
        let mut running = self.start(data, &args);
        let event = running.wait(|event| event["event"] == "listening" && event["kind"] == "http");
        (running, format!("http://{}", event["addr"].as_str().unwrap()))
    }
}

impl Running {
    /// Waits for an object that `is_meant`.
    #[track_caller]
    pub(crate) fn wait(&mut self, is_meant: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.lines.next().expect("it still prints").unwrap();
            let value: Value = serde_json::from_str(&line).unwrap();
            if is_meant(&value) {
                return value;
            }
        }
    }

    /// As a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// GETs `url`, and follows no redirects: status, `Location` and body.
pub(crate) fn get(url: &str) -> (u16, Option<String>, Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let response = client.get(url).send().await.unwrap();
        let location = response.headers().get("location").map(|it| it.to_str().unwrap().to_owned());
        (response.status().as_u16(), location, response.bytes().await.unwrap().to_vec())
    })
}

/// The feed at `url`.
#[track_caller]
pub(crate) fn feed(url: &str) -> Channel {
    let (status, _, body) = get(url);
    assert_eq!(status, 200, "{url}");
    read::parse(&body, &Url::parse(url).unwrap(), None).unwrap()
}

/// A sound of a tenth of a second and `more` bytes; `seed` decides which.
pub(crate) fn wav(seed: u32, more: u32) -> Vec<u8> {
    let samples = 800 + more;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + samples).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data");
    file.extend(samples.to_le_bytes());
    file.extend(seed.to_le_bytes());
    file.extend((4..samples).map(|i| u8::try_from((i ^ seed.wrapping_mul(31)) % 251).unwrap()));
    file
}
