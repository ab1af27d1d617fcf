//! All events as a table of who did what to which row of the release, listener by listener and in time order, in sixteen
//! bytes each. How it is filled; what is computed from it stands in `matrix`.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use shared_models::{
    ItemKey, Timestamp, UserKey,
    item::{Item, Market},
};

use crate::{
    archive,
    events::{Events, Glance, Kind},
    progress::Progress,
};

/// Into how many parts listeners are divided while their events are put in order, each part by itself.
const PARTS: usize = 64;

/// One interaction with an item that is played, or a card of an item of the catalogue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Touch {
    pub(super) at: Timestamp,
    pub(super) item: u32,
    pub(super) market: Market,
    pub(super) kind: Kind,
    /// Whether an answer showed the card that it happened on.
    pub(super) answered: bool,
}

/// The interactions with items of the catalogue.
pub(super) struct Table {
    /// The release's items, ascending.
    pub(super) items: Vec<ItemKey>,
    /// Who has a touch, ascending.
    pub(super) users: Vec<UserKey>,
    /// Where each user's touches begin, and where the last one's end.
    offsets: Vec<usize>,
    /// User by user, each one's in time order.
    touches: Vec<Touch>,
    /// Cards that were shown, in no order.
    shown: Vec<Touch>,
    /// Plays of items that the catalogue does not hold.
    pub(super) strangers: Vec<(ItemKey, Timestamp)>,
    pub(super) plays: u64,
    /// Events on items that the catalogue does not hold.
    pub(super) unknown: u64,
    /// Events on items that nobody plays, such as follows of artists: they count for profiles only.
    pub(super) unplayed: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
}

/// An event on its way into the table.
#[derive(Clone, Copy)]
struct Raw {
    at: Timestamp,
    id: u64,
    user: UserKey,
    /// Past the catalogue's rows stand the items that it does not hold.
    item: u32,
    market: Market,
    kind: Kind,
    answered: bool,
}

/// Items that events name and the catalogue does not hold.
#[derive(Default)]
struct Strangers {
    rows: FxHashMap<ItemKey, u32>,
    keys: Vec<ItemKey>,
}

impl Strangers {
    fn row(&mut self, key: ItemKey) -> u32 {
        let next = self.keys.len() as u32;
        *self.rows.entry(key).or_insert_with(|| {
            self.keys.push(key);
            next
        })
    }
}

/// What a part of the listeners comes to.
#[derive(Default)]
struct Part {
    rows: Vec<Raw>,
    shown: Vec<Touch>,
    strangers: Vec<(u32, Timestamp)>,
    unknown: u64,
    span: Option<(Timestamp, Timestamp)>,
}

impl Table {
    /// Reads all events, counting each once.
    pub(super) fn of(items: &[Item], events: &dyn Events, progress: &dyn Progress) -> Result<Self, archive::Error> {
        let mut keys: Vec<ItemKey> = items.iter().map(Item::key).collect();
        keys.sort_unstable();
        keys.dedup();
        let rows: FxHashMap<ItemKey, u32> = keys.iter().enumerate().map(|(row, key)| (*key, row as u32)).collect();
        let known = keys.len() as u32;
        let strangers: Mutex<Strangers> = Mutex::default();
        let parts: Vec<Mutex<Vec<Vec<Raw>>>> = (0..PARTS).map(|_| Mutex::default()).collect();
        let look = |glances: &[Glance]| {
            let mut of_parts: Vec<Vec<Raw>> = vec![Vec::new(); PARTS];
            for Glance { at, id, user, item, kind, market, answered } in glances.iter().copied() {
                let item = rows.get(&item).copied().unwrap_or_else(|| known + strangers.lock().row(item));
                // The high bits: the parts follow each other in the order of users.
                of_parts[(user.0 >> (u64::BITS - PARTS.ilog2())) as usize].push(Raw {
                    at,
                    id,
                    user,
                    item,
                    market,
                    kind,
                    answered,
                });
            }
            for (part, mut raw) in parts.iter().zip(of_parts).filter(|(_, raw)| !raw.is_empty()) {
                raw.shrink_to_fit();
                part.lock().push(raw);
            }
        };
        events.each(&look, progress)?;
        let is_played: Vec<AtomicBool> = keys.iter().map(|_| AtomicBool::new(false)).collect();
        let parts: Vec<Part> = parts.into_par_iter().map(|raw| Part::of(raw.into_inner(), known, &is_played)).collect();
        Ok(Self::joined(keys, parts, &is_played, &strangers.into_inner().keys))
    }

    fn joined(items: Vec<ItemKey>, parts: Vec<Part>, is_played: &[AtomicBool], strangers: &[ItemKey]) -> Self {
        let most = parts.iter().map(|part| part.rows.len()).sum();
        let spans = || parts.iter().filter_map(|part| part.span);
        let mut table = Self {
            items,
            users: Vec::new(),
            offsets: vec![0],
            touches: Vec::with_capacity(most),
            shown: Vec::new(),
            strangers: Vec::new(),
            plays: 0,
            unknown: 0,
            unplayed: 0,
            first: spans().map(|span| span.0).min().unwrap_or_default(),
            last: spans().map(|span| span.1).max().unwrap_or_default(),
        };
        table.shown.reserve_exact(parts.iter().map(|part| part.shown.len()).sum());
        for part in parts {
            table.shown.extend(part.shown);
            table.unknown += part.unknown;
            let stranger = |(row, at): (u32, Timestamp)| Some((*strangers.get(row as usize)?, at));
            table.strangers.extend(part.strangers.into_iter().filter_map(stranger));
            for Raw { at, user, item, market, kind, answered, .. } in part.rows {
                if !is_played[item as usize].load(Ordering::Relaxed) {
                    table.unplayed += 1;
                    continue;
                }
                if table.users.last() != Some(&user) {
                    table.users.push(user);
                    table.offsets.push(table.touches.len());
                }
                table.plays += u64::from(kind == Kind::PLAY);
                table.touches.push(Touch { at, item, market, kind, answered });
                if let Some(end) = table.offsets.last_mut() {
                    *end = table.touches.len();
                }
            }
        }
        table.touches.shrink_to_fit();
        table
    }

    /// The items alone: everything else makes room.
    pub(super) fn into_items(self) -> Vec<ItemKey> {
        self.items
    }

    /// How many touches there are.
    pub(super) fn len(&self) -> usize {
        self.touches.len()
    }

    /// How many cards were shown.
    pub(super) fn impressions(&self) -> u64 {
        self.shown.len() as u64
    }

    /// How many cards were shown from a moment on.
    pub(super) fn shown_from(&self, from: Timestamp) -> usize {
        self.shown.iter().filter(|card| card.at >= from).count()
    }

    /// How many plays of the catalogue's items there are from a moment on.
    pub(super) fn plays_from(&self, from: Timestamp) -> usize {
        self.touches.iter().filter(|touch| touch.kind == Kind::PLAY && touch.at >= from).count()
    }

    /// All touches, in the order of their users.
    pub(super) fn touches(&self) -> &[Touch] {
        &self.touches
    }

    /// What happened to items of the release, cards that were shown among it, in no order.
    pub(super) fn happenings(&self) -> impl Iterator<Item = &Touch> + Clone {
        self.touches.iter().chain(&self.shown)
    }

    /// Everybody's plays from a moment on, in time order.
    pub(super) fn plays_since(&self, from: Timestamp) -> Vec<(Timestamp, ItemKey)> {
        let plays = self.touches.iter().filter(|touch| touch.kind == Kind::PLAY && touch.at >= from);
        let mut plays: Vec<(Timestamp, ItemKey)> =
            plays.filter_map(|touch| Some((touch.at, *self.items.get(touch.item as usize)?))).collect();
        plays.par_sort_unstable();
        plays
    }

    /// A user's touches, in time order.
    pub(super) fn of_user(&self, user: usize) -> &[Touch] {
        let (Some(&start), Some(&end)) = (self.offsets.get(user), self.offsets.get(user + 1)) else { return &[] };
        &self.touches[start..end]
    }
}

impl Part {
    /// Puts a part in order, and leaves those out that came before. What comes of it does not depend on the order in
    /// which events were shown: of those with one user and id the earliest stays.
    fn of(pieces: Vec<Vec<Raw>>, known: u32, is_played: &[AtomicBool]) -> Self {
        let mut rows: Vec<Raw> = Vec::with_capacity(pieces.iter().map(Vec::len).sum());
        pieces.into_iter().for_each(|piece| rows.extend(piece));
        rows.sort_unstable_by_key(|raw| (raw.user, raw.id, raw.at, raw.item, raw.kind, raw.market, raw.answered));
        rows.dedup_by_key(|raw| (raw.user, raw.id));
        let mut part = Self::default();
        rows.retain(|raw| {
            let (first, last) = part.span.unwrap_or((raw.at, raw.at));
            part.span = Some((first.min(raw.at), last.max(raw.at)));
            if raw.item >= known {
                part.unknown += 1;
                if raw.kind == Kind::PLAY {
                    part.strangers.push((raw.item - known, raw.at));
                }
                return false;
            }
            if raw.kind == Kind::IMPRESSION {
                let Raw { at, item, market, kind, answered, .. } = *raw;
                part.shown.push(Touch { at, item, market, kind, answered });
                return false;
            }
            if raw.kind == Kind::PLAY || raw.kind == Kind::COMPLETE {
                is_played[raw.item as usize].store(true, Ordering::Relaxed);
            }
            true
        });
        rows.sort_unstable_by_key(|raw| (raw.user, raw.at, raw.item, raw.kind, raw.market, raw.answered));
        rows.shrink_to_fit();
        part.rows = rows;
        part
    }
}
