//! What can be wrong with the payload of a message that was kept or sent through the bus.

use shared_models::ErrorCode;

use crate::convert::Malformed;

/// Why a payload cannot be read. None of these goes away by trying again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The payload is of another kind.
    #[error("payload is of kind {given:?}, not {expected}")]
    Kind {
        /// The kind that stands in the envelope.
        given: String,
        /// The kind this reader reads.
        expected: &'static str,
    },
    /// The payload is of a version from after this reader's time. Fields are added within a version;
    /// a new version is one that an older reader must not read.
    #[error("payload of kind {kind} is of version {given}; known are 1 to {newest}")]
    Version {
        /// The payload's kind.
        kind: &'static str,
        /// The version that stands in the envelope.
        given: u32,
        /// The newest version this reader reads.
        newest: u32,
    },
    /// The payload is no message.
    #[error("payload of kind {kind} is no protobuf message of that kind")]
    Undecodable {
        /// The payload's kind.
        kind: &'static str,
        /// What the decoder says.
        #[source]
        source: prost::DecodeError,
    },
    /// The payload breaks its contract.
    #[error("payload of kind {kind} breaks its contract")]
    Malformed {
        /// The payload's kind.
        kind: &'static str,
        /// Which field, and how.
        #[source]
        source: Malformed,
    },
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Kind { .. } | Self::Version { .. } | Self::Undecodable { .. } | Self::Malformed { .. } => {
                ErrorCode::InvalidArgument
            }
        }
    }
}

/// Decodes a payload of a kind whose versions so far are 1 to `newest`, all of one message.
pub(crate) fn decode<W: prost::Message + Default>(
    kind: &str,
    version: u32,
    payload: &[u8],
    expected: &'static str,
    newest: u32,
) -> Result<W, Error> {
    if kind != expected {
        return Err(Error::Kind { given: kind.to_owned(), expected });
    }
    if version == 0 || version > newest {
        return Err(Error::Version { kind: expected, given: version, newest });
    }
    W::decode(payload).map_err(|source| Error::Undecodable { kind: expected, source })
}
