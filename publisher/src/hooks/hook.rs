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

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

/// How long a hook may take, if its owner says nothing else.
const TIME: Duration = Duration::from_mins(1);

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

/// What a hook does.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Starts a program, with its arguments; no shell reads them.
    Run(Vec<String>),
    /// Sends a request.
    Post {
        /// Where to.
        url: Url,
        /// What the request is signed with.
        secret: Option<String>,
    },
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Action({self})")
    }
}

/// For people: the program or the host. Addresses of webhooks often have a secret in their path.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(words) => write!(f, "`{}`", words[0]),
            Self::Post { url, .. } => write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default()),
        }
    }
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

/// The file around it, with the one key that it is read under.
#[derive(Deserialize)]
struct File {
    hook: Written,
}

impl FromStr for Hook {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let File { hook } = toml::from_str(&format!("hook = {text}")).map_err(|error| error.message().to_owned())?;
        let Written { on, run, url, secret, time } = hook;
        if on.is_empty() {
            return Err("`on` names no occasion".to_owned());
        }
        let action = match (run, url) {
            (Some(words), None) if words.first().is_none_or(String::is_empty) => {
                return Err("`run` names no program".to_owned());
            }
            (Some(_), None) if secret.is_some() => return Err("`secret` is for a `url`".to_owned()),
            (Some(words), None) => Action::Run(words),
            (None, Some(url)) if matches!(url.scheme(), "http" | "https") => Action::Post { url, secret },
            (None, Some(url)) => return Err(format!("`url` is a {} address; want http or https", url.scheme())),
            _ => return Err("want either `run`, a program and its arguments, or `url`".to_owned()),
        };
        let time = time.map_or(TIME, Duration::from_secs);
        if time.is_zero() {
            return Err("`time` is 0 seconds".to_owned());
        }
        Ok(Self { on, action, time })
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
        assert_eq!(post.time, TIME);
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
