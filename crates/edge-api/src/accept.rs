//! The accept loop: connections are capped, heads are timed, and a stop finishes what is in hand.
//!
//! Our own, because `axum::serve` sets no timer: a client that sends nothing would stay for ever. Must not
//! know routes.

use std::{io, net::TcpListener, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use service_runtime::{OnFailure, Runtime};
use tokio::{net::TcpStream, sync::Semaphore};

use crate::{config::Http, metrics::Metrics};

/// How long to wait after an accept failed for want of file descriptors or memory.
const PAUSE: Duration = Duration::from_millis(50);
/// What an HTTP/2 connection begins with.
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The most streams of one HTTP/2 connection.
const MOST_STREAMS: u32 = 250;
/// The most bytes of a request's head.
const MOST_HEAD_BYTES: usize = 64 * 1024;

/// What the loop needs.
pub(crate) struct Acceptor {
    pub(crate) http: Http,
    pub(crate) runtime: Runtime,
    pub(crate) metrics: Metrics,
}

/// Whether a client says enough in time to tell which HTTP it speaks: hyper's timers begin only then.
async fn speaks(stream: &TcpStream, patience: Duration) -> bool {
    let told = async {
        let mut head = [0; HTTP2_PREFACE.len()];
        loop {
            let count = stream.peek(&mut head).await.unwrap_or(0);
            match (head.get(..count), HTTP2_PREFACE.get(..count)) {
                _ if count == 0 => return false,
                (Some(told), Some(preface)) if told == preface && count < HTTP2_PREFACE.len() => {}
                _ => return true,
            }
            // Half a preface: looking again at once would see the same bytes.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(patience, told).await.unwrap_or(false)
}

/// Serves until the runtime's work is asked to stop.
pub(crate) async fn serve(acceptor: Acceptor, router: Router, listener: TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
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
        .keep_alive_timeout(http.header_read_timeout)
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
            if stop.run_until_cancelled(speaks(&stream, patience)).await == Some(true) {
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
