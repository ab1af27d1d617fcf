//! Bodies: read whole before anything is held for the request, cut off before they fill memory, refused when they
//! dribble.
//!
//! Must not know what a body holds.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, HttpBody as _},
    extract::Request,
};
use http::StatusCode;
use shared_models::ErrorCode;
use smallvec::SmallVec;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{config::Limits, metrics::Metrics, problem::Problem};

/// How long a body may take to get going before its speed counts.
const GRACE: Duration = Duration::from_secs(2);

/// Reads bodies.
pub(crate) struct Bodies {
    most_bytes: usize,
    patience: Duration,
    bytes_per_second: u64,
    /// The memory that all bodies in hand may take together, a permit a byte.
    room: Arc<Semaphore>,
    metrics: Metrics,
}

/// The memory of a body, for as long as the request is in hand.
pub(crate) type Room = Option<OwnedSemaphorePermit>;

impl Bodies {
    /// Reads bodies within these limits.
    pub(crate) fn new(limits: &Limits, metrics: Metrics) -> Self {
        Self {
            most_bytes: limits.body_bytes,
            patience: limits.body_timeout,
            bytes_per_second: limits.body_bytes_per_second,
            room: Arc::new(Semaphore::new(limits.bodies_bytes.min(Semaphore::MAX_PERMITS))),
            metrics,
        }
    }

    /// The request with its body in memory.
    pub(crate) async fn read(&self, request: Request) -> Result<(Request, Room), Problem> {
        if request.body().is_end_stream() {
            return Ok((request, None));
        }
        let (parts, mut body) = request.into_parts();
        if body.size_hint().lower() > self.most_bytes as u64 {
            return Err(self.too_large());
        }
        let began = Instant::now();
        let mut frames: SmallVec<[Bytes; 1]> = SmallVec::new();
        let mut length = 0;
        let mut room: Room = None;
        loop {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
            let frame = match tokio::time::timeout_at(self.until(began, length), frame).await {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(unreadable(&error)),
                Err(_) => return Err(self.too_slow()),
            };
            // Trailers say nothing to us.
            let Ok(data) = frame.into_data() else { continue };
            length += data.len();
            if length > self.most_bytes {
                return Err(self.too_large());
            }
            self.take(&mut room, data.len())?;
            frames.push(data);
        }
        let whole = match frames.len() {
            0 => Bytes::new(),
            1 => frames.swap_remove(0),
            _ => frames.concat().into(),
        };
        Ok((Request::from_parts(parts, Body::from(whole)), room))
    }

    /// When a body must be whole, or go on: what has come buys time for more.
    fn until(&self, began: Instant, length: usize) -> Instant {
        let earned = Duration::from_micros((length as u64).saturating_mul(1_000_000) / self.bytes_per_second.max(1));
        began + self.patience.min(GRACE + earned)
    }

    fn take(&self, room: &mut Room, bytes: usize) -> Result<(), Problem> {
        let taken =
            u32::try_from(bytes).ok().and_then(|bytes| Arc::clone(&self.room).try_acquire_many_owned(bytes).ok());
        match (taken, room.as_mut()) {
            (Some(more), Some(room)) => room.merge(more),
            (Some(first), None) => *room = Some(first),
            (None, _) => {
                self.metrics.shed("bodies");
                return Err(super::overloaded("too many bodies are in hand at once"));
            }
        }
        Ok(())
    }

    fn too_slow(&self) -> Problem {
        self.metrics.body_refused("slow");
        let detail = "the body came too slowly; send it faster, or less at once";
        Problem::new(ErrorCode::InvalidArgument, "body_timeout", detail).with_status(StatusCode::REQUEST_TIMEOUT)
    }

    fn too_large(&self) -> Problem {
        self.metrics.body_refused("large");
        let detail = "the body is too large; send less at once";
        Problem::new(ErrorCode::InvalidArgument, "body_too_large", detail).with_status(StatusCode::PAYLOAD_TOO_LARGE)
    }
}

fn unreadable(error: &axum::Error) -> Problem {
    Problem::new(ErrorCode::InvalidArgument, "unreadable_body", "the body ended early").because(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt as _, stream};

    use super::*;
    use crate::Config;

    fn bodies(change: impl FnOnce(&mut Limits)) -> Bodies {
        let mut limits = Config::default().limits;
        change(&mut limits);
        Bodies::new(&limits, Metrics::new(&service_runtime::Metrics::new()))
    }

    /// A body that gives some bytes, then waits, again and again.
    fn dribbling(bytes: &'static [u8], pause: Duration) -> Request {
        let drop = move |()| async move {
            tokio::time::sleep(pause).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(bytes)), ()))
        };
        Request::new(Body::from_stream(stream::unfold((), drop)))
    }

    async fn refused(bodies: &Bodies, request: Request) -> (String, Duration) {
        let began = Instant::now();
        let problem = bodies.read(request).await.err().unwrap();
        (problem.reason().to_owned(), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_dribbles_is_refused() {
        let bodies = bodies(|limits| limits.body_bytes_per_second = 100);
        let (reason, took) = refused(&bodies, dribbling(b"x", Duration::from_millis(100))).await;
        assert_eq!(reason, "body_timeout");
        assert!(took > GRACE && took < GRACE * 2, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_body_has_its_time_and_no_more() {
        let bodies = bodies(|limits| limits.body_timeout = Duration::from_secs(8));
        let line = &[b' '; 100];
        let lines = stream::iter(0..200).then(|_| async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<_, Infallible>(Bytes::from_static(line))
        });
        let request = Request::new(Body::from_stream(lines));
        let (request, _room) = bodies.read(request).await.ok().unwrap();
        assert_eq!(axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap().len(), 20_000);
        let (reason, took) = refused(&bodies, dribbling(line, Duration::from_millis(20))).await;
        assert_eq!((reason.as_str(), took.as_secs()), ("body_timeout", 8));
    }

    #[tokio::test]
    async fn what_is_in_hand_together_is_bounded() {
        let bodies = bodies(|limits| (limits.body_bytes, limits.bodies_bytes) = (1_024, 2_000));
        let request = |size: usize| Request::new(Body::from(vec![b' '; size]));
        assert_eq!(refused(&bodies, request(1_025)).await.0, "body_too_large");
        let first = bodies.read(request(1_000)).await.ok().unwrap();
        let second = bodies.read(request(900)).await.ok().unwrap();
        assert_eq!(refused(&bodies, request(200)).await.0, "overloaded");
        drop(first);
        assert!(bodies.read(request(200)).await.is_ok());
        drop(second);
    }
}
