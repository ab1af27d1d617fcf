//! The bodies of a call: a request that can be sent again, and an answer that tells how its call ended.
//!
//! This file must not know endpoints.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Code, Status, body::Body as TonicBody};

use super::{attempt::Attempt, call::Call};

/// Larger requests are not kept for a second attempt.
const MOST_KEPT: usize = 4 << 20;

/// The body of a request.
pub(super) enum Outgoing {
    /// All of it.
    Whole(Bytes),
    /// What has come, and where the rest comes from.
    Part(Bytes, TonicBody),
    /// A part that was sent; it is gone.
    Sent,
}

impl Outgoing {
    /// Reads what is there at once: of a unary call, everything.
    ///
    /// # Errors
    /// When the request itself cannot be had, such as one that is too large.
    pub(super) fn read(mut body: TonicBody) -> Result<Self, Status> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut first = Bytes::new();
        let mut more = BytesMut::new();
        loop {
            match Pin::new(&mut body).poll_frame(&mut cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if first.is_empty() && more.is_empty() => first = data,
                    Ok(data) => {
                        // Several frames are rare: a message is one.
                        more.extend_from_slice(&std::mem::take(&mut first));
                        more.extend_from_slice(&data);
                    }
                    Err(_trailers) => {}
                },
                Poll::Ready(None) => return Ok(Self::Whole(joined(first, more))),
                Poll::Ready(Some(Err(status))) => return Err(status),
                Poll::Pending => return Ok(Self::Part(joined(first, more), body)),
            }
            if first.len() + more.len() > MOST_KEPT {
                return Ok(Self::Part(joined(first, more), body));
            }
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Whole(_))
    }

    /// The body for one attempt; the whole can be had again.
    pub(super) fn take(&mut self) -> TonicBody {
        match std::mem::replace(self, Self::Sent) {
            Self::Whole(bytes) => {
                let body = TonicBody::new(Replayed(Some(bytes.clone())));
                *self = Self::Whole(bytes);
                body
            }
            Self::Part(bytes, rest) => TonicBody::new(Joined(Replayed(Some(bytes)), rest)),
            Self::Sent => TonicBody::empty(),
        }
    }
}

fn joined(first: Bytes, more: BytesMut) -> Bytes {
    if more.is_empty() { first } else { more.freeze() }
}

/// Bytes that are sent as one frame.
struct Replayed(Option<Bytes>);

impl HttpBody for Replayed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = self.get_mut().0.take().filter(|bytes| !bytes.is_empty());
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Bytes::is_empty)
    }
}

/// Bytes, then the rest of a body.
struct Joined(Replayed, TonicBody);

impl HttpBody for Joined {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        match ready!(Pin::new(&mut this.0).poll_frame(cx)) {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            Some(Err(never)) => match never {},
            None => Pin::new(&mut this.1).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream() && self.1.is_end_stream()
    }
}

/// The body of an answer. Its call ends with it.
#[derive(Debug, Default)]
pub struct Body {
    inner: TonicBody,
    open: Option<Box<(Attempt, Call)>>,
}

impl Body {
    /// A body whose call has ended, or is nobody's business.
    pub(super) fn plain(inner: TonicBody) -> Self {
        Self { inner, open: None }
    }

    /// A body that ends `call` by its trailers.
    pub(super) fn ending(inner: TonicBody, attempt: Attempt, call: Call) -> Self {
        Self { inner, open: Some(Box::new((attempt, call))) }
    }

    fn end(&mut self, code: Code) {
        if let Some(open) = self.open.take() {
            let (attempt, call) = *open;
            let outcome = attempt.end(code);
            call.end(outcome);
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.end(
                        trailers.get("grpc-status").map_or(Code::Unknown, |code| Code::from_bytes(code.as_bytes())),
                    );
                }
            }
            Some(Err(_)) => this.end(Code::Unavailable),
            // An answer without a status was cut off.
            None => this.end(Code::Unknown),
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

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(mut body: TonicBody) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            all.extend_from_slice(&frame.expect("it does not fail").into_data().expect("data"));
        }
        all
    }

    #[tokio::test]
    async fn a_whole_body_can_be_had_again() {
        let message = Replayed(Some(Bytes::from_static(b"message")));
        let mut outgoing = Outgoing::read(TonicBody::new(message)).expect("it is there");
        assert!(outgoing.is_whole());
        for _ in 0..2 {
            assert_eq!(read(outgoing.take()).await, b"message");
        }
        let mut empty = Outgoing::read(TonicBody::empty()).expect("it is there");
        assert!(empty.is_whole());
        assert_eq!(read(empty.take()).await, b"");
    }

    #[test]
    fn a_request_that_cannot_be_had_is_an_error() {
        struct Broken;
        impl HttpBody for Broken {
            type Data = Bytes;
            type Error = Status;
            fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
                Poll::Ready(Some(Err(Status::out_of_range("too large"))))
            }
        }
        assert_eq!(Outgoing::read(TonicBody::new(Broken)).err().map(|status| status.code()), Some(Code::OutOfRange));
    }

    #[tokio::test]
    async fn what_is_still_coming_is_passed_on_in_order() {
        let large = vec![7; MOST_KEPT + 1];
        let parts = Joined(Replayed(Some(large.clone().into())), TonicBody::new(Replayed(Some("end".into()))));
        let mut outgoing = Outgoing::read(TonicBody::new(parts)).expect("it is there");
        assert!(!outgoing.is_whole());
        let sent = read(outgoing.take()).await;
        assert_eq!((sent.len(), &sent[large.len()..]), (large.len() + 3, &b"end"[..]));
    }
}
