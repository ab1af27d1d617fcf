//! Profiles over gRPC.

use std::sync::Arc;

use async_trait::async_trait;
use service_runtime::grpc::deadline_of;
use shared_models::{
    TenantId, UserId,
    listener::{UserAttributes, UserSummary},
};
use tonic::{Request, Response, Status};

use super::{DEFAULT_DEADLINE, asking, call, client, malformed_answer, malformed_request, outgoing, serve, server};
use crate::{
    Deadline, Failure, Profiles,
    convert::{name, profiles as convert},
    generated::profiles::v1::{
        GetUserRequest, GetUserResponse, PutUserRequest, PutUserResponse,
        profiles_service_client::ProfilesServiceClient,
        profiles_service_server::{ProfilesService, ProfilesServiceServer},
    },
};

client!(
    /// [`Profiles`] behind a network.
    ProfilesClient, ProfilesServiceClient
);

#[async_trait]
impl Profiles for ProfilesClient {
    async fn user(&self, tenant: &TenantId, id: &UserId, deadline: Deadline) -> Result<UserSummary, Failure> {
        let request = GetUserRequest { tenant: tenant.as_str().to_owned(), user: id.as_str().to_owned() };
        let response = call(deadline, self.0.clone().get_user(asking(request, deadline)?)).await?;
        convert::summary_from_wire(response).map_err(malformed_answer)
    }

    async fn put_user(&self, tenant: &TenantId, attributes: UserAttributes, deadline: Deadline) -> Result<(), Failure> {
        let attributes = Some(convert::attributes_to_wire(&attributes));
        let request = PutUserRequest { tenant: tenant.as_str().to_owned(), attributes };
        let PutUserResponse {} = call(deadline, self.0.clone().put_user(outgoing(request, deadline)?)).await?;
        Ok(())
    }
}

server!(
    /// Offers any [`Profiles`] over gRPC.
    ProfilesServer, Profiles, Adapter, ProfilesServiceServer
);

struct Adapter(Arc<dyn Profiles>);

#[async_trait]
impl ProfilesService for Adapter {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<GetUserResponse>, Status> {
        let deadline = deadline_of(&request, DEFAULT_DEADLINE);
        let request = request.into_inner();
        let tenant = name(&request.tenant, "tenant").map_err(malformed_request)?;
        let user = name(&request.user, "user").map_err(malformed_request)?;
        let summary = serve(deadline, self.0.user(&tenant, &user, deadline)).await?;
        Ok(Response::new(convert::summary_to_wire(&summary)))
    }

    async fn put_user(&self, request: Request<PutUserRequest>) -> Result<Response<PutUserResponse>, Status> {
        let deadline = deadline_of(&request, DEFAULT_DEADLINE);
        let request = request.into_inner();
        let tenant = name(&request.tenant, "tenant").map_err(malformed_request)?;
        let attributes = convert::attributes_from_wire(request.attributes).map_err(malformed_request)?;
        serve(deadline, self.0.put_user(&tenant, attributes, deadline)).await?;
        Ok(Response::new(PutUserResponse {}))
    }
}
