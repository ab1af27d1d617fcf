//! `setlist import`: items into the catalogue, users into profiles, events through the stream, the
//! same way that a client's events go.

use std::{process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use contracts::{Deadline, events};
use event_bus::{Envelope, EventBus, subjects};
use learning::{
    datasets::{self, Import, Options, table::Mapping},
    progress::{Bars, Progress, Unit},
};
use service_runtime::{Runtime, process};
use shared_models::{Clock, ItemId, SystemClock, TenantId, UserId, UserKey, event::Event};

use crate::{
    cli,
    client::Client,
    config::{self, Config, Loaded},
    platform::Core,
};

/// Items of one call.
const ITEMS: usize = 2_000;
/// Items of one call through the edge, which takes no more.
const EDGE_ITEMS: usize = 1_000;
/// Events of one message: about what a busy edge commits together.
const EVENTS: usize = 500;
/// Messages published together.
const MESSAGES: usize = 64;
/// How long one call of an import may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Imports.
#[must_use]
pub fn run(args: cli::Import) -> ExitCode {
    let config = match config::load(&args.configuration, &args.data.data) {
        Loaded::Run(config) => config,
        Loaded::Exit(code) => return code,
    };
    process::start("setlist", config.quiet(), move |config: Config, runtime| async move {
        let tenant = TenantId::new(&args.data.tenant)?;
        let bars: Arc<dyn Progress> = Arc::new(Bars::new());
        let read = {
            let (args, bars) = (args.clone(), Arc::clone(&bars));
            runtime.tasks.work.blocking("read", move || read(&args, &*bars)).await.context("reading broke off")??
        };
        print!("{}", read.report);
        if let Some(path) = &args.skipped {
            let lines: String = read.report.skipped.iter().map(|row| format!("{row}\n")).collect();
            std::fs::write(path, lines).with_context(|| format!("{} cannot be written", path.display()))?;
        }
        if config.bus.kind == event_bus::config::Kind::Nats {
            let (url, key) = args.url.as_ref().zip(args.key.as_ref()).context(
                "bus.kind is nats: the items of an import go through the edge; give --url and --key (scope catalog)",
            )?;
            into_cluster(&Client::new(url, key)?, &config, &runtime, &tenant, read, &*bars).await?;
            println!("events are on the stream; `setlist streams` shows how far its consumers are");
        } else {
            let core = Core::embedded(&config, &runtime).await?;
            load(&core, &tenant, read, &*bars).await?;
            println!("imported into {}; next: setlist train --data {0}", args.data.data.display());
        }
        runtime.stop_signal().stop();
        anyhow::Ok(Vec::new())
    })
}

fn read(args: &cli::Import, progress: &dyn Progress) -> anyhow::Result<Import> {
    let options = Options { now: SystemClock.now() };
    let path = &args.path;
    anyhow::ensure!(
        args.map.is_none() || args.format == cli::Format::Table,
        "--map is for tables; the other formats have columns of their own"
    );
    let user = UserId::new(&args.user)?;
    let files = [path.clone()];
    Ok(match args.format {
        cli::Format::Movielens => datasets::movielens::import(path, options, progress)?,
        cli::Format::Lastfm => datasets::lastfm::import(path, options, progress)?,
        cli::Format::Listenbrainz => datasets::listenbrainz::import(&files, &user, options, progress)?,
        cli::Format::Spotify => datasets::spotify::import(path, &user, options, progress)?,
        cli::Format::Table => {
            let mapping =
                args.map.as_deref().context("a table needs --map, such as --map user=listener,item=track,time=at")?;
            datasets::table::import(&files, &mapping.parse::<Mapping>()?, options, progress)?
        }
    })
}

/// Puts an import into a platform, and waits until the intake and the archive have it.
///
/// # Errors
/// When a service refuses or is away.
pub async fn load(core: &Core, tenant: &TenantId, import: Import, progress: &dyn Progress) -> anyhow::Result<()> {
    let Import { items, users, events, .. } = import;
    let catalogue = core.candidates.catalogue();
    let stage = progress.stage("catalogue", Unit::Rows, Some(items.len() as u64));
    let (mut refused, total) = (Vec::new(), items.len());
    let mut items = items.into_iter().peekable();
    while items.peek().is_some() {
        let chunk: Vec<_> = items.by_ref().take(ITEMS).collect();
        let count = chunk.len() as u64;
        let ids: Vec<ItemId> = chunk.iter().map(|item| item.id.clone()).collect();
        let put = catalogue.put_items(tenant, chunk, Deadline::within(PATIENCE)).await?;
        refused.extend(put.into_iter().zip(ids).filter_map(|(put, id)| Some((id, put.err()?))));
        stage.advance(count);
    }
    stage.finish(&format!("{total} items, {} refused", refused.len()));
    for (id, failure) in &refused {
        eprintln!("  item {id} is refused: {}", failure.message);
    }

    let profiles = core.candidates.profiles();
    let stage = progress.stage("users", Unit::Rows, Some(users.len() as u64));
    let total = users.len();
    for user in users {
        profiles.put_user(tenant, user, Deadline::within(PATIENCE)).await?;
        stage.advance(1);
    }
    stage.finish(&format!("{total} users"));

    publish(core.bus.as_ref(), core.partitions, tenant, events, progress).await?;
    settle(core, progress).await
}

/// Puts an import into a cluster: items through its edge, events onto its stream. Events of any age keep their time,
/// which a client's may not.
async fn into_cluster(
    edge: &Client,
    config: &Config,
    runtime: &Runtime,
    tenant: &TenantId,
    import: Import,
    progress: &dyn Progress,
) -> anyhow::Result<()> {
    let bus = event_bus::look(&config.bus, runtime).await.context("NATS cannot be reached")?;
    let Import { items, events, .. } = import;
    let stage = progress.stage("catalogue", Unit::Rows, Some(items.len() as u64));
    let (mut refused, total) = (0, items.len());
    for chunk in items.chunks(EDGE_ITEMS) {
        refused += edge.items(chunk).await?;
        stage.advance(chunk.len() as u64);
    }
    stage.finish(&format!("{total} items, {refused} refused"));
    publish(bus.as_ref(), config.bus.partitions, tenant, events, progress).await
}

async fn publish<Bus: EventBus + ?Sized>(
    bus: &Bus,
    partitions: u16,
    tenant: &TenantId,
    events: Vec<Event>,
    progress: &dyn Progress,
) -> anyhow::Result<()> {
    let total = events.len();
    let stage = progress.stage("events", Unit::Rows, Some(total as u64));
    let mut open: Vec<Vec<Event>> = (0..partitions).map(|_| Vec::with_capacity(EVENTS)).collect();
    let mut messages = Vec::with_capacity(MESSAGES);
    for event in events {
        let partition = UserKey::of(&event.user).partition(partitions);
        let Some(batch) = open.get_mut(usize::from(partition)) else { continue };
        batch.push(event);
        if batch.len() == EVENTS {
            messages.push((subjects::events(tenant, partition), envelope(tenant, batch)));
            batch.clear();
            if messages.len() == MESSAGES {
                bus.publish_many(std::mem::take(&mut messages)).await?;
                stage.advance((MESSAGES * EVENTS) as u64);
            }
        }
    }
    for (partition, batch) in (0..).zip(&open).filter(|(_, batch)| !batch.is_empty()) {
        messages.push((subjects::events(tenant, partition), envelope(tenant, batch)));
    }
    bus.publish_many(messages).await?;
    stage.finish(&format!("{total} events on the stream"));
    Ok(())
}

async fn settle(core: &Core, progress: &dyn Progress) -> anyhow::Result<()> {
    let mut behind = None;
    let stage = progress.stage("intake and archive", Unit::Steps, None);
    core.settle(|pending| {
        let before = behind.replace(pending).unwrap_or(pending);
        stage.advance(before.saturating_sub(pending));
    })
    .await?;
    stage.finish("profiles are folded, the archive is written");
    Ok(())
}

/// One message. Its id follows from the tenant and all of its events, so that an import done twice is one, and another
/// import is another.
fn envelope(tenant: &TenantId, batch: &[Event]) -> Envelope {
    let mut content = blake3::Hasher::new();
    content.update(tenant.as_str().as_bytes());
    for event in batch {
        // No id holds a line break.
        content.update(b"\n").update(event.id.as_str().as_bytes());
    }
    Envelope {
        id: content.finalize().to_hex().as_str().get(..32).unwrap_or_default().to_owned(),
        kind: events::KIND.to_owned(),
        version: events::VERSION,
        occurred_at: batch.last().map(|event| event.occurred_at).unwrap_or_default(),
        payload: events::encode(tenant, batch),
    }
}
