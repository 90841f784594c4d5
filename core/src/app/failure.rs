//! How a command ends badly: one sentence, its causes, a way out, and an exit code.
//!
//! Law: what is printed holds no control character that came from outside.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use super::text::printable;

/// The exit code of a command that could not do what it was asked for.
const FAILED: u8 = 1;
/// The exit code of a command that was asked wrongly.
const WRONG_USAGE: u8 = 2;

/// Why a command ends without having done its work.
///
/// Prints as `WHAT: cause: cause`, then a `hint:` line. Every error type turns into one with `?`; so it is no
/// [`Error`] itself.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    what: Option<String>,
    hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// A failure of the work: exit code 1. `what` is lower case, has no full stop, and names the thing, what was found
    /// and what was wanted.
    pub fn new(what: impl Into<String>) -> Self {
        Self { code: FAILED, what: Some(what.into()), hint: None, source: None }
    }

    /// A wrong use of the program, such as a bad flag or configuration: exit code 2.
    pub fn usage(what: impl Into<String>) -> Self {
        Self { code: WRONG_USAGE, ..Self::new(what) }
    }

    /// Ends the command with exit code 0 and prints nothing: whoever read the output has gone.
    pub(super) fn quiet() -> Self {
        Self { code: 0, what: None, hint: None, source: None }
    }

    /// Adds the way out, printed on a line of its own.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the way out, if one is known.
    pub fn with_any_hint(self, hint: Option<impl Into<String>>) -> Self {
        match hint {
            Some(hint) => self.with_hint(hint),
            None => self,
        }
    }

    /// Adds the cause; its own causes are printed too.
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The exit code: 1 failed, 2 wrong usage, 0 if there is nothing to report.
    pub const fn code(&self) -> u8 {
        self.code
    }

    /// The way out, if one is known.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Prints the failure of the program `name` to stderr, and gives the exit code that belongs to it. If stderr is
    /// gone, nobody is left to tell.
    pub fn report(&self, name: &str) -> ExitCode {
        if let Some(error) = self.source.as_ref().and_then(|source| source.downcast_ref::<clap::Error>()) {
            let _ = error.print();
        } else if self.what.is_some() || self.source.is_some() {
            let hint = self.hint.as_ref().map(|hint| format!("hint: {}\n", printable(hint))).unwrap_or_default();
            let text = format!("{name}: {}\n{hint}", printable(&self.to_string()));
            let _ = io::stderr().write_all(text.as_bytes());
        }
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    /// The failure and its causes on one line, joined by `: `. A cause that its error has already told is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = self.what.clone().unwrap_or_default();
        let mut next = self.source.as_deref().map(|source| source as &dyn Error);
        while let Some(error) = next {
            let text = error.to_string();
            if !line.ends_with(&text) {
                if !line.is_empty() {
                    line.push_str(": ");
                }
                line.push_str(&text);
            }
            next = error.source();
        }
        f.write_str(&line)
    }
}

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        // Help and version are such errors too; they end with 0.
        let clap = (&error as &dyn Any).downcast_ref::<clap::Error>();
        let code = clap.map_or(FAILED, |error| u8::try_from(error.exit_code()).unwrap_or(WRONG_USAGE));
        Self { code, what: None, hint: None, source: Some(Box::new(error)) }
    }
}

/// Says what was being done when an error came.
pub trait Explain<T> {
    /// Turns the error into a [`Failure`] that begins with `what`, such as ``read `/srv/show.toml` ``.
    fn explain(self, what: impl FnOnce() -> String) -> Result<T, Failure>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Explain<T> for Result<T, E> {
    fn explain(self, what: impl FnOnce() -> String) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(what()).because(error))
    }
}

/// A failure as the control API sends it: the body of every answer with a 4xx or 5xx status, and the last line of a
/// stream that ends badly. The status 400 stands for wrong usage, exit code 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ApiError {
    /// What went wrong, causes included.
    pub error: String,
    /// The way out, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<&Failure> for ApiError {
    fn from(failure: &Failure) -> Self {
        Self { error: failure.to_string(), hint: failure.hint.clone() }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self { hint: error.hint, ..Self::new(error.error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("write 5 bytes of `show.mp3`")]
    struct Outer(#[source] io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("open the index: {0}")]
    struct TellsItsCause(#[source] io::Error);

    #[test]
    fn causes_follow_what_failed_on_one_line() {
        let failure = Failure::new("publish `show.mp3`").because(Outer(io::Error::other("disk full")));
        assert_eq!(failure.to_string(), "publish `show.mp3`: write 5 bytes of `show.mp3`: disk full");
    }

    #[test]
    fn a_cause_that_was_already_told_is_not_told_twice() {
        let failure = Failure::from(TellsItsCause(io::Error::other("disk full")));
        assert_eq!(failure.to_string(), "open the index: disk full");
    }

    #[test]
    fn any_error_fails_with_code_1_and_wrong_usage_with_2() {
        assert_eq!(Failure::from(io::Error::other("x")).code(), 1);
        assert_eq!(Failure::usage("x").code(), 2);
        let clap = clap::Command::new("x").try_get_matches_from(["x", "--nope"]).unwrap_err();
        assert_eq!(Failure::from(clap).code(), 2);
    }

    #[test]
    fn an_explained_error_begins_with_what_was_being_done() {
        let result: Result<(), _> = Err(io::Error::other("gone"));
        assert_eq!(result.explain(|| "read `x`".into()).unwrap_err().to_string(), "read `x`: gone");
    }

    #[test]
    fn a_failure_crosses_the_control_api_unchanged() {
        let sent = ApiError::from(&Failure::new("no show `x`").because("none made yet").with_hint("make one"));
        let json = serde_json::to_string(&sent).unwrap();
        assert_eq!(json, r#"{"error":"no show `x`: none made yet","hint":"make one"}"#);
        let got = Failure::from(serde_json::from_str::<ApiError>(&json).unwrap());
        assert_eq!((got.to_string().as_str(), got.hint()), ("no show `x`: none made yet", Some("make one")));
    }
}
