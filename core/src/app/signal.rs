//! The request to stop: Ctrl-C, or SIGTERM from a service manager.

use std::io;

/// The exit code of a program that a signal ended: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// Waits for the first SIGINT or SIGTERM; Ctrl-C where there are no such signals.
///
/// From then on a second one ends the process at once, with exit code 130. Call it within a tokio runtime. If the system
/// gives no signals at all, it waits for ever and says so in the log.
pub async fn shutdown_signal() {
    match Signals::listen() {
        Ok(mut signals) => {
            signals.next().await;
            tokio::spawn(async move {
                signals.next().await;
                std::process::exit(INTERRUPTED);
            });
        }
        Err(error) => {
            tracing::warn!(%error, "no signals can be received");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
