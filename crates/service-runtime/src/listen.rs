//! Binds ports before anything is served, so that a taken port is a start-up error with advice.
//!
//! This file must not know what is served on a port.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use shared_models::ErrorCode;

/// A port could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else has the port.
    #[error(
        "address {address} is in use: stop the other process, or choose another port in the configuration (port 0 takes any free one)"
    )]
    InUse {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system refused the port, usually one below 1024.
    #[error("address {address} may not be bound by this user: choose a port above 1023")]
    Denied {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The machine has no such address.
    #[error(
        "address {address} is not one of this machine: use 0.0.0.0 for all of them, 127.0.0.1 for this machine only"
    )]
    NotHere {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Anything else.
    #[error("address {address} could not be bound")]
    Other {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InUse { .. } => ErrorCode::Conflict,
            Self::Denied { .. } => ErrorCode::PermissionDenied,
            Self::NotHere { .. } => ErrorCode::InvalidArgument,
            Self::Other { .. } => ErrorCode::Unavailable,
        }
    }
}

/// Binds `address`; port 0 takes any free one. The listener is ready to be given to tokio.
///
/// # Errors
/// When the address is taken, forbidden or not one of this machine.
pub fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::InUse { address, source },
        io::ErrorKind::PermissionDenied => Error::Denied { address, source },
        io::ErrorKind::AddrNotAvailable => Error::NotHere { address, source },
        _ => Error::Other { address, source },
    })
}

/// The address a listener really has, which matters for port 0.
///
/// # Errors
/// When the system no longer knows the socket.
pub fn address_of(listener: &TcpListener) -> Result<SocketAddr, Error> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    listener.local_addr().map_err(|source| Error::Other { address: unknown, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_advice() {
        let first = bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        let address = address_of(&first).expect("bound");
        let error = bind(address).expect_err("the port is taken");
        assert!(matches!(error, Error::InUse { .. }));
        assert!(error.to_string().contains(&address.to_string()), "{error}");
        assert!(error.to_string().contains("choose another port"), "{error}");
        assert_eq!(error.code(), ErrorCode::Conflict);
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let error = bind(SocketAddr::from(([192, 0, 2, 1], 0))).expect_err("not ours");
        assert!(matches!(error, Error::NotHere { .. }), "{error:?}");
    }
}
