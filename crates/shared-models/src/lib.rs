//! The nouns of Setlist: what every other crate talks about, and nothing it does.
//!
//! This crate must never know an async runtime, a wire format, SQL or any other crate of the workspace.
//!
//! # Glossary
//! One word per idea, here as in the contracts, the tables, the metrics and the docs.
//!
//! | term | meaning |
//! |---|---|
//! | tenant | an isolated customer of the platform: own catalogue, users, surfaces, keys |
//! | item | anything recommendable: a track, an album, an artist, a playlist, a show, an episode |
//! | user | the listener, by an id the tenant gives; anonymous ids are allowed |
//! | event | an *impression* (a card was seen) or an *interaction* (play, complete, skip, like, …) |
//! | profile | what the platform knows of a user now, folded from events and attributes |
//! | surface | a named, versioned place where recommendations show: a list of shelves and a budget |
//! | shelf | a titled row of cards with its own sources, filters, objective and slate rules |
//! | card | one item shown at one position with score, sources, propensity and reason |
//! | source | produces candidates |
//! | hydrator | adds facts to candidates |
//! | filter | keeps or drops one candidate, with a reason from a closed list |
//! | scorer | gives calibrated action probabilities |
//! | slate | the ordered result of selection under rules |
//! | plan | the compiled instruction the edge sends to the services; they know no surface |
//! | recommendation | the decision record of one answer |
//! | propensity | the probability with which the policy put this card at this position |
//! | release | an immutable, content-addressed bundle of model artefacts with a manifest |
//! | degraded | what was missing, slow or skipped in an answer, by stage |

pub mod ids;

pub mod clock;
pub mod seed;

pub mod error_code;

pub mod event;
pub mod item;
pub mod listener;
pub mod numbers;

pub mod component;
pub mod explore;
pub mod surface;

pub mod plan;

pub mod candidates;
pub mod degraded;
pub mod slate;

pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use error_code::ErrorCode;
pub use ids::{
    EventId, FeatureName, ItemId, ItemKey, RecommendationId, ReleaseId, ShelfId, SurfaceId, TenantId, UserId, UserKey,
};
pub use seed::Seed;
