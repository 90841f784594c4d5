//! An answer whose asker has a place until it is sent.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use podswarm_core::app::Place;

/// A body with the place that its asker has until it is sent.
pub(crate) struct Kept {
    body: Body,
    _place: Place,
}

impl Kept {
    /// Keeps `place` as long as `body`.
    pub(crate) fn new(body: Body, place: Place) -> Self {
        Self { body, _place: place }
    }
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}
