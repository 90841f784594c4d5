//! The numbers of days added up, for people and for spreadsheets.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::library::{Library, LibraryError};
use crate::record::{DayRecord, EpisodeRecord};
use crate::slug::Slug;

/// Which numbers are asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Which {
    /// The show's slug or title; all shows if absent.
    pub(crate) show: Option<String>,
    /// The episode's title, page, file or guid; all if absent.
    pub(crate) episode: Option<String>,
    /// Only from this day on, in UTC.
    pub(crate) since: Option<NaiveDate>,
}

/// The downloads of an episode, whichever files it has had.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct EpisodeNumbers {
    /// Its show.
    pub(crate) show: Slug,
    /// Names it for ever.
    pub(crate) guid: String,
    /// Its title.
    pub(crate) title: String,
    /// The date it bears.
    pub(crate) published: DateTime<Utc>,
    /// Downloads over HTTP.
    pub(crate) http: u64,
    /// Downloads that became whole in swarms.
    pub(crate) swarm: u64,
    /// The downloads over HTTP by player.
    pub(crate) players: BTreeMap<String, u64>,
    /// Downloads of both kinds by country, as far as it is known.
    pub(crate) countries: BTreeMap<String, u64>,
    /// Each day that had any, oldest first.
    pub(crate) days: Vec<DayNumbers>,
}

/// The downloads of one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct DayNumbers {
    /// The day, in UTC.
    pub(crate) date: NaiveDate,
    /// Downloads over HTTP.
    pub(crate) http: u64,
    /// Downloads that became whole in swarms.
    pub(crate) swarm: u64,
}

/// The numbers of every episode that is or was out, the newest first in each show.
pub(crate) fn report(library: &Library, which: &Which) -> Result<Vec<EpisodeNumbers>, LibraryError> {
    let only = which.episode.as_deref().map(|name| library.episode(which.show.as_deref(), name)).transpose()?;
    let shows = match (&only, which.show.as_deref()) {
        (Some(episode), _) => vec![library.show(Some(episode.show.as_str()))?],
        (None, Some(show)) => vec![library.show(Some(show))?],
        (None, None) => library.shows()?,
    };
    let mut found = Vec::new();
    for show in shows {
        let mut episodes: BTreeMap<Uuid, EpisodeNumbers> = BTreeMap::new();
        let records = library.all_episodes(&show.slug)?;
        // A replaced file's record says what the episode was called before; the one that stands comes last.
        let (ended, standing): (Vec<_>, Vec<_>) =
            records.into_iter().filter(|record| record.released).partition(|record| record.ended.is_some());
        for record in ended.into_iter().chain(standing) {
            if only.as_ref().is_none_or(|only| only.guid == record.guid) {
                episodes.insert(record.uuid(), EpisodeNumbers::of(&record));
            }
        }
        let prefix = match &only {
            Some(only) => DayRecord::prefix(&show.slug, Some(only.uuid())),
            None => DayRecord::prefix(&show.slug, None),
        };
        for day in library.store().scan::<DayRecord>(prefix)? {
            if which.since.is_none_or(|since| day.date >= since)
                && let Some(episode) = episodes.get_mut(&day.guid)
            {
                episode.add(day);
            }
        }
        let mut episodes: Vec<_> = episodes.into_values().collect();
        episodes.sort_by(|a, b| b.published.cmp(&a.published).then_with(|| a.guid.cmp(&b.guid)));
        found.extend(episodes);
    }
    Ok(found)
}

impl EpisodeNumbers {
    fn of(record: &EpisodeRecord) -> Self {
        Self {
            show: record.show.clone(),
            guid: record.guid.clone(),
            title: record.title.clone(),
            published: record.published,
            http: 0,
            swarm: 0,
            players: BTreeMap::new(),
            countries: BTreeMap::new(),
            days: Vec::new(),
        }
    }

    fn add(&mut self, day: DayRecord) {
        let DayRecord { date, http, swarm, players, countries, .. } = day;
        self.http += http;
        self.swarm += swarm;
        for (sums, more) in [(&mut self.players, players), (&mut self.countries, countries)] {
            for (name, count) in more {
                *sums.entry(name).or_default() += count;
            }
        }
        self.days.push(DayNumbers { date, http, swarm });
    }
}

/// The numbers as a table for spreadsheets (RFC 4180, without the line end of the last row): a row for each episode and
/// day.
pub(crate) fn csv(episodes: &[EpisodeNumbers]) -> String {
    let mut rows = vec!["date,show,guid,title,http,swarm".to_owned()];
    for EpisodeNumbers { show, guid, title, days, .. } in episodes {
        let title = quoted(title);
        // One that was made here needs no quotes.
        let guid = if Uuid::try_parse(guid).is_ok() { guid.clone() } else { quoted(guid) };
        rows.extend(
            days.iter().map(|DayNumbers { date, http, swarm }| format!("{date},{show},{guid},{title},{http},{swarm}")),
        );
    }
    rows.join("\n")
}

/// A text as one field, which no spreadsheet takes for a formula.
fn quoted(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t']) { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::tests::library;
    use crate::record::tests::{episode, show};

    fn day(n: u8, date: u32, http: u64) -> DayRecord {
        let date = NaiveDate::from_ymd_opt(2026, 11, date).unwrap();
        let mut day = DayRecord::new("a".parse().unwrap(), Uuid::from_u128(n.into()), date);
        (day.http, day.swarm) = (http, 1);
        day.players.insert("Overcast".to_owned(), http);
        day
    }

    #[test]
    fn days_are_added_up_for_each_episode() {
        let (_dir, library) = library();
        let mut second = episode("a", 2);
        second.title = "=1+1, \"quoted\"".to_owned();
        library.store().put(&show("a")).unwrap();
        for episode in [episode("a", 1), second] {
            library.store().put(&episode).unwrap();
        }
        for day in [day(1, 1, 5), day(1, 2, 7), day(2, 2, 1)] {
            library.store().put(&day).unwrap();
        }
        let sums = |which: &Which| {
            let found = report(&library, which).unwrap();
            found.iter().map(|it| (it.published.format("%d").to_string(), it.http, it.swarm)).collect::<Vec<_>>()
        };
        assert_eq!(sums(&Which::default()), [("02".to_owned(), 1, 1), ("01".to_owned(), 12, 2)]);
        let since = NaiveDate::from_ymd_opt(2026, 11, 2);
        let episode = Some("Episode 1".to_owned());
        assert_eq!(sums(&Which { episode, since, ..Which::default() }), [("01".to_owned(), 7, 1)]);
        let found = report(&library, &Which::default()).unwrap();
        assert_eq!(found[1].players["Overcast"], 12);
        let table = csv(&found);
        let rows: Vec<&str> = table.lines().collect();
        assert_eq!(rows.len(), 4);
        assert_eq!(rows[1], format!("2026-11-02,a,{},\"'=1+1, \"\"quoted\"\"\",1,1", Uuid::from_u128(2)));
    }
}
