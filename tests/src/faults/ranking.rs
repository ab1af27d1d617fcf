//! R7: ranking is down or hung, and pages go on in the order of their sources.

use anyhow::Result;
use testkit::cluster::Kind;

use super::{
    Row, Stand, deadlines,
    outage::{self, Service},
};

/// Takes all of ranking away, both ways; and one replica of several, which nobody should notice for long. R15 is read
/// off the traces of the same outages.
///
/// # Errors
/// When the cluster cannot be broken, brought back or asked.
pub async fn run(stand: &mut Stand) -> Result<Vec<Row>> {
    stand.collector()?.clear();
    let service = Service {
        promise: "R7",
        kind: Kind::Ranking,
        name: "ranking",
        rungs: &["source_order"],
        of_one: &["none", "partial", "source_order"],
    };
    let mut rows = outage::of_service(stand, &service).await?;
    rows.push(deadlines::judge(stand).await?);
    Ok(rows)
}
