//! A small network on one machine: hosts in network namespaces of their own, joined by a bridge.
//!
//! Each [`Host`] has one interface, `eth0`, one address of each family and, if asked, an uplink and a downlink of
//! fixed rate. The namespaces have no name and are held by open files only, so that nothing of them is left when a
//! test ends, however it ends, and any number of tests can run side by side.
//!
//! A [`Router`] has a network of its own behind it, whose hosts share its address: it translates addresses and lets
//! nobody in who was not spoken to first, unless it was asked to by a port mapping protocol that it
//! [offers](Router::offer).
//!
//! Needs the right to make network namespaces: root, or `unshare --user --map-root-user`.
//! Law: no packet leaves the machine; the bridge has no port but the hosts'.
//! Source: the setup of published flash crowd figures: token bucket filters with a burst of 16 kB and a latency of 100
//! ms on both directions, segmentation offloads off; addresses of RFC 2544 and 5180, which every engine treats as
//! public, and of the test network of amateur radio, 44.128.0.0/16, for routers, whose daemon knows those of RFC 2544
//! for what they are.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::process::{PATIENCE, Program};

/// A bridge and the hosts on it. It stands as long as any host does.
#[derive(Debug)]
pub struct Net {
    switch: Arc<Namespace>,
    hosts: u16,
}

/// The rates of a host's link in Mbit/s, as the link carries them: Ethernet, IP and TCP headers included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// From the host into the network.
    pub up_mbit: u32,
    /// From the network to the host.
    pub down_mbit: u32,
}

impl Net {
    /// Makes the bridge.
    pub fn new() -> Self {
        let switch = Namespace::new();
        switch.ip("link set lo up\nlink add br0 type bridge\nlink set br0 up\n");
        Self { switch: Arc::new(switch), hosts: 0 }
    }

    /// Adds a host whose link is as fast as the machine.
    pub fn host(&mut self, name: &str) -> Host {
        let [high, low] = (self.hosts + 1).to_be_bytes();
        let host = self.plug_in(name, Ipv4Addr::new(198, 18, high, low));
        // A route for everything lets programs find "the address of the default route". Duplicate address detection
        // would keep the addresses from use for a second.
        host.namespace.ip(&format!(
            "address add {v4}/16 dev eth0\n\
             address add {v6}/64 dev eth0 nodad\n\
             route add default dev eth0\n\
             route add ::/0 dev eth0\n",
            v4 = host.v4(),
            v6 = host.v6(),
        ));
        host
    }

    /// Adds a router. It has no IPv6.
    pub fn router(&mut self, name: &str) -> Router {
        let [high, low] = (self.hosts + 1).to_be_bytes();
        let host = self.plug_in(name, Ipv4Addr::new(44, 128, high, low));
        host.within(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1")).expect("a namespace's forwarding is its own");
        host.namespace.ip(&format!(
            "address add {v4}/16 dev eth0\n\
             route add default dev eth0\n\
             link add lan0 type bridge\n\
             link set lan0 up\n\
             address add {inside}/24 dev lan0\n",
            v4 = host.v4(),
            inside = Router::INSIDE,
        ));
        // The names are those that miniupnpd fills. What is not expected is dropped without a word, as such boxes do.
        host.namespace.run(
            "nft",
            &["-f", "-"],
            "table inet filter {\n\
             chain input { type filter hook input priority 0; policy accept; \
             ct state established,related accept; iifname eth0 drop; }\n\
             chain forward { type filter hook forward priority 0; policy drop; \
             ct state established,related accept; iifname lan0 accept; jump miniupnpd; }\n\
             chain prerouting { type nat hook prerouting priority -100; jump prerouting_miniupnpd; }\n\
             chain postrouting { type nat hook postrouting priority 100; oifname eth0 masquerade; }\n\
             chain miniupnpd { }\n\
             chain prerouting_miniupnpd { }\n\
             chain postrouting_miniupnpd { }\n\
             }\n",
        );
        Router { host, hosts: 0 }
    }

    /// A host with a cable and no address.
    fn plug_in(&mut self, name: &str, v4: Ipv4Addr) -> Host {
        self.hosts += 1;
        let number = self.hosts;
        let host = Host::new(name, number, v4, Arc::clone(&self.switch));
        self.switch.ip(&format!(
            "link add port{number} type veth peer name eth0 netns {inside}\n\
             link set port{number} master br0 up\n",
            inside = host.namespace.path(),
        ));
        host.namespace.ip("link set lo up\nlink set eth0 addrgenmode none\nlink set eth0 up\n");
        host
    }

    /// Has a host's TCP use cubic where the machine lets namespaces choose it; [`Host::congestion_control`] says what
    /// it uses.
    fn use_cubic(host: &Host) {
        host.within(|| {
            // Refused where the machine does not allow it.
            fs::write("/proc/sys/net/ipv4/tcp_congestion_control", "cubic").ok();
        });
    }

    /// Adds a host behind a link of fixed rate, whose TCP uses cubic where the machine lets namespaces choose it.
    pub fn host_behind(&mut self, name: &str, link: Link) -> Host {
        let host = self.host(name);
        let port = format!("port{}", host.number);
        for (namespace, device, mbit) in
            [(&*host.namespace, "eth0", link.up_mbit), (&self.switch, &port, link.down_mbit)]
        {
            namespace.shape(device, mbit, Duration::from_millis(100));
        }
        Self::use_cubic(&host);
        host
    }
}

impl Default for Net {
    fn default() -> Self {
        Self::new()
    }
}

/// One machine of the network. Clones are the same machine.
#[derive(Clone, Debug)]
pub struct Host {
    name: String,
    number: u16,
    v4: Ipv4Addr,
    namespace: Arc<Namespace>,
    // The host's cable ends here.
    switch: Arc<Namespace>,
}

impl Host {
    fn new(name: &str, number: u16, v4: Ipv4Addr, switch: Arc<Namespace>) -> Self {
        Self { name: name.to_owned(), number, v4, namespace: Arc::new(Namespace::new()), switch }
    }

    /// What the test calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its IPv4 address, in 198.18.0.0/16, or in 192.168.1.0/24 behind a router.
    pub fn v4(&self) -> IpAddr {
        self.v4.into()
    }

    /// Its IPv6 address, in `fd70:6f64::/64`; hosts behind routers have none.
    pub fn v6(&self) -> IpAddr {
        Ipv6Addr::new(0xfd70, 0x6f64, 0, 0, 0, 0, 0, self.number).into()
    }

    /// Gives it an IPv6 address that clients take for a public one, in `2001:2::/64`, and returns it.
    pub fn public_v6(&self) -> IpAddr {
        let address = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, self.number);
        self.namespace.ip(&format!("address replace {address}/64 dev eth0 nodad\n"));
        address.into()
    }

    /// A command that will run on this host and be killed with the thread that starts it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.namespace.path()));
        command.args(["--", "setpriv", "--pdeathsig", "KILL", "--"]).arg(program);
        command
    }

    /// Waits until something listens on a port of it, for programs that do not say when they do.
    #[track_caller]
    pub fn wait_for_port(&self, port: u16) {
        let (addr, end) = (SocketAddr::new(self.v4(), port), Instant::now() + PATIENCE);
        while self.within(|| TcpStream::connect(addr)).is_err() {
            assert!(Instant::now() < end, "nothing listens on {addr}");
            thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Runs `work` on a thread of this host: its sockets are the host's.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let enter_and_work = || {
            move_into_link_name_space(self.namespace.0.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("a host's namespace can be entered");
            work()
        };
        thread::scope(|scope| match scope.spawn(enter_and_work).join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Bytes that left the host so far, with all headers.
    pub fn sent_bytes(&self) -> u64 {
        self.interface_figure(8)
    }

    /// Bytes that reached the host so far, with all headers.
    pub fn received_bytes(&self) -> u64 {
        self.interface_figure(0)
    }

    fn interface_figure(&self, column: usize) -> u64 {
        let table = self.within(|| fs::read_to_string("/proc/thread-self/net/dev")).expect("the interface table reads");
        let line = table.lines().find_map(|line| line.trim().strip_prefix("eth0:")).expect("a host has eth0");
        let figure = line.split_whitespace().nth(column).expect("an interface has sixteen figures");
        figure.parse().expect("a figure is a number")
    }

    /// The TCP congestion control that the host uses.
    pub fn congestion_control(&self) -> String {
        self.within(|| fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control"))
            .map(|name| name.trim().to_owned())
            .expect("the congestion control reads")
    }

    /// Counts from now on what leaves by `eth0` over TCP or UDP, but for what goes to `allowed`; [`Self::strays`]
    /// tells.
    pub fn watch_for_strays(&self, allowed: IpAddr) {
        let family = if allowed.is_ipv4() { "ip" } else { "ip6" };
        let script = format!(
            "table inet strays {{\n\
             counter strays {{ }}\n\
             chain output {{ type filter hook output priority 0; oifname != eth0 accept; \
             {family} daddr {allowed} accept; meta l4proto {{ tcp, udp }} counter name strays; }}\n\
             }}\n"
        );
        self.namespace.run("nft", &["-f", "-"], &script);
    }

    /// Packets that went astray since [`Self::watch_for_strays`].
    pub fn strays(&self) -> u64 {
        let told = self.namespace.output("nft", &["list", "counter", "inet", "strays", "strays"], "");
        let count = told.split_whitespace().skip_while(|word| *word != "packets").nth(1);
        count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no count in {told}"))
    }

    /// Counts from now on what leaves by `eth0` over TCP or UDP; [`Self::strays`] tells. Resets are left out: the
    /// system answers so by itself what comes for connections of an interface that was made anew, and has no socket to
    /// tell it by which one.
    pub fn watch_eth0_for_strays(&self) {
        let script = "table inet strays {\n\
             counter strays { }\n\
             chain output { type filter hook output priority 0; tcp flags & rst == rst accept; \
             oifname eth0 meta l4proto { tcp, udp } counter name strays; }\n\
             }\n";
        self.namespace.run("nft", &["-f", "-"], script);
    }

    /// Gives the host another interface, `eth1`, with an address of its own, by which nothing leaves that is not tied
    /// to it.
    pub fn plug_in_eth1(&self) {
        let number = self.number;
        self.switch.ip(&format!(
            "link add other{number} type veth peer name eth1 netns {inside}\n\
             link set other{number} master br0 up\n",
            inside = self.namespace.path(),
        ));
        // Each address is answered for by its own interface alone.
        self.within(|| {
            for (name, value) in [("arp_ignore", "1"), ("arp_announce", "2"), ("rp_filter", "0")] {
                for of in ["all", "eth0", "eth1"] {
                    fs::write(format!("/proc/sys/net/ipv4/conf/{of}/{name}"), value)
                        .expect("it is the namespace's own");
                }
            }
        });
        let IpAddr::V4(v4) = self.v4() else { unreachable!("it is an IPv4 one") };
        let [a, b, c, d] = v4.octets();
        self.namespace.ip(&format!(
            "link set eth1 up\n\
             address add {a}.{b}.{c}.{d}/16 dev eth1 metric 4096\n",
            c = c | 128,
        ));
    }

    /// Takes it away again, as a tunnel goes.
    pub fn take_eth1_away(&self) {
        self.namespace.ip("link delete eth1\n");
    }

    /// Pulls the plug: nothing reaches the host nor leaves it.
    pub fn unplug(&self) {
        self.namespace.ip("link set eth0 down\n");
    }

    /// Lets no datagram in, and tells nobody so.
    pub fn swallow_udp(&self) {
        self.filter("meta l4proto udp drop");
    }

    /// Lets nothing in but what is for `port`: every other connection is reset, whoever opened it, and other datagrams
    /// are dropped.
    pub fn close_all_but(&self, port: u16) {
        self.close_tcp_all_but(port);
        self.filter(&format!("udp dport != {port} drop"));
    }

    /// Lets no TCP in but for `port`, as [`Self::close_all_but`] does; datagrams come in.
    pub fn close_tcp_all_but(&self, port: u16) {
        self.filter(&format!("tcp dport != {port} reject with tcp reset"));
    }

    /// Lets no TCP in but to and from `port` of anybody: every other connection is reset, whoever opened it.
    pub fn allow_tcp_only_with(&self, port: u16) {
        // In one rule, nft 1.0 would compare both ports with both at once.
        self.filter(&format!("tcp sport {port} accept"));
        self.close_tcp_all_but(port);
    }

    /// Has `rule`, after those before it, decide on what comes in from outside.
    fn filter(&self, rule: &str) {
        let script = format!(
            "add table inet host\n\
             add chain inet host input {{ type filter hook input priority 0; }}\n\
             add rule inet host input iifname eth0 {rule}\n"
        );
        self.namespace.run("nft", &["-f", "-"], &script);
    }
}

/// A router and the network behind it, which stands as long as it or a host of it does.
#[derive(Debug)]
pub struct Router {
    host: Host,
    hosts: u16,
}

impl Router {
    const INSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

    /// Its address outside.
    pub fn v4(&self) -> IpAddr {
        self.host.v4()
    }

    /// Gives it an uplink of so many Mbit/s, headers included, in which packets wait so long at most.
    pub fn limit_uplink(&self, mbit: u32, queue: Duration) {
        self.host.namespace.shape("eth0", mbit, queue);
    }

    /// Bytes that left by the uplink so far, with all headers.
    pub fn sent_bytes(&self) -> u64 {
        self.host.sent_bytes()
    }

    /// Adds a host behind it whose packets leave one by one and whose TCP uses cubic, as [`Net::host_behind`] says.
    pub fn plain_host(&mut self, name: &str) -> Host {
        let host = self.host(name);
        host.namespace.send_single_packets("eth0");
        Net::use_cubic(&host);
        host
    }

    /// Adds a host behind it.
    pub fn host(&mut self, name: &str) -> Host {
        self.hosts += 1;
        let number = self.hosts;
        let last = u8::try_from(number + 1).expect("a test has few hosts behind a router");
        let host = Host::new(name, number, Ipv4Addr::new(192, 168, 1, last), Arc::clone(&self.host.namespace));
        self.host.namespace.ip(&format!(
            "link add port{number} type veth peer name eth0 netns {inside}\n\
             link set port{number} master lan0 up\n",
            inside = host.namespace.path(),
        ));
        host.namespace.ip(&format!(
            "link set lo up\n\
             link set eth0 addrgenmode none\n\
             link set eth0 up\n\
             address add {v4}/24 dev eth0\n\
             route add default via {router}\n",
            v4 = host.v4(),
            router = Self::INSIDE,
        ));
        host
    }

    /// Forwards its port `port`, of TCP and of UDP, to this one of a host inside, as its owner does by hand.
    pub fn forward(&self, port: u16, to: &Host, inside: u16) {
        let to = to.v4();
        let rules: String = ["tcp", "udp"].map(|protocol| format!(
            "add rule inet filter prerouting_miniupnpd iifname eth0 {protocol} dport {port} dnat ip to {to}:{inside}\n\
             add rule inet filter miniupnpd ip daddr {to} {protocol} dport {inside} accept\n"
        )).concat();
        self.host.namespace.run("nft", &["-f", "-"], &rules);
    }

    /// Starts a daemon that maps ports for hosts inside by these protocols; its files lie in `folder`.
    #[track_caller]
    pub fn offer(&self, protocols: &[Offer], folder: &Path) -> Program {
        let yes = |offer| if protocols.contains(&offer) { "yes" } else { "no" };
        let config = format!(
            "ext_ifname=eth0\n\
             listening_ip=lan0\n\
             ipv6_disable=yes\n\
             enable_natpmp={gateway}\n\
             enable_upnp={upnp}\n\
             secure_mode=yes\n\
             minissdpdsocket={folder}/none\n\
             lease_file={folder}/leases\n\
             uuid=fc4ec57e-b051-11db-88f8-0060085db3f6\n\
             allow 1024-65535 192.168.1.0/24 1024-65535\n\
             deny 0-65535 0.0.0.0/0 0-65535\n",
            gateway = yes(Offer::Gateway),
            upnp = yes(Offer::Upnp),
            folder = folder.display(),
        );
        let path = folder.join(format!("{}.conf", self.host.name()));
        fs::write(&path, config).expect("the test's folder is ours");
        let mut command = self.host.command("sh");
        // It speaks on standard error only; a test waits on standard output.
        command.args(["-c", "exec miniupnpd -d -f \"$1\" -P \"$1.pid\" 2>&1", "miniupnpd"]).arg(path);
        let mut daemon = Program::start(&format!("miniupnpd on {}", self.host.name()), command);
        daemon.wait_for("the daemon's first words", PATIENCE, |line| line.text.contains(" starting ").then_some(()));
        daemon
    }

    /// Has it map every port that it is asked for over NAT-PMP, and say that its own address outside is `external`, as
    /// one of a provider does that has customers share addresses. It answers until the test ends.
    pub fn pretend(&self, external: Ipv4Addr) {
        let socket = self.host.within(|| UdpSocket::bind((Self::INSIDE, 5351)).expect("the port is the router's own"));
        thread::spawn(move || {
            let mut asked = [0; 64];
            while let Ok((length, asker)) = socket.recv_from(&mut asked) {
                let said: Option<Vec<u8>> = match asked[..length] {
                    [0, 0] => Some([&[0, 128, 0, 0, 0, 0, 0, 1][..], &external.octets()].concat()),
                    [0, op @ (1 | 2), _, _, ref wish @ ..] if wish.len() == 8 => {
                        Some([&[0, 128 + op, 0, 0, 0, 0, 0, 1][..], wish].concat())
                    }
                    _ => None,
                };
                if let Some(said) = said {
                    // An asker that has gone asks nothing more.
                    let _ = socket.send_to(&said, asker);
                }
            }
        });
    }

    /// What is mapped by whoever offers it: `tcp 6881`, in order.
    pub fn mapped(&self) -> Vec<String> {
        let list = self.host.command("nft").args(["list", "chain", "inet", "filter", "prerouting_miniupnpd"]).output();
        let list = String::from_utf8(list.expect("`nft` starts").stdout).expect("`nft` writes text");
        let mapped = list.lines().filter(|line| line.contains("dnat")).map(|line| {
            let (_, port) = line.split_once("dport ").expect("a mapping has a port");
            let port = port.split_whitespace().next().unwrap_or_default();
            let protocol = if line.contains("@nh,72,8 0x6 ") || line.contains(" tcp ") { "tcp" } else { "udp" };
            format!("{protocol} {port}")
        });
        let mut mapped: Vec<_> = mapped.collect();
        mapped.sort();
        mapped
    }

    /// Waits until these are mapped. Panics if it takes longer than `limit`.
    #[track_caller]
    pub fn await_mapped(&self, want: &[&str], limit: Duration) {
        let end = Instant::now() + limit;
        while self.mapped() != want {
            assert!(Instant::now() < end, "mapped are {:?}, not {want:?}", self.mapped());
            thread::yield_now();
        }
    }
}

/// A way to ask a router for a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// UPnP-IGD.
    Upnp,
    /// PCP, and NAT-PMP.
    Gateway,
}

/// A network namespace, which lives as long as this open file.
#[derive(Debug)]
struct Namespace(File);

impl Namespace {
    fn new() -> Self {
        // The child says when it has its namespace and keeps it until its input closes.
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo ready && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`unshare` of util-linux starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("`unshare` answers");
        assert_eq!(line, "ready\n", "network namespaces need root, or `unshare --user --map-root-user`");
        let file = File::open(format!("/proc/{}/ns/net", child.id())).expect("a child's namespace opens");
        drop(child.stdin.take());
        child.wait().expect("`cat` ends with its input");
        Self(file)
    }

    /// Names the namespace to programs, for as long as this process lives.
    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Has a device send packets no longer than they are on the wire.
    fn send_single_packets(&self, device: &str) {
        self.run("ethtool", &["-K", device, "tso", "off", "gso", "off", "gro", "off"], "");
    }

    /// Lets a device send so many Mbit/s, after waiting so long at most.
    fn shape(&self, device: &str, mbit: u32, queue: Duration) {
        self.send_single_packets(device);
        let queue = queue.as_millis();
        let shape = format!("qdisc add dev {device} root tbf rate {mbit}mbit burst 16kb latency {queue}ms\n");
        self.run("tc", &["-batch", "-"], &shape);
    }

    #[track_caller]
    fn ip(&self, batch: &str) {
        self.run("ip", &["-batch", "-"], batch);
    }

    #[track_caller]
    fn run(&self, program: &str, args: &[&str], input: &str) {
        self.output(program, args, input);
    }

    /// Runs a program to its good end, and gives what it prints.
    #[track_caller]
    fn output(&self, program: &str, args: &[&str], input: &str) -> String {
        let mut child = Command::new("nsenter")
            .arg(format!("--net={}", self.path()))
            .args(["--", program])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("`nsenter` of util-linux starts");
        child.stdin.take().expect("stdin is a pipe").write_all(input.as_bytes()).expect("the program reads its input");
        let output = child.wait_with_output().expect("the program ends");
        assert!(
            output.status.success(),
            "`{program} {}` with {input:?}: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;

    /// Sends `bytes` from one host to another and returns the rate in Mbit/s of payload.
    fn transfer(from: &Host, to: &Host, address: IpAddr, bytes: usize) -> f64 {
        let listener = to.within(|| TcpListener::bind((address, 0)).unwrap());
        let target = listener.local_addr().unwrap();
        let began = Instant::now();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = from.within(|| TcpStream::connect(target).unwrap());
                stream.write_all(&vec![0; bytes]).unwrap();
            });
            let (mut stream, _) = listener.accept().unwrap();
            let mut received = Vec::new();
            stream.read_to_end(&mut received).unwrap();
            assert_eq!(received.len(), bytes);
        });
        f64::from(u32::try_from(bytes).unwrap()) * 8.0 / 1e6 / began.elapsed().as_secs_f64()
    }

    #[test]
    fn hosts_reach_each_other_over_both_families_and_nobody_else() {
        let mut net = Net::new();
        let (a, b) = (net.host("a"), net.host("b"));
        transfer(&a, &b, b.v4(), 1000);
        transfer(&a, &b, b.v6(), 1000);
        assert!(a.within(|| TcpStream::connect("127.0.0.1:9")).is_err());
        b.unplug();
        let listener = b.within(|| TcpListener::bind("0.0.0.0:0").unwrap());
        let port = listener.local_addr().unwrap().port();
        let wait = Duration::from_millis(200);
        assert!(a.within(|| TcpStream::connect_timeout(&(b.v4(), port).into(), wait)).is_err());
    }

    #[test]
    fn a_link_carries_its_rate_less_headers() {
        let mut net = Net::new();
        let slow = net.host_behind("slow", Link { up_mbit: 20, down_mbit: 50 });
        let fast = net.host("fast");
        let up = transfer(&slow, &fast, fast.v4(), 5_000_000);
        let down = transfer(&fast, &slow, slow.v4(), 10_000_000);
        let control = slow.congestion_control();
        crate::figure(&format!("a 20/50 Mbit/s link carries {up:.2} up, {down:.2} down with {control}"));
        assert!((15.0..20.0).contains(&up), "20 Mbit/s up carried {up:.2}");
        assert!((37.0..50.0).contains(&down), "50 Mbit/s down carried {down:.2}");
        assert!(slow.sent_bytes() > 5_000_000);
    }

    #[test]
    fn a_router_lets_answers_in_and_nobody_else() {
        let mut net = Net::new();
        let outside = net.host("outside");
        let mut router = net.router("router");
        let (a, b) = (router.host("a"), router.host("b"));
        transfer(&a, &outside, outside.v4(), 1000);
        transfer(&a, &b, b.v4(), 1000);
        let listener = a.within(|| TcpListener::bind("0.0.0.0:0").unwrap());
        let port = listener.local_addr().unwrap().port();
        for target in [router.v4(), a.v4()] {
            let wait = Duration::from_millis(200);
            assert!(outside.within(|| TcpStream::connect_timeout(&(target, port).into(), wait)).is_err());
        }
        let seen = outside.within(|| TcpListener::bind((outside.v4(), 0)).unwrap());
        let to = seen.local_addr().unwrap();
        let _stream = a.within(|| TcpStream::connect(to).unwrap());
        assert_eq!(seen.accept().unwrap().1.ip(), router.v4());
    }

    #[test]
    fn a_closed_host_resets_every_connection_but_those_to_its_open_port() {
        let mut net = Net::new();
        let (a, b) = (net.host("a"), net.host("b"));
        let listen = |host: &Host| host.within(|| TcpListener::bind((host.v4(), 0)).unwrap());
        let connect = |host: &Host, to: &TcpListener| host.within(|| TcpStream::connect(to.local_addr().unwrap()));
        let (open, closed, far) = (listen(&b), listen(&b), listen(&a));
        let accepted = connect(&a, &closed).unwrap();
        let dialled = connect(&b, &far).unwrap();
        let (from_b, _) = far.accept().unwrap();
        b.close_all_but(open.local_addr().unwrap().port());
        for mut stream in [accepted, from_b] {
            stream.write_all(b"x").ok();
            assert!(stream.read(&mut [0; 1]).is_err());
        }
        drop(dialled);
        assert!(connect(&a, &closed).is_err());
        assert!(connect(&a, &open).is_ok());
    }
}
