//! Tower layers that every server and client of ours wears: a span with its semantic-convention names, the trace
//! context on the wire, the deadline on the wire, and one histogram.
//!
//! A handler cannot forget them, and a component never opens such a span itself. These files must not know any
//! service, route or method.
//!
//! A span lasts until the body of the answer has been sent or read, because a gRPC status comes last. Who drops the
//! answer before (a caller that gave up) leaves `CANCELLED` in the span.

mod body;
mod call;
mod grpc_client;
mod grpc_server;
pub(crate) mod grpc_timeout;
mod http_server;
mod metrics;

pub use body::TracedBody;
pub use grpc_client::{GrpcClient, GrpcClientTrace};
pub use grpc_server::{GrpcServer, GrpcServerTrace};
pub use http_server::{DocumentedRoute, HttpServer, HttpServerTrace};
