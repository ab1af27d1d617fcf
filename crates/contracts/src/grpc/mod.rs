//! The gRPC form of the contracts: a client that implements the domain trait, and a server that offers
//! any implementation of it.
//!
//! The deadline travels as the gRPC timeout and is kept on both sides: the client stops waiting, the
//! server drops the work. Messages are limited on both sides too. A failure keeps its code, reason,
//! text and delay on the way. Nothing here retries: what only
//! reads says so, and the channel knows what it can afford.

mod status;

mod candidates;
mod catalogue;
mod profiles;
mod ranking;
mod releases;

use std::{future::Future, time::Duration};

use service_runtime::{
    deadline,
    grpc::{repeatable, with_deadline},
};
use shared_models::ErrorCode;
use tonic::{Request, Response, Status};

pub use candidates::{CandidatesClient, CandidatesServer};
pub use catalogue::{CatalogueClient, CatalogueServer};
pub use profiles::{ProfilesClient, ProfilesServer};
pub use ranking::{RankingClient, RankingServer};
pub use releases::{ReleaseControlClient, ReleaseControlServer};
pub use status::{REASON_KEY, RETRY_AFTER_KEY, failure_of, status_of};

use crate::{Deadline, Failure, Malformed};

/// The descriptors of all contracts, for the reflection service.
pub const DESCRIPTOR_SET: &[u8] = crate::generated::DESCRIPTOR;

/// The largest message that is sent or taken. The largest page, 2,000 candidates of seven sources, has
/// a sixteenth of it; the rest is for batches of items.
pub const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// The deadline of a call whose caller sent none: long enough for people with a tool, short enough not
/// to pile up.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// A request that carries its deadline. One that is too large is refused here, where the reason is still
/// known: the transport would only break off.
fn outgoing<M: prost::Message>(message: M, deadline: Deadline) -> Result<Request<M>, Failure> {
    fits(&message).map(|()| with_deadline(message, deadline))
}

/// A request that only reads: sent twice, it does no harm.
fn asking<M: prost::Message>(message: M, deadline: Deadline) -> Result<Request<M>, Failure> {
    fits(&message).map(|()| repeatable(message, deadline))
}

fn fits<M: prost::Message>(message: &M) -> Result<(), Failure> {
    if message.encoded_len() > MAX_MESSAGE_BYTES {
        return Err(Failure::invalid_argument("message_too_large", "the request is too large for one message"));
    }
    Ok(())
}

/// Waits for a call, but no longer than its deadline.
async fn call<T>(deadline: Deadline, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Failure> {
    match deadline::run(deadline, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(failure_of(&status)),
        Err(deadline::Elapsed) => Err(Failure::deadline_exceeded()),
    }
}

/// Runs a service's work, but no longer than its caller waits.
async fn serve<T>(deadline: Deadline, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Status> {
    let outcome =
        deadline::run(deadline, work).await.unwrap_or_else(|deadline::Elapsed| Err(Failure::deadline_exceeded()));
    outcome.map_err(|failure| refuse(&failure))
}

/// The status of a failed call. This is the boundary, so here it is logged, once.
fn refuse(failure: &Failure) -> Status {
    let Failure { code, reason, message, .. } = failure;
    match code {
        ErrorCode::Internal => {
            tracing::error!(error.code = %code, error.reason = %reason, error.message = message, "call failed");
        }
        ErrorCode::Unavailable | ErrorCode::DeadlineExceeded | ErrorCode::ResourceExhausted => {
            tracing::warn!(error.code = %code, error.reason = %reason, error.message = message, "call failed");
        }
        ErrorCode::InvalidArgument
        | ErrorCode::Unauthenticated
        | ErrorCode::PermissionDenied
        | ErrorCode::NotFound
        | ErrorCode::Conflict => {
            tracing::debug!(error.code = %code, error.reason = %reason, error.message = message, "call refused");
        }
    }
    status_of(failure)
}

/// A request that breaks its contract: the caller's fault, and the text says where.
#[expect(clippy::needless_pass_by_value, reason = "an argument of map_err")]
fn malformed_request(error: Malformed) -> Status {
    refuse(&Failure::invalid_argument("malformed_request", error.to_string()))
}

/// An answer that breaks its contract: a defect between us and the service, such as a skew of versions.
#[expect(clippy::needless_pass_by_value, reason = "an argument of map_err")]
fn malformed_answer(error: Malformed) -> Failure {
    Failure::internal("malformed_answer", format!("the answer of the service breaks its contract: {error}"))
}

/// A server around an implementation of a domain trait. The generated server type stays inside: what
/// callers see is a service with a name.
macro_rules! server {
    ($(#[$doc:meta])* $server:ident, $trait:path, $adapter:ident, $generated:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $server($generated<$adapter>);

        impl $server {
            /// Offers `service` over gRPC.
            #[must_use]
            pub fn new(service: std::sync::Arc<dyn $trait>) -> Self {
                let limit = $crate::grpc::MAX_MESSAGE_BYTES;
                Self($generated::new($adapter(service)).max_decoding_message_size(limit).max_encoding_message_size(limit))
            }
        }

        impl tonic::server::NamedService for $server {
            const NAME: &'static str = <$generated<$adapter> as tonic::server::NamedService>::NAME;
        }

        impl tonic::codegen::Service<tonic::codegen::http::Request<tonic::body::Body>> for $server {
            type Response = tonic::codegen::http::Response<tonic::body::Body>;
            type Error = std::convert::Infallible;
            type Future = tonic::codegen::BoxFuture<Self::Response, Self::Error>;

            fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
                std::task::Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: tonic::codegen::http::Request<tonic::body::Body>) -> Self::Future {
                tonic::codegen::Service::call(&mut self.0, request)
            }
        }
    };
}
use server;

/// A client of one service.
macro_rules! client {
    ($(#[$doc:meta])* $client:ident, $generated:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $client($generated<service_runtime::grpc::TracedChannel>);

        impl $client {
            /// A client over `channel`, which it shares with any other.
            #[must_use]
            pub fn new(channel: service_runtime::grpc::TracedChannel) -> Self {
                let limit = $crate::grpc::MAX_MESSAGE_BYTES;
                Self($generated::new(channel).max_decoding_message_size(limit).max_encoding_message_size(limit))
            }
        }
    };
}
use client;
