//! One transaction: claim, load, fold, save, commit, publish.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};
use shared_models::{
    TenantId, Timestamp, UserKey,
    event::{Event, EventKind},
};

use super::{
    Intake,
    aside::{Aside, Whose},
    batch::Message,
};
use crate::{
    catalog::Snapshot,
    index::Serving,
    profiles::{ItemFactsForFold, Profile, counted_at, memory::ServingProfile},
    store::{self, EventKey, Folding, NextProfile, encode},
    worlds::{Counted, World},
};

/// Above this many events folding leaves the async runtime's threads.
const HEAVY: usize = 128;
/// A play that comes later after the impression did not follow from it.
const TAKEN_WITHIN: Duration = Duration::from_secs(86_400);
/// Up to this many listeners get their vectors before anybody asks; a backlog's are folded when asked for.
const EAGER: usize = 64;

/// How many events a transaction folded, and how many it found folded before.
pub(super) struct Folded {
    pub(super) fresh: usize,
    pub(super) repeated: usize,
}

/// Why a transaction was dropped.
pub(super) enum Dropped {
    /// The store failed.
    Store(store::Error),
    /// These profiles do not read back; nothing else is wrong.
    Unreadable(Vec<Whose>),
}

impl From<store::Error> for Dropped {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

/// One listener's fresh events, in stream order, and what was known before.
struct Job {
    user: UserKey,
    known: Arc<ServingProfile>,
    events: Vec<Event>,
}

/// One listener's next profile, for the store and for memory.
struct Next {
    stored: NextProfile,
    serving: ServingProfile,
    /// What the listener played of what they were shown.
    taken: Vec<Counted>,
}

/// What waits for the commit.
struct Pending {
    world: Arc<World>,
    next: Vec<(UserKey, ServingProfile)>,
    plays: Vec<Counted>,
    shown: Vec<Counted>,
    taken: Vec<Counted>,
    oldest_receipt: Option<Timestamp>,
}

pub(super) async fn fold(intake: &Intake, messages: &[&Message], aside: &Aside) -> Result<Folded, Dropped> {
    let mut of_tenants: BTreeMap<&TenantId, Vec<&Message>> = BTreeMap::new();
    for message in messages {
        of_tenants.entry(&message.tenant).or_default().push(message);
    }
    let now = intake.clock.now();
    let mut tx = intake.store.begin(intake.lease.as_ref()).await?;
    let mut pending = Vec::with_capacity(of_tenants.len());
    let mut folded = Folded { fresh: 0, repeated: 0 };
    for (tenant, messages) in of_tenants {
        let given: usize = messages.iter().map(|message| message.events.len() - aside.events_of(message)).sum();
        let fresh = claim(tx.as_mut(), tenant, &messages, aside, now).await?;
        folded.fresh += fresh.len();
        folded.repeated += given - fresh.len();
        if fresh.is_empty() {
            continue;
        }
        let world = intake.worlds.of(tenant);
        // Anybody may name any item: only those of the catalogue can trend.
        let catalogue = world.catalogue.snapshot();
        let of = |kind: EventKind| -> Vec<Counted> {
            fresh
                .iter()
                .filter(|event| event.kind == kind && catalogue.find(event.item_key()).is_some())
                .map(|event| (event.item_key(), 1.0, counted_at(event)))
                .collect()
        };
        let (plays, shown) = (of(EventKind::Play), of(EventKind::Impression));
        let oldest_receipt = fresh.iter().map(|event| event.received_at).min();
        let jobs = load(intake, tx.as_mut(), &world, fresh).await?;
        let mut next = apply(intake, &world, catalogue, jobs).await;
        let taken = next.iter_mut().flat_map(|next| std::mem::take(&mut next.taken)).collect();
        let (stored, next): (Vec<NextProfile>, Vec<(UserKey, ServingProfile)>) = next
            .into_iter()
            .map(|next| (next.stored.user, next))
            .map(|(user, next)| (next.stored, (user, next.serving)))
            .unzip();
        tx.save(tenant, &stored, now).await?;
        pending.push(Pending { world, next, plays, shown, taken, oldest_receipt });
    }
    tx.commit().await?;
    for Pending { world, next, plays, shown, taken, oldest_receipt } in pending {
        for (user, profile) in next {
            intake.memory.publish(world.number, user, profile);
        }
        world.trending.add(plays);
        world.shown_and_taken(shown, taken);
        if let Some(received_at) = oldest_receipt {
            intake.metrics.fresh(intake.clock.now().since(received_at));
        }
    }
    Ok(folded)
}

/// The events of these messages that were never folded, in order, without those of profiles that are set
/// aside. A message with such events does not have its position taken: it is to come again whole, and then
/// the ids of its events tell what was folded.
async fn claim(
    tx: &mut dyn Folding,
    tenant: &TenantId,
    messages: &[&Message],
    aside: &Aside,
    now: Timestamp,
) -> Result<Vec<Event>, store::Error> {
    let whole: Vec<bool> = messages.iter().map(|message| aside.events_of(message) == 0).collect();
    let of_whole = messages.iter().zip(&whole).filter(|(_, whole)| **whole);
    let positions: Vec<_> = of_whole.map(|(message, _)| message.position.clone()).collect();
    let mut is_new = tx.claim_positions(tenant, &positions, now).await?.into_iter();
    let mut seen = FxHashSet::default();
    let mut keys = Vec::new();
    let mut events = Vec::new();
    for (message, whole) in messages.iter().zip(whole) {
        // There is one answer for each position that was claimed.
        if whole && !is_new.next().unwrap_or(false) {
            continue;
        }
        for event in &message.events {
            let user = UserKey::of(&event.user);
            let key = (user, EventKey::of(&event.id));
            if !aside.holds(tenant, user) && seen.insert(key) {
                keys.push(key);
                events.push(event);
            }
        }
    }
    let is_new = tx.claim_events(tenant, &keys, now).await?;
    Ok(events.into_iter().zip(is_new).filter(|(_, is_new)| *is_new).map(|(event, _)| event.clone()).collect())
}

/// Brings each listener's events together with what is known: in memory, else in the store.
async fn load(intake: &Intake, tx: &mut dyn Folding, world: &World, events: Vec<Event>) -> Result<Vec<Job>, Dropped> {
    let mut of_users: FxHashMap<UserKey, usize> = FxHashMap::default();
    let mut jobs: Vec<(UserKey, Vec<Event>)> = Vec::new();
    for event in events {
        let user = UserKey::of(&event.user);
        let at = *of_users.entry(user).or_insert_with(|| {
            jobs.push((user, Vec::new()));
            jobs.len() - 1
        });
        if let Some((_, events)) = jobs.get_mut(at) {
            events.push(event);
        }
    }
    let mut known: FxHashMap<UserKey, Arc<ServingProfile>> =
        jobs.iter().filter_map(|(user, _)| Some((*user, intake.memory.find(world.number, *user)?))).collect();
    let missing: Vec<UserKey> = jobs.iter().map(|(user, _)| *user).filter(|user| !known.contains_key(user)).collect();
    let mut unreadable = Vec::new();
    for (user, stored) in tx.users(&world.tenant, &missing).await? {
        match stored {
            Ok(stored) => {
                let read = ServingProfile::new(stored.version, stored.profile, stored.attributes);
                known.insert(user, Arc::new(read));
            }
            Err(error @ store::Error::Corrupt { .. }) => {
                let detail = service_runtime::tasks::chain(&error);
                unreadable.push(Whose { tenant: world.tenant.clone(), user, detail });
            }
            Err(error) => return Err(error.into()),
        }
    }
    if !unreadable.is_empty() {
        return Err(Dropped::Unreadable(unreadable));
    }
    Ok(jobs
        .into_iter()
        .map(|(user, events)| Job { user, known: known.remove(&user).unwrap_or_default(), events })
        .collect())
}

/// Folds the events in. Much at once goes to all processors, away from the async runtime.
async fn apply(intake: &Intake, world: &World, catalogue: Arc<Snapshot>, jobs: Vec<Job>) -> Vec<Next> {
    let serving = if jobs.len() <= EAGER { world.serving() } else { None };
    if jobs.iter().map(|job| job.events.len()).sum::<usize>() <= HEAVY {
        return jobs.iter().map(|job| next(job, &catalogue, serving.as_deref())).collect();
    }
    let jobs = Arc::new(jobs);
    let work = {
        let (jobs, catalogue, serving) = (Arc::clone(&jobs), Arc::clone(&catalogue), serving.clone());
        move || jobs.par_iter().map(|job| next(job, &catalogue, serving.as_deref())).collect::<Vec<_>>()
    };
    match intake.tasks.blocking("fold-events", work).await {
        Some(next) => next,
        // Only a panic leads here, and it has been logged; here it is this batch's alone.
        None => jobs.iter().map(|job| next(job, &catalogue, serving.as_deref())).collect(),
    }
}

fn next(job: &Job, catalogue: &Snapshot, serving: Option<&Serving>) -> Next {
    let mut profile = job.known.profile.clone();
    let mut taken = Vec::new();
    for event in &job.events {
        let row = catalogue.find(event.item_key());
        // Anybody may name any item: only those of the catalogue are counted.
        if row.is_some() && takes_what_was_shown(&profile, event) {
            taken.push((event.item_key(), 1.0, counted_at(event)));
        }
        let facts = row
            .map_or_else(ItemFactsForFold::default, |row| ItemFactsForFold { artist: row.artist, genres: &row.genres });
        profile.apply(event, &facts);
    }
    let version = job.known.version + 1;
    let stored = NextProfile { user: job.user, version, blob: encode(&profile) };
    let next = ServingProfile::new(version, profile, job.known.attributes.clone());
    if let Some(serving) = serving {
        // Asked for here, it stands ready when the next page asks.
        let _ready = next.vector(&serving.release);
    }
    Next { stored, serving: next, taken }
}

/// Whether an event is the first play of an item since it was last shown, within a day.
fn takes_what_was_shown(profile: &Profile, event: &Event) -> bool {
    if event.kind != EventKind::Play {
        return false;
    }
    let (key, at) = (event.item_key(), counted_at(event));
    let last_played = profile.items.of(key).and_then(|item| item.last_played);
    profile.impressions.last(key).is_some_and(|shown| {
        shown <= at && at.since(shown) <= TAKEN_WITHIN && last_played.is_none_or(|played| played < shown)
    })
}
