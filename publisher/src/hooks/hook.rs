//! A hook as its owner writes it.
//!
//! ```toml
//! [[hook]]
//! on = ["published", "replaced"]
//! run = ["/usr/local/bin/tell-the-list", "--quietly"]
//!
//! [[hook]]
//! on = ["disk-low"]
//! url = "https://example.org/podpub"
//! secret = "what only both of us know"
//! ```
//!
//! In the file it is a table; as a flag or a variable it is the same on one line, `{ on = ["published"], run =
//! ["program"] }`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use podswarm_core::app::hook::{self, Action};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

/// Something that a hook may be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Occasion {
    /// An episode is out.
    Published,
    /// Somebody else holds a full copy of an episode, for the first time.
    FirstCopy,
    /// An episode has other content.
    Replaced,
    /// An episode was taken back.
    Withdrawn,
    /// The disk of the data directory has less free than is to stay free.
    DiskLow,
}

impl fmt::Display for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Published => "published",
            Self::FirstCopy => "first-copy",
            Self::Replaced => "replaced",
            Self::Withdrawn => "withdrawn",
            Self::DiskLow => "disk-low",
        })
    }
}

/// What is to be done on some occasions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hook {
    /// When.
    pub(crate) on: BTreeSet<Occasion>,
    /// What.
    pub(crate) action: Action,
    /// How long it may take.
    pub(crate) time: Duration,
}

/// A hook as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    on: BTreeSet<Occasion>,
    run: Option<Vec<String>>,
    url: Option<Url>,
    secret: Option<String>,
    /// In seconds.
    time: Option<u64>,
}

impl FromStr for Hook {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Written { on, run, url, secret, time } = hook::read(text)?;
        if on.is_empty() {
            return Err("`on` names no occasion".to_owned());
        }
        Ok(Self { on, action: Action::written(run, url, secret)?, time: hook::time_of(time)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_runs_a_program_or_asks_a_server() {
        let run: Hook = r#"{ on = ["published", "disk-low"], run = ["tell", "a b; rm"], time = 5 }"#.parse().unwrap();
        assert_eq!(run.action, Action::Run(vec!["tell".to_owned(), "a b; rm".to_owned()]));
        assert_eq!((run.on.len(), run.time), (2, Duration::from_secs(5)));
        let post: Hook =
            r#"{ on = ["first-copy"], url = "https://a.example/x/t0ken", secret = "s3cret" }"#.parse().unwrap();
        assert_eq!(post.time, Duration::from_mins(1));
        let shown = format!("{} {post:?}", post.action);
        assert!(
            shown.contains("https://a.example") && !shown.contains("t0ken") && !shown.contains("s3cret"),
            "{shown}"
        );
    }

    #[test]
    fn a_hook_that_means_nothing_is_refused_by_name() {
        for (text, part) in [
            ("{}", "missing field `on`"),
            (r#"{ on = [], run = ["x"] }"#, "no occasion"),
            (r#"{ on = ["full-moon"], run = ["x"] }"#, "full-moon"),
            (r#"{ on = ["published"] }"#, "want either"),
            (r#"{ on = ["published"], run = ["x"], url = "http://a" }"#, "want either"),
            (r#"{ on = ["published"], run = [] }"#, "no program"),
            (r#"{ on = ["published"], run = "x y" }"#, "sequence"),
            (r#"{ on = ["published"], run = ["x"], secret = "y" }"#, "for a `url`"),
            (r#"{ on = ["published"], url = "ftp://a" }"#, "ftp"),
            (r#"{ on = ["published"], run = ["x"], time = 0 }"#, "0 seconds"),
            (r#"{ on = ["published"], runs = ["x"] }"#, "runs"),
            ("published", "string"),
        ] {
            let error = text.parse::<Hook>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
