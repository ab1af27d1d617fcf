//! The table of candidates: what stood behind the cards of answers that were recorded whole. It must not know folders or
//! streams.

use std::sync::Arc;

use contracts::RecommendationRecord;
use parquet::{
    data_type::{FloatType, Int32Type, Int64Type},
    errors::Result as ParquetResult,
};
use serde::{Deserialize, Serialize};
use shared_models::{
    ItemKey, Timestamp,
    candidates::{CandidateTable, DroppedItem},
    component::Action,
    plan::{Objective, ShelfRankPlan, SlatePlan},
    slate::{RankDetail, Slate},
};

use super::{
    Error, Origin, Row, Span,
    cells::{Columns, Group, Names, micros, of_micros},
    recommendations::{Named, source_name},
    schema::{Column, Kind, Table},
};

/// What might have been answered to listeners.
pub static CANDIDATES: Table = Table {
    name: "candidates",
    about: "One row for each candidate of each shelf of an answer that was recorded whole (`records.complete_share` of \
            them): those that were shown, those that were ranked and not chosen, those that were dropped. `message_id` \
            and `candidate_index` together name a row. With it another policy is evaluated, and features are learned \
            from as they were served.",
    columns: &[
        Column::required("sequence", Kind::Integer64, "the stream position of the message"),
        Column::required("message_id", Kind::Text, "the id of the message's envelope"),
        Column::required(
            "candidate_index",
            Kind::Integer32,
            "the candidate's place in the record, from 0: shelf by shelf, the kept ones by score, then the dropped",
        ),
        Column::required("recommendation_id", Kind::Text, "the answer, a UUID; joins with `recommendations`"),
        Column::required("requested_at", Kind::Moment, "when it was asked for, by the edge's clock"),
        Column::optional("user_id", Kind::Text, "who; empty for somebody unknown"),
        Column::required("surface", Kind::Text, "the surface that was asked for"),
        Column::optional("ranking_release", Kind::Text, "the release that ranking scored with"),
        Column::required("shelf", Kind::Text, "the shelf it was a candidate of"),
        Column::required(
            "rules",
            Kind::Text,
            "the shelf's objective and the rules of its slate, as JSON: `{objective, slate}`",
        ),
        Column::required("item_key", Kind::Integer64, "the item; joins with `events` and `items`"),
        Column::optional("artist_key", Kind::Integer64, "its artist; empty when it has none or was dropped"),
        Column::optional("place", Kind::Integer32, "its place by score alone, from 0; empty without a score"),
        Column::optional("score", Kind::Real32, "the blended score by the shelf's objective"),
        Column::optional(
            "p_play",
            Kind::Real32,
            "the predicted probability that it is played, to four significant digits",
        ),
        Column::optional("p_complete", Kind::Real32, "that it is played to the end"),
        Column::optional("p_like", Kind::Real32, "that it is liked"),
        Column::optional("p_skip", Kind::Real32, "that it is skipped"),
        Column::optional("source", Kind::Text, "the source that ranked it highest"),
        Column::optional("source_rank", Kind::Integer32, "its place in that source's list, from 0"),
        Column::optional(
            "source_score",
            Kind::Real32,
            "that source's own score; scales differ between sources; empty when it was dropped",
        ),
        Column::required("sources", Kind::Text, "all sources that named it, in plan order, joined with commas"),
        Column::optional("dropped", Kind::Text, "why it was dropped before ranking; empty when it was kept"),
        Column::optional(
            "position",
            Kind::Integer32,
            "its place on the shelf, from 0; empty when it was not shown there",
        ),
        Column::optional(
            "schema",
            Kind::Integer64,
            "the hash of the feature schema as a signed number; where `features` has some",
        ),
        Column::list(
            "features",
            Kind::Real32,
            "the features as the model read them, in the order of the schema; of cards, each on one row",
        ),
    ],
};

/// A row: a candidate of a shelf, and where it comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct CandidateRow {
    /// The message that carried the record.
    pub origin: Origin,
    /// What the candidates of the shelf have in common.
    pub shelf: Arc<OfShelf>,
    /// The candidate.
    pub candidate: Candidate,
}

/// What the candidates of a shelf have in common.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OfShelf {
    /// The answer.
    pub recommendation: String,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// Who.
    pub user: Option<String>,
    /// The surface.
    pub surface: String,
    /// The release that scored.
    pub ranking_release: Option<String>,
    /// The shelf.
    pub shelf: String,
    /// Its objective and the rules of its slate, as JSON; see [`Rules`].
    pub rules: String,
}

/// A shelf's objective and the rules of its slate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// What its cards are worth.
    pub objective: Objective,
    /// The rules of selection.
    pub slate: SlatePlan,
}

/// A candidate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidate {
    /// The item.
    pub item: ItemKey,
    /// Its artist, or [`ItemKey::NONE`].
    pub artist: ItemKey,
    /// Its place by score, from 0, and the score.
    pub scored: Option<(u32, f32)>,
    /// Probabilities in the order of [`Action::ALL`].
    pub predictions: Option<[f32; 4]>,
    /// The source that ranked it highest and its rank there.
    pub source: Option<(Arc<str>, u32)>,
    /// That source's score.
    pub source_score: Option<f32>,
    /// All sources that named it.
    pub sources: Arc<str>,
    /// Why it was dropped.
    pub dropped: Option<Arc<str>>,
    /// Its place on the shelf.
    pub position: Option<u32>,
    /// The hash of the feature schema and the features, of a card.
    pub features: Option<(u64, Vec<f32>)>,
}

/// The rows of a message with a record; none unless it is whole.
pub(super) fn rows_of(sequence: u64, id: &str, record: &RecommendationRecord) -> Vec<CandidateRow> {
    let Some(detail) = record.detail.as_ref().filter(|_| record.table_complete) else { return Vec::new() };
    let message: Arc<str> = Arc::from(id);
    let mut rows: Vec<CandidateRow> = Vec::new();
    for plan in &record.rank_shelves {
        let shelf = Arc::new(OfShelf::of(record, plan));
        let mut add = |candidate: Candidate| {
            let index = u32::try_from(rows.len()).unwrap_or(u32::MAX);
            let origin = Origin { sequence, message: Arc::clone(&message), index };
            rows.push(CandidateRow { origin, shelf: Arc::clone(&shelf), candidate });
        };
        let slate = record.slates.iter().find(|slate| slate.shelf == plan.shelf);
        kept(record, detail, plan, slate).for_each(&mut add);
        let summary = record.shelves.iter().find(|summary| summary.shelf == plan.shelf);
        let dropped = summary.into_iter().flat_map(|summary| &summary.dropped_items);
        dropped.map(|item| Candidate::dropped(item, &record.table)).for_each(add);
    }
    rows
}

/// The candidates that a shelf kept: by score, then those without one.
fn kept<'a>(
    record: &'a RecommendationRecord,
    detail: &'a RankDetail,
    plan: &'a ShelfRankPlan,
    slate: Option<&'a Slate>,
) -> impl Iterator<Item = Candidate> + 'a {
    let scores = detail.shelves.iter().find(|scores| scores.shelf == plan.shelf);
    let (rows, values) = scores.map_or((&[][..], &[][..]), |scores| (&scores.rows, &scores.scores));
    let scored = (0..).zip(rows).zip(values).map(|((place, row), score)| (*row, Some((place, *score))));
    let unscored = plan.rows.iter().filter(|row| !rows.contains(row)).map(|row| (*row, None));
    let table_rows = record.table.len();
    let shown = detail.rows.len();
    scored.chain(unscored).map(move |(row, scored)| {
        let at = row as usize;
        let predicted = |action: usize| detail.predictions.get(action * table_rows + at).copied();
        let predictions = match [predicted(0), predicted(1), predicted(2), predicted(3)] {
            [Some(play), Some(complete), Some(like), Some(skip)] => {
                Some([play, complete, like, skip]).filter(|all| all.iter().all(|value| value.is_finite()))
            }
            _ => None,
        };
        let position = slate.and_then(|slate| slate.cards.iter().position(|card| card.row == row));
        let of_card = detail.rows.iter().position(|card| *card == row).filter(|_| position.is_some());
        let features = of_card.map(|card| detail.features.iter().skip(card).step_by(shown.max(1)).copied().collect());
        Candidate {
            artist: record.table.artists.get(at).copied().unwrap_or_default(),
            scored,
            predictions,
            position: position.map(|position| position as u32),
            features: features.map(|features| (detail.schema, features)),
            ..Candidate::named(at, &record.table)
        }
    })
}

impl OfShelf {
    fn of(record: &RecommendationRecord, plan: &ShelfRankPlan) -> Self {
        let rules = Rules { objective: plan.objective, slate: plan.slate.clone() };
        Self {
            recommendation: record.id.to_string(),
            requested_at: record.context.now,
            user: record.user.as_ref().map(ToString::to_string),
            surface: record.surface.to_string(),
            ranking_release: record.ranking_release.as_ref().map(ToString::to_string),
            shelf: plan.shelf.to_string(),
            // Names and numbers always make JSON.
            rules: serde_json::to_string(&rules).unwrap_or_default(),
        }
    }
}

impl Candidate {
    /// A row of the table as its sources named it.
    fn named(row: usize, table: &CandidateTable) -> Self {
        let Named { best, sources } = Named::of(row, table);
        Self {
            item: table.items.get(row).copied().unwrap_or_default(),
            source: best.map(|(source, rank, _)| (Arc::from(source), rank)),
            source_score: best.map(|(_, _, score)| score),
            sources: Arc::from(sources),
            ..Self::default()
        }
    }

    fn dropped(of: &DroppedItem, table: &CandidateTable) -> Self {
        let source = source_name(of.source, table);
        Self {
            item: of.item,
            source: Some((Arc::from(source), of.rank)),
            sources: Arc::from(source),
            dropped: Some(Arc::from(of.reason.as_str())),
            ..Self::default()
        }
    }
}

impl Row for CandidateRow {
    const TABLE: &'static Table = &CANDIDATES;
    const MOMENT: &'static str = "requested_at";

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn write(group: &mut Group<'_, '_>, rows: &[Self]) -> ParquetResult<()> {
        group.every::<Int64Type, _>(rows, |row| row.origin.sequence as i64)?;
        group.text(rows, |row| &row.origin.message)?;
        group.every::<Int32Type, _>(rows, |row| row.origin.index as i32)?;
        group.text(rows, |row| &row.shelf.recommendation)?;
        group.every::<Int64Type, _>(rows, |row| micros(row.shelf.requested_at))?;
        group.some_text(rows, |row| row.shelf.user.as_deref())?;
        group.text(rows, |row| &row.shelf.surface)?;
        group.some_text(rows, |row| row.shelf.ranking_release.as_deref())?;
        group.text(rows, |row| &row.shelf.shelf)?;
        group.text(rows, |row| &row.shelf.rules)?;
        group.every::<Int64Type, _>(rows, |row| row.candidate.item.0 as i64)?;
        let artist = |row: &Self| row.candidate.artist.is_some().then_some(row.candidate.artist.0 as i64);
        group.some::<Int64Type, _>(rows, artist)?;
        group.some::<Int32Type, _>(rows, |row| row.candidate.scored.map(|(place, _)| place as i32))?;
        group.some::<FloatType, _>(rows, |row| row.candidate.scored.map(|(_, score)| score))?;
        for action in Action::ALL {
            let at = *action as usize;
            group.some::<FloatType, _>(rows, |row| row.candidate.predictions.and_then(|all| all.get(at).copied()))?;
        }
        group.some_text(rows, |row| row.candidate.source.as_ref().map(|source| &*source.0))?;
        group.some::<Int32Type, _>(rows, |row| row.candidate.source.as_ref().map(|source| source.1 as i32))?;
        group.some::<FloatType, _>(rows, |row| row.candidate.source_score)?;
        group.text(rows, |row| &row.candidate.sources)?;
        group.some_text(rows, |row| row.candidate.dropped.as_deref())?;
        group.some::<Int32Type, _>(rows, |row| row.candidate.position.map(|position| position as i32))?;
        group.some::<Int64Type, _>(rows, |row| row.candidate.features.as_ref().map(|features| features.0 as i64))?;
        group.list::<FloatType, _>(rows, |row| row.candidate.features.as_ref().map_or(&[], |features| &features.1))
    }

    fn read(columns: &Columns<'_>, span: Span, names: &mut Names, rows: &mut Vec<Self>) -> Result<(), Error> {
        let origins = columns.origins("candidate_index", names)?;
        let (requested_at, item) = (columns.integers("requested_at")?, columns.integers("item_key")?);
        let texts = columns.all_texts()?;
        let whole = |name| columns.some::<Int32Type>(name);
        let real = |name| columns.some::<FloatType>(name);
        let (artist, schema) = (columns.some::<Int64Type>("artist_key")?, columns.some::<Int64Type>("schema")?);
        let (place, source_rank, position) = (whole("place")?, whole("source_rank")?, whole("position")?);
        let (score, source_score) = (real("score")?, real("source_score")?);
        let predictions = [real("p_play")?, real("p_complete")?, real("p_like")?, real("p_skip")?];
        let features = columns.list::<FloatType>("features")?;
        let mut shelf: Arc<OfShelf> = Arc::default();
        for (at, origin) in origins.into_iter().enumerate() {
            let moment = of_micros(requested_at[at]);
            if moment < span.from || moment >= span.to {
                continue;
            }
            let maybe = |name| texts.of(name, at);
            let text = |name| maybe(name)?.ok_or_else(|| columns.unusable(at, name));
            let count = |of: &[Option<i32>], name| {
                of[at].map(|value| u32::try_from(value).map_err(|_| columns.unusable(at, name))).transpose()
            };
            let of = OfShelf {
                recommendation: text("recommendation_id")?,
                requested_at: moment,
                user: maybe("user_id")?,
                surface: text("surface")?,
                ranking_release: maybe("ranking_release")?,
                shelf: text("shelf")?,
                rules: text("rules")?,
            };
            // Candidates of a shelf stand together and share what they have in common.
            if *shelf != of {
                shelf = Arc::new(of);
            }
            let [play, complete, like, skip] = [0, 1, 2, 3].map(|action: usize| predictions[action][at]);
            let predictions = match (play, complete, like, skip) {
                (Some(play), Some(complete), Some(like), Some(skip)) => Some([play, complete, like, skip]),
                _ => None,
            };
            let candidate = Candidate {
                item: ItemKey(item[at] as u64),
                artist: artist[at].map_or(ItemKey::NONE, |bits| ItemKey(bits as u64)),
                scored: count(&place, "place")?.zip(score[at]),
                predictions,
                source: texts.shared("source", at, names)?.zip(count(&source_rank, "source_rank")?),
                source_score: source_score[at],
                sources: texts.shared("sources", at, names)?.ok_or_else(|| columns.unusable(at, "sources"))?,
                dropped: texts.shared("dropped", at, names)?,
                position: count(&position, "position")?,
                features: schema[at].map(|schema| (schema as u64, features[at].clone())),
            };
            rows.push(Self { origin, shelf: Arc::clone(&shelf), candidate });
        }
        Ok(())
    }
}
