//! Where a command's words go: data to stdout, everything else to stderr.
//!
//! Law: with `--json`, stdout holds one JSON object per line and nothing else. What came from outside reaches no
//! terminal with a control character in it.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

use super::args::GlobalArgs;
use super::failure::Failure;
use super::progress::Progress;
use super::text::{is_invisible, printable};

/// The form of what goes to stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line, for programs.
    Json,
    /// Lines for people.
    #[default]
    Text,
}

/// The output of one command; clones write to the same place.
#[derive(Clone, Debug)]
pub struct Out {
    format: Format,
    quiet: bool,
    sink: Sink,
    /// Present when progress is drawn: stderr is a terminal and nobody asked for silence or JSON.
    bars: Option<MultiProgress>,
}

#[derive(Clone, Debug)]
enum Sink {
    Captured(Captured),
    Process,
}

/// What an [`Out`] made for a test was told.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    stdout: Arc<Mutex<Vec<u8>>>,
    stderr: Arc<Mutex<Vec<u8>>>,
}

impl Captured {
    /// All that went to stdout so far.
    pub fn stdout(&self) -> String {
        text_of(&self.stdout)
    }

    /// All that went to stderr so far.
    pub fn stderr(&self) -> String {
        text_of(&self.stderr)
    }
}

fn text_of(bytes: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&lock(bytes)).into_owned()
}

/// What a test that panicked had written is whole all the same.
fn lock(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Out {
    /// The output that the flags `--json` and `--quiet` ask for.
    pub fn new(args: &GlobalArgs) -> Self {
        let format = if args.json { Format::Json } else { Format::Text };
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let draws = format == Format::Text && !args.quiet && !dumb && io::stderr().is_terminal();
        let bars = draws.then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Self { format, quiet: args.quiet, sink: Sink::Process, bars }
    }

    /// An output that keeps what it is told, for tests of whole commands. It counts as no terminal.
    pub fn captured(format: Format, quiet: bool) -> (Self, Captured) {
        let captured = Captured::default();
        (Self { format, quiet, sink: Sink::Captured(captured.clone()), bars: None }, captured)
    }

    /// Whether stdout takes JSON only.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether notes and progress are unwanted.
    pub const fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints data for people: each line of `text`, made [`printable`] but for its tabs, to stdout. Does nothing with
    /// `--json`.
    ///
    /// Fails if stdout cannot be written; a reader that has gone (`| head -1`) ends the command without a word, once
    /// the failure is handed up.
    pub fn line(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        if self.format == Format::Json {
            return Ok(());
        }
        self.write_stdout(printable_lines(text.as_ref()).as_bytes())
    }

    /// Prints `value`, which must serialise to a JSON object, as one line to stdout. Does nothing without `--json`, so
    /// that a command may call [`Out::line`] and this one after the other. Fails as [`Out::line`] does.
    pub fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        if self.format == Format::Text {
            return Ok(());
        }
        let mut line = escape_invisible(&serde_json::to_string(value)?);
        line.push('\n');
        self.write_stdout(line.as_bytes())
    }

    /// Tells people something beside the data, on stderr; silent with `--quiet`.
    pub fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            self.write_stderr(printable_lines(text.as_ref()).as_bytes());
        }
    }

    /// Tells people of something that is not as it should be, on stderr, even with `--quiet`.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.write_stderr(printable_lines(&format!("warning: {}", text.as_ref())).as_bytes());
    }

    /// Begins to show how a long piece of work called `name` proceeds. Several may run at once.
    pub fn progress(&self, name: impl Into<String>) -> Progress {
        Progress::new(self.clone(), name.into())
    }

    pub(super) const fn bars(&self) -> Option<&MultiProgress> {
        self.bars.as_ref()
    }

    fn write_stdout(&self, bytes: &[u8]) -> Result<(), Failure> {
        let written = match &self.sink {
            Sink::Captured(captured) => lock(&captured.stdout).write_all(bytes),
            Sink::Process => self.beside_bars(|| {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes).and_then(|()| stdout.flush())
            }),
        };
        written.map_err(stdout_failure)
    }

    /// Writes to stderr as it is. Nobody is left to tell if that is gone.
    pub(super) fn write_stderr(&self, bytes: &[u8]) {
        let _ = match &self.sink {
            Sink::Captured(captured) => lock(&captured.stderr).write_all(bytes),
            Sink::Process => self.beside_bars(|| io::stderr().lock().write_all(bytes)),
        };
    }

    /// Takes the progress bars off the screen while `write` runs.
    fn beside_bars<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

fn stdout_failure(error: io::Error) -> Failure {
    match error.kind() {
        ErrorKind::BrokenPipe => Failure::quiet(),
        _ => Failure::new("write to standard output").because(error),
    }
}

/// Each line of `text` made printable and ended; tabs stay, for programs that cut columns.
fn printable_lines(text: &str) -> String {
    let mut lines = String::with_capacity(text.len() + 1);
    for line in text.split('\n') {
        for (index, column) in line.split('\t').enumerate() {
            lines.push_str(if index == 0 { "" } else { "\t" });
            lines.push_str(&printable(column));
        }
        lines.push('\n');
    }
    lines
}

/// JSON text that means the same and shows a terminal no control characters: all that lie outside ASCII stand within
/// strings, where an escape says the same.
fn escape_invisible(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() || is_invisible(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(escaped, "\\u{unit:04x}").expect("a string takes all that is written");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_goes_to_stdout_and_notes_to_stderr() {
        let (out, heard) = Out::captured(Format::Text, false);
        out.line("magnet:?xt=1").unwrap();
        out.json(&json!({"unseen": true})).unwrap();
        out.note("serving until Ctrl-C");
        assert_eq!(heard.stdout(), "magnet:?xt=1\n");
        assert_eq!(heard.stderr(), "serving until Ctrl-C\n");
    }

    #[test]
    fn with_json_stdout_holds_objects_and_nothing_else() {
        let (out, heard) = Out::captured(Format::Json, false);
        out.line("for people").unwrap();
        out.json(&json!({"event": "listening", "addr": "127.0.0.1:1"})).unwrap();
        out.note("for people too");
        assert_eq!(heard.stdout(), "{\"addr\":\"127.0.0.1:1\",\"event\":\"listening\"}\n");
        assert_eq!(heard.stderr(), "for people too\n");
    }

    #[test]
    fn quiet_silences_notes_but_neither_data_nor_warnings() {
        let (out, heard) = Out::captured(Format::Text, true);
        out.note("noise");
        out.line("data").unwrap();
        out.warn("port 6969 is in use, taking 6970");
        assert_eq!(
            (heard.stdout().as_str(), heard.stderr().as_str()),
            ("data\n", "warning: port 6969 is in use, taking 6970\n")
        );
    }

    #[test]
    fn a_reader_that_has_gone_ends_the_command_without_a_word() {
        let failure = stdout_failure(ErrorKind::BrokenPipe.into());
        assert_eq!((failure.code(), failure.to_string().as_str()), (0, ""));
        let failure = stdout_failure(ErrorKind::StorageFull.into());
        assert_eq!(failure.code(), 1);
        assert!(failure.to_string().starts_with("write to standard output: "), "{failure}");
    }

    #[test]
    fn a_hostile_title_cannot_drive_the_terminal() {
        let title = "x\u{1b}]0;owned\u{7}\u{202e}\u{9b}\r";
        let (out, heard) = Out::captured(Format::Text, false);
        out.line(format!("{title}\nnext\tcolumn")).unwrap();
        assert_eq!(heard.stdout(), "x\u{fffd}]0;owned\u{fffd}\u{fffd} \nnext\tcolumn\n");

        let (out, heard) = Out::captured(Format::Json, false);
        out.json(&json!({ "title": title })).unwrap();
        assert!(heard.stdout().trim_end().chars().all(|c| !c.is_control() && !is_invisible(c)), "{}", heard.stdout());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&heard.stdout()).unwrap()["title"], title);
    }
}
