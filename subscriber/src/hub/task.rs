//! The hub's one task: messages go into the agent, what it decides is done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use podswarm_core::app::Failure;
use podswarm_core::effects::Effects;
use podswarm_core::store::{Store, StoreError};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::figures::Tally;
use super::kit::{Kit, Live};
use super::listen::Listener;
use super::{Message, callback, connect_back, extras, fetch, hook, poll, prepare, tags};
use crate::agent::catalogue::Change;
use crate::agent::event::Event;
use crate::agent::{Agent, Input, Output};
use crate::ask::{EpisodeView, Reply};
use crate::keep;
use crate::records::{EpisodeId, FeedId};
use crate::web::PhoneLine;

/// A store that has no room is tried again after this long.
const SAVE_AGAIN: Duration = Duration::from_secs(5);

/// All that the hub's task owns.
pub(super) struct Task {
    pub(super) agent: Agent,
    pub(super) store: Store,
    pub(super) kit: Arc<Kit>,
    pub(super) events: broadcast::Sender<Event>,
    /// Where a phone may ask, while it may.
    pub(super) phone: Option<PhoneLine>,
    /// What is still to be done, in order.
    outputs: Effects<Output>,
    /// The store has no room: nothing more is done until this moment.
    blocked_until: Option<tokio::time::Instant>,
    streams: BTreeMap<FeedId, CancellationToken>,
    works: BTreeMap<EpisodeId, Work>,
    /// What goes on for episodes beside that.
    asides: Vec<(EpisodeId, Work)>,
    /// Commands that wait for polls.
    pub(super) waiters: Vec<Waiter>,
    settlers: Vec<oneshot::Sender<Vec<EpisodeView>>>,
    /// Hubs that have come and are to be answered.
    visits: BTreeMap<u64, oneshot::Sender<Option<String>>>,
    last_visit: u64,
    pub(super) tally: Tally,
}

/// What runs for an episode: preparing, downloading, seeding.
pub(super) struct Work {
    pub(super) cancel: CancellationToken,
    pub(super) handle: JoinHandle<()>,
}

/// A command that waits for polls to end.
pub(super) struct Waiter {
    /// The polls that have not ended.
    pub(super) feeds: Vec<FeedId>,
    /// How those went that have.
    pub(super) ended: Vec<Event>,
    pub(super) then: Then,
    pub(super) reply: oneshot::Sender<Result<Reply, Failure>>,
}

/// What is answered when the polls have ended.
pub(super) enum Then {
    /// Whether the feed is followed.
    Added { is_known: bool, unreachable: bool },
    /// What the polls brought.
    Updated,
}

impl Task {
    pub(super) fn new(agent: Agent, store: Store, kit: Arc<Kit>, events: broadcast::Sender<Event>) -> Self {
        Self {
            tally: Tally::new(agent.catalogue()),
            agent,
            store,
            kit,
            events,
            phone: None,
            outputs: Effects::default(),
            blocked_until: None,
            streams: BTreeMap::new(),
            works: BTreeMap::new(),
            asides: Vec::new(),
            waiters: Vec::new(),
            settlers: Vec::new(),
            visits: BTreeMap::new(),
            last_visit: 0,
        }
    }

    /// Runs until told to stop, or until the store cannot be written any more.
    pub(super) async fn run(mut self, mut messages: mpsc::Receiver<Message>) -> Result<(), Failure> {
        let result = self.serve(&mut messages).await;
        self.kit.stop.cancel();
        for work in self.works.values() {
            work.handle.abort();
        }
        result
    }

    async fn serve(&mut self, messages: &mut mpsc::Receiver<Message>) -> Result<(), Failure> {
        self.collect();
        loop {
            self.act().await?;
            self.settle();
            tokio::select! {
                message = messages.recv() => match message {
                    Some(Message::Input(input)) => self.input(input),
                    Some(Message::Ask(ask, reply)) => self.answer(ask, reply).await?,
                    Some(Message::Locate(id, reply)) => self.locate(id, reply),
                    Some(Message::Chapters(id, reply)) => self.chapters(id, reply),
                    Some(Message::Cover(feed, reply)) => self.cover(feed, reply),
                    Some(Message::Kept(reply)) => self.kept(reply),
                    Some(Message::HubCame { token, question, reply }) => {
                        self.last_visit += 1;
                        self.visits.insert(self.last_visit, reply);
                        self.input(Input::HubCame { visit: self.last_visit, token, question });
                    }
                    Some(Message::HubSecret { token, reply }) => {
                        // Who has gone needs no answer.
                        let _ = reply.send(self.agent.hub_secret(&token).map(str::to_owned));
                    }
                    Some(Message::Sync(ask, reply)) => self.sync(ask, reply).await?,
                    Some(Message::Figures(reply)) => {
                        // Who has gone needs no answer.
                        let _ = reply.send(self.figures());
                    }
                    Some(Message::Settle(reply)) => self.settlers.push(reply),
                    Some(Message::Stop) | None => return self.last_words().await,
                },
                () = sleep_until(self.deadline()) => self.input(Input::Tick),
                () = sleep_until(self.blocked_until) => self.blocked_until = None,
            }
        }
    }

    /// Gives the agent an input and collects what it wants done.
    pub(super) fn input(&mut self, input: Input) {
        self.agent.handle(self.kit.now(), input);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(output) = self.agent.poll() {
            self.outputs.push_back(output);
        }
    }

    fn deadline(&self) -> Option<tokio::time::Instant> {
        let deadline = self.agent.deadline()?;
        Some(tokio::time::Instant::now() + deadline.since(self.kit.now().instant))
    }

    /// Does what is to be done, in order, until nothing is left or the store has no room.
    pub(super) async fn act(&mut self) -> Result<(), Failure> {
        while self.blocked_until.is_none()
            && let Some(output) = self.outputs.take()
        {
            if let Output::Save(changes) = output {
                self.save(changes).await?;
            } else {
                self.start(output);
            }
        }
        Ok(())
    }

    /// The store has no room: what is decided waits.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked_until.is_some()
    }

    async fn save(&mut self, changes: Vec<Change>) -> Result<(), Failure> {
        let store = self.store.clone();
        let (changes, result) = tokio::task::spawn_blocking(move || {
            let result = keep::save(&store, &changes);
            (changes, result)
        })
        .await?;
        match result {
            Ok(()) => {}
            Err(error @ StoreError::Full { .. }) => {
                tracing::error!(%error, "nothing is promised until there is room");
                self.outputs.push_front(Output::Save(changes));
                self.blocked_until = Some(tokio::time::Instant::now() + SAVE_AGAIN);
            }
            Err(error) => return Err(super::with_hint(Failure::new("remember what has happened"), error)),
        }
        Ok(())
    }

    fn start(&mut self, output: Output) {
        let kit = Arc::clone(&self.kit);
        match output {
            Output::AnswerHub { visit, echo } => {
                if let Some(reply) = self.visits.remove(&visit) {
                    // Who has gone needs no answer.
                    let _ = reply.send(echo);
                }
            }
            Output::AskHub { feed, request, outside, is_local } => {
                kit.clone().spawn(callback::ask(kit, feed, request, outside, is_local));
            }
            Output::LeaveHub { farewell, is_local } => kit.clone().spawn(callback::leave(kit, farewell, is_local)),
            Output::Listen { feed, serial, url, last_event_id, is_local, rest } => {
                let cancel = self.kit.stop.child_token();
                self.streams.insert(feed, cancel.clone());
                let listener = Listener { kit, feed, serial, url, last_event_id, is_local, rest };
                tokio::spawn(async move {
                    cancel.run_until_cancelled(listener.listen()).await;
                });
            }
            Output::ConnectBack { feed, url, nonce } => {
                kit.clone().spawn(connect_back::connect_back(kit, feed, url, nonce));
            }
            Output::Unlisten { feed } => {
                if let Some(cancel) = self.streams.remove(&feed) {
                    cancel.cancel();
                }
            }
            Output::Delete { id, file, print } => {
                let before = self.take_work(id).map(|work| work.handle);
                kit.clone().spawn(fetch::delete(kit, id, file, print, before));
            }
            Output::Gather { extra, url, is_local } => {
                if kit.extras.is_due(&url, SystemTime::now()) {
                    kit.clone().spawn(extras::gather(kit, extra, url, is_local));
                } else {
                    let name = kit.extras.get(&url).map(|kept| kept.name);
                    self.input(Input::Gathered { extra, name });
                }
            }
            Output::Hook { serial, hook, arrival } => {
                kit.clone().spawn(hook::perform(kit, serial, hook, arrival));
            }
            Output::LeaveSwarms => kit.leave_swarms(),
            Output::Measure => {
                let has_kept = self.agent.catalogue().kept_bytes() > 0;
                kit.clone().spawn(measure(kit, has_kept));
            }
            Output::Poll { feed, fetch, known, is_typed } => {
                kit.clone().spawn(poll::poll(kit, feed, fetch, known, is_typed));
            }
            Output::Prepare(order) => {
                self.work(order.id, |cancel, before| prepare::prepare(kit, order, cancel, before));
            }
            Output::Start(order) => {
                self.work(order.id, |cancel, before| fetch::fetch(kit, order, cancel, before));
            }
            Output::Seed(order) => {
                self.work(order.id, |cancel, before| fetch::seed(kit, order, cancel, before));
            }
            Output::Tag(order) => {
                let store = self.store.clone();
                self.work(order.id, |cancel, before| tags::copy(kit, store, order, cancel, before));
            }
            Output::PutPicture(order) => {
                kit.clone().spawn(extras::put_picture(kit, order));
            }
            Output::TakePicture { feed, folder, ours } => {
                kit.clone().spawn(extras::take_picture(kit, feed, folder, ours));
            }
            Output::PutTagged { id, file, print, copy } => {
                self.work(id, |_, before| tags::put(kit, id, file, print, copy, before));
            }
            Output::SetAside { id } => {
                self.asides.retain(|(_, work)| !work.handle.is_finished());
                self.asides.extend(self.works.remove(&id).map(|work| (id, work)));
            }
            Output::Discard { id, file } => {
                let before = self.take_work(id).map(|work| work.handle);
                kit.clone().spawn(fetch::discard(kit, file, before));
            }
            Output::DropAside { id } => self.drop_aside(id),
            Output::Stop { id } => {
                self.drop_aside(id);
                if let Some(work) = self.works.get(&id) {
                    work.cancel.cancel();
                }
            }
            Output::Count => {
                let sent = self.sent();
                self.input(Input::Counted(sent));
            }
            Output::Save(_) => unreachable!("it is saved by `act`"),
            Output::Tell(event) => self.tell(event),
            Output::Treat { feed, conduct, sources } => kit.clone().treat(feed, conduct, sources),
        }
    }

    /// Begins new work for an episode; what ran for it before is cancelled, and handed over to be waited for.
    fn work<W>(&mut self, id: EpisodeId, begin: impl FnOnce(CancellationToken, Option<JoinHandle<()>>) -> W)
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let before = self.works.remove(&id).map(|work| {
            work.cancel.cancel();
            work.handle
        });
        let cancel = self.kit.stop.child_token();
        let handle = tokio::spawn(begin(cancel.clone(), before));
        self.works.insert(id, Work { cancel, handle });
        if self.works.len() > self.agent.catalogue().episode_count() {
            self.works.retain(|_, work| !work.handle.is_finished());
        }
    }

    /// Ends what goes on beside for an episode.
    fn drop_aside(&mut self, id: EpisodeId) {
        self.asides.extract_if(.., |(whose, _)| *whose == id).for_each(|(_, work)| work.cancel.cancel());
    }

    /// Takes away what runs for an episode, cancelled, to be waited for. What goes on beside it touches none of its
    /// files.
    pub(super) fn take_work(&mut self, id: EpisodeId) -> Option<Work> {
        self.drop_aside(id);
        let work = self.works.remove(&id)?;
        work.cancel.cancel();
        Some(work)
    }

    fn tell(&mut self, event: Event) {
        if let Event::Polled { feed_id, .. } | Event::PollFailed { feed_id, .. } = &event {
            self.polled(*feed_id, &event);
        }
        self.tally.fetched += u64::from(matches!(event, Event::Complete { .. }));
        tracing::debug!(?event);
        // Nobody has to listen.
        let _ = self.events.send(event);
    }

    /// Answers those who wait until nothing is left to do.
    fn settle(&mut self) {
        if self.settlers.is_empty() || !self.outputs.is_empty() || !self.waiters.is_empty() {
            return;
        }
        if self.agent.is_settled() {
            let left = self.wanted();
            for settler in self.settlers.drain(..) {
                // Who has gone needs no answer.
                let _ = settler.send(left.clone());
            }
        }
    }

    /// Bytes sent of each episode since it is exchanged.
    fn sent(&self) -> Vec<(EpisodeId, u64)> {
        let sent = |live| if let Live::Torrent(torrent) = live { Some(torrent.status().uploaded) } else { None };
        self.kit.all_live().into_iter().filter_map(|(id, live)| Some((id, sent(live)?))).collect()
    }

    /// Saves what is still to be saved; the rest is for the next run.
    async fn last_words(&mut self) -> Result<(), Failure> {
        let sent = self.sent();
        self.input(Input::Ending(sent));
        for output in std::mem::take(&mut *self.outputs) {
            if let Output::Save(changes) = output {
                self.save(changes).await?;
            }
        }
        Ok(())
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Measures the library's disk.
async fn measure(kit: Arc<Kit>, has_kept: bool) {
    let library = kit.library.clone();
    let measured = tokio::task::spawn_blocking(move || library.space(has_kept)).await;
    let outstanding = kit.all_live().values().map(fetch::outstanding).sum();
    match measured {
        Ok(space) => {
            if let Err(reason) = &space {
                // What waits for it says so.
                tracing::debug!("{reason}");
            }
            kit.tell(Input::Measured { space, outstanding }).await;
        }
        Err(error) => tracing::error!(%error, "measuring the disk broke off"),
    }
}
