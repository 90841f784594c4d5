//! HTTPS: the certificate that is shown, and where it comes from.
//!
//! In reading order: `certificate` is one with its key, `files` reads it from where the owner has it, and again when it
//! is another, `acme` has an authority make it, and again before it ends. [`Tls`] is what connections ask for the one
//! to show.
//!
//! Law: a connection is served with the certificate that it was greeted with until it ends, whatever comes after.

mod certificate;
mod files;
mod acme;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;
use tokio::sync::watch;

pub(crate) use acme::{Acme, AcmeConfig, parse_domain};
pub(crate) use certificate::{Certificate, HTTP_2, Standing};
pub(crate) use files::{CertificateFiles, CertificateWatch};

/// What authorities greet with who look whether a name leads here. RFC 8737.
pub(crate) const PROOF: &[u8] = b"acme-tls/1";

/// The certificate that new connections are shown. Clones show the same.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    shown: watch::Sender<Option<Arc<Certificate>>>,
    aside: Arc<Mutex<Aside>>,
}

/// What goes on beside it.
#[derive(Debug, Default)]
struct Aside {
    /// What authorities are shown who look whether a name leads here, by name.
    proofs: BTreeMap<String, Arc<ServerConfig>>,
    /// What they are answered over plain http, by token.
    answers: BTreeMap<String, String>,
    /// Why there is no newer certificate.
    trouble: Option<String>,
}

impl Tls {
    /// Shows this one, or none yet.
    pub(crate) fn new(certificate: Option<Certificate>) -> Self {
        Self { shown: watch::Sender::new(certificate.map(Arc::new)), aside: Arc::default() }
    }

    /// The certificate that is shown now; `None` if there has been none yet.
    pub(crate) fn certificate(&self) -> Option<Arc<Certificate>> {
        self.shown.borrow().clone()
    }

    /// What a new connection is served with.
    pub(crate) fn config(&self) -> Option<Arc<ServerConfig>> {
        self.shown.borrow().as_ref().map(|certificate| certificate.config())
    }

    /// Shows another from now on.
    pub(crate) fn show(&self, certificate: Certificate) {
        self.aside().trouble = None;
        self.shown.send_replace(Some(Arc::new(certificate)));
    }

    /// Notes why there is no newer certificate.
    pub(crate) fn note_trouble(&self, why: String) {
        self.aside().trouble = Some(why);
    }

    /// Why there is no newer certificate, if there should be.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.aside().trouble.clone()
    }

    /// What an authority is greeted with who looks for `name`.
    pub(crate) fn proof(&self, name: &str) -> Option<Arc<ServerConfig>> {
        self.aside().proofs.get(name).cloned()
    }

    /// What an authority is answered over plain http who asks with `token`.
    pub(crate) fn answer(&self, token: &str) -> Option<String> {
        self.aside().answers.get(token).cloned()
    }

    fn aside(&self) -> MutexGuard<'_, Aside> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) use certificate::tests::{make, read};
