//! A certificate with its key: read from PEM, held against what it is to be good for.
//!
//! What comes is whole and belongs together, or is refused with a sentence that says what is wrong with which file.
//! Time is not looked at here: a certificate that has ended can be mended by waiting for the next one, and the clock of
//! a small machine is wrong until it has asked for the time.
//!
//! Source: RFC 5280 for what a certificate says, RFC 7468 for its text form, RFC 6125 for which names it covers.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, ServerConfig};
use url::Host;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::prelude::X509Certificate;

/// What is offered in the handshake, best first. RFC 7301.
const PROTOCOLS: [&[u8]; 2] = [HTTP_2, b"http/1.1"];
/// The name of HTTP/2 in the handshake.
pub(crate) const HTTP_2: &[u8] = b"h2";
/// One that ends so soon is spoken of.
const SOON: TimeDelta = TimeDelta::days(14);

/// A certificate that can be shown, with those that lead from it to an authority.
#[derive(Clone)]
pub(crate) struct Certificate {
    /// What every new connection over TLS is served with.
    config: Arc<ServerConfig>,
    leaf: ParsedLeaf,
}

/// What the certificate itself says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ParsedLeaf {
    der: CertificateDer<'static>,
    names: Vec<String>,
    begins: DateTime<Utc>,
    ends: DateTime<Utc>,
}

/// Text in which a certificate or its key should be, and what it is called in refusals.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    /// Where it comes from, such as a file's path.
    pub(crate) from: &'a str,
    /// What was there.
    pub(crate) pem: &'a [u8],
}

/// Why a certificate cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateError {
    /// No certificate.
    #[error("`{from}` holds no certificate")]
    NoCertificate {
        /// Where it should be.
        from: String,
    },
    /// No key.
    #[error("`{from}` holds no private key")]
    NoKey {
        /// Where it should be.
        from: String,
    },
    /// A key that takes a passphrase to read.
    #[error("the private key in `{from}` is locked with a passphrase")]
    Locked {
        /// Where it is.
        from: String,
    },
    /// Something that cannot be read.
    #[error("`{from}` is damaged: {why}")]
    Damaged {
        /// Where it is.
        from: String,
        /// What is wrong with it.
        why: String,
    },
    /// A key of a kind that is not known.
    #[error("the private key in `{from}` is of no kind that is known; want RSA of 2048 bits or more, ECDSA or Ed25519")]
    Unknown {
        /// Where it is.
        from: String,
    },
    /// A key of another certificate.
    #[error("the private key in `{key}` is not that of the first certificate in `{chain}`")]
    Mismatch {
        /// Where the certificate is.
        chain: String,
        /// Where the key is.
        key: String,
    },
}

impl CertificateError {
    /// The way out.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NoCertificate { .. } => {
                "give it in PEM form, which begins with -----BEGIN CERTIFICATE-----, such as certbot's fullchain.pem"
            }
            Self::NoKey { .. } => {
                "give it in PEM form, which begins with -----BEGIN PRIVATE KEY-----, such as certbot's privkey.pem"
            }
            Self::Locked { .. } => {
                "unlock it with `openssl pkey -in LOCKED -out KEY`, in a file that only you can read"
            }
            Self::Damaged { .. } | Self::Unknown { .. } => "have the authority make a new one",
            Self::Mismatch { .. } => {
                "give the two that belong together; a file with more certificates begins with its own"
            }
        }
    }
}

/// How a certificate stands in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It holds for two weeks at least.
    Good,
    /// It holds, but not for long.
    EndsSoon(DateTime<Utc>),
    /// It has ended.
    Ended(DateTime<Utc>),
    /// It begins later.
    NotYet(DateTime<Utc>),
}

impl Standing {
    /// Whether clients take it now.
    pub(crate) const fn holds(self) -> bool {
        matches!(self, Self::Good | Self::EndsSoon(_))
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = |at: &DateTime<Utc>| at.format("%Y-%m-%d %H:%M UTC").to_string();
        match self {
            Self::Good => f.write_str("good"),
            Self::EndsSoon(at) => write!(f, "ends on {}", day(at)),
            Self::Ended(at) => write!(f, "ended on {}: apps and browsers refuse it", day(at)),
            Self::NotYet(at) => write!(f, "begins on {} only, if this machine's clock is right", day(at)),
        }
    }
}

impl Certificate {
    /// Reads the certificates in `chain`, the one to show first, and its private key.
    pub(crate) fn read(chain: Text<'_>, key: Text<'_>) -> Result<Self, CertificateError> {
        let damaged = |text: Text<'_>, why: String| CertificateError::Damaged { from: text.from.to_owned(), why };
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(chain.pem)
            .collect::<Result<_, pem::Error>>()
            .map_err(|error| damaged(chain, error.to_string()))?;
        let Some(first) = certificates.first() else {
            return Err(CertificateError::NoCertificate { from: chain.from.to_owned() });
        };
        let leaf = ParsedLeaf::read(first).ok_or_else(|| damaged(chain, "no certificate can be read in it".into()))?;
        let key_der = PrivateKeyDer::from_pem_slice(key.pem).map_err(|error| {
            let from = key.from.to_owned();
            let is_locked = || String::from_utf8_lossy(key.pem).contains("ENCRYPTED");
            match error {
                pem::Error::NoItemsFound if is_locked() => CertificateError::Locked { from },
                pem::Error::NoItemsFound => CertificateError::NoKey { from },
                error => damaged(key, error.to_string()),
            }
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let certified = CertifiedKey::from_der(certificates, key_der, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                CertificateError::Mismatch { chain: chain.from.to_owned(), key: key.from.to_owned() }
            }
            rustls::Error::InvalidCertificate(why) => damaged(chain, format!("{why:?}")),
            _ => CertificateError::Unknown { from: key.from.to_owned() },
        })?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring supports the versions of TLS that are compiled in")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        // Who comes back is spared most of the handshake. Without them, every handshake is a whole one.
        if let Ok(tickets) = rustls::crypto::ring::Ticketer::new() {
            config.ticketer = tickets;
        }
        Ok(Self { config: Arc::new(config), leaf })
    }

    /// What connections are served with.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// The names and addresses that it is for.
    pub(crate) fn names(&self) -> &[String] {
        &self.leaf.names
    }

    /// When it ends.
    pub(crate) const fn ends(&self) -> DateTime<Utc> {
        self.leaf.ends
    }

    /// When the next should be had: two thirds of its time have passed then.
    pub(crate) fn due(&self) -> DateTime<Utc> {
        self.leaf.begins + (self.leaf.ends - self.leaf.begins) * 2 / 3
    }

    /// How it stands at `now`.
    pub(crate) fn standing(&self, now: DateTime<Utc>) -> Standing {
        let ParsedLeaf { begins, ends, .. } = self.leaf;
        if now < begins {
            Standing::NotYet(begins)
        } else if now > ends {
            Standing::Ended(ends)
        } else if now + SOON > ends {
            Standing::EndsSoon(ends)
        } else {
            Standing::Good
        }
    }

    /// Whether clients take it for `host`.
    pub(crate) fn covers(&self, host: &Host<&str>) -> bool {
        let name = match *host {
            Host::Domain(name) => ServerName::try_from(name).ok(),
            Host::Ipv4(ip) => Some(ServerName::from(std::net::IpAddr::from(ip))),
            Host::Ipv6(ip) => Some(ServerName::from(std::net::IpAddr::from(ip))),
        };
        let leaf = ParsedCertificate::try_from(&self.leaf.der);
        name.zip(leaf.ok()).is_some_and(|(name, leaf)| rustls::client::verify_server_name(&leaf, &name).is_ok())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificate").field(&self.leaf.names).finish()
    }
}

impl ParsedLeaf {
    fn read(der: &CertificateDer<'static>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(der).ok()?;
        let time = |time: x509_parser::time::ASN1Time| DateTime::from_timestamp(time.timestamp(), 0);
        let names = parsed.subject_alternative_name().ok()?.map(|names| &names.value.general_names);
        let names = names.into_iter().flatten().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress([a, b, c, d]) => Some(std::net::Ipv4Addr::new(*a, *b, *c, *d).to_string()),
            GeneralName::IPAddress(bytes) => {
                Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string())
            }
            _ => None,
        });
        Some(Self {
            der: der.clone(),
            names: names.collect(),
            begins: time(parsed.validity().not_before)?,
            ends: time(parsed.validity().not_after)?,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// A certificate for `names` and its key in PEM; it is its own authority.
    pub(crate) fn make(names: &[&str]) -> (String, String) {
        make_until(names, TimeDelta::days(90))
    }

    /// The same that ends `after` the time of the test, and began a day before the earlier of both.
    pub(crate) fn make_until(names: &[&str], after: TimeDelta) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let (now, epoch) = (Utc::now(), rcgen::date_time_ymd(1970, 1, 1));
        let time = |at: DateTime<Utc>| epoch + Duration::from_secs(at.timestamp().try_into().unwrap());
        (params.not_before, params.not_after) = (time(now.min(now + after) - TimeDelta::days(1)), time(now + after));
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    pub(crate) fn read(chain: &str, key: &str) -> Result<Certificate, CertificateError> {
        let [chain, key] =
            [("chain.pem", chain), ("key.pem", key)].map(|(from, pem)| Text { from, pem: pem.as_bytes() });
        Certificate::read(chain, key)
    }

    #[test]
    fn a_pair_that_belongs_together_is_read() {
        let (chain, key) = make(&["pods.example", "*.pods.example", "192.0.2.7", "2001:db8::7"]);
        let certificate = read(&chain, &key).unwrap();
        assert_eq!(certificate.names(), ["pods.example", "*.pods.example", "192.0.2.7", "2001:db8::7"]);
        assert_eq!(certificate.standing(Utc::now()), Standing::Good);
        // One file may hold both, in any order.
        let both = format!("{key}{chain}");
        assert!(read(&both, &both).is_ok());
        // Of 91 days.
        let left = certificate.ends() - certificate.due();
        assert!((30..31).contains(&left.num_days()), "{left}");
    }

    #[test]
    fn a_certificate_covers_its_names_and_no_others() {
        let (chain, key) = make(&["pods.example", "*.pods.example", "192.0.2.7"]);
        let certificate = read(&chain, &key).unwrap();
        for (host, covered) in [
            ("pods.example", true),
            ("a.pods.example", true),
            ("a.b.pods.example", false),
            ("other.example", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("[2001:db8::1]", false),
        ] {
            let url = url::Url::parse(&format!("https://{host}/")).unwrap();
            assert_eq!(certificate.covers(&url.host().unwrap()), covered, "{host}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_of_the_file_that_is_wrong() {
        let ((chain, key), (_, other_key)) = (make(&["a.example"]), make(&["b.example"]));
        let cut = &chain[..chain.len() / 2];
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let odd = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        for (chain, key, want) in [
            ("", &*key, "`chain.pem` holds no certificate"),
            (&*key, &*key, "`chain.pem` holds no certificate"),
            (cut, &*key, "`chain.pem` is damaged: "),
            (broken, &*key, "`chain.pem` is damaged: no certificate can be read in it"),
            (&*chain, "", "`key.pem` holds no private key"),
            (&*chain, &*chain, "`key.pem` holds no private key"),
            (&*chain, locked, "the private key in `key.pem` is locked with a passphrase"),
            (&*chain, odd, "the private key in `key.pem` is of no kind that is known"),
            (&*chain, &*other_key, "the private key in `key.pem` is not that of the first certificate in `chain.pem`"),
        ] {
            let error = read(chain, key).unwrap_err();
            assert!(error.to_string().starts_with(want), "{error}, not {want}");
            assert!(!error.hint().is_empty());
        }
    }

    #[test]
    fn time_tells_how_it_stands() {
        let (chain, key) = make(&["a.example"]);
        let certificate = read(&chain, &key).unwrap();
        let (now, day) = (Utc::now(), TimeDelta::days(1));
        for (at, holds, says) in [
            (now - day * 2, false, "begins on "),
            (now, true, "good"),
            (now + day * 80, true, "ends on "),
            (now + day * 91, false, "ended on "),
        ] {
            let standing = certificate.standing(at);
            assert_eq!(standing.holds(), holds, "{standing}");
            assert!(standing.to_string().starts_with(says), "{standing}");
        }
    }
}
