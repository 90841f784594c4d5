//! `check`: what podcast directories would say against a show.

use podswarm_core::app::{Failure, api_path};

use super::{Context, Reach, likely_urls};
use crate::check::{self, Finding, Severity};
use crate::control::unavailable;

pub(super) async fn check(context: &Context, show: Option<String>) -> Result<(), Failure> {
    let findings: Vec<Finding> = match context.reach().await? {
        Reach::Daemon(client) => {
            let query: Vec<(&str, &str)> = show.as_deref().map(|show| ("show", show)).into_iter().collect();
            client.get(&api_path(&["check"], &query)).await?
        }
        Reach::Own(library, _lock) => {
            let urls = likely_urls(&library)?;
            check::check(&library, show.as_deref(), &urls).map_err(unavailable)?
        }
    };
    for finding in &findings {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let about =
            finding.episode.as_ref().map_or_else(|| finding.show.clone(), |page| format!("{}/{page}", finding.show));
        context.out.line(format!("{severity} ({}) {about}: {}\n  {}", finding.rule, finding.what, finding.mend))?;
        context.out.json(finding)?;
    }
    match findings.iter().filter(|finding| finding.severity == Severity::Error).count() {
        0 if findings.is_empty() => context.out.line("directories would take it as it is"),
        0 => Ok(()),
        1 => Err(Failure::new("1 thing would keep directories from taking it")),
        count => Err(Failure::new(format!("{count} things would keep directories from taking it"))),
    }
}
