//! Learning: what turns events into releases. It reads the archive, trains the artefacts that the
//! services load, measures them against what happened later, and writes a release.
//!
//! It must never know the edge, and no service depends on it: it meets them at three places only,
//! the event stream (`archive`), the profile fold and the features (`ranker`), and the release store
//! (`train`).

pub mod progress;

pub mod datasets;
pub mod world;

pub mod archive;
pub mod events;
pub mod export;

pub mod dense;

pub mod checkpoint;
pub mod content;
pub mod contrast;
pub mod ease;
pub mod factors;
pub mod graph;
pub mod neighbours;
pub mod segments;
pub mod sequential;
pub mod transitions;

pub mod evaluate;
pub mod offpolicy;

pub mod ranker;
pub mod trees;

pub mod gates;

pub mod train;

pub mod config;
pub mod metrics;

pub mod learner;
pub mod schedule;

pub mod service;
