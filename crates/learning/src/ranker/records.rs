//! Examples from recommendation records: the cards of answers that were seen, joined by the answer's id and the card's
//! place with what the listener then did.
//!
//! What stood on a page and was not seen is no example: nobody said no to it. It must not know the archive's files, nor the
//! model. **Invariant:** a row sees nothing that happened at or after the moment its answer was asked for.

use std::{sync::Arc, time::Duration};

use candidate_generation::profiles::{Profile, counted_at};
use rand::RngExt;
use ranking::features::COLUMNS;
use rayon::prelude::*;
use releases::Release;
use rustc_hash::FxHashMap;
use shared_models::{
    ItemKey, TenantId, Timestamp, UserId, UserKey,
    component::Action,
    event::{Event, EventKind},
    item::Market,
};
use uuid::Uuid;

use super::{
    ACTIONS, Place, Rows, Settings, Source,
    facts::{Catalogue, Popularities},
    moment::action_of,
    scene::{Asker, Scene},
    trend::Trends,
};
use crate::{archive::ShownRow, progress::Stage};

/// For how long after a card was seen an action that names its answer still counts as the card's doing, in the order of
/// `Action::ALL`: what is played is begun soon, and may go on for long; who likes something may come back for it.
pub const WINDOWS: [Duration; ACTIONS] = [
    Duration::from_secs(30 * 60),
    Duration::from_secs(3 * 3_600),
    Duration::from_secs(24 * 3_600),
    Duration::from_secs(3 * 3_600),
];

/// One answer to one listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The answer.
    pub id: Uuid,
    /// When it was asked for.
    pub at: Timestamp,
    /// Who asked.
    pub user: UserId,
    /// Where.
    pub market: Market,
    /// On what.
    pub device: String,
    /// The cards, in the order of the page.
    pub cards: Vec<Card>,
}

/// A card as it stood on a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// The item.
    pub item: ItemKey,
    /// Its shelf.
    pub shelf: Arc<str>,
    /// Where the shelf stood, from 0.
    pub shelf_position: u16,
    /// Where the card stood on it, from 0.
    pub position: u16,
}

/// What a join found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// Answers that listeners got.
    pub answers: usize,
    /// Cards on them.
    pub cards: usize,
    /// Those that were seen.
    pub seen: usize,
    /// Those that something was done with in time, by action.
    pub acted: [usize; ACTIONS],
    /// Events that name an answer and none of its cards, or another place than the card had.
    pub astray: usize,
    /// Actions that came after their window.
    pub late: usize,
}

impl Joined {
    fn and(mut self, other: &Self) -> Self {
        self.answers += other.answers;
        self.cards += other.cards;
        self.seen += other.seen;
        self.acted.iter_mut().zip(other.acted).for_each(|(sum, more)| *sum += more);
        self.astray += other.astray;
        self.late += other.late;
        self
    }
}

/// The answers behind rows of the archive, in the order in which they were asked for. Those to nobody that is known, and
/// rows without a card, are left out.
#[must_use]
pub fn of(rows: &[ShownRow]) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    let mut shelves: FxHashMap<&str, Arc<str>> = FxHashMap::default();
    for row in rows {
        let Some(card) = &row.card else { continue };
        let Ok(id) = Uuid::parse_str(&row.answer.recommendation) else { continue };
        let Some(user) = row.answer.user.as_ref().and_then(|user| UserId::new(user.clone()).ok()) else { continue };
        let place = |place: u32| u16::try_from(place).unwrap_or(u16::MAX);
        let card = Card {
            item: card.item,
            shelf: Arc::clone(shelves.entry(&card.shelf).or_insert_with(|| Arc::from(card.shelf.as_str()))),
            shelf_position: place(card.shelf_position),
            position: place(card.position),
        };
        match records.last_mut() {
            Some(last) if last.id == id => last.cards.push(card),
            _ => records.push(Record {
                id,
                at: row.answer.requested_at,
                user,
                market: row.answer.market.as_deref().and_then(Market::parse).unwrap_or_default(),
                device: row.answer.device.clone().unwrap_or_default(),
                cards: vec![card],
            }),
        }
    }
    records.sort_by(|a, b| a.at.cmp(&b.at).then_with(|| a.id.cmp(&b.id)));
    records
}

/// What a join needs.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// Whose records.
    pub tenant: &'a TenantId,
    /// The answers.
    pub records: &'a [Record],
    /// All events of the listeners who got them, in time order.
    pub events: &'a [Event],
    /// All listeners' plays of the items among them.
    pub trends: &'a Trends,
    /// The catalogue.
    pub catalogue: &'a Catalogue,
    /// The release whose factors and popularity the features are of: one of what was known before the records.
    pub release: &'a Release,
}

/// Joins records with events: one row for each card that was seen, in the order of their answers. The rows do not depend
/// on the number of threads.
#[must_use]
pub fn join(input: Input<'_>, settings: &Settings, stage: &dyn Stage) -> (Rows, Joined) {
    let mut events_of: FxHashMap<&UserId, Vec<&Event>> = FxHashMap::default();
    let mut records_of: FxHashMap<&UserId, Vec<&Record>> = FxHashMap::default();
    for record in input.records {
        records_of.entry(&record.user).or_default().push(record);
    }
    for event in input.events {
        if records_of.contains_key(&event.user) {
            events_of.entry(&event.user).or_default().push(event);
        }
    }
    let asker = Asker {
        tenant: input.tenant,
        catalogue: input.catalogue,
        release: input.release,
        trends: input.trends,
        popularities: Popularities::of(input.release),
        seed: settings.seed,
    };
    let cards: usize = input.records.iter().map(|record| record.cards.len()).sum();
    let joiner =
        Joiner { asker, catalogue: input.catalogue, keep: settings.rows as f64 / cards.max(1) as f64, settings };
    let mut listeners: Vec<(&UserId, Vec<&Record>)> = records_of.into_iter().collect();
    listeners.sort_unstable_by_key(|(user, _)| *user);
    let (pages, joined): (Vec<Vec<Page>>, Vec<Joined>) = listeners
        .into_par_iter()
        .map(|(user, records)| {
            stage.advance(records.len() as u64);
            joiner.listener(user, &records, events_of.get(user).map_or(&[][..], Vec::as_slice))
        })
        .unzip();
    let mut pages: Vec<Page> = pages.into_iter().flatten().collect();
    pages.sort_by_key(|page| page.at);
    let mut rows = Rows { pages: pages.len(), ..Rows::none(Source::Records) };
    for (number, page) in (0..).zip(pages) {
        for ((features, labels), place) in page.features.chunks_exact(COLUMNS).zip(page.labels).zip(page.places) {
            rows.add(features, labels, Some(Place { page: number, ..place }));
        }
    }
    (rows, joined.iter().fold(Joined::default(), Joined::and))
}

/// The seen cards of one answer.
struct Page {
    at: Timestamp,
    features: Vec<f32>,
    labels: Vec<[bool; ACTIONS]>,
    places: Vec<Place>,
}

struct Joiner<'a> {
    asker: Asker<'a>,
    catalogue: &'a Catalogue,
    /// The share of answers that become rows.
    keep: f64,
    settings: &'a Settings,
}

impl Joiner<'_> {
    /// The answers of one listener, both lists in time order.
    fn listener(&self, user: &UserId, records: &[&Record], events: &[&Event]) -> (Vec<Page>, Joined) {
        let mut on: FxHashMap<Uuid, Vec<&Event>> = FxHashMap::default();
        for event in events {
            if let Some(id) = event.recommendation {
                on.entry(id).or_default().push(event);
            }
        }
        let mut random = self.settings.seed.stream(&format!("records/{user}"));
        let (mut profile, mut folded) = (Profile::default(), 0);
        let (mut pages, mut joined) = (Vec::new(), Joined::default());
        for record in records {
            while let Some(event) = events.get(folded).filter(|event| counted_at(event) < record.at) {
                profile.apply(event, &self.catalogue.for_fold(event.item_key()));
                folded += 1;
            }
            joined.answers += 1;
            joined.cards += record.cards.len();
            // The draw is made for every answer, so that its outcome is the same whatever became of others.
            let is_drawn = random.random::<f64>() < self.keep;
            let seen = seen(record, on.get(&record.id).map_or(&[][..], Vec::as_slice), &mut joined);
            if is_drawn && !seen.is_empty() {
                pages.push(self.page(record, &profile, &seen));
            }
        }
        (pages, joined)
    }

    fn page(&self, record: &Record, profile: &Profile, seen: &[(usize, [bool; ACTIONS])]) -> Page {
        let cards = || seen.iter().filter_map(|(card, labels)| Some((record.cards.get(*card)?, labels)));
        let items: Vec<ItemKey> = cards().map(|(card, _)| card.item).collect();
        let scene = Scene { at: record.at, recommendation: None, market: record.market, device: &record.device };
        let place = |card: &Card| Place {
            page: 0,
            position: card.position,
            shelf: card.shelf_position,
            user: UserKey::of(&record.user),
            item: card.item,
        };
        Page {
            at: record.at,
            features: self.asker.features(profile, &scene, &items),
            labels: cards().map(|(_, labels)| *labels).collect(),
            places: cards().map(|(card, _)| place(card)).collect(),
        }
    }
}

/// The cards of an answer that were seen, in its order, with what was done with each in time. Who does something with a
/// card has seen it, whether or not the client said so.
fn seen(record: &Record, events: &[&Event], joined: &mut Joined) -> Vec<(usize, [bool; ACTIONS])> {
    let mut first: Vec<Option<Timestamp>> = vec![None; record.cards.len()];
    let mut acts: Vec<(usize, Action, Timestamp)> = Vec::new();
    for event in events {
        let Some(card) = record.cards.iter().position(|card| is_of(event, card)) else {
            joined.astray += 1;
            continue;
        };
        let (at, action) = (counted_at(event), action_of(&event.kind));
        if action.is_none() && event.kind != EventKind::Impression {
            continue;
        }
        if let Some(first) = first.get_mut(card) {
            *first = Some(first.map_or(at, |first| first.min(at)));
        }
        acts.extend(action.map(|action| (card, action, at)));
    }
    let mut labels = vec![[false; ACTIONS]; record.cards.len()];
    for (card, action, at) in acts {
        let since = first.get(card).copied().flatten().map_or(Duration::ZERO, |first| at.since(first));
        let Some(labels) = labels.get_mut(card) else { continue };
        if since <= WINDOWS[action as usize] {
            labels[action as usize] = true;
            // Who completes or skips has played, whether or not the client said so.
            labels[Action::Play as usize] |= matches!(action, Action::Complete | Action::Skip);
        } else {
            joined.late += 1;
        }
    }
    let seen: Vec<(usize, [bool; ACTIONS])> =
        labels.into_iter().enumerate().zip(first).filter_map(|(row, first)| first.map(|_| row)).collect();
    joined.seen += seen.len();
    for (_, labels) in &seen {
        joined.acted.iter_mut().zip(labels).for_each(|(count, acted)| *count += usize::from(*acted));
    }
    seen
}

/// Whether an event is on a card: on its item, and at its place as far as the event says where.
fn is_of(event: &Event, card: &Card) -> bool {
    event.item_key() == card.item
        && event.shelf.as_deref().is_none_or(|shelf| shelf == &*card.shelf)
        && event.position.is_none_or(|position| position == card.position)
}

#[cfg(test)]
mod tests {
    use shared_models::{EventId, ItemId};

    use super::*;

    const AT: i64 = 1_780_000_000_000;

    fn event(seconds: i64, kind: EventKind, item: &str, place: Option<(&str, u16)>) -> Event {
        Event {
            id: EventId::new(format!("{seconds}-{item}")).unwrap(),
            user: UserId::new("ann").unwrap(),
            kind,
            item: ItemId::new(item).unwrap(),
            occurred_at: Timestamp(AT + seconds * 1_000),
            received_at: Timestamp(AT + seconds * 1_000),
            ms_played: None,
            recommendation: Some(Uuid::from_u128(1)),
            shelf: place.map(|(shelf, _)| shelf.to_owned()),
            position: place.map(|(_, position)| position),
            session: None,
            device: None,
            market: None,
        }
    }

    fn record() -> Record {
        let card = |n: u16| Card {
            item: ItemKey::of(&ItemId::new(format!("t{n}")).unwrap()),
            shelf: Arc::from("mixes"),
            shelf_position: 1,
            position: n,
        };
        Record {
            id: Uuid::from_u128(1),
            at: Timestamp(AT),
            user: UserId::new("ann").unwrap(),
            market: Market::default(),
            device: String::new(),
            cards: (0..5).map(card).collect(),
        }
    }

    #[test]
    fn what_was_not_seen_is_no_example_and_each_action_has_its_window() {
        let hour = 3_600;
        let told = [
            event(1, EventKind::Impression, "t0", Some(("mixes", 0))),
            event(1, EventKind::Impression, "t1", Some(("mixes", 1))),
            event(30, EventKind::Play, "t1", None),
            event(200, EventKind::Complete, "t1", Some(("mixes", 1))),
            // Half an hour is over, a day is not.
            event(hour, EventKind::Play, "t0", None),
            event(2 * hour, EventKind::Like, "t0", None),
            // Nobody said that this one was seen, and yet it was skipped.
            event(40, EventKind::Skip, "t3", Some(("mixes", 3))),
            // Of another place, of another shelf, of no card, and of nothing that a scorer predicts.
            event(50, EventKind::Play, "t4", Some(("mixes", 0))),
            event(51, EventKind::Play, "t4", Some(("fresh", 4))),
            event(52, EventKind::Play, "t9", None),
            event(53, EventKind::Share, "t2", None),
        ];
        let mut joined = Joined::default();
        let seen = seen(&record(), &told.iter().collect::<Vec<_>>(), &mut joined);
        let [play, complete, like, skip] =
            [Action::Play, Action::Complete, Action::Like, Action::Skip].map(|a| a as usize);
        let with = |actions: &[usize]| {
            let mut labels = [false; ACTIONS];
            actions.iter().for_each(|action| labels[*action] = true);
            labels
        };
        assert_eq!(seen, [(0, with(&[like])), (1, with(&[play, complete])), (3, with(&[play, skip]))]);
        assert_eq!((joined.seen, joined.astray, joined.late, joined.acted[play]), (3, 3, 1, 2));
    }
}
