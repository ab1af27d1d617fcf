//! The accept loop: connections are capped, heads are timed, and a stop finishes what is in hand.
//!
//! Our own, because `axum::serve` sets no timer: a client that sends nothing would stay for ever. Must not
//! know routes.

use std::{io, net::TcpListener, os::fd::OwnedFd, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use service_runtime::{OnFailure, Runtime};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
};

use crate::{
    config::Http,
    connection::{HTTP2_PREFACE, Watched},
    metrics::Metrics,
};

/// How long to wait after an accept failed for want of file descriptors or memory.
const PAUSE: Duration = Duration::from_millis(50);
/// How many connections may wait to be accepted, as far as the system allows.
const MOST_UNACCEPTED: u32 = 4_096;
/// The most streams of one HTTP/2 connection.
const MOST_STREAMS: u32 = 250;
/// How many streams a client may have reset before they were looked at (rapid reset), and how many of its own faults may
/// end a stream instead of its connection.
const MOST_RESETS: (usize, usize) = (20, 100);
/// The most bytes of answers that one HTTP/2 stream keeps for a client that does not read.
const MOST_UNREAD: usize = 256 * 1024;
/// The most bytes of a request's head.
const MOST_HEAD_BYTES: usize = 64 * 1024;

/// What the loop needs.
pub(crate) struct Acceptor {
    pub(crate) http: Http,
    pub(crate) runtime: Runtime,
    pub(crate) metrics: Metrics,
}

/// Whether a client speaks HTTP/2; nothing when it does not say enough in time to tell: hyper's timers begin only then.
async fn speaks_http2(stream: &TcpStream, patience: Duration) -> Option<bool> {
    let told = async {
        let mut head = [0; HTTP2_PREFACE.len()];
        loop {
            let count = stream.peek(&mut head).await.unwrap_or(0);
            match (head.get(..count), HTTP2_PREFACE.get(..count)) {
                _ if count == 0 => return None,
                (Some(told), Some(preface)) if told == preface && count < HTTP2_PREFACE.len() => {}
                (told, preface) => return Some(told == preface.map(|preface| preface as &[u8])),
            }
            // Half a preface: looking again at once would see the same bytes.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(patience, told).await.unwrap_or_default()
}

/// Serves until the runtime's work is asked to stop.
pub(crate) async fn serve(acceptor: Acceptor, router: Router, listener: TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    // Listening again only makes the line longer. A full one leaves clients waiting who believe that they are connected.
    let socket = std::net::TcpStream::from(OwnedFd::from(listener));
    let listener = TcpSocket::from_std_stream(socket).listen(MOST_UNACCEPTED)?;
    let Acceptor { http, runtime, metrics } = acceptor;
    let stop = runtime.tasks.work.token();
    let seats = Arc::new(Semaphore::new(http.max_connections));
    let graceful = GracefulShutdown::new();
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(http.header_read_timeout)
        .keep_alive(true)
        .max_buf_size(MOST_HEAD_BYTES);
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MOST_STREAMS)
        .keep_alive_interval(http.header_read_timeout)
        // Whoever is silent in the middle of HTTP/2 is gone after a quarter as long again.
        .keep_alive_timeout(http.header_read_timeout / 4)
        .max_pending_accept_reset_streams(MOST_RESETS.0)
        .max_local_error_reset_streams(MOST_RESETS.1)
        .max_send_buf_size(MOST_UNREAD)
        .max_header_list_size(MOST_HEAD_BYTES as u32);

    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // The client went away before it was accepted: its own affair.
                Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => continue,
                Err(error) => {
                    tracing::error!(%error, "connection is not accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
            metrics.connection_refused();
            continue;
        };
        // Answers are small: waiting to fill a packet only costs time.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "connection was gone at once");
            continue;
        }
        let patience = http.header_read_timeout;
        let service = TowerToHyperService::new(router.clone());
        let (server, watcher, metrics, stop) = (server.clone(), graceful.watcher(), metrics.clone(), stop.clone());
        metrics.connection_opened();
        runtime.tasks.work.spawn("edge-connection", OnFailure::Log, async move {
            if let Some(Some(http2)) = stop.run_until_cancelled(speaks_http2(&stream, patience)).await {
                let stream = Watched::new(stream, http2, patience, metrics.clone());
                let connection = server.serve_connection(TokioIo::new(stream), service).into_owned();
                if let Err(error) = watcher.watch(connection).await {
                    tracing::debug!(%error, "connection ended early");
                }
            }
            metrics.connection_closed();
            drop(seat);
            Ok::<(), io::Error>(())
        });
    }

    drop(listener);
    if tokio::time::timeout(http.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections did not finish within the grace period");
    }
    Ok(())
}
