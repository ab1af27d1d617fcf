//! The promises about items, users and releases.

use std::sync::Arc;

use async_trait::async_trait;
use contracts::{Catalogue, Deadline, Failure, Profiles, Put, ReleaseControl, ServingRelease};
use service_runtime::TaskGroup;
use shared_models::{
    ItemId, ItemKey, ReleaseId, TenantId, Timestamp, UserId, UserKey,
    item::{DisplayItem, Item, Market},
    listener::{UserAttributes, UserSummary},
};

use super::{Service, by};
use crate::{
    catalog::{Change, Row},
    error::Error,
    profiles::summary,
    store::{Store, Written},
    worlds::World,
};

/// The most items of one call.
const MAX_ITEMS: usize = 10_000;
/// The most characters of a title or a name.
const MAX_CHARACTERS: usize = 1_000;
/// The most genres of an item.
const MAX_GENRES: usize = 64;
/// When to come back with fewer items.
const SMALLER: std::time::Duration = std::time::Duration::from_secs(1);

/// What is wrong with an item, when something is.
fn check(item: &Item) -> Result<(), Error> {
    let wrong = |field, given: String, expected| Err(Error::Item { id: item.id.clone(), field, given, expected });
    let long = |text: &str| text.chars().count() > MAX_CHARACTERS;
    if item.title.trim().is_empty() {
        return wrong("title", "empty".to_owned(), "a text a listener can read");
    }
    for (field, text) in [("title", Some(&item.title)), ("artist_name", item.artist_name.as_ref())] {
        if let Some(text) = text.filter(|text| long(text)) {
            return wrong(field, format!("{} characters", text.chars().count()), "at most 1000 characters");
        }
    }
    let texts = [("title", Some(&item.title)), ("artist_name", item.artist_name.as_ref())];
    let texts = texts.into_iter().chain(item.genres.iter().map(|genre| ("genres", Some(genre))));
    if let Some((field, _)) = texts.into_iter().find(|(_, text)| text.is_some_and(|text| text.contains('\0'))) {
        return wrong(field, "a NUL character".to_owned(), "text without NUL characters, which databases do not keep");
    }
    if item.genres.len() > MAX_GENRES {
        return wrong("genres", item.genres.len().to_string(), "at most 64");
    }
    if let Some(genre) = item.genres.iter().find(|genre| genre.is_empty() || long(genre)) {
        return wrong("genres", format!("{} characters", genre.chars().count()), "1 to 1000 characters each");
    }
    Ok(())
}

/// From so many changes on, the next state of a catalogue is made away from the async runtime's threads.
const HEAVY: usize = 64;

/// Writes items and then shows them. They are shown also where the store had them already: an earlier
/// call may have been cut off between the two.
async fn put(
    store: &dyn Store,
    world: &Arc<World>,
    tasks: &TaskGroup,
    items: Vec<Arc<Item>>,
    now: Timestamp,
) -> Result<Vec<Result<Put, Failure>>, Error> {
    let written = store.put_items(&world.tenant, &items, now).await?;
    let mut changes = Vec::new();
    let mut results = Vec::with_capacity(items.len());
    for (item, written) in items.into_iter().zip(written) {
        let put = match written {
            Written::Created => Put::Created,
            Written::Updated => Put::Updated,
            Written::Unchanged => Put::Unchanged,
            Written::KeyTaken => {
                results.push(Err(Error::KeyTaken { id: item.id.clone() }.into()));
                continue;
            }
        };
        results.push(Ok(put));
        changes.push(Change::Put(item));
    }
    if changes.len() < HEAVY {
        world.apply(changes);
    } else {
        let world = Arc::clone(world);
        tasks.blocking("show-items", move || world.apply(changes)).await.ok_or(Error::Background)?;
    }
    Ok(results)
}

/// Deletes an item and then hides it, also where the store no longer had it: an earlier call may have
/// been cut off between the two.
async fn delete(store: &dyn Store, world: &World, id: &ItemId) -> Result<bool, Error> {
    let was_there = store.delete_item(&world.tenant, id).await?;
    let key = ItemKey::of(id);
    // An id that shares its key with another item's must not hide that one.
    if world.catalogue.snapshot().find(key).is_some_and(|row| row.item.id == *id) {
        world.apply(vec![Change::Delete(key)]);
        world.trending.forget([key]);
    }
    Ok(was_there)
}

impl Service {
    /// The most played items of a market that may be played there; after them, so that the list is
    /// never short for want of a release, what is played now and what is new. It is for whoever asks,
    /// so that nothing explicit is on it: a listener who does not want that may see it.
    fn most_popular(world: &World, market: Market, limit: usize, now: Timestamp) -> Vec<DisplayItem> {
        let catalogue = world.catalogue.snapshot();
        let serving = world.serving();
        let popular = serving.iter().flat_map(|serving| {
            let here = serving.most_played_in(market, None);
            let everywhere = serving.popularity.as_ref().map_or(&[][..], |popularity| popularity.top());
            here.iter().chain(everywhere).filter_map(|(row, _)| serving.release.items.get(*row as usize).copied())
        });
        let trends = world.trending.trends();
        let newest = catalogue.newest().until(now).filter_map(|(_, slot)| Some(catalogue.row(slot)?.key));
        let rest = catalogue.rows().map(|row| row.key);
        let mut taken = rustc_hash::FxHashSet::default();
        popular
            .chain(trends.top(now).map(|(key, _)| key))
            .chain(newest)
            .chain(rest)
            .filter_map(|key| catalogue.find(key))
            .filter(|row| !row.explicit && row.is_available_in(market) && taken.insert(row.key))
            .map(Row::display)
            .take(limit)
            .collect()
    }
}

#[async_trait]
impl Catalogue for Service {
    async fn put_items(
        &self,
        tenant: &TenantId,
        items: Vec<Item>,
        deadline: Deadline,
    ) -> Result<Vec<Result<Put, Failure>>, Failure> {
        if items.len() > MAX_ITEMS {
            let error = Error::TooMany { given: items.len(), limit: MAX_ITEMS };
            return Err(Failure { retry_after: Some(SMALLER), ..error.into() });
        }
        let mut refused: Vec<Option<Failure>> = items.iter().map(|item| check(item).err().map(Failure::from)).collect();
        let sound = items
            .into_iter()
            .zip(&refused)
            .filter(|(_, refused)| refused.is_none())
            .map(|(item, _)| Arc::new(item))
            .collect();
        let world = self.world(tenant);
        let (store, tasks, now) = (Arc::clone(&self.store), self.tasks.clone(), self.clock.now());
        let shown = Arc::clone(&world);
        let work = move |turn| async move {
            let _turn = turn;
            put(store.as_ref(), &shown, &tasks, sound, now).await
        };
        let mut written = self.write("put-items", &world, deadline, work).await?.into_iter();
        Ok(refused
            .iter_mut()
            .map(|refused| match refused.take() {
                Some(refused) => Err(refused),
                // There is one result for each item that was not refused.
                None => written.next().unwrap_or_else(|| Err(Error::Background.into())),
            })
            .collect())
    }

    async fn item(&self, tenant: &TenantId, id: &ItemId, _: Deadline) -> Result<Item, Failure> {
        let catalogue = self.world(tenant).catalogue.snapshot();
        let found = catalogue.find(ItemKey::of(id)).filter(|row| row.item.id == *id);
        found.map(|row| Item::clone(&row.item)).ok_or_else(|| Error::NoItem { id: id.clone() }.into())
    }

    async fn delete_item(&self, tenant: &TenantId, id: &ItemId, deadline: Deadline) -> Result<bool, Failure> {
        let world = self.world(tenant);
        let (store, shown, id) = (Arc::clone(&self.store), Arc::clone(&world), id.clone());
        let work = move |turn| async move {
            let _turn = turn;
            delete(store.as_ref(), &shown, &id).await
        };
        self.write("delete-item", &world, deadline, work).await
    }

    async fn display(&self, tenant: &TenantId, keys: &[ItemKey], _: Deadline) -> Result<Vec<DisplayItem>, Failure> {
        let catalogue = self.world(tenant).catalogue.snapshot();
        Ok(keys.iter().filter_map(|key| catalogue.display(*key)).collect())
    }

    async fn list_items(
        &self,
        tenant: &TenantId,
        after: Option<ItemId>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Vec<Item>, Failure> {
        by(deadline, async { Ok(self.store.items_after(tenant, after.as_ref(), limit.clamp(1, MAX_ITEMS)).await?) })
            .await
    }

    async fn popular(
        &self,
        tenant: &TenantId,
        market: Market,
        limit: usize,
        _: Deadline,
    ) -> Result<Vec<DisplayItem>, Failure> {
        Ok(Self::most_popular(&self.world(tenant), market, limit.min(MAX_ITEMS), self.clock.now()))
    }
}

#[async_trait]
impl Profiles for Service {
    async fn user(&self, tenant: &TenantId, id: &UserId, deadline: Deadline) -> Result<UserSummary, Failure> {
        let world = self.world(tenant);
        let key = UserKey::of(id);
        let (known, _) = self.listeners.read(&world, key, deadline).await.map_err(Error::from)?;
        if known.version == 0 && known.attributes.is_none() {
            return Err(Error::NoUser.into());
        }
        let default = UserAttributes { id: id.clone(), market: None, explicit_allowed: true, updated_at: Timestamp(0) };
        Ok(summary(&known.profile, known.attributes.clone().unwrap_or(default), self.clock.now()))
    }

    async fn put_user(&self, tenant: &TenantId, attributes: UserAttributes, deadline: Deadline) -> Result<(), Failure> {
        let world = self.world(tenant);
        let (store, memory, listeners) = (Arc::clone(&self.store), self.memory.clone(), self.listeners.clone());
        let shown = Arc::clone(&world);
        let work = move |turn| async move {
            let _turn = turn;
            // In memory before it is written: no reader can then put what it read before over it.
            listeners.read(&shown, UserKey::of(&attributes.id), deadline).await?;
            store.put_user(&shown.tenant, &attributes).await?;
            memory.tell(shown.number, attributes);
            Ok(())
        };
        self.write("put-user", &world, deadline, work).await
    }
}

#[async_trait]
impl ReleaseControl for Service {
    async fn status(&self, tenant: &TenantId, deadline: Deadline) -> Result<ServingRelease, Failure> {
        let world = self.world(tenant);
        // The watch answers after the release that it is looking at, which may take seconds.
        let look = move || ServingRelease {
            live: world.serving().map(|serving| serving.id().clone()),
            previous: world.previous(),
            since: world.watch().status().since,
        };
        by(deadline, async { self.tasks.blocking("release-status", look).await.ok_or(Error::Background) }).await
    }

    async fn activate(&self, tenant: &TenantId, id: &ReleaseId, deadline: Deadline) -> Result<(), Failure> {
        let (world, id) = (self.world(tenant), id.clone());
        // Past the deadline the load goes on and may still swap: the caller asks `status`.
        by(deadline, async {
            self.tasks.blocking("activate-release", move || world.activate(&id)).await.ok_or(Error::Background)?
        })
        .await
    }
}
