//! A certificate in files of the owner's, which some other program renews.
//!
//! Such a program writes one file after the other, through links or in place, and tells nobody. So both are read every
//! few seconds, and a pair that is new, whole, in its time and for the same host takes the place of the one before.
//! What is none of that is told once, and the one before stays: a renewal that goes wrong costs nothing until the
//! certificate ends.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use podswarm_core::app::Failure;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use url::Host;

use super::certificate::{Certificate, Text};
use super::{Standing, Tls};
use crate::host::blocking;

/// How often the files are read.
const LOOK: Duration = Duration::from_secs(5);
/// How often it is said that the certificate ends soon, or has ended.
const REMIND: TimeDelta = TimeDelta::days(1);
/// A larger file is no certificate.
const MOST: u64 = 1 << 20;

/// Where a certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateFiles {
    /// The certificate, and those between it and the authority.
    pub(crate) chain: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

/// What the files hold, as they are.
struct Content {
    chain: Vec<u8>,
    key: Vec<u8>,
}

/// What tells one content from another.
type Print = [u8; 32];

impl CertificateFiles {
    /// Reads them for the first time. What is wrong is told with the way out.
    pub(crate) fn open(self) -> Result<(Certificate, CertificateWatch), Failure> {
        let content = self.content()?;
        let certificate = self.parse(&content)?;
        let seen = Seen { print: Ok(content.print()), verdict: Verdict::Good };
        Ok((certificate, CertificateWatch { files: self, seen, reminded: None }))
    }

    fn content(&self) -> Result<Content, Failure> {
        let named = |path: &Path, what| {
            read(path).map_err(|error| {
                let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
                let hint = is_denied.then_some("let the user that podpub runs as read it, and nobody else");
                Failure::new(format!("read the {what} in `{}`", path.display())).because(error).with_any_hint(hint)
            })
        };
        Ok(Content { chain: named(&self.chain, "certificate")?, key: named(&self.key, "private key")? })
    }

    fn parse(&self, content: &Content) -> Result<Certificate, Failure> {
        let [chain, key] = [&self.chain, &self.key].map(|path| path.display().to_string());
        let (chain, key) = (Text { from: &chain, pem: &content.chain }, Text { from: &key, pem: &content.key });
        Certificate::read(chain, key).map_err(|error| {
            let hint = error.hint();
            Failure::from(error).with_hint(hint)
        })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Content {
    fn print(&self) -> Print {
        let mut hash = Sha256::new();
        hash.update((self.chain.len() as u64).to_be_bytes());
        hash.update(&self.chain);
        hash.update(&self.key);
        hash.finalize().into()
    }
}

/// Looks at the files again and again.
#[derive(Debug)]
pub(crate) struct CertificateWatch {
    files: CertificateFiles,
    /// What was there at the last look.
    seen: Seen,
    /// When it was said that the certificate does not hold, or not for long.
    reminded: Option<DateTime<Utc>>,
}

/// What was seen, and made of it.
#[derive(Clone, Debug)]
struct Seen {
    /// What was read, or why nothing could be.
    print: Result<Print, String>,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is shown.
    Good,
    /// It is not shown, but may be being written.
    Doubtful,
    /// It is not shown, and that was told.
    Refused,
}

impl CertificateWatch {
    /// Reads the files again every few seconds until the stop, and has `tls` show what is new and good. `host` is what
    /// it has to be for, if the one before was.
    pub(crate) async fn follow_task(mut self, tls: Tls, host: Host<String>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let (tls, host) = (tls.clone(), host.clone());
            self = blocking(move || {
                self.look(&tls, &host, Utc::now());
                self
            })
            .await;
        }
    }

    fn look(&mut self, tls: &Tls, host: &Host<String>, now: DateTime<Utc>) {
        let content = self.files.content();
        let print = content.as_ref().map(Content::print).map_err(ToString::to_string);
        let before = (self.seen.print == print).then_some(self.seen.verdict);
        if before != Some(Verdict::Good) {
            let taken = content.map_err(|failure| failure.to_string());
            let verdict = match taken.and_then(|content| self.take(&content, tls, host, now)) {
                Ok(()) => Verdict::Good,
                Err(_) if before.is_none() => Verdict::Doubtful,
                Err(fault) => {
                    if before == Some(Verdict::Doubtful) {
                        tracing::error!("{fault}; the certificate before it is shown on");
                        tls.note_trouble(fault);
                    }
                    Verdict::Refused
                }
            };
            self.seen = Seen { print, verdict };
        }
        let Some(shown) = tls.certificate() else { return };
        let standing = shown.standing(now);
        if standing != Standing::Good && self.reminded.is_none_or(|at| now - at >= REMIND) {
            self.reminded = Some(now);
            tracing::warn!("the certificate in `{}` {standing}", self.files.chain.display());
        }
    }

    /// Shows what the files hold if it is good; else says why not.
    fn take(&self, content: &Content, tls: &Tls, host: &Host<String>, now: DateTime<Utc>) -> Result<(), String> {
        let certificate = self.files.parse(content).map_err(|failure| failure.to_string())?;
        let (shown, from) = (tls.certificate(), self.files.chain.display());
        let standing = certificate.standing(now);
        if !standing.holds() && shown.as_ref().is_some_and(|shown| shown.standing(now).holds()) {
            return Err(format!("the certificate in `{from}` {standing}"));
        }
        if !certificate.covers(&borrow(host)) && shown.is_some_and(|shown| shown.covers(&borrow(host))) {
            return Err(format!(
                "the certificate in `{from}` is for {}, not for {host}",
                certificate.names().join(", ")
            ));
        }
        tracing::info!(names = ?certificate.names(), ends = %certificate.ends(), "a new certificate is shown");
        tls.show(certificate);
        Ok(())
    }
}

fn borrow(host: &Host<String>) -> Host<&str> {
    match host {
        Host::Domain(name) => Host::Domain(name),
        Host::Ipv4(ip) => Host::Ipv4(*ip),
        Host::Ipv6(ip) => Host::Ipv6(*ip),
    }
}

#[cfg(test)]
mod tests {
    use super::super::certificate::tests::{make, make_until};
    use super::*;

    /// Files on disk, what is shown of them, and who looks.
    struct World {
        dir: tempfile::TempDir,
        tls: Tls,
        watch: CertificateWatch,
    }

    impl World {
        fn new(pair: &(String, String)) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let at = |name| dir.path().join(name);
            let files = CertificateFiles { chain: at("chain.pem"), key: at("key.pem") };
            std::fs::write(&files.chain, &pair.0).unwrap();
            std::fs::write(&files.key, &pair.1).unwrap();
            let (certificate, watch) = files.open().unwrap();
            Self { dir, tls: Tls::new(Some(certificate)), watch }
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.dir.path().join(name), text).unwrap();
        }

        /// The first name that is shown after another look.
        fn look(&mut self) -> String {
            self.watch.look(&self.tls, &Host::Domain("a.example".to_owned()), Utc::now());
            self.tls.certificate().unwrap().names()[1].clone()
        }

        fn verdict(&self) -> Verdict {
            self.watch.seen.verdict
        }
    }

    #[test]
    fn a_pair_that_is_written_one_file_after_the_other_is_shown_when_it_is_whole() {
        let (first, second) = (make(&["a.example", "first"]), make(&["a.example", "second"]));
        let mut world = World::new(&first);
        let before = world.tls.config().unwrap();
        assert_eq!(world.look(), "first");
        assert!(std::sync::Arc::ptr_eq(&before, &world.tls.config().unwrap()), "nothing has changed");
        world.write("key.pem", &second.1);
        assert_eq!((world.look().as_str(), world.verdict()), ("first", Verdict::Doubtful));
        world.write("chain.pem", &second.0);
        assert_eq!((world.look().as_str(), world.verdict()), ("second", Verdict::Good));
    }

    #[test]
    fn what_is_not_good_is_refused_and_the_one_before_stays() {
        let first = make(&["a.example", "first"]);
        let mut world = World::new(&first);
        let past = make_until(&["a.example", "past"], -TimeDelta::hours(1));
        let other = make(&["b.example", "other"]);
        let nothing = (String::new(), String::new());
        for pair in [past, other, nothing] {
            world.write("chain.pem", &pair.0);
            world.write("key.pem", &pair.1);
            assert_eq!((world.look().as_str(), world.verdict()), ("first", Verdict::Doubtful));
            assert_eq!((world.look().as_str(), world.verdict()), ("first", Verdict::Refused));
        }
        std::fs::remove_file(world.dir.path().join("key.pem")).unwrap();
        assert_eq!(world.look(), "first");
        let good = make(&["a.example", "good"]);
        world.write("chain.pem", &good.0);
        world.write("key.pem", &good.1);
        assert_eq!((world.look().as_str(), world.verdict()), ("good", Verdict::Good));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name| dir.path().join(name);
        let failure = CertificateFiles { chain: at("chain.pem"), key: at("key.pem") }.open().unwrap_err();
        assert!(failure.to_string().starts_with("read the certificate in `"), "{failure}");
    }
}
