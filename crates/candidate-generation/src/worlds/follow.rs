//! Following what other processes write to a shared store: their catalogues, and what they counted. It must not know
//! how a store tells.

use std::{sync::Arc, time::Duration};

use service_runtime::TaskGroup;
use shared_models::{ItemKey, Timestamp};

use super::{World, Worlds};
use crate::{
    catalog::Change,
    error::Error,
    store::{ItemChange, Shared},
};

/// Changes read at once.
const PAGE: usize = 5_000;
/// From so many changes on, the next state of a catalogue is made away from the async runtime's threads.
const HEAVY: usize = 64;
/// After the last key of a version.
const LAST: ItemKey = ItemKey(i64::MAX as u64);

/// Brings every catalogue in memory up to the store's; how many items changed.
pub(crate) async fn catalogues(shared: &dyn Shared, worlds: &Worlds, tasks: &TaskGroup) -> Result<usize, Error> {
    let mut changed = 0;
    for (tenant, version) in shared.catalogue_versions().await? {
        let world = worlds.of(&tenant);
        if world.version() < version {
            changed += catch_up(shared, &world, version, tasks).await?;
        }
    }
    Ok(changed)
}

/// Reads what changed since the version in memory. Nobody writes through this process meanwhile, so that what was
/// read before a write never covers it.
async fn catch_up(shared: &dyn Shared, world: &Arc<World>, version: i64, tasks: &TaskGroup) -> Result<usize, Error> {
    let _turn = world.writing.lock().await;
    let mut changed = 0;
    let mut after = (world.version(), LAST);
    loop {
        let found = shared.catalogue_changes(&world.tenant, after, PAGE).await?;
        let Some(last) = found.last() else { break };
        let full = found.len() == PAGE;
        after = (last.version, last.key);
        changed += found.len();
        if found.len() < HEAVY {
            show(world, found);
        } else {
            let world = Arc::clone(world);
            tasks.blocking("show-items", move || show(&world, found)).await.ok_or(Error::Background)?;
        }
        if !full {
            break;
        }
    }
    world.reached(version.max(after.0));
    Ok(changed)
}

fn show(world: &World, found: Vec<ItemChange>) {
    let gone: Vec<ItemKey> = found.iter().filter(|change| change.item.is_none()).map(|change| change.key).collect();
    let changes = found.into_iter().map(|change| change.item.map_or(Change::Delete(change.key), Change::Put));
    world.apply(changes.collect());
    world.trending.forget(gone);
}

/// Gives the store what was counted here of a tenant, and takes in what all processes counted since a moment; the
/// moment to ask from next time.
pub(crate) async fn trends(
    shared: &dyn Shared,
    world: &World,
    half_life: Duration,
    since: Timestamp,
) -> Result<Timestamp, crate::store::Error> {
    let unsaved = world.trending.take_unsaved();
    match shared.exchange_trends(&world.tenant, &unsaved.added, &unsaved.forgotten, half_life, since).await {
        Ok(exchange) => {
            world.trending.replace(&exchange.counts);
            Ok(exchange.as_of)
        }
        Err(error) => {
            world.trending.put_back(&unsaved);
            Err(error)
        }
    }
}
