//! R8: candidate generation is down or hung, and pages come from what the edge remembers.

use anyhow::Result;
use testkit::cluster::Kind;

use super::{
    Row, Stand,
    outage::{self, Service},
};

/// Takes all of candidate generation away, both ways; and one replica of several.
///
/// # Errors
/// When the cluster cannot be broken, brought back or asked.
pub async fn run(stand: &mut Stand) -> Result<Vec<Row>> {
    let service = Service {
        promise: "R8",
        kind: Kind::Candidates,
        name: "candidate generation",
        rungs: &["last_good", "popular"],
        of_one: &["none", "partial", "last_good", "popular"],
    };
    outage::of_service(stand, &service).await
}
