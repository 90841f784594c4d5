//! `stats`: how often episodes were downloaded.

use std::collections::BTreeMap;

use podswarm_core::app::{Failure, api_path};

use super::{Context, Reach};
use crate::cli::StatsArgs;
use crate::control::unavailable;
use crate::numbers::{EpisodeNumbers, Which, csv, report};

pub(super) async fn stats(context: &Context, args: StatsArgs) -> Result<(), Failure> {
    if args.csv && context.out.is_json() {
        return Err(Failure::usage("--csv and --json are given; want one of them"));
    }
    let is_one = args.episode.is_some();
    let which = Which { show: args.show, episode: args.episode, since: args.since };
    let episodes: Vec<EpisodeNumbers> = match context.reach().await? {
        Reach::Daemon(client) => client.get(&path(&which)).await?,
        Reach::Own(library, _lock) => report(&library, &which).map_err(unavailable)?,
    };
    if args.csv {
        return context.out.line(csv(&episodes));
    }
    if episodes.is_empty() {
        context.out.note("there is no episode yet; publish one with `podpub publish FILE`");
        return Ok(());
    }
    context.out.line("    HTTP     swarm")?;
    for episode in &episodes {
        let date = episode.published.format("%Y-%m-%d");
        let (http, swarm) = (episode.http, episode.swarm);
        context.out.line(format!("{http:>8}  {swarm:>8}  {}  {date}  {}", episode.show, episode.title))?;
        context.out.json(episode)?;
        if is_one {
            for day in &episode.days {
                context.out.line(format!("{:>8}  {:>8}  on {}", day.http, day.swarm, day.date))?;
            }
            for (what, counts) in [("players", &episode.players), ("countries", &episode.countries)] {
                if !counts.is_empty() {
                    context.out.line(format!("{what}: {}", most_first(counts)))?;
                }
            }
        }
    }
    if !is_one {
        let sum = |of: fn(&EpisodeNumbers) -> u64| episodes.iter().map(of).sum::<u64>();
        context.out.line(format!("{:>8}  {:>8}  in all", sum(|it| it.http), sum(|it| it.swarm)))?;
    }
    Ok(())
}

fn path(which: &Which) -> String {
    let since = which.since.map(|since| since.to_string());
    let fields = [("show", &which.show), ("episode", &which.episode), ("since", &since)];
    let query: Vec<_> = fields.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
    api_path(&["stats"], &query)
}

fn most_first(counts: &BTreeMap<String, u64>) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}
