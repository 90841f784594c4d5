//! A program under test: started, listened to line by line, stopped or killed.
//!
//! Waiting is always for a line that says something, with a time limit that only a broken program reaches. A test
//! that waits in vain panics with what the program had said on both streams.
//!
//! Law: a program ends with the test that started it.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use podswarm_core::rate::ByteCount;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Longer than anything takes on a machine that works, however busy it is.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// How many lines of a program a failed wait prints.
const LINES_SHOWN: usize = 40;

/// A running program.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    lines: Receiver<Line>,
    /// Read, but not yet taken by a wait.
    waiting: VecDeque<Line>,
    /// The last lines that a wait took.
    last: VecDeque<Line>,
    stderr: Arc<Mutex<String>>,
    stderr_reader: Option<JoinHandle<()>>,
}

/// What a program wrote on its standard output, up to a line feed or a carriage return.
#[derive(Clone, Debug)]
pub struct Line {
    /// When it was read.
    pub at: Instant,
    /// The text without its line end.
    pub text: String,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Every line of standard output that no wait had taken.
    pub lines: Vec<Line>,
    /// All of standard error.
    pub stderr: String,
}

impl Line {
    /// The line as a JSON value; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The name of the event that the line tells of, if it does.
    pub fn event(&self) -> Option<String> {
        self.json().get("event")?.as_str().map(str::to_owned)
    }
}

impl Program {
    /// Starts `command`; `name` is what failures call it.
    #[track_caller]
    pub fn start(name: &str, mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {command:?}: {error}"));
        let (sender, lines) = mpsc::channel();
        let stdout = child.stdout.take().expect("stdout is a pipe");
        thread::spawn(move || read_lines(BufReader::new(stdout), |line| sender.send(line).is_ok()));
        let stderr = Arc::new(Mutex::new(String::new()));
        let (pipe, text) = (child.stderr.take().expect("stderr is a pipe"), Arc::clone(&stderr));
        let stderr_reader = thread::spawn(move || {
            read_lines(BufReader::new(pipe), |line| {
                let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&line.text);
                text.push('\n');
                true
            });
        });
        Self {
            name: name.to_owned(),
            child,
            lines,
            waiting: VecDeque::new(),
            last: VecDeque::new(),
            stderr,
            stderr_reader: Some(stderr_reader),
        }
    }

    /// Waits until a line answers `pick`, and returns when it was read and the answer.
    ///
    /// Lines before it are passed over and never seen again. Panics, naming `what`, if the program ends first or
    /// `limit` passes.
    #[track_caller]
    pub fn wait_for<T>(&mut self, what: &str, limit: Duration, pick: impl Fn(&Line) -> Option<T>) -> (Instant, T) {
        self.wait_for_or_end(what, limit, pick).unwrap_or_else(|| {
            let status = self.child.wait();
            self.fail(&format!("ended before {what}: {status:?}"))
        })
    }

    /// The same; `None` if the program ends first.
    #[track_caller]
    pub fn wait_for_or_end<T>(
        &mut self,
        what: &str,
        limit: Duration,
        pick: impl Fn(&Line) -> Option<T>,
    ) -> Option<(Instant, T)> {
        let end = Instant::now() + limit;
        loop {
            let line = match self.next_line(end) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => self.fail(&format!("no {what} in {limit:?}")),
                Err(RecvTimeoutError::Disconnected) => return None,
            };
            let (at, answer) = (line.at, pick(&line));
            if self.last.len() == LINES_SHOWN {
                self.last.pop_front();
            }
            self.last.push_back(line);
            if let Some(answer) = answer {
                return Some((at, answer));
            }
        }
    }

    /// Whether a line that no wait has taken yet answers `pick` by now.
    pub fn has_said<T>(&mut self, pick: impl Fn(&Line) -> Option<T>) -> bool {
        self.waiting.extend(self.lines.try_iter());
        self.waiting.iter().any(|line| pick(line).is_some())
    }

    /// Waits for the event called `name` and returns when it was read and the event.
    #[track_caller]
    pub fn event(&mut self, name: &str, limit: Duration) -> (Instant, Value) {
        self.wait_for(&format!("event {name:?}"), limit, |line| {
            (line.event().as_deref() == Some(name)).then(|| line.json())
        })
    }

    /// Waits until each of the events has come, in whatever order.
    #[track_caller]
    pub fn events(&mut self, names: &[&str], limit: Duration) {
        let end = Instant::now() + limit;
        let mut missing = names.to_vec();
        while !missing.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            let (_, event) = self.wait_for(&format!("events {missing:?}"), left, Line::event);
            missing.retain(|name| *name != event);
        }
    }

    /// Lets the program go on for `time`, or until it ends: for a cut at a moment that must not matter.
    pub fn go_on(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.waiting.push_back(line);
        }
    }

    /// Waits until the program ends by itself.
    #[track_caller]
    pub fn end(mut self, limit: Duration) -> Ended {
        let end = Instant::now() + limit;
        let mut lines = Vec::new();
        loop {
            match self.next_line(end) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.last.extend(lines);
                    self.fail(&format!("still runs after {limit:?}"))
                }
            }
        }
        let status = self.wait();
        if let Some(reader) = self.stderr_reader.take() {
            reader.join().expect("a reader does not panic");
        }
        Ended { code: status.code(), lines, stderr: self.stderr() }
    }

    /// Asks the program to stop and waits until it has. Panics if that takes longer than `limit`.
    #[track_caller]
    pub fn stop(self, limit: Duration) -> Ended {
        self.signal(Signal::TERM);
        self.end(limit)
    }

    /// Ends the program at once, as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.wait();
    }

    /// The most memory that the program ever had resident.
    pub fn peak_memory(&self) -> ByteCount {
        self.memory_figure("VmHWM:")
    }

    /// The same without the files that it has mapped, which is its text above all: a debug build has much of that.
    pub fn own_peak_memory(&self) -> ByteCount {
        ByteCount(self.peak_memory().0.saturating_sub(self.memory_figure("RssFile:").0))
    }

    fn memory_figure(&self, name: &str) -> ByteCount {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the program runs");
        let figure = status.lines().find_map(|line| line.strip_prefix(name)?.strip_suffix("kB"));
        let kib: u64 = figure.and_then(|kib| kib.trim().parse().ok()).expect("Linux tells memory in kB");
        ByteCount(kib * 1024)
    }

    /// The processor time that the program has used so far, all its threads together.
    pub fn cpu_time(&self) -> Duration {
        cpu_time_in(&format!("/proc/{}/stat", self.child.id()), 11)
    }

    /// The files, sockets and pipes that the program has open now.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("the program runs").count()
    }

    /// The memory that the program has resident now.
    pub fn memory(&self) -> ByteCount {
        self.memory_figure("VmRSS:")
    }

    /// The file `path` as the program sees it, which may have mounts of its own.
    pub fn sees(&self, path: &Path) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join("root").join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A command that sees the mounts of this program.
    pub fn command_beside(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.child.id().to_string(), "--", program]);
        command
    }

    /// What the program has written to standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn next_line(&mut self, end: Instant) -> Result<Line, RecvTimeoutError> {
        match self.waiting.pop_front() {
            Some(line) => Ok(line),
            None => self.lines.recv_timeout(end.saturating_duration_since(Instant::now())),
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child's id is a process id");
        kill_process(pid, signal).expect("a child can be signalled");
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("a child can be waited for")
    }

    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        let from = self.last.len().saturating_sub(LINES_SHOWN);
        let lines: Vec<_> = self.last.iter().skip(from).map(|line| line.text.as_str()).collect();
        panic!("{}: {why}\n--- stdout\n{}\n--- stderr\n{}", self.name, lines.join("\n"), self.stderr());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails only where the program has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processor time of all programs that this one has started and that have ended, and of what they have started.
pub fn cpu_time_of_ended() -> Duration {
    cpu_time_in("/proc/self/stat", 13)
}

/// The sum of user and system time, which stand in `path` behind so many other fields.
fn cpu_time_in(path: &str, others: usize) -> Duration {
    let stat = fs::read_to_string(path).expect("the program runs");
    // The name in parentheses may contain anything.
    let (_, fields) = stat.rsplit_once(')').expect("Linux writes the name in parentheses");
    let ticks = fields.split_whitespace().skip(others).take(2).filter_map(|ticks| ticks.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 1000 / rustix::param::clock_ticks_per_second())
}

/// Reads to the end of `input`; `take` gets each line that is not empty and says whether it wants more.
fn read_lines(mut input: impl Read, mut take: impl FnMut(Line) -> bool) {
    let mut buffer = [0; 4096];
    let mut line = Vec::new();
    loop {
        let length = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        for &byte in &buffer[..length] {
            if byte != b'\n' && byte != b'\r' {
                line.push(byte);
            } else if !line.is_empty() {
                let text = String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned();
                if !take(Line { at: Instant::now(), text }) {
                    return;
                }
            }
        }
    }
    if !line.is_empty() {
        take(Line { at: Instant::now(), text: String::from_utf8_lossy(&line).into_owned() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Program::start("sh", command)
    }

    #[test]
    fn lines_are_told_as_they_come() {
        let mut program =
            shell(r#"echo one; printf 'two\rthree\n'; echo '{"event":"up","n":4}'; cat >&2; exec sleep 60"#);
        program.wait_for("three", PATIENCE, |line| (line.text == "three").then_some(()));
        let (_, event) = program.event("up", PATIENCE);
        assert_eq!(event["n"], 4);
        assert!(!program.has_said(|line| (line.text == "two").then_some(())));
        assert!(program.peak_memory() > ByteCount(0));
        assert_eq!(program.stop(PATIENCE).code, None);
    }

    #[test]
    fn an_ended_program_gives_its_code_and_both_streams() {
        let ended = shell("echo out; echo err >&2; exit 3").end(PATIENCE);
        assert_eq!(ended.code, Some(3));
        assert_eq!(ended.lines[0].text, "out");
        assert_eq!(ended.stderr, "err\n");
    }
}
