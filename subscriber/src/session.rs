//! An agent of this process that other commands can reach: the hub, its control port, and their end.

use podswarm_core::app::{DataDir, DataDirLock, EngineArgs, Failure};
use podswarm_core::background::Background;
use podswarm_core::net::EngineConfig;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::agent::event::Event;
use crate::control::ControlPort;
use crate::hub::{Hub, HubHandle, HubOptions, USER_AGENT};
use crate::metrics::MetricsPort;
use crate::web::{Shelf, WebPort, WebSite};

/// An agent of this process.
pub struct Session {
    hub: Hub,
    stop: CancellationToken,
    control: JoinHandle<Result<(), Failure>>,
    web: Option<JoinHandle<Result<(), Failure>>>,
    figures: Option<JoinHandle<()>>,
}

impl Session {
    /// Starts the agent, its control port, and its listener for players if there is one. The events begin with the
    /// addresses that it listens on.
    pub async fn start(
        options: impl FnOnce(DataDirLock, Option<WebSite>) -> HubOptions,
        lock: DataDirLock,
        web: Option<WebPort>,
    ) -> Result<(Self, broadcast::Receiver<Event>), Failure> {
        let port = ControlPort::bind(&lock).await?;
        let (hub, events) = Hub::start(options(lock, web.as_ref().map(WebPort::site))).await?;
        let stop = CancellationToken::new();
        let control = tokio::spawn(port.serve(hub.handle(), stop.clone()));
        let web = web.map(|web| {
            hub.tell(Event::Listening { kind: "web".to_owned(), addr: web.addr() });
            tokio::spawn(web.serve(Shelf::Agent(hub.handle()), stop.clone()))
        });
        Ok((Self { hub, stop, control, web, figures: None }, events))
    }

    /// Serves figures to those who watch over the agent.
    pub(crate) fn serve_figures(&mut self, port: MetricsPort) {
        self.hub.tell(Event::Listening { kind: "metrics".to_owned(), addr: port.addr() });
        self.figures = Some(tokio::spawn(port.serve(self.hub.handle(), self.stop.clone())));
    }

    /// A way to the agent.
    pub fn handle(&self) -> HubHandle {
        self.hub.handle()
    }

    /// Where the library is.
    pub fn library(&self) -> &std::path::Path {
        self.hub.library()
    }

    /// Whether the owner is to be told what swarms are.
    pub const fn is_to_be_told(&self) -> bool {
        self.hub.is_to_be_told()
    }

    /// Waits until the agent cannot go on.
    pub async fn failed(&mut self) -> Failure {
        tokio::select! {
            failure = self.hub.failed() => failure,
            served = &mut self.control => match served {
                Ok(Err(failure)) => failure,
                Ok(Ok(())) => Failure::new("the control port closed by itself"),
                Err(error) => Failure::new("the control port broke down").because(error),
            },
        }
    }

    /// Ends everything. Nobody is sent here any more from the moment this begins.
    pub async fn stop(self) -> Result<(), Failure> {
        self.stop.cancel();
        // It removes the control file; however it ended, the hub is next.
        let _ = self.control.await;
        if let Some(web) = self.web {
            let _ = web.await;
        }
        if let Some(figures) = self.figures {
            let _ = figures.await;
        }
        self.hub.stop().await
    }
}

/// How the owner wants to speak to peers. What is complete is seeded beside all else that his line is for.
pub fn engine_config(args: &EngineArgs, dir: &DataDir) -> EngineConfig {
    EngineConfig { user_agent: USER_AGENT.to_owned(), ..args.config(dir, Background::Seeding) }
}
