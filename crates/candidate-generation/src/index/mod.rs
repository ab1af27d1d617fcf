//! Indexes: what makes a source quick. Built when a release goes live, or kept up by intake.
//!
//! They must not know requests, plans or tenants.

pub mod embedding;
mod kernel;
mod kmeans;

pub mod popularity;
pub mod trending;

pub mod serving;

pub use embedding::EmbeddingIndex;
pub use serving::Serving;
pub use trending::{Trending, Trends};
