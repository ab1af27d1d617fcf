//! The services put together in one process: on embedded storage by default, calling each other in
//! process or over gRPC on the loopback interface.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use contracts::{
    Candidates, Ranking,
    grpc::{CandidatesClient, CatalogueClient, ProfilesClient, RankingClient},
    in_process,
};
use edge_api::{Backends, store::Store};
use event_bus::{EventBus, subjects};
use learning::archive::{Archive, keeping};
use service_runtime::{
    OnFailure, Runtime,
    grpc::{self, Limits, Server, Services},
    listen,
};

use crate::config::Config;

/// What stands without the edge: storage, intake, archive. Enough to import and to train.
pub struct Core {
    /// The event bus.
    pub bus: Arc<dyn EventBus>,
    /// Into how many partitions a tenant's users are divided.
    pub partitions: u16,
    /// Candidate generation with its intake running.
    pub candidates: candidate_generation::App,
    /// The archive.
    pub archive: Arc<Archive>,
}

impl Core {
    /// [`Core::build`] for a command that works beside the services: on embedded storage only. With a bus that other
    /// processes share, the command would take events away from them and fold them into a store of its own.
    ///
    /// # Errors
    /// When the bus is shared, or as [`Core::build`].
    pub async fn embedded(config: &Config, runtime: &Runtime) -> anyhow::Result<Self> {
        anyhow::ensure!(
            config.bus.kind == event_bus::config::Kind::Embedded,
            "bus.kind is nats: import and train work on embedded storage; send items and events to a cluster through its edge"
        );
        Self::build(config, runtime).await
    }

    /// Opens storage and starts the consumers of the stream.
    ///
    /// # Errors
    /// When a store, the stream or the archive cannot be opened.
    pub async fn build(config: &Config, runtime: &Runtime) -> anyhow::Result<Self> {
        let bus = event_bus::open(&config.bus, runtime).await.context("the event bus cannot be opened")?;
        let candidates = candidate_generation::App::build(config.candidates(), runtime, Arc::clone(&bus))
            .await
            .context("candidate generation cannot be built")?;
        let archive = keeping::open(&config.archive, runtime).await.context("the archive cannot be opened")?;
        keeping::land(&bus, &archive, &config.archive, runtime);
        Ok(Self { bus, partitions: config.bus.partitions, candidates, archive })
    }

    /// Waits until the intake and the archive have dealt with everything that was published.
    /// `look` is told how many messages the slower of the two still has to read.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn settle(&self, mut look: impl FnMut(u64)) -> anyhow::Result<()> {
        loop {
            let intake = self.bus.lag(&subjects::CANDIDATES_INTAKE).await?.pending;
            let archive = self.bus.lag(&subjects::LEARNING_ARCHIVE).await?.pending;
            look(intake.max(archive));
            if intake.max(archive) == 0 {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}

/// The whole platform, built and not yet serving.
pub struct Platform {
    /// Storage, intake, archive.
    pub core: Core,
    /// Ranking.
    pub ranking: ranking::App,
    edge: edge_api::App,
}

impl Platform {
    /// Binds the edge's port: before any work starts, so that a taken port is known at once.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn bind(config: &Config) -> anyhow::Result<(std::net::TcpListener, SocketAddr)> {
        let listener = listen::bind(config.edge.http.listen)?;
        let address = listen::address_of(&listener)?;
        Ok((listener, address))
    }

    /// Builds the services, and starts what runs beside requests.
    ///
    /// # Errors
    /// When one of them cannot be built.
    pub async fn build(config: &Config, runtime: &Runtime, loopback_grpc: bool) -> anyhow::Result<Self> {
        let core = Core::build(config, runtime).await?;
        keeping::compact(&core.archive, &config.archive, runtime);
        let ranking = ranking::App::build(config.ranking(), runtime).await.context("ranking cannot be built")?;
        let records = edge_api::store::open(&config.edge.store).await.context("the edge's store cannot be opened")?;
        let backends = if loopback_grpc {
            over_loopback(&core, &ranking, records, runtime)?
        } else {
            in_this_process(&core, &ranking, records)
        };
        let edge = edge_api::App::build(&config.edge(), runtime, backends).context("the edge cannot be built")?;
        Ok(Self { core, ranking, edge })
    }

    /// Serves HTTP on `listener` until the runtime's work is drained; gives what stays behind.
    pub fn serve(self, listener: std::net::TcpListener, runtime: &Runtime) -> (Core, ranking::App) {
        runtime.tasks.work.spawn("http", OnFailure::Stop, self.edge.serve(listener));
        (self.core, self.ranking)
    }
}

fn in_this_process(core: &Core, ranking: &ranking::App, records: Option<Arc<dyn Store>>) -> Backends {
    let candidates: Arc<dyn Candidates> = Arc::new(in_process::Traced(core.candidates.candidates()));
    let ranking: Arc<dyn Ranking> = Arc::new(in_process::Traced(ranking.ranking()));
    Backends {
        candidates,
        catalogue: core.candidates.catalogue(),
        profiles: core.candidates.profiles(),
        ranking,
        bus: Arc::clone(&core.bus),
        records,
    }
}

/// The same services behind real gRPC on free ports of the loopback interface: what it costs, and
/// that it answers alike, can be seen in one process.
fn over_loopback(
    core: &Core,
    ranking: &ranking::App,
    records: Option<Arc<dyn Store>>,
    runtime: &Runtime,
) -> anyhow::Result<Backends> {
    let candidates = loopback("candidate-generation", core.candidates.grpc_services(), runtime)?;
    let ranking = loopback("ranking", ranking.grpc_services(), runtime)?;
    Ok(Backends {
        candidates: Arc::new(CandidatesClient::new(candidates.clone())),
        catalogue: Arc::new(CatalogueClient::new(candidates.clone())),
        profiles: Arc::new(ProfilesClient::new(candidates)),
        ranking: Arc::new(RankingClient::new(ranking)),
        bus: Arc::clone(&core.bus),
        records,
    })
}

fn loopback(name: &'static str, services: Services, runtime: &Runtime) -> anyhow::Result<grpc::TracedChannel> {
    let listener = listen::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let address = listen::address_of(&listener)?;
    let work = &runtime.tasks.work;
    work.spawn(
        name,
        OnFailure::Stop,
        Server::new(name, listener, services, Limits::default(), runtime).serve_until(work.token()),
    );
    Ok(grpc::measured_channel(&format!("http://{address}"), &runtime.metrics)?)
}
