//! Where a setting comes from: flag, else environment, else file, else the built-in default.
//!
//! There is no second list of settings. Every flag of the command line is also a `PODSWARM_*` variable and a key of the
//! TOML file, by being given the file's value as its default before the arguments are read. So each is documented,
//! typed and checked in one place, its flag.
//!
//! A key at the top of the file holds for every command that has the flag; one in a table named after a command, such
//! as `[serve]`, for that command only.
//!
//! Law: a key that no command knows, or a value that its flag would refuse, is refused.

use std::any::TypeId;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as _;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::{BoolishValueParser, ValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};
use toml::{Table, Value};

use super::failure::Failure;
pub use super::sample::sample;

/// `command` with all its flags open to variables that begin with `env_prefix`, and with the values of `file` as
/// defaults. Parse the arguments with what comes back.
///
/// Fails, as wrong usage that names the file and the key, if the file cannot be read, is no TOML, or breaks this
/// module's law.
pub fn with_file(command: Command, file: Option<&Path>, env_prefix: &str) -> Result<Command, Failure> {
    let rule = format!(
        "Every flag is also a variable (--data-dir is {env_prefix}DATA_DIR) and a key of config.toml; \
         `{} config` prints all.",
        command.get_name()
    );
    let command = with_environment(command, env_prefix, &rule);
    let Some(path) = file else { return Ok(command) };
    let table = read(path)?;
    let file = File { path, program: command.get_name().to_owned(), known: known_keys(&command) };
    file.apply(command, &Scope::default(), Some(&table))
}

/// Lets every flag be set by a variable, reads the variables of switches as people write them (`1`, `yes`, `on`), and
/// ends every help text with the rule for both. An empty variable counts as unset.
fn with_environment(command: Command, prefix: &str, rule: &str) -> Command {
    let command = if command.get_after_help().is_none() { command.after_help(rule.to_owned()) } else { command };
    command
        .mut_args(|arg| {
            let Some(key) = key_of(&arg) else { return arg };
            let arg = match arg.get_action() {
                ArgAction::SetTrue | ArgAction::SetFalse => arg.value_parser(BoolishValueParser::new()),
                _ => arg,
            };
            let name = format!("{prefix}{}", key.to_ascii_uppercase());
            let is_empty = std::env::var_os(&name).is_some_and(|value| value.is_empty());
            if is_empty || arg.get_env().is_some() { arg } else { arg.env(name).hide_env(true) }
        })
        .mut_subcommands(|sub| with_environment(sub, prefix, rule))
}

/// The name of a flag as a setting: its long name in snake case. `None` for what is no setting: positional arguments,
/// help and version.
fn key_of(arg: &Arg) -> Option<String> {
    let is_setting = matches!(
        arg.get_action(),
        ArgAction::Set | ArgAction::Append | ArgAction::SetTrue | ArgAction::SetFalse | ArgAction::Count
    );
    arg.get_long().filter(|_| is_setting).map(normal)
}

/// The flag that cannot stand in the file.
const NAMES_THE_FILE: &str = "config";

/// Keys may be written in snake case or in kebab case.
fn normal(key: &str) -> String {
    key.replace('-', "_")
}

/// The flags of `command` itself that may stand in the file, with their keys.
pub(super) fn keys(command: &Command) -> impl Iterator<Item = (String, &Arg)> {
    command.get_arguments().filter_map(|arg| Some((key_of(arg)?, arg))).filter(|(key, _)| key != NAMES_THE_FILE)
}

/// The keys of `command` and of all its subcommands.
fn known_keys(command: &Command) -> BTreeSet<String> {
    let own = keys(command).map(|(key, _)| key);
    own.chain(command.get_subcommands().flat_map(known_keys)).collect()
}

fn has_subcommand(command: &Command, key: &str) -> bool {
    command.get_subcommands().any(|sub| normal(sub.get_name()) == key)
}

fn read(path: &Path) -> Result<Table, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("read the configuration file `{}`", path.display())).because(error))?;
    text.parse::<Table>().map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        Failure::usage(format!("configuration file `{}`, line {line}: {}", path.display(), error.message()))
    })
}

/// A configuration file that is being turned into defaults.
struct File<'a> {
    path: &'a Path,
    program: String,
    /// Every key of every command.
    known: BTreeSet<String>,
}

/// A value and the whole key it stands under, such as `serve.up`.
#[derive(Clone)]
struct Setting<'a> {
    place: String,
    value: &'a Value,
}

/// What holds for a command before its own table is looked at.
#[derive(Clone, Default)]
struct Scope<'a> {
    /// The tables around the command's own one, each followed by a point.
    prefix: String,
    settings: BTreeMap<String, Setting<'a>>,
    /// The flags of the commands above that every command below them shares.
    globals: Vec<Arg>,
}

impl<'a> File<'a> {
    /// Gives the values in `table`, and beneath them those of `scope`, to the flags of `command` and its subcommands.
    fn apply(&self, mut command: Command, scope: &Scope<'a>, table: Option<&'a Table>) -> Result<Command, Failure> {
        let mut scope = scope.clone();
        let own = self.own_settings(&command, &scope, table)?;
        // A flag that all commands share stands in the outermost one. Set for one command, it becomes that one's own.
        for arg in &scope.globals {
            if key_of(arg).is_some_and(|key| own.contains_key(&key)) {
                command = command.arg(arg.clone());
            }
        }
        scope.settings.extend(own);

        let mut defaults = Vec::new();
        for (key, arg) in keys(&command) {
            if let Some(setting) = scope.settings.get(&key) {
                defaults.push((arg.get_id().clone(), self.words(arg, setting)?));
            }
        }
        for (id, words) in defaults {
            command = command.mut_arg(id, |arg| arg.default_values(words).required(false));
        }

        scope.globals.extend(keys(&command).map(|(_, arg)| arg).filter(|arg| arg.is_global_set()).cloned());
        let subcommands: Vec<Command> = command.get_subcommands().cloned().collect();
        for sub in subcommands {
            let name = sub.get_name().to_owned();
            let inner = table.into_iter().flatten().find(|(key, _)| normal(key) == normal(&name));
            let inner = inner.and_then(|(_, value)| value.as_table());
            let scope = Scope { prefix: format!("{}{name}.", scope.prefix), ..scope.clone() };
            let sub = self.apply(sub, &scope, inner)?;
            command = command.mut_subcommand(name, |_| sub);
        }
        Ok(command)
    }

    /// What `table` says itself, tables of subcommands left out; refuses keys that mean nothing in it.
    fn own_settings(
        &self,
        command: &Command,
        scope: &Scope,
        table: Option<&'a Table>,
    ) -> Result<BTreeMap<String, Setting<'a>>, Failure> {
        let mut known = known_keys(command);
        known.extend(scope.globals.iter().filter_map(key_of));
        let mut own = BTreeMap::new();
        for (written, value) in table.into_iter().flatten() {
            let key = normal(written);
            let place = format!("{}{written}", scope.prefix);
            if known.contains(&key) {
                own.insert(key, Setting { place, value });
            } else if !(value.is_table() && has_subcommand(command, &key)) {
                return Err(self.unknown(command, &place, &key));
            }
        }
        Ok(own)
    }

    fn unknown(&self, command: &Command, place: &str, key: &str) -> Failure {
        let names = self.known.iter().cloned().chain(command.get_subcommands().map(|sub| normal(sub.get_name())));
        let nearest = names.min_by_key(|name| strsim::damerau_levenshtein(name, key)).unwrap_or_default();
        self.fault(place, "is a key that no command knows here")
            .with_hint(format!("the nearest known key is `{nearest}`; `{} config` prints all", self.program))
    }

    fn fault(&self, place: &str, fault: &str) -> Failure {
        Failure::usage(format!("configuration file `{}`: `{place}` {fault}", self.path.display()))
    }

    /// A setting as the words that its flag would be given; each has been accepted by the flag's own parser.
    fn words(&self, arg: &Arg, setting: &Setting) -> Result<Vec<OsString>, Failure> {
        let want = match (arg.get_action(), setting.value) {
            (ArgAction::SetTrue, Value::Boolean(on)) => return Ok(vec![on.to_string().into()]),
            (ArgAction::SetFalse, Value::Boolean(on)) => return Ok(vec![(!on).to_string().into()]),
            (ArgAction::Count, Value::Integer(count @ 0..=255)) => return Ok(vec![count.to_string().into()]),
            (ArgAction::SetTrue | ArgAction::SetFalse, _) => "true or false",
            (ArgAction::Count, _) => "a number from 0 to 255",
            (_, Value::Array(values)) if takes_many(arg) => {
                return values.iter().map(|value| self.word(arg, &setting.place, value)).collect();
            }
            (_, value) => return Ok(vec![self.word(arg, &setting.place, value)?]),
        };
        Err(self.fault(&setting.place, &format!("is {}; want {want}", kind_of(setting.value))))
    }

    fn word(&self, arg: &Arg, place: &str, value: &Value) -> Result<OsString, Failure> {
        let parser = arg.get_value_parser();
        let word = match value {
            Value::String(text) => text.clone(),
            // A table is written on one line, for a flag that takes it so.
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Table(_) if !takes_any_text(parser) => {
                value.to_string()
            }
            _ => {
                let want = if takes_many(arg) { "a string or a list of strings" } else { "a string" };
                return Err(self.fault(place, &format!("is {}; want {want}", kind_of(value))));
            }
        };
        check(parser, &word).map_err(|fault| {
            // What help does not show may be a secret.
            let shown = if arg.is_hide_default_value_set() { String::new() } else { format!("= {value}") };
            self.fault(place, &format!("{shown}: {fault}"))
        })?;
        Ok(word.into())
    }
}

fn takes_many(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append) || arg.get_num_args().is_some_and(|range| range.max_values() > 1)
}

/// Whether a flag takes any text, so that a number in the file is surely a mistake.
fn takes_any_text(parser: &ValueParser) -> bool {
    let takes = parser.type_id();
    [TypeId::of::<String>(), TypeId::of::<OsString>(), TypeId::of::<PathBuf>()].iter().any(|text| takes == *text)
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// What a flag's parser says of `text`.
fn check(parser: &ValueParser, text: &str) -> Result<(), String> {
    let arg = Arg::new("value").long("value").value_parser(parser.clone());
    let probe = Command::new("probe").no_binary_name(true).arg(arg);
    let Err(error) = probe.try_get_matches_from([format!("--value={text}")]) else { return Ok(()) };
    if let Some(cause) = error.source() {
        return Err(cause.to_string());
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) => Err(format!("want one of {}", valid.join(", "))),
        // A flag whose values are secret has said all that it will say.
        _ if error.context().next().is_none() => {
            Err(error.to_string().trim_start_matches("error: ").trim_end().to_owned())
        }
        _ => Err("the flag refuses this value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

    use super::*;
    use crate::app::{EngineArgs, GlobalArgs};
    use crate::peer::Encryption;
    use crate::rate::Rate;

    #[derive(Debug, Parser)]
    #[command(name = "podtest")]
    struct Cli {
        #[command(flatten)]
        global: GlobalArgs,
        #[command(subcommand)]
        command: Verb,
    }

    #[derive(Debug, Subcommand)]
    enum Verb {
        Serve {
            #[command(flatten)]
            engine: EngineArgs,
            /// Where to listen.
            #[arg(long, default_value = "127.0.0.1:6969")]
            listen: std::net::SocketAddr,
            /// Whose tracker to use besides.
            #[arg(long, value_name = "URL")]
            tracker: Vec<String>,
            #[arg(long, required = true)]
            title: Option<String>,
            #[arg(long)]
            no_lights: bool,
        },
        Torrent {
            #[command(subcommand)]
            command: Torrent,
        },
    }

    #[derive(Debug, Subcommand)]
    enum Torrent {
        Create {
            #[command(flatten)]
            engine: EngineArgs,
            /// How long a piece is.
            #[arg(long, default_value = "16384")]
            piece_length: u32,
        },
    }

    /// Reads `args` with `toml` as the file; variables begin with a name that no other test uses.
    fn read(toml: &str, prefix: &str, args: &[&str]) -> Result<Cli, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        fs::write(&path, toml).unwrap();
        let command = with_file(Cli::command(), Some(&path), prefix)?;
        let args = ["podtest"].iter().chain(args).map(OsStr::new);
        Ok(Cli::from_arg_matches(&command.try_get_matches_from(args)?)?)
    }

    #[track_caller]
    fn engine_of(toml: &str, args: &[&str]) -> EngineArgs {
        match read(toml, "PODTEST_NONE_", args).unwrap().command {
            Verb::Serve { engine, .. } | Verb::Torrent { command: Torrent::Create { engine, .. } } => engine,
        }
    }

    #[track_caller]
    fn refused(toml: &str, want: &[&str]) {
        let failure = read(toml, "PODTEST_NONE_", &["serve", "--title", "x"]).unwrap_err();
        let text = format!("{failure}\n{}", failure.hint().unwrap_or_default());
        assert_eq!(failure.code(), 2, "{text}");
        for part in want.iter().chain(&["config.toml"]) {
            assert!(text.contains(part), "want {part} in: {text}");
        }
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let toml = "listen = '0.0.0.0:1'\ntitle = 'From the file'\n";
        let Verb::Serve { listen, title, .. } = read(toml, "PODTEST_NONE_", &["serve"]).unwrap().command else {
            panic!("serve was asked for")
        };
        assert_eq!((listen.to_string().as_str(), title.as_deref()), ("0.0.0.0:1", Some("From the file")));
        let args = ["serve", "--listen", "0.0.0.0:2"];
        let Verb::Serve { listen, .. } = read(toml, "PODTEST_NONE_", &args).unwrap().command else {
            panic!("serve was asked for")
        };
        assert_eq!(listen.to_string(), "0.0.0.0:2");
    }

    #[test]
    fn every_flag_has_a_variable_between_flag_and_file() {
        let command = with_file(Cli::command(), None, "PODSWARM_").unwrap();
        let serve = command.find_subcommand("serve").unwrap();
        for (key, arg) in keys(serve).chain(keys(&command)) {
            let name = format!("PODSWARM_{}", key.to_uppercase());
            assert_eq!(arg.get_env(), Some(OsStr::new(&name)));
        }
        // PATH stands for a variable that is set: tests cannot set one without `unsafe`.
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.toml");
        fs::write(&file, "path = 'from the file'").unwrap();
        let command = Command::new("x").arg(Arg::new("path").long("path"));
        let command = with_file(command, Some(&file), "").unwrap();
        let path = |args: &[&str]| {
            command.clone().try_get_matches_from(args).unwrap().get_one::<String>("path").cloned().unwrap()
        };
        assert_eq!(path(&["x"]), std::env::var("PATH").unwrap());
        assert_eq!(path(&["x", "--path", "by flag"]), "by flag");
    }

    #[test]
    fn a_key_holds_for_all_commands_and_a_table_for_its_own() {
        let toml = "title = 'x'\nup = '1MiB/s'\n[serve]\nup = '2MiB/s'\n\
                    [torrent.create]\npeer-port = 5\n[torrent]\ndown = '3MiB/s'\n";
        let serve = engine_of(toml, &["serve"]);
        assert_eq!((serve.up, serve.peer_port), (Some(Rate(2 << 20)), None));
        let create = engine_of(toml, &["torrent", "create"]);
        assert_eq!((create.up, create.peer_port, create.down), (Some(Rate(1 << 20)), Some(5), Some(Rate(3 << 20))));
    }

    #[test]
    fn a_shared_flag_can_be_set_for_one_command() {
        let toml = "title = 'x'\n[serve]\nverbose = 2\njson = true\n";
        let cli = read(toml, "PODTEST_NONE_", &["serve"]).unwrap();
        assert_eq!((cli.global.verbose, cli.global.json), (2, true));
        let cli = read(toml, "PODTEST_NONE_", &["torrent", "create"]).unwrap();
        assert_eq!((cli.global.verbose, cli.global.json), (0, false));
        let cli =
            read("quiet = true\n[torrent.create]\nquiet = false", "PODTEST_NONE_", &["torrent", "create"]).unwrap();
        assert!(!cli.global.quiet);
        let cli = read(toml, "PODTEST_NONE_", &["serve", "-v"]).unwrap();
        assert_eq!(cli.global.verbose, 1);
    }

    #[test]
    fn switches_and_lists_are_read_as_such() {
        let toml = "title = 'x'\nno_lights = true\ntracker = ['http://a/', 'http://b/']\nencryption = 'require'";
        let Verb::Serve { no_lights, tracker, engine, .. } = read(toml, "PODTEST_NONE_", &["serve"]).unwrap().command
        else {
            panic!("serve was asked for")
        };
        assert!(no_lights);
        assert_eq!(tracker, ["http://a/", "http://b/"]);
        assert_eq!(engine.encryption, Encryption::Require);
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_one() {
        refused("pear_port = 5", &["`pear_port`", "`peer_port`", "podtest config"]);
        refused("[serve]\npiece_length = 5", &["`serve.piece_length`"]);
        refused("[serv]\nup = '1MiB/s'", &["`serv`", "`serve`"]);
        refused("config = 'other.toml'", &["`config`"]);
        refused("[torrent.creat]\nup = '1MiB/s'", &["`torrent.creat`", "`create`"]);
    }

    #[test]
    fn a_value_that_its_flag_would_refuse_is_refused() {
        refused("peer_port = 70000", &["`peer_port`", "70000"]);
        refused("peer_port = ['5']", &["`peer_port`", "a list"]);
        refused("up = 5", &["`up`", "a number with a unit"]);
        refused("up = 'fast'", &["`up`", "`fast`"]);
        refused("title = 5", &["`title` is a whole number; want a string"]);
        refused("no_lights = 'yes'", &["`no_lights` is a string; want true or false"]);
        refused("encryption = 'maybe'", &["`encryption`", "off, prefer, require"]);
        refused("verbose = 1000", &["`verbose`", "0 to 255"]);
        refused("tracker = [5]", &["`tracker`", "a whole number"]);
        refused("up = 2026-11-20", &["`up`", "a date"]);
        refused("[serve]\nup = 'fast'", &["`serve.up`"]);
        refused("serve = 5", &["`serve`"]);
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_line() {
        refused("# fine\nup = \n", &["line 2"]);
        let failure = with_file(Cli::command(), Some(Path::new("/nowhere/config.toml")), "PODTEST_NONE_").unwrap_err();
        assert!(failure.to_string().contains("/nowhere/config.toml"), "{failure}");
        assert_eq!(failure.code(), 2);
    }

    #[test]
    fn the_sample_names_every_setting_and_is_a_file_that_is_accepted() {
        let sample = sample(&Cli::command());
        let set: String = sample
            .lines()
            .filter_map(|line| line.strip_prefix('#').filter(|line| line.starts_with(|c: char| c.is_ascii_graphic())))
            // Settings without a default show the shape of their value in capitals.
            .filter(|line| line.starts_with('[') || !line.ends_with('"') || line.contains("127.0.0.1"))
            .fold(String::new(), |text, line| text + line + "\n");
        assert!(set.contains("piece_length = 16384"), "{set}");
        read(&set, "PODTEST_NONE_", &["serve", "--title", "x"]).unwrap();
        for key in known_keys(&Cli::command()) {
            assert_eq!(sample.matches(&format!("\n#{key} = ")).count(), 1, "{key} in {sample}");
        }
        assert!(sample.contains("# Used by: serve, torrent.create.\n#up = \"RATE\""), "{sample}");
        assert!(sample.contains("\n#[torrent.create]\n\n# How long a piece is\n#piece_length"), "{sample}");
    }
}
