//! The flags that both programs share.
//!
//! Each is also a key of the configuration file and a `PODSWARM_*` variable; see [`super::config`].

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{PossibleValue, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Args, Command, ValueEnum};

use super::client::ControlClient;
use super::data_dir::DataDir;
use super::failure::Failure;
use crate::background::Background;
use crate::dht::node_addr::NodeAddr;
use crate::net::proxy::NoProxy;
use crate::net::{Bind, BlocklistFile, DhtConfig, EngineConfig, PeerPort, Places, Proxy, Route};
use crate::peer::Encryption;
use crate::rate::Rate;
use crate::timetable::RateWindow;

/// The flags of every command.
#[derive(Args, Clone, Debug, Default)]
#[command(about = None, long_about = None)]
pub struct GlobalArgs {
    /// Keep all state in this folder instead of the platform's data folder.
    #[arg(long, value_name = "DIR", global = true, help_heading = "Global options")]
    pub data_dir: Option<PathBuf>,

    /// Read settings from this TOML file instead of `config.toml` in the data directory.
    #[arg(long, value_name = "FILE", global = true, help_heading = "Global options")]
    pub config: Option<PathBuf>,

    /// Print one JSON object per line on stdout, and nothing else there.
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,

    /// Print no progress and no notes, only results and errors.
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub quiet: bool,

    /// Log more to stderr: once for events, twice for decisions, three times for messages.
    #[arg(long, short, action = clap::ArgAction::Count, global = true, help_heading = "Global options")]
    pub verbose: u8,

    /// Drive the daemon at this address instead of the one on the data directory.
    #[arg(long, value_name = "URL", requires = "token_file", global = true, help_heading = "Global options")]
    pub server: Option<String>,

    /// Read the token for --server from this file.
    #[arg(long, value_name = "FILE", global = true, help_heading = "Global options")]
    pub token_file: Option<PathBuf>,
}

impl GlobalArgs {
    /// A client for the daemon that `--server` names; `None` without that flag. Sends nothing yet.
    pub fn remote(&self) -> Result<Option<ControlClient>, Failure> {
        let Some(server) = &self.server else { return Ok(None) };
        let Some(token_file) = &self.token_file else {
            return Err(Failure::usage("--server is given without its token").with_hint("add --token-file FILE"));
        };
        ControlClient::remote(server, token_file).map(Some)
    }
}

/// How what is sent leaves the machine: the flags of every command that fetches something.
#[derive(Args, Clone, Debug, Default)]
#[command(about = None, long_about = None)]
pub struct RouteArgs {
    /// Talk from this address only, or by this interface (on Linux; elsewhere from the address that it has at the
    /// start). While the interface is gone nothing is sent.
    #[arg(long, value_name = "IP_OR_INTERFACE", help_heading = "Network")]
    pub bind: Option<Bind>,

    /// Send everything through this proxy, `socks5://[USER:PASSWORD@]HOST:PORT` or `http://…`: peers over TCP, feeds,
    /// HTTP trackers and web seeds, whose names it looks up. What cannot go through it is off: uTP, the distributed
    /// hash table, trackers over UDP, the search on the own network, the router's port, and peers that dial us.
    #[arg(long, value_name = "URL", value_parser = ProxyParser, hide_default_value = true, help_heading = "Network")]
    pub proxy: Option<Proxy>,
}

impl RouteArgs {
    /// The route that the owner wants.
    pub fn route(&self) -> Route {
        Route { bind: self.bind.clone(), proxy: self.proxy.clone() }
    }
}

/// Reads a proxy, and repeats it to nobody: it may hold a password.
#[derive(Clone, Copy, Debug)]
struct ProxyParser;

impl TypedValueParser for ProxyParser {
    type Value = Proxy;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &OsStr) -> Result<Proxy, clap::Error> {
        let parsed = value.to_str().and_then(|text| text.parse().ok()).ok_or(NoProxy);
        parsed.map_err(|fault| {
            clap::Error::raw(ErrorKind::ValueValidation, format!("--proxy: {fault}\n")).with_cmd(command)
        })
    }
}

/// The flags of every command that exchanges data with peers.
#[derive(Args, Clone, Debug, Default)]
#[command(about = None, long_about = None)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct EngineArgs {
    /// Listen for peers on this port, 0 for any free one; without it, on the first free of 6881-6889.
    #[arg(long, value_name = "PORT", help_heading = "Peers")]
    pub peer_port: Option<u16>,

    /// Say that whoever is outside reaches that port at this IP:PORT, as where it is forwarded on the router by hand.
    /// May be given more than once; the first is told to peers and trackers. [default: as the router says]
    #[arg(long, value_name = "IP:PORT", help_heading = "Peers")]
    pub peer_address: Vec<SocketAddr>,

    /// How we go out.
    #[command(flatten)]
    pub route: RouteArgs,

    /// Send no faster than this to all peers together, such as 2MiB/s or 10Mbit/s.
    #[arg(long, value_name = "RATE", help_heading = "Peers")]
    pub up: Option<Rate>,

    /// Receive no faster than this from all peers together, such as 2MiB/s or 10Mbit/s.
    #[arg(long, value_name = "RATE", help_heading = "Peers")]
    pub down: Option<Rate>,

    /// Keep other limits at some hours, in local time: `[DAYS] HH:MM-HH:MM [up=RATE] [down=RATE]`, such as `mon-fri
    /// 08:00-18:00 up=1Mbit/s` or `22:00-06:00 up=none`. May be given several times; of those that hold at once the
    /// last decides.
    #[arg(long, value_name = "WINDOW", help_heading = "Peers")]
    pub limit_at: Vec<RateWindow>,

    /// Give way to other traffic of the line: `seeding` holds back uploads of torrents that are complete here, `always`
    /// all uploads, `off` none. [default: seeding; off for podpub]
    #[arg(long, value_name = "WHICH", help_heading = "Peers")]
    pub background: Option<Background>,

    /// Neither dial peers at the addresses that this file names nor let them in: ranges (`1.2.3.4-1.2.3.9`), networks
    /// (`10.0.0.0/8`) or single addresses, one a line, also in the forms of eMule and of `name:RANGE`.
    /// The file is read again when it changes.
    #[arg(long, value_name = "FILE", value_parser = |path: &str| BlocklistFile::read(path.as_ref()), help_heading = "Peers")]
    pub blocklist: Option<BlocklistFile>,

    /// Hold so many connections to peers at most, all torrents together.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Peers")]
    pub max_peers: u16,

    /// Hold so many connections to peers at most for one torrent.
    #[arg(long, value_name = "N", default_value_t = 80, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Peers")]
    pub max_peers_per_torrent: u16,

    /// Dial so many peers at once at most, all torrents together.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Peers")]
    pub max_half_open: u16,

    /// Take pieces from peers alone, and ask no web server that a torrent names.
    #[arg(long, help_heading = "Peers")]
    pub no_web_seeds: bool,

    /// Tell peers nothing of one another, and do not listen when they tell.
    #[arg(long, help_heading = "Peers")]
    pub no_pex: bool,

    /// Tell hosts of the own network nothing of what is fetched and seeded here, and do not listen when they tell.
    #[arg(long, help_heading = "Peers")]
    pub no_lsd: bool,

    /// Use TCP alone, and neither dial nor answer over uTP.
    #[arg(long, help_heading = "Peers")]
    pub no_utp: bool,

    /// Do not ask the router to let peers in, which it is asked over UPnP, NAT-PMP and PCP.
    #[arg(long, help_heading = "Peers")]
    pub no_port_map: bool,

    /// Neither ask the distributed hash table for peers, nor answer there.
    #[arg(long, help_heading = "Peers")]
    pub no_dht: bool,

    /// Begin in the distributed hash table with this node. May be given more than once. [default: those that everybody
    /// begins with]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Peers")]
    pub dht_node: Vec<NodeAddr>,

    /// Encrypt connections to peers: `prefer` hides their beginning where the peer can, and the rest where it insists;
    /// `require` encrypts all, and speaks to nobody else; `off` encrypts nothing.
    #[arg(long, value_name = "MODE", default_value_t, help_heading = "Peers")]
    pub encryption: Encryption,
}

impl ValueEnum for Background {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

impl ValueEnum for Encryption {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

impl EngineArgs {
    /// How an engine runs as the owner wants it; where he does not say so, its uploads are in the `background` or not.
    /// What it remembers lies in the data directory.
    pub fn config(&self, dir: &DataDir, background: Background) -> EngineConfig {
        EngineConfig {
            peer_port: self.peer_port.map_or(PeerPort::Default, PeerPort::Exactly),
            peer_address: self.peer_address.first().copied(),
            bind: self.route.bind.clone(),
            proxy: self.route.proxy.clone(),
            up: self.up,
            down: self.down,
            windows: self.limit_at.clone(),
            background: self.background.unwrap_or(background),
            blocklist: self.blocklist.clone(),
            exchange: !self.no_pex,
            lsd: !self.no_lsd,
            encryption: self.encryption,
            utp: !self.no_utp,
            dht: self.dht(dir),
            port_map: !self.no_port_map,
            web_seeds: !self.no_web_seeds,
            places: Places { connections: self.max_peers.into(), dials: self.max_half_open.into() },
            places_each: self.max_peers_per_torrent.into(),
            ..EngineConfig::default()
        }
    }

    /// The node of the distributed hash table that the owner wants, which remembers others; none with `--no-dht`.
    fn dht(&self, dir: &DataDir) -> Option<DhtConfig> {
        let nodes = self.dht_node.clone();
        let routers = if nodes.is_empty() { DhtConfig::well_known() } else { Vec::new() };
        let config = DhtConfig { nodes, routers, file: Some(dir.join("dht.dat")), read_only: false };
        (!self.no_dht).then_some(config)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        engine: EngineArgs,
    }

    #[test]
    fn without_a_flag_the_engine_runs_as_it_does_by_itself() {
        let line = Line::parse_from(["program"]);
        let dir = DataDir::resolve(Some("here".as_ref()), "program").expect("it is named");
        let config = line.engine.config(&dir, Background::Off);
        let own = EngineConfig::default();
        assert_eq!((config.places, config.places_each, config.web_seeds), (own.places, own.places_each, own.web_seeds));
    }
}
