//! Questions about an answer: why these cards, why not another, and what would have been answered otherwise.
//!
//! An answer's record says what was asked, found and chosen. Scores and what made them come from ranking, which ranks the
//! recorded page again with the release it was ranked with. Must not know HTTP, nor how a score is made.

mod again;
mod answer;
mod diff;
mod exposure;
mod names;
mod page;
mod replay;
mod standing;
mod then;
mod why;
mod words;

use std::sync::Arc;

use contracts::{Candidates, Catalogue, Deadline, Ranking, RecommendationRecord};
use shared_models::{ItemId, ItemKey, degraded::DegradedLevel};

use again::Again;
pub(crate) use answer::{PageExplanation, RecordAnswer};
pub(crate) use diff::ReplayAnswer;
pub(crate) use replay::{Against, ask_of};
pub(crate) use why::ItemExplanation;

use crate::{page::DisplayCache, problem::Problem};

/// Answers questions about answers.
pub(crate) struct Explainer {
    pub(crate) candidates: Arc<dyn Candidates>,
    pub(crate) catalogue: Arc<dyn Catalogue>,
    pub(crate) ranking: Arc<dyn Ranking>,
    pub(crate) display: Arc<DisplayCache>,
}

impl Explainer {
    /// The record as a client reads it.
    pub(crate) async fn record(&self, record: &RecommendationRecord, until: Deadline) -> RecordAnswer {
        let names = names::Names::read(&self.display, record, &[], until).await;
        answer::record(record, &names)
    }

    /// Why these cards.
    pub(crate) async fn page(
        &self,
        record: &RecommendationRecord,
        until: Deadline,
    ) -> Result<PageExplanation, Problem> {
        let again = Again::of(&*self.ranking, record, until).await?;
        let names = names::Names::read(&self.display, record, &[], until).await;
        Ok(page::explain(record, &again, &names))
    }

    /// Why this item, or why not.
    pub(crate) async fn item(
        &self,
        record: &RecommendationRecord,
        item: &ItemId,
        until: Deadline,
    ) -> Result<ItemExplanation, Problem> {
        let names = names::Names::read(&self.display, record, &[ItemKey::of(item)], until).await;
        why::explain(self, record, item, &names, until).await
    }

    /// What would have been answered, with everything as it was or with something else.
    pub(crate) async fn replay(
        &self,
        record: &RecommendationRecord,
        against: Against,
        until: Deadline,
    ) -> Result<ReplayAnswer, Problem> {
        replay::replay(self, record, against, until).await
    }
}

/// Whether ranking arranged the answer; otherwise nobody scored it.
fn is_ranked(record: &RecommendationRecord) -> bool {
    record.level < DegradedLevel::SourceOrder && !record.slates.is_empty()
}
