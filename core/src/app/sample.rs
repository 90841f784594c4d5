//! A configuration file to start from, made from the help of the flags so that it never says anything else.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, ArgAction, Command};

use super::config::keys;

/// A configuration file with every setting of `command`, each explained and switched off by a leading `#`.
pub fn sample(command: &Command) -> String {
    let subcommands = descendants(command, "");
    let mut users: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, sub) in &subcommands {
        for (key, _) in keys(sub) {
            users.entry(key).or_default().push(name);
        }
    }
    let mut lines = head(command.get_name());
    lines.extend(keys(command).flat_map(|(key, arg)| entry(&key, arg, &[])));
    let mut told = BTreeSet::new();
    for (key, arg) in subcommands.iter().flat_map(|(_, sub)| keys(sub)) {
        if users[&key].len() > 1 && told.insert(key.clone()) {
            lines.extend(entry(&key, arg, &users[&key]));
        }
    }
    for (name, sub) in &subcommands {
        let mut own = keys(sub).filter(|(key, _)| users[key].len() == 1).peekable();
        if own.peek().is_some() {
            lines.extend([String::new(), format!("#[{name}]")]);
            lines.extend(own.flat_map(|(key, arg)| entry(&key, arg, &[])));
        }
    }
    lines.join("\n") + "\n"
}

fn head(program: &str) -> Vec<String> {
    let text = format!(
        "# Settings of {program}.\n\
         #\n\
         # Every key is also a flag and a PODSWARM_* variable. A flag beats the variable, the variable beats this\n\
         # file. A key up here holds for every command that has the flag; in a table named after a command, such as\n\
         # [serve], for that command only. Save this as config.toml in the data directory, or name it with --config.\n\
         # Lines that begin with # and no space are settings that are switched off."
    );
    text.lines().map(str::to_owned).collect()
}

/// All commands below `command` that people are told of, with their names as tables are named: `torrent.create`.
fn descendants<'a>(command: &'a Command, prefix: &str) -> Vec<(String, &'a Command)> {
    let mut found = Vec::new();
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        let name = format!("{prefix}{}", sub.get_name());
        let below = descendants(sub, &format!("{name}."));
        found.push((name, sub));
        found.extend(below);
    }
    found
}

/// The lines of one setting: its help, the commands that use it if more than one does, and its default or, where it has
/// none, the shape of its value.
fn entry(key: &str, arg: &Arg, users: &[&str]) -> Vec<String> {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let mut lines = vec![String::new()];
    lines.extend(help.lines().map(|line| format!("# {line}")));
    if !users.is_empty() {
        lines.push(format!("# Used by: {}.", users.join(", ")));
    }
    lines.push(format!("#{key} = {}", value(arg)));
    lines
}

fn value(arg: &Arg) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    match (arg.get_action(), arg.get_default_values()) {
        (ArgAction::SetTrue | ArgAction::SetFalse, _) => "false".to_owned(),
        (ArgAction::Count, _) => "0".to_owned(),
        (_, [default]) => {
            let text = default.to_string_lossy();
            if text.parse::<i64>().is_ok() { text.into_owned() } else { quoted(&text) }
        }
        _ => {
            let name = arg.get_value_names().and_then(|names| names.first());
            quoted(name.map_or("VALUE", |name| name.as_str()))
        }
    }
}
