//! `doctor`, and the verdict at the end of `publish`: whether listeners outside reach the publisher.

use std::time::Duration;

use podswarm_core::app::{Access, ControlClient, Failure, acquire, free_space};
use podswarm_core::rate::ByteCount;
use serde::Serialize;

use super::Context;
use crate::reach::{Reach, Verdict};
use crate::wire::{CertificateStatus, Status};

/// A router has said by then whether it lets others in, or will not say.
const PATIENCE: Duration = Duration::from_secs(12);
/// The time between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// What `--json` tells.
#[derive(Serialize)]
struct Findings<'a> {
    event: &'static str,
    #[serde(flatten)]
    reach: &'a Reach,
    /// What else is wrong, each with its mend.
    others: &'a [String],
}

pub(super) async fn doctor(context: &Context) -> Result<(), Failure> {
    let client = match (&context.remote, context.dir.path().exists()) {
        (Some(client), _) => Some(client.clone()),
        (None, false) => None,
        (None, true) => match acquire(&context.dir).await? {
            Access::Daemon(client) => Some(client),
            Access::Owner(_) => None,
        },
    };
    let status = match &client {
        Some(client) => settled(client).await?,
        None => Status::default(),
    };
    let reach = status.reach.unwrap_or_else(Reach::nobody);
    let mut others = Vec::new();
    if let Some(CertificateStatus { trouble: Some(trouble), .. }) = status.certificate {
        others.push(format!("the certificate: {trouble}"));
    }
    if context.remote.is_none()
        && let Ok(space) = free_space(context.dir.path())
        && space.spare() == 0
    {
        let (path, free) = (context.dir.path().display(), ByteCount(space.available));
        others.push(format!("the disk of `{path}` has only {free} free: make room, or nothing more can be published"));
    }
    context.out.json(&Findings { event: "doctor", reach: &reach, others: &others })?;
    print(&reach, |line| context.out.line(line))?;
    others.iter().try_for_each(|other| context.out.line(format!("  mend: {other}")))?;
    if reach.verdict == Verdict::HouseOnly || !others.is_empty() {
        return Err(Failure::new("listeners are kept out, or soon will be").with_hint("what mends it is told above"));
    }
    Ok(())
}

/// The status, once the router has said what it will.
async fn settled(client: &ControlClient) -> Result<Status, Failure> {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let status: Status = client.get("status").await?;
        let is_asking = status.reach.as_ref().is_some_and(|reach| reach.is_asking);
        if !is_asking || tokio::time::Instant::now() >= end {
            return Ok(status);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Puts the verdict and its mends into lines.
fn print<E>(reach: &Reach, mut line: impl FnMut(String) -> Result<(), E>) -> Result<(), E> {
    line(reach.to_string())?;
    reach.mends.iter().try_for_each(|mend| line(format!("  mend: {mend}")))
}

/// Says at the end of a publish from where the episode is reached.
pub(super) async fn tell(context: &Context, client: &ControlClient) {
    // What was published is published, whether that can be told or not.
    if let Ok(Status { reach: Some(reach), .. }) = settled(client).await {
        note(context, &reach);
    }
}

/// The same of a publisher in this process.
pub(super) async fn tell_own(context: &Context, reach: impl Fn() -> Reach) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while reach().is_asking && tokio::time::Instant::now() < end {
        tokio::time::sleep(PAUSE).await;
    }
    note(context, &reach());
}

fn note(context: &Context, reach: &Reach) {
    let told: Result<(), std::convert::Infallible> = print(reach, |line| {
        context.out.note(line);
        Ok(())
    });
    let Ok(()) = told;
}
