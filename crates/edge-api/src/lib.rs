//! The edge: HTTP in, pages out. It authenticates, compiles surfaces into plans, conducts the services,
//! assembles pages, falls back when something is missing, takes events and records decisions.
//!
//! This crate must never know the services' code or their tables: it holds their traits.
//!
//! Modules stand in the order in which a request meets them.

pub mod service;

pub mod app;
pub mod config;

mod accept;
mod connection;
mod way;

pub mod problem;
pub mod request_id;

pub mod auth;
mod limits;
pub mod routes;

pub mod surfaces;

pub mod plan;

pub mod cursors;

mod conduct;
pub mod page;

mod fallback;
mod records;
pub mod store;

mod explain;

mod event_sink;

pub mod metrics;

pub use app::{App, Backends, Error};
pub use config::Config;
