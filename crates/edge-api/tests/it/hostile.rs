//! Clients that mean harm: all of them are gone soon, and everybody else is answered meanwhile.
//!
//! HTTP/2 is spoken by hand: no honest client sends such frames. With `SETLIST_LONG=1` the time of good answers is
//! printed, without and with the attack.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use crate::support::Edge;

/// In what time an abuser must be gone, once the edge gives silent clients two seconds.
const GONE: Duration = Duration::from_secs(15);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How a client abuses its connection: what it says first, and then again and again.
#[derive(Clone, Copy, Debug)]
enum Abuse {
    Silence,
    SlowLoris,
    SilenceInHttp2,
    RapidReset,
    Continuation,
    Ping,
    Settings,
    Priority,
    EmptyData,
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

    /// Abuses a connection until it is closed; how long that took.
    async fn run(self, edge: std::net::SocketAddr) -> Duration {
        let mut stream = TcpStream::connect(edge).await.unwrap();
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
        let closed = tokio::time::timeout(GONE, over).await;
        assert!(closed.is_ok(), "{self:?} is still open after {GONE:?}");
        began.elapsed()
    }
}

async fn patient_edge() -> Edge {
    Edge::with(|config| config.http.header_read_timeout = Duration::from_secs(2)).await
}

/// The median and the worst time of pages that are asked for one after the other.
async fn pages(edge: &Edge, until: impl Future<Output = ()>) -> (usize, Duration, Duration) {
    let mut times = Vec::new();
    let mut until = std::pin::pin!(until);
    loop {
        let began = Instant::now();
        tokio::select! {
            () = &mut until => break,
            _page = edge.page("{}") => times.push(began.elapsed()),
        }
    }
    times.sort_unstable();
    (times.len(), times[times.len() / 2], times[times.len() - 1])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abusers_are_closed_while_others_are_answered() {
    let edge = patient_edge().await;
    let calm = pages(&edge, tokio::time::sleep(Duration::from_secs(1))).await;
    let mut abusers = JoinSet::new();
    let (few, many) = (2, 500);
    for (abuse, count) in [
        (Abuse::Silence, many),
        (Abuse::SlowLoris, many),
        (Abuse::SilenceInHttp2, 50),
        (Abuse::RapidReset, few),
        (Abuse::Continuation, few),
        (Abuse::Ping, few),
        (Abuse::Settings, few),
        (Abuse::Priority, few),
        (Abuse::EmptyData, few),
        (Abuse::NeverReads, few),
    ] {
        for _ in 0..count {
            abusers.spawn(abuse.run(edge.address));
        }
    }
    let attack = async {
        while let Some(done) = abusers.join_next().await {
            done.unwrap();
        }
    };
    let (count, median, worst) = pages(&edge, attack).await;
    assert!(count > 10, "{count} pages in {worst:?}");
    if std::env::var_os("SETLIST_LONG").is_some() {
        println!("calm: {calm:?}; attacked: {count} pages, median {median:?}, worst {worst:?}");
    }
    let metrics = edge.runtime.metrics.encode();
    for of in ["frames", "unread"] {
        assert!(metrics.contains(&format!("setlist_edge_connections_abusive_total{{of=\"{of}\"}}")), "{of}: {metrics}");
    }
    // Nobody is left but those who ask for pages.
    let open = metrics.lines().find_map(|line| line.strip_prefix("setlist_edge_connections ")).unwrap();
    assert!(open.parse::<u32>().unwrap() < 20, "{open} are open");
}

/// Each alone, so that what ends it is known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_end_at_once() {
    let edge = patient_edge().await;
    for abuse in
        [Abuse::RapidReset, Abuse::Continuation, Abuse::Ping, Abuse::Settings, Abuse::Priority, Abuse::EmptyData]
    {
        let took = abuse.run(edge.address).await;
        assert!(took < Duration::from_secs(10), "{abuse:?} took {took:?}");
    }
    assert_eq!(edge.send("GET", "/livez", "").await.status, 200);
}
