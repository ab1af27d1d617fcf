//! The names of the parts that a plan may ask for: sources, filters, actions.
//!
//! Closed lists, because a plan travels between services that are deployed apart: a name that one
//! side does not know is an error with the nearest valid name, never a silent nothing.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// A name outside its closed list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {given:?} is not known; known are {known}")]
pub struct UnknownName {
    /// Which list was searched, such as `source`.
    pub what: &'static str,
    /// What was given.
    pub given: String,
    /// The list, joined with commas.
    pub known: String,
}

macro_rules! names {
    ($(#[$doc:meta])* $type:ident, $what:literal, { $($(#[$variant_doc:meta])* $variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum $type {
            $($(#[$variant_doc])* #[serde(rename = $name)] $variant),+
        }

        impl $type {
            /// Every name, in declaration order; `as usize` indexes it.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name, as it stands in surface files, on the wire, in metrics and traces.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $type {
            type Err = UnknownName;
            fn from_str(text: &str) -> Result<Self, UnknownName> {
                Self::ALL.iter().copied().find(|name| name.as_str() == text).ok_or_else(|| UnknownName {
                    what: $what,
                    given: text.to_owned(),
                    known: Self::ALL.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "),
                })
            }
        }
    };
}

names!(
    /// What produces candidates.
    SourceName, "source", {
        /// Nearest items to the listener's vector.
        Embedding = "embedding",
        /// Neighbours of the listener's recent items, or of the request's seed items.
        ItemToItem = "item-to-item",
        /// Time-decayed plays of everybody.
        Trending = "trending",
        /// The newest items, the listener's artists and genres first.
        NewReleases = "new-releases",
        /// What the listener played, most recent first.
        RecentlyPlayed = "recently-played",
        /// The most played items of the request's market.
        PopularInMarket = "popular-in-market",
        /// Items of the artists the listener plays most.
        FavouriteArtists = "favourite-artists",
        /// New and rarely shown items near the listener's taste.
        Exploration = "exploration",
    }
);

names!(
    /// What keeps or drops one candidate.
    FilterName, "filter", {
        /// Drops what may not be played in the request's market.
        AvailableInMarket = "available_in_market",
        /// Drops what the listener has hidden, and items of artists they have hidden.
        NotHidden = "not_hidden",
        /// Drops what the listener played within `within`.
        NotRecentlyPlayed = "not_recently_played",
        /// Drops what was shown `max` times within `within`.
        ImpressionCap = "impression_cap",
        /// Drops explicit items for listeners who do not want them.
        ExplicitContent = "explicit_content",
        /// Drops what the request excludes.
        ExcludedByRequest = "excluded_by_request",
    }
);

names!(
    /// How the positions of a shelf are drawn.
    ExplorePolicy, "exploration policy", {
        /// The best card, always.
        None = "none",
        /// Now and then any card.
        Epsilon = "epsilon",
        /// Better cards oftener, by the distance of their values.
        Softmax = "softmax",
        /// Each card as often as it may be the best, by what is known of it.
        Thompson = "thompson",
    }
);

names!(
    /// Why a candidate is not on a shelf.
    DropReason, "drop reason", {
        /// By [`FilterName::AvailableInMarket`].
        NotAvailableInMarket = "not_available_in_market",
        /// By [`FilterName::NotHidden`]: the item.
        ItemHidden = "item_hidden",
        /// By [`FilterName::NotHidden`]: its artist.
        ArtistHidden = "artist_hidden",
        /// By [`FilterName::NotRecentlyPlayed`].
        RecentlyPlayed = "recently_played",
        /// By [`FilterName::ImpressionCap`].
        ShownTooOften = "shown_too_often",
        /// By [`FilterName::ExplicitContent`].
        Explicit = "explicit",
        /// By [`FilterName::ExcludedByRequest`].
        ExcludedByRequest = "excluded_by_request",
        /// Past the shelf's candidate cap.
        OverLimit = "over_limit",
        /// Deleted from the catalogue since the release was trained.
        NotInCatalogue = "not_in_catalogue",
    }
);

names!(
    /// What a listener may do with a card: what the scorer predicts.
    Action, "action", {
        /// Starts it.
        Play = "play",
        /// Plays it to the end.
        Complete = "complete",
        /// Says yes to it.
        Like = "like",
        /// Moves on early.
        Skip = "skip",
    }
);

names!(
    /// Why a card stands on a shelf, for the listener to read. `evidence` holds the items that
    /// support it: take them from the profile and the card loses its support.
    ReasonCode, "reason", {
        /// Near the listener's taste; evidence: the item they played lately that is nearest to it. Without
        /// evidence it claims nothing.
        TasteMatch = "taste_match",
        /// Often played with an item they played, or by the same artist; evidence: that item.
        BecauseYouPlayed = "because_you_played",
        /// By an artist they play often; evidence: their most played item of the artist, when known.
        FavouriteArtist = "favourite_artist",
        /// They played it themselves; evidence: the item.
        PlayedBefore = "played_before",
        /// Rising everywhere; no evidence.
        Trending = "trending",
        /// New; evidence: their most played item of the same artist, when there is one.
        NewRelease = "new_release",
        /// Popular where they are; no evidence.
        PopularInMarket = "popular_in_market",
        /// Similar to the item the request is about; evidence: that item.
        SimilarTo = "similar_to",
        /// The surface pins it; no evidence.
        Pinned = "pinned",
    }
);

names!(
    /// A column of facts that candidate-generation knows of a candidate, for ranking to turn into
    /// features. Additive: a reader takes an absent column as unknown, which is what the feature's default says.
    Fact, "fact", {
        /// Share of all plays in the release's window, times one million, `ln(1 + x)`.
        Popularity = "popularity",
        /// The same within the request's market.
        MarketPopularity = "market_popularity",
        /// Time-decayed plays now, `ln(1 + x)`.
        Trend = "trend",
        /// Days since release; -1 when unknown.
        AgeDays = "age_days",
        /// Length in seconds; 0 when unknown.
        DurationSeconds = "duration_seconds",
        /// 1 when explicit.
        Explicit = "explicit",
        /// The listener's plays of the item.
        ItemPlays = "item_plays",
        /// The listener's skips of the item.
        ItemSkips = "item_skips",
        /// Days since the listener last played the item; -1 when never.
        ItemAgeDays = "item_age_days",
        /// 1 when the listener likes or saved the item.
        ItemLiked = "item_liked",
        /// Times the item was shown to the listener in the last 7 days.
        Impressions = "impressions",
        /// Hours since it was last shown; -1 when never.
        ImpressionAgeHours = "impression_age_hours",
        /// The artist's share of the listener's decayed plays, 0..1.
        ArtistAffinity = "artist_affinity",
        /// The listener's plays of the artist.
        ArtistPlays = "artist_plays",
        /// 1 when the listener follows the artist.
        ArtistFollowed = "artist_followed",
        /// Share of the item's genres in the listener's decayed genre mix, 0..1.
        GenreAffinity = "genre_affinity",
        /// What the listener's events say for the item, or against it, added up.
        ItemWeight = "item_weight",
        /// Typical days between the listener's plays of the item; -1 below two plays.
        ItemCycleDays = "item_cycle_days",
        /// Times the item was shown to the listener, as far as the profile remembers: 16 at most.
        ImpressionsKept = "impressions_kept",
        /// Those since the listener last played the item; all of them when they never did.
        ShownSincePlay = "shown_since_play",
        /// Days since the listener last played the artist; -1 when never.
        ArtistAgeDays = "artist_age_days",
        /// Share of the listener's plays of the artist that ended in a skip, drawn to their share for all; -1 when
        /// they never played the artist.
        ArtistSkipRate = "artist_skip_rate",
        /// Times that items of the artist were shown to the listener, since they first played the artist.
        ArtistShown = "artist_shown",
        /// As `artist_skip_rate`, of the item's genres.
        GenreSkipRate = "genre_skip_rate",
        /// Days since the newest item of the artist came out; -1 when unknown.
        ArtistNewestDays = "artist_newest_days",
        /// Times the item was shown to anybody of late, halved every 7 days, as far as the answering process took it
        /// in; only where the plan asks for it.
        CrowdShown = "crowd_shown",
        /// Plays that followed such an impression within a day, halved alike; only where the plan asks for it.
        CrowdTaken = "crowd_taken",
        /// Impressions an hour now, to anybody; only where the plan asks for it.
        CrowdShownHourly = "crowd_shown_hourly",
    }
);

/// The settings of a source. A source reads those it knows and ignores none: a surface that sets
/// one that its source does not read is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceParams {
    /// How many of the listener's recent items to start from, 1..=50 (`item-to-item`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50))]
    pub seeds: Option<u16>,
    /// How many artists to start from, 1..=50 (`favourite-artists`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50))]
    pub artists: Option<u16>,
    /// How far back to look, such as `30d` (`new-releases`, `recently-played`).
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub within: Option<Duration>,
}

impl Fact {
    /// What the fact says of a candidate of which nothing is known.
    #[must_use]
    pub fn unknown(self) -> f32 {
        match self {
            Self::AgeDays
            | Self::ItemAgeDays
            | Self::ImpressionAgeHours
            | Self::ItemCycleDays
            | Self::ArtistAgeDays
            | Self::ArtistSkipRate
            | Self::GenreSkipRate
            | Self::ArtistNewestDays => -1.0,
            _ => 0.0,
        }
    }
}

impl SourceName {
    /// The settings this source reads.
    #[must_use]
    pub fn params(self) -> &'static [&'static str] {
        match self {
            Self::ItemToItem => &["seeds"],
            Self::FavouriteArtists => &["artists"],
            Self::NewReleases | Self::RecentlyPlayed => &["within"],
            Self::Embedding | Self::Trending | Self::PopularInMarket | Self::Exploration => &[],
        }
    }
}

/// The settings of a filter, with the defaults filled in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterParams {
    /// How far back the filter looks, such as `14d`.
    #[serde(default, with = "humantime_serde", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub within: Option<Duration>,
    /// How often is too often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u16>,
}

const DAY: Duration = Duration::from_secs(86_400);

impl FilterName {
    /// What the filter does where a surface gives no settings.
    #[must_use]
    pub fn defaults(self) -> FilterParams {
        match self {
            Self::NotRecentlyPlayed => FilterParams { within: Some(DAY * 14), max: None },
            Self::ImpressionCap => FilterParams { within: Some(DAY * 7), max: Some(5) },
            Self::AvailableInMarket | Self::NotHidden | Self::ExplicitContent | Self::ExcludedByRequest => {
                FilterParams::default()
            }
        }
    }

    /// The settings this filter reads.
    #[must_use]
    pub fn params(self) -> &'static [&'static str] {
        match self {
            Self::NotRecentlyPlayed => &["within"],
            Self::ImpressionCap => &["within", "max"],
            Self::AvailableInMarket | Self::NotHidden | Self::ExplicitContent | Self::ExcludedByRequest => &[],
        }
    }
}
