//! A connection under watch: what hyper and h2 let a client do for ever ends here.
//!
//! They close what sends nothing, resets streams or sends endless headers. A client that only sends control frames
//! costs an answer each, and one that never reads keeps its answers here: both are closed. Must not know HTTP beyond
//! the heads of HTTP/2 frames (RFC 9113, section 4.1).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep},
};

use crate::metrics::Metrics;

/// What an HTTP/2 connection begins with.
pub(crate) const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a control frame costs. A window update costs one: every answer is followed by some.
const CONTROL: u64 = 100;
/// The most that may be spent at once: a thousand control frames.
const BURST: u64 = 1_000 * CONTROL;
/// What is given back in a second: two hundred control frames.
const PER_SECOND: u64 = 200 * CONTROL;

/// A connection that is watched.
pub(crate) struct Watched {
    stream: TcpStream,
    frames: Option<Frames>,
    /// How long a client may leave its answers untaken.
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    metrics: Metrics,
}

impl Watched {
    /// Watches a connection of which nothing is read yet.
    pub(crate) fn new(stream: TcpStream, http2: bool, patience: Duration, metrics: Metrics) -> Self {
        Self { stream, frames: http2.then(Frames::new), patience, stalled: None, metrics }
    }

    /// Whether a write goes on: one that has stood still for too long does not.
    fn progress<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if stalled.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.metrics.connection_abusive("unread");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "answers are not taken")))
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let (Poll::Ready(Ok(())), Some(frames)) = (&read, &mut self.frames) {
            let new = buffer.filled().get(before..).unwrap_or_default();
            if !frames.allow(new, Instant::now()) {
                self.metrics.connection_abusive("frames");
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "a flood of control frames")));
            }
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.progress(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.progress(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The frames that a client sends, by their heads.
struct Frames {
    /// Bytes to pass over: the preface, then each payload.
    skip: usize,
    /// The head of the next frame, as far as it is here.
    head: [u8; 9],
    have: usize,
    left: u64,
    refilled: Option<Instant>,
}

impl Frames {
    fn new() -> Self {
        Self { skip: HTTP2_PREFACE.len(), head: [0; 9], have: 0, left: BURST, refilled: None }
    }

    /// Takes in what was read; whether the client may go on.
    fn allow(&mut self, mut bytes: &[u8], now: Instant) -> bool {
        let mut cost = 0;
        while !bytes.is_empty() {
            if self.skip > 0 {
                let passed = self.skip.min(bytes.len());
                self.skip -= passed;
                bytes = bytes.get(passed..).unwrap_or_default();
                continue;
            }
            let missing = self.head.iter_mut().skip(self.have);
            let taken = missing.zip(bytes).map(|(place, byte)| *place = *byte).count();
            self.have += taken;
            bytes = bytes.get(taken..).unwrap_or_default();
            if self.have == self.head.len() {
                self.have = 0;
                let [a, b, c, kind, flags, ..] = self.head;
                self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
                cost += cost_of(kind, flags, self.skip);
            }
        }
        cost == 0 || self.spend(cost, now)
    }

    fn spend(&mut self, cost: u64, now: Instant) -> bool {
        let since = self.refilled.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let refill = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).saturating_mul(PER_SECOND) / 1_000;
        if refill > 0 || self.refilled.is_none() {
            self.refilled = Some(now);
            self.left = self.left.saturating_add(refill).min(BURST);
        }
        let enough = self.left >= cost;
        self.left = self.left.saturating_sub(cost);
        enough
    }
}

/// What a frame costs: nothing where it brings a request or a body, whose own limits hold.
fn cost_of(kind: u8, flags: u8, length: usize) -> u64 {
    const END_STREAM: u8 = 1;
    match kind {
        // DATA; without any and without the end of a body, it is only work.
        0 if length == 0 && flags & END_STREAM == 0 => CONTROL,
        // DATA and HEADERS.
        0 | 1 => 0,
        // WINDOW_UPDATE.
        8 => 1,
        // PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION, and what nobody knows.
        _ => CONTROL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [_, a, b, c] = (length as u32).to_be_bytes();
        let mut bytes = vec![a, b, c, kind, flags, 0, 0, 0, 1];
        bytes.resize(9 + length, 0);
        bytes
    }

    #[test]
    fn requests_are_free_however_they_are_cut() {
        let mut bytes = HTTP2_PREFACE.to_vec();
        for _ in 0..5_000 {
            bytes.extend(frame(1, 4, 120));
            bytes.extend(frame(0, 1, 0));
            bytes.extend(frame(8, 0, 4));
        }
        for size in [1, 2, 7, 9, 10, 133, 16_384] {
            let (mut frames, now) = (Frames::new(), Instant::now());
            assert!(bytes.chunks(size).all(|part| frames.allow(part, now)), "{size}");
            assert_eq!((frames.have, frames.skip), (0, 0));
            assert_eq!(frames.left, BURST - 5_000);
        }
    }

    #[test]
    fn a_flood_is_none_of_ours() {
        for (kind, length) in [(0, 0), (2, 5), (3, 4), (4, 0), (6, 8), (9, 0), (0x42, 0)] {
            let (mut frames, mut now) = (Frames::new(), Instant::now());
            assert!(frames.allow(HTTP2_PREFACE, now));
            // As many as a busy and honest client sends.
            for _ in 0..100 {
                now += Duration::from_millis(100);
                assert!((0..20).all(|_| frames.allow(&frame(kind, 0, length), now)), "{kind}");
            }
            let allowed = (0..100_000).take_while(|_| frames.allow(&frame(kind, 0, length), now)).count();
            assert!((900..=1_000).contains(&allowed), "{kind}: {allowed}");
        }
    }
}
