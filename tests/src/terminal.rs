//! A real terminal: a window of tmux on a host, with a shell in it, that a test types into and looks at.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use crate::net::Host;
use crate::process::{PATIENCE, Program};

/// The shell, as nobody has set it up, with a prompt that is known.
const SHELL: &str = "PS1='ready$ ' exec bash --norc --noprofile";

/// A terminal with a shell.
#[derive(Debug)]
pub struct Terminal {
    host: Host,
    socket: PathBuf,
    // Ends with the terminal, and what runs in it with that.
    _server: Program,
}

impl Terminal {
    /// Opens a window of that many columns and lines on `host`; its socket lies in `folder`.
    #[track_caller]
    pub fn open(host: &Host, folder: &Path, width: u16, height: u16) -> Self {
        let socket = folder.join("tmux");
        let mut command = host.command("tmux");
        // Without a daemon it ends with the test.
        command.args(["-D", "-f", "/dev/null", "-S"]).arg(&socket);
        command.env("HOME", folder).env("LC_ALL", "C.UTF-8").env("TERM", "xterm-256color");
        let server = Program::start("tmux", command);
        let terminal = Self { host: host.clone(), socket, _server: server };
        let (width, height) = (width.to_string(), height.to_string());
        let end = Instant::now() + PATIENCE;
        while !terminal.ask(&["new-session", "-d", "-x", &width, "-y", &height, SHELL]).status.success() {
            assert!(Instant::now() < end, "tmux does not come up");
        }
        terminal.wait_for("the prompt", |screen| screen.contains("ready$"));
        terminal
    }

    /// Types text as it is, and presses Enter.
    #[track_caller]
    pub fn write_line(&self, text: &str) {
        self.write(text);
        self.press("Enter");
    }

    /// Types text as it is.
    #[track_caller]
    pub fn write(&self, text: &str) {
        self.tell(&["send-keys", "-l", text]);
    }

    /// Presses a key, as tmux calls it: `q`, `Down`, `Enter`, `C-c`.
    #[track_caller]
    pub fn press(&self, key: &str) {
        self.tell(&["send-keys", key]);
    }

    /// Makes the window that large.
    #[track_caller]
    pub fn resize(&self, width: u16, height: u16) {
        self.tell(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    /// What the window shows.
    #[track_caller]
    pub fn screen(&self) -> String {
        self.tell(&["capture-pane", "-p"])
    }

    /// The same with the escape sequences that colour it.
    #[track_caller]
    pub fn coloured_screen(&self) -> String {
        self.tell(&["capture-pane", "-p", "-e"])
    }

    /// Waits until the window shows what is wanted, and gives it.
    #[track_caller]
    pub fn wait_for(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if is_there(&screen) {
                return screen;
            }
            assert!(Instant::now() < end, "{what} does not come; the screen is\n{screen}");
        }
    }

    #[track_caller]
    fn tell(&self, arguments: &[&str]) -> String {
        let output = self.ask(arguments);
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("a terminal's text is UTF-8")
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        let mut command: Command = self.host.command("tmux");
        command.arg("-S").arg(&self.socket).args(arguments).env("LC_ALL", "C.UTF-8");
        command.output().expect("tmux is installed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::scratch;
    use crate::net::Net;

    #[test]
    fn what_is_typed_is_run_and_seen() {
        let (folder, host) = (scratch(), Net::new().host("alone"));
        let terminal = Terminal::open(&host, folder.path(), 70, 12);
        terminal.write_line("echo $((6*7)) columns $(stty size)");
        terminal.wait_for("the answer", |screen| screen.contains("42 columns 12 70"));
    }
}
