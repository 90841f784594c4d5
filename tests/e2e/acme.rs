//! A certificate from an authority that looks for itself whether the name leads here: pebble, which is the test program
//! of Let's Encrypt's makers.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use podswarm_tests::authority::Authority;
use podswarm_tests::files::scratch;
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{Ended, PATIENCE, Program};
use podswarm_tests::programs::podpub_on;

const NAME: &str = "pods.example";

/// A publisher's host, and an authority elsewhere that finds it as `NAME`.
struct World {
    folder: tempfile::TempDir,
    home: Host,
    elsewhere: Host,
    /// Who signs for the authority's own address.
    trusted: Authority,
    _dns: Program,
    pebble: Program,
    _net: Net,
}

impl World {
    /// The authority looks at these ports over plain http and over TLS, and its certificates hold for so many seconds.
    #[track_caller]
    fn new(http: u16, tls: u16, seconds: u32) -> Self {
        let (folder, mut net) = (scratch(), Net::new());
        let [home, elsewhere] = ["publisher", "authority"].map(|name| net.host(name));
        let trusted = Authority::new("trusted", folder.path());
        let [chain, key] = trusted.issue(&[&elsewhere.v4().to_string()]).write(folder.path());
        let config = serde_json::json!({"pebble": {
            "listenAddress": "0.0.0.0:14000", "managementListenAddress": "0.0.0.0:15000",
            "certificate": chain, "privateKey": key, "httpPort": http, "tlsPort": tls,
            "ocspResponderURL": "", "externalAccountBindingRequired": false,
            "certificateValidityPeriod": seconds,
        }});
        let path = folder.path().join("pebble.json");
        fs::write(&path, config.to_string()).expect("the test's folder is ours");
        let mut command = elsewhere.command("pebble-challtestsrv");
        command.args(["-defaultIPv4", &home.v4().to_string(), "-defaultIPv6", "", "-http01", "", "-https01", ""]);
        command.args(["-tlsalpn01", "", "-dns01", "127.0.0.1:8053"]);
        let dns = Program::start("pebble-challtestsrv", command);
        let mut command = elsewhere.command("pebble");
        command.arg("-config").arg(path).args(["-dnsserver", "127.0.0.1:8053"]);
        // It waits up to 15 s before it looks, otherwise.
        command.env("PEBBLE_VA_NOSLEEP", "1");
        let mut pebble = Program::start("pebble", command);
        pebble.wait_for("address", PATIENCE, |line| line.text.contains("ACME directory available").then_some(()));
        Self { folder, home, elsewhere, trusted, _dns: dns, pebble, _net: net }
    }

    /// Starts a publisher that asks for a certificate.
    fn serve(&self) -> Program {
        let mut command = podpub_on(&self.home, &[]);
        command.env("SSL_CERT_FILE", self.trusted.root());
        command.args(["serve", "--json", "--data-dir"]).arg(self.folder.path().join("podpub"));
        command.args(["--acme", NAME, "--acme-email", "owner@pods.example"]);
        command.args(["--acme-directory", &format!("https://{}:14000/dir", self.elsewhere.v4())]);
        Program::start("podpub serve", command)
    }

    /// The root of what the authority makes.
    #[track_caller]
    fn root(&self) -> PathBuf {
        let path = self.folder.path().join("pebble.pem");
        let mut command = self.home.command("curl");
        command.args(["--silent", "--show-error", "--cacert"]).arg(self.trusted.root()).arg("--output").arg(&path);
        command.arg(format!("https://{}:15000/roots/0", self.elsewhere.v4()));
        let ended = Program::start("curl", command).end(PATIENCE);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        path
    }

    /// Asks the publisher by its name, trusting `root`; tells of the certificate on standard error.
    fn ask(&self, root: &Path) -> Ended {
        let mut command = self.home.command("curl");
        command.args(["--silent", "--verbose", "--max-time", "30", "--cacert"]).arg(root);
        command.args(["--resolve", &format!("{NAME}:443:{}", self.home.v4()), &format!("https://{NAME}/healthz")]);
        Program::start("curl", command).end(PATIENCE)
    }

    /// When the certificate begins that is shown, in curl's words.
    #[track_caller]
    fn begin(&self, root: &Path) -> String {
        let ended = self.ask(root);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let line = ended.stderr.lines().find(|line| line.contains("start date"));
        line.unwrap_or_else(|| panic!("no date: {}", ended.stderr)).to_owned()
    }
}

#[track_caller]
fn await_https(publisher: &mut Program) {
    publisher.wait_for("https", PATIENCE, |line| (line.json()["kind"] == "https").then_some(()));
}

#[test]
fn a_certificate_is_got_kept_and_renewed() {
    let world = World::new(1, 443, 30);
    let mut publisher = world.serve();
    await_https(&mut publisher);
    let root = world.root();
    let first = world.begin(&root);
    // Kept: the next start asks nobody for what is good still.
    publisher.stop(PATIENCE);
    let mut publisher = world.serve();
    await_https(&mut publisher);
    assert_eq!(world.begin(&root), first);
    // Renewed when two thirds of its half a minute are over.
    let end = Instant::now() + PATIENCE;
    while world.begin(&root) == first {
        assert!(Instant::now() < end, "{}\n{}", publisher.stderr(), world.pebble.stderr());
    }
    let account = world.folder.path().join(format!("podpub/acme/{}_14000/account.json", world.elsewhere.v4()));
    let mode = std::os::unix::fs::PermissionsExt::mode(&account.metadata().expect("the account is kept").permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_name_is_proven_over_plain_http_where_port_443_leads_elsewhere() {
    let world = World::new(6969, 1, 3600);
    let mut publisher = world.serve();
    await_https(&mut publisher);
    world.begin(&world.root());
}

#[test]
fn a_name_that_leads_elsewhere_is_refused_with_the_authoritys_words() {
    let world = World::new(1, 1, 3600);
    let ended = world.serve().end(PATIENCE);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    for says in ["does not find us: at port 443: ", "; at port 80: ", "port 80 to ", "or port 443 to "] {
        assert!(ended.stderr.contains(says), "{says}: {}", ended.stderr);
    }
}
