//! Three processes, a real nats-server, and the story; then ranking is killed, and comes back.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use learning::{progress::Silent, world};
use serde_json::json;
use service_runtime::Runtime;
use setlist::{
    client::{Client, Told},
    platform::Core,
    train,
};
use shared_models::{Clock, Seed, SystemClock, TenantId};
use testkit::{folder::Folder, nats::NatsServer, otlp::Collector, ports};

use crate::{
    one_process::configure,
    story::{self, eventually},
    traces,
};

/// A process of ours: asked to stop when it is dropped, so that its spans are flushed.
struct Process(Child);

impl Process {
    fn start(binary: &Path, service: &str, log: &Path, arguments: &[String]) -> Result<Self> {
        let log = std::fs::File::create(log)?;
        let child = Command::new(binary)
            .arg(service)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn();
        Ok(Self(child.with_context(|| format!("{} does not start", binary.display()))?))
    }

    fn kill(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    fn stop(&mut self) -> Result<()> {
        let asked = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status()?;
        ensure!(asked.success(), "kill failed");
        let status = self.0.wait()?;
        ensure!(status.success(), "a process ended with {status}");
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A test that fails half-way leaves nothing running; a process that is gone already is no matter.
        let _gone = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// The binary beside this test's own.
fn binary() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let folder = here.parent().and_then(Path::parent).context("this test has no target folder")?;
    let binary = folder.join("setlist");
    ensure!(binary.exists(), "{} is not built; run scripts/test, or cargo build -p setlist first", binary.display());
    Ok(binary)
}

fn set(pairs: &[(&str, String)]) -> Vec<String> {
    pairs.iter().flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_on_nats_serve_learn_trace_and_survive_the_death_of_ranking() -> Result<()> {
    let binary = binary()?;
    let folder = Folder::new()?;
    let collector = Collector::start().await?;
    let nats = NatsServer::start().await?;
    let world = world::generate(&world::Config::small(Seed(11), SystemClock.now()), &Silent)?;
    let user = world.users.first().context("an empty world")?.id.to_string();
    let (config, key) = configure(&folder, &[])?;

    // A release, learned in this process from the same world; the services find it in the folder.
    {
        let runtime = Runtime::new(Arc::new(SystemClock));
        let tenant = TenantId::new("demo")?;
        let core = Core::build(&config, &runtime).await?;
        let import = learning::datasets::Import {
            items: world.items.clone(),
            users: world.users.clone(),
            events: world.events.clone(),
            report: learning::datasets::Report::default(),
        };
        setlist::import::load(&core, &tenant, import, &Silent).await?;
        train::learn(&core, &config, &tenant, &runtime, Arc::new(Silent)).await?;
        drop(core);
        runtime.drain(story::PATIENCE).await;
    }

    let [http, candidates, ranking, ops_edge, ops_candidates, ops_ranking] = addresses()?;
    let releases = config.ranking.releases.path.display().to_string();
    let common = |ops: &str| {
        vec![
            ("telemetry.otlp_endpoint", collector.endpoint().to_owned()),
            ("ops.listen", ops.to_owned()),
            ("stop.probe_interval", "0s".to_owned()),
        ]
    };
    let bus = [("bus.kind", "nats".to_owned()), ("bus.url", nats.url()), ("bus.monitor_url", nats.monitor_url())];

    let mut settings = common(&ops_ranking);
    settings.extend([("grpc.listen", ranking.clone()), ("releases.path", releases.clone())]);
    let start_ranking = set(&settings);
    let mut ranking_process = Process::start(&binary, "ranking", &folder.join("ranking.log"), &start_ranking)?;

    let mut settings = common(&ops_candidates);
    settings.extend(bus.clone());
    settings.extend([
        ("grpc.listen", candidates.clone()),
        ("releases.path", releases),
        ("store.url", format!("sqlite://{}", folder.join("cluster.db").display())),
    ]);
    let mut candidates_process =
        Process::start(&binary, "candidates", &folder.join("candidates.log"), &set(&settings))?;

    let keys = folder.join("edge.toml");
    let entry = config.edge.auth.keys.first().context("no key")?;
    std::fs::write(
        &keys,
        format!(
            "[[auth.keys]]\nid = {:?}\nsha256 = {:?}\ntenant = {:?}\nscopes = [\"serve\", \"events\", \"catalog\", \"admin\"]\n",
            entry.id, entry.sha256, entry.tenant
        ),
    )?;
    let mut settings = common(&ops_edge);
    settings.extend(bus);
    settings.extend([
        ("http.listen", http.clone()),
        ("services.candidates", format!("http://{candidates}")),
        ("services.ranking", format!("http://{ranking}")),
    ]);
    let mut arguments = vec!["--config".to_owned(), keys.display().to_string()];
    arguments.extend(set(&settings));
    let mut edge_process = Process::start(&binary, "edge", &folder.join("edge.log"), &arguments)?;

    for ops in [&ops_edge, &ops_candidates, &ops_ranking] {
        ready(ops, &folder).await?;
    }
    let api = format!("http://{http}");
    let client = Client::new(&api, key.expose())?;
    fill(&api, key.expose(), &world).await?;
    let told = story::tell(&client, &user).await?;
    // Looked at before anything is killed: what a killed process had not yet exported is gone with it.
    traces::check_page(&collector, &told, true).await?;
    traces::check_event(&collector, "nats", "sqlite").await?;

    // Ranking dies: pages go on in source order, and say so. It comes back: pages are whole again.
    ranking_process.kill()?;
    let degraded = eventually(&client, &user, |page| page.degraded.level == "source_order").await?;
    ensure!(degraded.cards() > 10, "a page without ranking has {} cards", degraded.cards());
    let mut ranking_process = Process::start(&binary, "ranking", &folder.join("ranking-again.log"), &start_ranking)?;
    eventually(&client, &user, |page| page.degraded.level == "none").await?;

    edge_process.stop()?;
    ranking_process.stop()?;
    candidates_process.stop()
}

fn addresses<const N: usize>() -> Result<[String; N]> {
    // All are held until all are known, so that no two are the same.
    let held = (0..N).map(|_| ports::listener()).collect::<Result<Vec<_>>>()?;
    let addresses = held.iter().map(|listener| Ok(listener.local_addr()?.to_string())).collect::<Result<Vec<_>>>()?;
    addresses.try_into().map_err(|_| anyhow::anyhow!("not {N} addresses"))
}

/// Waits until a process says that it is ready; when it does not, its log says why.
async fn ready(ops: &str, folder: &Folder) -> Result<()> {
    let end = std::time::Instant::now() + story::PATIENCE;
    loop {
        let answer = reqwest::get(format!("http://{ops}/readyz")).await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        if std::time::Instant::now() > end {
            let logs: String = ["edge", "candidates", "ranking"]
                .iter()
                .map(|name| {
                    format!(
                        "--- {name}\n{}",
                        std::fs::read_to_string(folder.join(&format!("{name}.log"))).unwrap_or_default()
                    )
                })
                .collect();
            anyhow::bail!("{ops} is never ready:\n{logs}");
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// The catalogue and the listeners' events, through the public API.
async fn fill(api: &str, key: &str, world: &world::World) -> Result<()> {
    let http = reqwest::Client::new();
    for items in world.items.chunks(500) {
        let items: Vec<_> = items
            .iter()
            .map(|item| {
                json!({
                    "item_id": item.id, "type": item.kind.as_str(), "title": item.title, "artist_id": item.artist_id,
                    "artist_name": item.artist_name, "genres": item.genres, "duration_ms": item.duration_ms,
                })
            })
            .collect();
        let body = json!({ "items": items });
        let answer = http.post(format!("{api}/v1/items:batch")).bearer_auth(key).json(&body).send().await?;
        ensure!(answer.status().is_success(), "{}: {}", answer.status(), answer.text().await?);
    }
    let client = Client::new(api, key)?;
    for events in world.events.chunks(1_000) {
        let events: Vec<_> = events
            .iter()
            .map(|event| Told {
                event_id: Some(event.id.to_string()),
                user_id: event.user.as_str(),
                kind: event.kind.as_str(),
                item_id: event.item.as_str(),
                occurred_at: Some(event.occurred_at.to_string()),
                ms_played: event.ms_played,
                ..Told::default()
            })
            .collect();
        client.events(&events).await?;
    }
    Ok(())
}
