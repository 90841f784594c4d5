//! `status`: how the publisher and its episodes stand.

use podswarm_core::app::{Failure, Places, WithPlaces, local_time};
use podswarm_core::rate::{ByteCount, Rate};

use super::{Context, Reach, likely_urls};
use crate::control::unavailable;
use crate::copies;
use crate::hooks::{HookFailure, HookStatus};
use crate::wire::{
    CertificateStatus, EpisodeInfo, EpisodeStatus, MirrorStatus, Status, SwarmStatus, WatchedFile, WatchedStatus,
};

pub(super) async fn status(context: &Context) -> Result<(), Failure> {
    let status = match context.reach().await? {
        Reach::Daemon(client) => client.get("status").await?,
        Reach::Own(library, _lock) => {
            let urls = likely_urls(&library)?;
            let episodes = library.episodes_of(None).map_err(unavailable)?;
            let of = |episode| EpisodeStatus { episode: EpisodeInfo::new(episode, &urls), error: None, swarm: None };
            Status { episodes: episodes.iter().map(of).collect(), ..Status::default() }
        }
    };
    let places = context.remote.is_none().then(|| Places::find(&context.dir));
    context.out.json(&WithPlaces { status: &status, places: places.as_ref() })?;
    match (&status.version, &status.public_url) {
        (Some(version), Some(url)) => context.out.line(format!("{version} serves at {url}"))?,
        _ => context.out.line("nothing is served; start with `podpub serve`")?,
    }
    for listening in &status.listening {
        context.out.line(format!("listening {} {}", listening.kind, listening.addr))?;
    }
    for (what, place) in places.iter().flat_map(Places::lines) {
        context.out.line(format!("{what}: {place}"))?;
    }
    if let Some(CertificateStatus { names, ends, trouble }) = &status.certificate {
        let ends = ends.map(|ends| format!("certificate for {} ends on {}", names.join(", "), ends.format("%Y-%m-%d")));
        context.out.line(ends.unwrap_or_else(|| "no certificate yet".to_owned()))?;
        if let Some(trouble) = trouble {
            context.out.line(format!("  {trouble}"))?;
        }
    }
    if status.serving {
        context.out.line(format!(
            "sent {} to peers, now {}; {} over HTTP",
            ByteCount(status.uploaded),
            Rate(status.up_rate),
            ByteCount(status.sent_over_http)
        ))?;
        if let Some(over_http) = status.over_http.filter(|over_http| over_http.downloads > 0) {
            context.out.line(over_http.to_string())?;
        }
        if let Some(MirrorStatus { url, led, trouble }) = &status.mirror {
            context.out.line(format!("mirror {url}: {led} requests led there"))?;
            if let Some(trouble) = trouble {
                context.out.line(format!("  left alone for a while: {trouble}"))?;
            }
        }
        if let Some(reached) = &status.reached {
            context.out.line(format!("reached from outside: {}", reached.text))?;
        }
        if let Some(reach) = &status.reach {
            context.out.line(format!("listeners outside: {reach}"))?;
        }
        if let Some(interface) = &status.interface {
            context.out.line(format!("interface: {interface}"))?;
        }
        if let Some(blocklist) = &status.blocklist {
            context.out.line(format!("blocked: {blocklist}"))?;
        }
        if let Some(proxy) = &status.proxy {
            context.out.line(format!("proxy: {proxy}"))?;
        }
        if let Some(nodes) = status.dht_nodes {
            context.out.line(format!("knows {nodes} nodes of the distributed hash table"))?;
        }
    }
    for HookStatus { hook, done, failed, last_failure, waiting, trouble } in &status.hooks {
        let waiting = if *waiting > 0 { format!(", {waiting} waiting") } else { String::new() };
        context.out.line(format!("hook {hook}: done {done} times, failed {failed} times{waiting}"))?;
        if let Some(trouble) = trouble {
            context.out.line(format!("  tried again: {trouble}"))?;
        }
        if let Some(HookFailure { at, event, error }) = last_failure {
            let at = local_time(*at).format("%Y-%m-%d %H:%M:%S");
            context.out.line(format!("  last on {event} at {at}: {error}"))?;
        }
    }
    if let Some(WatchedStatus { folder, error, published, waiting, failed }) = &status.watched {
        let waiting = waiting.len();
        context.out.line(format!("watches `{folder}`: {published} published, {waiting} waiting"))?;
        if let Some(error) = error {
            context.out.line(format!("  it cannot be read: {error}"))?;
        }
        for WatchedFile { file, error } in failed {
            context.out.line(format!("  {file}: {error}"))?;
        }
    }
    for episode in &status.episodes {
        context.out.line(format!("\n{}: {}", episode.episode.show, episode.episode.title))?;
        if let Some(error) = &episode.error {
            context.out.line(format!("  not served: {error}"))?;
        }
        if let Some(swarm) = &episode.swarm {
            context.out.line(format!("  {}", describe(swarm)))?;
            context.out.line(format!("  {}", copies::sentence(swarm.copies_milli)))?;
        } else if !episode.episode.released {
            context.out.line(format!("  appears at {}", episode.episode.published.to_rfc3339()))?;
        }
    }
    Ok(())
}

/// The figures of a swarm on one line.
fn describe(swarm: &SwarmStatus) -> String {
    let peers =
        if swarm.peers == 1 { "1 peer connected".to_owned() } else { format!("{} peers connected", swarm.peers) };
    format!(
        "{peers}, {} sent, now {}; tracker: {} complete, {} fetching, {} fetched in full",
        ByteCount(swarm.uploaded),
        Rate(swarm.up_rate),
        swarm.complete,
        swarm.incomplete,
        swarm.downloaded
    )
}
