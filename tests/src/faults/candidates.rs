//! R8: candidate generation is down or hung, and pages come from what the edge remembers.

use anyhow::Result;
use testkit::cluster::{Kind, Part};

use super::{
    Row, Stand,
    outage::{self, How, Outage},
};

/// Takes all of candidate generation away, both ways; and one replica of several.
///
/// # Errors
/// When the cluster cannot be broken, brought back or asked.
pub async fn run(stand: &mut Stand) -> Result<Vec<Row>> {
    let all: Vec<Part> = stand.cluster.parts().into_iter().filter(|part| part.kind == Kind::Candidates).collect();
    let mut rows = Vec::new();
    for how in How::ALL {
        rows.push(
            outage::run(
                stand,
                &Outage {
                    promise: "R8",
                    what: format!("all of candidate generation {}", how.as_str()),
                    parts: all.clone(),
                    how,
                    rungs: &["last_good", "popular"],
                    shows: &["last_good", "popular"],
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
                        promise: "R8",
                        what: format!("one candidate generation of {} {}", all.len(), how.as_str()),
                        parts: vec![all[0]],
                        how,
                        rungs: &["none", "partial", "last_good", "popular"],
                        shows: &[],
                    },
                )
                .await?,
            );
        }
    }
    Ok(rows)
}
