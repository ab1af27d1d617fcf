//! Asks a running process how it is, from beside it: the health check of an image that holds neither a shell nor curl.
//!
//! This file must not know configurations, nor what the process does.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use shared_models::ErrorCode;

/// How long connecting, asking and answering may each take.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than this is not read of an answer.
const ANSWER_BYTES: u64 = 1 << 16;

/// What to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Question {
    /// Whether it lives: `/livez`.
    Live,
    /// Whether it should get traffic: `/readyz`.
    Ready,
}

impl Question {
    const fn path(self) -> &'static str {
        match self {
            Self::Live => "/livez",
            Self::Ready => "/readyz",
        }
    }
}

/// The process is not well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is there, or nobody says anything.
    #[error("nothing answers at {address}")]
    Away {
        /// Who was asked.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It answers, but not with 200.
    #[error("{address} answers {answer}")]
    Unwell {
        /// Who was asked.
        address: SocketAddr,
        /// The answer, without its head but for the status.
        answer: String,
    },
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Away { .. } | Self::Unwell { .. } => ErrorCode::Unavailable,
        }
    }
}

/// Asks the process whose operators' listener is at `listen`.
///
/// # Errors
/// When it does not answer, or answers that it is not well.
pub fn ask(listen: SocketAddr, question: Question) -> Result<(), Error> {
    let address = near(listen);
    let answer = answer(address, question).map_err(|source| Error::Away { address, source })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        Ok(())
    } else {
        Err(Error::Unwell { address, answer: format!("{status} {}", body.trim()).trim().to_owned() })
    }
}

/// Where a process that listens on all addresses is found from beside it.
fn near(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn answer(address: SocketAddr, question: Question) -> io::Result<String> {
    let mut connection = TcpStream::connect_timeout(&address, PATIENCE)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    write!(connection, "GET {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n", question.path())?;
    let mut answer = Vec::new();
    connection.take(ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_on_all_addresses_is_asked_beside_itself() {
        for (listen, asked) in
            [("0.0.0.0:9100", "127.0.0.1:9100"), ("[::]:9100", "[::1]:9100"), ("10.1.2.3:9100", "10.1.2.3:9100")]
        {
            assert_eq!(near(listen.parse().expect("an address")).to_string(), asked);
        }
    }
}
