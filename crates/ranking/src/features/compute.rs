//! How each column of the schema is computed from the table, the listener and the factors.
//!
//! Numbers that are the same for all rows are written once and repeated; the rest goes column by
//! column, so that each loop is short and plain. It must never know a model or a shelf.

use releases::vectors;
use shared_models::{
    candidates::CandidateTable,
    component::{Fact, SourceName},
    plan::RankQuery,
};

use super::{
    Matrix,
    gather::{Gathered, Units},
    schema::{COLUMNS, Column, SCHEMA},
};

/// How many recent items the nearest one is looked for among.
const NEAREST_OF: usize = 10;

/// See [`super::compute()`].
#[must_use]
pub fn compute(query: &RankQuery, gathered: &Gathered) -> Matrix {
    let mut matrix = Matrix { values: listener_row(query).repeat(query.table.len()) };
    similarities(&mut matrix, gathered);
    evidence(&mut matrix, &query.table);
    facts(&mut matrix, query);
    matrix
}

fn put(row: &mut [f32; COLUMNS], column: Column, raw: f32) {
    row[column as usize] = column.feature().transform.apply(raw);
}

/// The row that every candidate starts from: defaults, and what depends on the listener alone.
fn listener_row(query: &RankQuery) -> [f32; COLUMNS] {
    let mut row = [0.0; COLUMNS];
    for (place, feature) in row.iter_mut().zip(SCHEMA) {
        *place = feature.default;
    }
    let (listener, context) = (&query.listener, &query.context);
    put(&mut row, Column::ListenerPlays, listener.plays as f32);
    put(&mut row, Column::ListenerPlaysWeek, listener.plays_7d as f32);
    put(&mut row, Column::ListenerSkipRate, listener.skip_rate);
    put(&mut row, Column::ListenerCompleteRate, listener.complete_rate);
    put(&mut row, Column::ListenerRepeatRate, listener.repeat_rate);
    if listener.known {
        put(&mut row, Column::HourShare, listener.hour_share * 24.0);
        if listener.idle_days >= 0.0 {
            put(&mut row, Column::ListenerIdle, listener.idle_days);
        }
    }
    put(&mut row, Column::Weekend, flag(context.local_weekday >= 5));
    put(&mut row, Column::Handheld, flag(matches!(context.device.as_str(), "phone" | "mobile" | "tablet" | "watch")));
    put(&mut row, Column::Stationary, flag(matches!(context.device.as_str(), "speaker" | "tv" | "console" | "car")));
    row
}

fn flag(is_so: bool) -> f32 {
    if is_so { 1.0 } else { 0.0 }
}

fn similarities(matrix: &mut Matrix, gathered: &Gathered) {
    let candidates = &gathered.candidates;
    if candidates.stride() == 0 {
        return;
    }
    for (index, row) in matrix.iter_mut().enumerate() {
        put(row, Column::FactorsKnown, flag(candidates.is_known(index)));
    }
    let mut cosines = vec![0.0_f32; matrix.rows()];
    if gathered.listener.len() == candidates.stride() {
        vectors::dot_many(&gathered.listener, candidates.values(), &mut cosines);
        for (index, (row, cosine)) in matrix.iter_mut().zip(&cosines).enumerate() {
            put(row, Column::UserCosine, *cosine);
            put(row, Column::UserDot, *cosine * candidates.length(index) * gathered.listener_length);
        }
    }
    if gathered.recent.is_known(0) {
        vectors::dot_many(gathered.recent.unit(0), candidates.values(), &mut cosines);
        fill(matrix, Column::LatestSimilarity, &cosines);
    }
    mean_and_nearest(matrix, candidates, &gathered.recent, (Column::RecentMean, Column::RecentMax), &mut cosines);
    mean_and_nearest(matrix, candidates, &gathered.seeds, (Column::SeedMean, Column::SeedMax), &mut cosines);
}

fn mean_and_nearest(
    matrix: &mut Matrix,
    candidates: &Units,
    near: &Units,
    columns: (Column, Column),
    cosines: &mut [f32],
) {
    let known = near.known();
    if known == 0 {
        return;
    }
    // The mean of cosines is the cosine with the mean: one pass instead of one for each item.
    let mut mean = vec![0.0; near.stride()];
    for unit in near.values().chunks_exact(near.stride()) {
        vectors::axpy(1.0 / known as f32, unit, &mut mean);
    }
    vectors::dot_many(&mean, candidates.values(), cosines);
    fill(matrix, columns.0, cosines);
    let mut nearest = vec![f32::NEG_INFINITY; cosines.len()];
    for index in (0..near.values().len() / near.stride()).filter(|index| near.is_known(*index)).take(NEAREST_OF) {
        vectors::dot_many(near.unit(index), candidates.values(), cosines);
        for (best, cosine) in nearest.iter_mut().zip(cosines.iter()) {
            *best = best.max(*cosine);
        }
    }
    fill(matrix, columns.1, &nearest);
}

fn fill(matrix: &mut Matrix, column: Column, numbers: &[f32]) {
    for (row, number) in matrix.iter_mut().zip(numbers) {
        put(row, column, *number);
    }
}

/// The column that holds a source's rank; `None` for `exploration`: that few have met an item says nothing for it, and
/// what it is worth the other columns tell.
#[must_use]
pub fn rank_column(source: SourceName) -> Option<Column> {
    Some(match source {
        SourceName::Embedding => Column::RankEmbedding,
        SourceName::ItemToItem => Column::RankItemToItem,
        SourceName::Trending => Column::RankTrending,
        SourceName::NewReleases => Column::RankNewReleases,
        SourceName::RecentlyPlayed => Column::RankRecentlyPlayed,
        SourceName::PopularInMarket => Column::RankPopularInMarket,
        SourceName::FavouriteArtists => Column::RankFavouriteArtists,
        SourceName::Exploration => return None,
    })
}

fn evidence(matrix: &mut Matrix, table: &CandidateTable) {
    let scales = score_scales(table);
    for (index, row) in matrix.iter_mut().enumerate() {
        let all = table.evidence_of(index);
        let (mut sources, mut last_source, mut best_rank) = (0_u32, None, None);
        for word in all {
            let Some((name, (low, range))) =
                table.sources.get(usize::from(word.source)).zip(scales.get(usize::from(word.source)))
            else {
                continue;
            };
            let Some(column) = rank_column(*name) else { continue };
            if last_source != Some(word.source) {
                sources += 1;
                last_source = Some(word.source);
            }
            best_rank = Some(best_rank.map_or(word.rank, |best: u32| best.min(word.rank)));
            let rank = column.feature().transform.apply(word.rank as f32);
            row[column as usize] = row[column as usize].max(rank);
            let score = if *range > 0.0 { (word.score - low) / range } else { 1.0 };
            row[Column::BestScore as usize] = row[Column::BestScore as usize].max(score);
            if *name == SourceName::ItemToItem {
                row[Column::NeighbourScore as usize] = row[Column::NeighbourScore as usize].max(score);
            }
        }
        if let Some(best_rank) = best_rank {
            put(row, Column::BestRank, best_rank as f32);
            put(row, Column::SourceCount, sources as f32);
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
const PLAIN: [(Fact, Column); 12] = [
    (Fact::Popularity, Column::Popularity),
    (Fact::MarketPopularity, Column::MarketPopularity),
    (Fact::Trend, Column::Trend),
    (Fact::Explicit, Column::Explicit),
    (Fact::ItemPlays, Column::ItemPlays),
    (Fact::ItemSkips, Column::ItemSkips),
    (Fact::ItemLiked, Column::ItemLiked),
    (Fact::Impressions, Column::Impressions),
    (Fact::ArtistAffinity, Column::ArtistAffinity),
    (Fact::ArtistPlays, Column::ArtistPlays),
    (Fact::ArtistFollowed, Column::ArtistFollowed),
    (Fact::GenreAffinity, Column::GenreAffinity),
];

/// Facts that are spans: negative means unknown, and leaves the default.
const SPANS: [(Fact, Column); 4] = [
    (Fact::AgeDays, Column::Age),
    (Fact::AgeDays, Column::Newness),
    (Fact::ItemAgeDays, Column::ItemRecency),
    (Fact::ImpressionAgeHours, Column::ImpressionRecency),
];

fn facts(matrix: &mut Matrix, query: &RankQuery) {
    let table = &query.table;
    for (fact, column) in PLAIN {
        if let Some(numbers) = table.fact(fact) {
            fill(matrix, column, numbers);
        }
    }
    for (fact, column) in SPANS {
        fill_known(matrix, column, table.fact(fact), |span| span < 0.0);
    }
    fill_known(matrix, Column::Duration, table.fact(Fact::DurationSeconds), |seconds| seconds == 0.0);
    if query.listener.known {
        let mean = query.listener.mean_popularity;
        for (row, popularity) in matrix.iter_mut().zip(table.fact(Fact::Popularity).unwrap_or(&[])) {
            put(row, Column::PopularityGap, (popularity - mean).abs());
        }
        let repeat_rate = query.listener.repeat_rate;
        for (index, row) in matrix.iter_mut().enumerate() {
            let plays = table.fact(Fact::ItemPlays).and_then(|plays| plays.get(index)).copied().unwrap_or(0.0);
            put(row, Column::RepeatFit, if plays > 0.0 { repeat_rate } else { 1.0 - repeat_rate });
        }
    }
}

fn fill_known(matrix: &mut Matrix, column: Column, numbers: Option<&[f32]>, is_unknown: impl Fn(f32) -> bool) {
    for (row, number) in matrix.iter_mut().zip(numbers.unwrap_or(&[])) {
        if !is_unknown(*number) {
            put(row, column, *number);
        }
    }
}
