//! Free ports. This file must not know who listens.
//!
//! Prefer to hand a bound listener on: a port that is only looked up may be taken before it is bound.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context as _, Result};

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
