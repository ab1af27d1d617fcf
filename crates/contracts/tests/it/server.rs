//! A real gRPC server on a free port, with a fake behind every contract.

use std::sync::Arc;

use contracts::{
    Candidates, Catalogue, Profiles, Ranking, ReleaseControl,
    grpc::{
        CandidatesClient, CandidatesServer, CatalogueClient, CatalogueServer, DESCRIPTOR_SET, ProfilesClient,
        ProfilesServer, RankingClient, RankingServer, ReleaseControlClient, ReleaseControlServer,
    },
};
use service_runtime::{CancellationToken, OnFailure, Runtime, grpc, listen};
use shared_models::SystemClock;
use tokio_util::sync::DropGuard;

use crate::fake::Fake;

/// One implementation of every contract.
pub(crate) struct Services {
    pub(crate) candidates: Arc<dyn Candidates>,
    pub(crate) ranking: Arc<dyn Ranking>,
    pub(crate) catalogue: Arc<dyn Catalogue>,
    pub(crate) profiles: Arc<dyn Profiles>,
    pub(crate) releases: Arc<dyn ReleaseControl>,
}

/// A fake, reached in process and over gRPC. The server goes when this goes.
pub(crate) struct Sandbox {
    pub(crate) fake: Arc<Fake>,
    pub(crate) near: Services,
    pub(crate) far: Services,
    _stop: DropGuard,
    _runtime: Runtime,
}

pub(crate) fn clients(endpoint: &str) -> Services {
    let channel = service_runtime::grpc::channel(endpoint).unwrap();
    Services {
        candidates: Arc::new(CandidatesClient::new(channel.clone())),
        ranking: Arc::new(RankingClient::new(channel.clone())),
        catalogue: Arc::new(CatalogueClient::new(channel.clone())),
        profiles: Arc::new(ProfilesClient::new(channel.clone())),
        releases: Arc::new(ReleaseControlClient::new(channel)),
    }
}

impl Sandbox {
    pub(crate) async fn start() -> Self {
        let fake = Arc::new(Fake::default());
        let near = Services {
            candidates: fake.clone(),
            ranking: fake.clone(),
            catalogue: fake.clone(),
            profiles: fake.clone(),
            releases: fake.clone(),
        };
        let listener = listen::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let services = grpc::Services::new()
            .add(CandidatesServer::new(near.candidates.clone()))
            .add(RankingServer::new(near.ranking.clone()))
            .add(CatalogueServer::new(near.catalogue.clone()))
            .add(ProfilesServer::new(near.profiles.clone()))
            .add(ReleaseControlServer::new(near.releases.clone()))
            .describe(DESCRIPTOR_SET);
        let runtime = Runtime::new(Arc::new(SystemClock));
        let stop = CancellationToken::new();
        let server = grpc::Server::new("sandbox", listener, services, grpc::Limits::default(), &runtime);
        let serve = server.serve_until(stop.clone());
        runtime.tasks.work.spawn("server", OnFailure::Log, serve);
        Self { fake, near, far: clients(&format!("http://{address}")), _stop: stop.drop_guard(), _runtime: runtime }
    }
}
