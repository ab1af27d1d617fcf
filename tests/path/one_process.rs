//! One process on embedded storage: import, train, serve, and the story; in process and over loopback gRPC.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use edge_api::auth::{Key, Scope};
use learning::{
    datasets::{Import, Report},
    progress::Silent,
    world,
};
use service_runtime::{Runtime, telemetry};
use setlist::{
    client::Client,
    config::{self, Config, Loaded},
    import,
    platform::Platform,
    train,
};
use shared_models::{Clock, Seed, SystemClock, TenantId};
use testkit::{folder::Folder, otlp::Collector};

use crate::{story, traces, understand};

/// A platform that serves a small world in this process.
pub struct Stand {
    /// Where it keeps everything.
    _folder: Folder,
    /// A client with a key for everything.
    pub client: Client,
    /// A listener of the world.
    pub user: String,
    /// To stop it.
    pub runtime: Runtime,
}

/// The configuration of a platform in `folder`, on free ports, with a key for everything.
pub fn configure(folder: &Folder, set: &[(&str, String)]) -> Result<(Config, Key)> {
    let mut options = service_runtime::cli::Options::default();
    for (key, value) in [("edge.http.listen", "127.0.0.1:0"), ("ops.listen", "127.0.0.1:0")] {
        options.set.push((key.to_owned(), value.to_owned()));
    }
    options.set.extend(set.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    let Loaded::Run(mut config) = config::load(&options, folder.path()) else {
        anyhow::bail!("the configuration is refused")
    };
    let (key, entry) = Key::generate(&TenantId::new("demo")?, &Scope::ALL);
    config.edge.auth.keys.push(entry);
    Ok((*config, key))
}

impl Stand {
    /// Builds, imports, trains and serves.
    pub async fn start(loopback_grpc: bool, config: &Config, key: &Key, folder: Folder) -> Result<Self> {
        let tenant = TenantId::new("demo")?;
        let runtime = Runtime::new(Arc::new(SystemClock));
        let (listener, address) = Platform::bind(config)?;
        let platform = Platform::build(config, &runtime, loopback_grpc).await?;
        let world = world::generate(&world::Config::small(Seed(11), SystemClock.now()), &Silent)?;
        let user = world.users.first().context("an empty world")?.id.to_string();
        let import = Import { items: world.items, users: world.users, events: world.events, report: Report::default() };
        import::load(&platform.core, &tenant, import, &Silent).await?;
        train::learn_and_activate(&platform, config, &tenant, &runtime, Arc::new(Silent)).await?;
        let kept = platform.serve(listener, &runtime);
        runtime.tasks.observers.spawn("kept", service_runtime::OnFailure::Log, {
            let token = runtime.tasks.observers.token();
            async move {
                token.cancelled().await;
                drop(kept);
                Ok::<(), std::convert::Infallible>(())
            }
        });
        Ok(Self { _folder: folder, client: Client::new(&format!("http://{address}"), key.expose())?, user, runtime })
    }

    /// Drains everything.
    pub async fn stop(self) -> Result<()> {
        let dropped = self.runtime.drain(story::PATIENCE).await;
        ensure!(dropped == 0, "{dropped} tasks did not stop");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_serves_learns_from_a_play_and_traces_it() -> Result<()> {
    let collector = Collector::start().await?;
    let folder = Folder::new()?;
    let (config, key) = configure(&folder, &[("telemetry.otlp_endpoint", collector.endpoint().to_owned())])?;
    let telemetry = telemetry::init(&config.telemetry, "setlist")?;

    let stand = Stand::start(false, &config, &key, folder).await?;
    let told = story::tell(&stand.client, &stand.user).await?;
    understand::check(&stand.client, &stand.user).await?;
    stand.stop().await?;
    telemetry.shutdown().await;

    traces::check_page(&collector, &told, false).await?;
    traces::check_event(&collector, "sqlite", "sqlite").await
}

#[tokio::test(flavor = "multi_thread")]
async fn loopback_grpc_answers_as_in_process() -> Result<()> {
    let folder = Folder::new()?;
    let (config, key) = configure(&folder, &[])?;
    let stand = Stand::start(true, &config, &key, folder).await?;
    story::tell(&stand.client, &stand.user).await?;
    understand::check(&stand.client, &stand.user).await?;
    stand.stop().await
}
