//! The columns of the feature matrix: name, what it depends on, kind, unit, default, transform, range, meaning. Training
//! and serving read this one table; `setlist features` prints it.
//!
//! New columns go to the end. A change of any but range and meaning makes trained models unusable, and
//! [`super::schema_hash`] says so.

use super::schema::{
    Cost, Feature, Kind,
    Transform::{self, Identity, Log1p, SignedLog},
};

macro_rules! schema {
    ($($column:ident = $name:literal, $cost:ident, $kind:ident, $unit:literal, $default:literal, $transform:expr, $range:expr, $doc:literal;)+) => {
        /// The columns of the matrix; `as usize` is the column's place.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Column {
            $(#[doc = $doc] $column),+
        }

        impl Column {
            /// Every column, in order.
            pub const ALL: &'static [Self] = &[$(Self::$column),+];

            /// The column's entry of the schema.
            #[inline]
            #[must_use]
            pub const fn feature(self) -> Feature {
                match self {
                    $(Self::$column => Feature {
                        name: $name,
                        cost: Cost::$cost,
                        kind: Kind::$kind,
                        unit: $unit,
                        default: $default,
                        transform: $transform,
                        range: $range,
                        doc: $doc,
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

schema! {
    UserDot = "user_dot", Cross, Real, "preference", 0.0, Identity, [-10.0, 10.0], "User vector times item factor: the factor model's own preference.";
    UserCosine = "user_cosine", Cross, Real, "cosine", 0.0, Identity, [-1.0, 1.0], "Cosine of user vector and item factor: taste without popularity.";
    RecentMax = "recent_max", Cross, Real, "cosine", 0.0, Identity, [-1.0, 1.0], "Cosine with the nearest of the listener's ten most recent items.";
    RecentMean = "recent_mean", Cross, Real, "cosine", 0.0, Identity, [-1.0, 1.0], "Mean cosine with the listener's recent items.";
    LatestSimilarity = "latest_similarity", Cross, Real, "cosine", 0.0, Identity, [-1.0, 1.0], "Cosine with the listener's most recent item.";
    SeedMax = "seed_max", Cross, Real, "cosine", 0.0, Identity, [-1.0, 1.0], "Cosine with the nearest item the request is about.";
    SeedMean = "seed_mean", Cross, Real, "cosine", 0.0, Identity, [-1.0, 1.0], "Mean cosine with the items the request is about.";
    FactorsKnown = "factors_known", Item, Flag, "flag", 0.0, Identity, [0.0, 1.0], "Whether the release has factors for the item.";
    RankEmbedding = "rank_embedding", Cross, Share, "rank", 0.0, RANK, [0.0, 1.0], "Place in the list of the source `embedding`.";
    RankItemToItem = "rank_item_to_item", Cross, Share, "rank", 0.0, RANK, [0.0, 1.0], "Place in the list of the source `item-to-item`.";
    RankTrending = "rank_trending", Cross, Share, "rank", 0.0, RANK, [0.0, 1.0], "Place in the list of the source `trending`.";
    RankNewReleases = "rank_new_releases", Cross, Share, "rank", 0.0, RANK, [0.0, 1.0], "Place in the list of the source `new-releases`.";
    RankRecentlyPlayed = "rank_recently_played", Cross, Share, "rank", 0.0, RANK, [0.0, 1.0], "Place in the list of the source `recently-played`.";
    RankPopularInMarket = "rank_popular_in_market", Cross, Share, "rank", 0.0, RANK, [0.0, 1.0], "Place in the list of the source `popular-in-market`.";
    RankFavouriteArtists = "rank_favourite_artists", Cross, Share, "rank", 0.0, RANK, [0.0, 1.0], "Place in the list of the source `favourite-artists`.";
    SourceCount = "source_count", Cross, Count, "sources", 0.0, Log1p, [0.0, 3.0], "How many sources agree on the item; `exploration` is not counted.";
    BestRank = "best_rank", Cross, Share, "rank", 0.0, RANK, [0.0, 1.0], "The item's best place in any source's list but that of `exploration`.";
    BestScore = "best_score", Cross, Share, "share", 0.0, Identity, [0.0, 1.0], "The largest of the sources' scores, each scaled to 0..1 over the page; without `exploration`.";
    NeighbourScore = "neighbour_score", Cross, Share, "share", 0.0, Identity, [0.0, 1.0], "The score of `item-to-item`, scaled to 0..1 over the page.";
    Popularity = "popularity", Item, Real, "ln(1 + plays per million)", 0.0, Identity, [0.0, 14.0], "Share of all plays in the release's window.";
    MarketPopularity = "market_popularity", Item, Real, "ln(1 + plays per million)", 0.0, Identity, [0.0, 14.0], "Share of the market's plays.";
    PopularityGap = "popularity_gap", Cross, Real, "ln(1 + plays per million)", 0.0, Identity, [0.0, 14.0], "Distance from the mean popularity of the listener's recent items.";
    Trend = "trend", Item, Real, "ln(1 + decayed plays)", 0.0, Identity, [0.0, 23.0], "Time-decayed plays now.";
    Newness = "newness", Item, Share, "days", 0.0, MONTH, [0.0, 1.0], "How new the item is; half after 30 days.";
    Age = "age", Item, Real, "days", 6.0, Log1p, [0.0, 12.0], "Days since release.";
    Duration = "duration", Item, Real, "seconds", 5.35, Log1p, [0.0, 12.0], "Length.";
    Explicit = "explicit", Item, Flag, "flag", 0.0, Identity, [0.0, 1.0], "Whether the item is explicit.";
    ItemPlays = "item_plays", Cross, Count, "plays", 0.0, Log1p, [0.0, 23.0], "The listener's plays of the item.";
    ItemSkips = "item_skips", Cross, Count, "skips", 0.0, Log1p, [0.0, 23.0], "The listener's skips of the item.";
    ItemRecency = "item_recency", Cross, Share, "days", 0.0, WEEK, [0.0, 1.0], "How lately the listener played the item; half after 7 days.";
    ItemLiked = "item_liked", Cross, Flag, "flag", 0.0, Identity, [0.0, 1.0], "Whether the listener likes or saved the item.";
    RepeatFit = "repeat_fit", Cross, Share, "share", 0.5, Identity, [0.0, 1.0], "The listener's repeat rate for items they played, one less it for new ones.";
    Impressions = "impressions", Cross, Count, "impressions", 0.0, Log1p, [0.0, 23.0], "Times the item was shown to the listener in the last 7 days.";
    ImpressionRecency = "impression_recency", Cross, Share, "hours", 0.0, DAY, [0.0, 1.0], "How lately the item was shown; half after 24 hours.";
    ArtistAffinity = "artist_affinity", Cross, Share, "share", 0.0, Identity, [0.0, 1.0], "The artist's share of the listener's decayed plays.";
    ArtistPlays = "artist_plays", Cross, Count, "plays", 0.0, Log1p, [0.0, 23.0], "The listener's plays of the artist.";
    ArtistFollowed = "artist_followed", Cross, Flag, "flag", 0.0, Identity, [0.0, 1.0], "Whether the listener follows the artist.";
    GenreAffinity = "genre_affinity", Cross, Share, "share", 0.0, Identity, [0.0, 1.0], "Share of the item's genres in the listener's decayed genre mix.";
    ListenerPlays = "listener_plays", Listener, Count, "plays", 0.0, Log1p, [0.0, 23.0], "The listener's plays so far.";
    ListenerPlaysWeek = "listener_plays_week", Listener, Count, "plays", 0.0, Log1p, [0.0, 23.0], "The listener's plays in the last 7 days.";
    ListenerSkipRate = "listener_skip_rate", Listener, Share, "share", 0.0, Identity, [0.0, 1.0], "Share of the listener's plays that ended in a skip.";
    ListenerCompleteRate = "listener_complete_rate", Listener, Share, "share", 0.0, Identity, [0.0, 1.0], "Share of the listener's plays that reached the end.";
    ListenerRepeatRate = "listener_repeat_rate", Listener, Share, "share", 0.0, Identity, [0.0, 1.0], "Share of the listener's plays that repeat an item.";
    ListenerIdle = "listener_idle", Listener, Real, "days", 6.0, Log1p, [0.0, 12.0], "Days since the listener's last event.";
    HourShare = "hour_share", Listener, Real, "uniform shares", 1.0, Identity, [0.0, 24.0], "How much the listener plays at this hour; 1 is as at any other.";
    Weekend = "weekend", Listener, Flag, "flag", 0.0, Identity, [0.0, 1.0], "Whether it is Saturday or Sunday where the listener is.";
    Handheld = "handheld", Listener, Flag, "flag", 0.0, Identity, [0.0, 1.0], "Whether the device is a phone, a tablet or a watch.";
    Stationary = "stationary", Listener, Flag, "flag", 0.0, Identity, [0.0, 1.0], "Whether the device is a speaker, a television, a console or a car.";
    RankExploration = "rank_exploration", Cross, Share, "rank", 0.0, RANK, [0.0, 1.0], "Place in the list of the source `exploration`.";
    ScoreEmbedding = "score_embedding", Cross, Share, "share", 0.0, Identity, [0.0, 1.0], "The score of `embedding`, scaled to 0..1 over the page.";
    ScoreTrending = "score_trending", Cross, Share, "share", 0.0, Identity, [0.0, 1.0], "The score of `trending`, scaled to 0..1 over the page.";
    ScoreNewReleases = "score_new_releases", Cross, Share, "share", 0.0, Identity, [0.0, 1.0], "The score of `new-releases`, scaled to 0..1 over the page.";
    ScoreRecentlyPlayed = "score_recently_played", Cross, Share, "share", 0.0, Identity, [0.0, 1.0], "The score of `recently-played`, scaled to 0..1 over the page.";
    ScorePopularInMarket = "score_popular_in_market", Cross, Share, "share", 0.0, Identity, [0.0, 1.0], "The score of `popular-in-market`, scaled to 0..1 over the page.";
    ScoreFavouriteArtists = "score_favourite_artists", Cross, Share, "share", 0.0, Identity, [0.0, 1.0], "The score of `favourite-artists`, scaled to 0..1 over the page.";
    ScoreExploration = "score_exploration", Cross, Share, "share", 0.0, Identity, [0.0, 1.0], "The score of `exploration`, scaled to 0..1 over the page.";
    FavouriteMax = "favourite_max", Cross, Real, "cosine", 0.0, Identity, [-1.0, 1.0], "Cosine with the nearest of the listener's five most played items.";
    FavouriteMean = "favourite_mean", Cross, Real, "cosine", 0.0, Identity, [-1.0, 1.0], "Mean cosine with the listener's ten most played items.";
    SessionMax = "session_max", Cross, Real, "cosine", 0.0, Identity, [-1.0, 1.0], "Cosine with the nearest of the latest ten items of this session.";
    SessionMean = "session_mean", Cross, Real, "cosine", 0.0, Identity, [-1.0, 1.0], "Mean cosine with the items of this session.";
    SkippedMax = "skipped_max", Cross, Real, "cosine", 0.0, Identity, [-1.0, 1.0], "Cosine with the nearest of the five items the listener skipped last and nothing speaks for.";
    SkippedMean = "skipped_mean", Cross, Real, "cosine", 0.0, Identity, [-1.0, 1.0], "Mean cosine with the ten items the listener skipped last and nothing speaks for.";
    ItemWeight = "item_weight", Cross, Real, "event weights", 0.0, SignedLog, [-23.0, 23.0], "What the listener's events say for the item, or against it, added up.";
    ItemCycle = "item_cycle", Cross, Real, "days", 6.0, Log1p, [0.0, 12.0], "Typical gap between the listener's plays of the item.";
    RepeatDue = "repeat_due", Cross, Real, "balance", 0.0, Identity, [-1.0, 1.0], "Whether a repeat is due: -1 just played, 0 after the typical gap, towards 1 long overdue.";
    ItemShown = "item_shown", Cross, Count, "impressions", 0.0, Log1p, [0.0, 3.0], "Times the item was shown to the listener, the last sixteen at most.";
    ShownUnplayed = "shown_unplayed", Cross, Count, "impressions", 0.0, Log1p, [0.0, 3.0], "Times the item was shown to the listener since they last played it.";
    ArtistRecency = "artist_recency", Cross, Share, "days", 0.0, MONTH, [0.0, 1.0], "How lately the listener played the artist; half after 30 days.";
    ArtistSkipRate = "artist_skip_rate", Cross, Share, "share", 0.0, Identity, [0.0, 1.0], "Share of the listener's plays of the artist that ended in a skip, drawn to their rate for all.";
    ArtistShown = "artist_shown", Cross, Count, "impressions", 0.0, Log1p, [0.0, 23.0], "Times an artist the listener has played was shown to them.";
    ArtistPlayShare = "artist_play_share", Cross, Share, "share", 0.0, Identity, [0.0, 1.0], "Plays of the artist as a share of its plays and impressions.";
    GenreSkipRate = "genre_skip_rate", Cross, Share, "share", 0.0, Identity, [0.0, 1.0], "Share of the listener's plays of the item's genres that ended in a skip, drawn to their rate for all.";
    PopularityLift = "popularity_lift", Cross, Real, "ln(plays per million)", 0.0, Identity, [-14.0, 14.0], "Popularity less the mean popularity of the listener's recent items.";
    MarketLift = "market_lift", Item, Real, "ln(plays per million)", 0.0, Identity, [-14.0, 14.0], "Popularity in the market less popularity everywhere; 0 where the market does not know the item.";
    ArtistNewestAge = "artist_newest_age", Item, Real, "days", 6.0, Log1p, [0.0, 12.0], "Days since the artist's newest item came out.";
    IsArtistNewest = "is_artist_newest", Item, Flag, "flag", 0.0, Identity, [0.0, 1.0], "Whether nothing newer of the artist is out.";
    ListedAge = "listed_age", Item, Real, "days", 6.0, Log1p, [0.0, 12.0], "Days since anything first happened to the item.";
    CrowdPlayRate = "crowd_play_rate", Item, Share, "plays per impression", 0.0, Identity, [0.0, 1.0], "How often everybody plays the item when it is shown, drawn to the mean of all items.";
    CrowdCompleteRate = "crowd_complete_rate", Item, Share, "completes per play", 0.0, Identity, [0.0, 1.0], "How often a play of the item reaches the end, drawn to the mean.";
    CrowdSkipRate = "crowd_skip_rate", Item, Share, "skips per play", 0.0, Identity, [0.0, 1.0], "How often a play of the item ends in a skip, drawn to the mean.";
    CrowdLikeRate = "crowd_like_rate", Item, Share, "likes per play", 0.0, Identity, [0.0, 1.0], "How often a play of the item comes with a yes, drawn to the mean.";
    MarketPlayRate = "market_play_rate", Item, Share, "plays per impression", 0.0, Identity, [0.0, 1.0], "The same as `crowd_play_rate` in the market, drawn to the item's rate everywhere.";
    MarketCompleteRate = "market_complete_rate", Item, Share, "completes per play", 0.0, Identity, [0.0, 1.0], "The same as `crowd_complete_rate` in the market.";
    MarketSkipRate = "market_skip_rate", Item, Share, "skips per play", 0.0, Identity, [0.0, 1.0], "The same as `crowd_skip_rate` in the market.";
    MarketLikeRate = "market_like_rate", Item, Share, "likes per play", 0.0, Identity, [0.0, 1.0], "The same as `crowd_like_rate` in the market.";
    HourPlayRate = "hour_play_rate", Item, Share, "plays per impression", 0.0, Identity, [0.0, 1.0], "The same as `crowd_play_rate` at this quarter of the day, UTC, drawn to the item's rate at all hours.";
    HourSkipRate = "hour_skip_rate", Item, Share, "skips per play", 0.0, Identity, [0.0, 1.0], "The same as `crowd_skip_rate` at this quarter of the day, UTC.";
    CrowdMomentum = "crowd_momentum", Item, Real, "ln(ratio)", 0.0, Identity, [-8.0, 8.0], "Plays a day in the release's last 7 days over those in its last 28.";
    CrowdListeners = "crowd_listeners", Item, Count, "listeners", 0.0, Log1p, [0.0, 23.0], "Listeners of the item in the release's window.";
    CrowdImpressions = "crowd_impressions", Item, Count, "impressions", 0.0, Log1p, [0.0, 23.0], "Times the item was shown to anybody in the release's window.";
    ListenerKnown = "listener_known", Listener, Flag, "flag", 0.0, Identity, [0.0, 1.0], "Whether anything is known of the listener.";
    ListenerArtists = "listener_artists", Listener, Count, "artists", 0.0, Log1p, [0.0, 23.0], "Artists the listener plays.";
    ListenerPopularity = "listener_popularity", Listener, Real, "ln(1 + plays per million)", 0.0, Identity, [0.0, 14.0], "Mean popularity of the listener's recent items: mainstream or niche.";
    ListenerImpressions = "listener_impressions", Listener, Count, "impressions", 0.0, Log1p, [0.0, 23.0], "Cards the listener has seen.";
    ListenerClickRate = "listener_click_rate", Listener, Share, "plays per impression", 0.0, Identity, [0.0, 1.0], "Plays that followed a recommendation, per card seen.";
    ListenerLikeRate = "listener_like_rate", Listener, Share, "likes per play", 0.0, Identity, [0.0, 1.0], "The listener's yeses per play.";
    SessionMinutes = "session_minutes", Listener, Real, "minutes", 0.0, Log1p, [0.0, 9.0], "Minutes since the session began; 0 where none is under way.";
    SessionPlays = "session_plays", Listener, Count, "plays", 0.0, Log1p, [0.0, 23.0], "Plays in this session.";
    SessionSkips = "session_skips", Listener, Count, "skips", 0.0, Log1p, [0.0, 23.0], "Skips in this session.";
    SessionSkipShare = "session_skip_share", Listener, Share, "share", 0.0, Identity, [0.0, 1.0], "Share of this session's plays that ended in a skip.";
    SessionArtists = "session_artists", Listener, Count, "artists", 0.0, Log1p, [0.0, 6.0], "Different artists among the items of this session.";
    HourSin = "hour_sin", Listener, Real, "sine", 0.0, Identity, [-1.0, 1.0], "Hour of the day, UTC, on a circle: its sine.";
    HourCos = "hour_cos", Listener, Real, "cosine", 0.0, Identity, [-1.0, 1.0], "Hour of the day, UTC, on a circle: its cosine.";
    WeekdaySin = "weekday_sin", Listener, Real, "sine", 0.0, Identity, [-1.0, 1.0], "Day of the week, UTC, on a circle: its sine.";
    WeekdayCos = "weekday_cos", Listener, Real, "cosine", 0.0, Identity, [-1.0, 1.0], "Day of the week, UTC, on a circle: its cosine.";
    DeviceDesktop = "device_desktop", Listener, Flag, "flag", 0.0, Identity, [0.0, 1.0], "Whether the device is a computer.";
    DeviceSpeaker = "device_speaker", Listener, Flag, "flag", 0.0, Identity, [0.0, 1.0], "Whether the device is a speaker.";
    DeviceCar = "device_car", Listener, Flag, "flag", 0.0, Identity, [0.0, 1.0], "Whether the device is a car.";
    DeviceScreen = "device_screen", Listener, Flag, "flag", 0.0, Identity, [0.0, 1.0], "Whether the device is a television or a console.";
}

/// How many columns the matrix has.
pub const COLUMNS: usize = SCHEMA.len();
