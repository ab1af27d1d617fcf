//! How each column of the schema is computed from the table, the listener and the release.
//!
//! What is the same for all rows is computed once and repeated; the rest goes column by column, so that each loop is
//! short and plain. It must never know a model or a shelf.

use std::{borrow::Cow, f64::consts::TAU};

use releases::{Tiles, vectors};
use shared_models::{
    candidates::CandidateTable,
    component::{Fact, SourceName},
    plan::RankQuery,
};

use super::{
    Column, Matrix,
    gather::{Crowd, Gathered, Units},
};

/// How many recent items the nearest one is looked for among.
const NEAREST_OF: usize = 10;
/// The same of the most played and of the skipped items.
const NEAREST_OF_OTHERS: usize = 5;

const DAY_MS: f64 = 86_400_000.0;

/// See [`super::compute()`].
#[must_use]
pub fn compute(query: &RankQuery, gathered: &Gathered) -> Matrix {
    let mut matrix = Matrix::of_defaults(query.table.len());
    listener(&mut matrix, query);
    similarities(&mut matrix, query, gathered);
    evidence(&mut matrix, &query.table);
    facts(&mut matrix, query);
    crowd(&mut matrix, query, gathered);
    matrix
}

fn flag(is_so: bool) -> f32 {
    if is_so { 1.0 } else { 0.0 }
}

fn share(part: u32, whole: u32) -> f32 {
    if whole == 0 { 0.0 } else { (part as f32 / whole as f32).min(1.0) }
}

/// The columns that depend on the listener and the request alone.
fn listener(matrix: &mut Matrix, query: &RankQuery) {
    let (listener, context) = (&query.listener, &query.context);
    let mut put = |column: Column, raw: f32| {
        let value = column.feature().transform.apply(raw);
        matrix.column_mut(column).fill(value);
    };
    put(Column::ListenerKnown, flag(listener.known));
    put(Column::ListenerPlays, listener.plays as f32);
    put(Column::ListenerPlaysWeek, listener.plays_7d as f32);
    put(Column::ListenerSkipRate, listener.skip_rate);
    put(Column::ListenerCompleteRate, listener.complete_rate);
    put(Column::ListenerRepeatRate, listener.repeat_rate);
    put(Column::ListenerClickRate, listener.click_rate);
    put(Column::ListenerLikeRate, listener.like_rate);
    put(Column::ListenerImpressions, listener.impressions as f32);
    put(Column::ListenerArtists, listener.artists as f32);
    put(Column::ListenerPopularity, listener.mean_popularity);
    put(Column::SessionMinutes, listener.session_minutes);
    put(Column::SessionPlays, listener.session_plays as f32);
    put(Column::SessionSkips, listener.session_skips as f32);
    put(Column::SessionSkipShare, share(listener.session_skips, listener.session_plays));
    put(Column::SessionArtists, listener.session_artists as f32);
    if listener.known {
        put(Column::HourShare, listener.hour_share * 24.0);
        if listener.idle_days >= 0.0 {
            put(Column::ListenerIdle, listener.idle_days);
        }
    }
    put(Column::Weekend, flag(context.local_weekday >= 5));
    // By UTC, as events are counted: training knows no other clock.
    let days = context.now.0 as f64 / DAY_MS;
    // 1970-01-01 was a Thursday, which is 3 from Monday.
    let (hour, weekday) = (days.rem_euclid(1.0), (days.floor() + 3.0).rem_euclid(7.0) / 7.0);
    let ((hour_sin, hour_cos), (weekday_sin, weekday_cos)) = ((TAU * hour).sin_cos(), (TAU * weekday).sin_cos());
    put(Column::HourSin, hour_sin as f32);
    put(Column::HourCos, hour_cos as f32);
    put(Column::WeekdaySin, weekday_sin as f32);
    put(Column::WeekdayCos, weekday_cos as f32);
    let is = |devices: &[&str]| flag(devices.contains(&context.device.as_str()));
    put(Column::Handheld, is(&["phone", "mobile", "tablet", "watch"]));
    put(Column::Stationary, is(&["speaker", "tv", "console", "car"]));
    put(Column::DeviceDesktop, is(&["desktop", "computer", "laptop", "web"]));
    put(Column::DeviceSpeaker, is(&["speaker"]));
    put(Column::DeviceCar, is(&["car"]));
    put(Column::DeviceScreen, is(&["tv", "console"]));
}

/// What the candidates are compared with, and which columns that goes to.
#[derive(Default)]
struct Asked<'a> {
    queries: Vec<Cow<'a, [f32]>>,
    /// Columns that hold the product with one query.
    plain: Vec<(Column, usize)>,
    /// Columns that hold the largest of the products with several.
    largest: Vec<(Column, std::ops::Range<usize>)>,
}

impl<'a> Asked<'a> {
    fn one(&mut self, column: Column, query: Cow<'a, [f32]>) {
        self.plain.push((column, self.queries.len()));
        self.queries.push(query);
    }

    /// The mean cosine with the first `most` items: the cosine with their mean, one product instead of one for each.
    fn mean(&mut self, column: Column, near: &Units, most: usize) {
        let known: Vec<usize> = (0..near.len().min(most)).filter(|index| near.is_known(*index)).collect();
        if known.is_empty() {
            return;
        }
        let mut mean = vec![0.0; near.stride()];
        for index in &known {
            vectors::axpy(1.0 / known.len() as f32, near.unit(*index), &mut mean);
        }
        self.one(column, Cow::Owned(mean));
    }

    /// The nearest of the first `most` that are known; gives how many products stand before each of them.
    fn nearest(&mut self, column: Column, near: &'a Units, most: usize) -> (usize, Vec<usize>) {
        let start = self.queries.len();
        let known: Vec<usize> = (0..near.len()).filter(|index| near.is_known(*index)).take(most).collect();
        self.queries.extend(known.iter().map(|index| Cow::Borrowed(near.unit(*index))));
        self.largest.push((column, start..self.queries.len()));
        (start, known)
    }
}

fn similarities(matrix: &mut Matrix, query: &RankQuery, gathered: &Gathered) {
    let candidates = &gathered.candidates;
    if candidates.stride() == 0 {
        return;
    }
    for (place, length) in matrix.column_mut(Column::FactorsKnown).iter_mut().zip(candidates.lengths()) {
        *place = flag(*length > 0.0);
    }
    let mut asked = Asked::default();
    let is_known = gathered.listener.len() == candidates.stride();
    if is_known {
        asked.one(Column::UserCosine, Cow::Borrowed(&gathered.listener));
    }
    let of_session = (query.listener.session_items as usize).min(gathered.recent.len());
    asked.mean(Column::RecentMean, &gathered.recent, usize::MAX);
    asked.mean(Column::SessionMean, &gathered.recent, of_session);
    let (start, recent) = asked.nearest(Column::RecentMax, &gathered.recent, NEAREST_OF);
    if recent.first() == Some(&0) {
        asked.plain.push((Column::LatestSimilarity, start));
    }
    // Those of this session come first.
    let of_session = recent.iter().filter(|index| **index < of_session).count();
    asked.largest.push((Column::SessionMax, start..start + of_session));
    for (near, most, columns) in [
        (&gathered.seeds, NEAREST_OF, (Column::SeedMean, Column::SeedMax)),
        (&gathered.favourites, NEAREST_OF_OTHERS, (Column::FavouriteMean, Column::FavouriteMax)),
        (&gathered.skipped, NEAREST_OF_OTHERS, (Column::SkippedMean, Column::SkippedMax)),
    ] {
        asked.mean(columns.0, near, usize::MAX);
        asked.nearest(columns.1, near, most);
    }
    let queries: Vec<&[f32]> = asked.queries.iter().map(|query| &**query).collect();
    let products = Tiles::of(candidates.values(), candidates.stride()).products(&queries);
    for (column, query) in asked.plain {
        matrix.column_mut(column).copy_from_slice(products.of(query));
    }
    for (column, queries) in asked.largest {
        for (count, query) in queries.enumerate() {
            raise(matrix.column_mut(column), products.of(query), count == 0);
        }
    }
    if is_known {
        let lengths = candidates.lengths().iter().map(|length| length * gathered.listener_length);
        let dots: Vec<f32> =
            matrix.column(Column::UserCosine).iter().zip(lengths).map(|(cosine, length)| cosine * length).collect();
        fill(matrix, Column::UserDot, &dots);
    }
}

fn raise(best: &mut [f32], numbers: &[f32], is_first: bool) {
    if is_first {
        best.copy_from_slice(numbers);
        return;
    }
    for (best, number) in best.iter_mut().zip(numbers) {
        *best = best.max(*number);
    }
}

fn fill(matrix: &mut Matrix, column: Column, numbers: &[f32]) {
    let transform = column.feature().transform;
    for (place, number) in matrix.column_mut(column).iter_mut().zip(numbers) {
        *place = transform.apply(*number);
    }
}

fn fill_known(matrix: &mut Matrix, column: Column, numbers: Option<&[f32]>, is_unknown: impl Fn(f32) -> bool) {
    let transform = column.feature().transform;
    for (place, number) in matrix.column_mut(column).iter_mut().zip(numbers.unwrap_or(&[])) {
        if !is_unknown(*number) {
            *place = transform.apply(*number);
        }
    }
}

/// The columns of a source's rank and score.
#[must_use]
pub const fn evidence_columns(source: SourceName) -> (Column, Column) {
    match source {
        SourceName::Embedding => (Column::RankEmbedding, Column::ScoreEmbedding),
        SourceName::ItemToItem => (Column::RankItemToItem, Column::NeighbourScore),
        SourceName::Trending => (Column::RankTrending, Column::ScoreTrending),
        SourceName::NewReleases => (Column::RankNewReleases, Column::ScoreNewReleases),
        SourceName::RecentlyPlayed => (Column::RankRecentlyPlayed, Column::ScoreRecentlyPlayed),
        SourceName::PopularInMarket => (Column::RankPopularInMarket, Column::ScorePopularInMarket),
        SourceName::FavouriteArtists => (Column::RankFavouriteArtists, Column::ScoreFavouriteArtists),
        SourceName::Exploration => (Column::RankExploration, Column::ScoreExploration),
    }
}

/// What the sources say. Agreement and the best word leave `exploration` out: that few have met an item says nothing
/// for it, and what that is worth its own columns tell.
fn evidence(matrix: &mut Matrix, table: &CandidateTable) {
    let scales = score_scales(table);
    for row in 0..table.len() {
        let (mut sources, mut last_source, mut best) = (0_u32, None, None);
        for word in table.evidence_of(row) {
            let source = usize::from(word.source);
            let Some((name, (low, range))) = table.sources.get(source).zip(scales.get(source)) else { continue };
            let score = if *range > 0.0 { (word.score - low) / range } else { 1.0 };
            let (rank_column, score_column) = evidence_columns(*name);
            matrix.raise(row, rank_column, rank_column.feature().transform.apply(word.rank as f32));
            matrix.raise(row, score_column, score);
            if *name == SourceName::Exploration {
                continue;
            }
            if last_source != Some(word.source) {
                sources += 1;
                last_source = Some(word.source);
            }
            let (rank, highest) = best.unwrap_or((word.rank, score));
            best = Some((word.rank.min(rank), score.max(highest)));
        }
        if let Some((rank, score)) = best {
            matrix.raise(row, Column::BestRank, Column::BestRank.feature().transform.apply(rank as f32));
            matrix.raise(row, Column::BestScore, score);
            matrix.raise(row, Column::SourceCount, Column::SourceCount.feature().transform.apply(sources as f32));
        }
    }
}

/// The smallest score of each source on this page, and the distance to its largest.
fn score_scales(table: &CandidateTable) -> Vec<(f32, f32)> {
    let mut bounds = vec![(f32::INFINITY, f32::NEG_INFINITY); table.sources.len()];
    for word in &table.evidence {
        if let Some((low, high)) = bounds.get_mut(usize::from(word.source)) {
            *low = low.min(word.score);
            *high = high.max(word.score);
        }
    }
    bounds.into_iter().map(|(low, high)| (low, high - low)).collect()
}

/// Facts that stand in the matrix as the table has them, by their transform.
const PLAIN: [(Fact, Column); 16] = [
    (Fact::Popularity, Column::Popularity),
    (Fact::MarketPopularity, Column::MarketPopularity),
    (Fact::Trend, Column::Trend),
    (Fact::Explicit, Column::Explicit),
    (Fact::ItemPlays, Column::ItemPlays),
    (Fact::ItemSkips, Column::ItemSkips),
    (Fact::ItemLiked, Column::ItemLiked),
    (Fact::ItemWeight, Column::ItemWeight),
    (Fact::Impressions, Column::Impressions),
    (Fact::ImpressionsKept, Column::ItemShown),
    (Fact::ShownSincePlay, Column::ShownUnplayed),
    (Fact::ArtistAffinity, Column::ArtistAffinity),
    (Fact::ArtistPlays, Column::ArtistPlays),
    (Fact::ArtistShown, Column::ArtistShown),
    (Fact::ArtistFollowed, Column::ArtistFollowed),
    (Fact::GenreAffinity, Column::GenreAffinity),
];

/// Facts of which a negative number means unknown, and leaves the default.
const KNOWN: [(Fact, Column); 9] = [
    (Fact::AgeDays, Column::Age),
    (Fact::AgeDays, Column::Newness),
    (Fact::ItemAgeDays, Column::ItemRecency),
    (Fact::ItemCycleDays, Column::ItemCycle),
    (Fact::ImpressionAgeHours, Column::ImpressionRecency),
    (Fact::ArtistAgeDays, Column::ArtistRecency),
    (Fact::ArtistNewestDays, Column::ArtistNewestAge),
    (Fact::ArtistSkipRate, Column::ArtistSkipRate),
    (Fact::GenreSkipRate, Column::GenreSkipRate),
];

/// An item is its artist's newest when nothing is newer by more than this, in days: facts are rounded.
const SAME_DAY: f32 = 0.01;

fn facts(matrix: &mut Matrix, query: &RankQuery) {
    let (table, listener) = (&query.table, &query.listener);
    for (fact, column) in PLAIN {
        if let Some(numbers) = table.fact(fact) {
            fill(matrix, column, numbers);
        }
    }
    for (fact, column) in KNOWN {
        fill_known(matrix, column, table.fact(fact), |number| number < 0.0);
    }
    fill_known(matrix, Column::Duration, table.fact(Fact::DurationSeconds), |seconds| seconds == 0.0);
    both(matrix, Column::RepeatDue, table, (Fact::ItemAgeDays, Fact::ItemCycleDays), |age, cycle| {
        let is_known = age >= 0.0 && cycle >= 0.0 && age + cycle > 0.0;
        if is_known { (age - cycle) / (age + cycle) } else { 0.0 }
    });
    both(matrix, Column::ArtistPlayShare, table, (Fact::ArtistPlays, Fact::ArtistShown), |plays, shown| {
        if plays > 0.0 { plays / (plays + shown) } else { 0.0 }
    });
    both(matrix, Column::IsArtistNewest, table, (Fact::AgeDays, Fact::ArtistNewestDays), |age, newest| {
        flag(age >= 0.0 && newest >= 0.0 && age <= newest + SAME_DAY)
    });
    both(matrix, Column::MarketLift, table, (Fact::MarketPopularity, Fact::Popularity), |here, everywhere| {
        if here > 0.0 { here - everywhere } else { 0.0 }
    });
    if !listener.known {
        return;
    }
    if let Some(popularity) = table.fact(Fact::Popularity) {
        let mean = listener.mean_popularity;
        let lift: Vec<f32> = popularity.iter().map(|popularity| popularity - mean).collect();
        let gap: Vec<f32> = lift.iter().map(|lift| lift.abs()).collect();
        fill(matrix, Column::PopularityLift, &lift);
        fill(matrix, Column::PopularityGap, &gap);
    }
    let (again, anew) = (listener.repeat_rate, 1.0 - listener.repeat_rate);
    let fit = matrix.column_mut(Column::RepeatFit);
    fit.fill(anew);
    for (place, plays) in fit.iter_mut().zip(table.fact(Fact::ItemPlays).unwrap_or(&[])) {
        if *plays > 0.0 {
            *place = again;
        }
    }
}

/// A column of two facts, where the table has both.
fn both(
    matrix: &mut Matrix,
    column: Column,
    table: &CandidateTable,
    facts: (Fact, Fact),
    value: impl Fn(f32, f32) -> f32,
) {
    let (Some(one), Some(other)) = (table.fact(facts.0), table.fact(facts.1)) else { return };
    for (place, (one, other)) in matrix.column_mut(column).iter_mut().zip(one.iter().zip(other)) {
        *place = value(*one, *other);
    }
}

/// What everybody does with the items, by the release.
fn crowd(matrix: &mut Matrix, query: &RankQuery, gathered: &Gathered) {
    let Some(crowd) = &gathered.crowd else { return };
    let mut put = |column: Column, of: fn(&Crowd) -> f32| {
        let transform = column.feature().transform;
        for (place, item) in matrix.column_mut(column).iter_mut().zip(crowd) {
            *place = transform.apply(of(item));
        }
    };
    put(Column::CrowdPlayRate, |item| item.all.play);
    put(Column::CrowdCompleteRate, |item| item.all.complete);
    put(Column::CrowdSkipRate, |item| item.all.skip);
    put(Column::CrowdLikeRate, |item| item.all.like);
    put(Column::MarketPlayRate, |item| item.market.play);
    put(Column::MarketCompleteRate, |item| item.market.complete);
    put(Column::MarketSkipRate, |item| item.market.skip);
    put(Column::MarketLikeRate, |item| item.market.like);
    put(Column::HourPlayRate, |item| item.quarter_play);
    put(Column::HourSkipRate, |item| item.quarter_skip);
    put(Column::CrowdMomentum, |item| item.momentum);
    put(Column::CrowdListeners, |item| item.listeners);
    put(Column::CrowdImpressions, |item| item.impressions);
    let today = query.context.now.0 as f64 / DAY_MS;
    let transform = Column::ListedAge.feature().transform;
    for (place, item) in matrix.column_mut(Column::ListedAge).iter_mut().zip(crowd) {
        if item.first_seen_days > 0.0 {
            *place = transform.apply((today - f64::from(item.first_seen_days)).max(0.0) as f32);
        }
    }
}
