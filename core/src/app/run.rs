//! From the process's arguments to its exit code.

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgMatches, Parser};
use tracing_subscriber::EnvFilter;

use super::args::GlobalArgs;
use super::config;
use super::data_dir::DataDir;
use super::failure::{Explain, Failure};
use super::manual::ABOUT_ITSELF;
use super::out::Out;
use super::signal::end_if_first;

/// musl's own allocator has one lock for all threads, which a download at full speed mostly waits for.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Every variable that sets a flag begins so.
const ENV_PREFIX: &str = "PODSWARM_";
/// What still runs when a command has ended gets this long: nothing that matters is left to threads of its own.
const LINGER: Duration = Duration::from_secs(1);

/// Runs the program `name`: reads its arguments, sets up output, log and runtime, runs `command`, reports how it ended.
///
/// `C` is the program's whole command line; it holds the [`GlobalArgs`] and gives them with `AsRef`. Exit codes: 0
/// done, 1 failed, 2 wrong usage.
pub fn run_main<C, F, W>(name: &'static str, command: F) -> ExitCode
where
    C: Parser + AsRef<GlobalArgs>,
    F: FnOnce(C, Out) -> W,
    W: Future<Output = Result<(), Failure>>,
{
    let run = || {
        let arguments: C = parse(name, std::env::args_os())?;
        let out = Out::new(arguments.as_ref());
        init_tracing(arguments.as_ref().verbose, &out);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2)))
            .thread_name(name)
            .enable_all()
            .build()
            .explain(|| "start the runtime".to_owned())?;
        let result = runtime.block_on(async {
            end_if_first();
            command(arguments, out).await
        });
        runtime.shutdown_timeout(LINGER);
        result
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(name),
    }
}

/// Reads the arguments of the program `name`, the first of which is the program itself.
///
/// What they leave open comes from the environment, then from the file of `--config`, else from `config.toml` in the
/// data directory if there is one. The commands that tell of the command line itself, such as `config`, read no file.
/// Wrong arguments, `--help` and `--version` come back as a failure that prints and exits as clap would have it.
pub fn parse<C: Parser>(name: &str, arguments: impl IntoIterator<Item = OsString>) -> Result<C, Failure> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command = config::with_file(C::command(), None, ENV_PREFIX)?;
    // What the file is to give may yet be missing; whatever else is wrong is told when the arguments are read in
    // earnest.
    let file = match command.ignore_errors(true).try_get_matches_from(&arguments) {
        Ok(matches) => config_file(name, &matches)?,
        Err(help_or_version) => return Err(help_or_version.into()),
    };
    let command = config::with_file(C::command(), file.as_deref(), ENV_PREFIX)?;
    Ok(C::from_arg_matches(&command.try_get_matches_from(arguments)?)?)
}

/// Where the configuration file is, if there is one to read.
fn config_file(name: &str, matches: &ArgMatches) -> Result<Option<PathBuf>, Failure> {
    // The command that shows how a file is written must work when the file is wrong.
    if matches.subcommand_name().is_some_and(|name| ABOUT_ITSELF.contains(&name)) {
        return Ok(None);
    }
    if let Some(file) = shared_flag(matches, "config") {
        return Ok(Some(file));
    }
    let default = DataDir::resolve(shared_flag(matches, "data_dir").as_deref(), name)?.join("config.toml");
    Ok(default.exists().then_some(default))
}

/// The value of a flag that all commands share, wherever on the command line it stands.
fn shared_flag(matches: &ArgMatches, id: &str) -> Option<PathBuf> {
    let below = matches.subcommand().and_then(|(_, matches)| shared_flag(matches, id));
    below.or_else(|| matches.try_get_one::<PathBuf>(id).ok().flatten().cloned())
}

/// Sends the log to stderr, past the progress bars of `out`.
///
/// `verbosity` 0 logs warnings, 1 events, 2 decisions, 3 messages; the libraries beneath stay at warnings. `RUST_LOG`
/// beats it. Does nothing if the process has a log already.
pub fn init_tracing(verbosity: u8, out: &Out) {
    let ours = ["warn", "info", "debug", "trace"][usize::from(verbosity.min(3))];
    let filter = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|filter| !filter.is_empty());
    // What sled complains of the store mends and tells.
    let others = if verbosity == 0 { "warn,sled=off" } else { "warn" };
    let filter =
        filter.unwrap_or_else(|| format!("{others},{}", OUR_CRATES.map(|name| format!("{name}={ours}")).join(",")));
    let out = out.clone();
    let log = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse_lossy(filter))
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_writer(move || LogWriter(out.clone()));
    // Fails only if the process has a log already, as a test may.
    let _ = log.try_init();
}

/// The targets whose log `-v` raises.
const OUR_CRATES: [&str; 4] = ["podswarm_core", "podswarm_feeds", "podswarm_publisher", "podswarm_subscriber"];

struct LogWriter(Out);

impl io::Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_stderr(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Subcommand;

    use super::*;

    #[derive(Debug, Parser)]
    #[command(name = "podtest", version)]
    struct Cli {
        #[command(flatten)]
        global: GlobalArgs,
        #[command(subcommand)]
        command: Verb,
    }

    #[derive(Debug, Subcommand)]
    enum Verb {
        Config,
        Get {
            source: String,
            #[arg(long)]
            output: Option<PathBuf>,
        },
    }

    fn read(args: &[&str]) -> Result<Cli, Failure> {
        parse("podtest", ["podtest"].iter().chain(args).map(OsString::from))
    }

    #[track_caller]
    fn output_of(args: &[&str]) -> Option<PathBuf> {
        match read(args).unwrap().command {
            Verb::Get { output, .. } => output,
            Verb::Config => panic!("{args:?} asks for `get`"),
        }
    }

    #[test]
    fn the_file_in_the_data_directory_is_read_unless_another_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other.toml");
        std::fs::write(folder.path().join("config.toml"), "output = 'default'").unwrap();
        std::fs::write(&other, "output = 'other'").unwrap();
        let (dir, other) = (folder.path().to_str().unwrap(), other.to_str().unwrap());

        assert_eq!(output_of(&["--data-dir", dir, "get", "x"]).as_deref(), Some(Path::new("default")));
        assert_eq!(output_of(&["get", "x", "--data-dir", dir]).as_deref(), Some(Path::new("default")));
        assert_eq!(output_of(&["get", "x", "--data-dir", dir, "--config", other]).as_deref(), Some(Path::new("other")));
        assert_eq!(output_of(&["get", "x", "--data-dir", dir, "--output", "o"]).as_deref(), Some(Path::new("o")));
        std::fs::remove_file(folder.path().join("config.toml")).unwrap();
        assert_eq!(output_of(&["get", "x", "--data-dir", dir]), None);
    }

    #[test]
    fn a_named_file_that_is_missing_is_wrong_usage() {
        let failure = read(&["get", "x", "--config", "/nowhere/x.toml"]).unwrap_err();
        assert_eq!(failure.code(), 2);
        assert!(failure.to_string().contains("/nowhere/x.toml"), "{failure}");
    }

    #[test]
    fn wrong_arguments_exit_with_2_and_help_with_0() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_str().unwrap();
        let code = |args: &[&str]| read(&[&["--data-dir", dir], args].concat()).unwrap_err().code();
        assert_eq!(code(&["get"]), 2);
        assert_eq!(code(&["get", "x", "--nope"]), 2);
        assert_eq!(code(&["--help"]), 0);
        assert_eq!(code(&["--version"]), 0);
    }

    #[test]
    fn a_wrong_file_stands_not_in_the_way_of_help() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.toml"), "nonsense").unwrap();
        let dir = folder.path().to_str().unwrap();
        assert!(matches!(read(&["--data-dir", dir, "config"]).unwrap().command, Verb::Config));
        assert_eq!(read(&["--data-dir", dir, "get", "--help"]).unwrap_err().code(), 0);
        assert_eq!(read(&["--data-dir", dir, "get", "x"]).unwrap_err().code(), 2);
    }

    #[test]
    fn a_server_needs_its_token() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_str().unwrap();
        assert_eq!(read(&["--data-dir", dir, "--server", "http://h:1", "get", "x"]).unwrap_err().code(), 2);
    }
}
