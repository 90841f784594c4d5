//! A feed with all its pages, and whether its owner lets it be taken.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use podswarm_core::net::Route;
use podswarm_core::net::http::{HttpClient, HttpError, Reach};
use podswarm_feeds::read::{Channel, Locked, MAX_FEED_BYTES, ReadError, parse};
use url::Url;

use super::USER_AGENT;

/// More pages no feed has.
const MOST_PAGES: usize = 1000;
/// The longest that one page may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// Where a feed is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At its host.
    Web(Url),
    /// In a file that was saved.
    File(PathBuf),
}

/// A feed that was read whole.
#[derive(Debug)]
pub(crate) struct Feed {
    /// The head of its first page, with the items of all.
    pub(crate) channel: Channel,
    /// Where it is, as far as that is known.
    pub(crate) url: Option<Url>,
    /// How many pages it has.
    pub(crate) pages: usize,
    /// Fetches what it names.
    pub(crate) client: HttpClient,
}

/// Why a feed is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FeedError {
    /// It cannot be fetched.
    #[error("fetch the feed `{url}`")]
    Fetch {
        /// Where it is.
        url: String,
        /// Why.
        #[source]
        source: HttpError,
    },
    /// Its host has none.
    #[error("the feed `{url}` cannot be had: its host answers with status {status}")]
    Status {
        /// Where it is.
        url: Url,
        /// The HTTP status code.
        status: u16,
    },
    /// A file that cannot be read.
    #[error("read the feed `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// It is none.
    #[error("read the feed `{place}`")]
    Read {
        /// Where it is.
        place: String,
        /// What is wrong with it.
        #[source]
        source: ReadError,
    },
    /// Its pages lead in a circle, or never end.
    #[error("the feed has more than {MOST_PAGES} pages")]
    Pages,
    /// Its owner forbids it.
    #[error("the feed is locked: its owner does not let it be taken elsewhere (podcast:locked)")]
    Locked {
        /// The addresses by which the owner is known.
        owners: Vec<String>,
    },
    /// Whoever takes it is not its owner.
    #[error("the feed is locked, and `{got}` is not its owner's address")]
    NotOwner {
        /// What was given.
        got: String,
    },
}

impl FeedError {
    /// The way out, if one is known.
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Fetch { .. } | Self::Status { .. } => {
                "see that its address is right; a saved copy of the feed can be imported, too".to_owned()
            }
            Self::Locked { owners } if owners.is_empty() => {
                "it names no owner; unlock it at its old host, then import it".to_owned()
            }
            Self::Locked { .. } => "if it is yours, say so with --i-am and the owner's mail address that the feed \
                                    names; or unlock it at its old host"
                .to_owned(),
            Self::NotOwner { .. } => "give the address in its podcast:locked or itunes:owner, or unlock it at its old \
                                      host"
                .to_owned(),
            _ => return None,
        })
    }
}

/// Reads the feed at `place` with all its pages, newest first as feeds have it, and by `route` what is on the web.
pub(crate) async fn read(place: &Place, route: &Route) -> Result<Feed, FeedError> {
    match place {
        Place::Web(url) => read_web(url, route).await,
        Place::File(path) => read_file(path, route).await,
    }
}

async fn read_web(url: &Url, route: &Route) -> Result<Feed, FeedError> {
    // The address is the owner's word.
    let (channel, at, reach) = page(&client(Reach::Any, route)?, url).await?;
    whole(channel, Some(at), client(reach, route)?).await
}

async fn read_file(path: &Path, route: &Route) -> Result<Feed, FeedError> {
    let fault = |source| FeedError::File { path: path.to_owned(), source };
    let bytes = tokio::fs::read(path).await.map_err(fault)?;
    let read = |base: &Url| {
        let fault = |source| FeedError::Read { place: path.display().to_string(), source };
        parse(&bytes, base, None).map_err(fault)
    };
    // Relative links mean something once the feed says where it is.
    let nowhere = Url::parse("file:///").expect("a URL");
    let mut channel = read(&nowhere)?;
    let url = channel.self_url.clone();
    if let Some(url) = &url {
        channel = read(url)?;
    }
    whole(channel, url, client(Reach::Any, route)?).await
}

fn client(reach: Reach, route: &Route) -> Result<HttpClient, FeedError> {
    HttpClient::new(reach, USER_AGENT, route).map_err(|source| FeedError::Fetch { url: String::new(), source })
}

/// Adds the items of all further pages.
async fn whole(mut channel: Channel, url: Option<Url>, client: HttpClient) -> Result<Feed, FeedError> {
    let mut guids: BTreeSet<String> = channel.items.iter().map(|item| item.guid.clone()).collect();
    let mut seen: BTreeSet<Url> = url.iter().cloned().collect();
    let (mut next, mut pages) = (channel.next_page.clone(), 1);
    while let Some(at) = next.filter(|at| seen.insert(at.clone())) {
        pages += 1;
        if pages > MOST_PAGES {
            return Err(FeedError::Pages);
        }
        let (page, _, _) = page(&client, &at).await?;
        channel.is_whole &= page.is_whole;
        next = page.next_page;
        channel.items.extend(page.items.into_iter().filter(|item| guids.insert(item.guid.clone())));
    }
    Ok(Feed { channel, url, pages, client })
}

/// One page: what it says, where the redirects ended, and what it may refer to.
async fn page(client: &HttpClient, url: &Url) -> Result<(Channel, Url, Reach), FeedError> {
    let fault = |source| FeedError::Fetch { url: url.to_string(), source };
    let fetched = client.get_limited(url.as_str(), &[], MAX_FEED_BYTES as u64, PATIENCE).await.map_err(fault)?;
    if fetched.status != 200 {
        return Err(FeedError::Status { url: url.clone(), status: fetched.status });
    }
    let channel = parse(&fetched.body, &fetched.final_url, fetched.header("content-type"));
    let channel = channel.map_err(|source| FeedError::Read { place: url.to_string(), source })?;
    let reach = fetched.remote_addr.map_or(Reach::Public, |addr| Reach::of_host(addr.ip()));
    Ok((channel, fetched.final_url, reach))
}

/// Whether the feed may be taken by who says that his address is `i_am`.
pub(crate) fn admit(channel: &Channel, i_am: Option<&str>) -> Result<(), FeedError> {
    let Some(Locked { owner }) = &channel.locked else { return Ok(()) };
    let owners: Vec<String> = owner.iter().chain(&channel.email).cloned().collect();
    match i_am {
        None => Err(FeedError::Locked { owners }),
        Some(got) if owners.iter().any(|owner| owner.trim().eq_ignore_ascii_case(got.trim())) => Ok(()),
        Some(got) => Err(FeedError::NotOwner { got: got.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(inner: &str) -> Channel {
        let url = Url::parse("https://a.example/feed").unwrap();
        let feed = format!(
            "<rss xmlns:podcast='https://podcastindex.org/namespace/1.0' \
             xmlns:itunes='http://www.itunes.com/dtds/podcast-1.0.dtd'><channel>{inner}</channel></rss>"
        );
        parse(feed.as_bytes(), &url, None).unwrap()
    }

    #[test]
    fn a_locked_feed_is_its_owners_to_take() {
        let locked = head("<podcast:locked owner='Ann@A.example'>yes</podcast:locked>");
        assert!(matches!(admit(&locked, None), Err(FeedError::Locked { owners }) if owners == ["Ann@A.example"]));
        assert!(matches!(admit(&locked, Some("bob@a.example")), Err(FeedError::NotOwner { .. })));
        admit(&locked, Some(" ann@a.example ")).unwrap();
        let owner = "<itunes:owner><itunes:email>ann@a.example</itunes:email></itunes:owner>";
        admit(&head(&format!("{owner}<podcast:locked>yes</podcast:locked>")), Some("ann@a.example")).unwrap();
        assert!(admit(&head("<podcast:locked>yes</podcast:locked>"), Some("ann@a.example")).is_err());
        admit(&head("<podcast:locked>no</podcast:locked>"), None).unwrap();
    }
}
