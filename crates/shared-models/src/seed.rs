//! Randomness as a value that is passed in: one seed per request, and a stream per use.

use rand_xoshiro::{Xoshiro256PlusPlus, rand_core::SeedableRng};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The seed of one request. The same seed, query and data give the same answer, bit for bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

impl Seed {
    /// The generator for one named use (`explore/made-for-you`): uses do not disturb each other, so
    /// adding one leaves the draws of the rest as they were.
    #[must_use]
    pub fn stream(self, name: &str) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(xxh3_64_with_seed(name.as_bytes(), self.0))
    }
}
