//! The request to stop: Ctrl-C, or SIGTERM from a service manager.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of a program that a signal ended: 128 and the number of SIGINT.
const INTERRUPTED: i32 = 130;

/// Whether anything has asked for the signals yet.
static IS_ASKED_FOR: AtomicBool = AtomicBool::new(false);

/// Has the signals end this process as long as nothing has called [`shutdown_signal`], if it is a container's first.
///
/// Any other is ended so by the system, which keeps from a first process what that does not listen for: a question to
/// the owner, or a server that is slow, could be left by SIGKILL alone.
///
/// Must be called within a tokio runtime.
pub(super) fn end_if_first() {
    if std::process::id() != 1 {
        return;
    }
    let Ok(mut signals) = Signals::listen() else { return };
    tokio::spawn(async move {
        signals.next().await;
        if !IS_ASKED_FOR.load(Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
    });
}

/// Resolves at the first SIGINT or SIGTERM; at Ctrl-C where there are no such signals.
///
/// Signals count from the call on, not from the first poll; so call it before anything that must be stopped cleanly is
/// begun. After the first, a second one ends the process at once, with exit code 130. If the system gives no signals at
/// all, it never resolves and says so in the log.
///
/// Must be called within a tokio runtime.
pub fn shutdown_signal() -> impl Future<Output = ()> + Send + 'static {
    let signals = Signals::listen();
    IS_ASKED_FOR.store(true, Ordering::Relaxed);
    async {
        match signals {
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

#[cfg(all(test, unix))]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use super::*;

    const CHILD: &str = "PODSWARM_TEST_SIGNAL_CHILD";

    #[tokio::test]
    async fn the_first_signal_is_a_request_and_the_second_an_order() {
        if std::env::var_os(CHILD).is_some() {
            let stopped = shutdown_signal();
            tell("listening");
            stopped.await;
            tell("stopping");
            std::future::pending::<()>().await;
        }
        for signals in [["-TERM", "-INT"], ["-INT", "-TERM"]] {
            let this = "app::signal::tests::the_first_signal_is_a_request_and_the_second_an_order";
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "--nocapture", this])
                .env(CHILD, "1")
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
            for (signal, awaited) in signals.into_iter().zip(["listening", "stopping"]) {
                // The test harness may have left its own words on the line.
                assert!(lines.any(|line| line.ends_with(awaited)));
                assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
            }
            assert_eq!(child.wait().unwrap().code(), Some(INTERRUPTED));
        }
    }

    fn tell(word: &str) {
        let mut stdout = io::stdout();
        writeln!(stdout, "{word}").and_then(|()| stdout.flush()).expect("the parent reads");
    }
}
