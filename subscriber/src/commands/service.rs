//! `service`: the agent as a service of systemd.

use std::path::PathBuf;

use podswarm_core::app::{
    DataDir, Failure, GlobalArgs, Kept, Out, ServiceCommand, ServiceProgram, live_daemon, service,
};

use crate::ask::{Ask, Reply};
use crate::desk::{Contact, PROGRAM, default_library};

/// What systemd is told that we are.
const SERVICE: ServiceProgram =
    ServiceProgram { name: PROGRAM, verb: "run", title: "Podswarm agent of a listener", binds_low_ports: false };

pub(super) async fn run(command: ServiceCommand, global: &GlobalArgs, out: &Out) -> Result<(), Failure> {
    let kept = async |data: Option<&std::path::Path>| {
        let dir = DataDir::resolve(data, PROGRAM)?;
        let journal = Kept { what: "what is known of feeds and episodes", path: dir.join("journal") };
        Ok(vec![journal, Kept { what: "the episodes", path: library(&dir).await? }])
    };
    service(command, &SERVICE, global, out, kept).await
}

/// Where the episodes are: the agent that runs knows.
async fn library(dir: &DataDir) -> Result<PathBuf, Failure> {
    if let Some(client) = live_daemon(dir).await
        && let Ok(Reply::Status(status)) = Contact::There(client).ask(Ask::Status).await
    {
        return Ok(status.library);
    }
    default_library(dir)
}
