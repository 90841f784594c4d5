//! Shows what an agent does while a command watches it: lines for events, bars for downloads.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use podswarm_core::app::{Failure, Out, Progress, Reading};
use tokio::time::MissedTickBehavior;

use crate::agent::event::Event;
use crate::ask::{Ask, EpisodeView, Reply, Transfer};
use crate::desk::{Contact, Following};
use crate::records::EpisodeId;

/// Figures are asked for this often while something is being downloaded.
const FIGURES_EVERY: Duration = Duration::from_millis(500);

/// Shows what happens until `end` comes, or until `on` finds in an event what it waits for; `None` if the agent ends.
pub(super) async fn until<T>(
    show: &mut Show,
    contact: &Contact,
    following: &mut Following,
    mut on: impl FnMut(&Event) -> Option<T>,
    end: impl Future<Output = T>,
) -> Result<Option<T>, Failure> {
    let mut end = std::pin::pin!(end);
    let mut figures = tokio::time::interval(FIGURES_EVERY);
    figures.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // What has happened is shown before the end is.
            biased;
            event = following.next() => {
                let Some(event) = event? else { return Ok(None) };
                show.event(&event)?;
                if let Some(value) = on(&event) {
                    return Ok(Some(value));
                }
            }
            value = &mut end => {
                while let Some(Ok(Some(event))) = following.next().now_or_never() {
                    show.event(&event)?;
                }
                return Ok(Some(value));
            }
            _ = figures.tick(), if show.is_busy() => {
                if let Ok(Reply::Status(status)) = contact.ask(Ask::Status).await {
                    show.downloads(status.downloads);
                }
            }
        }
    }
}

/// What is shown.
pub(super) struct Show {
    out: Out,
    bars: BTreeMap<EpisodeId, Bar>,
}

/// A download as it is shown.
struct Bar {
    progress: Progress,
    /// What it shows.
    shown: Option<Transfer>,
}

impl Show {
    pub(super) fn new(out: &Out) -> Self {
        Self { out: out.clone(), bars: BTreeMap::new() }
    }

    /// Whether figures are wanted: something is being downloaded.
    pub(super) fn is_busy(&self) -> bool {
        !self.bars.is_empty() && !self.out.is_quiet()
    }

    /// Shows an event.
    pub(super) fn event(&mut self, event: &Event) -> Result<(), Failure> {
        match event {
            Event::Downloading { episode, .. } => {
                let title = episode.title.clone();
                let new = || Bar { progress: self.out.progress(title), shown: None };
                self.bars.entry(episode.id).or_insert_with(new);
            }
            other => {
                if let Some(id) = other.episode() {
                    self.bars.remove(&id);
                }
            }
        }
        self.out.json(event)?;
        // That nothing has happened is not worth a line.
        if matches!(event, Event::Polled { new: 0, wanted: 0, .. }) {
            return Ok(());
        }
        self.out.line(event.line())
    }

    /// Shows how downloads stand, where that has changed.
    pub(super) fn downloads(&mut self, downloads: Vec<EpisodeView>) {
        let now = Instant::now();
        for view in downloads {
            let Some(bar) = self.bars.get_mut(&view.id) else { continue };
            let Some(transfer) = view.transfer.filter(|transfer| bar.shown.as_ref() != Some(transfer)) else {
                continue;
            };
            bar.progress.update(
                now,
                &Reading {
                    state: &transfer.state,
                    done: transfer.have,
                    total: transfer.length.unwrap_or(0),
                    rate: Some(transfer.down_rate),
                    peers: transfer.peers,
                    web_seeds: transfer.web_seeds,
                    eta: transfer.eta_seconds.map(Duration::from_secs),
                },
            );
            bar.shown = Some(transfer);
        }
    }
}
