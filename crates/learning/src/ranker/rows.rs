//! What a scorer is trained on: features of cards and what listeners did with them. It must not know how they are made.

use ranking::features::{COLUMNS, Matrix};
use shared_models::{ItemKey, UserKey};

use super::ACTIONS;

/// Where rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Cards that were shown.
    Impressions,
    /// Plays, each beside items drawn evenly from those that are played: the data have no impressions.
    SampledNegatives,
    /// Pages of the past, as our own sources would have made them.
    Pages,
    /// Cards of recommendation records that were seen.
    Records,
    /// None: the scorer is the live one, and only says anew how likely what is.
    Kept,
}

impl Source {
    /// The source in words, for the manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Impressions => "impressions",
            Self::SampledNegatives => "sampled negatives",
            Self::Pages => "pages of the past",
            Self::Records => "recommendation records",
            Self::Kept => "the live scorer, calibrated anew",
        }
    }
}

/// Which card a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The page, counted from 0 in the order of rows.
    pub page: u32,
    /// Where the card stood on its shelf, from 0.
    pub position: u16,
    /// Where the shelf stood on the page, from 0.
    pub shelf: u16,
    /// Whose page.
    pub user: UserKey,
    /// The item.
    pub item: ItemKey,
}

/// Training rows in the order in which their cards were shown.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The features, row by row, as ranking computes them.
    pub features: Vec<f32>,
    /// What happened, in the order of `Action::ALL`.
    pub labels: Vec<[bool; ACTIONS]>,
    /// Which card each row is; empty where rows are of no cards that were shown.
    pub places: Vec<Place>,
    /// Where they come from.
    pub source: Source,
    /// Pages that rows were made of.
    pub pages: usize,
    /// Rows that were left out because a feature was not finite.
    pub unusable: usize,
}

impl Rows {
    /// No rows yet.
    #[must_use]
    pub fn none(source: Source) -> Self {
        Self { features: Vec::new(), labels: Vec::new(), places: Vec::new(), source, pages: 0, unusable: 0 }
    }

    /// Adds a row, where all its features are finite.
    pub(super) fn add(&mut self, features: &[f32], labels: [bool; ACTIONS], place: Option<Place>) {
        if features.iter().all(|value| value.is_finite()) {
            self.features.extend_from_slice(features);
            self.labels.push(labels);
            self.places.extend(place);
        } else {
            self.unusable += 1;
        }
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Some of them, as ranking reads them; nothing past the end.
    #[must_use]
    pub fn matrix(&self, part: std::ops::Range<usize>) -> Matrix {
        let numbers = self.features.get(part.start * COLUMNS..part.end * COLUMNS);
        numbers.and_then(Matrix::from_rows).unwrap_or_default()
    }

    /// How many of some of them have an action, by its place in `Action::ALL`.
    pub(super) fn positives(&self, part: &std::ops::Range<usize>, action: usize) -> usize {
        self.labels.get(part.clone()).unwrap_or(&[]).iter().filter(|labels| labels[action]).count()
    }
}
