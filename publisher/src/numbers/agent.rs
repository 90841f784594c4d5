//! Who asks, by what he calls himself: a player, a torrent client, or a machine that nobody listens to.
//!
//! The patterns are ours, chosen from what players and crawlers document of themselves and in the manner of the public
//! lists that podcast hosts share (OPAWG's user-agents-v2). A pattern is a part of the `User-Agent` in any case. Who
//! does not call himself anything is no listener; what is unknown is one, under the name [`OTHER`].
//!
//! Source: IAB Podcast Measurement Technical Guidelines 2.1, "filter out bots" and the guidance on watchOS.

/// The name of players that are not known.
pub(crate) const OTHER: &str = "other";

/// What an asker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Agent {
    /// Something that somebody listens with, by its name; the names are few.
    Player(&'static str),
    /// A torrent client, by its name. The ranges that it asks for are a part of what it gets from its swarm.
    TorrentClient(&'static str),
    /// Nobody who listens.
    Machine,
}

/// The torrent client that calls itself so, by its name.
pub(crate) fn torrent_client(agent: &str) -> Option<&'static str> {
    let agent = agent.to_lowercase();
    TORRENT_CLIENTS.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| *name)
}

/// Reads `User-Agent`s; the owner may name more machines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Agents {
    /// In lower case.
    machines: Vec<String>,
}

impl Agents {
    /// With what the owner names beside our own list.
    pub(crate) fn new(machines: &[String]) -> Self {
        Self { machines: machines.iter().map(|it| it.to_lowercase()).filter(|it| !it.trim().is_empty()).collect() }
    }

    /// What `agent`, a `User-Agent`, is.
    pub(crate) fn read(&self, agent: &str) -> Agent {
        let agent = agent.trim().to_lowercase();
        let is_in = |part: &str| agent.contains(part);
        if agent.is_empty() || self.machines.iter().any(|machine| is_in(machine)) {
            return Agent::Machine;
        }
        // The iPhone has fetched what its watch asks for once more.
        if is_in("watchos") {
            return Agent::Machine;
        }
        if let Some(name) = torrent_client(&agent) {
            return Agent::TorrentClient(name);
        }
        // Before the machines: some of these are made with libraries that alone are none.
        if let Some((_, name)) = PLAYERS.iter().find(|(part, _)| is_in(part)) {
            return Agent::Player(name);
        }
        if MACHINES.iter().any(|part| is_in(part)) || has_robots_name(&agent) {
            return Agent::Machine;
        }
        let browser = BROWSERS.iter().find(|(part, _)| is_in(part));
        Agent::Player(browser.map_or(OTHER, |(_, name)| name))
    }
}

/// Whether a word of `agent` ends in `bot`, as robots' names do. Cubot makes telephones.
fn has_robots_name(agent: &str) -> bool {
    let mut words = agent.split(|c: char| !c.is_ascii_alphabetic());
    words.any(|word| (word.ends_with("bot") || word.ends_with("bots")) && word != "cubot")
}

/// Clients of swarms.
const TORRENT_CLIENTS: [(&str, &str); 14] = [
    ("podsub/", "Podswarm"),
    ("podswarm/", "Podswarm"),
    ("qbittorrent", "qBittorrent"),
    ("libtorrent", "libtorrent"),
    ("transmission", "Transmission"),
    ("aria2", "aria2"),
    ("deluge", "Deluge"),
    ("rtorrent", "rTorrent"),
    ("rqbit", "rqbit"),
    ("webtorrent", "WebTorrent"),
    ("anacrolix", "anacrolix"),
    ("utorrent", "uTorrent"),
    ("bittorrent", "BitTorrent"),
    ("biglybt", "BiglyBT"),
];

/// What people listen with. Of two that fit the first is meant.
const PLAYERS: [(&str, &str); 42] = [
    ("applecoremedia", "Apple Podcasts"),
    ("apple%20podcasts", "Apple Podcasts"),
    ("podcasts/", "Apple Podcasts"),
    ("itms", "Apple Podcasts"),
    ("itunes/", "iTunes"),
    ("overcast/", "Overcast"),
    ("overcast (", "Overcast"),
    ("spotify/", "Spotify"),
    ("pocket casts", "Pocket Casts"),
    ("pocketcasts", "Pocket Casts"),
    ("antennapod", "AntennaPod"),
    ("castbox", "Castbox"),
    ("podcast addict", "Podcast Addict"),
    ("podcastaddict", "Podcast Addict"),
    ("podcast republic", "Podcast Republic"),
    ("podcastrepublic", "Podcast Republic"),
    ("podcast guru", "Podcast Guru"),
    ("castro", "Castro"),
    ("downcast", "Downcast"),
    ("icatcher", "iCatcher"),
    ("fountain", "Fountain"),
    ("podverse", "Podverse"),
    ("truefans", "TrueFans"),
    ("castamatic", "Castamatic"),
    ("breez", "Breez"),
    ("podlp", "PodLP"),
    ("podurama", "Podurama"),
    ("amazonmusic", "Amazon Music"),
    ("amazon music", "Amazon Music"),
    ("audible", "Audible"),
    ("deezer", "Deezer"),
    ("tunein", "TuneIn"),
    ("iheartradio", "iHeartRadio"),
    ("gpodder", "gPodder"),
    ("podkicker", "Podkicker"),
    ("doggcatcher", "DoggCatcher"),
    ("beyondpod", "BeyondPod"),
    ("sonos", "Sonos"),
    ("alexamediaplayer", "Amazon Echo"),
    ("vlc/", "VLC"),
    ("newsboat", "newsboat"),
    ("audiobookshelf", "Audiobookshelf"),
];

/// Crawlers, monitors, and libraries that no player is known to use under their own names.
const MACHINES: [&str; 43] = [
    "crawler",
    "spider",
    "slurp",
    "facebookexternalhit",
    "mediapartners-google",
    "google-inspectiontool",
    "feedfetcher",
    "googleother",
    "google-podcast",
    "ia_archiver",
    "archive.org",
    "headlesschrome",
    "phantomjs",
    "pingdom",
    "uptimerobot",
    "statuscake",
    "site24x7",
    "datadog",
    "nagios",
    "zabbix",
    "blackbox-exporter",
    "prometheus/",
    "amazon-route53-health-check",
    "cloudflare-healthchecks",
    "elb-healthchecker",
    "googlehc",
    "podnews",
    "podchaser",
    "podcastindex.org",
    "listen notes",
    "listennotes",
    "rephonic",
    "python-requests",
    "python-urllib",
    "go-http-client",
    "scrapy",
    "apache-httpclient",
    "libwww-perl",
    "node-fetch",
    "axios/",
    "iframely",
    "curl/",
    "wget/",
];

/// Browsers. The names of later ones come with those of earlier ones in tow.
const BROWSERS: [(&str, &str); 4] =
    [("edg/", "Edge"), ("firefox/", "Firefox"), ("chrome/", "Chrome"), ("safari/", "Safari")];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(agent: &str, want: Agent) {
        assert_eq!(Agents::default().read(agent), want, "{agent}");
    }

    #[test]
    fn players_are_known_by_name() {
        for (agent, name) in [
            ("AppleCoreMedia/1.0.0.21A329 (iPhone; U; CPU OS 17_0 like Mac OS X; en_us)", "Apple Podcasts"),
            ("Podcasts/1650.1 CFNetwork/1485 Darwin/23.1.0", "Apple Podcasts"),
            ("Overcast/3.0 (+http://overcast.fm/; iOS podcast app)", "Overcast"),
            ("AntennaPod/3.2.0", "AntennaPod"),
            ("Spotify/8.8.96 iOS/17.1 (iPhone14,5)", "Spotify"),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0", "Firefox"),
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/119.0 Safari/537.36 Edg/119",
                "Edge",
            ),
            ("Mozilla/5.0 (Linux; Android 10; CUBOT_NOTE_20) AppleWebKit/537.36 Chrome/110.0 Mobile", "Chrome"),
            ("SomePlayer/1.0", OTHER),
        ] {
            check(agent, Agent::Player(name));
        }
    }

    #[test]
    fn machines_are_no_listeners() {
        for agent in [
            "",
            "  ",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; bingbot/2.0) Chrome/116 Safari/537.36",
            "facebookexternalhit/1.1",
            "UptimeRobot/2.0",
            "Podnews/1.0 fetcher",
            "atc/1.0 watchOS/7.0 model/Watch5,4 hwp/t8006 build/18R382 (6; dt:191)",
            "python-requests/2.31.0",
            "curl/7.88.1",
        ] {
            check(agent, Agent::Machine);
        }
    }

    #[test]
    fn torrent_clients_are_told_apart() {
        check("Transmission/4.0.5", Agent::TorrentClient("Transmission"));
        check("podsub/0.1.0", Agent::TorrentClient("Podswarm"));
    }

    #[test]
    fn the_owner_names_more() {
        let agents = Agents::new(&["MyMonitor".to_owned(), " ".to_owned()]);
        assert_eq!(agents.read("mymonitor/2"), Agent::Machine);
        assert_eq!(agents.read("SomePlayer/1.0"), Agent::Player(OTHER));
    }
}
