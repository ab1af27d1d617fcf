//! Calls within one process: the same promise as over gRPC, and the same place in a trace, without
//! the wire. The deadline is kept by the caller's side too, as a client keeps it.

use std::sync::Arc;

use async_trait::async_trait;
use service_runtime::deadline;
use shared_models::{
    candidates::CandidateSet,
    plan::{CandidateQuery, RankQuery},
    slate::RankedPage,
};
use tracing::{Instrument, field};

use crate::{Candidates, Deadline, Failure, Ranking};

/// A service of this process, with a span around each call that is named like the remote call's.
pub struct Traced<T: ?Sized>(pub Arc<T>);

#[async_trait]
impl Candidates for Traced<dyn Candidates> {
    async fn generate(&self, query: CandidateQuery, deadline: Deadline) -> Result<CandidateSet, Failure> {
        let span = tracing::info_span!(
            "call",
            otel.name = "setlist.candidates.v1.CandidatesService/Generate",
            otel.kind = "internal",
            error.r#type = field::Empty
        );
        kept(deadline, self.0.generate(query, deadline), span).await
    }
}

#[async_trait]
impl Ranking for Traced<dyn Ranking> {
    async fn rank(&self, query: RankQuery, deadline: Deadline) -> Result<RankedPage, Failure> {
        let span = tracing::info_span!(
            "call",
            otel.name = "setlist.ranking.v1.RankingService/Rank",
            otel.kind = "internal",
            error.r#type = field::Empty
        );
        kept(deadline, self.0.rank(query, deadline), span).await
    }
}

async fn kept<T>(
    deadline: Deadline,
    call: impl Future<Output = Result<T, Failure>>,
    span: tracing::Span,
) -> Result<T, Failure> {
    let answer = deadline::run(deadline, call.instrument(span.clone()))
        .await
        .unwrap_or_else(|_| Err(Failure::deadline_exceeded()));
    if let Err(failure) = &answer {
        span.record("error.type", failure.code.as_str());
    }
    answer
}
