//! What hooks of both programs do: a program is started, a server is told.
//!
//! A program is ended, with everything that it started, when its time is over or nobody waits for it any more. No shell
//! reads its arguments. A server is told once; who tells it decides whether it is told again.
//!
//! Knows nothing of when hooks are due, and of what they are told.

use std::ffi::OsStr;
use std::fmt;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use url::Url;

use super::failure::Failure;
use super::heap::HEAPS;
use crate::net::http::HttpClient;

/// How long a hook may take, if its owner says nothing else.
const TIME: Duration = Duration::from_mins(1);

/// The waits before a server is told again.
pub const WAITS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(3),
    Duration::from_mins(12),
];
/// The wait after those.
pub const LAST_WAIT: Duration = Duration::from_hours(1);
/// What happened longer ago is not told any more.
pub const LONGEST: Duration = Duration::from_hours(3 * 24);

/// What a hook does.
#[derive(Clone, PartialEq, Eq)]
pub enum Action {
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

impl Action {
    /// What is meant by the keys that a hook is written with.
    ///
    /// # Errors
    ///
    /// A sentence about what is wrong with them.
    pub fn written(run: Option<Vec<String>>, url: Option<Url>, secret: Option<String>) -> Result<Self, String> {
        match (run, url) {
            (Some(words), None) if words.first().is_none_or(String::is_empty) => {
                Err("`run` names no program".to_owned())
            }
            (Some(_), None) if secret.is_some() => Err("`secret` is for a `url`".to_owned()),
            (Some(words), None) => Ok(Self::Run(words)),
            (None, Some(url)) if matches!(url.scheme(), "http" | "https") => Ok(Self::Post { url, secret }),
            (None, Some(url)) => Err(format!("`url` is a {} address; want http or https", url.scheme())),
            _ => Err("want either `run`, a program and its arguments, or `url`".to_owned()),
        }
    }
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
            Self::Run(words) => write!(f, "`{}`", words.first().map_or("", String::as_str)),
            Self::Post { url, .. } => write!(f, "{}://{}", url.scheme(), url.host_str().unwrap_or_default()),
        }
    }
}

/// How long a hook may take, of which its owner says so many seconds.
///
/// # Errors
///
/// If that is no time.
pub fn time_of(seconds: Option<u64>) -> Result<Duration, String> {
    let time = seconds.map_or(TIME, Duration::from_secs);
    if time.is_zero() { Err("`time` is 0 seconds".to_owned()) } else { Ok(time) }
}

/// Reads a hook as its owner writes it on one line, `{ run = ["program"] }`.
///
/// # Errors
///
/// A sentence about what is wrong with it.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    /// The file around it, with the one key that it is read under.
    #[derive(Deserialize)]
    struct File<T> {
        hook: T,
    }
    if !text.trim_start().starts_with('{') {
        let want = "want a table, such as `{ run = [\"program\", \"argument\"] }`";
        return Err(format!("a bare word or string is no hook; {want}"));
    }
    let file: File<T> = toml::from_str(&format!("hook = {text}")).map_err(|error| error.message().to_owned())?;
    Ok(file.hook)
}

/// Starts a program with these variables and this on its standard input, and waits for its end, for as long as it may
/// take.
///
/// # Errors
///
/// A sentence about how it failed.
pub async fn run<V: AsRef<OsStr>>(
    words: &[String],
    variables: impl IntoIterator<Item = (&'static str, V)>,
    input: &[u8],
    time: Duration,
) -> Result<(), String> {
    let [program, arguments @ ..] = words else { return Err("it names no program".to_owned()) };
    let mut command = Command::new(program);
    command.args(arguments).envs(variables).stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
    command.env_remove(HEAPS);
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(|error| format!("it cannot be started: {error}"))?;
    let mut group = Group::of(&child);
    let work = async {
        if let Some(mut stdin) = child.stdin.take() {
            // A program need not read it.
            let _ = stdin.write_all(input).await;
        }
        child.wait().await
    };
    match tokio::time::timeout(time, work).await {
        Ok(Ok(status)) => {
            group.leave();
            if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
        }
        Ok(Err(error)) => Err(format!("it cannot be waited for: {error}")),
        Err(_) => Err(format!("it did not end within {} s, and was ended", time.as_secs())),
    }
}

/// A program with all that it has started, ended when dropped.
struct Group {
    #[cfg(unix)]
    id: Option<rustix::process::Pid>,
}

impl Group {
    #[cfg(unix)]
    fn of(child: &tokio::process::Child) -> Self {
        Self { id: child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?)) }
    }

    #[cfg(not(unix))]
    fn of(_child: &tokio::process::Child) -> Self {
        Self {}
    }

    /// Lets what it left running go on.
    fn leave(&mut self) {
        #[cfg(unix)]
        {
            self.id = None;
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(id) = self.id {
            // It may have ended by itself just now.
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}

/// What a server is told.
#[derive(Clone, Debug)]
pub struct Delivery<'a> {
    /// What happened, in a word.
    pub event: &'a str,
    /// What tells it from all others: the same each time that it is tried.
    pub id: &'a str,
    /// All of it, as JSON.
    pub body: &'a Bytes,
}

/// Why a server has not taken what it was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// It may take it later.
    #[error("{0}")]
    ForNow(String),
    /// It never will.
    #[error("{0}")]
    ForGood(String),
}

/// Tells a server once, signed if there is a secret.
///
/// # Errors
///
/// If it does not answer 2xx within `time`.
pub async fn post(
    http: &HttpClient,
    url: &str,
    secret: Option<&str>,
    delivery: &Delivery<'_>,
    time: Duration,
) -> Result<(), Undelivered> {
    let Delivery { event, id, body } = delivery;
    let signature = secret.map(|secret| signature(secret.as_bytes(), body));
    let mut headers =
        vec![("content-type", "application/json"), ("x-podswarm-event", *event), ("x-podswarm-delivery", *id)];
    headers.extend(signature.as_deref().map(|signature| ("x-hub-signature-256", signature)));
    match http.post(url, &headers, Bytes::clone(body), time).await {
        Ok(200..=299) => Ok(()),
        Ok(status @ (408 | 429 | 500..=599)) => Err(Undelivered::ForNow(format!("the server answers {status}"))),
        Ok(status) => Err(Undelivered::ForGood(format!("the server answers {status}"))),
        Err(error) => Err(Undelivered::ForNow(Failure::from(error).to_string())),
    }
}

/// `sha256=` and the HMAC-SHA256 of `body` in lower-case hex, as it stands in `X-Hub-Signature` and
/// `X-Hub-Signature-256`.
pub fn signature(secret: &[u8], body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(body);
    format!("sha256={}", HEXLOWER.encode(&mac.finalize().into_bytes()))
}

/// Checks a body as it comes against its `X-Hub-Signature`, by any of the algorithms of W3C `WebSub`.
pub struct SignatureCheck {
    mac: AnyMac,
    /// What was said to come of it.
    said: Vec<u8>,
}

enum AnyMac {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl SignatureCheck {
    /// A check of what is to be signed with `secret`; `None` if the header says nothing that we know.
    pub fn new(secret: &[u8], header: &str) -> Option<Self> {
        let (name, said) = header.trim().split_once('=')?;
        let mac = match name.to_ascii_lowercase().as_str() {
            "sha1" => AnyMac::Sha1(Hmac::new_from_slice(secret).ok()?),
            "sha256" => AnyMac::Sha256(Hmac::new_from_slice(secret).ok()?),
            "sha384" => AnyMac::Sha384(Hmac::new_from_slice(secret).ok()?),
            "sha512" => AnyMac::Sha512(Hmac::new_from_slice(secret).ok()?),
            _ => return None,
        };
        Some(Self { mac, said: HEXLOWER_PERMISSIVE.decode(said.as_bytes()).ok()? })
    }

    /// The next part of the body.
    pub fn update(&mut self, part: &[u8]) {
        match &mut self.mac {
            AnyMac::Sha1(mac) => mac.update(part),
            AnyMac::Sha256(mac) => mac.update(part),
            AnyMac::Sha384(mac) => mac.update(part),
            AnyMac::Sha512(mac) => mac.update(part),
        }
    }

    /// Whether that was all, as it was signed. How long this takes tells nothing of what was right.
    pub fn is_right(self) -> bool {
        let verified = match self.mac {
            AnyMac::Sha1(mac) => mac.verify_slice(&self.said),
            AnyMac::Sha256(mac) => mac.verify_slice(&self.said),
            AnyMac::Sha384(mac) => mac.verify_slice(&self.said),
            AnyMac::Sha512(mac) => mac.verify_slice(&self.said),
        };
        verified.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_signature_is_that_of_rfc_4231() {
        // Its second test case.
        let want = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature(b"Jefe", b"what do ya want for nothing?"), want);
    }

    #[test]
    fn a_signature_is_checked_by_every_algorithm_and_by_no_other() {
        let is_right = |secret: &[u8], header: &str| {
            let mut check = SignatureCheck::new(secret, header)?;
            check.update(b"what do ya want ");
            check.update(b"for nothing?");
            Some(check.is_right())
        };
        // The second test case of RFC 2202 and of RFC 4231.
        let right = [
            "sha1=effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
            "SHA256=5BDCC146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            "sha384=af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            "sha512=164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fd\
             caeab1a34d4a6b4b636e070a38bce737",
        ];
        for header in right {
            assert_eq!(is_right(b"Jefe", header), Some(true), "{header}");
            assert_eq!(is_right(b"jefe", header), Some(false), "{header}");
            assert_eq!(is_right(b"Jefe", &header[..header.len() - 2]), Some(false), "{header}");
        }
        for header in ["", "sha1", "sha1=x", "md5=750c783e6ab0b503eaa86e310a5db738", "=", "sha256=5b dc"] {
            assert_eq!(is_right(b"Jefe", header), None, "{header}");
        }
        assert_eq!(is_right(b"Jefe", "sha256="), Some(false));
    }

    #[tokio::test]
    async fn a_program_is_told_by_its_input_and_its_variables() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("told");
        let script = "read line; echo \"$PODTEST_EVENT $1 $line\" > \"$0\"";
        let program = words(&["sh", "-c", script, file.to_str().unwrap(), "a b; exit 1"]);
        run(&program, [("PODTEST_EVENT", "done")], b"{\"event\":1}\n", Duration::from_mins(1)).await.unwrap();
        assert_eq!(std::fs::read_to_string(file).unwrap(), "done a b; exit 1 {\"event\":1}\n");
    }

    #[tokio::test]
    async fn a_program_that_fails_or_is_not_there_is_told() {
        let none: [(&str, &str); 0] = [];
        let failed = run(&words(&["false"]), none, b"", Duration::from_mins(1)).await.unwrap_err();
        assert!(failed.contains("exit status: 1"), "{failed}");
        let missing = run(&words(&["/nowhere/x"]), none, b"", Duration::from_mins(1)).await;
        assert!(missing.unwrap_err().contains("cannot be started"));
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_ended_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // The inner one holds the pipe until it ends.
        let program =
            words(&["sh", "-c", "sh -c 'exec 3>\"$0\"; tail -f /dev/null' \"$0\" & wait", pipe.to_str().unwrap()]);
        let reader = tokio::task::spawn_blocking(move || std::fs::read(pipe).unwrap());
        let none: [(&str, &str); 0] = [];
        let error = run(&program, none, b"", Duration::from_millis(300)).await.unwrap_err();
        assert!(error.contains("was ended"), "{error}");
        assert_eq!(reader.await.unwrap(), b"", "the pipe has no writer any more");
    }
}
