//! Three processes, a real nats-server, and the story; then ranking is killed, and comes back.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use edge_api::auth::{Key, Scope};
use setlist::client::Client;
use shared_models::TenantId;
use testkit::{folder::Folder, nats::NatsServer, otlp::Collector, ports, process::Process, tools};
use tests::stock::Stock;

use crate::{
    story::{self, eventually},
    traces, understand,
};

fn start(binary: &Path, service: &str, folder: &Folder, arguments: Vec<String>) -> Result<Process> {
    let arguments = std::iter::once(service.to_owned()).chain(arguments).collect();
    let mut process = Process::new(binary, arguments, folder.path(), &folder.join(&format!("{service}.log")));
    process.start()?;
    Ok(process)
}

async fn stop(mut process: Process) -> Result<()> {
    let status = process.stop(story::PATIENCE).await?.context("a process was gone")?;
    ensure!(status.success(), "a process ended with {status}");
    Ok(())
}

fn set(pairs: &[(&str, String)]) -> Vec<String> {
    pairs.iter().flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_processes_on_nats_serve_learn_trace_and_survive_the_death_of_ranking() -> Result<()> {
    let binary = tools::setlist()?;
    let folder = Folder::new()?;
    let collector = Collector::start().await?;
    let nats = NatsServer::start().await?;
    let stock = Stock::small(11).await?;
    let user = stock.world.users.first().context("an empty world")?.id.to_string();
    let (key, entry) = Key::generate(&TenantId::new("demo")?, &Scope::ALL);
    let releases = folder.join("releases");
    stock.put_release(&releases)?;

    let [http, candidates, ranking, ops_edge, ops_candidates, ops_ranking] = addresses()?;
    let releases = releases.display().to_string();
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
    let mut ranking_process = start(&binary, "ranking", &folder, set(&settings))?;

    let mut settings = common(&ops_candidates);
    settings.extend(bus.clone());
    settings.extend([
        ("grpc.listen", candidates.clone()),
        ("releases.path", releases),
        ("store.url", format!("sqlite://{}", folder.join("cluster.db").display())),
    ]);
    let candidates_process = start(&binary, "candidates", &folder, set(&settings))?;

    let keys = folder.join("edge.toml");
    std::fs::write(
        &keys,
        format!(
            "[[auth.keys]]\nid = {:?}\nsha256 = {:?}\ntenant = {:?}\nscopes = [\"serve\", \"events\", \"catalog\", \"explain\"]\n",
            entry.id, entry.sha256, entry.tenant
        ),
    )?;
    let mut settings = common(&ops_edge);
    settings.extend(bus);
    settings.extend([
        ("http.listen", http.clone()),
        ("services.candidates", format!("http://{candidates}")),
        ("services.ranking", format!("http://{ranking}")),
        ("store.url", format!("sqlite://{}", folder.join("edge.db").display())),
    ]);
    let mut arguments = vec!["--config".to_owned(), keys.display().to_string()];
    arguments.extend(set(&settings));
    let edge_process = start(&binary, "edge", &folder, arguments)?;

    for ops in [&ops_edge, &ops_candidates, &ops_ranking] {
        ready(ops, &folder).await?;
    }
    let api = format!("http://{http}");
    let client = Client::new(&api, key.expose())?;
    stock.put_through(&api, key.expose(), usize::MAX).await?;
    let told = story::tell(&client, &user).await?;
    // Looked at before anything is killed: what a killed process had not yet exported is gone with it.
    traces::check_page(&collector, &told, true).await?;
    traces::check_event(&collector, "nats", "sqlite").await?;

    understand::check(&client, &user).await?;

    // Ranking dies: pages go on in source order, and say so. It comes back: pages are whole again.
    ranking_process.kill()?;
    let degraded = eventually(&client, &user, |page| page.degraded.level == "source_order").await?;
    ensure!(degraded.cards() > 10, "a page without ranking has {} cards", degraded.cards());
    ranking_process.start()?;
    eventually(&client, &user, |page| page.degraded.level == "none").await?;

    stop(edge_process).await?;
    stop(ranking_process).await?;
    stop(candidates_process).await
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
