//! A record by the id of its answer.
//!
//! Must not know HTTP paths, nor what is asked about the record.

use std::{sync::Arc, time::Duration};

use contracts::{Deadline, RecommendationRecord, records};
use service_runtime::tasks::chain;
use shared_models::{Clock, ErrorCode, RecommendationId, TenantId};

use crate::{
    problem::Problem,
    store::{Error, Listed, Store, Wanted},
};

/// A record that is not there yet may still be on its way when its answer is younger than this.
const YOUNG: Duration = Duration::from_secs(10);
/// How often it is looked for meanwhile.
const AGAIN: Duration = Duration::from_millis(20);

/// Finds records.
pub(crate) struct Finder {
    store: Option<Arc<dyn Store>>,
    clock: Arc<dyn Clock>,
    keep: Duration,
}

impl Finder {
    /// A finder in a store; without one, nothing is found and every question is told so.
    pub(crate) fn new(store: Option<Arc<dyn Store>>, keep: Duration, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, keep }
    }

    fn store(&self) -> Result<&Arc<dyn Store>, Problem> {
        self.store.as_ref().ok_or_else(|| {
            let detail = "this edge keeps no records: its configuration sets no `store.url`";
            Problem::new(ErrorCode::Conflict, "records_not_kept", detail)
        })
    }

    /// The record of an answer. That of a young answer is waited for: records follow their answers by a moment.
    pub(crate) async fn record(
        &self,
        tenant: &TenantId,
        id: RecommendationId,
        until: Deadline,
    ) -> Result<RecommendationRecord, Problem> {
        let store = self.store()?;
        loop {
            if let Some(kept) = store.get(tenant, id).await.map_err(|error| unread(&error))? {
                let read = records::decode(records::KIND, kept.version, &kept.payload);
                return read
                    .map_err(|error| Problem::internal(format!("record {id} does not read back: {}", chain(&error))));
            }
            if !self.is_young(id) || until.remaining() < AGAIN * 2 {
                return Err(self.unknown());
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Records of a tenant, newest first.
    pub(crate) async fn list(&self, tenant: &TenantId, wanted: &Wanted) -> Result<Vec<Listed>, Problem> {
        self.store()?.list(tenant, wanted).await.map_err(|error| unread(&error))
    }

    /// Ids of answers tell when they were made (UUID version 7).
    fn is_young(&self, id: RecommendationId) -> bool {
        let Some((seconds, nanos)) = id.0.get_timestamp().map(|at| at.to_unix()) else { return false };
        let made_ms = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000) + i64::from(nanos / 1_000_000);
        self.clock.now().0.abs_diff(made_ms) < YOUNG.as_millis() as u64
    }

    fn unknown(&self) -> Problem {
        let kept = humantime::format_duration(self.keep);
        let detail = format!("there is no record of such an answer; records are kept for {kept}");
        Problem::not_found("recommendation_not_found", detail)
    }
}

fn unread(error: &Error) -> Problem {
    match error.code() {
        ErrorCode::Unavailable => {
            tracing::warn!(error = chain(error), "records cannot be read");
            Problem::new(ErrorCode::Unavailable, "records_unavailable", "the store of records is away")
        }
        _ => Problem::internal(chain(error)),
    }
}
