//! The platform standard as a service meets it: real sockets, real files, a real process.

mod config;
mod grpc;
mod http;
mod process;
mod spans;
