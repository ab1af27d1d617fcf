//! A TCP proxy that can be told to refuse, or to hang: for what runs in this process and cannot be killed. This file
//! must not know what is said through it.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use tokio_util::task::TaskTracker;

/// What it does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Forward,
    Refuse,
    Hang,
}

/// A proxy; it ends with its value.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    /// Starts a proxy before an address.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(target: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no free port on this machine")?;
        let address = listener.local_addr()?;
        let (mode, seen) = watch::channel(Mode::Forward);
        let tasks = TaskTracker::new();
        let each = tasks.clone();
        tasks.spawn(async move {
            let mut ends = seen.clone();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    // An error says that the proxy's value is gone.
                    changed = ends.changed() => if changed.is_ok() { continue } else { return },
                };
                let Ok((client, _)) = accepted else { continue };
                let mode = *seen.borrow();
                // Dropped at once: the nearest to a closed port that leaves the port ours.
                if mode != Mode::Refuse {
                    let seen = seen.clone();
                    each.spawn(carry(client, target, seen));
                }
            }
        });
        Ok(Self { address, mode })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes everything on.
    pub fn forward(&self) {
        self.mode.send_replace(Mode::Forward);
    }

    /// Closes every connection, and each new one.
    pub fn refuse(&self) {
        self.mode.send_replace(Mode::Refuse);
    }

    /// Keeps every connection open and passes nothing on.
    pub fn hang(&self) {
        self.mode.send_replace(Mode::Hang);
    }
}

async fn carry(client: TcpStream, target: SocketAddr, seen: watch::Receiver<Mode>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // Whichever ends first ends both.
    tokio::select! {
        () = copy(from_client, to_server, seen.clone()) => {}
        () = copy(from_server, to_client, seen) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut seen: watch::Receiver<Mode>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let mode = *seen.borrow_and_update();
        match mode {
            Mode::Refuse => return,
            Mode::Hang => {
                if seen.changed().await.is_err() {
                    return;
                }
                continue;
            }
            Mode::Forward => {}
        }
        tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    if to.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            },
            changed = seen.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_forwards_hangs_and_refuses() {
        let echo = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let proxy = Proxy::start(echo.local_addr().unwrap()).await.unwrap();
        let answers = TaskTracker::new();
        answers.spawn(async move {
            while let Ok((stream, _)) = echo.accept().await {
                let (mut from, mut to) = stream.into_split();
                let _ended = tokio::io::copy(&mut from, &mut to).await;
            }
        });
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        let mut byte = [0];
        client.write_all(b"1").await.unwrap();
        client.read_exact(&mut byte).await.unwrap();
        proxy.hang();
        client.write_all(b"2").await.unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(100), client.read_exact(&mut byte)).await.is_err());
        proxy.forward();
        client.read_exact(&mut byte).await.unwrap();
        assert_eq!(&byte, b"2");
        proxy.refuse();
        assert!(matches!(client.read(&mut byte).await, Ok(0) | Err(_)));
    }
}
