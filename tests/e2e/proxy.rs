//! A listener whose every word goes through a proxy: a real SOCKS 5 one and a real HTTP one. What goes around it is
//! counted.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use podswarm_tests::audio::{Format, long_episode, short_episode};
use podswarm_tests::figure;
use podswarm_tests::files::{assert_same_bytes, only_file_below, scratch};
use podswarm_tests::net::{Host, Net};
use podswarm_tests::process::{Ended, PATIENCE, Program};
use podswarm_tests::programs::{
    Publisher, Release, Way, await_status, complete, get_over, podsub_on, without_web_seeds,
};

const PORT: u16 = 1080;
const LOGIN: [&str; 2] = ["me", "s3cr-et"];

/// A publisher, a proxy, and a listener who is to speak to nobody but it.
struct World {
    folder: tempfile::TempDir,
    publisher: Publisher,
    proxy: Host,
    listener: Host,
    episode: PathBuf,
    release: Release,
}

impl World {
    /// The publisher is known by its address of the family that `address` picks.
    #[track_caller]
    fn new(address: fn(&Host) -> IpAddr) -> Self {
        let (folder, mut net) = (scratch(), Net::new());
        let [home, proxy, listener] = ["publisher", "proxy", "listener"].map(|name| net.host(name));
        let publisher = Publisher::serve(&home, &folder.path().join("podpub"), Some(address(&home)));
        let episode = long_episode(Format::Mp3).path;
        let release = publisher.publish(&episode);
        listener.watch_for_strays(proxy.v4());
        Self { folder, publisher, proxy, listener, episode, release }
    }

    /// A SOCKS 5 proxy on `host` that wants the login.
    #[track_caller]
    fn socks(&self, host: &Host) -> Program {
        let mut command = host.command("microsocks");
        command.args(["-i", "0.0.0.0", "-p", &PORT.to_string(), "-u", LOGIN[0], "-P", LOGIN[1]]);
        self.started(host, Program::start("microsocks", command))
    }

    /// An HTTP proxy that wants it.
    #[track_caller]
    fn http(&self) -> Program {
        let config = self.path("tinyproxy.conf");
        let text = format!("Port {PORT}\nBasicAuth {} {}\nMaxClients 200\n", LOGIN[0], LOGIN[1]);
        fs::write(&config, text).expect("the test's folder is ours");
        let mut command = self.proxy.command("tinyproxy");
        command.arg("-d").arg("-c").arg(config);
        self.started(&self.proxy, Program::start("tinyproxy", command))
    }

    /// Waits until a proxy takes connections.
    #[track_caller]
    fn started(&self, host: &Host, proxy: Program) -> Program {
        let (addr, end) = (SocketAddr::new(host.v4(), PORT), Instant::now() + PATIENCE);
        while self.proxy.within(|| std::net::TcpStream::connect(addr)).is_err() {
            assert!(Instant::now() < end, "no proxy: {}", proxy.stderr());
        }
        proxy
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The proxy's URL.
    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}:s3cr-et@{}:{PORT}", LOGIN[0], self.proxy.v4())
    }

    /// Fetches with every way open that is not closed by the proxy.
    #[track_caller]
    fn get(&self, proxy: &str, source: impl AsRef<Path>, name: &str) -> Program {
        let flags = ["--proxy", proxy, "--dht-node", "198.18.0.77:6881"];
        get_over(&self.listener, &Way::ALL, source.as_ref(), &self.path(name), &flags)
    }

    #[track_caller]
    fn assert_got(&self, ended: &Ended, name: &str) {
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert_same_bytes(&self.episode, &only_file_below(&self.path(name)));
        assert!(!ended.stderr.contains("s3cr"), "the password is told: {}", ended.stderr);
        assert_eq!(self.listener.strays(), 0, "packets went around the proxy");
    }

    /// Peers alone, then the media alone.
    #[track_caller]
    fn fetch_both_ways(&self, scheme: &str) {
        let torrent = without_web_seeds(&self.proxy, &self.release.torrent, self.folder.path());
        for (name, source) in [("peers", &torrent), ("media", &PathBuf::from(&self.release.media))] {
            let (began, before) = (Instant::now(), self.proxy.sent_bytes());
            let ended = self.get(&self.url(scheme), source, name).end(PATIENCE);
            self.assert_got(&ended, name);
            let length = fs::metadata(&self.episode).expect("the episode is there").len();
            assert!(self.proxy.sent_bytes() - before > length, "the proxy has not carried it");
            figure(&format!("{name} through {scheme}: {:.2} s", began.elapsed().as_secs_f64()));
        }
    }
}

#[test]
fn peers_and_media_come_through_a_socks_proxy_and_nothing_goes_around_it() {
    let world = World::new(Host::v4);
    let _proxy = world.socks(&world.proxy);
    world.fetch_both_ways("socks5");
}

#[test]
fn peers_and_media_come_through_an_http_proxy_and_nothing_goes_around_it() {
    let world = World::new(Host::v6);
    let _proxy = world.http();
    world.fetch_both_ways("http");
}

#[test]
fn an_agent_follows_a_show_through_a_proxy_and_status_says_how_it_stands() {
    let world = World::new(Host::v4);
    let data = world.path("agent");
    // The password stands where no list of processes shows it.
    fs::create_dir(&data).expect("the test's folder is ours");
    fs::write(data.join("config.toml"), format!("proxy = '{}'\n", world.url("socks5"))).expect("it is ours");
    let start = || {
        let mut command = podsub_on(&world.listener, &Way::ALL);
        command.args(["run", "-v", "--json", "--data-dir"]).arg(&data).arg(&world.release.feed);
        Program::start("podsub run", command)
    };
    // Without the proxy nothing is fetched, and it is said why.
    let agent = start();
    let status = await_status(&world.listener, &data, |status| status["proxy"]["error"].is_string());
    let error = status["proxy"]["error"].as_str().unwrap_or_default();
    assert_eq!(error, "it cannot be reached: Connection refused (os error 111)");
    assert_eq!(status["reached"]["text"], "no: we are behind a proxy, which lets nobody in");
    assert!(status["dht_nodes"].is_null(), "{status}");
    let ended = agent.stop(PATIENCE);
    assert!(!ended.stderr.contains("s3cr"), "{}", ended.stderr);
    assert!(ended.stderr.contains("nothing gets through the proxy"), "{}", ended.stderr);
    assert_eq!(world.listener.strays(), 0);
    // With it all is well.
    let _proxy = world.socks(&world.proxy);
    let mut agent = start();
    let (_, file) = complete(&mut agent, PATIENCE);
    assert_same_bytes(&world.episode, &file);
    let status = await_status(&world.listener, &data, |status| status["proxy"]["error"].is_null());
    assert_eq!(status["proxy"]["url"], format!("socks5://{}:{PORT}", world.proxy.v4()));
    assert_eq!(world.listener.strays(), 0);
    let ended = agent.stop(PATIENCE);
    assert!(!ended.stderr.contains("s3cr"), "{}", ended.stderr);
}

#[test]
fn names_are_looked_up_by_the_proxy() {
    let world = World::new(Host::v4);
    let home = &world.publisher.host;
    let _proxy = world.socks(home);
    // Of the publisher's own machine, where it means the publisher.
    let path = world.release.media.splitn(4, '/').nth(3).expect("a URL has a path");
    let media = format!("http://localhost:{}/{path}", world.publisher.http_port);
    let url = world.url("socks5").replace(&world.proxy.v4().to_string(), &home.v4().to_string());
    let ended =
        get_over(&world.listener, &[], Path::new(&media), &world.path("named"), &["--proxy", &url]).end(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_same_bytes(&world.episode, &only_file_below(&world.path("named")));
}

#[test]
fn a_dead_or_refusing_proxy_is_named_and_never_gone_around() {
    let world = World::new(Host::v4);
    let shown = format!("socks5://{}:{PORT}", world.proxy.v4());
    let ended = world.get(&world.url("socks5"), &world.release.media, "dead").end(PATIENCE);
    assert_eq!(ended.code, Some(1));
    let says = format!("reach the proxy {shown}: Connection refused");
    assert!(ended.stderr.contains(&says), "want {says:?} in {}", ended.stderr);
    let proxy = world.socks(&world.proxy);
    let wrong = world.url("socks5").replace("s3cr", "other");
    let ended = world.get(&wrong, &world.release.media, "refused").end(PATIENCE);
    assert_eq!(ended.code, Some(1));
    let says = format!("through the proxy {shown}: SOCKS error: credentials not accepted");
    assert!(ended.stderr.contains(&says), "want {says:?} in {}", ended.stderr);
    assert!(!ended.stderr.contains("other-et"), "{}", ended.stderr);
    proxy.kill();
    let proxy = world.http();
    let nobody = world.url("http").replace("me:s3cr-et@", "");
    let ended = world.get(&nobody, &world.release.media, "stranger").end(PATIENCE);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("it wants a user and a password"), "{}", ended.stderr);
    assert_eq!(world.listener.strays(), 0);
    proxy.kill();
    // What is no proxy is not repeated: it may be a password that was put in the wrong place.
    let ended = world.get("me:s3cr@proxy", &world.release.media, "nothing").end(PATIENCE);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("--proxy: it is no proxy") && !ended.stderr.contains("s3cr"), "{}", ended.stderr);
}

/// A publisher whom nobody can dial dials those who announce themselves.
#[test]
fn a_publisher_behind_a_proxy_seeds_to_those_who_can_be_dialled() {
    let (folder, mut net) = (scratch(), Net::new());
    let [home, proxy, listener] = ["publisher", "proxy", "listener"].map(|name| net.host(name));
    let mut command = proxy.command("microsocks");
    command.args(["-i", "0.0.0.0", "-p", &PORT.to_string()]);
    let socks = Program::start("microsocks", command);
    let flag = format!("socks5://{}:{PORT}", proxy.v4());
    let publisher = Publisher::serve_with(&home, &folder.path().join("podpub"), Some(home.v4()), &["--proxy", &flag]);
    let episode = short_episode("Seeded From Behind").path;
    let release = publisher.publish(&episode);
    let status = publisher.full_status();
    assert_eq!(status["proxy"]["url"], flag, "{}", socks.stderr());
    assert!(!status["listening"].as_array().expect("a list").iter().any(|one| one["kind"] == "peer"), "{status}");
    let torrent = without_web_seeds(&listener, &release.torrent, folder.path());
    let output = folder.path().join("got");
    let ended = get_over(&listener, &[], &torrent, &output, &[]).end(Duration::from_mins(2));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_same_bytes(&episode, &only_file_below(&output));
}
