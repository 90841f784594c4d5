//! Whether the owner takes part in swarms: as a flag, a variable or config.toml says, else as he has answered, else he
//! does.
//!
//! He is asked once: by `podsub run` in a terminal, else by the page in his browser. Until he has answered all goes on
//! as with a yes: a machine without terminal and browser has nobody to ask, and a note tells him there. A terminal that
//! nobody looks at keeps nothing waiting for long.

use std::io::{self, BufRead, IsTerminal};
#[cfg(unix)]
use std::time::Duration;

use podswarm_core::app::{Explain, Failure, Out};
use serde::{Deserialize, Serialize};

/// What everybody should know before he answers, in sentences.
const SENTENCES: [&str; 3] = [
    "podsub can fetch episodes in swarms (BitTorrent): listeners get them from each other, and pass them on.",
    "Others in a swarm see this machine's address, what it fetches and what it seeds.",
    "Without swarms everything comes from web servers alone; what is only to be had in a swarm does not come.",
];

/// For so long a terminal is given to answer.
#[cfg(unix)]
const PATIENCE: Duration = Duration::from_mins(1);

/// Who has decided whether swarms are taken part in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecidedBy {
    /// The owner, when he was asked.
    Answer,
    /// Nobody: he was not asked yet.
    #[default]
    Nobody,
    /// The owner, by a rule of this feed.
    Rule,
    /// The owner, by a flag, a variable or config.toml.
    Setting,
}

/// Whether swarms are taken part in, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swarms {
    /// They are.
    pub takes_part: bool,
    /// Who has decided that.
    pub decided_by: DecidedBy,
    /// Both in words.
    pub text: String,
    /// What the owner is to be asked, while he was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
}

impl Swarms {
    /// As somebody has decided it.
    pub fn new(takes_part: bool, decided_by: DecidedBy) -> Self {
        let what = if takes_part { "taken part in" } else { "none is taken part in" };
        let why = match (decided_by, takes_part) {
            (DecidedBy::Answer, true) => ", as you answered; `http_only = \"yes\"` in config.toml ends it",
            (DecidedBy::Answer, false) => ", as you answered; `http_only = \"no\"` in config.toml changes it",
            (DecidedBy::Nobody, _) => "; you were not asked yet, `podsub web` asks",
            (DecidedBy::Rule, _) => ", by a rule of this feed",
            (DecidedBy::Setting, _) => ", as it is set",
        };
        let question = (decided_by == DecidedBy::Nobody).then(|| SENTENCES.join(" "));
        Self { takes_part, decided_by, text: format!("{what}{why}"), question }
    }
}

/// Whether the owner is at a terminal and may be asked.
pub fn can_ask(out: &Out) -> bool {
    !out.is_quiet() && !out.is_json() && io::stdin().is_terminal() && io::stderr().is_terminal() && is_in_front()
}

/// Whether the terminal gives this program what is typed: it stops one that a shell has put into the background and
/// that reads.
#[cfg(unix)]
fn is_in_front() -> bool {
    rustix::termios::tcgetpgrp(io::stdin()).is_ok_and(|group| group == rustix::process::getpgrp())
}

#[cfg(not(unix))]
const fn is_in_front() -> bool {
    true
}

/// Asks the owner at his terminal whether he takes part in swarms; `None` if he does not say. Blocks the thread.
pub fn ask(out: &Out) -> Result<Option<bool>, Failure> {
    let answer = ask_by(out, read_soon)?;
    if answer.is_none() {
        out.note("nobody answers: swarms are taken part in until somebody does, here or in the browser");
    }
    Ok(answer)
}

/// What is typed at the terminal within [`PATIENCE`].
#[cfg(unix)]
fn read_soon() -> io::Result<Option<String>> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let stdin = io::stdin();
    let patience = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    let is_there = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&patience))? > 0;
    if is_there { read(&mut stdin.lock()) } else { Ok(None) }
}

#[cfg(not(unix))]
fn read_soon() -> io::Result<Option<String>> {
    read(&mut io::stdin().lock())
}

/// A line; `None` at the end.
fn read(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = String::new();
    Ok((input.read_line(&mut line)? > 0).then_some(line))
}

/// Asks until what is read is yes or no, or nothing is read.
fn ask_by(out: &Out, mut read: impl FnMut() -> io::Result<Option<String>>) -> Result<Option<bool>, Failure> {
    for sentence in SENTENCES {
        out.note(sentence);
    }
    loop {
        out.note("Take part in swarms? Enter, or `y`, for yes, `n` for no:");
        let Some(line) = read().explain(|| "read your answer".to_owned())? else { return Ok(None) };
        let takes_part = match line.trim().to_lowercase().as_str() {
            "" | "y" | "yes" => true,
            "n" | "no" => false,
            other => {
                out.note(format!("`{other}` is neither yes nor no"));
                continue;
            }
        };
        out.note(if takes_part {
            "Yes, and you are not asked again. --http-only, or `http_only = \"yes\"` in config.toml, ends it; --no-seed \
             only fetches."
        } else {
            "No, for all feeds, and you are not asked again. --http-only=no, or `http_only = \"no\"` in config.toml, \
             changes it."
        });
        return Ok(Some(takes_part));
    }
}

#[cfg(test)]
mod tests {
    use podswarm_core::app::Format;

    use super::*;

    #[test]
    fn the_owner_is_asked_until_he_has_said_yes_or_no() {
        for (typed, want, asked) in [
            ("\n", Some(true), 1),
            ("YES\n", Some(true), 1),
            (" n \n", Some(false), 1),
            ("why?\nno\ny\n", Some(false), 2),
            ("perhaps", None, 2),
            ("", None, 1),
        ] {
            let (out, heard) = Out::captured(Format::Text, false);
            let mut input = typed.as_bytes();
            assert_eq!(ask_by(&out, || read(&mut input)).unwrap(), want, "{typed}");
            let said = heard.stderr();
            assert_eq!(said.matches("Take part in swarms?").count(), asked, "{said}");
            assert!(said.contains("see this machine's address") && heard.stdout().is_empty());
            assert_eq!(said.contains("--http-only=no"), want == Some(false), "it says how to change a no: {said}");
        }
    }

    #[test]
    fn what_holds_is_told_with_who_has_decided_it() {
        let told = |takes_part, by| Swarms::new(takes_part, by).text;
        assert_eq!(told(true, DecidedBy::Nobody), "taken part in; you were not asked yet, `podsub web` asks");
        assert_eq!(told(false, DecidedBy::Setting), "none is taken part in, as it is set");
        assert!(told(false, DecidedBy::Answer).contains("`http_only = \"no\"`"));
        assert!(Swarms::new(true, DecidedBy::Answer).question.is_none());
        assert!(Swarms::new(true, DecidedBy::Nobody).question.unwrap().contains("Others in a swarm see"));
    }
}
