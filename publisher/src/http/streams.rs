//! The answers of one connection of HTTP/2, each held to its own time.
//!
//! Over HTTP/1 an asker who stops reading makes the whole connection silent, and `listen` ends it. Over HTTP/2 a
//! connection with many streams is never silent, so each stream is watched: one whose answer is ready to go on, and
//! has not been let go on for the idle time, is ended alone. An answer that waits for us, such as a stream of events on
//! which nothing happens, lives.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::Instant;

tokio::task_local! {
    /// Since when the answer of this task's stream has waited for its asker; `None` while it waits for us.
    static WAITS_SINCE: Cell<Option<Instant>>;
}

/// Runs the streams of connections, each in a task of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    /// How long an answer may wait for its asker.
    pub(super) idle: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, stream: F) {
        let idle = self.idle;
        tokio::spawn(WAITS_SINCE.scope(Cell::new(None), async move {
            let mut stream = pin!(stream);
            let mut due = Instant::now() + idle;
            // To drop the stream is to reset it.
            while tokio::time::timeout_at(due, stream.as_mut()).await.is_err() {
                due = match WAITS_SINCE.with(Cell::get) {
                    Some(since) if since + idle <= Instant::now() => return,
                    Some(since) => since + idle,
                    None => Instant::now() + idle,
                };
            }
        }));
    }
}

/// The body of an answer, which notes whom it waits for.
pub(super) struct Watched(pub(super) Body);

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        // Without a task of ours nobody watches, and nothing is to be noted.
        let note = |since| _ = WAITS_SINCE.try_with(|waits| waits.set(since));
        note(None);
        let frame = ready!(Pin::new(&mut self.0).poll_frame(context));
        note(Some(Instant::now()));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use hyper::rt::Executor as _;

    use super::*;

    const IDLE: Duration = Duration::from_mins(1);

    /// Runs a stream that takes a frame of its body every `pace`, the body giving one every `rhythm`; says after how
    /// long it was ended, or `None` if it came to the body's end.
    async fn run(pace: Duration, rhythm: Duration, frames: usize) -> Option<Duration> {
        let (done, ended) = tokio::sync::oneshot::channel();
        let start = Instant::now();
        Streams { idle: IDLE }.execute(async move {
            let chunks = futures_util::stream::iter(0..frames).then(move |_| async move {
                tokio::time::sleep(rhythm).await;
                Ok::<_, std::io::Error>(Bytes::from_static(b"x"))
            });
            let mut body = Watched(Body::from_stream(chunks));
            while std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await.is_some() {
                tokio::time::sleep(pace).await;
            }
            let _ = done.send(());
        });
        ended.await.is_err().then(|| start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_its_asker_does_not_take_is_ended() {
        assert_eq!(run(IDLE * 10, Duration::ZERO, 2).await, Some(IDLE));
    }

    #[tokio::test(start_paused = true)]
    async fn an_asker_who_is_slow_but_moves_gets_all() {
        assert_eq!(run(Duration::from_secs(59), Duration::ZERO, 5).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_waits_for_us_lives() {
        assert_eq!(run(Duration::ZERO, IDLE * 10, 3).await, None);
    }
}
