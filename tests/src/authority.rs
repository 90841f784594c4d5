//! A certificate authority of a test's own: a root that clients trust, an intermediate, and what that signs.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// An authority whose root certificate lies in a file.
#[derive(Debug)]
pub struct Authority {
    root: PathBuf,
    intermediate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with those between it and the root, and its key, in PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificates, that of the server first.
    pub chain: String,
    /// The private key.
    pub key: String,
}

impl Authority {
    /// A new one called `name`, whose root is written into `folder`.
    pub fn new(name: &str, folder: &Path) -> Self {
        let of = |name: String| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            (params, new_key())
        };
        let (params, key) = of(format!("{name} root"));
        let root = folder.join(format!("{name}.pem"));
        let certificate = params.self_signed(&key).expect("a root signs itself");
        fs::write(&root, certificate.pem()).expect("the test's folder is ours");
        let root_issuer = Issuer::new(params, key);
        let (params, key) = of(format!("{name} intermediate"));
        let intermediate = params.signed_by(&key, &root_issuer).expect("a root signs").pem();
        Self { root, intermediate, issuer: Issuer::new(params, key) }
    }

    /// The file that holds the root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A certificate for these names and addresses that holds for ninety days.
    pub fn issue(&self, names: &[&str]) -> Pair {
        self.issue_until(names, TimeDelta::days(90))
    }

    /// The same that ends `after` now, and began a day before the earlier of both.
    pub fn issue_until(&self, names: &[&str], after: TimeDelta) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names are names");
        let (now, epoch) = (Utc::now(), rcgen::date_time_ymd(1970, 1, 1));
        let since = |at: DateTime<Utc>| Duration::from_secs(at.timestamp().try_into().expect("it is after 1970"));
        params.not_before = epoch + since(now.min(now + after) - TimeDelta::days(1));
        params.not_after = epoch + since(now + after);
        let key = new_key();
        let leaf = params.signed_by(&key, &self.issuer).expect("an intermediate signs").pem();
        Pair { chain: leaf + &self.intermediate, key: key.serialize_pem() }
    }
}

impl Pair {
    /// Writes both into `folder`, one file after the other, and gives their paths: chain, key.
    pub fn write(&self, folder: &Path) -> [PathBuf; 2] {
        [("chain.pem", &self.chain), ("key.pem", &self.key)].map(|(name, text)| {
            let path = folder.join(name);
            fs::write(&path, text).expect("the test's folder is ours");
            path
        })
    }
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("the system gives randomness")
}
