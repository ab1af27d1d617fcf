//! Free ports. This file must not know who listens.
//!
//! Prefer to hand a bound listener on: a port that is only looked up may be taken before it is bound.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::atomic::{AtomicU16, Ordering},
};

use anyhow::{Context as _, Result, anyhow};

/// Below the ports that systems give to outgoing connections (from 32,768 on Linux), above the well-known ones.
const KEPT: std::ops::Range<u16> = 12_000..32_000;

/// A listener on a free port of this machine.
///
/// # Errors
/// When no port is free.
pub fn listener() -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on this machine")
}

/// An address where nobody listens now.
///
/// # Errors
/// When no port is free.
pub fn unused() -> Result<SocketAddr> {
    Ok(listener()?.local_addr()?)
}

/// Ports for servers that are started again at the same place: no connection is given one of them while their server
/// is down, as happens to [`unused`] ones.
///
/// # Errors
/// When no port is free.
pub fn kept_free<const N: usize>() -> Result<[u16; N]> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let many = KEPT.end - KEPT.start;
    // Processes that run at the same time begin at different places.
    let begin = (std::process::id().wrapping_mul(997) % u32::from(many)) as u16;
    let ports = (0..many)
        .map(|_| KEPT.start + (begin + NEXT.fetch_add(1, Ordering::Relaxed) % many) % many)
        .filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .take(N)
        .collect::<Vec<_>>();
    ports.try_into().map_err(|_| anyhow!("no free port on this machine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_ports_are_each_given_once() {
        let first: [u16; 3] = kept_free().unwrap();
        let second: [u16; 3] = kept_free().unwrap();
        assert!(first.iter().all(|port| KEPT.contains(port) && !second.contains(port)));
    }
}
