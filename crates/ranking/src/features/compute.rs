//! How each column of the schema is computed from the table, the listener and the factors.
//!
//! Column by column, so that each loop is short and plain. It must never know a model or a shelf.

use releases::vectors;
use shared_models::{
    candidates::CandidateTable,
    component::{Fact, SourceName},
    plan::RankQuery,
};

use super::{
    Matrix,
    gather::{Gathered, Units},
    schema::Column,
};

/// How many recent items the nearest one is looked for among.
const NEAREST_OF: usize = 10;

/// See [`super::compute()`].
#[must_use]
pub fn compute(query: &RankQuery, gathered: &Gathered) -> Matrix {
    let mut matrix = Matrix::of_defaults(query.table.len());
    listener(&mut matrix, query);
    similarities(&mut matrix, gathered);
    evidence(&mut matrix, &query.table);
    facts(&mut matrix, query);
    matrix
}

/// Writes what depends on the listener and the moment alone: the same in every row.
fn listener(matrix: &mut Matrix, query: &RankQuery) {
    let mut put = |column: Column, raw: f32| matrix.column_mut(column).fill(column.feature().transform.apply(raw));
    let (listener, context) = (&query.listener, &query.context);
    put(Column::ListenerPlays, listener.plays as f32);
    put(Column::ListenerPlaysWeek, listener.plays_7d as f32);
    put(Column::ListenerSkipRate, listener.skip_rate);
    put(Column::ListenerCompleteRate, listener.complete_rate);
    put(Column::ListenerRepeatRate, listener.repeat_rate);
    if listener.known {
        put(Column::HourShare, listener.hour_share * 24.0);
        if listener.idle_days >= 0.0 {
            put(Column::ListenerIdle, listener.idle_days);
        }
    }
    put(Column::Weekend, flag(context.local_weekday >= 5));
    put(Column::Handheld, flag(matches!(context.device.as_str(), "phone" | "mobile" | "tablet" | "watch")));
    put(Column::Stationary, flag(matches!(context.device.as_str(), "speaker" | "tv" | "console" | "car")));
}

fn flag(is_so: bool) -> f32 {
    if is_so { 1.0 } else { 0.0 }
}

fn similarities(matrix: &mut Matrix, gathered: &Gathered) {
    let candidates = &gathered.candidates;
    if candidates.stride() == 0 {
        return;
    }
    fill(matrix, Column::FactorsKnown, (0..).map(|index| flag(candidates.is_known(index))));
    let mut cosines = vec![0.0_f32; matrix.rows()];
    if gathered.listener.len() == candidates.stride() {
        vectors::dot_many(&gathered.listener, candidates.values(), &mut cosines);
        fill(matrix, Column::UserCosine, cosines.iter().copied());
        let lengths = (0..).map(|index| candidates.length(index) * gathered.listener_length);
        fill(matrix, Column::UserDot, cosines.iter().zip(lengths).map(|(cosine, length)| cosine * length));
    }
    if gathered.recent.is_known(0) {
        vectors::dot_many(gathered.recent.unit(0), candidates.values(), &mut cosines);
        fill(matrix, Column::LatestSimilarity, cosines.iter().copied());
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
    fill(matrix, columns.0, cosines.iter().copied());
    let mut nearest = vec![f32::NEG_INFINITY; cosines.len()];
    for index in (0..near.values().len() / near.stride()).filter(|index| near.is_known(*index)).take(NEAREST_OF) {
        vectors::dot_many(near.unit(index), candidates.values(), cosines);
        for (best, cosine) in nearest.iter_mut().zip(cosines.iter()) {
            *best = best.max(*cosine);
        }
    }
    fill(matrix, columns.1, nearest.into_iter());
}

fn fill(matrix: &mut Matrix, column: Column, numbers: impl Iterator<Item = f32>) {
    let transform = column.feature().transform;
    for (place, number) in matrix.column_mut(column).iter_mut().zip(numbers) {
        *place = transform.apply(number);
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
    let mut raise = |column: Column, row: usize, value: f32| {
        if let Some(place) = matrix.column_mut(column).get_mut(row) {
            *place = place.max(value);
        }
    };
    for row in 0..table.len() {
        let (mut sources, mut last_source, mut best_rank) = (0_u32, None, None);
        for word in table.evidence_of(row) {
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
            raise(column, row, column.feature().transform.apply(word.rank as f32));
            let score = if *range > 0.0 { (word.score - low) / range } else { 1.0 };
            raise(Column::BestScore, row, score);
            if *name == SourceName::ItemToItem {
                raise(Column::NeighbourScore, row, score);
            }
        }
        if let Some(best_rank) = best_rank {
            raise(Column::BestRank, row, Column::BestRank.feature().transform.apply(best_rank as f32));
            raise(Column::SourceCount, row, Column::SourceCount.feature().transform.apply(sources as f32));
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
            fill(matrix, column, numbers.iter().copied());
        }
    }
    for (fact, column) in SPANS {
        fill_known(matrix, column, table.fact(fact), |span| span < 0.0);
    }
    fill_known(matrix, Column::Duration, table.fact(Fact::DurationSeconds), |seconds| seconds == 0.0);
    if query.listener.known {
        let mean = query.listener.mean_popularity;
        let popularities = table.fact(Fact::Popularity).unwrap_or(&[]).iter();
        fill(matrix, Column::PopularityGap, popularities.map(|popularity| (popularity - mean).abs()));
        let repeat_rate = query.listener.repeat_rate;
        matrix.column_mut(Column::RepeatFit).fill(1.0 - repeat_rate);
        let plays = table.fact(Fact::ItemPlays).unwrap_or(&[]).iter();
        fill(matrix, Column::RepeatFit, plays.map(|plays| if *plays > 0.0 { repeat_rate } else { 1.0 - repeat_rate }));
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
