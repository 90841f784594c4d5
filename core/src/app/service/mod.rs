//! `service`: has systemd run the daemon, and takes that back.
//!
//! A service of the whole machine has a user of its own and one folder that it may write to; one of a user runs as him,
//! in his folders. Whoever makes a package or an image has the same files written below another root.
//!
//! Law: nothing that a listener or a podcaster has is ever removed, and what stays is named.

mod systemd;
mod unit;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::args::GlobalArgs;
use super::failure::{Explain, Failure};
use super::out::Out;
use super::text::printable;
use super::write_atomic;
use systemd::Systemd;
use unit::Unit;

/// What to do with the service.
#[derive(Clone, Debug, Subcommand)]
pub enum ServiceCommand {
    /// Have systemd run it from now on, and whenever the machine starts.
    ///
    /// Of root, it becomes a service of the whole machine, with a user of its own that may write to one folder alone,
    /// /var/lib/NAME, and `config.toml` in there has its settings. With --user it runs as you, on the data directory
    /// that your commands have.
    Install(InstallArgs),
    /// Tell how the service stands, and where its unit, its data and its log are.
    Status(WhoseArgs),
    /// Stop it, and have systemd run it no more. Episodes, records, settings and keys stay where they are.
    Uninstall(WhoseArgs),
}

/// Whose service is meant.
#[derive(Args, Clone, Copy, Debug)]
#[command(about = None, long_about = None)]
pub struct WhoseArgs {
    /// Yours, not the whole machine's.
    #[arg(long)]
    user: bool,
}

/// The arguments of `service install`.
#[derive(Args, Clone, Debug)]
#[command(about = None, long_about = None)]
pub struct InstallArgs {
    /// Whose it is to be.
    #[command(flatten)]
    whose: WhoseArgs,
    /// Let the service of the whole machine write to this folder, too, such as a library elsewhere. May be given more
    /// than once.
    #[arg(long, value_name = "DIR", conflicts_with = "user")]
    writable: Vec<PathBuf>,
    /// Only write the files, for a package or an image: below this folder, in `usr/lib/systemd` and
    /// `usr/lib/sysusers.d`, and run nothing.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
}

/// What `service` has to know of a program.
#[derive(Clone, Copy, Debug)]
pub struct ServiceProgram {
    /// Its name, which is that of its unit and its user, too.
    pub name: &'static str,
    /// The command that is its daemon.
    pub verb: &'static str,
    /// What it is, for lists of services.
    pub title: &'static str,
    /// Whether it may listen on ports below 1024.
    pub binds_low_ports: bool,
}

/// Something that stays when the service goes.
#[derive(Clone, Debug, Serialize)]
pub struct Kept {
    /// What it is.
    pub what: &'static str,
    /// Where it is.
    pub path: PathBuf,
}

/// Whose service it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    System,
    User,
}

impl ServiceProgram {
    /// Where a service of the whole machine keeps its data.
    fn system_data(&self) -> PathBuf {
        Path::new("/var/lib").join(self.name)
    }

    fn unit_name(&self) -> String {
        format!("{}.service", self.name)
    }

    /// What makes the service's user.
    fn sysusers(&self) -> String {
        format!("u {} - \"{}\" {}\n", self.name, self.title, self.system_data().display())
    }
}

/// Does what `command` says. `kept` tells what stays of a data directory, or of the platform's if there is none.
pub async fn service(
    command: ServiceCommand,
    program: &ServiceProgram,
    global: &GlobalArgs,
    out: &Out,
    kept: impl AsyncFnOnce(Option<&Path>) -> Result<Vec<Kept>, Failure>,
) -> Result<(), Failure> {
    if let Some(server) = &global.server {
        let failure = Failure::usage(format!("`service` is of this machine; {server} is elsewhere"));
        return Err(failure.with_hint("leave out --server"));
    }
    match command {
        ServiceCommand::Install(InstallArgs { root: Some(root), whose, writable }) => {
            if whose.user {
                return Err(Failure::usage("--root writes the files of both kinds of services; leave out --user"));
            }
            write_below(&root, program, writable, out)
        }
        ServiceCommand::Install(args) => install(&args, program, global, out),
        ServiceCommand::Status(args) => status(args, program, global, out),
        ServiceCommand::Uninstall(args) => uninstall(args, program, global, out, kept).await,
    }
}

/// A service of this machine.
struct Here<'a> {
    program: &'a ServiceProgram,
    whose: Whose,
    systemd: Systemd,
    data: Option<PathBuf>,
}

impl<'a> Here<'a> {
    fn find(args: WhoseArgs, program: &'a ServiceProgram, global: &GlobalArgs) -> Result<Self, Failure> {
        if !cfg!(target_os = "linux") {
            return Err(elsewhere(program));
        }
        let whose = if args.user { Whose::User } else { Whose::System };
        let given = global.data_dir.as_deref().map(std::path::absolute).transpose()?;
        let data = given.or_else(|| (whose == Whose::System).then(|| program.system_data()));
        Ok(Self { program, whose, systemd: Systemd::find(whose, program)?, data })
    }

    /// Fails where this user may not change the machine's services.
    fn may_change(&self, what: &str) -> Result<(), Failure> {
        if self.whose == Whose::User || is_root() {
            return Ok(());
        }
        let name = self.program.name;
        let failure = Failure::new(format!("a service of the whole machine is root's to {what}"));
        Err(failure
            .with_hint(format!("`sudo {name} service {what}`, or `{name} service {what} --user` for one of yours")))
    }

    /// Where a unit that we write lies.
    fn unit_path(&self) -> Result<PathBuf, Failure> {
        let folder = match self.whose {
            Whose::System => PathBuf::from("/etc/systemd/system"),
            Whose::User => {
                let dirs = directories::BaseDirs::new()
                    .ok_or_else(|| Failure::new("this user has no home folder for units of systemd"))?;
                dirs.config_dir().join("systemd/user")
            }
        };
        Ok(folder.join(self.program.unit_name()))
    }

    /// Where a package keeps its unit, if one has brought it.
    fn packaged_unit(&self) -> Option<PathBuf> {
        let folder = if self.whose == Whose::System { "system" } else { "user" };
        let roots = ["/usr/lib/systemd", "/lib/systemd"].into_iter();
        roots.map(|root| Path::new(root).join(folder).join(self.program.unit_name())).find(|path| path.exists())
    }

    /// What makes the user, where we wrote it.
    fn sysusers_path(&self) -> PathBuf {
        PathBuf::from(format!("/etc/sysusers.d/{}.conf", self.program.name))
    }

    /// What shows its log.
    fn logs(&self) -> String {
        match self.whose {
            Whose::System => format!("journalctl -u {}", self.program.name),
            Whose::User => format!("journalctl --user -u {}", self.program.name),
        }
    }

    /// What drives it by hand.
    fn drive(&self, command: &str) -> String {
        match (self.whose, &self.data) {
            (Whose::System, Some(data)) => {
                format!("sudo {} --data-dir {} {command}", self.program.name, printable(&data.to_string_lossy()))
            }
            _ => format!("{} {command}", self.program.name),
        }
    }
}

fn install(args: &InstallArgs, program: &ServiceProgram, global: &GlobalArgs, out: &Out) -> Result<(), Failure> {
    let here = Here::find(args.whose, program, global)?;
    here.may_change("install")?;
    let config = global.config.as_deref().map(std::path::absolute).transpose()?;
    let writable = args.writable.iter().map(std::path::absolute).collect::<Result<Vec<_>, _>>()?;
    let file = own_file()?;
    let unit = Unit { program, whose: here.whose, file, data: here.data.clone(), config, writable };
    check_paths(&unit)?;
    let is_plain = global.data_dir.is_none() && unit.config.is_none() && unit.writable.is_empty();
    let packaged = here.packaged_unit().filter(|_| is_plain);
    let path = if let Some(packaged) = packaged {
        packaged
    } else {
        let path = here.unit_path()?;
        write(&path, &unit.text())?;
        path
    };
    if here.whose == Whose::System {
        let sysusers = here.sysusers_path();
        if !Path::new("/usr/lib/sysusers.d").join(format!("{}.conf", program.name)).exists() {
            write(&sysusers, &program.sysusers())?;
        }
        Systemd::make_user(program.name)?;
    }
    let runs = here.systemd.enable(&program.unit_name()).map_err(|failure| {
        failure.with_hint(format!("see `{}`; `{} service uninstall` takes it back", here.logs(), program.name))
    })?;
    out.line(format!("unit   {}", path.display()))?;
    if let Some(data) = &here.data {
        out.line(format!("data   {}", data.display()))?;
    }
    out.line(format!("log    {}", here.logs()))?;
    out.line(format!("drive  {}", here.drive("status")))?;
    out.json(&serde_json::json!({ "event": "installed", "unit": path, "data": here.data, "running": runs }))?;
    if runs {
        out.note(format!("{} runs, and starts with {}", program.name, here.systemd.starts_with()));
    } else {
        out.note(format!("systemd does not run here; {} starts with {}", program.name, here.systemd.starts_with()));
    }
    if here.whose == Whose::User && !Systemd::lingers() {
        out.note("it runs while you are logged in; `loginctl enable-linger` has it run always");
    }
    Ok(())
}

fn status(args: WhoseArgs, program: &ServiceProgram, global: &GlobalArgs, out: &Out) -> Result<(), Failure> {
    let here = Here::find(args, program, global)?;
    let path = Some(here.unit_path()?).filter(|path| path.exists()).or_else(|| here.packaged_unit());
    let state = here.systemd.state(&program.unit_name())?;
    out.json(&serde_json::json!({
        "event": "service", "unit": path, "data": here.data, "installed": path.is_some(),
        "state": state.now, "enabled": state.enabled, "pid": state.pid, "status": state.status,
    }))?;
    let Some(path) = path else {
        out.line(format!("{} is no service here", program.name))?;
        out.note(format!("`{} service install` makes it one", program.name));
        return Ok(());
    };
    let enabled = if state.enabled == "enabled" { "starts" } else { "does not start" };
    out.line(format!("{}: {}, {enabled} with {}", program.name, state.now, here.systemd.starts_with()))?;
    if !state.status.is_empty() {
        out.line(format!("says   {}", state.status))?;
    }
    out.line(format!("unit   {}", path.display()))?;
    if let Some(data) = &here.data {
        out.line(format!("data   {}", data.display()))?;
    }
    out.line(format!("log    {}", here.logs()))?;
    out.line(format!("drive  {}", here.drive("status")))
}

async fn uninstall(
    args: WhoseArgs,
    program: &ServiceProgram,
    global: &GlobalArgs,
    out: &Out,
    kept: impl AsyncFnOnce(Option<&Path>) -> Result<Vec<Kept>, Failure>,
) -> Result<(), Failure> {
    let here = Here::find(args, program, global)?;
    here.may_change("uninstall")?;
    let path = here.unit_path()?;
    if !path.exists() && here.packaged_unit().is_none() {
        let failure = Failure::new(format!("{} is no service here; there is no `{}`", program.name, path.display()));
        let other = if here.whose == Whose::System {
            "one of yours goes with --user"
        } else {
            "the machine's goes without --user"
        };
        return Err(failure.with_hint(other));
    }
    // What a data directory holds is looked up while the daemon can still be asked.
    let kept = kept(here.data.as_deref()).await?;
    here.systemd.disable(&program.unit_name())?;
    let sysusers = here.sysusers_path();
    for path in [Some(&path), Some(&sysusers).filter(|_| here.whose == Whose::System)].into_iter().flatten() {
        match fs::remove_file(path) {
            Ok(()) => out.line(format!("removed  {}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).explain(|| format!("remove `{}`", path.display())),
        }
    }
    here.systemd.reload()?;
    for Kept { what, path } in kept.iter().filter(|kept| kept.path.exists()) {
        out.line(format!("kept     {}  {what}", path.display()))?;
    }
    out.json(&serde_json::json!({ "event": "uninstalled", "kept": kept }))?;
    if here.whose == Whose::System {
        out.note(format!("the user `{0}` stays, as these files are his; `userdel {0}` removes him", program.name));
    }
    Ok(())
}

/// Writes the files of a package or an image.
fn write_below(root: &Path, program: &ServiceProgram, writable: Vec<PathBuf>, out: &Out) -> Result<(), Failure> {
    let own = own_file()?;
    let root = fs::canonicalize(root).explain(|| format!("find the folder `{}`", root.display()))?;
    let file = match own.strip_prefix(&root) {
        Ok(inner) => Path::new("/").join(inner),
        Err(_) => Path::new("/usr/bin").join(program.name),
    };
    let system = Unit {
        program,
        whose: Whose::System,
        file: file.clone(),
        data: Some(program.system_data()),
        config: None,
        writable,
    };
    check_paths(&system)?;
    let user = Unit { whose: Whose::User, data: None, writable: Vec::new(), ..system.clone() };
    let unit = program.unit_name();
    for (path, text) in [
        (format!("usr/lib/systemd/system/{unit}"), system.text()),
        (format!("usr/lib/systemd/user/{unit}"), user.text()),
        (format!("usr/lib/sysusers.d/{}.conf", program.name), program.sysusers()),
    ] {
        let path = root.join(path);
        write(&path, &text)?;
        out.line(path.display().to_string())?;
        out.json(&serde_json::json!({ "event": "written", "path": path }))?;
    }
    Ok(())
}

/// The file of this program.
fn own_file() -> Result<PathBuf, Failure> {
    std::env::current_exe().and_then(fs::canonicalize).explain(|| "find the file of this program".to_owned())
}

/// Folders that a service of the whole machine does not see.
const HIDDEN: [&str; 5] = ["home", "root", "run/user", "tmp", "var/tmp"];

/// Refuses paths that the service could not use.
fn check_paths(unit: &Unit) -> Result<(), Failure> {
    let name = unit.program.name;
    let all = [Some(&unit.file), unit.data.as_ref(), unit.config.as_ref()].into_iter().flatten().chain(&unit.writable);
    for path in all {
        if path.to_str().is_none_or(|text| printable(text) != text) {
            let shown = path.display();
            return Err(Failure::new(format!(
                "`{shown}` has a character in its name that no unit of systemd can have"
            )));
        }
        let is_hidden = HIDDEN.iter().any(|hidden| path.starts_with(Path::new("/").join(hidden)));
        if unit.whose == Whose::System && is_hidden {
            let shown = path.display();
            let failure =
                Failure::new(format!("`{shown}` is in a folder that a service of the whole machine does not see"));
            let hint = if *path == unit.file {
                format!("put the program elsewhere first: `install -m 755 {shown} /usr/local/bin/{name}`")
            } else {
                "use another folder, such as one below /srv, or make it a service of yours with --user".to_owned()
            };
            return Err(failure.with_hint(hint));
        }
    }
    Ok(())
}

/// Writes a small file whole, and makes its folder.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let saying = || format!("write `{}`", path.display());
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).explain(saying)?;
    write_atomic(path, text.as_bytes(), 0o644).explain(saying)
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// What to do where there is no systemd for sure.
fn elsewhere(program: &ServiceProgram) -> Failure {
    let ServiceProgram { name, verb, .. } = program;
    let how = if cfg!(target_os = "macos") {
        format!(
            "on macOS, have launchd run `{name} {verb}`: a file in ~/Library/LaunchAgents with `RunAtLoad` and `KeepAlive`"
        )
    } else if cfg!(windows) {
        format!(
            "on Windows, have the Task Scheduler run it: `schtasks /create /tn {name} /sc onlogon /tr \"{name} {verb}\"`"
        )
    } else {
        format!("have this system's own service manager run `{name} {verb}`")
    };
    Failure::new("services are made for systemd alone, which is Linux's").with_hint(how)
}
