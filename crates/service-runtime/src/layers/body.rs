//! A body that closes its call when it ends, with the gRPC status from the trailers where there is one.
//!
//! This file must not know what a body holds.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};
use tonic::Code;

use super::call::{Call, Status};

/// The body of a traced answer.
#[derive(Debug)]
pub struct TracedBody<B> {
    inner: B,
    call: Option<Call>,
    /// What the call ended with if the body ends without saying otherwise.
    status: Status,
}

impl<B: Body> TracedBody<B> {
    pub(super) fn new(inner: B, call: Call, status: Status) -> Self {
        // An empty body is never polled by some servers: the call is over now.
        if inner.is_end_stream() {
            call.finish(status);
            Self { inner, call: None, status }
        } else {
            Self { inner, call: Some(call), status }
        }
    }

    /// A body without a call, for an answer that was never asked of anybody.
    pub(super) fn untraced(inner: B) -> Self {
        Self { inner, call: None, status: Status::Grpc(Code::Ok) }
    }

    fn finish(&mut self, status: Status) {
        if let Some(call) = self.call.take() {
            call.finish(status);
        }
    }
}

impl<B: Default + Body> Default for TracedBody<B> {
    fn default() -> Self {
        Self::untraced(B::default())
    }
}

impl<B: Body + Unpin> Body for TracedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref()
                    && let Some(status) = trailers.get("grpc-status")
                {
                    this.finish(Status::Grpc(Code::from_bytes(status.as_bytes())));
                } else if this.inner.is_end_stream() {
                    // Whoever knows the length may never ask for the end.
                    this.finish(this.status);
                }
            }
            Some(Err(_)) => {
                let broken = match this.status {
                    Status::Http(_) => Status::Http(500),
                    Status::Grpc(_) => Status::Grpc(Code::Unknown),
                };
                this.finish(broken);
            }
            None => this.finish(this.status),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
