//! The catalogue over gRPC.

use std::sync::Arc;

use async_trait::async_trait;
use service_runtime::grpc::deadline_of;
use shared_models::{
    ItemId, ItemKey, TenantId,
    item::{DisplayItem, Item, Market},
};
use tonic::{Request, Response, Status};

use super::{DEFAULT_DEADLINE, asking, call, client, malformed_answer, malformed_request, outgoing, serve, server};
use crate::{
    Catalogue, Deadline, Failure, Put,
    convert::{
        catalogue as convert, market, name, optional_name,
        page::{keys_from_wire, keys_to_wire},
        required,
    },
    generated::catalogue::v1::{
        DeleteItemRequest, DeleteItemResponse, DisplayRequest, DisplayResponse, GetItemRequest, GetItemResponse,
        ListItemsRequest, ListItemsResponse, PopularRequest, PopularResponse, PutItemsRequest, PutItemsResponse,
        catalogue_service_client::CatalogueServiceClient,
        catalogue_service_server::{CatalogueService, CatalogueServiceServer},
    },
};

client!(
    /// [`Catalogue`] behind a network.
    CatalogueClient, CatalogueServiceClient
);

/// A limit as the wire says it; nobody answers more than four thousand million items anyway.
fn limit_to_wire(limit: usize) -> u32 {
    u32::try_from(limit).unwrap_or(u32::MAX)
}

#[async_trait]
impl Catalogue for CatalogueClient {
    async fn put_items(
        &self,
        tenant: &TenantId,
        items: Vec<Item>,
        deadline: Deadline,
    ) -> Result<Vec<Result<Put, Failure>>, Failure> {
        let given = items.len();
        let items = items.into_iter().map(convert::item_to_wire).collect();
        let request = outgoing(PutItemsRequest { tenant: tenant.as_str().to_owned(), items }, deadline)?;
        let response = call(deadline, self.0.clone().put_items(request)).await?;
        convert::puts_from_wire(response, given).map_err(malformed_answer)
    }

    async fn item(&self, tenant: &TenantId, id: &ItemId, deadline: Deadline) -> Result<Item, Failure> {
        let request = GetItemRequest { tenant: tenant.as_str().to_owned(), id: id.as_str().to_owned() };
        let response = call(deadline, self.0.clone().get_item(asking(request, deadline)?)).await?;
        required(response.item, "item").and_then(convert::item_from_wire).map_err(malformed_answer)
    }

    async fn delete_item(&self, tenant: &TenantId, id: &ItemId, deadline: Deadline) -> Result<bool, Failure> {
        let request = DeleteItemRequest { tenant: tenant.as_str().to_owned(), id: id.as_str().to_owned() };
        let response = call(deadline, self.0.clone().delete_item(outgoing(request, deadline)?)).await?;
        Ok(response.existed)
    }

    async fn display(
        &self,
        tenant: &TenantId,
        keys: &[ItemKey],
        deadline: Deadline,
    ) -> Result<Vec<DisplayItem>, Failure> {
        let request = DisplayRequest { tenant: tenant.as_str().to_owned(), keys: keys_to_wire(keys.to_vec()) };
        let response = call(deadline, self.0.clone().display(asking(request, deadline)?)).await?;
        convert::displays_from_wire(response.items).map_err(malformed_answer)
    }

    async fn list_items(
        &self,
        tenant: &TenantId,
        after: Option<ItemId>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Vec<Item>, Failure> {
        let request = ListItemsRequest {
            tenant: tenant.as_str().to_owned(),
            after: after.map(|id| id.as_str().to_owned()),
            limit: limit_to_wire(limit),
        };
        let response = call(deadline, self.0.clone().list_items(asking(request, deadline)?)).await?;
        convert::items_from_wire(response.items).map_err(malformed_answer)
    }

    async fn popular(
        &self,
        tenant: &TenantId,
        market: Market,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Vec<DisplayItem>, Failure> {
        let request = PopularRequest {
            tenant: tenant.as_str().to_owned(),
            market: market.as_str().to_owned(),
            limit: limit_to_wire(limit),
        };
        let response = call(deadline, self.0.clone().popular(asking(request, deadline)?)).await?;
        convert::displays_from_wire(response.items).map_err(malformed_answer)
    }
}

server!(
    /// Offers any [`Catalogue`] over gRPC.
    CatalogueServer, Catalogue, Adapter, CatalogueServiceServer
);

struct Adapter(Arc<dyn Catalogue>);

#[async_trait]
impl CatalogueService for Adapter {
    async fn put_items(&self, request: Request<PutItemsRequest>) -> Result<Response<PutItemsResponse>, Status> {
        let deadline = deadline_of(&request, DEFAULT_DEADLINE);
        let request = request.into_inner();
        let tenant = name(&request.tenant, "tenant").map_err(malformed_request)?;
        let items = convert::items_from_wire(request.items).map_err(malformed_request)?;
        let results = serve(deadline, self.0.put_items(&tenant, items, deadline)).await?;
        Ok(Response::new(convert::puts_to_wire(results)))
    }

    async fn get_item(&self, request: Request<GetItemRequest>) -> Result<Response<GetItemResponse>, Status> {
        let deadline = deadline_of(&request, DEFAULT_DEADLINE);
        let request = request.into_inner();
        let tenant = name(&request.tenant, "tenant").map_err(malformed_request)?;
        let id = name(&request.id, "id").map_err(malformed_request)?;
        let item = serve(deadline, self.0.item(&tenant, &id, deadline)).await?;
        Ok(Response::new(GetItemResponse { item: Some(convert::item_to_wire(item)) }))
    }

    async fn delete_item(&self, request: Request<DeleteItemRequest>) -> Result<Response<DeleteItemResponse>, Status> {
        let deadline = deadline_of(&request, DEFAULT_DEADLINE);
        let request = request.into_inner();
        let tenant = name(&request.tenant, "tenant").map_err(malformed_request)?;
        let id = name(&request.id, "id").map_err(malformed_request)?;
        let existed = serve(deadline, self.0.delete_item(&tenant, &id, deadline)).await?;
        Ok(Response::new(DeleteItemResponse { existed }))
    }

    async fn display(&self, request: Request<DisplayRequest>) -> Result<Response<DisplayResponse>, Status> {
        let deadline = deadline_of(&request, DEFAULT_DEADLINE);
        let request = request.into_inner();
        let tenant = name(&request.tenant, "tenant").map_err(malformed_request)?;
        let keys = keys_from_wire(request.keys);
        let items = serve(deadline, self.0.display(&tenant, &keys, deadline)).await?;
        Ok(Response::new(DisplayResponse { items: items.into_iter().map(convert::display_to_wire).collect() }))
    }

    async fn list_items(&self, request: Request<ListItemsRequest>) -> Result<Response<ListItemsResponse>, Status> {
        let deadline = deadline_of(&request, DEFAULT_DEADLINE);
        let request = request.into_inner();
        let tenant = name(&request.tenant, "tenant").map_err(malformed_request)?;
        let after = optional_name(request.after.as_deref(), "after").map_err(malformed_request)?;
        let items = serve(deadline, self.0.list_items(&tenant, after, request.limit as usize, deadline)).await?;
        Ok(Response::new(ListItemsResponse { items: items.into_iter().map(convert::item_to_wire).collect() }))
    }

    async fn popular(&self, request: Request<PopularRequest>) -> Result<Response<PopularResponse>, Status> {
        let deadline = deadline_of(&request, DEFAULT_DEADLINE);
        let request = request.into_inner();
        let tenant = name(&request.tenant, "tenant").map_err(malformed_request)?;
        let market = market(&request.market, "market").map_err(malformed_request)?;
        let items = serve(deadline, self.0.popular(&tenant, market, request.limit as usize, deadline)).await?;
        Ok(Response::new(PopularResponse { items: items.into_iter().map(convert::display_to_wire).collect() }))
    }
}
