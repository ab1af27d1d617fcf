//! What was missing when an answer was made, and what becomes of it when the answer is made again.
//!
//! Must not know how anything is made again, only which way was taken.

use contracts::RecommendationRecord;
use serde::Serialize;
use shared_models::degraded::{DegradedCause, DegradedStage};
use utoipa::ToSchema;

/// What `degraded` calls ranking as a whole,
const RANKING: &str = "ranking";
/// ranking's scorer,
const SCORER: &str = "scorer.release";
/// and candidates that it passed over for want of time.
const FIRST_PASS: &str = "scorer.first_pass";

/// A stage that gave less than it should when the answer was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct MissingThen {
    /// The stage, as the answer's `degraded` names it.
    #[schema(example = "source.trending")]
    pub(crate) stage: String,
    /// Why.
    #[schema(example = "timeout")]
    pub(crate) cause: &'static str,
    /// What became of it this time.
    pub(crate) now: Now,
}

/// What becomes of a stage that was missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Now {
    /// What it left is in the record, and was taken from there.
    Recorded,
    /// It was left out again, in the same way.
    Repeated,
    /// It was run in full: for that alone another page may come out.
    RunInFull,
}

/// Which way an answer is made again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    /// With the candidates of the record.
    pub(super) from_record: bool,
    /// With the recorded question to ranking, and not with another surface's.
    pub(super) same_question: bool,
    /// With the release that ranked it, as it ranked it.
    pub(super) same_release: bool,
}

impl Way {
    /// As it was answered.
    pub(super) const SAME: Self = Self { from_record: true, same_question: true, same_release: true };

    fn of(self, stage: &str) -> Now {
        let (same, then) = match stage {
            FIRST_PASS => (self.from_record && self.same_question, Now::Repeated),
            RANKING => (self.same_release, Now::Repeated),
            // Titles are read after everything is decided.
            "display" => (true, Now::Recorded),
            stage if stage.starts_with("scorer.") || stage.starts_with("release.") => {
                (self.same_release, Now::Repeated)
            }
            _ => (self.from_record, Now::Recorded),
        };
        if same { then } else { Now::RunInFull }
    }
}

/// What was missing, and what becomes of it on this way.
pub(super) fn missing(record: &RecommendationRecord, way: Way) -> Vec<MissingThen> {
    let of = |stage: &DegradedStage| MissingThen {
        stage: stage.stage.clone(),
        cause: stage.cause.as_str(),
        now: way.of(&stage.stage),
    };
    record.degraded.iter().map(of).collect()
}

/// Whether a release ranked the answer without its scorer, which did not answer in time or failed.
pub(super) fn without_scorer(record: &RecommendationRecord) -> bool {
    record.degraded.iter().any(|stage| stage.stage == SCORER && stage.cause != DegradedCause::NoRelease)
}

/// Whether ranking passed candidates over for want of time.
pub(super) fn is_hurried(record: &RecommendationRecord) -> bool {
    record.degraded.iter().any(|stage| stage.stage == FIRST_PASS)
}

/// That in a sentence; nothing where nothing was missing.
pub(super) fn sentence(missing: &[MissingThen]) -> String {
    let named = |full: bool| {
        let of = missing.iter().filter(|stage| (stage.now == Now::RunInFull) == full);
        of.map(|stage| format!("{} ({})", stage.stage, stage.cause)).collect::<Vec<_>>().join(", ")
    };
    let (full, alike) = (named(true), named(false));
    let mut text = String::new();
    if !alike.is_empty() {
        text += &format!(" It was answered without {alike}, and made again in the same way.");
    }
    if !full.is_empty() {
        text += &format!(" It was answered without {full}, which this time ran in full: it may differ for that alone.");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_repeated_is_told_apart() {
        let gathered = Way { from_record: false, ..Way::SAME };
        let with_live = Way { same_release: false, ..Way::SAME };
        let of_surface = Way { same_question: false, ..Way::SAME };
        let cases = [
            ("source.trending", Way::SAME, Now::Recorded),
            ("source.trending", gathered, Now::RunInFull),
            ("slate.home.pins", gathered, Now::RunInFull),
            ("display", gathered, Now::Recorded),
            ("scorer.release", Way::SAME, Now::Repeated),
            ("scorer.release", gathered, Now::Repeated),
            ("scorer.release", with_live, Now::RunInFull),
            ("release.pinned", with_live, Now::RunInFull),
            ("scorer.first_pass", Way::SAME, Now::Repeated),
            ("scorer.first_pass", gathered, Now::RunInFull),
            ("scorer.first_pass", of_surface, Now::RunInFull),
            ("ranking", gathered, Now::Repeated),
            ("ranking", with_live, Now::RunInFull),
        ];
        for (stage, way, expected) in cases {
            assert_eq!(way.of(stage), expected, "{stage} {way:?}");
        }
        let missing = [("source.trending", Now::RunInFull), ("scorer.release", Now::Repeated)]
            .map(|(stage, now)| MissingThen { stage: stage.to_owned(), cause: "timeout", now });
        let text = sentence(&missing);
        assert!(text.contains("scorer.release (timeout), and made again in the same way"), "{text}");
        assert!(text.contains("source.trending (timeout), which this time ran in full"), "{text}");
        assert_eq!(sentence(&[]), "");
    }
}
