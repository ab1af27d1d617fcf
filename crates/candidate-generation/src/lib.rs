//! candidate-generation: owns the catalogue and the profiles, gathers and filters the candidates of a
//! page, and folds events into profiles.
//!
//! **Invariant:** it knows neither edge-api nor ranking, and no surface: a plan says all there is to know.
//! Modules stand in the order in which a request meets them.

pub mod service;

pub mod app;

pub mod config;

pub mod server;

pub mod query;

pub mod sources;

pub mod hydrators;

pub mod filters;

pub mod pipeline;

pub mod index;

pub mod profiles;

pub mod catalog;

pub mod intake;

pub mod store;

pub mod golden;

pub mod worlds;

pub mod error;

pub mod metrics;

pub use app::App;
pub use config::Config;
pub use error::Error;
