//! Calls within one process: the same promise as over gRPC, and the same place in a trace, without
//! the wire. The deadline is kept by the caller's side too, as a client keeps it.

use std::sync::Arc;

use async_trait::async_trait;
use service_runtime::{deadline, trace};
use shared_models::{
    candidates::CandidateSet,
    plan::{CandidateQuery, RankQuery},
    slate::{ExplainQuery, Explanation, RankedPage},
};
use tracing::Instrument as _;

use crate::{Candidates, Deadline, Failure, Ranking};

/// A service of this process, with a span around each call that is named like the remote call's.
pub struct Traced<T: ?Sized>(pub Arc<T>);

#[async_trait]
impl Candidates for Traced<dyn Candidates> {
    async fn generate(&self, query: CandidateQuery, deadline: Deadline) -> Result<CandidateSet, Failure> {
        let method = "setlist.candidates.v1.CandidatesService/Generate";
        kept("candidate-generation", method, deadline, self.0.generate(query, deadline)).await
    }
}

#[async_trait]
impl Ranking for Traced<dyn Ranking> {
    async fn rank(&self, query: RankQuery, deadline: Deadline) -> Result<RankedPage, Failure> {
        let method = "setlist.ranking.v1.RankingService/Rank";
        kept("ranking", method, deadline, self.0.rank(query, deadline)).await
    }

    async fn explain(&self, query: ExplainQuery, deadline: Deadline) -> Result<Explanation, Failure> {
        let method = "setlist.ranking.v1.RankingService/Explain";
        kept("ranking", method, deadline, self.0.explain(query, deadline)).await
    }
}

async fn kept<T>(
    component: &'static str,
    method: &'static str,
    deadline: Deadline,
    call: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let span = trace::in_process_span(component, method, deadline);
    let answer = deadline::run(deadline, call.instrument(span.clone()))
        .await
        .unwrap_or_else(|_| Err(Failure::deadline_exceeded()));
    if let Err(failure) = &answer {
        trace::in_process_failed(&span, failure.code);
    }
    answer
}
