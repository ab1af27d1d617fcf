//! The contracts over real sockets: what a service answers in process is what its client answers over
//! gRPC, failures and deadlines included; and what is kept is read back as it was.

mod fake;
mod sample;
mod server;

mod failures;
mod parity;
mod payloads;
