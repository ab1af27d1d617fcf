//! The engines that need no model of their own module, and what dresses a model as an engine: its settings by name, and
//! the part of a training that it is given.

mod blend;
mod content;
mod contrast;
mod ease;
mod factors;
mod graph;
mod item_to_item;
mod popularity;
mod segments;
mod sequential;
mod transitions;

pub use blend::Blend;
pub use content::Content;
pub use contrast::Contrast;
pub use ease::Ease;
pub use factors::Factors;
pub use graph::Graph;
pub use item_to_item::ItemToItem;
pub use popularity::Popularity;
pub use segments::Segments;
pub use sequential::Sequential;
pub use transitions::Transitions;
