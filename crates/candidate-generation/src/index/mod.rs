//! Indexes: what makes a source quick. Built when a release goes live, or kept up by intake.
//!
//! They must not know requests, plans or tenants.

pub mod embedding;

pub mod build;
mod kmeans;

pub mod added;
pub mod row_set;
pub mod search;

mod kernel;

pub mod popularity;
pub mod trending;

mod newcomers;
pub mod serving;

pub use added::Added;
pub use embedding::EmbeddingIndex;
pub use newcomers::{Basis, PassedOver};
pub use row_set::RowSet;
pub use search::{Filter, Wanted};
pub use serving::Serving;
pub use trending::{Trending, Trends};
