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
    Embedding, ItemToItem, Trending, NewReleases, RecentlyPlayed, PopularInMarket, FavouriteArtists, Exploration,
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
    Impressions, ImpressionAgeHours, ArtistAffinity, ArtistPlays, ArtistFollowed, GenreAffinity, ItemWeight,
    ItemCycleDays, ImpressionsKept, ShownSincePlay, ArtistAgeDays, ArtistSkipRate, ArtistShown, GenreSkipRate,
    ArtistNewestDays, CrowdShown, CrowdTaken, CrowdShownHourly,
});

names!(plan::ShelfOrder, wire::ShelfOrder, { ByScore, Fixed });

names!(degraded::DegradedCause, wire::DegradedCause, { Timeout, Failed, Unavailable, NoRelease, Skipped });

names!(degraded::DegradedLevel, wire::DegradedLevel, { None, Partial, SourceOrder, LastGood, Popular, Empty });

names!(ErrorCode, wire::ErrorCode, {
    InvalidArgument, Unauthenticated, PermissionDenied, NotFound, Conflict, ResourceExhausted, Internal, Unavailable,
    DeadlineExceeded,
});

#[cfg(test)]
mod tests {
    use super::*;

    /// The wire's word for a name is the name itself, written as protobuf writes it.
    fn check<T: Name + PartialEq + std::fmt::Debug>(
        prefix: &str,
        names: &[T],
        text: impl Fn(&T) -> String,
        word: impl Fn(i32) -> &'static str,
    ) {
        for name in names {
            let number = name.to_wire();
            assert_eq!(T::from_wire(number, "field").as_ref(), Ok(name));
            assert_eq!(word(number), format!("{prefix}_{}", text(name).to_uppercase().replace('-', "_")));
        }
        assert_eq!(T::from_wire(0, "field").unwrap_err().to_string(), "field: is unspecified");
        assert_eq!(
            T::from_wire(999, "field").unwrap_err().to_string(),
            "field: 999 is not known; the sender may be newer"
        );
    }

    macro_rules! word {
        ($wire:ty) => {
            |number| <$wire>::try_from(number).map_or("", |word| word.as_str_name())
        };
    }

    #[test]
    fn every_name_has_its_number_and_its_word() {
        use component::{Action, DropReason, Fact, FilterName, ReasonCode, SourceName};
        check("SOURCE_NAME", SourceName::ALL, ToString::to_string, word!(wire::SourceName));
        check("FILTER_NAME", FilterName::ALL, ToString::to_string, word!(wire::FilterName));
        check("DROP_REASON", DropReason::ALL, ToString::to_string, word!(wire::DropReason));
        check("ACTION", Action::ALL, ToString::to_string, word!(wire::Action));
        check("REASON_CODE", ReasonCode::ALL, ToString::to_string, word!(wire::ReasonCode));
        check("FACT", Fact::ALL, ToString::to_string, word!(wire::Fact));
        check("ERROR_CODE", &ErrorCode::ALL, ToString::to_string, word!(wire::ErrorCode));
    }
}
