//! Every option stands in the help, in the configuration file and in the README's reference, which say the same of it;
//! every command stands in the README of its program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use podswarm_tests::programs::{podpub, podsub};

/// What is told of an option.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    /// The name of its value; a switch has none.
    value: Option<String>,
    /// Its default, where it is told.
    default: Option<String>,
}

fn output(program: &Path, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().expect("the program starts");
    assert!(output.status.success(), "{} {args:?}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the program writes text")
}

/// `--name VALUE` or `--name <VALUE>`.
fn option(text: &str) -> Option<(String, Option<String>)> {
    let (_, text) = text.split_once("--")?;
    let mut words = text.split_whitespace();
    // A switch that can be taken back is `--name[=<BOOL>]`.
    let name = words.next()?.split("[=").next()?.trim_end_matches('.').to_owned();
    Some((name, words.next().map(|value| value.trim_matches(['<', '>', '.']).to_owned())))
}

/// The options that the help of a command tells of below a heading, or below any.
fn in_help(program: &Path, command: &str, heading: Option<&str>) -> BTreeMap<String, Told> {
    let help = output(program, &[command, "--help"]);
    let (mut texts, mut below, mut last): (BTreeMap<String, String>, _, _) = (BTreeMap::new(), String::new(), None);
    for line in help.lines() {
        if !line.starts_with(' ') && line.ends_with(':') {
            line.trim_end_matches(':').clone_into(&mut below);
            last = None;
        }
        let text = line.trim_start();
        let begins = line.len() - text.len() < 8 && text.starts_with('-');
        if begins && heading.is_none_or(|heading| heading == below) {
            last = option(text).map(|(name, _)| name);
        } else if begins {
            last = None;
        }
        if let Some(name) = &last {
            let told = texts.entry(name.clone()).or_default();
            told.push_str(text);
            told.push(' ');
        }
    }
    let told = |text: &String| {
        let value = option(text).and_then(|(_, value)| value).filter(|value| text.contains(&format!("<{value}>")));
        let default = text.split_once("[default: ").and_then(|(_, rest)| rest.split_once(']'));
        Told { value, default: default.map(|(default, _)| default.to_owned()) }
    };
    texts.iter().map(|(name, text)| (name.clone(), told(text))).collect()
}

/// The rows of the README's tables of options.
fn in_readme() -> BTreeMap<String, Told> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).expect("the README reads");
    let mut options = BTreeMap::new();
    for row in readme.lines().filter(|line| line.starts_with("| `--")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [names, default, what] = cells[..] else { panic!("a row has three cells: {row}") };
        assert!(!what.is_empty(), "{row}");
        for name in names.replace("\\|", "|").split('`').skip(1).step_by(2) {
            let (name, value) = option(name).unwrap_or_else(|| panic!("`{name}` is no option"));
            options.insert(name, Told { value, default: Some(default.trim_matches('`').to_owned()) });
        }
    }
    options
}

/// The programs with their commands that speak to peers.
fn commands() -> Vec<(PathBuf, &'static str)> {
    let of = |program: PathBuf, commands: &[&'static str]| -> Vec<_> {
        commands.iter().map(|command| (program.clone(), *command)).collect()
    };
    [of(podpub(), &["serve", "publish"]), of(podsub(), &["run", "get", "download"])].concat()
}

#[test]
fn every_option_is_a_key_of_the_configuration_file() {
    for (program, command) in commands() {
        let file = output(&program, &["config"]);
        for name in in_help(&program, command, None)
            .keys()
            .filter(|name| !["help", "version", "config"].contains(&name.as_str()))
        {
            let key = format!("#{} = ", name.replace('-', "_"));
            assert!(file.contains(&key), "`{} config` does not tell of --{name}", program.display());
        }
    }
}

#[test]
fn every_option_for_peers_is_in_the_readme_with_its_value_and_its_default() {
    let readme = in_readme();
    for (program, command) in commands() {
        let mut help = in_help(&program, command, Some("Peers"));
        assert!(help.len() > 10, "{command}: {help:?}");
        let network = in_help(&program, command, Some("Network"));
        assert!(network.len() > 1, "{command}: {network:?}");
        help.extend(network);
        for (name, told) in help {
            let row =
                readme.get(&name).unwrap_or_else(|| panic!("the README does not tell of --{name} of `{command}`"));
            assert_eq!(row.value, told.value, "--{name}");
            if let Some(default) = &told.default {
                assert!(
                    row.default.as_ref().is_some_and(|row| row.contains(default)),
                    "--{name}: {row:?}, not {default}"
                );
            }
        }
    }
}

#[test]
fn the_readme_tells_of_no_option_that_is_not_there() {
    let mut all = BTreeMap::new();
    for (program, command) in commands() {
        all.extend(in_help(&program, command, None));
    }
    for (name, row) in in_readme() {
        let told = all.get(&name).unwrap_or_else(|| panic!("no help tells of --{name}, which the README names"));
        assert_eq!(row.value, told.value, "--{name}");
    }
}

/// The commands below `path` that do something themselves, each with the words that lead to it.
fn commands_below(program: &Path, path: &[&str]) -> BTreeSet<String> {
    let help = output(program, &[path, &["--help"]].concat());
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What is indented further goes on with the line before.
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !name.is_empty());
    let names: Vec<&str> = names.filter(|name| *name != "help").collect();
    if names.is_empty() {
        return BTreeSet::from([path.join(" ")]);
    }
    names.iter().flat_map(|name| commands_below(program, &[path, &[name]].concat())).collect()
}

#[test]
fn every_command_has_a_row_in_the_readme_of_its_program_and_no_row_is_of_another() {
    for (program, name, readme) in
        [(podpub(), "podpub", "../publisher/README.md"), (podsub(), "podsub", "../subscriber/README.md")]
    {
        let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join(readme);
        let readme = std::fs::read_to_string(readme).expect("the README reads");
        let begin = format!("| `{name} ");
        let cells = readme.lines().filter(|line| line.starts_with(&begin)).filter_map(|line| line.split(" | ").next());
        let codes = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
        // Values are in capitals.
        let is_command = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
        let words = codes.map(|code| code.split(' ').skip(1).take_while(is_command).collect::<Vec<_>>().join(" "));
        assert_eq!(words.collect::<BTreeSet<_>>(), commands_below(&program, &[]), "{name}");
    }
}
