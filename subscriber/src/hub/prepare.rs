//! Finds out what a source holds before anything is downloaded from it.

use std::sync::Arc;
use std::time::Duration;

use podswarm_core::app::write_atomic;
use podswarm_core::metainfo::{FileChoice, Info, InfoHash, Magnet, MagnetError, Metainfo, MutableLink};
use podswarm_core::net::FindTorrent;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::fetch::let_go;
use super::kit::Kit;
use crate::address::reach_of_links;
use crate::agent::plan::{Prepared, TorrentFacts};
use crate::agent::queue::Fault;
use crate::agent::{Input, Prepare};
use crate::dot_torrent;
use crate::records::Source;

/// Peers may take so long to tell what a magnet link's torrent is. Other sources have had their turn by then; without
/// any, the same one has it again later.
const FIND_WITHIN: Duration = Duration::from_mins(3);

/// Prepares, and tells the agent what was found.
pub(super) async fn prepare(kit: Arc<Kit>, order: Prepare, cancel: CancellationToken, before: Option<JoinHandle<()>>) {
    let (id, attempt) = (order.id, order.attempt);
    let_go(before).await;
    let Some(prepared) = cancel.run_until_cancelled(look(&kit, order)).await else { return };
    let input = match prepared {
        Ok(prepared) => Input::Prepared { id, attempt, prepared },
        Err(fault) => Input::Failed { id, attempt, fault },
    };
    kit.tell(input).await;
}

async fn look(kit: &Arc<Kit>, order: Prepare) -> Result<Prepared, Fault> {
    let torrent = match &order.source {
        Source::Torrent(url) => Some(metainfo(kit, url, order.info_hash, order.is_local).await?),
        Source::Http(_) => None,
        Source::Magnet(link) => Some(of_magnet(kit, &order, link).await?),
    };
    let torrent = torrent.map(|metainfo| facts(&metainfo, &order.source)).transpose()?;
    let library = kit.library.clone();
    let listed = tokio::task::spawn_blocking(move || {
        let listing = library.listing(&order.folder)?;
        let present = order.file.map_or(0, |file| library.present(&file));
        Ok::<_, std::io::Error>(Prepared { torrent, listing, present })
    });
    match listed.await {
        Ok(Ok(prepared)) => Ok(prepared),
        Ok(Err(error)) => Err(Fault::Disk(format!("the show's folder cannot be read: {error}"))),
        Err(error) => Err(Fault::Disk(error.to_string())),
    }
}

/// The metainfo: our own copy if there is one of the right torrent, else from `url`, of which a copy is then kept.
async fn metainfo(kit: &Arc<Kit>, url: &str, info_hash: Option<InfoHash>, is_local: bool) -> Result<Metainfo, Fault> {
    if let Some(info_hash) = info_hash
        && let Some(metainfo) = own_copy(kit, info_hash).await
    {
        return Ok(metainfo);
    }
    let (bytes, metainfo) =
        dot_torrent::download(kit.http(reach_of_links(is_local)), url).await.map_err(Fault::Source)?;
    keep(kit, metainfo.info_hash, bytes).await?;
    Ok(metainfo)
}

/// The metainfo of a magnet link: our own copy if there is one, else from peers, of which a copy is then kept.
async fn of_magnet(kit: &Arc<Kit>, order: &Prepare, link: &str) -> Result<Metainfo, Fault> {
    let mutable: Option<MutableLink> = link.parse().ok();
    let named = match &mutable {
        // What its owner names by now may be another episode.
        Some(_) => order.info_hash,
        None => Some(magnet(link)?.info_hash),
    };
    if let Some(info_hash) = named
        && let Some(metainfo) = own_copy(kit, info_hash).await
    {
        return Ok(metainfo);
    }
    let Some(engine) = kit.engine_for(order.id.feed) else {
        return Err(Fault::Source("this agent takes part in no swarm".to_owned()));
    };
    let discovery = kit.conduct(order.id.feed).discovery;
    let magnet = match mutable {
        Some(_) if !discovery.dht => {
            return Err(Fault::Source("the link is for the distributed hash table, which is not asked".to_owned()));
        }
        Some(link) => {
            let resolved = tokio::time::timeout(FIND_WITHIN, engine.resolve(link.item.clone())).await;
            let nobody = || Fault::Source("nobody has told which torrent the magnet link's owner means".to_owned());
            link.magnet(InfoHash::from_v1(resolved.ok().flatten().ok_or_else(nobody)?))
        }
        None => magnet(link)?,
    };
    let find = FindTorrent { magnet, reach: reach_of_links(order.is_local), discovery };
    let found = tokio::time::timeout(FIND_WITHIN, engine.find(find)).await;
    let nobody = || Fault::Source("no peer has told what the magnet link's torrent is".to_owned());
    let metainfo = found.map_err(|_| nobody())?.map_err(|error| Fault::Source(error.to_string()))?;
    keep(kit, metainfo.info_hash, metainfo.encode()).await?;
    Ok(Metainfo::clone(&metainfo))
}

fn magnet(link: &str) -> Result<Magnet, Fault> {
    link.parse().map_err(|error: MagnetError| Fault::Source(error.to_string()))
}

/// Keeps a copy of a torrent's metainfo.
async fn keep(kit: &Kit, info_hash: InfoHash, bytes: Vec<u8>) -> Result<(), Fault> {
    let path = kit.torrent_file(info_hash);
    let kept = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(path.parent().expect("the file lies in a folder"))?;
        write_atomic(&path, &bytes, 0o644)
    });
    match kept.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Fault::Disk(format!("the torrent cannot be kept: {error}"))),
        Err(error) => Err(Fault::Disk(error.to_string())),
    }
}

/// Our copy of a torrent; `None` if there is none or it is damaged, since it can be had again.
pub(super) async fn own_copy(kit: &Kit, info_hash: InfoHash) -> Option<Metainfo> {
    let path = kit.torrent_file(info_hash);
    let read = tokio::task::spawn_blocking(move || Metainfo::parse(&std::fs::read(path).ok()?).ok());
    read.await.ok().flatten().filter(|metainfo| metainfo.info_hash.matches(&info_hash))
}

fn facts(metainfo: &Metainfo, source: &Source) -> Result<TorrentFacts, Fault> {
    let info = &metainfo.info;
    let choice = choice_of(source, info)?;
    Ok(TorrentFacts {
        info_hash: metainfo.info_hash,
        length: length_of(choice.as_ref(), info),
        name: info.name.to_string(),
        is_single_file: info.is_single_file,
    })
}

/// The bytes of the files that are wanted, of all if there is no choice.
pub(super) fn length_of(choice: Option<&FileChoice>, info: &Info) -> u64 {
    choice.map_or_else(|| info.content_length(), |choice| choice.length(info))
}

/// The files of a torrent that its magnet link selects; `None` if all are wanted. BEP 53.
pub(super) fn choice_of(source: &Source, info: &Info) -> Result<Option<FileChoice>, Fault> {
    let Source::Magnet(link) = source else { return Ok(None) };
    // Which torrent its owner means is of no matter here.
    let mutable = link.parse().map(|link: MutableLink| link.magnet(InfoHash::from_v1([0; 20])));
    let selected = mutable.or_else(|_| magnet(link))?.selected;
    FileChoice::selected(info, &selected)
        .map_err(|error| Fault::Source(format!("the magnet link selects files that are not there: {error}")))
}
