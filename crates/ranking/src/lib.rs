//! ranking: scores the candidates of a page and arranges them into shelves.
//!
//! Modules stand in the order in which a query meets them. This crate must never know the edge, the
//! candidate-generation service, a surface or an experiment: the plan says all there is to know.

pub mod service;

pub mod app;
pub mod config;

pub mod server;

pub mod first_pass;

pub mod features;
pub mod scorers;

pub mod objective;

pub mod explore;
pub mod slate;

pub mod pipeline;
pub mod skew;

pub mod contributions;
pub mod detail;
mod explain;

pub mod golden;
pub mod models;

pub mod error;
pub mod metrics;

pub use app::App;
pub use config::Config;
