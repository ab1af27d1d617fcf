//! R7: ranking is down or hung, and pages go on in the order of their sources.

use anyhow::Result;
use testkit::cluster::{Kind, Part};

use super::{
    Row, Stand, deadlines,
    outage::{self, How, Outage},
};

/// Takes all of ranking away, both ways; and one replica of several, which nobody should notice for long. R15 is read
/// off the traces of the same outages.
///
/// # Errors
/// When the cluster cannot be broken, brought back or asked.
pub async fn run(stand: &mut Stand) -> Result<Vec<Row>> {
    let all: Vec<Part> = stand.cluster.parts().into_iter().filter(|part| part.kind == Kind::Ranking).collect();
    stand.collector()?.clear();
    let mut rows = Vec::new();
    for how in How::ALL {
        rows.push(
            outage::run(
                stand,
                &Outage {
                    promise: "R7",
                    what: format!("all of ranking {}", how.as_str()),
                    parts: all.clone(),
                    how,
                    rungs: &["source_order"],
                    shows: &["source_order"],
                },
            )
            .await?,
        );
    }
    if all.len() > 1 {
        for how in How::ALL {
            rows.push(
                outage::run(
                    stand,
                    &Outage {
                        promise: "R7",
                        what: format!("one ranking of {} {}", all.len(), how.as_str()),
                        parts: vec![all[0]],
                        how,
                        rungs: &["none", "partial", "source_order"],
                        shows: &[],
                    },
                )
                .await?,
            );
        }
    }
    rows.push(deadlines::judge(stand).await?);
    Ok(rows)
}
