//! candidate-generation over gRPC.

use std::sync::Arc;

use async_trait::async_trait;
use service_runtime::grpc::deadline_of;
use shared_models::{candidates::CandidateSet, plan::CandidateQuery};
use tonic::{Request, Response, Status};

use super::{DEFAULT_DEADLINE, asking, call, client, malformed_answer, malformed_request, serve, server};
use crate::{
    Candidates, Deadline, Failure,
    convert::candidates as convert,
    generated::candidates::v1::{
        GenerateRequest, GenerateResponse,
        candidates_service_client::CandidatesServiceClient,
        candidates_service_server::{CandidatesService, CandidatesServiceServer},
    },
};

client!(
    /// [`Candidates`] behind a network.
    CandidatesClient, CandidatesServiceClient
);

#[async_trait]
impl Candidates for CandidatesClient {
    async fn generate(&self, query: CandidateQuery, deadline: Deadline) -> Result<CandidateSet, Failure> {
        let request = asking(convert::query_to_wire(query), deadline)?;
        let response = call(deadline, self.0.clone().generate(request)).await?;
        convert::set_from_wire(response).map_err(malformed_answer)
    }
}

server!(
    /// Offers any [`Candidates`] over gRPC.
    CandidatesServer, Candidates, Adapter, CandidatesServiceServer
);

struct Adapter(Arc<dyn Candidates>);

#[async_trait]
impl CandidatesService for Adapter {
    async fn generate(&self, request: Request<GenerateRequest>) -> Result<Response<GenerateResponse>, Status> {
        let deadline = deadline_of(&request, DEFAULT_DEADLINE);
        let query = convert::query_from_wire(request.into_inner()).map_err(malformed_request)?;
        let set = serve(deadline, self.0.generate(query, deadline)).await?;
        Ok(Response::new(convert::set_to_wire(set)))
    }
}
