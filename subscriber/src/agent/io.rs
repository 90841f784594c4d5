//! What goes into the agent and what comes out of it.
//!
//! Whoever carries out an [`Output`] tells what came of it by the [`Input`] that it names.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use podswarm_core::app::Space;
use podswarm_core::app::hook::Undelivered;
use podswarm_core::metainfo::InfoHash;
use podswarm_core::net::Conduct;
use podswarm_core::witness::Nonce;
use podswarm_feeds::poll;
use url::Url;

use super::catalogue::Change;
use super::event::Event;
use super::extras::Extra;
use super::found::FoundFeed;
use super::heard::Play;
use super::hooks::Arrival;
use super::plan::{Plan, Prepared};
use super::queue::{Fault, Progress};
use super::settings::Sources;
use super::websub::{Farewell, Question, Request};
use crate::integrity::Integrity;
use crate::records::{Backlog, EpisodeId, FeedId, Source};
use crate::rules::{Hook, RuleName, Rules};
use crate::tags::Tags;
use podswarm_feeds::schedule::{Schedule, Timing};

/// What a command of the owner's is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every feed.
    All,
    /// One episode.
    Episode(EpisodeId),
    /// One feed.
    Feed(FeedId),
}

/// What happened, or what the owner wants.
#[derive(Clone, Debug)]
pub enum Input {
    /// So many bytes were sent of each of these since it began, as [`Output::Count`] asked.
    Counted(Vec<(EpisodeId, u64)>),
    /// Every byte of a download is there and checked.
    Done {
        /// Whose.
        id: EpisodeId,
        /// The attempt that [`Output::Start`] named.
        attempt: u64,
        /// What is there now.
        whole: Whole,
    },
    /// What came of [`Output::Delete`].
    Deleted {
        /// Whose.
        id: EpisodeId,
        /// What.
        outcome: Deletion,
    },
    /// The owner wants other things of a feed from now on.
    Edit {
        /// Which.
        feed: FeedId,
        /// What is said.
        rules: Rules,
        /// What is said no longer.
        forget: Vec<RuleName>,
        /// When to poll it, if that is to change.
        schedule: Option<Timing>,
    },
    /// The owner says that a feed is elsewhere.
    Readdress {
        /// Which.
        feed: FeedId,
        /// Where; no other feed is there.
        url: Url,
    },
    /// The agent ends; with a last count.
    Ending(Vec<(EpisodeId, u64)>),
    /// The owner has answered whether swarms are taken part in.
    Consent {
        /// They are.
        takes_part: bool,
    },
    /// Preparing or downloading has failed.
    Failed {
        /// Whose.
        id: EpisodeId,
        /// The attempt.
        attempt: u64,
        /// What went wrong.
        fault: Fault,
    },
    /// An app that is kept in step follows these feeds, none of which is followed here.
    Follow(Vec<Url>),
    /// What [`Output::Gather`] asked for was looked at.
    Gathered {
        /// What.
        extra: Extra,
        /// What it is called, which changes with its content, if it is kept.
        name: Option<String>,
    },
    /// What came of [`Output::AskHub`]: where the hub was told to reach us, or why it was not.
    HubAnswered {
        /// The feed of which it is to tell.
        feed: FeedId,
        /// The request.
        serial: u64,
        /// What.
        outcome: Result<Url, String>,
    },
    /// Somebody has come to the port for peers and asks as hubs do; answered by [`Output::AnswerHub`].
    HubCame {
        /// To be named in the answer.
        visit: u64,
        /// The path by which he has come.
        token: String,
        /// What he asks.
        question: Question,
    },
    /// A hub tells that there is news, and has signed it with the secret of this path.
    HubTold {
        /// The path.
        token: String,
    },
    /// These were played.
    Heard(Vec<Play>),
    /// What came of [`Output::Hook`].
    Hooked {
        /// Which.
        serial: u64,
        /// What.
        outcome: Result<(), Undelivered>,
    },
    /// The disk was measured, as [`Output::Measure`] asked.
    Measured {
        /// What is free, or why that cannot be told.
        space: Result<Space, String>,
        /// Bytes that running downloads have yet to write.
        outstanding: u64,
    },
    /// Whether the system calls the line metered.
    Metered(bool),
    /// Where whoever is outside reaches the port for peers, as far as is known.
    Outside(Option<SocketAddr>),
    /// The owner wants nothing of this done.
    Pause(Target),
    /// What came of [`Output::PutPicture`] or [`Output::TakePicture`].
    Pictured {
        /// In which feed's folder.
        feed: FeedId,
        /// What of ours is there; `None` if the disk refused.
        left: Option<Vec<String>>,
    },
    /// The owner wants this feed polled now.
    Poll(FeedId),
    /// What came of [`Output::Poll`].
    Polled {
        /// Which feed.
        feed: FeedId,
        /// Where it was asked for.
        url: Url,
        /// What the host said.
        reply: poll::Reply,
        /// The feed, where the reply brought one that could be read.
        found: Option<Box<FoundFeed>>,
        /// The reply came from a private or loopback address.
        is_local: bool,
    },
    /// A source was found to hold this, as [`Output::Prepare`] asked.
    Prepared {
        /// Whose.
        id: EpisodeId,
        /// The attempt.
        attempt: u64,
        /// What it holds.
        prepared: Prepared,
    },
    /// How a download stands; wanted every few seconds.
    Progress {
        /// Whose.
        id: EpisodeId,
        /// The attempt.
        attempt: u64,
        /// How it stands.
        progress: Progress,
    },
    /// The owner follows this feed no longer.
    Remove(FeedId),
    /// The owner wants this to go on.
    Resume(Target),
    /// What is complete could not be seeded, as [`Output::Seed`] asked.
    SeedFailed {
        /// Whose.
        id: EpisodeId,
        /// Its file is not there.
        is_missing: bool,
        /// Why.
        reason: String,
    },
    /// Something of an event stream.
    Stream {
        /// The feed it tells of.
        feed: FeedId,
        /// The connection, as [`Output::Listen`] named it.
        serial: u64,
        /// What.
        news: StreamNews,
    },
    /// The owner follows this feed. One that is followed already gets the new schedule and more of its backlog.
    Subscribe {
        /// Where it is.
        url: Url,
        /// What it is called until it has been read.
        title: Option<String>,
        /// When to poll it.
        schedule: Option<Schedule>,
        /// How much of what is there to take.
        backlog: Option<Backlog>,
        /// What is wanted of it alone.
        rules: Rules,
    },
    /// What came of [`Output::Tag`] or [`Output::PutTagged`].
    Tagged {
        /// Whose.
        id: EpisodeId,
        /// What.
        outcome: TagOutcome,
    },
    /// The owner plays this episode: it is fetched now.
    Play(EpisodeId),
    /// The owner wants this episode.
    Take(EpisodeId),
    /// Time passed; see [`Agent::deadline`](super::Agent::deadline).
    Tick,
}

/// A download that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole {
    /// How many bytes.
    pub length: u64,
    /// The torrent that vouches for them.
    pub info_hash: Option<InfoHash>,
    /// What the file looks like; `None` if it was there before.
    pub print: Option<u64>,
}

/// What came of deleting a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// The owner has changed it: it was left alone.
    Changed,
    /// It is gone.
    Done,
    /// It could not be deleted now.
    Failed,
    /// It was not there.
    Missing,
}

/// What came of writing into a file what is known of its episode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagOutcome {
    /// The owner has changed it: it was left alone.
    Changed,
    /// A copy is there that looks like this.
    Copied {
        /// What it looks like.
        print: u64,
    },
    /// It was broken off, and nothing is left of it.
    Dropped,
    /// It could not be done now.
    Failed(String),
    /// The copy is there no longer, and the file is as it was.
    Lost,
    /// The file was not there.
    Missing,
    /// The file can hold no tags, and is as it was.
    Unfit(String),
    /// The copy has taken the file's place.
    Written {
        /// Its bytes.
        length: u64,
    },
}

/// Something of an event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamNews {
    /// The publisher asks us to connect back.
    Asked {
        /// What to show him.
        nonce: Nonce,
    },
    /// An event came.
    Event {
        /// What to name when connecting again.
        last_id: Option<String>,
    },
    /// The connection is lost, or could not be made.
    Lost {
        /// How long it asked to wait.
        retry: Option<Duration>,
    },
    /// The connection stands.
    Open,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Answer who has come as hubs do, as [`Input::HubCame`] told.
    AnswerHub {
        /// Whom.
        visit: u64,
        /// What to give back; what he asks for is not there if `None`.
        echo: Option<String>,
    },
    /// Ask a hub to tell us of a feed's news, and answer with [`Input::HubAnswered`].
    AskHub {
        /// Of which feed's.
        feed: FeedId,
        /// What to ask.
        request: Request,
        /// Where a hub outside reaches us.
        outside: Option<SocketAddr>,
        /// The hub may be at a private or loopback address.
        is_local: bool,
    },
    /// Show a publisher that we get to him from outside, over a new connection.
    ConnectBack {
        /// Of which feed.
        feed: FeedId,
        /// Where to show it.
        url: Url,
        /// What.
        nonce: Nonce,
    },
    /// Count what was sent of all that is exchanged; answer with [`Input::Counted`].
    Count,
    /// Stop seeding a file and delete it, if it looks as it did; answer with [`Input::Deleted`].
    Delete {
        /// Whose.
        id: EpisodeId,
        /// The file or folder.
        file: String,
        /// What it looked like.
        print: u64,
    },
    /// Look whether this is kept, fetch it if it is time, and answer with [`Input::Gathered`].
    Gather {
        /// What.
        extra: Extra,
        /// Where it is.
        url: String,
        /// It may be at a private or loopback address.
        is_local: bool,
    },
    /// Delete what is not finished of a file, once what runs for its episode has let go of it.
    Discard {
        /// Whose.
        id: EpisodeId,
        /// The file.
        file: String,
    },
    /// End what was set aside for an episode, as [`Output::SetAside`] asked.
    DropAside {
        /// Whose.
        id: EpisodeId,
    },
    /// Do what the owner wants when an episode is there, and answer with [`Input::Hooked`].
    Hook {
        /// To be named in the answer.
        serial: u64,
        /// What.
        hook: Hook,
        /// Of what to tell.
        arrival: Box<Arrival>,
    },
    /// Read an event stream, and answer with [`Input::Stream`] until it is lost.
    Listen {
        /// The feed it tells of.
        feed: FeedId,
        /// Tells this connection from those before it.
        serial: u64,
        /// Where it is.
        url: String,
        /// The event to go on after.
        last_event_id: Option<String>,
        /// It may be at a private or loopback address.
        is_local: bool,
        /// How long its publisher need not ask us to connect back yet.
        rest: Duration,
    },
    /// Ask a hub to tell us no more.
    LeaveHub {
        /// Of what.
        farewell: Farewell,
        /// The hub may be at a private or loopback address.
        is_local: bool,
    },
    /// Be in no swarm any more, and close the port for peers.
    LeaveSwarms,
    /// Measure the library's disk, and answer with [`Input::Measured`].
    Measure,
    /// Ask for a feed, and answer with [`Input::Polled`].
    Poll {
        /// Which.
        feed: FeedId,
        /// What to ask.
        fetch: poll::Fetch,
        /// The guids of the newest episodes that are known: where a page of the feed has none of them, more is missing,
        /// and the next page is wanted, too. Empty if all pages are wanted.
        known: BTreeSet<String>,
        /// Its address was typed by the owner, who may name one in a private network.
        is_typed: bool,
    },
    /// Find out what a source holds, and answer with [`Input::Prepared`] or [`Input::Failed`].
    Prepare(Prepare),
    /// Put the cover that is kept into a show's folder, in the place of what is ours there, unless a picture is there
    /// that is not; answer with [`Input::Pictured`].
    PutPicture(PutPicture),
    /// Let the copy with the tags take a file's place, if both look as they did; answer with [`Input::Tagged`].
    PutTagged {
        /// Whose.
        id: EpisodeId,
        /// The file.
        file: String,
        /// What it looked like.
        print: u64,
        /// What the copy looks like.
        copy: u64,
    },
    /// Make these changes durable before doing what follows.
    Save(Vec<Change>),
    /// Seed what is complete; answer with [`Input::SeedFailed`] if that cannot be.
    Seed(Seed),
    /// Download, and answer with [`Input::Progress`] and at last [`Input::Done`] or [`Input::Failed`].
    Start(Start),
    /// Go on with what is being prepared for an episode beside what comes next for it; answer as before.
    SetAside {
        /// Whose.
        id: EpisodeId,
    },
    /// Stop preparing, also aside, downloading or seeding; what there is stays on the disk.
    Stop {
        /// Whose.
        id: EpisodeId,
    },
    /// Make a copy of a file, if it looks as it did, with what is known of the episode in it; answer with
    /// [`Input::Tagged`]. What seeded it has stopped.
    Tag(Tag),
    /// Delete what is ours of the pictures in a show's folder; answer with [`Input::Pictured`].
    TakePicture {
        /// Which feed's.
        feed: FeedId,
        /// The folder.
        folder: String,
        /// What is ours if it is there.
        ours: Vec<String>,
    },
    /// Tell the world.
    Tell(Event),
    /// Treat the episodes of a feed so in their swarms, those that are exchanged now and those to come.
    Treat {
        /// Which feed's.
        feed: FeedId,
        /// How.
        conduct: Conduct,
        /// Whether there may be any.
        sources: Sources,
    },
    /// Read this feed's event stream no longer.
    Unlisten {
        /// Which feed's.
        feed: FeedId,
    },
}

/// A source to look at.
#[derive(Clone, Debug)]
pub struct Prepare {
    /// Whose.
    pub id: EpisodeId,
    /// To be named in the answer.
    pub attempt: u64,
    /// What to ask.
    pub source: Source,
    /// The show's folder, to be listed.
    pub folder: String,
    /// The file, if it has been chosen already.
    pub file: Option<String>,
    /// The torrent it is said to be.
    pub info_hash: Option<InfoHash>,
    /// The source may be at a private or loopback address.
    pub is_local: bool,
}

/// A cover to put into a folder.
#[derive(Clone, Debug)]
pub struct PutPicture {
    /// Which feed's.
    pub feed: FeedId,
    /// The folder.
    pub folder: String,
    /// Where the cover came from.
    pub url: String,
    /// What it is called.
    pub name: String,
    /// What is ours if it is there.
    pub ours: Vec<String>,
}

/// What to seed.
#[derive(Clone, Debug)]
pub struct Seed {
    /// Whose.
    pub id: EpisodeId,
    /// As which torrent.
    pub info_hash: InfoHash,
    /// The file or folder.
    pub file: String,
    /// Its trackers may be at private or loopback addresses.
    pub is_local: bool,
}

/// A download to begin.
#[derive(Clone, Debug)]
pub struct Start {
    /// Whose.
    pub id: EpisodeId,
    /// To be named in the answers.
    pub attempt: u64,
    /// From where.
    pub source: Source,
    /// What, and under which name.
    pub plan: Plan,
    /// The torrent that a plain file is said to be.
    pub info_hash: Option<InfoHash>,
    /// Where the same is said to be had as a plain file.
    pub mirrors: Vec<String>,
    /// The hash that a plain file is said to have.
    pub integrity: Option<Integrity>,
    /// Another source waits for its turn: a host that says nothing is soon left.
    pub gives_way: bool,
    /// The owner is about to play it.
    pub is_played: bool,
    /// The source may be at a private or loopback address.
    pub is_local: bool,
}

/// A file to copy with tags.
#[derive(Clone, Debug)]
pub struct Tag {
    /// Whose.
    pub id: EpisodeId,
    /// The file.
    pub file: String,
    /// What it looked like.
    pub print: u64,
    /// What is known, the notes left out.
    pub tags: Box<Tags>,
    /// Where the show's cover is.
    pub cover: Option<String>,
    /// The cover may be at a private or loopback address.
    pub is_local: bool,
}
