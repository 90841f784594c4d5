//! Asks systemd, by the programs that it brings.

use std::path::Path;
use std::process::{Command, Output};

use super::{ServiceProgram, Whose};
use crate::app::failure::{Explain, Failure};

/// The systemd of this machine, or of one of its users.
pub(super) struct Systemd {
    whose: Whose,
    /// Whether it runs, so that it can be asked to do things now.
    runs: bool,
}

/// How a unit stands.
pub(super) struct State {
    /// Such as `active (running)`.
    pub(super) now: String,
    /// Such as `enabled`.
    pub(super) enabled: String,
    /// The daemon's process.
    pub(super) pid: Option<u32>,
    /// What the daemon says of itself.
    pub(super) status: String,
}

impl Systemd {
    /// Fails where there is none.
    pub(super) fn find(whose: Whose, program: &ServiceProgram) -> Result<Self, Failure> {
        let runs = Path::new("/run/systemd/system").is_dir();
        let systemd = Self { whose, runs };
        if systemd.output(&["--version"]).is_err() {
            let failure = Failure::new("there is no systemctl here: this machine is not run by systemd");
            let ServiceProgram { name, verb, .. } = program;
            return Err(failure.with_hint(format!("have its own service manager run `{name} {verb}`")));
        }
        if whose == Whose::User && !runs {
            let failure = Failure::new("systemd does not run here, so that it runs no services of users either");
            let ServiceProgram { name, verb, .. } = program;
            return Err(failure.with_hint(format!("run `{name} {verb}` by hand, or by what this machine has instead")));
        }
        Ok(systemd)
    }

    fn command(&self) -> Command {
        let mut command = Command::new("systemctl");
        if self.whose == Whose::User {
            command.arg("--user");
        }
        // Texts are read.
        command.args(["--no-pager", "--no-ask-password"]).env("LC_ALL", "C");
        command
    }

    fn output(&self, args: &[&str]) -> std::io::Result<Output> {
        self.command().args(args).output()
    }

    /// Runs systemctl. Fails with what it says.
    fn run(&self, args: &[&str]) -> Result<(), Failure> {
        let output = self.output(args).explain(|| "run systemctl".to_owned())?;
        succeeded(&output, &format!("systemctl {}", args.join(" ")))
    }

    /// Has it read its units again.
    pub(super) fn reload(&self) -> Result<(), Failure> {
        if self.runs { self.run(&["daemon-reload"]) } else { Ok(()) }
    }

    /// Has a unit start with the machine, and now where that can be. Returns whether it runs.
    pub(super) fn enable(&self, unit: &str) -> Result<bool, Failure> {
        self.reload()?;
        self.run(&["enable", unit])?;
        if self.runs {
            // One that ran already is to be what its unit is now.
            self.run(&["restart", unit])?;
        }
        Ok(self.runs)
    }

    /// Stops a unit, and has it start no more.
    pub(super) fn disable(&self, unit: &str) -> Result<(), Failure> {
        if self.runs {
            self.run(&["stop", unit])?;
        }
        self.run(&["disable", unit])
    }

    /// Makes the user that a service has, unless there is one.
    pub(super) fn make_user(name: &str) -> Result<(), Failure> {
        let saying = || format!("make the user `{name}`");
        let file = format!("{name}.conf");
        let output = Command::new("systemd-sysusers").arg(file).output().explain(saying)?;
        succeeded(&output, "systemd-sysusers").map_err(|failure| Failure::new(saying()).because(failure.to_string()))
    }

    /// How a unit stands.
    pub(super) fn state(&self, unit: &str) -> Result<State, Failure> {
        let properties = "--property=ActiveState,SubState,UnitFileState,MainPID,StatusText";
        let mut state =
            State { now: "not running".to_owned(), enabled: String::new(), pid: None, status: String::new() };
        if !self.runs {
            let output = self.output(&["is-enabled", unit]).explain(|| "run systemctl".to_owned())?;
            String::from_utf8_lossy(&output.stdout).trim().clone_into(&mut state.enabled);
            "not running, as systemd is not".clone_into(&mut state.now);
            return Ok(state);
        }
        let output = self.output(&["show", properties, unit]).explain(|| "run systemctl".to_owned())?;
        succeeded(&output, "systemctl show")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let of = |key: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            value.unwrap_or_default().to_owned()
        };
        state.now = format!("{} ({})", of("ActiveState"), of("SubState"));
        state.enabled = of("UnitFileState");
        state.pid = of("MainPID").parse().ok().filter(|pid| *pid > 0);
        state.status = of("StatusText");
        Ok(state)
    }

    /// With what services of this kind start.
    pub(super) const fn starts_with(&self) -> &'static str {
        match self.whose {
            Whose::System => "the machine",
            Whose::User => "your session",
        }
    }

    /// Whether this user's services run when he is not logged in.
    pub(super) fn lingers() -> bool {
        let Ok(output) = Command::new("loginctl").args(["show-user", "--property=Linger", "--value"]).output() else {
            return false;
        };
        output.stdout.starts_with(b"yes")
    }
}

fn succeeded(output: &Output, what: &str) -> Result<(), Failure> {
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.trim().lines().next().unwrap_or("it does not say why");
    Err(Failure::new(format!("{what}: {said}")))
}
