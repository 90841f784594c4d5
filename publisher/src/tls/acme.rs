//! A certificate that an authority makes for whoever answers under a name (ACME).
//!
//! The authority looks whether the name leads here: at port 443 over TLS, which is asked for first, or at port 80 over
//! plain http. Two thirds into its time a certificate is replaced by the next; what goes wrong is told and tried again,
//! ever more seldom, since authorities count. The account and the certificate lie in `acme/AUTHORITY/`, readable by
//! their owner only, so that a restart asks for nothing.
//!
//! Source: RFC 8555; RFC 8737 for the proof over TLS. The messages are those of the `instant-acme` crate.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use chrono::Utc;
use instant_acme::{
    Account, AuthorizationStatus, BodyWrapper, BytesResponse, ChallengeType, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, Problem, RetryPolicy,
};
use podswarm_core::app::write_atomic;
use podswarm_core::net::Route;
use podswarm_core::net::http::{HttpClient, HttpError, Reach};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_util::sync::CancellationToken;
use url::{Host, Url};

use super::certificate::{Certificate, CertificateError, Text};
use super::{PROOF, Tls};
use crate::USER_AGENT;

/// The directory of Let's Encrypt.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// How long one answer of an authority may take.
const TIME: Duration = Duration::from_secs(30);
/// Its longest answer, in bytes.
const MOST: usize = 1 << 20;
/// How long it may take to look, and to make a certificate.
const PATIENCE: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(500)).timeout(Duration::from_mins(1));
/// The first pause after a failure; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_mins(5);
/// The longest.
const LAST_PAUSE: Duration = Duration::from_hours(6);
/// The clock may be set, so it is looked at as often.
const LOOK: Duration = Duration::from_hours(1);

/// What to ask whom for.
#[derive(Clone, Debug)]
pub(crate) struct AcmeConfig {
    /// The names that the certificate is to be for.
    pub(crate) domains: Vec<String>,
    /// Where the authority can write to.
    pub(crate) email: Option<String>,
    /// The authority's directory; `None` for that of Let's Encrypt.
    pub(crate) directory: Option<Url>,
    /// Where accounts and certificates are kept.
    pub(crate) folder: PathBuf,
}

/// Asks for certificates.
pub(crate) struct Acme {
    config: AcmeConfig,
    directory: Url,
    http: HttpClient,
    tls: Tls,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcmeError {
    /// The authority cannot be asked, or makes no sense.
    #[error("the authority at {authority} cannot be asked")]
    Unreachable {
        /// Its host.
        authority: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The authority says no.
    #[error("the authority at {authority} refuses: {why}")]
    Refused {
        /// Its host.
        authority: String,
        /// Its reason.
        why: String,
    },
    /// The authority did not find us under a name.
    #[error("the authority at {authority} does not find us: {}", .tried.join("; "))]
    Unproven {
        /// Its host.
        authority: String,
        /// What it said of each way.
        tried: Vec<String>,
    },
    /// What it made cannot be shown.
    #[error(transparent)]
    Useless(#[from] CertificateError),
    /// What it made cannot be kept.
    #[error("keep `{path}`")]
    Keep {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl AcmeError {
    /// Whether the way from the world to us is to be mended.
    pub(crate) const fn is_unproven(&self) -> bool {
        matches!(self, Self::Unproven { .. })
    }
}

/// How one attempt failed.
enum Failed {
    /// The authority did not find us this way.
    Unproven(String),
    /// It knows the account no more.
    Forgotten,
    /// Another way would not help.
    For(AcmeError),
}

/// Reads a name that an authority may be asked for.
pub(crate) fn parse_domain(text: &str) -> Result<String, String> {
    match Host::parse(text) {
        Ok(Host::Domain(name)) if name.contains('.') && !name.contains('*') => {
            Ok(name.trim_end_matches('.').to_owned())
        }
        Ok(Host::Domain(name)) if name.contains('*') => {
            Err("a certificate for all names below one takes a proof in the DNS: get it by another program, and give \
                 it with --tls-cert"
                .to_owned())
        }
        _ => Err("want the name of a host in the DNS, such as pods.example".to_owned()),
    }
}

impl Acme {
    /// What `config` says, asked by `route`. Shows what was got before, if it is for all the names.
    pub(crate) fn new(config: AcmeConfig, route: &Route) -> Result<Self, HttpError> {
        let http = HttpClient::new(Reach::Any, USER_AGENT, route)?;
        let directory = config.directory.clone().unwrap_or_else(|| LETS_ENCRYPT.parse().expect("it is a URL"));
        let acme = Self { config, directory, http, tls: Tls::new(None) };
        if let Some(certificate) = acme.stored() {
            acme.tls.show(certificate);
        }
        Ok(acme)
    }

    /// What shows the certificate.
    pub(crate) const fn tls(&self) -> &Tls {
        &self.tls
    }

    /// The authority's host.
    pub(crate) fn authority(&self) -> String {
        let host = self.directory.host_str().unwrap_or_default();
        self.directory.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.config.folder.join(self.authority().replace([':', '[', ']'], "_")).join(name)
    }

    /// What was got before; `None` if it is not there, damaged, or for other names.
    fn stored(&self) -> Option<Certificate> {
        let path = self.file("certificate.pem");
        let pem = std::fs::read(&path).ok()?;
        let text = Text { from: &path.display().to_string(), pem: &pem };
        let certificate = Certificate::read(text, text).ok()?;
        let covers_all = self.config.domains.iter().all(|name| certificate.covers(&Host::Domain(name)));
        covers_all.then_some(certificate)
    }

    /// Has the authority make a certificate, keeps it and shows it.
    pub(crate) async fn obtain(&self) -> Result<(), AcmeError> {
        let mut tried = Vec::new();
        let mut account = self.account().await?;
        let mut is_new = false;
        let mut ways =
            [(ChallengeType::TlsAlpn01, "port 443"), (ChallengeType::Http01, "port 80")].into_iter().peekable();
        while let Some((way, port)) = ways.peek() {
            let made = self.order(&account, way).await;
            self.forget_proofs();
            match made {
                Ok(pem) => return self.keep(&pem),
                Err(Failed::For(error)) => return Err(error),
                Err(Failed::Forgotten) if !is_new => {
                    let _ = std::fs::remove_file(self.file("account.json"));
                    account = self.account().await?;
                    is_new = true;
                    continue;
                }
                Err(Failed::Forgotten) => tried.push(format!("at {port}: it forgets the account at once")),
                Err(Failed::Unproven(why)) => tried.push(format!("at {port}: {why}")),
            }
            ways.next();
        }
        Err(AcmeError::Unproven { authority: self.authority(), tried })
    }

    /// The account that was made before, or a new one.
    async fn account(&self) -> Result<Account, AcmeError> {
        let path = self.file("account.json");
        let builder = || Account::builder_with_http(Box::new(Client(self.http.clone())));
        let stored = std::fs::read(&path).ok().and_then(|json| serde_json::from_slice(&json).ok());
        if let Some(credentials) = stored {
            return builder().from_credentials(credentials).await.map_err(|error| self.fault(error));
        }
        let contact: Vec<String> = self.config.email.iter().map(|email| format!("mailto:{email}")).collect();
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let made = builder().create(&new, self.directory.to_string(), None).await;
        let (account, credentials) = made.map_err(|error| self.fault(error))?;
        let json = serde_json::to_vec(&credentials).expect("credentials have a JSON form");
        write(&path, &json)?;
        Ok(account)
    }

    /// Asks for a certificate, proving each name by `way`. Gives the key and the certificates in PEM.
    async fn order(&self, account: &Account, way: &ChallengeType) -> Result<String, Failed> {
        let names: Vec<Identifier> = self.config.domains.iter().cloned().map(Identifier::Dns).collect();
        let failed = |error| self.failed(error);
        let mut order = account.new_order(&NewOrder::new(&names)).await.map_err(failed)?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(failed)?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let name = authorization.identifier().to_string();
            let Some(mut challenge) = authorization.challenge(way.clone()) else {
                return Err(Failed::Unproven("it does not look there".to_owned()));
            };
            let proof = challenge.key_authorization();
            if *way == ChallengeType::TlsAlpn01 {
                let config = greeting(&name, proof.digest().as_ref());
                let config = config.map_err(|error| Failed::Unproven(error.to_string()))?;
                self.tls.aside().proofs.insert(name, Arc::new(config));
            } else {
                self.tls.aside().answers.insert(challenge.token.clone(), proof.as_str().to_owned());
            }
            challenge.set_ready().await.map_err(failed)?;
        }
        match order.poll_ready(&PATIENCE).await {
            Ok(OrderStatus::Ready) => {}
            Ok(_) | Err(instant_acme::Error::Api(_)) => return Err(Failed::Unproven(reasons(&mut order).await)),
            Err(error) => return Err(self.failed(error)),
        }
        let key = order.finalize().await.map_err(failed)?;
        let chain = order.poll_certificate(&PATIENCE).await.map_err(failed)?;
        Ok(key + &chain)
    }

    fn forget_proofs(&self) {
        let mut aside = self.tls.aside();
        aside.proofs.clear();
        aside.answers.clear();
    }

    fn keep(&self, pem: &str) -> Result<(), AcmeError> {
        let path = self.file("certificate.pem");
        let text = Text { from: &path.display().to_string(), pem: pem.as_bytes() };
        let certificate = Certificate::read(text, text)?;
        write(&path, pem.as_bytes())?;
        tracing::info!(names = ?certificate.names(), ends = %certificate.ends(), "a new certificate is shown");
        self.tls.show(certificate);
        Ok(())
    }

    /// Has the next certificate made before the one that is shown ends, until the stop.
    pub(crate) async fn renew_task(self, stop: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            let due = self.tls.certificate().map(|certificate| certificate.due() - Utc::now());
            let wait = due.and_then(|due| due.to_std().ok()).unwrap_or_default();
            if !wait.is_zero() {
                if stop.run_until_cancelled(tokio::time::sleep(wait.min(LOOK))).await.is_none() {
                    return;
                }
                continue;
            }
            let Some(obtained) = stop.run_until_cancelled(self.obtain()).await else { return };
            let Err(error) = obtained else {
                pause = FIRST_PAUSE;
                continue;
            };
            let cause = std::error::Error::source(&error).map_or_else(String::new, |source| format!(": {source}"));
            let why = format!("{error}{cause}");
            tracing::error!("no new certificate: {why}; tried again in {} minutes", pause.as_secs() / 60);
            self.tls.note_trouble(format!("no new certificate: {why}"));
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
            pause = (pause * 2).min(LAST_PAUSE);
        }
    }

    fn failed(&self, error: instant_acme::Error) -> Failed {
        match &error {
            instant_acme::Error::Api(problem) if is(problem, "accountDoesNotExist") => Failed::Forgotten,
            _ => Failed::For(self.fault(error)),
        }
    }

    fn fault(&self, error: instant_acme::Error) -> AcmeError {
        let authority = self.authority();
        match error {
            instant_acme::Error::Api(problem) => AcmeError::Refused { authority, why: told(&problem) },
            instant_acme::Error::Other(source) => AcmeError::Unreachable { authority, source },
            error => AcmeError::Unreachable { authority, source: error.into() },
        }
    }
}

/// Whether the problem is of that kind. RFC 8555, section 6.7.
fn is(problem: &Problem, kind: &str) -> bool {
    problem.r#type.as_deref().and_then(|full| full.strip_prefix("urn:ietf:params:acme:error:")) == Some(kind)
}

fn told(problem: &Problem) -> String {
    problem.detail.as_ref().or(problem.r#type.as_ref()).map_or_else(|| "it does not say why".to_owned(), Clone::clone)
}

/// What the authority found under the names of an order that came to nothing.
async fn reasons(order: &mut Order) -> String {
    let mut reasons = BTreeSet::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if let Ok(state) = authorization.refresh().await {
            reasons.extend(state.challenges.iter().filter_map(|challenge| challenge.error.as_ref()).map(told));
        }
    }
    if reasons.is_empty() { "it does not say why".to_owned() } else { Vec::from_iter(reasons).join(", ") }
}

/// What an authority is greeted with that looks for `name`: a certificate with the `digest` that it wants to see.
fn greeting(name: &str, digest: &[u8]) -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = provider.key_provider.load_private_key(PrivateKeyDer::try_from(key.serialize_der())?)?;
    // It says what nobody but such an authority can read, and so fits no other check.
    let certified = CertifiedKey::new(vec![certificate.der().clone()], key);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    config.alpn_protocols = vec![PROOF.to_vec()];
    Ok(config)
}

fn write(path: &std::path::Path, bytes: &[u8]) -> Result<(), AcmeError> {
    let folder = path.parent().expect("a file lies in a folder");
    std::fs::create_dir_all(folder)
        .and_then(|()| write_atomic(path, bytes, 0o600))
        .map_err(|source| AcmeError::Keep { path: path.to_owned(), source })
}

/// Carries the messages.
struct Client(HttpClient);

impl instant_acme::HttpClient for Client {
    fn request(
        &self,
        request: axum::http::Request<BodyWrapper<Bytes>>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let http = self.0.clone();
        let exchange = async move {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(Body::new(body), MOST).await?;
            let request = reqwest::Request::try_from(axum::http::Request::from_parts(parts, body))?;
            let response = axum::http::Response::from(http.send(request, TIME).await?);
            let (parts, body) = response.into_parts();
            let body = tokio::time::timeout(TIME, axum::body::to_bytes(Body::new(body), MOST)).await??;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(BytesResponse { parts, body: Box::new(body) })
        };
        Box::pin(async move { exchange.await.map_err(instant_acme::Error::Other) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::certificate::tests::make;
    use super::*;

    #[test]
    fn a_name_of_the_dns_is_one_to_ask_for() {
        assert_eq!(parse_domain("Pods.Example").as_deref(), Ok("pods.example"));
        assert_eq!(parse_domain("bücher.example.").as_deref(), Ok("xn--bcher-kva.example"));
        for bad in ["", "localhost", "192.0.2.1", "[::1]", "*.pods.example", "pods.example:443", "https://pods.example"]
        {
            assert!(parse_domain(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_authority_is_greeted_with_what_it_looks_for() {
        let config = greeting("a.example", &[7; 32]).unwrap();
        assert_eq!(config.alpn_protocols, [PROOF]);
    }

    #[test]
    fn what_was_got_before_is_shown_if_it_is_for_all_names() {
        let folder = tempfile::tempdir().unwrap();
        let acme = |domains: &[&str]| {
            let config = AcmeConfig {
                domains: domains.iter().map(|name| (*name).to_owned()).collect(),
                email: None,
                directory: "https://authority.example:14000/dir".parse().ok(),
                folder: folder.path().to_owned(),
            };
            Acme::new(config, &Route::default()).unwrap()
        };
        assert!(acme(&["a.example"]).tls().certificate().is_none());
        let (chain, key) = make(&["a.example", "b.example"]);
        acme(&[]).keep(&format!("{key}{chain}")).unwrap();
        assert!(folder.path().join("authority.example_14000/certificate.pem").exists());
        assert!(acme(&["a.example"]).tls().certificate().is_some());
        assert!(acme(&["a.example", "c.example"]).tls().certificate().is_none());
    }
}
