//! Takes the owner's answer whether he takes part in swarms: it is kept, and holds at once.

use podswarm_core::app::{Explain, Failure};

use super::task::Task;
use crate::agent::Input;
use crate::ask::Reply;
use crate::consent::DecidedBy;
use crate::keep;

/// How another answer is given.
const OTHERWISE: &str =
    "`http_only = \"yes\"` or `\"no\"` in config.toml says otherwise, or --http-only of `podsub run`";

impl Task {
    /// Keeps the answer, and leaves all swarms if that is it. He is asked once.
    pub(super) async fn consent(&mut self, takes_part: bool) -> Result<Reply, Failure> {
        let holds = self.agent.swarms(None);
        match holds.decided_by {
            DecidedBy::Nobody => {
                let store = self.store.clone();
                let kept = tokio::task::spawn_blocking(move || keep::remember_answer(&store, takes_part)).await?;
                kept.explain(|| "remember the answer".to_owned())?;
                self.input(Input::Consent { takes_part });
            }
            DecidedBy::Answer if holds.takes_part == takes_part => {}
            DecidedBy::Answer => return Err(Failure::new("it was answered before").with_hint(OTHERWISE)),
            DecidedBy::Rule | DecidedBy::Setting => {
                return Err(Failure::new("it is set whether swarms are taken part in").with_hint(OTHERWISE));
            }
        }
        Ok(Reply::Swarms(self.agent.swarms(None)))
    }
}
