//! The systemd unit of a program, made of the one template that packages are made of, too.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{ServiceProgram, Whose};

/// The template. A line that begins with a word in brackets is only for units of that kind.
const TEMPLATE: &str = include_str!("unit.service");

/// The kinds of units that lines of the template may be for.
const KINDS: [&str; 6] = ["system", "user", "state", "writable", "low-ports", "high-ports"];

/// What one unit differs in from others.
#[derive(Clone, Debug)]
pub(super) struct Unit<'a> {
    pub(super) program: &'a ServiceProgram,
    pub(super) whose: Whose,
    /// The program's file.
    pub(super) file: PathBuf,
    /// The data directory, where it is not the platform's.
    pub(super) data: Option<PathBuf>,
    /// The configuration file, where it is not that of the data directory.
    pub(super) config: Option<PathBuf>,
    /// Folders that it may write to besides.
    pub(super) writable: Vec<PathBuf>,
}

impl Unit<'_> {
    /// The unit's text. Every path is of printable text.
    pub(super) fn text(&self) -> String {
        let is_system = self.whose == Whose::System;
        let has_state = is_system && self.data.as_deref() == Some(&*self.program.system_data());
        let mut writable = self.writable.clone();
        writable.extend(self.data.clone().filter(|_| is_system && !has_state));
        let is_for = |kind: &str| match kind {
            "system" => is_system,
            "user" => !is_system,
            "state" => has_state,
            "writable" => is_system && !writable.is_empty(),
            "low-ports" => is_system && self.program.binds_low_ports,
            _ => is_system && !self.program.binds_low_ports,
        };
        let mut lines: Vec<&str> = Vec::new();
        for line in TEMPLATE.lines() {
            let marked = line.strip_prefix('[').and_then(|line| line.split_once("] "));
            match marked.filter(|(kind, _)| KINDS.contains(kind)) {
                Some((kind, line)) if is_for(kind) => lines.push(line),
                Some(_) => {}
                // Where a whole paragraph is not for this unit, one empty line is left of it.
                None if line.is_empty() && lines.last().is_some_and(|last| last.is_empty()) => {}
                None => lines.push(line),
            }
        }
        let paths = writable.iter().map(|path| quoted(path)).collect::<Vec<_>>().join(" ");
        let filled = lines.join("\n") + "\n";
        filled
            .replace("{name}", self.program.name)
            .replace("{title}", self.program.title)
            .replace("{writable}", &paths)
            .replace("{command}", &self.command())
    }

    /// What is run.
    fn command(&self) -> String {
        let mut command = format!("{} {}", quoted(&self.file), self.program.verb);
        for (flag, path) in [("--data-dir", &self.data), ("--config", &self.config)] {
            if let Some(path) = path {
                // Of what is run alone, systemd reads variables.
                let _ = write!(command, " {flag} {}", quoted(path).replace('$', "$$"));
            }
        }
        command
    }
}

/// A path as a unit spells it: in quotes where it needs them, and with nothing in it that systemd reads as its own.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = text.chars().all(|c| c.is_alphanumeric() || "/._-+".contains(c));
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    if plain { text } else { format!("\"{text}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: ServiceProgram =
        ServiceProgram { name: "podtest", verb: "serve", title: "Test of it", binds_low_ports: true };

    fn unit(whose: Whose) -> Unit<'static> {
        let data = (whose == Whose::System).then(|| PROGRAM.system_data());
        let file = PathBuf::from("/usr/bin/podtest");
        Unit { program: &PROGRAM, whose, file, data, config: None, writable: Vec::new() }
    }

    #[test]
    fn a_unit_has_every_place_filled_and_no_mark_left() {
        for whose in [Whose::System, Whose::User] {
            let text = unit(whose).text();
            assert!(!text.contains(['{', '}']), "{text}");
            for kind in KINDS {
                assert!(!text.contains(&format!("[{kind}]")), "{text}");
            }
            assert!(!text.contains("\n\n\n"), "{text}");
        }
    }

    #[test]
    fn a_system_service_has_a_user_and_a_folder_of_its_own_and_one_of_a_user_has_neither() {
        let system = unit(Whose::System).text();
        assert!(system.contains("\nExecStart=/usr/bin/podtest serve --data-dir /var/lib/podtest\n"), "{system}");
        assert!(system.contains("\nUser=podtest\n") && system.contains("\nStateDirectory=podtest\n"), "{system}");
        assert!(!system.contains("ReadWritePaths"), "{system}");
        let user = unit(Whose::User).text();
        assert!(user.contains("\nExecStart=/usr/bin/podtest serve\n"), "{user}");
        assert!(!user.contains("User=") && !user.contains("StateDirectory") && !user.contains("Protect"), "{user}");
    }

    #[test]
    fn a_program_that_needs_no_low_port_has_no_right_at_all() {
        let program = ServiceProgram { binds_low_ports: false, ..PROGRAM };
        let text = Unit { program: &program, ..unit(Whose::System) }.text();
        assert!(text.contains("\nCapabilityBoundingSet=\n") && !text.contains("CAP_"), "{text}");
    }

    #[test]
    fn folders_elsewhere_are_written_to_and_strange_names_are_quoted() {
        let data = Some(PathBuf::from("/srv/50% \"off\" $HOME"));
        let writable = vec![PathBuf::from("/srv/pod casts")];
        let text = Unit { data, writable, ..unit(Whose::System) }.text();
        let start = r#"ExecStart=/usr/bin/podtest serve --data-dir "/srv/50%% \"off\" $$HOME""#;
        assert!(text.contains(start), "{text}");
        assert!(text.contains(r#"ReadWritePaths="/srv/pod casts" "/srv/50%% \"off\" $HOME""#), "{text}");
        assert!(!text.contains("StateDirectory"), "{text}");
    }
}
