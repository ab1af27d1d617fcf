//! The feature schema: every column of the matrix with its name, type, unit, default, transform and
//! meaning. Training and serving read this one table. It must never know how a value is computed.

use std::sync::LazyLock;

use xxhash_rust::xxh3::xxh3_64;

/// What kind of number a feature is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any real number.
    Real,
    /// A number of things, 0 or more.
    Count,
    /// 0..=1.
    Share,
    /// 0 or 1.
    Flag,
}

/// What is done to the raw number before it stands in the matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transform {
    /// Nothing.
    Identity,
    /// `ln(1 + x)`, of the positive part: counts and spans have long tails.
    Log1p,
    /// `2^(-x / half_life)`: 1 for now, towards 0 for long ago.
    Decay {
        /// The span after which half is left, in the feature's unit.
        half_life: f32,
    },
    /// `k / (k + x)`: 1 for the first rank, slowly towards 0.
    Reciprocal {
        /// The rank at which half is left.
        k: f32,
    },
}

impl Transform {
    /// The number as it stands in the matrix. NaN stays NaN: it must show, not turn into a default.
    #[must_use]
    pub fn apply(self, raw: f32) -> f32 {
        match self {
            Self::Identity => raw,
            Self::Log1p if raw <= 0.0 => 0.0,
            Self::Log1p => raw.ln_1p(),
            Self::Decay { half_life } => (-raw / half_life).exp2(),
            Self::Reciprocal { k } => k / (k + raw),
        }
    }
}

/// One column of the matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Feature {
    /// Its name, unique in the schema and never used again for something else.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// The unit of the raw number.
    pub unit: &'static str,
    /// What stands in the matrix where the input is unknown.
    pub default: f32,
    /// What is done to the raw number.
    pub transform: Transform,
    /// What it means.
    pub doc: &'static str,
}

macro_rules! schema {
    ($($column:ident = $name:literal, $kind:ident, $unit:literal, $default:literal, $transform:expr, $doc:literal;)+) => {
        /// The columns of the matrix; `as usize` is the column's place.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Column {
            $(#[doc = $doc] $column),+
        }

        impl Column {
            /// Every column, in order.
            pub const ALL: &'static [Self] = &[$(Self::$column),+];

            /// The column's entry of the schema.
            #[must_use]
            pub const fn feature(self) -> Feature {
                match self {
                    $(Self::$column => Feature {
                        name: $name, kind: Kind::$kind, unit: $unit, default: $default, transform: $transform, doc: $doc,
                    }),+
                }
            }
        }

        /// The schema: one entry a column.
        pub const SCHEMA: &[Feature] = &[$(Column::$column.feature()),+];
    };
}

const RANK: Transform = Transform::Reciprocal { k: 10.0 };
const WEEK: Transform = Transform::Decay { half_life: 7.0 };
const MONTH: Transform = Transform::Decay { half_life: 30.0 };
const DAY: Transform = Transform::Decay { half_life: 24.0 };

use Transform::{Identity, Log1p};

schema! {
    UserDot = "user_dot", Real, "preference", 0.0, Identity, "User vector times item factor: the factor model's own preference.";
    UserCosine = "user_cosine", Real, "cosine", 0.0, Identity, "Cosine of user vector and item factor: taste without popularity.";
    RecentMax = "recent_max", Real, "cosine", 0.0, Identity, "Cosine with the nearest of the listener's ten most recent items.";
    RecentMean = "recent_mean", Real, "cosine", 0.0, Identity, "Mean cosine with the listener's recent items.";
    LatestSimilarity = "latest_similarity", Real, "cosine", 0.0, Identity, "Cosine with the listener's most recent item.";
    SeedMax = "seed_max", Real, "cosine", 0.0, Identity, "Cosine with the nearest item the request is about.";
    SeedMean = "seed_mean", Real, "cosine", 0.0, Identity, "Mean cosine with the items the request is about.";
    FactorsKnown = "factors_known", Flag, "flag", 0.0, Identity, "Whether the release has factors for the item.";
    RankEmbedding = "rank_embedding", Share, "rank", 0.0, RANK, "Place in the list of the source `embedding`.";
    RankItemToItem = "rank_item_to_item", Share, "rank", 0.0, RANK, "Place in the list of the source `item-to-item`.";
    RankTrending = "rank_trending", Share, "rank", 0.0, RANK, "Place in the list of the source `trending`.";
    RankNewReleases = "rank_new_releases", Share, "rank", 0.0, RANK, "Place in the list of the source `new-releases`.";
    RankRecentlyPlayed = "rank_recently_played", Share, "rank", 0.0, RANK, "Place in the list of the source `recently-played`.";
    RankPopularInMarket = "rank_popular_in_market", Share, "rank", 0.0, RANK, "Place in the list of the source `popular-in-market`.";
    RankFavouriteArtists = "rank_favourite_artists", Share, "rank", 0.0, RANK, "Place in the list of the source `favourite-artists`.";
    SourceCount = "source_count", Count, "sources", 0.0, Log1p, "How many sources agree on the item.";
    BestRank = "best_rank", Share, "rank", 0.0, RANK, "The item's best place in any source's list.";
    BestScore = "best_score", Share, "share", 0.0, Identity, "The largest of the sources' scores, each scaled to 0..1 over the page.";
    NeighbourScore = "neighbour_score", Share, "share", 0.0, Identity, "The score of `item-to-item`, scaled to 0..1 over the page.";
    Popularity = "popularity", Real, "ln(1 + plays per million)", 0.0, Identity, "Share of all plays in the release's window.";
    MarketPopularity = "market_popularity", Real, "ln(1 + plays per million)", 0.0, Identity, "Share of the market's plays.";
    PopularityGap = "popularity_gap", Real, "ln(1 + plays per million)", 0.0, Identity, "Distance from the mean popularity of the listener's recent items.";
    Trend = "trend", Real, "ln(1 + decayed plays)", 0.0, Identity, "Time-decayed plays now.";
    Newness = "newness", Share, "days", 0.0, MONTH, "How new the item is; half after 30 days.";
    Age = "age", Real, "days", 6.0, Log1p, "Days since release.";
    Duration = "duration", Real, "seconds", 5.35, Log1p, "Length.";
    Explicit = "explicit", Flag, "flag", 0.0, Identity, "Whether the item is explicit.";
    ItemPlays = "item_plays", Count, "plays", 0.0, Log1p, "The listener's plays of the item.";
    ItemSkips = "item_skips", Count, "skips", 0.0, Log1p, "The listener's skips of the item.";
    ItemRecency = "item_recency", Share, "days", 0.0, WEEK, "How lately the listener played the item; half after 7 days.";
    ItemLiked = "item_liked", Flag, "flag", 0.0, Identity, "Whether the listener likes or saved the item.";
    RepeatFit = "repeat_fit", Share, "share", 0.5, Identity, "The listener's repeat rate for items they played, one less it for new ones.";
    Impressions = "impressions", Count, "impressions", 0.0, Log1p, "Times the item was shown to the listener in the last 7 days.";
    ImpressionRecency = "impression_recency", Share, "hours", 0.0, DAY, "How lately the item was shown; half after 24 hours.";
    ArtistAffinity = "artist_affinity", Share, "share", 0.0, Identity, "The artist's share of the listener's decayed plays.";
    ArtistPlays = "artist_plays", Count, "plays", 0.0, Log1p, "The listener's plays of the artist.";
    ArtistFollowed = "artist_followed", Flag, "flag", 0.0, Identity, "Whether the listener follows the artist.";
    GenreAffinity = "genre_affinity", Share, "share", 0.0, Identity, "Share of the item's genres in the listener's decayed genre mix.";
    ListenerPlays = "listener_plays", Count, "plays", 0.0, Log1p, "The listener's plays so far.";
    ListenerPlaysWeek = "listener_plays_week", Count, "plays", 0.0, Log1p, "The listener's plays in the last 7 days.";
    ListenerSkipRate = "listener_skip_rate", Share, "share", 0.0, Identity, "Share of the listener's plays that ended in a skip.";
    ListenerCompleteRate = "listener_complete_rate", Share, "share", 0.0, Identity, "Share of the listener's plays that reached the end.";
    ListenerRepeatRate = "listener_repeat_rate", Share, "share", 0.0, Identity, "Share of the listener's plays that repeat an item.";
    ListenerIdle = "listener_idle", Real, "days", 6.0, Log1p, "Days since the listener's last event.";
    HourShare = "hour_share", Real, "uniform shares", 1.0, Identity, "How much the listener plays at this hour; 1 is as at any other.";
    Weekend = "weekend", Flag, "flag", 0.0, Identity, "Whether it is Saturday or Sunday where the listener is.";
    Handheld = "handheld", Flag, "flag", 0.0, Identity, "Whether the device is a phone, a tablet or a watch.";
    Stationary = "stationary", Flag, "flag", 0.0, Identity, "Whether the device is a speaker, a television, a console or a car.";
}

/// How many columns the matrix has.
pub const COLUMNS: usize = SCHEMA.len();

/// Raised when a value changes its meaning while its entry above stays the same.
const MEANING: u32 = 1;

/// A hash of everything that gives a number its meaning, except prose. A model that was trained on
/// another schema is refused by it.
#[must_use]
pub fn schema_hash() -> u64 {
    static HASH: LazyLock<u64> = LazyLock::new(|| {
        let mut text = format!("meaning {MEANING}\n");
        for feature in SCHEMA {
            text.push_str(&format!(
                "{}|{:?}|{}|{:?}|{:?}\n",
                feature.name, feature.kind, feature.unit, feature.default, feature.transform
            ));
        }
        xxh3_64(text.as_bytes())
    });
    *HASH
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_every_feature_says_what_it_is() {
        let names: BTreeSet<&str> = SCHEMA.iter().map(|feature| feature.name).collect();
        assert_eq!(names.len(), SCHEMA.len());
        assert!(
            SCHEMA
                .iter()
                .all(|feature| !feature.unit.is_empty() && feature.doc.ends_with('.') && feature.default.is_finite())
        );
        assert!(SCHEMA.len() >= 25);
    }

    #[test]
    fn the_schema_hash_changes_only_on_purpose() {
        // A change here makes every trained scorer unusable: retrain, and say so in the changelog.
        assert_eq!(format!("{:016x}", schema_hash()), "c9918fe639916749");
    }

    #[test]
    fn transforms_do_what_they_say() {
        let check = |transform: Transform, raw: f32, expected: f32| {
            let given = transform.apply(raw);
            assert!((given - expected).abs() < 1e-6, "{transform:?} of {raw} is {given}, expected {expected}");
        };
        check(Identity, -3.0, -3.0);
        check(Log1p, 0.0, 0.0);
        check(Log1p, -1.0, 0.0);
        check(Log1p, 1.0, std::f32::consts::LN_2);
        check(WEEK, 7.0, 0.5);
        check(WEEK, 0.0, 1.0);
        check(RANK, 0.0, 1.0);
        check(RANK, 10.0, 0.5);
        assert!(Log1p.apply(f32::NAN).is_nan());
    }
}
