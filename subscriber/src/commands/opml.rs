//! Subscriptions in and out as OPML: `import`, `export`.

use std::io::{Read as _, Write as _};
use std::path::Path;

use chrono::Utc;
use futures_util::StreamExt as _;
use podswarm_core::app::{Explain, Failure, GlobalArgs, Out, write_atomic};
use podswarm_feeds::read::opml::{MAX_OPML_BYTES, Subscription, Subscriptions, parse};
use podswarm_feeds::write;
use serde_json::json;

use super::library::{all_or_failure, tell_added};
use super::list::once;
use super::misunderstood;
use crate::address::feed_url;
use crate::ask::{Added, Ask, Reply};
use crate::cli::ImportArgs;
use crate::desk::Desk;
use crate::view::count;

/// Feeds that are asked for at the same time; the agent asks no more hosts at once.
const AT_ONCE: usize = 16;

/// Stands for standard input or output.
const STREAM: &str = "-";

pub(super) async fn import(global: &GlobalArgs, out: &Out, args: ImportArgs) -> Result<(), Failure> {
    let name = args.file.display().to_string();
    let list = read(&args.file)?;
    let of = list.feeds.len();
    if list.twins > 0 {
        out.note(format!("{} named more than once", count(list.twins, "feed")));
    }
    if !list.is_whole {
        out.warn(format!("`{name}` is cut off or too long: there may be more feeds than {of}"));
    }
    let desk = Desk::open_with(global, out, &args.route.route(), args.rules.all).await?;
    let add = async |feed: Subscription| match feed_url(&feed.url) {
        Ok(url) => {
            let (url, backlog, rules) = (url.to_string(), args.backlog, args.rules.typed.clone());
            let title = Some(feed.title).filter(|title| !title.is_empty());
            desk.ask(Ask::Add { url, title, backlog, schedule: None, unreachable: true, rules }).await
        }
        Err(failure) => Err(failure),
    };
    let mut answers = futures_util::stream::iter(list.feeds).map(add).buffered(AT_ONCE);
    let (mut tally, mut failures) = (Tally::default(), Vec::new());
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(Reply::Added(added)) => {
                tell_added(out, &added)?;
                tally.count_in(&added);
            }
            Ok(_) => return Err(misunderstood()),
            Err(failure) => failures.push(failure),
        }
    }
    drop(answers);
    let (new, known) = (tally.new, tally.known);
    out.json(&json!({ "event": "imported", "feeds": of, "new": new, "known": known, "failed": failures.len() }))?;
    out.note(format!("{} imported, {known} followed already, {} failed", count(new, "feed"), failures.len()));
    if !desk.has_agent() && new > 0 {
        out.note("no agent runs: nothing is downloaded until `podsub run`");
    }
    desk.close().await?;
    all_or_failure(out, failures, of, "feeds could not be followed")
}

/// What an import has come to.
#[derive(Default)]
struct Tally {
    new: usize,
    known: usize,
}

impl Tally {
    fn count_in(&mut self, added: &Added) {
        if added.is_known { self.known += 1 } else { self.new += 1 }
    }
}

/// Reads the list in `file`.
fn read(file: &Path) -> Result<Subscriptions, Failure> {
    let what = || format!("read `{}`", file.display());
    let input: Box<dyn std::io::Read> = if file == Path::new(STREAM) {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file).explain(what)?)
    };
    let mut bytes = Vec::new();
    input.take(MAX_OPML_BYTES as u64 + 1).read_to_end(&mut bytes).explain(what)?;
    parse(&bytes).map_err(|error| {
        Failure::new(format!("`{}` is no list of feeds", file.display()))
            .with_hint("export the subscriptions of the other app as OPML; a feed is followed by `podsub add URL`")
            .because(error)
    })
}

pub(super) async fn export(global: &GlobalArgs, out: &Out, file: &Path) -> Result<(), Failure> {
    let to_stream = file == Path::new(STREAM);
    if to_stream && out.is_json() {
        return Err(Failure::usage("`-` writes OPML where --json writes JSON").with_hint("name a file instead of `-`"));
    }
    let Reply::Feeds(feeds) = once(global, out, Ask::Feeds).await? else { return Err(misunderstood()) };
    let list: Vec<_> =
        feeds.into_iter().map(|feed| Subscription { url: feed.url, title: feed.title, folders: Vec::new() }).collect();
    let text = write::opml("podsub subscriptions", Utc::now(), &list);
    if to_stream {
        return std::io::stdout().lock().write_all(text.as_bytes()).explain(|| "write to standard output".to_owned());
    }
    // Addresses of feeds may hold what only their reader is to know.
    write_atomic(file, text.as_bytes(), 0o600).explain(|| format!("write `{}`", file.display()))?;
    out.json(&json!({ "event": "exported", "feeds": list.len(), "path": file }))?;
    out.note(format!("{} written to `{}`", count(list.len(), "feed"), file.display()));
    Ok(())
}
