//! The edge process: how it is built from its configuration. The order of things is
//! `service_runtime::process`'s; the binary of this crate and `setlist` both start it.

use std::sync::Arc;

use contracts::grpc::{CandidatesClient, CatalogueClient, ProfilesClient, RankingClient};
use service_runtime::{
    OnFailure, Runtime, client, listen,
    process::{About, Listening},
};

use crate::{App, Backends, Config, config::DEFAULTS, store};

/// What the process says of itself.
pub const ABOUT: About = About {
    name: "edge-api",
    summary: "Serves pages over HTTP and takes events",
    defaults: DEFAULTS,
    env_prefix: "SETLIST",
};

/// Binds, connects, builds, serves; says where.
///
/// # Errors
/// When a port is taken, or something that the service cannot do without cannot be opened.
pub async fn serve(config: Config, runtime: Runtime) -> anyhow::Result<Vec<Listening>> {
    let listener = listen::bind(config.http.listen)?;
    let address = listen::address_of(&listener)?;
    let services = &config.services;
    let candidates = client::connect("candidates", &services.candidates, &services.resilience, &runtime).await?;
    let ranking = client::connect("ranking", &services.ranking, &services.resilience, &runtime).await?;
    let backends = Backends {
        candidates: Arc::new(CandidatesClient::new(candidates.clone())),
        catalogue: Arc::new(CatalogueClient::new(candidates.clone())),
        profiles: Arc::new(ProfilesClient::new(candidates)),
        ranking: Arc::new(RankingClient::new(ranking)),
        bus: event_bus::open(&config.bus, &runtime).await?,
        records: store::open(&config.store).await?,
    };
    let app = App::build(&config, &runtime, backends)?;
    runtime.tasks.work.spawn("http", OnFailure::Stop, app.serve(listener));
    Ok(vec![Listening { what: "http", address }])
}
