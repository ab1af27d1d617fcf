//! Release control over gRPC.

use std::sync::Arc;

use async_trait::async_trait;
use service_runtime::grpc::deadline_of;
use shared_models::{ReleaseId, TenantId, Timestamp};
use tonic::{Request, Response, Status};

use super::{DEFAULT_DEADLINE, asking, call, client, malformed_answer, malformed_request, outgoing, serve, server};
use crate::{
    Deadline, Failure, Malformed, ReleaseControl, ServingRelease,
    convert::{name, page::release_from_wire},
    generated::releases::v1::{
        ActivateRequest, ActivateResponse, StatusRequest, StatusResponse,
        release_control_service_client::ReleaseControlServiceClient,
        release_control_service_server::{ReleaseControlService, ReleaseControlServiceServer},
    },
};

client!(
    /// [`ReleaseControl`] behind a network.
    ReleaseControlClient, ReleaseControlServiceClient
);

fn status_to_wire(status: ServingRelease) -> StatusResponse {
    let text = |release: ReleaseId| release.as_str().to_owned();
    StatusResponse {
        live: status.live.map(text),
        previous: status.previous.map(text),
        since_ms: status.since.map(|at| at.0),
    }
}

fn status_from_wire(response: &StatusResponse) -> Result<ServingRelease, Malformed> {
    Ok(ServingRelease {
        live: release_from_wire(response.live.as_deref(), "live")?,
        previous: release_from_wire(response.previous.as_deref(), "previous")?,
        since: response.since_ms.map(Timestamp),
    })
}

#[async_trait]
impl ReleaseControl for ReleaseControlClient {
    async fn status(&self, tenant: &TenantId, deadline: Deadline) -> Result<ServingRelease, Failure> {
        let request = StatusRequest { tenant: tenant.as_str().to_owned() };
        let response = call(deadline, self.0.clone().status(asking(request, deadline)?)).await?;
        status_from_wire(&response).map_err(malformed_answer)
    }

    async fn activate(&self, tenant: &TenantId, id: &ReleaseId, deadline: Deadline) -> Result<(), Failure> {
        let request = ActivateRequest { tenant: tenant.as_str().to_owned(), release: id.as_str().to_owned() };
        let ActivateResponse {} = call(deadline, self.0.clone().activate(outgoing(request, deadline)?)).await?;
        Ok(())
    }
}

server!(
    /// Offers any [`ReleaseControl`] over gRPC.
    ReleaseControlServer, ReleaseControl, Adapter, ReleaseControlServiceServer
);

struct Adapter(Arc<dyn ReleaseControl>);

#[async_trait]
impl ReleaseControlService for Adapter {
    async fn status(&self, request: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        let deadline = deadline_of(&request, DEFAULT_DEADLINE);
        let tenant = name(&request.into_inner().tenant, "tenant").map_err(malformed_request)?;
        let status = serve(deadline, self.0.status(&tenant, deadline)).await?;
        Ok(Response::new(status_to_wire(status)))
    }

    async fn activate(&self, request: Request<ActivateRequest>) -> Result<Response<ActivateResponse>, Status> {
        let deadline = deadline_of(&request, DEFAULT_DEADLINE);
        let request = request.into_inner();
        let tenant = name(&request.tenant, "tenant").map_err(malformed_request)?;
        let release = name(&request.release, "release").map_err(malformed_request)?;
        serve(deadline, self.0.activate(&tenant, &release, deadline)).await?;
        Ok(Response::new(ActivateResponse {}))
    }
}
