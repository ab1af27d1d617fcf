//! ranking over gRPC.

use std::sync::Arc;

use async_trait::async_trait;
use service_runtime::grpc::deadline_of;
use shared_models::{
    plan::RankQuery,
    slate::{ExplainQuery, Explanation, RankedPage},
};
use tonic::{Request, Response, Status};

use super::{DEFAULT_DEADLINE, asking, call, client, malformed_answer, malformed_request, serve, server};
use crate::{
    Deadline, Failure, Ranking,
    convert::{explain, ranking as convert},
    generated::ranking::v1::{
        ExplainRequest, ExplainResponse, RankRequest, RankResponse,
        ranking_service_client::RankingServiceClient,
        ranking_service_server::{RankingService, RankingServiceServer},
    },
};

client!(
    /// [`Ranking`] behind a network.
    RankingClient, RankingServiceClient
);

#[async_trait]
impl Ranking for RankingClient {
    async fn rank(&self, query: RankQuery, deadline: Deadline) -> Result<RankedPage, Failure> {
        let rows = query.table.len();
        let request = asking(convert::query_to_wire(query), deadline)?;
        let response = call(deadline, self.0.clone().rank(request)).await?;
        convert::page_from_wire(response, rows).map_err(malformed_answer)
    }

    async fn explain(&self, query: ExplainQuery, deadline: Deadline) -> Result<Explanation, Failure> {
        let rows = query.page.table.len();
        let request = asking(explain::query_to_wire(query), deadline)?;
        let response = call(deadline, self.0.clone().explain(request)).await?;
        explain::explanation_from_wire(response, rows).map_err(malformed_answer)
    }
}

server!(
    /// Offers any [`Ranking`] over gRPC.
    RankingServer, Ranking, Adapter, RankingServiceServer
);

struct Adapter(Arc<dyn Ranking>);

#[async_trait]
impl RankingService for Adapter {
    async fn rank(&self, request: Request<RankRequest>) -> Result<Response<RankResponse>, Status> {
        let deadline = deadline_of(&request, DEFAULT_DEADLINE);
        let query = convert::query_from_wire(request.into_inner()).map_err(malformed_request)?;
        let page = serve(deadline, self.0.rank(query, deadline)).await?;
        Ok(Response::new(convert::page_to_wire(page)))
    }

    async fn explain(&self, request: Request<ExplainRequest>) -> Result<Response<ExplainResponse>, Status> {
        let deadline = deadline_of(&request, DEFAULT_DEADLINE);
        let query = explain::query_from_wire(request.into_inner()).map_err(malformed_request)?;
        let explanation = serve(deadline, self.0.explain(query, deadline)).await?;
        Ok(Response::new(explain::explanation_to_wire(explanation)))
    }
}
