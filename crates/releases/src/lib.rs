//! Releases: immutable, content-addressed bundles of model artefacts, how they are written, verified,
//! loaded and swapped; and the vector arithmetic that training and serving share.
//!
//! This crate must never know a service, a stream, an async runtime or how a model is trained.
//!
//! On disk: `<root>/<tenant>/<release id>/manifest.json` beside the files it lists, and
//! `<root>/<tenant>/LIVE` and `PREVIOUS`, text files that hold one release id each and are replaced
//! by renaming; `PROMOTIONS` beside them tells who moved them and why. The id of a release is the BLAKE3 hash of its manifest, and the manifest holds the
//! BLAKE3 hash of every file: what loads is what was trained, to the bit.
//!
//! **Invariant:** nothing in a [`Release`] is unverified: every hash, every length, every index in
//! range, every number finite. A reader needs no defensive code.

pub mod error;

pub mod manifest;
pub mod promotions;
pub mod store;
pub mod writer;

pub mod release;

pub mod array;
mod format;
mod map;

pub mod content;
pub mod factors;
pub mod items;
pub mod lists;
pub mod neighbours;
pub mod popularity;
pub mod rates;
pub mod segments;

pub mod golden;

pub mod linear;
pub mod tiles;
pub mod vectors;

pub mod watch;

pub use array::Array;
pub use content::Mapping;
pub use error::{Error, Refusal};
pub use factors::Factors;
pub use items::Items;
pub use lists::Lists;
pub use manifest::{FileEntry, Manifest, Meta, Schemas, Window};
pub use neighbours::Neighbours;
pub use popularity::Popularity;
pub use rates::Rates;
pub use release::{Parts, Release};
pub use segments::Segments;
pub use store::Store;
pub use tiles::Tiles;
pub use watch::Watch;
pub use writer::Writer;
