//! Where a command puts its question: to the agent that runs, or to one that lives as long as the command.

use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use podswarm_core::app::{Access, ControlClient, DataDir, Failure, GlobalArgs, Lines, Out, acquire, system_zone};
use podswarm_core::net::Route;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::agent::event::Event;
use crate::agent::share::Enough;
use crate::agent::{Duty, Limits, OnMetered, Seeding, Settings};
use crate::ask::{Ask, Reply};
use crate::consent::DecidedBy;
use crate::hub::{Hub, HubHandle, HubOptions};
use crate::rules::Rules;

/// How often a feed is polled that has no schedule, where no agent says otherwise.
const INTERVAL: Duration = Duration::from_mins(30);

/// The name of the program, as its folders bear it.
pub const PROGRAM: &str = "podsub";

/// A way to an agent.
#[derive(Clone)]
pub enum Contact {
    /// One of this process.
    Here(HubHandle),
    /// One of another process.
    There(ControlClient),
}

impl Contact {
    /// Asks, and waits for the answer.
    pub async fn ask(&self, ask: Ask) -> Result<Reply, Failure> {
        match self {
            Self::Here(hub) => hub.ask(ask).await,
            Self::There(client) => client.post("ask", &ask).await,
        }
    }

    /// All that happens from now on.
    pub async fn follow(&self) -> Result<Following, Failure> {
        match self {
            Self::Here(hub) => Ok(Following::Here(hub.events())),
            Self::There(client) => Ok(Following::There(Box::new(client.post_stream("follow", &()).await?))),
        }
    }
}

/// Where a command puts its question.
pub struct Desk {
    contact: Contact,
    /// The agent that lives as long as the command; `None` where one runs by itself.
    own: Option<Hub>,
}

impl Desk {
    /// Finds the agent, or opens the store for the length of one command, which asks hosts by `route`.
    pub async fn open(global: &GlobalArgs, out: &Out, route: &Route) -> Result<Self, Failure> {
        Self::open_with(global, out, route, Rules::default()).await
    }

    /// The same, where it matters what is wanted of all feeds.
    pub async fn open_with(global: &GlobalArgs, out: &Out, route: &Route, rules: Rules) -> Result<Self, Failure> {
        match find(global).await? {
            (_, Access::Daemon(client)) => Ok(Self { contact: Contact::There(client), own: None }),
            (dir, Access::Owner(lock)) => {
                let settings = Settings { rules, ..settings(Duty::Answer, default_library(&dir)?, system_zone()) };
                let route = route.clone();
                let out = out.clone();
                let options =
                    HubOptions { lock, settings, library: None, engine: None, greeting: None, route, web: None, out };
                let (hub, _) = Hub::start(options).await?;
                Ok(Self { contact: Contact::Here(hub.handle()), own: Some(hub) })
            }
        }
    }

    /// Whether an agent runs that polls and fetches by itself.
    pub const fn has_agent(&self) -> bool {
        self.own.is_none()
    }

    /// Asks, and waits for the answer.
    pub async fn ask(&self, ask: Ask) -> Result<Reply, Failure> {
        self.contact.ask(ask).await
    }

    /// Ends what was begun for this command.
    pub async fn close(self) -> Result<(), Failure> {
        match self.own {
            Some(hub) => hub.stop().await,
            None => Ok(()),
        }
    }
}

/// The data directory, and the agent on it or the right to be one.
pub async fn find(global: &GlobalArgs) -> Result<(DataDir, Access), Failure> {
    let dir = DataDir::resolve(global.data_dir.as_deref(), PROGRAM)?;
    let access = match global.remote()? {
        Some(client) => Access::Daemon(client),
        None => acquire(&dir).await?,
    };
    Ok((dir, access))
}

/// What happens at an agent.
pub enum Following {
    /// In this process.
    Here(broadcast::Receiver<Event>),
    /// In another one.
    There(Box<Lines<Event>>),
}

impl Following {
    /// Waits for the next event; `None` when the agent has ended.
    pub async fn next(&mut self) -> Result<Option<Event>, Failure> {
        match self {
            Self::Here(events) => loop {
                match events.recv().await {
                    Ok(event) => return Ok(Some(event)),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(None),
                }
            },
            Self::There(lines) => lines.next().await,
        }
    }
}

/// What an agent goes by where its owner says nothing.
pub fn settings(duty: Duty, library: PathBuf, zone: Tz) -> Settings {
    Settings {
        duty,
        library,
        downloads: 4,
        downloads_per_host: 2,
        interval: INTERVAL,
        zone,
        seeding: Seeding::Off,
        enough: Enough::default(),
        connects_back: false,
        asks_hubs: true,
        seed_at: Vec::new(),
        on_metered: OnMetered::SeedNothing,
        rules: Rules::default(),
        decided_by: DecidedBy::Nobody,
        limits: Limits::default(),
    }
}

/// Where the library is that nobody has named: in a data directory that was named, else with the user's own files.
pub fn default_library(dir: &DataDir) -> Result<PathBuf, Failure> {
    if dir.is_given() {
        return Ok(dir.join("library"));
    }
    let user = directories::UserDirs::new().ok_or_else(|| {
        Failure::usage("this user has no home folder to keep episodes in").with_hint("give --library DIR")
    })?;
    Ok(user.home_dir().join("Podcasts"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_library_lies_in_a_data_directory_that_was_named() {
        let dir = DataDir::resolve(Some(Path::new("/some/where")), PROGRAM).unwrap();
        assert_eq!(default_library(&dir).unwrap(), Path::new("/some/where/library"));
        let dir = DataDir::resolve(None, PROGRAM).unwrap();
        assert!(default_library(&dir).unwrap().ends_with("Podcasts"));
    }
}
