//! `doctor`, and the verdict at the end of `publish`: whether listeners outside reach the publisher.

use std::time::Duration;

use podswarm_core::app::{Access, ControlClient, Failure, acquire, free_space};
use podswarm_core::rate::ByteCount;
use serde::Serialize;

use super::Context;
use crate::host::Host;
use crate::reach::{Reach, Verdict};
use crate::wire::{CertificateStatus, Status};

/// A router has said by then whether it lets others in, and agents outside have come, or will not.
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
        Some(client) => {
            ask(client).await;
            settled(client).await?
        }
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

/// Has agents outside be asked to connect back.
async fn ask(client: &ControlClient) {
    // A publisher that cannot ask is of an older version, and has its verdict all the same.
    let _ = client.post::<_, Reach>("reach", &()).await;
}

/// Whether agents outside are to be asked: who knows all has no need of them.
fn is_open(reach: &Reach, is_dialled: Option<bool>) -> bool {
    reach.verdict == Verdict::Unknown || reach.verdict == Verdict::Public && is_dialled != Some(true)
}

/// The status, once the router, and who was asked outside, have said what they will.
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
    let Ok(Status { reach: Some(mut reach), reached, .. }) = settled(client).await else { return };
    if is_open(&reach, reached.and_then(|reached| reached.is_reached)) {
        ask(client).await;
        reach = settled(client).await.ok().and_then(|status| status.reach).unwrap_or(reach);
    }
    note(context, &reach);
}

/// The same of a publisher in this process.
pub(super) async fn tell_own(context: &Context, host: &Host) {
    let settled = async || {
        let end = tokio::time::Instant::now() + PATIENCE;
        while host.reach().is_asking && tokio::time::Instant::now() < end {
            tokio::time::sleep(PAUSE).await;
        }
        host.reach()
    };
    let mut reach = settled().await;
    if is_open(&reach, host.is_dialled()) {
        host.ask_outside().await;
        reach = settled().await;
    }
    note(context, &reach);
}

fn note(context: &Context, reach: &Reach) {
    let told: Result<(), std::convert::Infallible> = print(reach, |line| {
        context.out.note(line);
        Ok(())
    });
    let Ok(()) = told;
}
