//! The fault runner: breaks the parts of a real cluster while it is used, and judges what its users saw.
//!
//! Each promise (docs/faults.md) is one file: [`kills`], [`power`], [`resends`], [`disk_full`], [`intake`], [`clocks`]
//! for events; [`ranking`], [`candidates`], [`dependencies`], [`cold`], [`rolling`] for pages. Each has a short form, run
//! by the test target `faults` unless it needs root, and a long one, run by `scripts/faults`.

pub mod proxy;
pub mod stand;
pub mod table;

pub mod balancer;
pub mod load;
pub mod samples;

pub mod events;
pub mod nemesis;
pub mod oracle;

pub mod abuse;
pub mod candidates;
pub mod clocks;
pub mod cold;
pub mod deadlines;
pub mod dependencies;
pub mod disk_full;
pub mod intake;
pub mod kills;
pub mod outage;
pub mod power;
pub mod ranking;
pub mod resends;
pub mod rolling;
pub mod versions;

use anyhow::{Result, bail};

pub use stand::{Size, Stand};
pub use table::Row;

/// The promises that are tried on one cluster, in this order: what happens to events, then what happens to pages.
pub const SHARED: [&str; 8] = ["R1", "R3", "R5", "R7", "R8", "R10", "R16", "R20"];

/// Tries one of the promises of [`SHARED`].
///
/// # Errors
/// When it could not be tried.
pub async fn run(promise: &str, stand: &mut Stand) -> Result<Vec<Row>> {
    match promise {
        "R1" => kills::run(stand).await,
        "R3" => resends::run(stand).await,
        "R5" => intake::run(stand).await,
        "R7" => ranking::run(stand).await,
        "R8" => candidates::run(stand).await,
        "R10" => dependencies::run(stand).await,
        "R16" => rolling::run(stand).await,
        "R20" => abuse::run(stand).await,
        other => bail!("{other} is none of {SHARED:?}"),
    }
}
