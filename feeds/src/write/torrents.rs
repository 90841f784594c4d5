//! `torrents.xml`: the show as torrent clients read it.
//!
//! They follow an `<enclosure>` only if its type is exactly `application/x-bittorrent`. Its length is that of the
//! content: BEP 36 allows that of the `.torrent`, but most feeds give the content's and clients that guess from it
//! take a small one for a mistake. The ezRSS block tells info-hash, size and magnet to everything else.
//!
//! Source: BEP 36; the ezRSS namespace.

use std::collections::BTreeMap;

use rss::extension::{Extension, ExtensionMap};

use super::text::clean_line;
use super::{PODCAST_NAMESPACE, TORRENT_MIME, channel, element, item, links, newest_first, podcast_extensions, to_xml};
use crate::model::{Episode, FeedUrls, Show, TorrentRef};

/// Namespace of the `<torrent>` block.
const EZRSS_NAMESPACE: &str = "http://xmlns.ezrss.it/0.1/";

/// How long a client may keep this feed, in minutes as RSS 2.0 counts them. BEP 36 says seconds, but no feed does.
const TTL_MINUTES: &str = "15";

/// The torrent feed of `show`, newest episode first, UTF-8. Episodes without a torrent are left out.
pub fn torrent_feed(show: &Show, episodes: &[Episode], urls: &FeedUrls) -> String {
    let with_torrent: Vec<(&Episode, &TorrentRef)> =
        newest_first(episodes).into_iter().filter_map(|episode| Some((episode, episode.torrent.as_ref()?))).collect();
    let newest = with_torrent.first().map(|(episode, _)| *episode);
    let title = format!("{} (torrents)", clean_line(&show.title));
    let channel = rss::Channel {
        namespaces: BTreeMap::from([("podcast".to_owned(), PODCAST_NAMESPACE.to_owned())]),
        extensions: podcast_extensions(show, None, BTreeMap::new()),
        ttl: Some(TTL_MINUTES.to_owned()),
        atom_ext: Some(links(&urls.torrents, urls, &urls.feed, "Podcast")),
        items: with_torrent.iter().map(|(episode, torrent)| torrent_item(episode, torrent)).collect(),
        ..channel(show, newest, urls, title)
    };
    to_xml(&channel)
}

fn torrent_item(episode: &Episode, torrent: &TorrentRef) -> rss::Item {
    let block = ezrss_block(episode, torrent);
    rss::Item {
        enclosure: Some(rss::Enclosure {
            url: torrent.url.to_string(),
            length: torrent.folder_length.unwrap_or(episode.media.length).to_string(),
            mime_type: TORRENT_MIME.to_owned(),
        }),
        extensions: ExtensionMap::from([("torrent".to_owned(), BTreeMap::from([("torrent".to_owned(), vec![block])]))]),
        ..item(episode)
    }
}

fn ezrss_block(episode: &Episode, torrent: &TorrentRef) -> Extension {
    let children = [
        ("fileName", torrent.info_name.clone()),
        ("contentLength", torrent.folder_length.unwrap_or(episode.media.length).to_string()),
    ];
    let swarm =
        torrent.magnet.clone().map(|magnet| [("infoHash", torrent.info_hash.to_string()), ("magnetURI", magnet)]);
    Extension {
        children: children
            .into_iter()
            .chain(swarm.into_iter().flatten())
            .map(|(name, value)| (name.to_owned(), vec![element(name, &[], Some(&value))]))
            .collect(),
        ..element("torrent", &[("xmlns", EZRSS_NAMESPACE)], None)
    }
}
