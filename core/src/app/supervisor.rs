//! What the service manager is told, where one waits for it: that the daemon is ready, that it lives, that it stops.
//!
//! Where none waits nothing is done. Source: `sd_notify(3)`.

#[cfg(target_os = "linux")]
mod told {
    use sd_notify::{NotifyState, notify, watchdog_enabled};

    pub(super) fn tell(states: &[NotifyState]) {
        if let Err(error) = notify(states) {
            tracing::warn!(%error, "the service manager is not told how we stand");
        }
    }

    /// Says that we are ready, and from then on that we live.
    pub(super) fn ready(status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
        let Some(limit) = watchdog_enabled() else { return };
        // A runtime in which nothing goes on any more does not come to this either.
        tokio::spawn(async move {
            let mut beat = tokio::time::interval(limit / 2);
            loop {
                beat.tick().await;
                tell(&[NotifyState::Watchdog]);
            }
        });
    }

    pub(super) fn stopping() {
        tell(&[NotifyState::Stopping]);
    }
}

#[cfg(not(target_os = "linux"))]
mod told {
    pub(super) const fn ready(_: &str) {}
    pub(super) const fn stopping() {}
}

/// Tells the service manager that the daemon does its work; `status` is what it shows of it, one line. Called once,
/// within a runtime.
pub fn tell_ready(status: &str) {
    told::ready(status);
}

/// Tells the service manager that the daemon was asked to stop.
pub fn tell_stopping() {
    told::stopping();
}
