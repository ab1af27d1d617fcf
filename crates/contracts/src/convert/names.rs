//! The closed lists of names, both ways. The matches are total: a name that is added on either side
//! does not compile until it stands here.

use shared_models::{ErrorCode, component, degraded, plan};

use super::{Malformed, Result};
use crate::generated::common::v1 as wire;

/// A name that is a number on the wire.
pub(crate) trait Name: Copy {
    /// Its number.
    fn to_wire(self) -> i32;

    /// The name of a number; the error names `field`.
    fn from_wire(number: i32, field: &str) -> Result<Self>;
}

macro_rules! names {
    ($domain:ty, $wire:ty, { $($variant:ident),+ $(,)? }) => {
        impl Name for $domain {
            fn to_wire(self) -> i32 {
                type Domain = $domain;
                type Wire = $wire;
                match self {
                    $(Domain::$variant => Wire::$variant as i32),+
                }
            }

            fn from_wire(number: i32, field: &str) -> Result<Self> {
                type Domain = $domain;
                type Wire = $wire;
                match Wire::try_from(number) {
                    $(Ok(Wire::$variant) => Ok(Domain::$variant),)+
                    Ok(Wire::Unspecified) => Err(Malformed::new(field, "is unspecified")),
                    Err(_) => Err(Malformed::new(field, format_args!("{number} is not known; the sender may be newer"))),
                }
            }
        }
    };
}

names!(component::SourceName, wire::SourceName, {
    Embedding, ItemToItem, Trending, NewReleases, RecentlyPlayed, PopularInMarket, FavouriteArtists,
});

names!(component::FilterName, wire::FilterName, {
    AvailableInMarket, NotHidden, NotRecentlyPlayed, ImpressionCap, ExplicitContent, ExcludedByRequest,
});

names!(component::DropReason, wire::DropReason, {
    NotAvailableInMarket, ItemHidden, ArtistHidden, RecentlyPlayed, ShownTooOften, Explicit, ExcludedByRequest, OverLimit,
    NotInCatalogue,
});

names!(component::Action, wire::Action, { Play, Complete, Like, Skip });

names!(component::ReasonCode, wire::ReasonCode, {
    TasteMatch, BecauseYouPlayed, FavouriteArtist, PlayedBefore, Trending, NewRelease, PopularInMarket, SimilarTo, Pinned,
});

names!(component::Fact, wire::Fact, {
    Popularity, MarketPopularity, Trend, AgeDays, DurationSeconds, Explicit, ItemPlays, ItemSkips, ItemAgeDays, ItemLiked,
    Impressions, ImpressionAgeHours, ArtistAffinity, ArtistPlays, ArtistFollowed, GenreAffinity,
});

names!(plan::ShelfOrder, wire::ShelfOrder, { ByScore, Fixed });

names!(degraded::DegradedCause, wire::DegradedCause, { Timeout, Failed, Unavailable, NoRelease, Skipped });

names!(degraded::DegradedLevel, wire::DegradedLevel, { None, Partial, SourceOrder, LastGood, Popular, Empty });

names!(ErrorCode, wire::ErrorCode, {
    InvalidArgument, Unauthenticated, PermissionDenied, NotFound, Conflict, ResourceExhausted, Internal, Unavailable,
    DeadlineExceeded,
});
