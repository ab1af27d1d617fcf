//! The engines that need no model of their own module: what everybody chooses, and item factors.

mod factors;
mod popularity;

pub use factors::Factors;
pub use popularity::Popularity;
