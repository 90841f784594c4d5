//! What is done when an episode is there, as its owner writes it.
//!
//! ```toml
//! [[on_complete]]
//! run = ["/usr/local/bin/to-player", "--quietly"]
//! time = 300
//!
//! [[on_complete]]
//! url = "https://example.org/podsub"
//! secret = "what only both of us know"
//! ```
//!
//! In the file it is a table; as a flag or a variable it is the same on one line, `{ run = ["program", "argument"] }`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use podswarm_core::app::hook::{self, Action};
use serde::{Deserialize, Serialize};
use url::Url;

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Hook {
    /// What.
    pub action: Action,
    /// How long it may take.
    pub time: Duration,
}

/// The keys of a hook.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<Url>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// In seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time: Option<u64>,
}

impl Hook {
    /// The same for everybody to see: of an address that may hold a secret the host is left, of a secret nothing.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let action = match &self.action {
            Action::Run(words) => Action::Run(words.clone()),
            Action::Post { url, .. } => {
                let mut url = url.clone();
                // Both can be said of every http(s) address.
                let _ = url.set_username("").and_then(|()| url.set_password(None));
                url.set_path("");
                url.set_query(None);
                url.set_fragment(None);
                Action::Post { url, secret: None }
            }
        };
        Self { action, time: self.time }
    }
}

impl TryFrom<Written> for Hook {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { run, url, secret, time } = written;
        Ok(Self { action: Action::written(run, url, secret)?, time: hook::time_of(time)? })
    }
}

impl From<Hook> for Written {
    fn from(hook: Hook) -> Self {
        let time = Some(hook.time.as_secs());
        match hook.action {
            Action::Run(words) => Self { run: Some(words), time, ..Self::default() },
            Action::Post { url, secret } => Self { url: Some(url), secret, time, ..Self::default() },
        }
    }
}

impl FromStr for Hook {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        hook::read::<Written>(text)?.try_into()
    }
}

/// For people: the program or the host.
impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.action.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_kept_as_it_was_said_and_shown_without_its_secrets() {
        let run: Hook = r#"{ run = ["tell", "a b; rm"], time = 5 }"#.parse().unwrap();
        assert_eq!(run.action, Action::Run(vec!["tell".to_owned(), "a b; rm".to_owned()]));
        assert_eq!((run.time, run.to_string()), (Duration::from_secs(5), "`tell`".to_owned()));
        let post: Hook = r#"{ url = "https://me:pw@a.example/x/t0ken?k=t0ken", secret = "s3cret" }"#.parse().unwrap();
        for hook in [run, post.clone()] {
            let json = serde_json::to_string(&hook).unwrap();
            assert_eq!(serde_json::from_str::<Hook>(&json).unwrap(), hook, "{json}");
        }
        let shown = format!("{post} {post:?} {}", serde_json::to_string(&post.without_secrets()).unwrap());
        assert!(shown.contains("https://a.example"), "{shown}");
        assert!(!["t0ken", "s3cret", "pw"].iter().any(|secret| shown.contains(secret)), "{shown}");
    }

    #[test]
    fn a_hook_that_means_nothing_is_refused_by_name() {
        for (text, part) in [
            ("{}", "want either"),
            (r#"{ run = ["x"], url = "http://a" }"#, "want either"),
            ("{ run = [] }", "no program"),
            (r#"{ run = "x y" }"#, "sequence"),
            (r#"{ run = ["x"], secret = "y" }"#, "for a `url`"),
            (r#"{ url = "ftp://a" }"#, "ftp"),
            (r#"{ run = ["x"], time = 0 }"#, "0 seconds"),
            (r#"{ run = ["x"], on = ["published"] }"#, "on"),
            ("notify-send", "string"),
        ] {
            let error = text.parse::<Hook>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
