//! The peer's rules of a request, as the head of its `core.py` has them: three sources, the first that brings an item is
//! its source; what was heard or may not be shown is dropped; 40 features, one model, two items of an artist in the
//! first ten. This file must not know HTTP.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, ensure};
use ranking::scorers::imported::{Forest, Format, read_forest};

use super::{
    data::{Table, columns},
    nearest::Nearest,
};

const NEAREST: usize = 400;
/// Columns of the model, in the file's order.
const FEATURES: usize = 40;
const ITEM: usize = 16;
const LISTENER: usize = 8;
/// The first columns of what is of both.
const PRODUCT: usize = ITEM + LISTENER;
const FLAGS: usize = 25;
const GENRE: usize = 32;
const ARTIST: usize = 33;
const LANGUAGE: usize = 34;
const MARKET: usize = 35;
const LAST: usize = 36;
const LAST_BEST: usize = 37;
const HOUR: usize = 38;
const DEVICE: usize = 39;
/// Re-ranking: among the first `TOP`, at most `CAP` items of an artist.
const TOP: usize = 10;
const CAP: usize = 2;

/// What brought an item.
pub const SOURCES: [&str; 3] = ["ann", "popular", "similar"];

/// Everything a request needs.
#[derive(Debug)]
pub struct Rules {
    pub nearest: Nearest,
    model: Forest,
    listeners: Table<f32>,
    item_features: Table<f32>,
    listener_features: Table<f32>,
    market_plays: Table<f32>,
    genres: Table<f32>,
    top_artists: Table<i32>,
    top_shares: Table<f32>,
    last: Table<i32>,
    heard_ends: Vec<i64>,
    heard: Vec<i32>,
    popular: Table<i32>,
    similar: Table<i32>,
    artist: Vec<i32>,
    genre: Vec<i32>,
    language: Vec<i32>,
    markets: Vec<i32>,
    listener_market: Vec<i32>,
    listener_language: Vec<i32>,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub listener: usize,
    pub hour: f32,
    pub device: f32,
    /// The nearest items, where another engine found them.
    pub nearest: Option<&'a [u32]>,
}

/// What a request writes into, kept from one to the next.
#[derive(Debug, Default)]
pub struct Scratch {
    /// By item: 0 where it was not met in this request, 1 where it was dropped, else its candidate's number and 2.
    met: Vec<u32>,
    touched: Vec<u32>,
    pub items: Vec<u32>,
    pub sources: Vec<u8>,
    /// Column by column, `rows` numbers each.
    features: Vec<f32>,
    shares: Vec<(i32, f32)>,
    pub scores: Vec<f64>,
    order: Vec<u32>,
}

impl Rules {
    /// Reads the peer's data and model.
    ///
    /// # Errors
    /// When a file is not what it should be, or the model asks for other features.
    pub fn load(folder: &Path, effort: f32) -> Result<Self> {
        let vectors = Table::read(folder, "item_emb")?;
        let path = folder.join("model.txt");
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        let model = read_forest(Format::Lightgbm, &bytes, None)?;
        ensure!(model.features() == FEATURES, "the model asks for {} features", model.features());
        let wanted = ["artist_id", "genre", "language", "market_mask"];
        let [artist, genre, language, markets] = columns(folder, "items", wanted)?;
        let [listener_market, listener_language] = columns(folder, "users", ["market", "language"])?;
        Ok(Self {
            nearest: Nearest::new(vectors.width, &vectors.values, effort)?,
            model,
            listeners: Table::read(folder, "user_emb")?,
            item_features: Table::read(folder, "item_feats")?,
            listener_features: Table::read(folder, "user_feats")?,
            market_plays: Table::read(folder, "item_market_pop")?,
            genres: Table::read(folder, "user_genre")?,
            top_artists: Table::read(folder, "user_top_artists")?,
            top_shares: Table::read(folder, "user_top_artists_w")?,
            last: Table::read(folder, "last5")?,
            heard_ends: Table::read(folder, "seen_indptr")?.values,
            heard: Table::read(folder, "seen_items")?.values,
            popular: Table::read(folder, "pop_by_market")?,
            similar: Table::read(folder, "neighbors")?,
            artist,
            genre,
            language,
            markets,
            listener_market,
            listener_language,
        })
    }

    /// How many listeners there are.
    pub fn listeners(&self) -> usize {
        self.listener_market.len()
    }

    /// The artist of an item.
    pub fn artist(&self, item: u32) -> i32 {
        self.artist[item as usize]
    }

    /// Finds, drops, scores and orders; `scratch` then holds the candidates and their scores, and the answer says which of
    /// them are shown, best first.
    pub fn answer(&self, asked: Asked<'_>, count: usize, scratch: &mut Scratch) -> Vec<u32> {
        self.candidates(asked, scratch);
        self.features(asked, scratch);
        let rows = scratch.items.len();
        let columns: Vec<&[f32]> = scratch.features.chunks_exact(rows.max(1)).collect();
        scratch.scores.clear();
        scratch.scores.resize(rows, 0.0);
        self.model.raw(&columns, &mut scratch.scores);
        self.arrange(count, scratch)
    }

    fn candidates(&self, asked: Asked<'_>, scratch: &mut Scratch) {
        let Asked { listener, .. } = asked;
        let market = self.listener_market[listener];
        let last: Vec<i32> = self.last.row(listener).iter().copied().filter(|item| *item >= 0).collect();
        let found;
        let nearest = match asked.nearest {
            Some(given) => given,
            None => {
                found = self.nearest.to(self.listeners.row(listener), NEAREST);
                &found
            }
        };
        let popular = self.popular.row(market as usize);
        let similar: Vec<&[i32]> = last.iter().map(|item| self.similar.row(*item as usize)).collect();
        let most = nearest.len() + popular.len() + similar.iter().map(|list| list.len()).sum::<usize>();

        let heard = &self.heard[self.heard_ends[listener] as usize..self.heard_ends[listener + 1] as usize];
        let Scratch { met, touched, items, sources, features, .. } = scratch;
        met.resize(self.artist.len(), 0);
        items.clear();
        sources.clear();
        // Rows of what the sources say, until it is known how many there are: three flags, three ranks, hits.
        let mut said: Vec<[f32; 7]> = Vec::with_capacity(most);
        let mut meet = |source: usize, item: u32, rank: f32| {
            let place = &mut met[item as usize];
            if *place == 0 {
                touched.push(item);
                let allowed = (self.markets[item as usize] >> market) & 1 == 1;
                if !allowed || heard.binary_search(&(item as i32)).is_ok() {
                    *place = 1;
                } else {
                    *place = items.len() as u32 + 2;
                    items.push(item);
                    sources.push(source as u8);
                    said.push([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0]);
                }
            }
            if let Some(said) = said.get_mut((*place as usize).wrapping_sub(2)) {
                said[source] = 1.0;
                said[3 + source] = said[3 + source].min(rank);
                if source == 2 {
                    said[6] += 1.0;
                }
            }
        };
        for (rank, item) in nearest.iter().enumerate() {
            meet(0, *item, share(rank, NEAREST));
        }
        for (rank, item) in popular.iter().enumerate() {
            meet(1, *item as u32, share(rank, popular.len()));
        }
        for list in &similar {
            for (rank, item) in list.iter().enumerate() {
                meet(2, *item as u32, share(rank, list.len()));
            }
        }
        for item in touched.drain(..) {
            met[item as usize] = 0;
        }
        features.clear();
        features.resize(FEATURES * items.len(), 0.0);
        for (column, values) in features.chunks_exact_mut(items.len().max(1)).skip(FLAGS).take(7).enumerate() {
            for (value, said) in values.iter_mut().zip(&said) {
                *value = said[column];
            }
        }
    }

    fn features(&self, asked: Asked<'_>, scratch: &mut Scratch) {
        let Asked { listener, hour, device, .. } = asked;
        let Scratch { items, features, shares, .. } = scratch;
        let mut columns: Vec<&mut [f32]> = features.chunks_exact_mut(items.len().max(1)).collect();
        let [of_items @ .., _] = columns.as_mut_slice() else { return };
        for (row, item) in items.iter().enumerate() {
            for (column, value) in of_items[..ITEM].iter_mut().zip(self.item_features.row(*item as usize)) {
                column[row] = *value;
            }
        }
        for (column, value) in columns[ITEM..].iter_mut().zip(self.listener_features.row(listener)) {
            column.fill(*value);
        }
        self.nearest.products(self.listeners.row(listener), items, columns[PRODUCT]);
        let last = self.last.row(listener).iter().copied().filter(|item| *item >= 0);
        for (number, played) in last.enumerate() {
            let [first, best] = &mut columns[LAST..=LAST_BEST] else { return };
            if number == 0 {
                self.nearest.products(self.nearest.of(played as u32), items, first);
                best.copy_from_slice(first);
            } else {
                let mut products = vec![0.0; items.len()];
                self.nearest.products(self.nearest.of(played as u32), items, &mut products);
                best.iter_mut().zip(&products).for_each(|(best, product)| *best = best.max(*product));
            }
        }
        shares.clear();
        let known = self.top_artists.row(listener).iter().zip(self.top_shares.row(listener));
        shares.extend(known.filter(|(artist, _)| **artist >= 0).map(|(artist, share)| (*artist, *share)));
        let genres = self.genres.row(listener);
        let (language, market) = (self.listener_language[listener], self.listener_market[listener] as usize);
        for (row, item) in items.iter().enumerate() {
            let item = *item as usize;
            columns[GENRE][row] = genres[self.genre[item] as usize];
            let artist = self.artist[item];
            columns[ARTIST][row] = shares.iter().find(|(known, _)| *known == artist).map_or(0.0, |(_, share)| *share);
            columns[LANGUAGE][row] = f32::from(self.language[item] == language);
            columns[MARKET][row] = self.market_plays.row(item)[market];
        }
        columns[HOUR].fill(hour / 24.0);
        columns[DEVICE].fill(device);
    }

    /// By score, ties by position; what the cap skips among the first ten comes after them.
    fn arrange(&self, count: usize, scratch: &mut Scratch) -> Vec<u32> {
        let Scratch { items, scores, order, .. } = scratch;
        let better = |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b));
        order.clear();
        order.extend(0..items.len() as u32);
        let most = (count + 4 * TOP).min(order.len());
        if most < order.len() {
            order.select_nth_unstable_by(most, better);
        }
        order.truncate(most);
        order.sort_unstable_by(better);
        let (mut head, mut rest) = (Vec::with_capacity(count), Vec::with_capacity(most));
        let mut of_head: Vec<(i32, usize)> = Vec::with_capacity(TOP);
        for row in order.iter() {
            let artist = self.artist(items[*row as usize]);
            let known = of_head.iter_mut().find(|(known, _)| *known == artist);
            if head.len() == TOP || known.as_ref().is_some_and(|(_, shown)| *shown == CAP) {
                rest.push(*row);
                continue;
            }
            match known {
                Some((_, shown)) => *shown += 1,
                None => of_head.push((artist, 1)),
            }
            head.push(*row);
        }
        head.extend(rest);
        head.truncate(count);
        head
    }
}

fn share(rank: usize, of: usize) -> f32 {
    (rank as f64 / of as f64) as f32
}
