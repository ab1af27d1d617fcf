//! The contracts over real sockets: what a service answers in process is what its client answers over
//! gRPC, failures and deadlines included; and what is kept is read back as it was.

#[cfg(test)]
mod fake;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod server;

#[cfg(test)]
mod failures;
#[cfg(test)]
mod in_process;
#[cfg(test)]
mod parity;
#[cfg(test)]
mod payloads;
