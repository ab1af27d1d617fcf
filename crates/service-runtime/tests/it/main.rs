//! The platform standard as a service meets it: real sockets, real files, a real process.

#[cfg(test)]
mod client;
#[cfg(test)]
mod client_places;
#[cfg(test)]
mod config;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod grpc;
#[cfg(test)]
mod http;
#[cfg(test)]
mod process;
#[cfg(test)]
mod spans;
