//! The crate from outside: worlds, archives, training.

#![expect(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

mod archive;
mod evaluate;
mod gates;
mod offpolicy;
mod pages;
mod parity;
mod ranker;
mod replay;
mod train;
mod world;
